"""Results pages, written from records: what is not in a record does not appear, and what has not run says so."""

from __future__ import annotations

import html
import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from ganbook.batch import RUNS, SCALES, Experiment, Run, plan
from ganbook.results import METRICS, Record, read_record
from ganbook.tables import summary, varied, with_spread

Staged = dict[str, Callable[[], bytes]]
SCALE_TITLES = {
    "smoke": "Smoke test (a few steps; proves only that it runs)",
    "cpu": "CPU (minutes on two cores)",
    "cpu-long": "CPU, long",
    "gpu": "GPU",
}


def results(experiments: Mapping[str, Experiment], scale: str, *, local: Path, committed: Path) -> Staged:
    """The overview and one page an experiment, by their place in the book.

    Args:
        experiments: all of them.
        scale: of the book; the other scales below follow it.
        local: run folders of this machine; they count before committed ones.
        committed: records kept in git.
    """
    shown = [scale, *(s for s in SCALES if s not in (scale, "smoke", "cpu"))]
    staged: Staged = {}
    sections = []
    for name, experiment in experiments.items():
        planned = {s: plan({name: experiment}, s) for s in shown}
        records = {s: _records(runs, local, committed) for s, runs in planned.items()}
        counts = {s: len(runs) for s, runs in planned.items() if runs}
        page = _experiment_page(experiment, counts, records, local)
        staged[f"results/{name}.md"] = page.encode
        for record in (r for group in records.values() for r in group):
            if record.samples is not None:
                staged[f"results/{_sheet_name(record)}"] = record.samples.read_bytes
        sections.append(_overview_section(experiment, counts, records))
    staged["results/index.md"] = _overview(sections, scale).encode
    return staged


def _records(runs: Sequence[Run], local: Path, committed: Path) -> list[Record]:
    """The records of planned runs; one that was made with other parameters than are declared now is not shown."""
    found = []
    for run in runs:
        folder = run.folder.relative_to(RUNS)
        place = next((root / folder for root in (local, committed) if (root / folder / METRICS).is_file()), None)
        if place is not None:
            record = read_record(place)
            if all(record.params.get(name, value) == value for name, value in run.parameters.items()):
                found.append(record)
    return found


def _overview(sections: Sequence[str], scale: str) -> str:
    head = f"""# Results

Every number here was read from the record of a run when these pages were built; none was typed. Each run is one
notebook, executed by papermill with other parameters (`notebooks/experiments.yml` says which). Means and standard
deviations (± one, over n seeds) are of the metrics, not of the losses; n = 1 has no spread. This book was built at
scale `{scale}`; what has not been run yet is marked *pending*.
"""
    return "\n".join([head, *sections])


def _overview_section(experiment: Experiment, counts: Mapping[str, int], records: Mapping[str, list[Record]]) -> str:
    lines = [f"## [{experiment.title}]({experiment.name}.md)", ""]
    for scale, count in counts.items():
        lines += [f"**{SCALE_TITLES[scale]}**: {_state(len(records[scale]), count, scale)}", ""]
        if records[scale]:
            lines += [_summary_table(records[scale]), ""]
    return "\n".join(lines)


def _experiment_page(
    experiment: Experiment, counts: Mapping[str, int], records: Mapping[str, list[Record]], local: Path
) -> str:
    page = experiment.notebook.relative_to("notebooks").with_suffix("").as_posix()
    lines = [
        f"# {experiment.title}: results",
        "",
        f"The runs of [this notebook](../{page}.ipynb). Run one yourself, with any of its parameters:",
        "",
        "```bash",
        f"ganbook run {experiment.notebook.as_posix()} -p seed=7",
        "```",
        "",
    ]
    for scale, count in counts.items():
        found = records[scale]
        lines += [f"## {SCALE_TITLES[scale]}", "", _state(len(found), count, scale), ""]
        if found:
            lines += [_summary_table(found), "", *_sheets(found), *_provenance(found, local)]
    return "\n".join(lines)


def _state(done: int, count: int, scale: str) -> str:
    runs = f"{count} run{'s' if count > 1 else ''}"
    if done == count:
        return f"{runs}, all done."
    return f"{runs}, {count - done} *pending*: `make experiments SCALE={scale}`."


def _summary_table(records: Sequence[Record]) -> str:
    table = summary(records)
    names = varied(records)
    metrics = [c for c in table.columns if f"{c}_std" in table.columns]
    several = table["protocol"].nunique() > 1
    columns = [*names, *metrics, "n", *(["protocol"] if several else [])]
    rows = []
    for row in table.to_dict("records"):
        cells = [f"`{row[name]}`" for name in names]
        cells += [_spread(float(row[metric]), float(row[f"{metric}_std"])) for metric in metrics]
        rows.append([*cells, str(row["n"]), *([row["protocol"]] if several else [])])
    note = "" if several or not (text := table["protocol"].iloc[0]) else f"\n\n*Protocol:* {text}."
    return _table([column.replace("_", " ") for column in columns], rows) + note


def _sheets(records: Sequence[Record]) -> list[str]:
    """The sample sheet of each variant's first seed."""
    lines: list[str] = []
    names = varied(records)
    seen: set[tuple[str, ...]] = set()
    for record in records:
        variant = tuple(str(record.params.get(name)) for name in names)
        if record.samples is None or variant in seen:
            continue
        seen.add(variant)
        what = ", ".join(f"{name} {value}" for name, value in zip(names, variant, strict=True)) or "default parameters"
        seed = f", seed {record.params['seed']}" if "seed" in record.params else ""
        lines += [
            f"```{{figure}} {Path(_sheet_name(record)).name}",
            f":name: sheet-{record.experiment}-{record.scale}-{record.run_id}".replace("_", "-").replace(".", "-"),
            f":alt: Sheet of generated samples, {what}{seed}.",
            ":class: sample-sheet",
            f"Samples, not selected: {what}{seed}.",
            "```",
            "",
        ]
    return lines


def _provenance(records: Sequence[Record], local: Path) -> list[str]:
    head = ["run", "commit", "device", "threads", "training", "date", "record"]
    rows = []
    for r in records:
        e = r.environment
        commit = f"`{str(e.get('git_commit') or '–')[:10]}`" + (" + changes" if e.get("git_dirty") else "")
        seconds = e.get("train_seconds")
        took = "–" if not isinstance(seconds, int | float) or math.isnan(seconds) else f"{seconds:.0f} s"
        where = "this machine" if r.folder.is_relative_to(local) else "committed"
        rows.append([f"`{r.run_id}`", commit, html.escape(str(e.get("device", "–"))), str(e.get("threads", "–"))])
        rows[-1] += [took, str(e.get("date", "–"))[:10], where]
    return ["```{dropdown} Where these numbers come from", "", _table(head, rows), "```", ""]


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)


def _spread(mean: float, std: float) -> str:
    return with_spread(mean, std).replace(" ", "\N{NO-BREAK SPACE}")


def _sheet_name(record: Record) -> str:
    return f"{record.experiment}-{record.scale}-{record.run_id}.png"
