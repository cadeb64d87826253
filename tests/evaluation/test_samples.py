"""Samples in the judge's eyes: real pictures are as good as real, noise is not, one picture a class has no spread."""

import pytest
import torch

from ganbook import data
from ganbook.errors import InputError
from ganbook.evaluation.samples import Target, drawn
from ganbook.metrics import frechet_distance


@pytest.fixture(scope="module")
def target():
    return Target.of("mnist", 28, n=400)


@pytest.fixture(scope="module")
def others():
    images, labels = data.to_tensors(data.load("mnist", split="test", resolution=28))
    return images[400:800], labels[400:800]


def test_real_pictures_are_as_good_as_real(target, others):
    values = target.measure(*others)
    fd, mmd = target.names(400)
    assert values["judge_accuracy"] > 0.95
    assert abs(values[mmd]) < 0.02
    assert values["within_class_spread"] == pytest.approx(1, abs=0.1)
    assert values["within_class_spread(mnist-judge)"] == pytest.approx(1, abs=0.1)
    ours, theirs = target.features, target.judge.features(others[0]).double()
    expected = frechet_distance(ours.mean(0), ours.T.cov(), theirs.mean(0), theirs.T.cov())
    assert values[fd] == pytest.approx(expected, rel=1e-6)


def test_noise_and_wrong_labels_are_told_apart(target, others):
    images, labels = others
    fd, mmd = target.names(400)
    real = target.measure(images, labels)
    noise = target.measure(torch.rand(400, 1, 28, 28, generator=torch.Generator().manual_seed(0)) * 2 - 1, None)
    assert noise[fd] > 5 * real[fd] and noise[mmd] > 0.1
    assert "judge_accuracy" not in noise
    assert target.measure(images, (labels + 1) % 10)["judge_accuracy"] < 0.05


def test_one_picture_a_class_has_no_spread(target):
    first = torch.stack([target.images[target.labels == c][0] for c in range(10)])
    labels = torch.arange(400) % 10
    assert target.measure(first[labels], labels)["within_class_spread"] == pytest.approx(0, abs=1e-6)


def test_drawn_latents_are_seeded_and_classes_come_in_turn():
    z, y = drawn(5, 3, 2, seed=1)
    assert torch.equal(z, drawn(5, 3, 0, seed=1)[0]) and not torch.equal(z, drawn(5, 3, 0, seed=2)[0])
    assert y.tolist() == [0, 1, 0, 1, 0] and drawn(5, 3, 0, seed=1)[1] is None


def test_what_cannot_be_measured_is_told(target):
    with pytest.raises(InputError, match="no judge of 'mnist' at 32 pixels"):
        Target.of("mnist", 32)
    with pytest.raises(InputError, match="more than 64 pictures, got 20"):
        Target.of("mnist", 28, n=20)
    with pytest.raises(InputError, match="more than 64 images, got 3"):
        target.measure(torch.zeros(3, 1, 28, 28), None)
