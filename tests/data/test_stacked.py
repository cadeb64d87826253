"""Stacked digits: real pictures, one a channel, all thousand modes equally likely."""

import numpy as np
import pytest
import torch

from ganbook.data.sets import ImageSet
from ganbook.data.stacked import StackedDigits
from ganbook.data.toy import endless, ring
from ganbook.errors import InputError


def tagged(labels, images=None):
    """Pictures of 2 x 2 pixels whose value is 10 · class + number within the class, so that each says what it is."""
    if images is None:
        values = [10 * label + labels[:i].count(label) for i, label in enumerate(labels)]
        images = np.repeat(np.array(values, dtype=np.uint8), 4).reshape(-1, 1, 2, 2)
    labels = None if labels is None else np.array(labels, dtype=np.int64)
    return ImageSet("tagged", "train", images, labels, ("0", "1", "2"), "none", "0" * 64)


def tags(batch):
    return ((batch + 1) * 127.5).round().int()[:, :, 0, 0]


def test_stacks_are_whole_pictures_in_range():
    batch, labels = next(StackedDigits(tagged([2, 0, 1, 0, 0]), 50, seed=0))
    assert labels is None and batch.shape == (50, 3, 2, 2) and batch.dtype == torch.float32
    assert (batch == batch[:, :, :1, :1]).all()  # no picture is mixed with another
    assert set(tags(batch).flatten().tolist()) == {0, 1, 2, 10, 20}  # every picture occurs, and nothing else


def test_classes_are_equally_likely_however_many_pictures_they_have():
    stacks = StackedDigits(tagged([0] * 7 + [1] * 2 + [2]), 30_000, seed=0)
    seen = tags(next(stacks)[0])
    modes = seen // 10 @ torch.tensor([9, 3, 1], dtype=torch.int32)
    shares = torch.bincount(modes, minlength=27) / 30_000
    assert (shares - 1 / 27).abs().max() < 5 * (1 / 27 / 30_000) ** 0.5  # channels are independent
    zeros = torch.bincount(seen[seen < 10], minlength=7).float()
    assert (zeros / zeros.sum() - 1 / 7).abs().max() < 0.01  # and within a class the pictures


def test_a_seed_is_a_stream():
    first, again, other = (StackedDigits(tagged([0, 1, 2, 2]), 8, seed=s) for s in (3, 3, 4))
    assert torch.equal(next(first)[0], next(again)[0]) and not torch.equal(next(first)[0], next(other)[0])
    assert not torch.equal(next(first)[0], next(StackedDigits(tagged([0, 1, 2, 2]), 8, seed=3))[0])


def test_an_endless_mixture_is_a_stream_of_its_samples():
    stream = endless(ring(), 5, seed=2)
    rng = torch.Generator().manual_seed(2)
    for _ in range(2):
        batch, labels = next(stream)
        assert labels is None and torch.equal(batch, ring().sample(5, rng))


def test_refusals():
    with pytest.raises(InputError, match="Every class needs a picture"):
        StackedDigits(tagged([0, 1, 1]), 4, seed=0)
    with pytest.raises(InputError, match="no labels"):
        StackedDigits(tagged(None, np.zeros((3, 1, 2, 2), np.uint8)), 4, seed=0)
    with pytest.raises(InputError, match="grey pictures"):
        StackedDigits(tagged([0, 1, 2], np.zeros((3, 3, 2, 2), np.uint8)), 4, seed=0)
    with pytest.raises(InputError, match="at least one stack"):
        StackedDigits(tagged([0, 1, 2]), 0, seed=0)
