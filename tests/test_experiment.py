"""A run documents itself, goes on where it stopped, and fails with one clear message."""

import dataclasses
import json

import pandas as pd
import pytest
import torch
from PIL import Image

from ganbook import experiment
from ganbook.checkpoint import load_state, save_state
from ganbook.config import Config
from ganbook.errors import DataError, DivergenceError, InputError
from ganbook.evaluation import measure, spread
from ganbook.experiment import Run

TINY = {"width_g": 4, "width_d": 4, "latent_dim": 4, "batch_size": 8, "n_eval": 60}


def tiny(**changes):
    return Config.from_mapping({**TINY, "steps": 6, **changes})


def test_a_finished_run_has_its_whole_record(tmp_path):
    run = Run(tiny(), tmp_path, device="cpu")
    run.train(log_every=2, progress=False, hooks=(run.tensorboard(),))
    run.finish(measure(run))
    assert json.loads((tmp_path / "params.json").read_text())["width_g"] == 4
    history = pd.read_csv(tmp_path / "history.csv")
    assert history.step.tolist() == [2, 4, 6] and history.notna().all(axis=None)
    metrics = json.loads((tmp_path / "metrics.json").read_text())
    assert 0 <= metrics["judge_accuracy"] <= 1 and metrics["judge_accuracy_real"] > 0.99
    assert "fd60(mnist-judge)" not in metrics  # too few for 64 features
    assert metrics["protocol"]["n_fake"] == 60 and len(metrics["protocol"]["extractor_sha256"]) == 64
    environment = json.loads((tmp_path / "environment.json").read_text())
    assert environment["versions"]["torch"] == torch.__version__ and environment["threads"] >= 1
    assert Image.open(tmp_path / "samples.png").size == (10 * 29 + 1, 10 * 29 + 1)
    assert any((tmp_path / "tensorboard").iterdir())


def test_enough_samples_give_a_distance_in_the_judges_features(tmp_path):
    run = Run(tiny(n_eval=100), tmp_path, device="cpu")
    run.train(progress=False)
    assert measure(run)["fd100(mnist-judge)"] > 100  # nothing has been learnt in six steps


@pytest.mark.parametrize(
    "options",
    [
        {"norm": "batch", "real_target": 0.8, "instance_noise": 0.1, "augment": "translation", "ada_target": 0.1},
        {"norm": "spectral"},
        {"norm": "none", "loss": "wasserstein", "penalty": "wgan_gp", "penalty_weight": 10.0},
        {"network": "sagan", "norm": "spectral", "resolution": 32, "attention": "8"},
    ],
)
def test_interrupted_and_resumed_equals_uninterrupted_bit_for_bit(tmp_path, options):
    whole = Run(tiny(flip=True, **options), tmp_path / "whole", device="cpu")
    whole.train(progress=False)
    part = Run(tiny(flip=True, steps=3, **options), tmp_path / "part", device="cpu")
    part.train(progress=False)
    rest = Run(tiny(flip=True, **options), tmp_path / "part", device="cpu")
    assert rest.resume() and rest.history.step == 3
    rest.train(progress=False)
    for name, a in whole.gan.state_dict()["ema"].items():
        assert torch.equal(a, rest.gan.state_dict()["ema"][name]), name
    for a, b in zip(whole.gan.discriminator.parameters(), rest.gan.discriminator.parameters(), strict=True):
        assert torch.equal(a, b)


def test_a_checkpoint_from_before_a_parameter_existed_has_its_default(tmp_path):
    run = Run(tiny(steps=2), tmp_path, device="cpu")
    run.train(progress=False)
    state = load_state(tmp_path / "model.safetensors")
    del state["config"]["penalty"]
    save_state(state, tmp_path / "model.safetensors")
    assert Run(tiny(), tmp_path, device="cpu").resume()


def test_equal_parameters_equal_run_and_another_seed_another(tmp_path):
    def final(seed, folder):
        run = Run(tiny(seed=seed), tmp_path / folder, device="cpu")
        run.train(progress=False)
        return run.sample(4)[0]

    assert torch.equal(final(0, "a"), final(0, "b"))
    assert not torch.equal(final(0, "c"), final(1, "d"))


def test_resuming_under_other_parameters_is_refused_with_the_difference(tmp_path):
    Run(tiny(), tmp_path, device="cpu").train(progress=False)
    with pytest.raises(InputError, match=r"other parameters \(lr_g: 0.0002 there, 0.001 here\)"):
        Run(tiny(lr_g=0.001), tmp_path, device="cpu").resume()
    assert Run(tiny(steps=12), tmp_path, device="cpu").resume()


def test_divergence_names_step_and_last_checkpoint(tmp_path):
    run = Run(tiny(steps=3), tmp_path, device="cpu")
    run.train(progress=False)
    broken = Run(tiny(steps=9), tmp_path, device="cpu")
    broken.resume()
    with torch.no_grad():
        next(broken.gan.discriminator.parameters()).fill_(float("nan"))
    with pytest.raises(DivergenceError, match=f"NaN at step 4.*last good checkpoint is {tmp_path}/model.safetensors"):
        broken.train(progress=False)
    assert Run(tiny(steps=3), tmp_path, device="cpu").resume()


def test_unusable_folder_device_and_data_set_are_clear(tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(DataError, match="Cannot write .*file.*Choose a folder you may write to"):
        Run(tiny(), tmp_path / "file" / "run", device="cpu")
    with pytest.raises(InputError, match="Device 'cuda:7' cannot be used here"):
        experiment.choose_device("cuda:7")
    with pytest.raises(InputError, match="Did you mean 'mnist'"):
        Run(tiny(dataset="mnsit"), tmp_path / "x", device="cpu")
    with pytest.raises(DataError, match="There is no checkpoint"):
        experiment.load_trained(tmp_path)


def test_labels_that_are_no_classes_are_found_before_training(tmp_path, monkeypatch):
    """On a GPU a step does not look: an index out of range there ends the process without a word."""
    images = experiment.data.load("mnist", resolution=28)
    wrong = dataclasses.replace(images, labels=images.labels + 1)
    monkeypatch.setattr(experiment.data, "load", lambda *_, **__: wrong)
    with pytest.raises(InputError, match="Labels are 0 … 9, got values from 1 to 10"):
        Run(tiny(), tmp_path, device="cpu")


def test_spread_tells_variety_from_one_picture_a_class():
    images = torch.randn(100, 1, 2, 2, generator=torch.Generator().manual_seed(0))
    groups = torch.arange(100) % 2
    assert spread(images, groups) == pytest.approx(1, abs=0.1)
    assert spread(groups[:, None, None, None].float().expand(-1, 1, 2, 2), groups) == 0


def test_the_default_folder_belongs_to_the_parameters(tmp_path, monkeypatch):
    monkeypatch.setenv("GANBOOK_RUNS", str(tmp_path))
    a, b = experiment.default_folder("x", tiny()), experiment.default_folder("x", tiny(seed=1))
    assert a.parent == tmp_path / "adhoc" / "x" and a != b and a == experiment.default_folder("x", tiny())
