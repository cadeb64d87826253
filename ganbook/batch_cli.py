"""``ganbook run``: one notebook run."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer

from ganbook.declaration import read_yaml
from ganbook.errors import DataError, GanbookError, InputError
from ganbook.execution import run_notebook
from ganbook.notebooks import parameters_of
from ganbook.results import COMPLETE
from ganbook.slots import gpu_slots, gpus_here


def run(
    notebook: Annotated[Path, typer.Argument(help="A notebook: .py (percent format) or .ipynb.")],
    parameter: Annotated[
        list[str] | None,
        typer.Option("--parameter", "-p", help="One parameter; may be given often.", metavar="NAME=VALUE"),
    ] = None,
    file: Annotated[Path | None, typer.Option("--file", "-f", help="YAML or JSON file of parameters; -p wins.")] = None,
    parameters: Annotated[str, typer.Option(help="Parameters as JSON text.", metavar="JSON")] = "{}",
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="Run folder; default: runs/own/<name of the notebook>.")
    ] = None,
    threads: Annotated[int, typer.Option(min=1, help="Threads of the numerical libraries; 1 is comparable.")] = 1,
    cell_timeout: Annotated[int | None, typer.Option(min=1, help="Seconds that one cell may take.")] = None,
    minutes: Annotated[float | None, typer.Option(min=0, help="What the whole run may take.")] = None,
    gpus: Annotated[int, typer.Option(min=0, help="How many GPUs it may have to itself; 0: as it finds them.")] = 0,
    once: Annotated[bool, typer.Option("--once", help="Take a finished run of the same inputs as it is.")] = False,
) -> None:
    """Run one notebook with given parameters and check that it ran to its end."""
    folder = out or Path("runs/own") / notebook.stem
    values = _mapping(read_yaml(file), str(file)) if file else {}
    values |= _object(parameters, "--parameters")
    values |= _from_text(notebook, parameter or [])
    with announced(folder), gpu_slots(gpus, Path("runs"), gpus_here()):
        run_notebook(notebook, values, folder, threads=threads, cell_timeout=cell_timeout, minutes=minutes, once=once)


@contextmanager
def announced(folder: Path) -> Iterator[None]:
    """Say on stdout that a run begins and how it ended."""
    typer.echo(f"{folder}: started")
    try:
        yield
    except GanbookError:
        typer.echo(f"{folder}: FAILED")
        raise
    seconds = json.loads((folder / COMPLETE).read_text())["seconds"]
    typer.echo(f"{folder}: done in {seconds:.0f} s")


def _object(text: str, origin: str) -> dict[str, Any]:
    try:
        value = json.loads(text)
    except json.JSONDecodeError as error:
        raise DataError(f"{origin} is not valid JSON ({error}).") from None
    return _mapping(value, origin)


def _mapping(value: Any, origin: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise InputError(f"{origin} must map parameter names to values, got {type(value).__name__}.")
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


def _alone() -> None:
    """Run notebooks."""


def main() -> None:
    """Entry for the batch, which needs no more of the command line than this."""
    app = typer.Typer(add_completion=False)
    app.command()(run)
    app.callback()(_alone)
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
