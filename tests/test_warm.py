"""Runs forked from a process with all imports: the same runs, in fewer seconds."""

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import nbformat
import pytest

from book.tools.batch import _asks_nothing_of_snakemake
from ganbook import warm
from ganbook.batch import Run
from ganbook.declaration import Resources

TELL = """
import json, os, sys
from pathlib import Path
import matplotlib
known = sorted(name for name in sys.modules if name.partition(".")[0] == "ganbook")
leader = os.getsid(0) == os.getpid()
env = {k: v for k, v in os.environ.items() if k not in ("JPY_PARENT_PID", "LINES", "COLUMNS")}
told = {"env": env, "path": sys.path, "backend": matplotlib.get_backend()}
told |= {"cwd": Path.cwd().name, "leader": leader, "ganbook": known, "main": __name__, "stdin": sys.stdin is None}
Path("told.json").write_text(json.dumps(told))
"""
SCRIPT = """
import sys
from pathlib import Path
from ganbook import warm
from ganbook.batch import Run
from ganbook.execution import kernel_environment, run_notebook
from ganbook.kernels import import_libraries
tell, broken = Path("tell.ipynb"), Path("broken.ipynb")
with kernel_environment(1):
    import_libraries(("matplotlib", "ipykernel.kernelapp"))
    print(warm.run_all([Run(n.stem, "warm", "default", n, {}) for n in (tell, broken)], 1))
run_notebook(tell, {}, Path("cold/tell"))
"""


def write(path: Path, code: str) -> None:
    nbformat.write(nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(code)]), path)


def test_a_forked_kernel_has_the_same_surroundings_and_a_failure_is_counted(tmp_path):
    write(tmp_path / "tell.ipynb", TELL)
    write(tmp_path / "broken.ipynb", "raise ValueError('the loss went up')")
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(Path(warm.__file__).parent.parent)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout.splitlines()[-1:] == ["1"], done.stderr
    cold = json.loads((tmp_path / "cold/tell/told.json").read_text())
    forked = json.loads((tmp_path / "runs/warm/tell/default/told.json").read_text())
    assert forked.pop("cwd") == "default" and cold.pop("cwd") == "tell"
    assert forked == cold
    assert cold["ganbook"] == []  # what the batch itself had imported is not the notebook's
    assert "the loss went up" in (tmp_path / "runs/warm/broken/default/failure.txt").read_text()
    (marker,) = (tmp_path / "runs/warm/tell/default").glob("done-*")
    assert not marker.read_bytes()


@pytest.fixture
def planned(monkeypatch, tmp_path):
    """Two runs of one experiment and one of another, with no theory; the keys are their folders."""
    monkeypatch.chdir(tmp_path)
    runs = [Run(e, "cpu", i, Path("n.py"), {}) for e, i in (("one", "seed-0"), ("one", "seed-1"), ("two", "default"))]
    theory = Run("00", "theory", "default", Path("t.py"), {})
    monkeypatch.setattr(warm, "load_experiments", lambda: {"one": 1, "two": 2})
    monkeypatch.setattr(warm, "chosen", lambda experiments, only: [only] if only else [*experiments])
    monkeypatch.setattr(warm, "plan", lambda experiments, scale: runs)
    monkeypatch.setattr(warm, "theory_runs", lambda: [theory])
    monkeypatch.setattr(warm, "markers", lambda runs: [f"{run.experiment}-{run.run_id}" for run in runs])
    return runs


def test_pending_is_what_the_target_needs_and_is_not_done(planned):
    Path("one-seed-0").touch()
    assert [run.experiment for run in warm.pending("book", "cpu")] == ["one", "two", "00"]
    assert [run.run_id for run in warm.pending("runs", "cpu")] == ["seed-1", "default"]
    assert [run.run_id for run in warm.pending("runs", "cpu", "one")] == ["seed-1"]


def test_a_batch_that_wants_a_gpu_is_left_to_snakemake(planned):
    planned[2] = replace(planned[2], resources=Resources(gpu=1))
    assert warm.pending("runs", "cpu") == []
    assert len(warm.pending("runs", "cpu", "one")) == 2
    Path("two-default").touch()
    assert len(warm.pending("runs", "cpu")) == 2


@pytest.mark.parametrize(
    ("more", "told"),
    [
        ([], True),
        (["only=one"], True),
        (["--snakefile", "S", "only=one"], True),
        (["-n"], False),
        (["--profile", "profiles/slurm"], False),
        (["--snakefile", "S", "-n"], False),
    ],
)
def test_snakemakes_own_options_leave_the_runs_to_snakemake(more, told):
    assert _asks_nothing_of_snakemake(more) is told


DRAW = """
from pathlib import Path
from ganbook import warm
from ganbook.batch import Run
from ganbook.execution import kernel_environment
from ganbook.kernels import import_libraries
with kernel_environment(1):
    import_libraries()
    print(warm.run_all([Run("draw", "warm", "default", Path("draw.ipynb"), {})], 1))
"""


def test_a_figure_of_a_forked_kernel_is_a_picture(tmp_path):
    write(tmp_path / "draw.ipynb", "import matplotlib.pyplot as plt\nplt.plot([1, 2])\nplt.show()")
    environment = {**os.environ, "PYTHONPATH": str(Path(warm.__file__).parent.parent)}
    environment.pop("MPLBACKEND", None)
    subprocess.run([sys.executable, "-c", DRAW], cwd=tmp_path, env=environment, capture_output=True, check=True)
    (executed,) = tmp_path.glob("runs/warm/draw/default/notebook.ipynb")
    outputs = [o for cell in nbformat.read(executed, 4).cells for o in cell.get("outputs", ())]
    assert ["image/png" in output.get("data", {}) for output in outputs] == [True]
