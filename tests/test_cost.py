"""What planned runs are judged to cost."""

import json
from pathlib import Path

import pytest

from ganbook.batch import Run
from ganbook.cost import duration, estimates, recorded

TINY = Path(__file__).parent / "material" / "tiny.py"


def record(root, scale, run_id, *, seconds, steps=100, certified=True, experiment="tiny"):
    folder = root / scale / experiment / run_id
    folder.mkdir(parents=True)
    (folder / "params.json").write_text(json.dumps({"steps": steps}))
    (folder / "metrics.json").write_text("{}")
    environment = {"device": "cpu (fast)", "train_seconds": seconds / 2}
    (folder / "environment.json").write_text(json.dumps(environment))
    if certified:
        (folder / "run.json").write_text(json.dumps({"seconds": seconds}))
    return folder


def judged(root, scale, run_id="seed-9", **parameters):
    (found,) = estimates([Run("tiny", scale, run_id, TINY, parameters)], recorded(root))
    return found


def test_its_own_record_then_its_siblings_then_the_steps_of_another_scale(tmp_path):
    record(tmp_path, "cpu", "seed-0", seconds=10)
    record(tmp_path, "cpu", "seed-1", seconds=20)
    record(tmp_path, "cpu", "seed-2", seconds=60)
    own = judged(tmp_path, "cpu", "seed-2")
    assert (own.seconds, own.basis, own.device) == (60, "its own record", "cpu (fast)")
    assert (judged(tmp_path, "cpu").seconds, judged(tmp_path, "cpu").basis) == (20, "3 runs alike")
    longer = judged(tmp_path, "cpu-long", steps=1000)
    assert longer.seconds == pytest.approx(1000 * 20 / 100) and longer.basis == "steps of cpu"
    assert judged(tmp_path, "cpu-long").seconds == pytest.approx(3 * 20 / 100)  # the notebook's default is 3 steps


def test_neither_a_smoke_test_nor_another_kind_of_device_nor_another_experiment_is_a_measure(tmp_path):
    record(tmp_path, "smoke", "default", seconds=5)
    record(tmp_path, "cpu", "default", seconds=5, experiment="other")
    assert judged(tmp_path, "cpu").seconds is None
    record(tmp_path, "cpu", "seed-0", seconds=10)
    assert judged(tmp_path, "gpu").seconds is None
    assert judged(tmp_path, "gpu").basis == "nothing"


def test_a_record_without_certificate_counts_by_its_training_and_a_damaged_one_not_at_all(tmp_path):
    record(tmp_path, "cpu", "seed-0", seconds=10, certified=False)
    damaged = record(tmp_path, "cpu", "seed-1", seconds=1000)
    (damaged / "metrics.json").write_text("{")
    assert judged(tmp_path, "cpu").seconds == 5


@pytest.mark.parametrize(("seconds", "text"), [(0.0, "0 s"), (89.0, "89 s"), (90.0, "2 min"), (9000.0, "2.5 h")])
def test_durations_as_a_person_says_them(seconds, text):
    assert duration(seconds) == text
