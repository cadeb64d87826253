"""Photographs: a distance where there is an extractor, pixels alone where there is none."""

from dataclasses import dataclass

import numpy as np
import pytest
from PIL import Image

from ganbook.errors import DataError, InputError
from ganbook.evaluation import photographs
from ganbook.evaluation.photographs import PhotographTarget


@dataclass(frozen=True)
class MeanColour:
    """An extractor that is easily checked."""

    name: str = "mean-colour"
    sha256: str = "0" * 64
    dim: int = 3

    def features(self, images):
        return images.float().mean((2, 3)) / 127.5 - 1

    def logits(self, features):
        return features


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    folder = tmp_path_factory.mktemp("faces")
    rng = np.random.default_rng(0)
    for part, count in (("train", 4), ("test", 40)):
        (folder / part).mkdir()
        for i in range(count):
            pixels = rng.integers(0, 255, 3) + rng.integers(0, 2, (32, 32, 3))
            Image.fromarray(pixels.astype(np.uint8)).save(folder / part / f"{i:02d}.png")
    return f"folder:{folder}"


def test_distance_to_itself_is_zero_and_grows_with_a_shift(dataset):
    target = PhotographTarget.of(dataset, 32, extractor=MeanColour())
    assert target.images.shape == (40, 3, 32, 32)
    name, _ = target.names(40)
    same = target.measure(target.images)
    assert same[name] == pytest.approx(0, abs=1e-6)
    assert same["within_class_spread"] == pytest.approx(1)
    paler = target.measure(target.images / 2)
    assert paler[name] > 0.05
    assert paler["within_class_spread"] == pytest.approx(0.5)
    assert target.protocol["extractor"] == "mean-colour" and target.protocol["split"] == "test"


def test_without_weights_pixels_are_measured_and_it_is_said(dataset, monkeypatch):
    def refuse(*_, **__):
        raise DataError("no weights")

    monkeypatch.setattr(photographs, "get_extractor", refuse)
    target = PhotographTarget.of(dataset, 32)
    assert set(target.measure(target.images)) == {"within_class_spread"}
    assert target.protocol["extractor"] == "none"
    assert target.features_of(target.images).shape == (40, 0)


def test_one_picture_is_too_few(dataset):
    with pytest.raises(InputError, match="at least two"):
        PhotographTarget.of(dataset, 32, n=1, extractor=MeanColour())
