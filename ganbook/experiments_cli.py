"""``ganbook experiments``: what the batch would run, how long that takes, how far it is, what of it is kept."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from ganbook import cost
from ganbook.batch import EXPERIMENTS, RUNS, SCALES, chosen, load_experiments, plan, theory_runs
from ganbook.errors import unknown_name
from ganbook.notebooks import parameters_of
from ganbook.progress import progress
from ganbook.results import COMMITTED, COMPLETE, read_record
from ganbook.schema import SCHEMA, experiments_schema

app = typer.Typer(no_args_is_help=True, help="The runs that notebooks/experiments.yml declares.")

File = Annotated[Path, typer.Option(help="The declaration.")]
OfScale = Annotated[str, typer.Option(help=", ".join(SCALES))]
Only = Annotated[str, typer.Option(help="An experiment or a tag; all of them if not given.")]
Records = Annotated[Path, typer.Option(help="Folder with committed records.")]
RECORDS = Path("book/results")


@app.command("list")
def list_experiments(file: File = EXPERIMENTS, only: Only = "") -> None:
    """The experiments and how many runs each has at each scale."""
    rows: list[tuple[str, ...]] = [("", *SCALES, "tags", "title")]
    for name, experiment in chosen(load_experiments(file), only).items():
        counts = [str(len(plan({name: experiment}, scale)) or "-") for scale in SCALES]
        rows.append((name, *counts, " ".join(experiment.tags) or "-", experiment.title))
    _print(rows, right=len(SCALES))
    typer.echo(f"{len(theory_runs())} theory notebooks run once each. Next: ganbook experiments show NAME")


@app.command("show")
def show_experiment(name: str, scale: OfScale = "cpu") -> None:
    """The parameters of an experiment's notebook, and its runs at a scale."""
    experiments = load_experiments()
    if name not in experiments:
        raise unknown_name("experiment", name, experiments)
    experiment = experiments[name]
    typer.echo(f"{experiment.title} ({experiment.notebook})\n\nParameters:")
    for parameter in parameters_of(experiment.notebook).values():
        typer.echo(f"  {parameter.name}: {parameter.kind} = {parameter.default!r}  {parameter.help}")
    runs = plan({name: experiment}, scale)
    typer.echo(f"\nRuns at scale {scale}:")
    for one in runs:
        typer.echo(f"  {one.folder}  {json.dumps(dict(one.parameters))}")
    if runs and (needs := runs[0].resources):
        limit = f"ended after {needs.minutes:g} min" if needs.minutes else "without a time limit"
        memory = f"{needs.memory:g} GB of memory" if needs.memory else "memory not stated"
        typer.echo(f"\nEach needs {needs.gpu} GPU, {memory}, and is {limit}.")
    typer.echo(f"Next: ganbook experiments cost --only {name}")


@app.command("cost")
def cost_of_experiments(scale: OfScale = "cpu", only: Only = "", runs: Path = RUNS, records: Records = RECORDS) -> None:
    """How long what is not done yet would take, from the runs that are recorded."""
    experiments = chosen(load_experiments(), only)
    estimates = cost.estimates(plan(experiments, scale), cost.recorded(runs, records))
    rows: list[tuple[str, ...]] = [("", "runs", "done", "to do", "each", "left", "judged by", "on")]
    for name in experiments:
        if own := [e for e in estimates if e.run.experiment == name]:
            rows.append(_cost_row(name, own))
    _print(rows, right=5)
    left = [e for e in estimates if not e.done]
    unknown = [e for e in left if e.seconds is None]
    total = cost.duration(sum((e.seconds or 0.0 for e in left), 0.0))
    typer.echo(
        f"{len(left)} of {len(estimates)} runs to do: about {total} one after the other"
        + (f", and {len(unknown)} that nothing recorded is like." if unknown else ".")
        + f" Next: make experiments SCALE={scale}"
    )


def _cost_row(name: str, own: Sequence[cost.Estimate]) -> tuple[str, ...]:
    left = [e for e in own if not e.done]
    known = [e.seconds for e in own if e.seconds is not None]
    each = cost.duration(sum(known) / len(known)) if known else "?"
    rest = "?" if any(e.seconds is None for e in left) else cost.duration(sum((e.seconds or 0.0 for e in left), 0.0))
    basis = (left or own)[0]
    return (name, str(len(own)), str(len(own) - len(left)), str(len(left)), each, rest, basis.basis, basis.device)


@app.command("status")
def status(scale: OfScale = "cpu", only: Only = "") -> None:
    """How far each run is: done, failed, at work (with cell and last output), or not begun."""
    counts: dict[str, int] = {}
    for run in [*(theory_runs() if not only else []), *plan(chosen(load_experiments(), only), scale)]:
        state = progress(run.folder)
        counts[state.word] = counts.get(state.word, 0) + 1
        typer.echo(f"{run.folder}: {state.text}")
    typer.echo(", ".join(f"{count} {word}" for word, count in counts.items()) or "There is nothing to run.")


@app.command("schema")
def write_schema(out: Annotated[Path, typer.Option("-o", "--out", help="Where to.")] = SCHEMA) -> None:
    """Write the JSON schema by which an editor completes and checks experiments.yml."""
    out.write_text(json.dumps(experiments_schema(), indent=2) + "\n")
    typer.echo(f"{out} written. Editors read it by the first line of {EXPERIMENTS}.")


@app.command("keep")
def keep_records(
    what: Annotated[str, typer.Argument(help="SCALE/EXPERIMENT or SCALE/EXPERIMENT/RUN_ID")],
    runs: Path = RUNS,
    records: Records = RECORDS,
) -> None:
    """Copy the small part of finished runs to book/results, to be committed and shown in everybody's book."""
    folders = sorted(file.parent for file in (runs / what).rglob(COMPLETE))
    if not folders:
        known = {str(file.parent.parent.relative_to(runs)) for file in runs.glob(f"*/*/*/{COMPLETE}")}
        raise unknown_name("finished run", what, known)
    for folder in folders:
        record = records / folder.relative_to(runs)
        read_record(folder)  # refuses a damaged one
        record.mkdir(parents=True, exist_ok=True)
        for name in (*COMMITTED, COMPLETE):
            if (folder / name).is_file():
                shutil.copy(folder / name, record / name)
        typer.echo(f"{record} kept")
    chapters = {runs / "cpu" / folder.parent.name for folder in folders}
    shown = sorted(str(chapter) for chapter in chapters if chapter.is_dir())
    again = f"; rm -r {' '.join(shown)}, so that the chapter reads them" if shown else ""
    typer.echo(f"{len(folders)} records. Next: git add {records}{again}; then make book")


def _print(rows: Sequence[tuple[str, ...]], *, right: int) -> None:
    """A table with the first column and those after ``right`` numbers set to the left."""
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    for row in rows:
        cells = [f"{c:>{w}}" if 0 < i <= right else f"{c:{w}}" for i, (c, w) in enumerate(zip(row, widths))]
        typer.echo("  ".join(cells).rstrip())
