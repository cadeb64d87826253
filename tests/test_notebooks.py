"""One notebook run: what counts as complete, what a fault leaves behind, what parameters are refused."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import nbformat
import pytest

from ganbook.errors import DataError, InputError
from ganbook.notebooks import (
    IncompleteRunError,
    check_parameters,
    parameters_of,
    read_notebook,
    refuse_edited_twin,
    run_notebook,
)

TINY = Path(__file__).parent / "material" / "tiny.py"


def test_a_complete_run_leaves_its_certificate_notebook_log_and_record(tmp_path):
    folder = tmp_path / "run"
    certificate = json.loads(run_notebook(TINY, {"seed": 3, "lr": 1}, folder, threads=1).read_text())
    assert certificate["parameters"] == {"seed": 3, "lr": 1.0, "out": "."}
    assert certificate["threads"] == 1
    assert json.loads((folder / "metrics.json").read_text())["accuracy"] == pytest.approx(0.93)
    assert "threads 1" in (folder / "run.log").read_text()
    executed = nbformat.read(folder / "notebook.ipynb", as_version=4)
    assert all(cell.execution_count for cell in executed.cells if cell.cell_type == "code")
    assert not (folder / "failure.txt").exists()


@pytest.mark.parametrize(
    ("fault", "told"),
    [
        ("raise", "ValueError: the loss went up"),
        ("kill", "the kernel died"),  # papermill itself marks these three as completed
        ("exit", "left through SystemExit"),
        ("leave", "the kernel died"),
        ("norecord", "wrote no metrics.json"),
    ],
)
def test_a_notebook_that_does_not_run_to_its_end_is_not_complete(tmp_path, fault, told):
    folder = tmp_path / "run"
    with pytest.raises(IncompleteRunError, match=told):
        run_notebook(TINY, {"fail": fault}, folder)
    assert not (folder / "run.json").exists()
    assert told in (folder / "failure.txt").read_text()
    assert (folder / "notebook.ipynb").is_file()  # the evidence stays
    assert (folder / "run.log").is_file()


def test_a_cell_that_hangs_is_ended_by_the_timeout(tmp_path):
    with pytest.raises(IncompleteRunError, match="longer than 2 s"):
        run_notebook(TINY, {"fail": "hang"}, tmp_path / "run", cell_timeout=2)
    assert not (tmp_path / "run" / "run.json").exists()


def test_sigterm_ends_run_and_kernel_and_says_so(tmp_path):
    folder = tmp_path / "run"
    command = [sys.executable, "-m", "ganbook.batch_cli", "run", str(TINY), "-p", "fail=hang", "-o", str(folder)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 60
    while not (folder / "hangs").exists() and time.monotonic() < deadline:
        time.sleep(0.1)
    process.send_signal(signal.SIGTERM)
    _, stderr = process.communicate(timeout=30)
    assert process.returncode == 2
    assert "was interrupted" in stderr
    assert not (folder / "run.json").exists()


def test_an_interrupted_run_keeps_its_checkpoint_and_other_inputs_do_not_meet_it(tmp_path):
    folder = tmp_path / "run"
    with pytest.raises(IncompleteRunError):
        run_notebook(TINY, {"fail": "raise"}, folder)
    (folder / "model.safetensors").write_bytes(b"half way")
    (folder / "metrics.json").unlink(missing_ok=True)
    with pytest.raises(IncompleteRunError):
        run_notebook(TINY, {"fail": "raise"}, folder)
    assert (folder / "model.safetensors").read_bytes() == b"half way"
    run_notebook(TINY, {"seed": 1}, folder)
    assert not (folder / "model.safetensors").exists()


def test_outputs_that_a_notebook_brings_along_do_not_count_as_executed(tmp_path):
    notebook = read_notebook(TINY)
    for count, cell in enumerate(cell for cell in notebook.cells if cell.cell_type == "code"):
        cell.execution_count = count + 1
    path = tmp_path / "tiny.ipynb"
    nbformat.write(notebook, path)
    assert all(cell.get("execution_count") is None for cell in read_notebook(path).cells)


def test_unknown_and_mistyped_parameters_are_refused_before_anything_runs(tmp_path):
    for values, told in (
        ({"losss": "hinge"}, "Did you mean 'loss'"),
        ({"lr": "2e-4"}, "write 2.0e-4"),
        ({"seed": True}, "takes int, got True"),
        ({"steps": 3.0}, "takes int, got 3.0"),
    ):
        with pytest.raises(InputError) as caught:
            run_notebook(TINY, values, tmp_path / "run")
        assert told in str(caught.value)
    assert not (tmp_path / "run").exists()


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


def test_a_folder_that_cannot_be_made_is_told(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(DataError, match="cannot be written"):
        run_notebook(TINY, {}, tmp_path / "file" / "run")
