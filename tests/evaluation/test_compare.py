"""A whole evaluation, with features that need no weights and with the judges."""

import numpy as np
import pytest
import torch

from ganbook import data, metrics
from ganbook.data import ImageSet
from ganbook.errors import InputError
from ganbook.evaluation import compare, evaluate, get_extractor
from ganbook.evaluation.features import SetPictures


class Pixels:
    """The first 12 pixel values, divided by 64."""

    name, sha256, dim = "pixels", "0" * 64, 12

    def features(self, images):
        return images.flatten(1)[:, :12].float() / 64

    def logits(self, features):
        return features[:, :5]


def drawn(n, mean, seed, name="set"):
    pixels = np.random.default_rng(seed).normal(mean, 20, (n, 3, 4, 4)).clip(0, 255).astype(np.uint8)
    return ImageSet(name, "train", pixels, None, (), "as stored", str(seed) * 64)


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("GANBOOK_CACHE", str(tmp_path / "cache"))


def test_every_metric_is_named_measured_and_carries_its_protocol():
    real, fake = drawn(600, 100, 0), drawn(500, 104, 1, "fake")
    values = evaluate(
        SetPictures(fake), real, Pixels(), names=list(compare.METRICS), held_out=drawn(600, 100, 2), progress=False
    )
    assert [v.name.partition("500")[0] for v in values][:3] == ["fd", "frechet_infinity", "kd"]
    by_name = {v.name.partition("500")[0]: v for v in values}
    expected = metrics.frechet_from_moments(
        *(metrics.Moments(12).update(Pixels().features(torch.from_numpy(s.images))) for s in (real, fake))
    )
    assert by_name["fd"].value == pytest.approx(expected, rel=1e-9)
    assert by_name["fd"].low < expected < by_name["fd"].high
    assert by_name["frechet_infinity"].value < expected  # the bias of 500 fakes is gone
    assert by_name["kd"].low < by_name["kd"].value < by_name["kd"].high
    for name in ("precision", "recall", "coverage", "memorisation"):
        assert 0 <= by_name[name].low <= by_name[name].value <= by_name[name].high <= 1
    assert by_name["memorisation"].value == pytest.approx(0.5, abs=0.1)
    assert by_name["kd"].about.startswith("100 subsets of 250")
    for value in values:
        if value.name.startswith(("fd", "kd", "memorisation")):
            assert (value.protocol.n_real, value.protocol.n_fake) == (600, 500)
        assert value.of == "fake"


@pytest.mark.parametrize("name", ["frechet_infinity", "density"])
def test_intervals_are_as_wide_as_other_fakes_differ(name):
    real = drawn(600, 100, 0)
    found = [
        evaluate(SetPictures(drawn(500, 110, seed, "fake")), real, Pixels(), names=[name], progress=False)[0]
        for seed in range(1, 13)
    ]
    spread = float(np.std([v.value for v in found], ddof=1))
    widths = [(v.high - v.low) / 2 for v in found]
    assert all(v.low < v.value < v.high for v in found)
    assert 0.5 < np.median(widths) / (2.2 * spread) < 2


def test_the_interval_covers_the_distance_of_other_fakes():
    real = drawn(2000, 100, 0)
    found = [
        evaluate(SetPictures(drawn(400, 110, seed, "fake")), real, Pixels(), names=["frechet"], progress=False)[0]
        for seed in range(1, 13)
    ]
    mean = float(np.mean([v.value for v in found]))
    assert sum(v.low < mean < v.high for v in found) >= 10


def test_identical_pictures_are_at_distance_zero():
    real = drawn(300, 100, 0)
    by_name = {v.name: v.value for v in evaluate(SetPictures(real), real, Pixels(), progress=False)}
    assert by_name["fd300(pixels)"] == pytest.approx(0, abs=1e-9)
    assert by_name["precision300(pixels)"] == by_name["coverage300(pixels)"] == 1


def test_too_few_pictures_say_the_minimum_and_what_else_to_use():
    with pytest.raises(InputError, match=r"needs more than 12 .* got 12; .*--metrics kid"):
        evaluate(SetPictures(drawn(12, 100, 0)), drawn(50, 100, 1), Pixels(), progress=False)
    for n in (13, 14):  # enough for the distance, too few for its interval
        (value,) = evaluate(
            SetPictures(drawn(n, 100, 0)), drawn(50, 100, 1), Pixels(), names=["frechet"], progress=False
        )
        assert value.low is None and value.value > 0
    (value,) = evaluate(SetPictures(drawn(12, 100, 0)), drawn(50, 100, 1), Pixels(), names=["kid"], progress=False)
    assert value.low is None


def test_other_sizes_unknown_metrics_and_missing_splits_are_refused():
    real, fake = drawn(50, 100, 0), SetPictures(drawn(50, 100, 1))
    larger = ImageSet("large", "train", np.zeros((50, 3, 8, 8), np.uint8), None, (), "", "")
    with pytest.raises(InputError, match=r"4 x 4 pixels, the reference large was prepared at 8 x 8"):
        evaluate(fake, larger, Pixels(), progress=False)
    with pytest.raises(InputError, match="Unknown metric 'fid'"):
        evaluate(fake, real, Pixels(), names=["fid"], progress=False)
    with pytest.raises(InputError, match="Name at least one metric"):
        evaluate(fake, real, Pixels(), names=[], progress=False)
    with pytest.raises(InputError, match="leave memorisation out"):
        evaluate(fake, real, Pixels(), names=["memorisation"], progress=False)
    with pytest.raises(InputError, match="well above 12 fakes, got 18"):
        evaluate(SetPictures(drawn(18, 100, 1)), real, Pixels(), names=["frechet_infinity"], progress=False)


def test_a_copier_of_a_large_set_is_unmasked(monkeypatch):
    monkeypatch.setattr("ganbook.evaluation.compare.KEPT", 100)  # fewer rows than training pictures
    real, copies = drawn(600, 100, 0), drawn(600, 100, 0, "copies")
    (value,) = evaluate(
        SetPictures(copies), real, Pixels(), names=["memorisation"], held_out=drawn(600, 100, 2), progress=False
    )
    assert value.value > 0.99 and value.protocol.n_real == 600
    monkeypatch.setattr("ganbook.evaluation.compare.MEMORY", 0)
    with pytest.raises(InputError, match="has to see every training picture"):
        evaluate(SetPictures(copies), real, Pixels(), names=["memorisation"], held_out=real, progress=False)


def test_judges_tell_real_digits_from_noise():
    extractor = get_extractor("mnist-judge")
    test = data.load("mnist", split="test")
    half = ImageSet("half", "test", test.images[:2000], None, (), "", "a")
    other = ImageSet("other", "test", test.images[2000:4000], None, (), "", "b")
    noise = ImageSet("noise", "test", np.random.default_rng(0).permuted(test.images[:500], axis=-1), None, (), "", "c")
    near = evaluate(SetPictures(other), half, extractor, names=["frechet"], progress=False)[0]
    far = evaluate(SetPictures(noise), half, extractor, names=["frechet", "inception_score"], progress=False)
    assert near.name == "fd2k(mnist-judge)" and near.value < far[0].value / 10
    assert 1 <= far[1].value <= 10  # at most as many as classes
    colour = torch.zeros(2, 3, 28, 28, dtype=torch.uint8)
    assert extractor.features(colour).shape == (2, 64)
    colour[0, 1] = 9
    with pytest.raises(InputError, match="reads grey pictures"):
        extractor.features(colour)
    with pytest.raises(InputError, match="Unknown extractor 'inseption'. Did you mean 'inception'"):
        get_extractor("inseption")
