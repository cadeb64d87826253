"""The committed judges read what they were trained to read."""

import gzip
import struct
import zipfile
from dataclasses import replace

import numpy as np
import pytest
import torch

from ganbook import data
from ganbook.data import sets
from ganbook.errors import DataError, InputError
from ganbook.judge import COMMITTED, FOLDER, RECIPES, load_judge, reads, train_judge


@pytest.mark.parametrize("name", COMMITTED)
def test_the_card_tells_the_truth(name):
    judge, recipe = load_judge(name), RECIPES[name]
    images, labels = data.to_tensors(data.load(recipe.dataset, split="test", resolution=recipe.resolution))
    assert judge.accuracy(images, labels) == pytest.approx(judge.test_accuracy, abs=2e-3)
    assert judge.features(images[:5]).shape == (5, 64)
    assert (FOLDER / f"{name}.safetensors").stat().st_size <= 1_000_000


def test_the_mnist_judge_is_good_enough_to_judge():
    assert load_judge("mnist").test_accuracy >= 0.99


def test_a_judge_is_trained_where_its_set_is(tmp_path, monkeypatch):
    """EMNIST in the format of its makers, with MNIST's digits in it."""
    digits = data.load("mnist", split="test")
    folder = tmp_path / "emnist"
    folder.mkdir()
    with zipfile.ZipFile(folder / "gzip.zip", "w") as archive:
        for split, part in (("train", slice(0, 1500)), ("test", slice(1500, 2000))):
            images = np.ascontiguousarray(digits.images[part, 0].transpose(0, 2, 1))
            for kind, array in (("images-idx3", images), ("labels-idx1", digits.labels[part].astype(np.uint8))):
                header = struct.pack(f">HBB{array.ndim}i", 0, 8, array.ndim, *array.shape)
                archive.writestr(
                    f"gzip/emnist-balanced-{split}-{kind}-ubyte.gz", gzip.compress(header + array.tobytes())
                )
    monkeypatch.setenv("GANBOOK_DATA", str(tmp_path))
    monkeypatch.setattr(sets, "verify_once", lambda file, path: path)  # its contents are not NIST's
    monkeypatch.setitem(RECIPES, "emnist", replace(RECIPES["emnist"], epochs=6))
    assert not reads("emnist", 28, folder=tmp_path)
    with pytest.raises(DataError, match="train the judge with `ganbook judge emnist`"):
        load_judge("emnist", folder=tmp_path)
    trained = train_judge("emnist", folder=tmp_path, progress=False)
    assert reads("emnist", 28, folder=tmp_path) and not reads("emnist", 32, folder=tmp_path)
    assert trained.test_accuracy > 0.6 and len(trained.classes) == 47  # 66 steps; chance is 0.1
    assert load_judge("emnist", folder=tmp_path).sha256 == trained.sha256


def test_refusals(tmp_path):
    with pytest.raises(InputError, match="Unknown judge 'minst'. Did you mean 'mnist'"):
        load_judge("minst")
    with pytest.raises(DataError, match="ganbook judge mnist"):
        load_judge("mnist", folder=tmp_path)
    with pytest.raises(InputError, match=r"\(N, 1, 28, 28\) in \[-1, 1\], got \(2, 3, 28, 28\)"):
        load_judge("mnist").accuracy(torch.zeros(2, 3, 28, 28), torch.zeros(2, dtype=torch.int64))
