"""The generators of this repository are what their cards say."""

import json

import pytest
import torch

from ganbook import shipping
from ganbook.config import Config
from ganbook.errors import DataError, InputError
from ganbook.experiment import Run
from ganbook.judge import load_judge
from ganbook.pretrained import FOLDER, LARGEST, SHIPPED, load_generator


@pytest.mark.parametrize("name", SHIPPED)
def test_card_and_file_agree(name):
    trained, path = load_generator(name), FOLDER / f"{name}.safetensors"
    assert path.with_suffix(".md").read_text() == shipping.card_text(trained, path.stat().st_size)
    assert path.stat().st_size <= LARGEST
    fake = trained.sample(trained.latents(4, seed=1))
    assert fake.shape == (4, trained.sizes.channels, trained.sizes.resolution, trained.sizes.resolution)
    assert fake.abs().max() <= 1 and fake.std(0).mean() > 0.1  # four different pictures


def test_all_of_them_together_are_small():
    assert sum(path.stat().st_size for path in FOLDER.glob("*.safetensors")) <= 12_000_000
    assert {path.stem for path in FOLDER.glob("*.safetensors")} == set(SHIPPED)


def test_the_digits_are_as_legible_as_the_card_says():
    trained = load_generator("mnist")
    labels = trained.labels(None, 400)
    accuracy = load_judge("mnist").accuracy(trained.sample(trained.latents(400, seed=2), labels), labels)
    assert accuracy == pytest.approx(trained.card["metrics"]["judge_accuracy"], abs=0.02)


def test_refusals(tmp_path, monkeypatch):
    with pytest.raises(InputError, match="Did you mean 'mnist'"):
        shipping.ship(tmp_path, "mnits")
    monkeypatch.setattr(shipping, "load_applicable", lambda run: load_generator("mnist"))
    with pytest.raises(InputError, match="trained on emoji, this run on mnist"):
        shipping.ship(tmp_path, "emoji", folder=tmp_path)
    monkeypatch.setattr(shipping, "LARGEST", 1000)
    with pytest.raises(InputError, match="up to 1,000 bytes"):
        shipping.ship(tmp_path, "mnist", folder=tmp_path)


def test_a_run_is_shipped_with_its_own_record(tmp_path, monkeypatch):
    config = Config(steps=2, batch_size=4, width_g=4, width_d=4, latent_dim=6, seed=5)
    run = Run(config, tmp_path / "run", device="cpu")
    run.train(progress=False)
    monkeypatch.setattr(shipping, "measured", lambda trained: {"metrics": {"fd5k": 3.25}, "protocol": PROTOCOL})
    with pytest.raises(DataError, match="was not finished"):
        shipping.ship(run.folder, "mnist", folder=tmp_path)
    (run.folder / "environment.json").write_text(json.dumps({**run.environment, "train_seconds": 120.0}))
    path = shipping.ship(run.folder, "mnist", folder=tmp_path)
    trained, text = load_generator("mnist", folder=tmp_path), path.with_suffix(".md").read_text()
    assert trained.card["training"]["seed"] == 5 and "seed 5" in text and "| fd5k | 3.25 |" in text and "2 min" in text
    run.gan.refresh_batchnorm()
    z, y = trained.latents(5), torch.arange(5)
    torch.testing.assert_close(trained.sample(z, y), run.gan.sample(z, y), atol=5e-3, rtol=0)


PROTOCOL = {
    "n_fake": 9,
    "n_real": 8,
    "n_neighbours": 7,
    "preprocessing": "as stored",
    "extractor": "mnist-judge",
}
