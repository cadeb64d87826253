"""``ganbook reproduce``: one recorded number, made again."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ganbook.results import read_records


def reproduce(
    result_id: Annotated[str, typer.Argument(help="SCALE/EXPERIMENT/RUN_ID, as the results pages name it.")],
    check: Annotated[bool, typer.Option("--check", help="Only say what differs here; run nothing.")] = False,
    runs: Annotated[Path, typer.Option(help="Folder with runs of this machine.")] = Path("runs"),
    records: Annotated[Path, typer.Option(help="Folder with committed records.")] = Path("book/results"),
) -> None:
    """Say what differs here from where a number was made, run it again, and compare. Exit code 1: not reproduced."""
    from ganbook import reproduce as again  # papermill and scipy are slow to import

    found = read_records(records, runs)
    record = again.find(found, result_id)
    notebook = again.notebook_of(record)
    lines = again.differences(record, notebook)
    for line in lines:
        typer.echo(f"differs here  {line}")
    if lines:
        typer.echo(f"to restore    {again.how_to_restore(record)}")
    else:
        typer.echo("Code, versions and processor are the recorded ones: the metrics must be identical.")
    if check:
        return
    typer.echo(f"Running {notebook} again ...")
    new = again.run_again(record, notebook, runs / "reproduced")
    comparisons = again.compare(record, new, found, same_machine=not lines)
    for c in comparisons:
        bounds = "" if c.word == "identical" else f", expected {c.low:.6g} to {c.high:.6g}"
        typer.echo(f"{c.metric}: recorded {c.recorded:.6g}, now {c.again:.6g}: {c.word}{bounds}")
    sentence = again.verdict(comparisons)
    typer.echo(sentence)
    if sentence.startswith("NOT"):
        raise typer.Exit(1)
