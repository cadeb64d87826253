"""Notebook pairs: the script is the source, the ``.ipynb`` beside it keeps the outputs of claims and nothing else.

python -m book.tools.pairs check    # are they in sync, stripped and small?
python -m book.tools.pairs write    # write each .ipynb from its script and its finished run
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from book.tools.chapters import CLAIM, claims
from ganbook.batch import NOTEBOOKS, load_experiments, plan, theory_runs
from ganbook.errors import GanbookError
from ganbook.execution import EXECUTED
from ganbook.notebooks import read_notebook, sources_of_cells
from ganbook.results import COMPLETE

if TYPE_CHECKING:
    from nbformat import NotebookNode

CLAIM_TAGS = {CLAIM, "keep_output", "nbval-check-output"}  # the book's, nbstripout's and nbval's word for it
MAX_NOTEBOOK_BYTES = 600_000
MAX_FILE_BYTES = 5_000_000  # outside data/


def committed_half(script: Path, origin: NotebookNode | None) -> str:
    """The text of a pair's ``.ipynb``: the script's cells, and of outputs only what its claims printed.

    Args:
        script: the percent file.
        origin: a notebook with outputs; those of claim cells with the same source are taken over.
    """
    import nbformat

    notebook = read_notebook(script)
    printed = claims(origin) if origin is not None else {}
    for index, cell in enumerate(notebook.cells):
        cell.id = f"cell-{index}"
        if cell.cell_type == "code" and CLAIM in cell.metadata.tags and (text := printed.get(cell.source.strip())):
            cell.outputs = [nbformat.v4.new_output("stream", name="stdout", text=text)]
            cell.execution_count = 1  # nbval takes outputs of a cell without a count for a mistake
        if not cell.metadata.tags:
            del cell.metadata["tags"]
    kernel = {"display_name": "Python 3", "language": "python", "name": "python3"}
    notebook.metadata = nbformat.from_dict({"jupytext": {"formats": "ipynb,py:percent"}, "kernelspec": kernel})
    notebook.nbformat_minor = 5
    return str(nbformat.writes(notebook)) + "\n"


def problems(script: Path) -> list[str]:
    """What is wrong with a pair, one line each; empty if nothing is."""
    import nbformat

    twin = script.with_suffix(".ipynb")
    if not twin.is_file():
        return [f"{script} has no .ipynb beside it"]
    committed = nbformat.read(twin, as_version=4)
    found = []
    if sources_of_cells(read_notebook(twin)) != sources_of_cells(read_notebook(script)):
        found.append(f"{script} and {twin.name} differ in their cells")
    elif twin.read_text() != committed_half(script, committed):
        found.append(f"{twin} holds more than its script and the outputs of its claims")
    for index, cell in enumerate(committed.cells):
        tags = set(cell.metadata.get("tags", []))
        if tags & CLAIM_TAGS and not tags >= CLAIM_TAGS:
            found.append(f"{script}, cell {index + 1}: a claim carries all of the tags {', '.join(sorted(CLAIM_TAGS))}")
        elif CLAIM in tags and not cell.outputs:
            found.append(f"{script}, cell {index + 1}: the claim has printed nothing that could be compared")
    if twin.stat().st_size > MAX_NOTEBOOK_BYTES:
        found.append(f"{twin} has {twin.stat().st_size:,} bytes; {MAX_NOTEBOOK_BYTES:,} are allowed")
    return found


def large_files() -> list[str]:
    """Tracked files that are too large for a repository, one line each."""
    listed = subprocess.run(["git", "ls-files", "-z"], capture_output=True, text=True, check=True).stdout.split("\0")
    files = [Path(name) for name in listed if name and not name.startswith("data/")]
    sizes = {file: file.stat().st_size for file in files if file.is_file()}
    return [f"{f} has {size:,} bytes; data belongs under data/" for f, size in sizes.items() if size > MAX_FILE_BYTES]


def check() -> None:
    """Print what is wrong with any pair or file; exit with 1 if anything is."""
    scripts = sorted(NOTEBOOKS.rglob("*.py"))
    lone = [f"{twin} has no script" for twin in NOTEBOOKS.rglob("*.ipynb") if not twin.with_suffix(".py").is_file()]
    found = [*(problem for script in scripts for problem in problems(script)), *lone, *large_files()]
    for problem in found:
        print(problem)
    if found:
        sys.exit("Mend the pairs with: make notebooks")


def write() -> None:
    """Write the ``.ipynb`` of every pair; claims come from the chapter's finished run where there is one."""
    import nbformat

    runs = {run.notebook: run for run in [*theory_runs(), *plan(load_experiments(), "cpu")] if run.chapter}
    for script in sorted(NOTEBOOKS.rglob("*.py")):
        twin, run = script.with_suffix(".ipynb"), runs.get(script)
        executed = run.folder / EXECUTED if run is not None and (run.folder / COMPLETE).is_file() else twin
        origin = nbformat.read(executed, as_version=4) if executed.is_file() else None
        text = committed_half(script, origin)
        if not twin.is_file() or twin.read_text() != text:
            twin.write_text(text)
            print(f"{twin} written")


def main() -> None:
    """``check`` or ``write``."""
    try:
        {"check": check, "write": write}[sys.argv[1]]()
    except GanbookError as error:
        sys.exit(f"Error: {error}")


if __name__ == "__main__":
    main()
