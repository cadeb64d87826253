"""The committed judges read what they were trained to read."""

import pytest
import torch

from ganbook import data
from ganbook.errors import DataError, InputError
from ganbook.judge import FOLDER, RECIPES, load_judge


@pytest.mark.parametrize("name", RECIPES)
def test_the_card_tells_the_truth(name):
    judge, recipe = load_judge(name), RECIPES[name]
    images, labels = data.to_tensors(data.load(recipe.dataset, split="test", resolution=recipe.resolution))
    assert judge.accuracy(images, labels) == pytest.approx(judge.test_accuracy, abs=2e-3)
    assert judge.features(images[:5]).shape == (5, 64)
    assert (FOLDER / f"{name}.safetensors").stat().st_size <= 1_000_000


def test_the_mnist_judge_is_good_enough_to_judge():
    assert load_judge("mnist").test_accuracy >= 0.99


def test_refusals(tmp_path):
    with pytest.raises(InputError, match="Unknown judge 'minst'. Did you mean 'mnist'"):
        load_judge("minst")
    with pytest.raises(DataError, match="ganbook judge mnist"):
        load_judge("mnist", folder=tmp_path)
    with pytest.raises(InputError, match=r"\(N, 1, 28, 28\) in \[-1, 1\], got \(2, 3, 28, 28\)"):
        load_judge("mnist").accuracy(torch.zeros(2, 3, 28, 28), torch.zeros(2, dtype=torch.int64))
