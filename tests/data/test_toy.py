"""Toy distributions: the density integrates to one and describes the samples."""

import math

import pytest
import torch

from ganbook.data import toy
from ganbook.errors import InputError


def test_ring_and_grid_are_the_protocols():
    ring, grid = toy.ring(), toy.grid()
    torch.testing.assert_close(ring.means.norm(dim=1), torch.ones(8))
    assert ring.std.unique().item() == pytest.approx(0.01) and grid.std.unique().item() == pytest.approx(0.05)
    assert sorted({round(x, 6) for x in grid.means.flatten().tolist()}) == [-4, -2, 0, 2, 4] and len(grid.means) == 25


def test_density_integrates_to_one_and_matches_the_formula():
    mixture = toy.GaussianMixture(torch.tensor([[-1.0], [2.0]]), torch.tensor([0.5, 1.0]), torch.tensor([0.3, 0.7]))
    x = torch.linspace(-10, 12, 20001)[:, None]
    assert torch.trapezoid(mixture.log_prob(x).exp(), x[:, 0]).item() == pytest.approx(1, abs=1e-4)
    at_zero = 0.3 * math.exp(-2) / (0.5 * math.sqrt(2 * math.pi)) + 0.7 * math.exp(-2) / math.sqrt(2 * math.pi)
    assert mixture.log_prob(torch.zeros(1, 1)).exp().item() == pytest.approx(at_zero, rel=1e-5)


def test_samples_have_the_mixtures_moments():
    mixture = toy.GaussianMixture(torch.tensor([[-1.0], [2.0]]), torch.tensor([0.5, 1.0]), torch.tensor([0.3, 0.7]))
    x = mixture.sample(100_000, torch.Generator().manual_seed(0))
    mean = 0.3 * -1 + 0.7 * 2
    second = 0.3 * (1 + 0.25) + 0.7 * (4 + 1)
    assert x.mean().item() == pytest.approx(mean, abs=0.02)
    assert x.var().item() == pytest.approx(second - mean**2, rel=0.02)


def test_refusals():
    with pytest.raises(InputError, match="weights that are not negative and sum to 1"):
        toy.GaussianMixture(torch.zeros(2, 1), torch.ones(2), torch.ones(2))
