"""``ganbook run`` and ``ganbook experiments``: one notebook run, what the batch would run, what of it is kept."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from ganbook.batch import EXPERIMENTS, RUNS, SCALES, load_experiments, plan, theory_runs
from ganbook.errors import DataError, GanbookError, InputError, unknown_name
from ganbook.notebooks import COMPLETE, parameters_of, run_notebook

experiments_app = typer.Typer(no_args_is_help=True, help="The runs that notebooks/experiments.yml declares.")


def run(
    notebook: Annotated[Path, typer.Argument(help="A notebook: .py (percent format) or .ipynb.")],
    parameter: Annotated[
        list[str] | None,
        typer.Option("--parameter", "-p", help="One parameter; may be given often.", metavar="NAME=VALUE"),
    ] = None,
    file: Annotated[Path | None, typer.Option("--file", "-f", help="JSON file of parameters; -p wins over it.")] = None,
    parameters: Annotated[str, typer.Option(help="Parameters as JSON text.", metavar="JSON")] = "{}",
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="Run folder; default: runs/own/<name of the notebook>.")
    ] = None,
    threads: Annotated[int, typer.Option(min=1, help="Threads of the numerical libraries; 1 is comparable.")] = 1,
    cell_timeout: Annotated[int | None, typer.Option(min=1, help="Seconds that one cell may take.")] = None,
) -> None:
    """Run one notebook with given parameters and check that it ran to its end."""
    folder = out or Path("runs/own") / notebook.stem
    values = {**_object(file.read_text() if file else "{}", str(file)), **_object(parameters, "--parameters")}
    values |= _from_text(notebook, parameter or [])
    typer.echo(f"{folder}: started")
    try:
        run_notebook(notebook, values, folder, threads=threads, cell_timeout=cell_timeout)
    except GanbookError:
        typer.echo(f"{folder}: FAILED")
        raise
    seconds = json.loads((folder / COMPLETE).read_text())["seconds"]
    typer.echo(f"{folder}: done in {seconds:.0f} s")


@experiments_app.command("list")
def list_experiments(file: Path = EXPERIMENTS) -> None:
    """The experiments and how many runs each has at each scale."""
    experiments = load_experiments(file)
    width = max(len(name) for name in experiments)
    typer.echo(f"{'':{width}}  {'  '.join(f'{scale:>8}' for scale in SCALES)}")
    for name, experiment in experiments.items():
        counts = [len(plan({name: experiment}, scale)) or "-" for scale in SCALES]
        columns = "  ".join(f"{count:>8}" for count in counts)
        typer.echo(f"{name:{width}}  {columns}  {experiment.title}")
    typer.echo(f"{len(theory_runs())} theory notebooks run once each. Next: ganbook experiments show NAME")


@experiments_app.command("show")
def show_experiment(name: str, scale: Annotated[str, typer.Option(help=", ".join(SCALES))] = "cpu") -> None:
    """The parameters of an experiment's notebook, and its runs at a scale."""
    experiments = load_experiments()
    if name not in experiments:
        raise unknown_name("experiment", name, experiments)
    experiment = experiments[name]
    typer.echo(f"{experiment.title} ({experiment.notebook})\n\nParameters:")
    for parameter in parameters_of(experiment.notebook).values():
        typer.echo(f"  {parameter.name}: {parameter.kind} = {parameter.default!r}  {parameter.help}")
    typer.echo(f"\nRuns at scale {scale}:")
    for one in plan({name: experiment}, scale):
        typer.echo(f"  {one.folder}  {json.dumps(dict(one.parameters))}")


@experiments_app.command("keep")
def keep_records(
    what: Annotated[str, typer.Argument(help="SCALE/EXPERIMENT or SCALE/EXPERIMENT/RUN_ID")],
    runs: Path = RUNS,
    records: Path = Path("book/results"),
) -> None:
    """Copy the small part of finished runs to book/results, to be committed and shown in everybody's book."""
    from ganbook.results import COMMITTED, read_record  # pandas is slow to import: only where it is needed

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
    typer.echo(f"{len(folders)} records. Next: git add {records}, then make book")


def _object(text: str, origin: str) -> dict[str, Any]:
    try:
        value = json.loads(text)
    except json.JSONDecodeError as error:
        raise DataError(f"{origin} is not valid JSON ({error}).") from None
    if not isinstance(value, dict):
        raise InputError(f"{origin} must be a JSON object of parameters, got {type(value).__name__}.")
    return value


def _from_text(notebook: Path, pairs: list[str]) -> dict[str, Any]:
    """Values from the command line, read as the notebook's own types; unknown names pass, to be refused later."""
    known = parameters_of(notebook) if pairs else {}
    values: dict[str, Any] = {}
    for pair in pairs:
        name, equals, text = pair.partition("=")
        if not equals:
            raise InputError(f"-p takes NAME=VALUE, got {pair!r}. Write for example -p {name}=3.")
        values[name] = _as_kind(name, known[name].kind if name in known else "str", text)
    return values


def _as_kind(name: str, kind: str, text: str) -> Any:
    try:
        if kind == "bool":
            return {"true": True, "false": False}[text.lower()]
        return {"int": int, "float": float, "str": str}[kind](text)
    except (ValueError, KeyError):
        raise InputError(f"Parameter {name!r} takes {kind}, got {text!r}.") from None


def main() -> None:
    """Entry for the batch, which needs no more of the command line than this."""
    app = typer.Typer(add_completion=False)
    app.command()(run)
    app.add_typer(experiments_app, name="experiments")
    in_one_paragraph(app)


def in_one_paragraph(app: typer.Typer) -> None:
    """Run a command line; an error that the user can mend is one paragraph and exit code 2, without a traceback."""
    try:
        app()
    except GanbookError as error:
        typer.echo(f"Error: {error}", err=True)
        sys.exit(2)


if __name__ == "__main__":
    main()
