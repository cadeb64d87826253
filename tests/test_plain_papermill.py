"""The experiment notebooks under papermill alone, without this project's runner."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner
from papermill.cli import papermill as papermill_command

from ganbook.notebooks import parameters_of

EXPERIMENTS = Path(__file__).parent.parent / "notebooks" / "experiments"
NAMES = sorted(path.stem for path in EXPERIMENTS.glob("*.py"))


def papermill(tmp_path, *arguments):
    command = [sys.executable, "-m", "papermill", "--no-progress-bar", "--log-level", "ERROR", *map(str, arguments)]
    environment = {**os.environ, "GANBOOK_RUNS": str(tmp_path / "runs"), "COLUMNS": "200"}
    return subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path, env=environment)


@pytest.mark.parametrize(
    ("name", "given", "told"),
    [
        ("gan_mnist", ["losss", "hinge"], "Unknown parameter 'losss'. Did you mean 'loss'"),
        pytest.param("gan_mnist", ["steps", "many"], "steps is a whole number, got 'many'", marks=pytest.mark.long),
        pytest.param(
            "dcgan_emoji",
            ["dataset", "emoij"],
            "Unknown data set 'emoij'. Did you mean 'emoji'",
            marks=pytest.mark.long,
        ),
    ],
)
def test_a_mistake_is_an_error_before_anything_trains(name, given, told, tmp_path):
    done = papermill(tmp_path, EXPERIMENTS / f"{name}.ipynb", tmp_path / "out.ipynb", "-p", *given)
    assert done.returncode == 1 and told in done.stderr
    assert not list(tmp_path.rglob("history.csv")) and not list(tmp_path.rglob("params.json"))


def test_a_short_run_works_by_itself_and_leaves_its_record(tmp_path):
    short = ["-p", "steps", 3, "-p", "n_eval", 60, "-p", "width_g", 4, "-p", "width_d", 4, "-p", "loss", "hinge"]
    done = papermill(tmp_path, EXPERIMENTS / "gan_mnist.ipynb", tmp_path / "out.ipynb", *short)
    assert done.returncode == 0, done.stderr[-2000:]
    assert len(list((tmp_path / "runs" / "adhoc" / "gan_mnist").glob("*/metrics.json"))) == 1


@pytest.mark.parametrize("name", NAMES)
def test_help_names_every_parameter_with_its_meaning(name):
    done = CliRunner().invoke(papermill_command, ["--help-notebook", str(EXPERIMENTS / f"{name}.ipynb")])
    assert done.exit_code == 0, done.output
    for parameter in parameters_of(EXPERIMENTS / f"{name}.py").values():
        assert parameter.help and parameter.name in done.output
        assert parameter.help.split()[0] in done.output
