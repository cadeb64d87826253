"""States survive the round trip, and a failing write loses nothing."""

import errno
import os

import pytest
import torch

from ganbook import checkpoint
from ganbook.errors import DataError


def test_round_trip_of_nested_state(tmp_path):
    state = {
        "net": {"w": torch.randn(2, 3, 4, 4).to(memory_format=torch.channels_last), "n": torch.tensor(3)},
        "optimizer": {"state": {0: {"step": torch.tensor(2.0)}, 1: {}}, "groups": [{"lr": 0.1, "betas": [0.5, 0.9]}]},
        "text": "é",
        "none": None,
    }
    checkpoint.save_state(state, tmp_path / "a" / "model.safetensors")
    back = checkpoint.load_state(tmp_path / "a" / "model.safetensors")
    assert torch.equal(back["net"]["w"], state["net"]["w"]) and back["net"]["n"].item() == 3
    assert list(back["optimizer"]["state"]) == [0, 1]
    assert back["optimizer"]["groups"] == [{"lr": 0.1, "betas": [0.5, 0.9]}]
    assert back["text"] == "é" and back["none"] is None
    assert [path.name for path in (tmp_path / "a").iterdir()] == ["model.safetensors"]


def test_missing_and_damaged_files_are_one_clear_sentence(tmp_path):
    with pytest.raises(DataError, match="There is no checkpoint at"):
        checkpoint.load_state(tmp_path / "none")
    path = tmp_path / "m.safetensors"
    checkpoint.save_state({"w": torch.zeros(1000)}, path)
    path.write_bytes(path.read_bytes()[:500])
    with pytest.raises(DataError, match="not a readable checkpoint"):
        checkpoint.load_state(path)
    path.write_bytes(b"")
    with pytest.raises(DataError, match="not a readable checkpoint"):
        checkpoint.load_state(path)


def test_a_full_disk_keeps_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "f"
    checkpoint.write_atomically(path, b"old")

    def full(_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(DataError, match="no space left on device. Nothing old was lost. Free some space"):
        checkpoint.write_atomically(path, b"new")
    assert path.read_bytes() == b"old" and list(tmp_path.iterdir()) == [path]
