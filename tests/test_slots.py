"""GPUs are handed out one by one, and come back however a run ends."""

import os
import threading

import pytest

from ganbook import slots
from ganbook.slots import gpu_slots, gpus_here


def test_the_gpus_are_those_that_we_may_see(tmp_path, monkeypatch):
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    assert gpus_here(tmp_path / "none") == []
    for name in ("0000:01:00.0", "0000:02:00.0"):
        (tmp_path / name).mkdir()
    assert gpus_here(tmp_path) == ["0", "1"]
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3,5")
    assert gpus_here(tmp_path) == ["3", "5"]
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert gpus_here(tmp_path) == []


def test_each_run_sees_a_gpu_of_its_own_and_gives_it_back(tmp_path, monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,1,2")
    names = gpus_here()
    with gpu_slots(1, tmp_path, names) as first:
        assert os.environ["CUDA_VISIBLE_DEVICES"] == "0"
        with gpu_slots(2, tmp_path, names) as others:
            assert sorted(first + others) == names
            assert os.environ["CUDA_VISIBLE_DEVICES"] == "1,2"
        assert os.environ["CUDA_VISIBLE_DEVICES"] == "0"
    assert os.environ["CUDA_VISIBLE_DEVICES"] == "0,1,2"
    with pytest.raises(ValueError, match="the run failed"), gpu_slots(2, tmp_path, names):
        raise ValueError("the run failed")
    with gpu_slots(2, tmp_path, names) as again:
        assert again == ["0", "1"]


def test_where_no_gpu_is_asked_for_or_none_is_to_choose_nothing_is_hidden(tmp_path, monkeypatch):
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    for count, names in ((0, ["0", "1"]), (1, ["0"]), (1, [])):
        with gpu_slots(count, tmp_path, names):
            assert "CUDA_VISIBLE_DEVICES" not in os.environ
    assert not list(tmp_path.iterdir())


def test_a_run_waits_until_a_gpu_is_free(tmp_path, monkeypatch):
    monkeypatch.setattr(slots, "POLL_SECONDS", 0.01)
    order = []

    def second():
        with gpu_slots(1, tmp_path, ["0", "1"]):
            order.append("second")

    with gpu_slots(1, tmp_path, ["0", "1"]), gpu_slots(1, tmp_path, ["0", "1"]):
        waiting = threading.Thread(target=second)
        waiting.start()
        waiting.join(0.2)
        order.append("first")
    waiting.join(10)
    assert order == ["first", "second"]
