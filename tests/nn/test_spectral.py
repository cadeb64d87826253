"""Spectral normalisation written out equals PyTorch's; the laws of power iteration; the true norm of a convolution."""

import pytest
import torch
from torch import nn
from torch.nn.functional import conv2d, pad
from torch.nn.utils.parametrizations import spectral_norm
from torch.nn.utils.parametrize import register_parametrization

from ganbook.errors import InputError
from ganbook.nn.spectral import (
    SpectralNorm,
    as_matrix,
    circular_conv_norm,
    circular_conv_singular_values,
    power_iteration,
    sigma,
)


def rng(seed=0):
    return torch.Generator().manual_seed(seed)


def with_singular_values(values, rows, columns):
    u, _ = torch.linalg.qr(torch.randn(rows, len(values), generator=rng(1), dtype=torch.float64))
    v, _ = torch.linalg.qr(torch.randn(columns, len(values), generator=rng(2), dtype=torch.float64))
    return u @ torch.diag(torch.tensor(values, dtype=torch.float64)) @ v.T


LAYERS = {
    "linear": (lambda: nn.Linear(7, 5), torch.randn(2, 4, 7, generator=rng())),
    "conv": (lambda: nn.Conv2d(3, 6, 3), torch.randn(2, 2, 3, 8, 8, generator=rng())),
    "embedding": (lambda: nn.Embedding(4, 9), torch.tensor([[0, 3, 1], [2, 2, 0]])),
}


@pytest.mark.chapter(name="06_lipschitz_and_spectral_norm")
@pytest.mark.parametrize("layer", LAYERS)
@pytest.mark.parametrize("steps", [1, 3])
def test_written_out_it_is_torchs_through_training_and_evaluation(layer, steps):
    """Same start, then optimiser steps on both: weights, buffers and gradients stay equal."""
    torch.manual_seed(0)
    make, (real, fake) = LAYERS[layer]
    theirs = spectral_norm(make(), n_power_iterations=steps)
    original = theirs.parametrizations.weight
    ours = make()
    with torch.no_grad():
        ours.weight.copy_(original.original)
        if getattr(ours, "bias", None) is not None:
            ours.bias.copy_(theirs.bias)
    register_parametrization(ours, "weight", SpectralNorm(ours.weight, steps=steps))
    mine = ours.parametrizations.weight[0]
    mine.u.copy_(original[0]._u)
    mine.v.copy_(original[0]._v)
    optimizers = [torch.optim.SGD(layer.parameters(), 0.5) for layer in (ours, theirs)]
    for _ in range(4):
        for network, optimizer in zip((ours, theirs), optimizers, strict=True):
            optimizer.zero_grad()
            (network(real).square().mean() - network(fake).mean()).backward()  # two passes, as a discriminator has
            optimizer.step()
        torch.testing.assert_close(mine.u, original[0]._u)
        torch.testing.assert_close(ours.parametrizations.weight.original, original.original)
    ours.eval()
    theirs.eval()
    before = mine.u.clone()
    torch.testing.assert_close(ours(real), theirs(real))
    assert torch.equal(before, mine.u)  # evaluation estimates nothing anew


@pytest.mark.chapter(name="06_lipschitz_and_spectral_norm")
@pytest.mark.parametrize("ratio", [0.5, 0.8, 0.9])
def test_the_estimate_contracts_by_the_fourth_power_of_the_gap(ratio):
    w = with_singular_values([2.0, 2.0 * ratio, 0.1], 6, 9)
    v = torch.randn(9, generator=rng(3), dtype=torch.float64)
    exact, errors, angles = 2.0, [], []
    right = torch.linalg.svd(w).Vh[0]
    for _ in range(30):
        u, v = power_iteration(w, v)
        errors.append(exact - sigma(w, u, v).item())
        angles.append((v - (v @ right) * right).norm().item())
    assert all(e > -1e-12 for e in errors)  # always from below
    late = range(4, 12) if ratio == 0.5 else range(10, 25)
    usable = [i for i in late if errors[i] > 1e-11]
    assert len(usable) >= 3
    for i in usable[1:]:
        assert errors[i] / errors[i - 1] == pytest.approx(ratio**4, rel=0.02)
        assert angles[i] / angles[i - 1] == pytest.approx(ratio**2, rel=0.02)


@pytest.mark.chapter(name="06_lipschitz_and_spectral_norm")
def test_many_steps_find_the_largest_singular_value():
    w = torch.randn(6, 9, generator=rng(), dtype=torch.float64)
    u, v = power_iteration(w, torch.ones(9, dtype=torch.float64), steps=500)
    assert sigma(w, u, v).item() == pytest.approx(torch.linalg.matrix_norm(w, 2).item())


@pytest.mark.chapter(name="06_lipschitz_and_spectral_norm")
def test_the_gradient_of_sigma_is_the_outer_product():
    w = torch.randn(4, 3, generator=rng(), dtype=torch.float64).requires_grad_()
    u, v = power_iteration(w, torch.ones(3, dtype=torch.float64), steps=500)
    (gradient,) = torch.autograd.grad(sigma(w, u, v), w)
    (exact,) = torch.autograd.grad(torch.linalg.matrix_norm(w, 2), w)
    torch.testing.assert_close(gradient, torch.outer(u, v))
    torch.testing.assert_close(gradient, exact)


def circular(x, weight):
    k1, k2 = weight.shape[2:]
    return conv2d(pad(x, (0, k2 - 1, 0, k1 - 1), mode="circular"), weight)


@pytest.mark.chapter(name="06_lipschitz_and_spectral_norm")
@pytest.mark.parametrize(("out", "into", "kernel", "size"), [(3, 2, (3, 3), (5, 6)), (2, 4, (1, 3), (4, 4))])
def test_the_fourier_norm_is_that_of_the_operator_as_one_big_matrix(out, into, kernel, size):
    weight = torch.randn(out, into, *kernel, generator=rng(), dtype=torch.float64)
    basis = torch.eye(into * size[0] * size[1], dtype=torch.float64).reshape(-1, into, *size)
    operator = circular(basis, weight).flatten(1).T
    dense = torch.linalg.svdvals(operator)
    fourier = circular_conv_singular_values(weight, size).flatten().sort(descending=True).values
    torch.testing.assert_close(fourier, dense[: len(fourier)])
    torch.testing.assert_close(circular_conv_norm(weight, size), dense[0])


@pytest.mark.chapter(name="06_lipschitz_and_spectral_norm")
def test_the_reshaped_norm_is_another_number_within_its_bounds():
    ratios = []
    for seed in range(20):
        weight = torch.randn(4, 3, 3, 3, generator=rng(seed), dtype=torch.float64)
        ratios.append((circular_conv_norm(weight, (8, 8)) / torch.linalg.matrix_norm(as_matrix(weight), 2)).item())
    assert all(1 <= r <= 3 for r in ratios)
    assert min(ratios) > 1.1  # the layer that spectral normalisation leaves is not 1-Lipschitz
    mean_filter = torch.ones(1, 1, 3, 3, dtype=torch.float64)
    extreme = circular_conv_norm(mean_filter, (6, 6)) / torch.linalg.matrix_norm(as_matrix(mean_filter), 2)
    assert extreme.item() == pytest.approx(3.0)


def test_refusals():
    with pytest.raises(InputError, match="at least 1 step, got steps=0"):
        power_iteration(torch.eye(2), torch.ones(2), steps=0)
    with pytest.raises(InputError, match=r"kernel \(3, 3\) is larger than the image \(2, 5\)"):
        circular_conv_norm(torch.zeros(1, 1, 3, 3), (2, 5))
