"""The executed notebook of a run: whether it proves that the run came to its end, and its last cell, the record."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ganbook.errors import DataError
from ganbook.results import METRICS

EXECUTED = "notebook.ipynb"
RECORD_TAG = "run-record"  # of the last cell, which papermill's user reads and the book leaves out


def why_incomplete(folder: Path, *, records: bool) -> str:
    """Why the executed notebook of a run folder proves no complete run; empty if it does.

    Args:
        folder: of the run.
        records: whether the notebook was told to write its record there.
    """
    import nbformat

    executed = nbformat.read(folder / EXECUTED, as_version=4)
    code = [cell for cell in executed.cells if cell.cell_type == "code" and cell.source.strip()]
    unrun = [cell for cell in code if cell.execution_count is None]
    if any(output.get("ename") == "SystemExit" for cell in code for output in cell.outputs):
        return "a cell left through SystemExit"
    if executed.metadata.papermill.exception:
        return "papermill recorded an exception"
    if unrun:
        start = unrun[0].source.strip().splitlines()[0]
        return f"{len(unrun)} of {len(code)} code cells never ran, the first being `{start}`"
    if records and not (folder / METRICS).is_file():
        return f"it wrote no {METRICS}"
    return ""


def append_record(executed: Path, certificate: Mapping[str, Any]) -> None:
    """A last cell that makes the executed notebook a laboratory record: what was run, where, when, at what cost."""
    import nbformat

    made, energy = certificate["machine"], certificate["energy"]
    code = f"{str(made['git_commit'] or 'no git checkout')[:10]}{' and changes' if made['git_dirty'] else ''}"
    rows = {
        "notebook": certificate["notebook"],
        "parameters": ", ".join(f"{name} {value!r}" for name, value in certificate["parameters"].items()) or "none",
        "started": certificate["started"],
        "took": f"{certificate['seconds']:.0f} s, {certificate['threads']} threads",
        "energy": f"{energy['watt_hours']} Wh, {energy['basis']}",
        "machine": f"{made['cpu']}, {made['cores']} cores, {made['platform']}",
        "versions": ", ".join(f"{name} {number}" for name, number in made["versions"].items()),
        "code": f"{code}; sources {certificate['sources'][:12]}",
    }
    table = "\n".join(f"| {name} | {str(text).replace('|', '&#124;')} |" for name, text in rows.items())
    notebook = nbformat.read(executed, as_version=4)
    text = f"**How this run was made**\n\n| | |\n|---|---|\n{table}"
    notebook.cells.append(nbformat.v4.new_markdown_cell(text, metadata={"tags": [RECORD_TAG]}))
    write_whole(executed, (nbformat.writes(notebook) + "\n").encode())


def write_whole(path: Path, content: bytes) -> None:
    """As `ganbook.checkpoint.write_atomically`, which brings torch along: a run's own process has no need of it.

    Raises:
        DataError: the disk is full or the folder cannot be written.
    """
    temporary = path.with_name(f".{path.name}.part")
    try:
        with temporary.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise DataError(
            f"Cannot write {path}: {(error.strerror or str(error)).lower()}. Free some space, then run again: it "
            "resumes."
        ) from None
