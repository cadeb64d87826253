"""nbval runs the notebooks as a reader would and compares the outputs of their claim cells.

Of all of them only with ``-m long``: the fast tests read the claims of the runs that the book is made of, which need
not be made twice (tests/book/test_claims.py).
"""

import os
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest

from ganbook.batch import Run, load_experiments, plan, theory_runs
from ganbook.notebooks import FOLDER_PARAMETER, parameters_of

ROOT = Path(__file__).parent.parent
# after a few steps a claim about a trained network cannot hold: there its words are compared, not its verdict
VERDICTS = "[verdicts]\nregex: \\b(True|False)\\b|\\d+(\\.\\d+)?%?\nreplace: VERDICT\n"
# sums in another order, as on an older processor: training amplifies the difference like another seed
OTHER_ROUNDING = {"ATEN_CPU_CAPABILITY": "default", "ONEDNN_MAX_CPU_ISA": "SSE41", "MKL_CBWR": "COMPATIBLE"}


def runs(scale: str) -> list[Run]:
    """The run that each chapter shows."""
    return [run for run in plan(load_experiments(ROOT / "notebooks" / "experiments.yml"), scale) if run.chapter]


def nbval(notebook: Path, *options: str, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:xdist", "-p", "no:jaxtyping"]
    command += ["-c", "/dev/null", "--rootdir", str(notebook.parent), "--nbval-lax", "--nbval-cell-timeout", "600"]
    variables = {**os.environ, **environment}
    return subprocess.run(
        [*command, *options, str(notebook)], capture_output=True, text=True, check=False, env=variables
    )


def prepared(run: Run, folder: Path) -> Path:
    """A copy of the committed notebook that has the run's parameters and works in its own folder."""
    import papermill

    path = folder / f"{run.notebook.stem}.ipynb"
    values = dict(run.parameters)
    if FOLDER_PARAMETER in parameters_of(run.notebook):
        values[FOLDER_PARAMETER] = "."
    committed = nbformat.read(run.notebook.with_suffix(".ipynb"), as_version=4)
    papermill.execute_notebook(committed, path, parameters=values, prepare_only=True, progress_bar=False)
    return path


def label(run: Run) -> str:
    return f"{run.notebook.parent.name}/{run.notebook.stem}"


@pytest.mark.long
@pytest.mark.parametrize("run", theory_runs(ROOT / "notebooks"), ids=label)
def test_the_claims_of_a_theory_chapter_hold(run, tmp_path):
    result = nbval(prepared(run, tmp_path))
    assert result.returncode == 0, result.stdout


@pytest.mark.long
@pytest.mark.parametrize("run", [*theory_runs(ROOT / "notebooks"), *runs("cpu")], ids=label)
def test_the_claims_of_a_chapter_hold_with_another_processors_rounding(run, tmp_path):
    """What a seed decides on one machine it decides otherwise on the next: a claim has to outlive that."""
    result = nbval(prepared(run, tmp_path), **OTHER_ROUNDING)
    assert result.returncode == 0, result.stdout


@pytest.mark.long
@pytest.mark.parametrize("run", runs("smoke"), ids=label)
def test_an_experiment_runs_and_makes_the_claims_that_are_committed(run, tmp_path):
    verdicts = tmp_path / "verdicts.cfg"
    verdicts.write_text(VERDICTS)
    result = nbval(prepared(run, tmp_path), "--nbval-sanitize-with", str(verdicts))
    assert result.returncode == 0, result.stdout


@pytest.mark.long
@pytest.mark.parametrize("run", runs("cpu"), ids=label)
def test_the_claims_of_an_experiment_hold_at_full_length(run, tmp_path):
    result = nbval(prepared(run, tmp_path))
    assert result.returncode == 0, result.stdout


def test_a_claim_that_comes_out_otherwise_is_found(tmp_path):
    notebook = nbformat.v4.new_notebook(metadata={"kernelspec": {"name": "python3", "display_name": "Python 3"}})
    for said in ("four: 4\n", "four: 5\n"):
        output = nbformat.v4.new_output("stream", text=said)
        cell = nbformat.v4.new_code_cell("print('four:', 2 + 2)", outputs=[output], execution_count=1)
        cell.metadata["tags"] = ["claim", "keep_output", "nbval-check-output"]
        notebook.cells.append(cell)
    path = tmp_path / "half_wrong.ipynb"
    nbformat.write(notebook, path)
    result = nbval(path)
    assert result.returncode == 1
    assert "mismatch" in result.stdout and "1 failed, 1 passed" in result.stdout
