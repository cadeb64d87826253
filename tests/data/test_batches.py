"""Batches: every picture once an epoch, in an order that the seed decides, resumable in its middle."""

import dataclasses
import warnings

import numpy as np
import pytest
import torch

from ganbook.data import Batches, ImageSet, batches
from ganbook.errors import InputError


def numbered(n=10, side=4):
    images = np.zeros((n, 1, side, side), np.uint8)
    images[:, 0, 0, 0] = np.arange(n)
    images[:, 0, :, -1] = 255
    return ImageSet("numbered", "all", images, np.arange(n), tuple(map(str, range(n))), "none", "")


def test_values_layout_and_labels_belong_together():
    images, labels = next(Batches(numbered(), 4, seed=0))
    assert images.shape == (4, 1, 4, 4) and images.dtype == torch.float32
    assert images.is_contiguous(memory_format=torch.channels_last)
    assert images.max() == 1 and images.min() >= -1
    assert torch.equal(((images[:, 0, 0, 0] + 1) * 127.5).round().long(), labels)


def test_an_epoch_shows_each_picture_at_most_once_and_the_next_has_another_order():
    batches = Batches(numbered(), 3, seed=0)
    epochs = [torch.cat([next(batches)[1] for _ in range(3)]).tolist() for _ in range(4)]
    assert all(len(set(epoch)) == 9 for epoch in epochs)
    assert len({tuple(epoch) for epoch in epochs}) == 4
    seen = [next(Batches(numbered(), 10, seed=s))[1].tolist() for s in range(3)]
    assert all(sorted(labels) == list(range(10)) for labels in seen) and seen[0] != seen[1]


def test_same_seed_same_stream():
    a, b = Batches(numbered(), 4, seed=5, flip=True), Batches(numbered(), 4, seed=5, flip=True)
    for _ in range(5):
        assert torch.equal(next(a)[0], next(b)[0])


def test_flip_mirrors_about_half_the_pictures_and_nothing_else():
    batches = Batches(numbered(side=4), 10, seed=0, flip=True)
    mirrored = []
    for _ in range(50):
        images, _ = next(batches)
        left, right = (images[:, 0, 1, 0] == 1), (images[:, 0, 1, -1] == 1)
        assert torch.equal(left, ~right)
        mirrored.append(left.float().mean().item())
    assert 0.4 < np.mean(mirrored) < 0.6
    assert all((next(Batches(numbered(), 10, seed=s))[0][:, 0, 1, -1] == 1).all() for s in range(3))


def test_a_stream_is_resumed_in_the_middle_of_an_epoch():
    first = Batches(numbered(), 3, seed=1, flip=True)
    for _ in range(4):
        next(first)
    state = {key: value.clone() if torch.is_tensor(value) else value for key, value in first.state_dict().items()}
    expected = [next(first) for _ in range(7)]
    second = Batches(numbered(), 3, seed=99, flip=True)
    second.load_state_dict(state)
    for images, labels in expected:
        again = next(second)
        assert torch.equal(images, again[0]) and torch.equal(labels, again[1])


def test_refusals():
    with pytest.raises(InputError, match="batch_size must be 1 … 10, the size of numbered, got 11"):
        Batches(numbered(), 11, seed=0)
    with pytest.raises(InputError, match="uint8 in storage"):
        Batches(ImageSet("x", "all", np.zeros((4, 1, 4, 4), np.float32), None, (), "", ""), 2, seed=0)
    with pytest.raises(InputError, match="covers 12 pictures, this set has 10"):
        Batches(numbered(), 2, seed=0).load_state_dict(Batches(numbered(12), 2, seed=0).state_dict())


def test_from_disk_and_from_the_device_come_the_same_batches():
    images = np.random.default_rng(0).integers(0, 256, (23, 3, 4, 4), dtype=np.uint8)
    image_set = ImageSet("x", "all", images, np.arange(23), tuple(map(str, range(23))), "as stored", "")
    streams = [Batches(image_set, 5, seed=3, flip=True, resident=resident) for resident in (True, False)]
    for _ in range(11):  # over two epochs and into a third
        (a, a_labels), (b, b_labels) = (next(stream) for stream in streams)
        assert torch.equal(a, b) and torch.equal(a_labels, b_labels)


@pytest.mark.parametrize("channels_last", [True, False])
def test_a_read_only_set_is_copied_without_a_warning(channels_last):
    """A prepared set is such a file, in one order or the other; torch warns of memory that must not be written to."""
    pictures = np.repeat(numbered().images, 3, axis=1)
    stored = np.array(pictures.transpose(0, 2, 3, 1) if channels_last else pictures, order="C")
    stored.flags.writeable = False
    images = stored.transpose(0, 3, 1, 2) if channels_last else stored
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        stream = Batches(dataclasses.replace(numbered(), images=images), 3, seed=0)
    assert not np.shares_memory(stream.pixels.numpy(), stored)
    assert torch.equal(next(stream)[0], next(Batches(numbered(), 3, seed=0))[0].expand(3, 3, 4, 4))


def test_a_stream_from_disk_resumes_exactly():
    images = np.random.default_rng(0).integers(0, 256, (23, 1, 4, 4), dtype=np.uint8)
    image_set = ImageSet("x", "all", images, None, (), "as stored", "")
    stream = Batches(image_set, 5, seed=3, resident=False)
    for _ in range(6):
        next(stream)
    state = stream.state_dict()
    expected = [next(stream)[0] for _ in range(6)]
    again = Batches(image_set, 5, seed=99, resident=False)
    next(again)
    again.load_state_dict(state)
    for images_expected in expected:
        assert torch.equal(next(again)[0], images_expected)


def test_a_set_larger_than_memory_stays_on_disk(monkeypatch):
    images = np.zeros((10, 1, 4, 4), np.uint8)
    image_set = ImageSet("x", "all", images, None, (), "as stored", "")
    assert Batches(image_set, 2, seed=0).resident
    monkeypatch.setattr(batches, "free_bytes", lambda device: 200)
    assert not Batches(image_set, 2, seed=0).resident
