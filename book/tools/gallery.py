"""The gallery of an experiment's runs: click on one for its parameters, curves, samples and executed notebook."""

from __future__ import annotations

import html
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from book.tools.curves import curves, drawable
from ganbook.batch import Experiment
from ganbook.execution import EXECUTED
from ganbook.results import Record
from ganbook.tables import varied

Staged = dict[str, Callable[[], bytes]]
SCALE_TITLES = {
    "smoke": "Smoke test (a few steps; proves only that it runs)",
    "cpu": "CPU (minutes on two cores)",
    "cpu-long": "CPU, long",
    "gpu": "GPU",
}
RUN_FILES = "results/runs"  # executed notebooks, to be downloaded: no pages


def page_name(experiment: Experiment) -> str:
    """Of the gallery, below ``results/``."""
    return f"{experiment.name}-runs"


def pages(experiment: Experiment, records: Mapping[str, list[Record]], local: Path) -> Staged:
    """The gallery's page and the files that it shows, by their place in the book.

    Args:
        experiment: whose runs these are.
        records: by scale.
        local: run folders of this machine, which still have their executed notebook.
    """
    staged: Staged = {}
    sections = []
    for scale, found in records.items():
        names = varied(found)
        if found:
            sections += [f"## {SCALE_TITLES[scale]}", ""]
        for record in found:
            executed = record.folder / EXECUTED
            history = record.history()
            if record.samples is not None:
                staged[f"results/{sheet_name(record)}"] = record.samples.read_bytes
            if drawable(history):
                staged[f"results/{curves_name(record)}"] = curves(history).encode
            if executed.is_file():
                staged[f"{RUN_FILES}/{slug(record)}.ipynb"] = executed.read_bytes
            sections += _run(record, names, local, has_curves=drawable(history), has_notebook=executed.is_file())
    tables = f"Tables over these runs are on [their page]({experiment.name}.md)."
    head = [f"# Every run: {experiment.title}", "", tables, ""]
    staged[f"results/{page_name(experiment)}.md"] = "\n".join([*head, *(sections or ["*No run yet.*"]), ""]).encode
    return staged


def _run(record: Record, names: Sequence[str], local: Path, *, has_curves: bool, has_notebook: bool) -> list[str]:
    what = ", ".join(f"{name} {record.params.get(name)}" for name in (*names, "seed") if name in record.params)
    title = what or "default parameters"
    lines = [f"({anchor(record)})=", "", f"````{{dropdown}} {title}", ""]
    if record.samples is not None:
        lines += _figure(sheet_name(record), f"Sheet of generated samples, {title}.", "sample-sheet")
    if has_curves:
        lines += _figure(curves_name(record), f"Losses of discriminator and generator by step, {title}.", "loss-curves")
    metrics = [[name.replace("_", " "), f"{value:.6g}"] for name, value in record.metrics.items()]
    parameters = ", ".join(f"`{name} {value}`" for name, value in record.params.items())
    lines += [table(["metric", "value"], metrics), "", f"Parameters: {parameters}.", "", _origin(record, local), ""]
    notebook = f"{{download}}`The executed notebook <runs/{slug(record)}.ipynb>`. " if has_notebook else ""
    return [*lines, f"{notebook}To get it again: `ganbook reproduce {record.result_id}`.", "", "````", ""]


def _figure(file: str, alt: str, kind: str) -> list[str]:
    return [f"```{{image}} {file}", f":alt: {alt}", f":class: {kind}", "```", ""]


def _origin(record: Record, local: Path) -> str:
    """Commit, device, time, energy and place of a record in one sentence."""
    e, c = record.environment, record.certificate
    commit = f"`{str(e.get('git_commit') or '–')[:10]}`" + (" + changes" if e.get("git_dirty") else "")
    device = html.escape(str(e.get("device", "device unknown")))
    threads = e.get("threads", "–")
    parts = [f"commit {commit}", device, f"{threads} thread{'' if threads == 1 else 's'}"]
    parts += [f"training {seconds(e.get('train_seconds'))}", str(e.get("date", "date unknown"))[:10]]
    if (hours := c.get("energy", {}).get("watt_hours")) is not None:
        parts.append(f"{hours} Wh ({c['energy']['basis']})")
    parts.append("this machine" if record.folder.is_relative_to(local) else "committed")
    return f"Made at {', '.join(parts)}."


def seconds(value: Any) -> str:
    """A recorded number of seconds as text; a dash where there is none."""
    return f"{value:.0f} s" if isinstance(value, int | float) and value >= 0 else "–"


def sortable(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table that a click on its head sorts."""
    return f"```{{table}}\n:class: sortable\n\n{table(head, rows)}\n```"


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table in Markdown."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)


def slug(record: Record) -> str:
    """A record's name as that of a file."""
    return f"{record.experiment}-{record.scale}-{record.run_id}"


def anchor(record: Record) -> str:
    """A record's place in its gallery."""
    return f"run-{slug(record)}".replace("_", "-").replace(".", "-").lower()


def sheet_name(record: Record) -> str:
    """Of the sample sheet, below ``results/``."""
    return f"{slug(record)}.png"


def curves_name(record: Record) -> str:
    """Of the loss curves, below ``results/``."""
    return f"{slug(record)}-losses.svg"
