"""The command line, from train to sample, and its one-paragraph errors."""

import sys

import pytest
from PIL import Image

from ganbook import cli

TINY = ["-p", "width_g=4", "-p", "width_d=4", "-p", "steps=3", "-p", "batch_size=4", "-p", "n_eval=50"]


def run(monkeypatch, capsys, *arguments):
    """Exit code, standard output and error of `ganbook ARGUMENTS`."""
    monkeypatch.setattr(sys, "argv", ["ganbook", *map(str, arguments)])
    with pytest.raises(SystemExit) as leave:
        cli.main()
    out, err = capsys.readouterr()
    return leave.value.code, out, err


def test_train_then_sample(tmp_path, monkeypatch, capsys):
    folder = tmp_path / "run"
    code, out, _ = run(monkeypatch, capsys, "train", folder, *TINY, "--no-tensorboard")
    assert code == 0 and "judge_accuracy" in out and (folder / "metrics.json").exists()
    code, out, _ = run(monkeypatch, capsys, "train", folder, *TINY, "--no-tensorboard")
    assert code == 0 and "at step 3" in out
    sheet = tmp_path / "s.png"
    code, _, _ = run(monkeypatch, capsys, "sample", folder, "-o", sheet, "-n", 6, "--label", 7, "--columns", 3)
    assert code == 0 and Image.open(sheet).size == (3 * 57 + 1, 2 * 57 + 1)
    code, _, err = run(monkeypatch, capsys, "sample", folder, "-o", sheet, "--label", 10)
    assert code == 2 and "Labels are 0 … 9" in err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["train", "OUT", "-p", "losss=hinge"], "Unknown parameter 'losss'. Did you mean 'loss'"),
        (["train", "OUT", "-p", "lr_g=2e-4"], "write 2.0e-4"),
        (["train", "OUT", "-p", "loss"], "NAME=VALUE"),
        (["train", "OUT", "-p", "dataset=mnits"], "Did you mean 'mnist'"),
        (["sample", "OUT"], "There is no checkpoint"),
        (["judge", "minst"], "Did you mean 'mnist'"),
    ],
)
def test_mendable_errors_are_one_paragraph_without_a_traceback(arguments, message, tmp_path, monkeypatch, capsys):
    code, _, err = run(monkeypatch, capsys, *[str(tmp_path / "run") if a == "OUT" else a for a in arguments])
    assert code == 2 and message in err
    assert err.startswith("Error: ") and "Traceback" not in err and err.count("\n") == 1


def test_parameters_are_listed(monkeypatch, capsys):
    code, out, _ = run(monkeypatch, capsys, "parameters")
    assert code == 0 and "ema_decay" in out and "0.999" in out


def test_results_are_summarised_and_exported(tmp_path, monkeypatch, capsys):
    code, out, _ = run(monkeypatch, capsys, "results", "gan_mnist", "--runs", tmp_path)
    assert code == 0 and "cpu-long" in out and "judge_accuracy" in out
    code, out, _ = run(monkeypatch, capsys, "results", "--runs", tmp_path, "--csv", tmp_path / "r.csv")
    assert code == 0 and "metrics.judge_accuracy" in (tmp_path / "r.csv").read_text().splitlines()[0]
    code, _, err = run(monkeypatch, capsys, "results", "gan_mnits", "--runs", tmp_path)
    assert code == 2 and "Did you mean 'gan_mnist'" in err
    code, _, err = run(monkeypatch, capsys, "results", "--runs", tmp_path, "--records", tmp_path)
    assert code == 2 and "make experiments" in err
