"""Notebooks as text: both halves of a pair, and what a parameters cell may hold."""

import os
from pathlib import Path

import nbformat
import pytest

from ganbook.errors import DataError, InputError
from ganbook.execution import run_notebook
from ganbook.notebooks import check_parameters, parameters_of, read_notebook, refuse_edited_twin

TINY = Path(__file__).parent / "material" / "tiny.py"


def test_outputs_that_a_notebook_brings_along_do_not_count_as_executed(tmp_path):
    notebook = read_notebook(TINY)
    for count, cell in enumerate(cell for cell in notebook.cells if cell.cell_type == "code"):
        cell.execution_count = count + 1
    path = tmp_path / "tiny.ipynb"
    nbformat.write(notebook, path)
    assert all(cell.get("execution_count") is None for cell in read_notebook(path).cells)


def test_parameters_are_read_with_type_default_and_help():
    parameters = parameters_of(TINY)
    assert list(parameters) == ["loss", "lr", "steps", "flip", "seed", "fail", "out"]
    assert (parameters["lr"].kind, parameters["lr"].default, parameters["lr"].help) == ("float", 2e-4, "step size")
    assert check_parameters(TINY, {"lr": 1})["lr"] == 1.0


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("seed: int = 0", "seed: int = 1 + 2", "not a plain literal"),
        ("seed: int = 0", "seed: list[int] = [0]", "annotated 'list"),
        ("# %%\nimport json", '# %% tags=["parameters"]\nimport json', "2 cells tagged 'parameters'"),
    ],
)
def test_a_parameters_cell_that_papermill_would_misread_is_refused(tmp_path, old, new, told):
    path = tmp_path / "tiny.py"
    text = TINY.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))
    with pytest.raises(InputError) as caught:
        parameters_of(path)
    assert told in str(caught.value)


def test_an_edit_of_the_wrong_half_is_not_lost_in_silence(tmp_path):
    script, twin = tmp_path / "tiny.py", tmp_path / "tiny.ipynb"
    script.write_text(TINY.read_text())
    notebook = read_notebook(script)
    notebook.cells[-1].source += "\n# edited in JupyterLab"
    nbformat.write(notebook, twin)
    newer = script.stat().st_mtime + 10
    os.utime(twin, (newer, newer))
    with pytest.raises(DataError, match="jupytext --sync"):
        run_notebook(script, {}, tmp_path / "run")
    os.utime(script, (newer + 10, newer + 10))
    refuse_edited_twin(script)  # the script is newer: it counts


def test_no_such_notebook_and_no_notebook_at_all_are_told(tmp_path):
    (tmp_path / "tiny.py").write_text(TINY.read_text())
    with pytest.raises(InputError, match=r"Did you mean .*tiny\.py"):
        read_notebook(tmp_path / "tinny.py")
    with pytest.raises(InputError, match="is no notebook"):
        read_notebook(tmp_path / "tiny.txt")
    (tmp_path / "broken.ipynb").write_text("{")
    with pytest.raises(DataError, match="cannot be read as a notebook"):
        read_notebook(tmp_path / "broken.ipynb")
