"""The Snakefile over a project of two tiny experiments: what runs, what does not run again, what a failure leaves."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent
TINY = ROOT / "tests" / "material" / "tiny.py"
DECLARED = """
one:
  title: One
  smoke: {fixed: {steps: 1}}
  cpu: {seeds: [0, 1]}
two:
  title: Two
  smoke: {fixed: {steps: 1}}
  cpu: {}
"""


@pytest.fixture
def project(tmp_path):
    (tmp_path / "notebooks" / "experiments").mkdir(parents=True)
    for name in ("one", "two"):
        shutil.copy(TINY, tmp_path / "notebooks" / "experiments" / f"{name}.py")
    (tmp_path / "notebooks" / "experiments.yml").write_text(DECLARED)
    for name in ("ganbook", "book"):
        (tmp_path / name).symlink_to(ROOT / name)
    return tmp_path


def batch(project: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(COMMAND, cwd=project, capture_output=True, text=True, check=False)


def started(result: subprocess.CompletedProcess[str]) -> set[str]:
    return {line.split(":")[0] for line in result.stdout.splitlines() if line.endswith(": started")}


COMMAND = [sys.executable, "-m", "book.tools.batch", "runs", "cpu", "--snakefile", str(ROOT / "Snakefile")]
ALL = {"runs/cpu/one/seed-0", "runs/cpu/one/seed-1", "runs/cpu/two/default"}


def test_runs_once_then_only_what_changed_and_a_failure_keeps_the_rest_and_its_evidence(project):
    first = batch(project)
    assert first.returncode == 0, first.stderr
    assert started(first) == ALL
    assert json.loads((project / "runs/cpu/one/seed-1/run.json").read_text())["parameters"]["seed"] == 1

    assert started(batch(project)) == set()  # nothing changed

    script = project / "notebooks/experiments/one.py"
    script.touch()  # a new date is no change, nor is one of long ago, nor that Snakemake forgot everything
    for marker in project.rglob("done-*"):
        os.utime(marker, (10**9, 10**9))
    shutil.rmtree(project / ".snakemake")
    assert started(batch(project)) == set()

    two = project / "notebooks/experiments/two.py"
    two.write_text(two.read_text().replace("threads", "numerical threads"))
    assert started(batch(project)) == {"runs/cpu/two/default"}

    declared = project / "notebooks/experiments.yml"
    declared.write_text(DECLARED.replace("seeds: [0, 1]", "seeds: [0, 1, 2]"))
    assert started(batch(project)) == {"runs/cpu/one/seed-2"}

    script.write_text(script.read_text().replace('if fail == "raise":', "if seed == 1:"))
    failed = batch(project)
    assert failed.returncode != 0
    folder = project / "runs/cpu/one/seed-1"
    assert not (folder / "run.json").exists()
    assert "the loss went up" in (folder / "failure.txt").read_text()
    assert "the loss went up" in (folder / "notebook.ipynb").read_text()
    assert (project / "runs/cpu/one/seed-0/run.json").exists()  # the others went on
    assert (project / "runs/cpu/one/seed-2/run.json").exists()

    assert started(batch(project)) == {"runs/cpu/one/seed-1"}  # what failed is tried again, nothing else


def test_a_mistake_in_the_declaration_stops_before_anything_runs(project):
    (project / "notebooks/experiments.yml").write_text(DECLARED.replace("steps: 1", "stpes: 1"))
    result = batch(project)
    assert result.returncode != 0
    assert "Did you mean 'steps'" in result.stderr
    assert started(result) == set()


HANGS = 'if seed == 1 and not (folder / "hangs").exists():'


@pytest.fixture
def at_work(project):
    """A batch in a process group of its own, one run of which is finished and one of which hangs, the first time."""
    script = project / "notebooks/experiments/one.py"
    script.write_text(script.read_text().replace('if fail == "hang":', HANGS))
    process = subprocess.Popen(COMMAND, cwd=project, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    wanted = [project / "runs/cpu/one/seed-0/run.json", project / "runs/cpu/one/seed-1/hangs"]
    deadline = time.monotonic() + 90
    while not all(file.exists() for file in wanted) and time.monotonic() < deadline:
        time.sleep(0.2)
    yield process
    if process.poll() is None:
        process.terminate()
        process.communicate(timeout=60)


def working_for(batch: subprocess.Popen[str]) -> int:
    return int(Path(f"/proc/{batch.pid}/task/{batch.pid}/children").read_text().split()[0])


@pytest.mark.long
def test_after_a_power_cut_the_batch_goes_on_and_a_second_one_is_turned_away_before_it(project, at_work):
    second = batch(project)
    assert second.returncode != 0
    assert "Another batch of scale cpu is at work" in second.stderr
    group = working_for(at_work)
    at_work.kill()
    third = batch(project)  # what it had started lives on and holds the lock
    assert "Another batch of scale cpu is at work" in third.stderr
    os.killpg(group, signal.SIGKILL)
    at_work.wait()
    resumed = batch(project)
    assert resumed.returncode == 0, resumed.stderr
    assert "runs/cpu/one/seed-1" in started(resumed)
    assert "runs/cpu/one/seed-0" not in started(resumed)  # finished: kept


@pytest.mark.long
def test_a_killed_kernel_fails_its_run_alone(project, at_work):
    (kernel,) = [p for p in Path("/proc").glob("[0-9]*") if working_in(p, project / "runs/cpu/one/seed-1")]
    os.kill(int(kernel.name), signal.SIGKILL)
    _, stderr = at_work.communicate(timeout=90)
    assert "the kernel died" in stderr and "1 of 3 runs failed; the others are kept." in stderr
    again = batch(project)
    assert again.returncode == 0 and started(again) == {"runs/cpu/one/seed-1"}


def working_in(process: Path, folder: Path) -> bool:
    """Whether it is a kernel at work there: it leads a session of its own, the run that started it does not."""
    try:
        return (process / "cwd").resolve() == folder.resolve() and os.getsid(int(process.name)) == int(process.name)
    except OSError:
        return False


@pytest.mark.long
def test_an_interrupt_ends_the_runs_in_good_order_and_says_what_is_kept(project, at_work):
    at_work.send_signal(signal.SIGINT)
    _, stderr = at_work.communicate(timeout=60)
    assert at_work.returncode == 130
    assert "finished and kept. The same command goes on from there." in stderr
    assert "was interrupted" in (project / "runs/cpu/one/seed-1/failure.txt").read_text()
    resumed = batch(project)
    assert resumed.returncode == 0 and "runs/cpu/one/seed-0" not in started(resumed)
