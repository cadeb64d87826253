"""The command line, from train to sample, and its one-paragraph errors."""

import json
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


def test_evaluate_a_run_and_a_folder_against_a_set(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("GANBOOK_CACHE", str(tmp_path / "cache"))
    folder = tmp_path / "run"
    assert run(monkeypatch, capsys, "train", folder, *TINY, "--no-tensorboard")[0] == 0
    common = ["--n", 100, "--n-real", 200, "--metrics", "frechet,kid,memorisation"]
    code, out, _ = run(monkeypatch, capsys, "evaluate", folder, *common, "-o", tmp_path / "values.json")
    assert code == 0 and "fd100(mnist-judge)" in out and "Protocol: mnist train" in out
    values = json.loads((tmp_path / "values.json").read_text())
    assert {v["name"] for v in values} == {"fd100(mnist-judge)", "kd100(mnist-judge)", "memorisation100(mnist-judge)"}
    assert all(v["protocol"]["n_real"] == 200 and v["of"].endswith("run") for v in values)
    assert all(v["protocol"]["labels"] == "as often as in the training data" for v in values)
    pictures = tmp_path / "pictures"
    pictures.mkdir()
    for i in range(80):
        Image.effect_noise((28, 28), 50).save(pictures / f"{i}.jpg")
    against = ["--against", "mnist:test", "--metrics", "frechet", "--n-real", 200]
    code, out, _ = run(monkeypatch, capsys, "evaluate", pictures, *against)
    assert code == 0 and "80 pictures in" in out and "JPEG" in out and "fd80(mnist-judge)" in out
    code, out, _ = run(monkeypatch, capsys, "evaluate", folder, pictures, *against)
    assert code == 0 and out.count("Protocol: mnist test") == 2
    assert "memorisation" in run(monkeypatch, capsys, "evaluate", "--help-metrics")[1]
    (folder / "params.json").write_text("{")
    code, _, err = run(monkeypatch, capsys, "evaluate", folder)
    assert code == 2 and "params.json cannot be read" in err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["NONE", "--against", "mnist"], "There is no"),
        (["FOLDER"], "is no run folder, so say what to compare it with"),
        (["FOLDER", "--against", "mnits"], "Did you mean 'mnist'"),
        (["FOLDER", "--against", "mnist", "-o", "NONE/x.json"], "in a folder that exists"),
        (["FOLDER", "--against", "mnist", "--n", 100], "holds 3 pictures, fewer than the 100"),
        (["FOLDER", "--against", "mnist"], "needs more than 64 pictures on either side, got 3"),
        (["FOLDER", "--against", "mnist:32"], "the reference mnist was prepared at 32 x 32"),
    ],
)
def test_evaluate_says_what_it_cannot_do(arguments, message, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("GANBOOK_CACHE", str(tmp_path / "cache"))
    (tmp_path / "pictures").mkdir()
    for i in range(3):
        Image.new("L", (28, 28)).save(tmp_path / "pictures" / f"{i}.png")
    places = {"FOLDER": tmp_path / "pictures", "NONE": tmp_path / "none"}
    extractor = ["--extractor", "mnist-judge"]
    code, _, err = run(monkeypatch, capsys, "evaluate", *[places.get(a, a) for a in arguments], *extractor)
    assert code == 2 and message in err and "Traceback" not in err
