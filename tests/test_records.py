"""The record of a notebook that trains by itself is one that `ganbook.results` reads."""

import pytest
from PIL import Image

from ganbook.records import folder_for, write_record
from ganbook.results import read_record


def test_a_written_record_is_read_back(tmp_path):
    folder = tmp_path / "cpu" / "some_experiment" / "seed-0"
    rows = [{"model": "ae", "step": 1, "loss": 0.123456789}, {"model": "vae", "step": 2, "kl": 2.0}]
    write_record(
        folder,
        parameters={"seed": 0},
        rows=rows,
        metrics={"fd": 1.5, "protocol": {"n_fake": 10}},
        environment={"device": "cpu"},
        train_seconds=1.239,
        sheet=Image.new("L", (4, 4)),
    )
    record = read_record(folder)
    assert (record.experiment, record.params, record.metrics) == ("some_experiment", {"seed": 0}, {"fd": 1.5})
    assert record.protocol == {"n_fake": 10} and record.environment["train_seconds"] == 1.24
    history = record.history()
    assert list(history.columns) == ["model", "step", "loss", "kl"]
    assert history["loss"][0] == pytest.approx(0.123457) and history["loss"].isna().tolist() == [False, True]
    assert record.samples is not None


def test_equal_parameters_share_a_folder(monkeypatch, tmp_path):
    monkeypatch.setenv("GANBOOK_RUNS", str(tmp_path))
    first = folder_for("name", {"a": 1, "b": 2})
    assert first == folder_for("name", {"b": 2, "a": 1}) != folder_for("name", {"a": 2, "b": 2})
    assert first.is_relative_to(tmp_path / "adhoc" / "name")
