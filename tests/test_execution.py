"""One notebook run: what counts as complete, what a fault leaves behind, what is refused before it starts."""

import json
import os
import signal
import subprocess
import sys
import time
from importlib.metadata import version
from pathlib import Path

import nbformat
import pytest

from ganbook import execution
from ganbook.errors import DataError, InputError
from ganbook.execution import IncompleteRunError, certified, run_inputs, run_key, run_notebook
from ganbook.sources import digest

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
    last = executed.cells[-1].source  # the laboratory record
    for told in ("seed 3, lr 1.0", "Wh, ", certificate["machine"]["cpu"], f"torch {version('torch')}", "1 threads"):
        assert told in last
    assert certificate["executed"] == digest([folder / "notebook.ipynb"])
    assert certificate["energy"]["watt_hours"] > 0
    assert not (folder / "failure.txt").exists()


def test_a_finished_run_is_taken_as_it_is_whatever_the_clock_says_and_not_if_its_record_was_changed(
    tmp_path, monkeypatch
):
    folder = tmp_path / "run"
    certificate = run_notebook(TINY, {}, folder)
    written = json.loads(certificate.read_text())
    assert written["seconds"] > 0
    inputs = {name: written[name] for name in ("sources", "parameters")}
    (marker,) = folder.glob("done-*")
    assert marker.name == f"done-{run_key(inputs)}"
    marker.unlink()
    os.utime(certificate, (10**9, 10**9))  # as if the clock had been twenty years slow
    monkeypatch.setattr(execution, "_execute", lambda *_: "it was run twice")
    assert run_notebook(TINY, {}, folder, once=True).stat().st_mtime == 10**9
    assert marker.exists()
    (folder / "metrics.json").write_text('{"accuracy": 1.0}')
    assert not certified(folder, inputs)
    with pytest.raises(IncompleteRunError, match="run twice"):
        run_notebook(TINY, {}, folder, once=True)


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"sources": 1}'])
def test_a_damaged_certificate_certifies_nothing(tmp_path, text):
    (tmp_path / "run.json").write_text(text)
    assert not certified(tmp_path, {"sources": "a", "parameters": {}})


def test_the_key_depends_on_everything_a_run_depends_on_and_on_nothing_else():
    inputs = run_inputs("code", ["seed", "out"], {"seed": 0})
    assert inputs["parameters"] == {"out": ".", "seed": 0}
    keys = {
        run_key(run_inputs(code, known, values))
        for code, known, values in (
            ("code", ["seed", "out"], {"seed": 0}),
            ("code", ["seed", "out"], {"out": ".", "seed": 0}),  # the same
            ("code", ["seed", "out"], {"seed": 1}),
            ("other code", ["seed", "out"], {"seed": 0}),
        )
    }
    assert len(keys) == 3


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


def test_a_run_that_hangs_is_ended_by_its_own_limit_with_its_checkpoint_kept(tmp_path):
    folder = tmp_path / "run"
    with pytest.raises(IncompleteRunError, match=r"longer than 0\.08 min"):
        run_notebook(TINY, {"fail": "hang"}, folder, minutes=0.08)
    assert (folder / "failure.txt").is_file() and not (folder / "run.json").exists()


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
    (folder / "metrics.json").write_text("{}")  # it came as far as this, and was killed before the certificate
    with pytest.raises(IncompleteRunError):
        run_notebook(TINY, {"fail": "raise"}, folder)
    assert (folder / "model.safetensors").read_bytes() == b"half way"
    run_notebook(TINY, {"seed": 1}, folder)
    assert not (folder / "model.safetensors").exists()


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


def test_a_folder_that_cannot_be_made_is_told(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(DataError, match="cannot be written"):
        run_notebook(TINY, {}, tmp_path / "file" / "run")


def test_a_second_run_in_the_same_folder_is_turned_away(tmp_path):
    folder = tmp_path / "run"
    command = [sys.executable, "-m", "ganbook.batch_cli", "run", str(TINY), "-p", "fail=hang", "-o", str(folder)]
    first = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 60
    while not (folder / "hangs").exists() and time.monotonic() < deadline:
        time.sleep(0.1)
    with pytest.raises(DataError, match="Another run is at work"):
        run_notebook(TINY, {}, folder)
    first.kill()  # and the lock goes with it
    first.wait()
    run_notebook(TINY, {}, folder)
    assert (folder / "run.json").is_file()
