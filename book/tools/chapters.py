"""Executed notebooks as chapters, and what their claims came to."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from ganbook.batch import Run
from ganbook.executed import EXECUTED, RECORD_TAG

if TYPE_CHECKING:
    from nbformat import NotebookNode

CLAIM = "claim"
LONGEST = 40  # lines of code that stand open; a cell tagged `key` stays open however long it is
OPEN = {CLAIM, "key", "parameters"}


def page(executed: Path) -> bytes:
    """An executed notebook as a page: papermill's traces go, injected parameters are hidden and long code is folded."""
    import nbformat

    notebook = nbformat.read(executed, as_version=4)
    notebook.metadata.pop("papermill", None)
    notebook.metadata.pop("widgets", None)
    notebook.cells = [cell for cell in notebook.cells if RECORD_TAG not in cell.metadata.get("tags", [])]
    for index, cell in enumerate(notebook.cells):
        cell.id = f"cell-{index}"
        for key in ("papermill", "execution"):
            cell.metadata.pop(key, None)
        tags = cell.metadata.setdefault("tags", [])
        if "injected-parameters" in tags:
            tags.append("remove-cell")
        elif cell.cell_type == "code" and cell.source.count("\n") >= LONGEST and not OPEN & {*tags}:
            tags.append("hide-input")
    return (nbformat.writes(notebook) + "\n").encode()


def claims(notebook: NotebookNode) -> dict[str, str]:
    """What the claim cells printed, by the cells' source."""
    return {
        cell.source.strip(): "".join(output.text for output in cell.outputs if output.output_type == "stream")
        for cell in notebook.cells
        if cell.cell_type == "code" and CLAIM in cell.metadata.get("tags", [])
    }


def broken_claims(run: Run) -> list[str]:
    """Claims of a finished run that read otherwise in the committed notebook, one line each."""
    import nbformat

    twin = run.notebook.with_suffix(".ipynb")
    if not twin.is_file():
        return [f"{run.notebook} has no .ipynb yet; write it with `make notebooks`"]
    committed = claims(nbformat.read(twin, as_version=4))
    found = claims(nbformat.read(run.folder / EXECUTED, as_version=4))
    lines = []
    for source, text in found.items():
        expected = committed.get(source, "")
        if text != expected:
            lines.append(f"{run.notebook.with_suffix('')}: here {text.strip()!r}, committed {expected.strip()!r}")
    return lines
