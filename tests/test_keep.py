"""`ganbook experiments keep`: the small part of a run, for everybody's book."""

import shutil
from pathlib import Path

import pytest
from typer.testing import CliRunner

from ganbook.cli import app
from ganbook.results import COMMITTED, COMPLETE

RECORD = Path(__file__).parent.parent / "book" / "results" / "cpu-long" / "latent_space" / "seed-0"


@pytest.fixture
def runs(tmp_path):
    """A finished long run, with the weights that it leaves, and the chapter's own run."""
    folder = tmp_path / "runs" / "cpu-long" / "latent_space" / "seed-0"
    shutil.copytree(RECORD, folder)
    (folder / "model.safetensors").write_bytes(b"weights")
    (tmp_path / "runs" / "cpu" / "latent_space").mkdir(parents=True)
    return tmp_path / "runs"


def keep(runs, what):
    return CliRunner().invoke(
        app, ["experiments", "keep", what, "--runs", str(runs), "--records", str(runs.parent / "kept")]
    )


def test_the_record_is_kept_without_the_weights_and_the_chapter_is_told_of(runs):
    done = keep(runs, "cpu-long/latent_space")
    assert done.exit_code == 0, done.output
    kept = {file.name: file.read_bytes() for file in (runs.parent / "kept/cpu-long/latent_space/seed-0").iterdir()}
    assert set(kept) <= {*COMMITTED, COMPLETE} and kept["metrics.json"] == (RECORD / "metrics.json").read_bytes()
    assert f"rm -r {runs / 'cpu' / 'latent_space'}" in " ".join(done.output.split())


def test_a_run_that_is_not_there_is_named_with_the_nearest(runs):
    done = keep(runs, "cpu-long/latent_spaec")
    assert done.exit_code != 0
    assert "latent_space" in str(done.exception) + done.output
