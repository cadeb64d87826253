"""Results pages, written from records: what is not in a record does not appear, and what has not run says so."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from book.tools import gallery
from book.tools.gallery import SCALE_TITLES
from book.tools.grid import grids, plain
from ganbook.batch import RUNS, SCALES, Experiment, Run, plan
from ganbook.comparison import better, by_variant, paired, ranking
from ganbook.errors import InputError
from ganbook.export import SORT_SCRIPT, SORT_STYLE
from ganbook.results import METRICS, Record, read_record, refuse_contradiction
from ganbook.tables import metrics_of, protocol_text, summary, varied, with_spread

Staged = dict[str, Callable[[], bytes]]
UPRIGHT = 7  # columns that a page shows side by side


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
        page = _experiment_page(experiment, counts, records)
        staged[f"results/{name}.md"] = page.encode
        staged |= gallery.pages(experiment, records, local)
        sections.append(_overview_section(experiment, counts, records))
    staged["results/index.md"] = _overview(sections, scale).encode
    staged["_static/sortable.js"] = SORT_SCRIPT.encode
    staged["_static/sortable.css"] = SORT_STYLE.encode
    return staged


def _records(runs: Sequence[Run], local: Path, committed: Path) -> list[Record]:
    """The records of planned runs; one that was made with other parameters than are declared now is not shown."""
    found = []
    for run in runs:
        folder = run.folder.relative_to(RUNS)
        places = [root / folder for root in (local, committed) if (root / folder / METRICS).is_file()]
        if places:
            record, *others = map(read_record, places)
            for other in others:
                refuse_contradiction(record, other)
            if all(record.params.get(name, value) == value for name, value in run.parameters.items()):
                found.append(record)
    return found


def _overview(sections: Sequence[str], scale: str) -> str:
    head = f"""# Results

Every number here was read from the record of a run when these pages were built; none was typed. Each run is one
notebook, executed by papermill with other parameters (`notebooks/experiments.yml` says which). A metric stands as its
mean ± half of Student's 95% interval over n seeds: wide where the seeds are few, and absent where there is one. A dash
is what was not measured. Click on the head of a table to sort it. This book was built at scale `{scale}`; what has not
been run yet is marked *pending*.

A name such as *fd5k(mnist-judge)* says what was measured, on how many samples, and in whose features: the Fréchet
distance of 5000 samples in those of the book's own classifier of MNIST. [Evaluation](../theory/12_evaluation.ipynb)
defines the metrics that several chapters share; what only one chapter measures is explained there.

[What a thesis reported, beside our runs](thesis.md), [when and on what the notebooks ran](status.md) and [how to get
each number again](reproduce.md) have pages of their own. `ganbook results -o table.tex` writes these tables for a
thesis (LaTeX, CSV or a page that sorts).
"""
    return "\n".join([head, *sections])


def _overview_section(experiment: Experiment, counts: Mapping[str, int], records: Mapping[str, list[Record]]) -> str:
    page = f"{experiment.name}.md"
    lines = [f"## [{experiment.title}]({page})", ""]
    for scale, count in counts.items():
        lines += [f"**{SCALE_TITLES[scale]}**: {_state(len(records[scale]), count, scale)}", ""]
        if found := records[scale]:
            metrics = len(metrics_of(summary(found)))
            lines += [f"[All {metrics} numbers]({page})." if metrics > UPRIGHT else _summary_table(found), ""]
    return "\n".join(lines)


def _experiment_page(experiment: Experiment, counts: Mapping[str, int], records: Mapping[str, list[Record]]) -> str:
    page = experiment.notebook.relative_to("notebooks").with_suffix("").as_posix()
    lines = [
        f"# Results: {experiment.title}",
        "",
        f"What the runs of [this notebook](../{page}.ipynb) measured, each number as its mean ± half of Student's 95% "
        "interval over n seeds ([how to read the names](index.md)). Run it yourself, with any of its parameters:",
        "",
        "```bash",
        f"ganbook run {experiment.notebook.as_posix()} -p seed=7",
        "```",
        "",
        f"Every single run, with its parameters, curves, samples and executed notebook, is in the "
        f"[gallery of runs]({gallery.page_name(experiment)}.md).",
        "",
    ]
    for scale, count in counts.items():
        found = records[scale]
        lines += [f"## {SCALE_TITLES[scale]}", "", _state(len(found), count, scale), ""]
        if found:
            lines += [_summary_table(found), "", *_comparison(found), *_sheets(found)]
    return "\n".join(lines)


def _state(done: int, count: int, scale: str) -> str:
    runs = f"{count} run{'s' if count > 1 else ''}"
    if done == count:
        return f"{runs}, all done."
    return f"{runs}, {count - done} *pending*: `make experiments SCALE={scale}`."


def _summary_table(records: Sequence[Record]) -> str:
    table = summary(records)
    names = varied(records)
    metrics = metrics_of(table)
    protocols = [text for text in dict.fromkeys(table["protocol"]) if text]
    several = table["protocol"].nunique() > 1
    columns = [*names, *metrics, "n", *(["protocol"] if several else [])]
    if names and len(table) > 1 and len(metrics) > UPRIGHT and grids(dict.fromkeys(metrics, ""))[0]:
        return _one_by_one(records, names)
    rows = []
    for row in table.to_dict("records"):
        cells = [f"`{row[name]}`" for name in names]
        cells += [_spread(float(row[metric]), float(row[f"{metric}_ci"])) for metric in metrics]
        marks = [str(protocols.index(row["protocol"]) + 1) if row["protocol"] else "–"] if several else []
        rows.append([*cells, str(row["n"]), *marks])
    note = "".join(f"\n\n*Protocol{f' {i}' if several else ''}:* {text}." for i, text in enumerate(protocols, start=1))
    if len(rows) == 1 and len(columns) > UPRIGHT:
        return _upright(dict(zip(metrics, rows[0], strict=False)), rows[0][-1]) + note
    return gallery.sortable([column.replace("_", " ") for column in columns], rows) + note


def _one_by_one(records: Sequence[Record], names: Sequence[str]) -> str:
    """Variants with many metrics of several things, whose columns side by side would be wider than a page.

    Where no two variants share a metric, one table holds all of them; else each has its own.
    """
    variants: dict[str, list[Record]] = {}
    for record in records:
        what = ", ".join(f"{name.replace('_', ' ')} `{record.params.get(name)}`" for name in names)
        variants.setdefault(what, []).append(record)
    measured = [{metric for record in found for metric in record.metrics} for found in variants.values()]
    seeds = {len(found) for found in variants.values()}
    protocols = {protocol_text(record.protocol) for record in records}
    note = f"\n\n*Protocol:* {''.join(protocols)}." if len(protocols) == 1 and protocols != {""} else ""
    if sum(map(len, measured)) == len(set().union(*measured)) and len(seeds) == len(protocols) == 1:
        row = summary(records).to_dict("records")
        values = {
            metric: _spread(float(variant[metric]), float(variant[f"{metric}_ci"]))
            for variant, metrics in zip(row, measured, strict=True)
            for metric in variant
            if metric in metrics
        }
        return f"With {'; '.join(variants)}:\n\n{_upright(values, str(*seeds))}{note}"
    sections = [f"**With {what}:**\n\n{_summary_table(found).removesuffix(note)}" for what, found in variants.items()]
    return "\n\n".join(sections) + note


def _upright(values: Mapping[str, str], n: str) -> str:
    """One variant with many metrics: what was measured of several things as grids, the rest from top to bottom."""
    found, rest = grids(values)
    tables = [gallery.sortable(head, rows) for head, rows in found]
    if rest:
        tables.append(gallery.sortable(["metric", "value"], [[plain(name), text] for name, text in rest.items()]))
    seeds = f"{n} seed." if n == "1" else f"Means of {n} seeds."
    return "\n\n".join([*tables, seeds])


def _comparison(records: Sequence[Record]) -> list[str]:
    """Whether the variants differ by more than their seeds, for every metric in which they differ at all."""
    lines: list[str] = []
    for metric in dict.fromkeys(name for r in records for name in r.metrics):
        try:
            values = by_variant(records, metric)
        except InputError:  # measured in several ways: then the numbers are not compared
            continue
        if len(values) < 2 or len({v for seeds in values.values() for v in seeds.values()}) < 2:
            continue
        table, ranks = paired(values), ranking(values, metric)
        if table["n"].max() < 2:
            continue
        order = ", ".join(f"`{name}`" for name in ranks["variant"])
        agreement = ranks.attrs["kendall_w"]
        rows = [
            [f"`{r['variant']}`", _spread(r["difference"], r["ci"]), str(r["n"]), _number(r["p"]), _number(r["p_holm"])]
            for r in table.to_dict("records")
        ]
        good = f" ({better(metric)} is better)" if better(metric) else ""
        lines += [f"*{metric.replace('_', ' ')}*{good}, against `{next(iter(values))}`:", ""]
        lines += [gallery.table(["variant", "difference", "n", "p", "p, Holm"], rows), ""]
        if good:
            lines += [f"Order by mean rank: {order}; agreement of the seeds (Kendall's W) {_number(agreement)}.", ""]
    if not lines:
        return []
    head = ["````{dropdown} Is it the variant or the seed?", "", "Differences seed by seed, with paired t-tests.", ""]
    return [*head, *lines, "````", ""]


def _number(value: float) -> str:
    return "–" if math.isnan(value) else f"{value:.2g}"


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
        what = ", ".join(f"{name} {value}" for name, value in zip(names, variant, strict=True))
        rows = "" if what else " Where it compares models or methods, the rows are those of the notebook's own figure."
        what = what or "parameters of this scale"
        seed = f", seed {record.params['seed']}" if "seed" in record.params else ""
        lines += [
            f"```{{figure}} {Path(gallery.sheet_name(record)).name}",
            f":name: sheet-{record.experiment}-{record.scale}-{record.run_id}".replace("_", "-").replace(".", "-"),
            f":alt: Sheet of generated samples, {what}{seed}.",
            ":class: sample-sheet",
            f"Samples, not selected: {what}{seed}.{rows}",
            "```",
            "",
        ]
    return lines


def _spread(mean: float, std: float) -> str:
    return with_spread(mean, std).replace(" ", "\N{NO-BREAK SPACE}")
