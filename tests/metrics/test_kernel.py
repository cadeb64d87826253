"""MMD and KID against sums written out, closed forms, torch-fidelity, and their own unbiasedness."""

import math

import numpy as np
import pytest
import torch

import ganbook._torchvision  # noqa: F401  (torch_fidelity imports torchvision)
from ganbook.errors import InputError
from ganbook.metrics import imq, kernel, kid, mmd2, polynomial, rbf


def rng(seed=0):
    return torch.Generator().manual_seed(seed)


def normal(*shape, seed=0):
    return torch.randn(*shape, dtype=torch.float64, generator=rng(seed))


KERNELS = {
    "polynomial": (polynomial, lambda a, b: (a @ b / len(a) + 1) ** 3),
    "rbf": (rbf(1.7), lambda a, b: math.exp(-((a - b) ** 2).sum() / (2 * 1.7**2))),
    "imq": (imq(0.6), lambda a, b: 0.6 / (0.6 + ((a - b) ** 2).sum())),
}


@pytest.mark.parametrize("unbiased", [True, False])
@pytest.mark.parametrize("name", KERNELS)
@pytest.mark.parametrize("block", [1024, 3])
def test_equals_the_sums_written_out(name, unbiased, block, monkeypatch):
    monkeypatch.setattr(kernel, "BLOCK", block)
    function, k = KERNELS[name]
    x, y = normal(7, 4), 0.5 + normal(5, 4, seed=1)
    within = [
        np.mean([k(a, b) for i, a in enumerate(z.numpy()) for j, b in enumerate(z.numpy()) if i != j or not unbiased])
        for z in (x, y)
    ]
    across = np.mean([k(a, b) for a in x.numpy() for b in y.numpy()])
    assert mmd2(x, y, kernel=function, unbiased=unbiased) == pytest.approx(sum(within) - 2 * across, rel=1e-10)


def test_no_block_is_larger_than_said(monkeypatch):
    monkeypatch.setattr(kernel, "BLOCK", 10)
    shapes = []

    def watched(x, y):
        shapes.append((len(x), len(y)))
        return polynomial(x, y)

    mmd2(normal(35, 2), normal(28, 2), kernel=watched)
    assert max(max(shape) for shape in shapes) == 10


@pytest.mark.chapter(name="12_evaluation")
def test_rbf_of_gaussians_has_a_closed_form():
    """E k(x, y) = (σ² / (σ² + 2))^½ exp(-m² / (2 (σ² + 2))) for x ~ N(0, 1), y ~ N(m, 1)."""
    sigma, m, n = 0.8, 1.5, 4000
    root = sigma / math.sqrt(sigma**2 + 2)
    expected = 2 * root - 2 * root * math.exp(-(m**2) / (2 * (sigma**2 + 2)))
    assert mmd2(normal(n, 1), m + normal(n, 1, seed=1), kernel=rbf(sigma)) == pytest.approx(expected, abs=0.02)


@pytest.mark.chapter(name="12_evaluation")
@pytest.mark.parametrize("name", KERNELS)
def test_unbiased_estimates_of_equal_distributions_average_to_zero_and_may_be_negative(name):
    function, _ = KERNELS[name]
    generator = rng(1)
    draws = [[torch.randn(12, 3, generator=generator) for _ in range(2)] for _ in range(400)]
    values = torch.tensor([mmd2(x, y, kernel=function) for x, y in draws])
    error = values.std().item() / 20
    assert abs(values.mean().item()) < 4 * error
    assert (values < 0).any() and (values > 0).any()
    biased = torch.tensor([mmd2(x, y, kernel=function, unbiased=False) for x, y in draws])
    assert biased.mean().item() > 10 * error and (biased > -1e-12).all()


def test_a_large_offset_costs_distance_kernels_no_digits():
    x, y = normal(50, 3), normal(50, 3, seed=1)
    for function in (rbf(1.0), imq(1.0)):
        moved = mmd2(x + 1e5, y + 1e5, kernel=function)
        assert moved == pytest.approx(mmd2(x, y, kernel=function), abs=1e-8)


def test_kid_over_whole_samples_is_torch_fidelitys():
    from torch_fidelity.metric_kid import kid_features_to_metric

    real, fake = torch.relu(normal(300, 64)), torch.relu(0.1 + normal(300, 64, seed=1))
    theirs = kid_features_to_metric(
        fake, real, kid_subsets=3, kid_subset_size=300, kid_kernel="poly", kid_kernel_poly_degree=3,
        kid_kernel_poly_gamma=None, kid_kernel_poly_coef0=1.0, rng_seed=0, verbose=False,
    )  # fmt: skip
    ours = kid(real, fake, subsets=3, subset_size=300, generator=rng())
    assert ours.mean == pytest.approx(theirs["kernel_inception_distance_mean"], rel=1e-9)
    assert ours.std == pytest.approx(0, abs=1e-12)
    assert mmd2(real, fake, kernel=polynomial) == pytest.approx(ours.mean, rel=1e-9)


def test_rbf_is_torch_fidelitys():
    from torch_fidelity.metric_kid import kernel_mmd

    real, fake = normal(40, 5), 0.5 + normal(40, 5, seed=1)
    theirs = kernel_mmd(real.numpy(), fake.numpy(), kid_kernel="rbf", kid_kernel_rbf_sigma=2.0)
    assert mmd2(real, fake, kernel=rbf(2.0)) == pytest.approx(theirs, rel=1e-9)


def test_kid_over_subsets_agrees_in_mean_and_spread_with_torch_fidelity():
    from torch_fidelity.metric_kid import kid_features_to_metric

    real, fake = torch.relu(normal(400, 16)), torch.relu(0.1 + normal(500, 16, seed=1))
    theirs = kid_features_to_metric(
        fake, real, kid_subsets=400, kid_subset_size=50, kid_kernel="poly", kid_kernel_poly_degree=3,
        kid_kernel_poly_gamma=None, kid_kernel_poly_coef0=1.0, rng_seed=0, verbose=False,
    )  # fmt: skip
    ours = kid(real, fake, subsets=400, subset_size=50, generator=rng(3))
    assert ours.mean == pytest.approx(theirs["kernel_inception_distance_mean"], abs=6 * ours.std / 20)
    assert ours.std == pytest.approx(theirs["kernel_inception_distance_std"], rel=0.2)
    assert ours.mean == pytest.approx(mmd2(real, fake, kernel=polynomial), abs=4 * ours.std / 20)


def test_kid_is_the_generators_choice():
    real, fake = normal(100, 4), normal(100, 4, seed=1)
    first, second, other = (kid(real, fake, subsets=5, subset_size=20, generator=rng(s)) for s in (1, 1, 2))
    assert first == second != other


def test_spread_is_that_of_the_population_of_subsets():
    assert kid(normal(9, 2), normal(9, 2, seed=1), subsets=1, subset_size=5, generator=rng()).std == 0


def test_single_precision_features_are_computed_in_double():
    real, fake = normal(100, 8), normal(100, 8, seed=1)
    single = mmd2(real.float(), fake.float(), kernel=polynomial)
    assert single == pytest.approx(mmd2(real.float().double(), fake.float().double(), kernel=polynomial), rel=1e-12)


def test_refusals():
    x = normal(10, 3)
    with pytest.raises(InputError, match="d = 3 and the fake features d = 2"):
        mmd2(x, x[:, :2], kernel=polynomial)
    with pytest.raises(InputError, match="Got 1 rows of fake features, .* at least 2"):
        mmd2(x, x[:1], kernel=polynomial)
    assert mmd2(x[:1], x[:1], kernel=polynomial, unbiased=False) == pytest.approx(0)
    with pytest.raises(InputError, match=r"real features have shape \(10,\), expected \(n, d\)"):
        mmd2(x[:, 0], x, kernel=polynomial)
    with pytest.raises(InputError, match="3 of 30 numbers in the fake features are NaN"):
        kid(x, torch.where(torch.arange(10)[:, None] == 4, torch.nan, x), subset_size=5, generator=rng())
    for size in (1, 11):
        with pytest.raises(InputError, match=f"2 to 10 rows, got 100 subsets of {size}"):
            kid(x, x, subset_size=size, generator=rng())
    with pytest.raises(InputError, match="got 0 subsets"):
        kid(x, x, subsets=0, subset_size=5, generator=rng())
    for bad in (0.0, -1.0, math.inf, math.nan):
        with pytest.raises(InputError, match="bandwidth is a positive number"):
            rbf(bad)
        with pytest.raises(InputError, match="c is a positive number"):
            imq(bad)


def test_subsets_may_have_two_rows_and_all_of_the_smaller_sample():
    x, y = normal(5, 3), normal(8, 3, seed=1)
    for size in (2, 5):
        assert math.isfinite(kid(x, y, subsets=1, subset_size=size, generator=rng()).mean)
    assert math.isfinite(kid(x[:2], y[:2], subsets=1, subset_size=2, generator=rng()).mean)
    for size in (1, 6):
        with pytest.raises(InputError, match="2 to 5 rows"):
            kid(x, y, subsets=1, subset_size=size, generator=rng())


def test_no_kernel_of_a_distance_exceeds_one():
    x = normal(200, 8)
    for k in (rbf(1e-8), imq(1e-15)):  # as narrow as rounding: a squared distance of -1e-15 would show
        assert k(x, x).max() <= 1
