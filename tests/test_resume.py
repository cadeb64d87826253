"""A run that is killed at any moment goes on as if nothing had happened, to the last bit."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from ganbook.checkpoint import load_state, save_state
from ganbook.config import Config
from ganbook.errors import DataError, DivergenceError, InputError
from ganbook.experiment import Run, load_trained

ROOT = Path(__file__).parent.parent
TINY = {"width_g": 4, "width_d": 4, "latent_dim": 4, "batch_size": 8, "n_eval": 60, "steps": 40, "flip": True}
KINDS = [
    {"norm": "batch", "augment": "translation", "ada_target": 0.1, "instance_noise": 0.1},
    {"norm": "spectral", "loss": "hinge", "n_dis": 2, "reuse_fakes": True},
    {"norm": "none", "loss": "wasserstein", "penalty": "wgan_gp", "penalty_weight": 10.0},
]
CHILD = """
import json, sys, torch
from ganbook.config import Config
from ganbook.experiment import Run
torch.set_num_threads(int(sys.argv[3]))
run = Run(Config.from_mapping(json.loads(sys.argv[1])), sys.argv[2], device="cpu")
run.train(log_every=1, checkpoint_seconds=0.0, progress=False, hooks=(lambda history: print(history.step, flush=True),))
"""


def tiny(**changes):
    return Config.from_mapping({**TINY, **changes})


def leaves(node, path=""):
    """Every tensor and number of a state under its path."""
    pairs = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list | tuple) else None
    if pairs is None:
        return {path: node}
    return {name: leaf for key, value in pairs for name, leaf in leaves(value, f"{path}/{key}").items()}


def everything(run):
    """All that a run has become: networks, averages, optimisers, streams, data position and history without clocks."""
    rows = [{key: value for key, value in row.items() if key != "seconds"} for row in run.history.rows]
    return leaves({"gan": run.gan.state_dict(), "batches": run.batches.state_dict(), "rows": rows})


def assert_same(a, b):
    ours, theirs = everything(a), everything(b)
    assert ours.keys() == theirs.keys()
    for name, value in ours.items():
        same = torch.equal(value, theirs[name]) if isinstance(value, torch.Tensor) else value == theirs[name]
        assert same, name


def killed_run(folder, values, chance):
    """Train in another process, kill it -9 a random moment after a random step, and return that step."""
    step, delay = chance.randrange(3, 30), chance.uniform(0, 0.02)
    command = [sys.executable, "-c", CHILD, json.dumps(values), str(folder), str(torch.get_num_threads())]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as process:
        for line in process.stdout:
            if int(line) >= step:
                time.sleep(delay)
                process.send_signal(signal.SIGKILL)
                break
    assert process.returncode == -signal.SIGKILL
    return step


@pytest.mark.parametrize(
    ("options", "repetition"),
    [(KINDS[0], 0), *[pytest.param(kind, i, marks=pytest.mark.long) for kind in KINDS for i in range(1, 4)]],
)
def test_kill_9_then_resume_is_the_uninterrupted_run_bit_for_bit(tmp_path, options, repetition):
    whole = Run(tiny(**options), tmp_path / "whole", device="cpu")
    whole.train(log_every=1, progress=False)
    step = killed_run(tmp_path / "killed", {**TINY, **options}, random.Random(repetition))
    rest = Run(tiny(**options), tmp_path / "killed", device="cpu")
    assert rest.resume() and step - 1 <= rest.history.step < 40
    rest.train(log_every=1, progress=False)
    assert_same(whole, rest)


def test_a_damaged_newest_checkpoint_costs_steps_but_changes_nothing(tmp_path):
    whole = Run(tiny(steps=6), tmp_path / "whole", device="cpu")
    whole.train(log_every=2, progress=False)
    part = Run(tiny(steps=4), tmp_path / "part", device="cpu")
    part.train(log_every=2, checkpoint_seconds=0.0, progress=False)  # at steps 2 and 4
    newest = tmp_path / "part" / "model.safetensors"
    newest.write_bytes(newest.read_bytes()[:-100])
    rest = Run(tiny(steps=6), tmp_path / "part", device="cpu")
    with pytest.warns(UserWarning, match="Going on from an earlier one, .*1.safetensors: some steps are lost"):
        assert rest.resume()
    assert rest.history.step == 2
    rest.train(log_every=2, progress=False)
    assert_same(whole, rest)
    newest.write_bytes(b"torn")
    (tmp_path / "part" / "earlier" / "1.safetensors").unlink()
    with pytest.raises(DataError, match="not a readable checkpoint"):
        Run(tiny(steps=6), tmp_path / "part", device="cpu").resume()


def test_a_foreign_checkpoint_is_refused_in_words(tmp_path):
    path = tmp_path / "model.safetensors"
    save_state({"weights": torch.ones(2)}, path)
    with pytest.raises(DataError, match="no checkpoint of a run: it has no batches, channels, config, gan, history"):
        Run(tiny(), tmp_path, device="cpu").resume()
    save_state([1, 2], path)
    with pytest.raises(DataError, match="no checkpoint of a run"):
        load_trained(tmp_path)


def test_a_checkpoint_of_another_version_is_refused_in_words(tmp_path):
    run = Run(tiny(steps=1), tmp_path, device="cpu")
    run.train(progress=False)
    path = tmp_path / "model.safetensors"
    state = load_state(path)
    save_state({**state, "config": {**state["config"], "quantum": True}}, path)
    with pytest.raises(DataError, match="written by another version of ganbook: Unknown parameter 'quantum'"):
        Run(tiny(), tmp_path, device="cpu").resume()
    weights = {name: value[:1] for name, value in state["gan"]["generator"].items() if value.ndim}
    save_state({**state, "gan": {**state["gan"], "generator": weights}}, path)
    with pytest.raises(DataError, match="does not fit the networks .*another version"):
        Run(tiny(), tmp_path, device="cpu").resume()


def test_resuming_with_other_parameters_names_each_difference(tmp_path):
    Run(tiny(steps=1), tmp_path, device="cpu").train(progress=False)
    with pytest.raises(InputError, match=r"other parameters \(loss: 'nonsat.*' there, 'hinge' here; lr_g: 0.0002 th"):
        Run(tiny(loss="hinge", lr_g=0.001), tmp_path, device="cpu").resume()
    assert Run(tiny(checkpoints=5, n_eval=7), tmp_path, device="cpu").resume()


def test_weights_that_are_no_numbers_are_never_kept(tmp_path):
    """A last step can leave finite losses and broken weights: the good checkpoint must not be overwritten by them."""
    run = Run(tiny(steps=1), tmp_path, device="cpu")
    run.train(progress=False)
    with torch.no_grad():
        next(run.gan.generator.parameters()).fill_(float("inf"))
    with pytest.raises(DivergenceError, match="A weight became NaN or infinite by step 1; .*Training dynamics"):
        run.save_checkpoint()
    assert Run(tiny(), tmp_path, device="cpu").resume() and not (tmp_path / "earlier").exists()
