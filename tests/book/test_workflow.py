"""The Snakefile over a project of two tiny experiments: what runs, what does not run again, what a failure leaves."""

import json
import shutil
import subprocess
import sys
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
    command = [str(Path(sys.executable).with_name("snakemake")), "--snakefile", str(ROOT / "Snakefile"), "runs"]
    command += ["--cores", "2", "--keep-going", "--rerun-incomplete", "--config", "scale=cpu"]
    return subprocess.run(command, cwd=project, capture_output=True, text=True, check=False)


def started(result: subprocess.CompletedProcess[str]) -> set[str]:
    return {line.split(":")[0] for line in result.stdout.splitlines() if line.endswith(": started")}


ALL = {"runs/cpu/one/seed-0", "runs/cpu/one/seed-1", "runs/cpu/two/default"}


def test_runs_once_then_only_what_changed_and_a_failure_keeps_the_rest_and_its_evidence(project):
    first = batch(project)
    assert first.returncode == 0, first.stderr
    assert started(first) == ALL
    assert json.loads((project / "runs/cpu/one/seed-1/run.json").read_text())["parameters"]["seed"] == 1

    assert started(batch(project)) == set()  # nothing changed

    script = project / "notebooks/experiments/one.py"
    script.touch()  # a new date is no change
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
    assert not (project / "runs").exists()
