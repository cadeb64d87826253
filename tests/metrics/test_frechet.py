"""The Fréchet distance against closed forms, scipy and its own sampling law."""

import numpy as np
import pytest
import scipy.linalg
import torch
from hypothesis import given
from hypothesis import strategies as st

from ganbook.errors import InputError
from ganbook.metrics import (
    Moments,
    bias_isotropic,
    frechet_distance,
    frechet_from_moments,
    frechet_infinity,
)


def rng(seed=0):
    return torch.Generator().manual_seed(seed)


def normal(*shape, seed=0):
    return torch.randn(*shape, dtype=torch.float64, generator=rng(seed))


def covariance(d, seed, *, rank=None):
    """A covariance with eigenvalues over three decades, or of a given rank."""
    factor = normal(d, rank or d, seed=seed) * torch.logspace(0, -1.5, rank or d, dtype=torch.float64)
    return factor @ factor.mT


def by_sqrtm(mu1, cov1, mu2, cov2):
    root = scipy.linalg.sqrtm((cov1 @ cov2).numpy())
    return ((mu1 - mu2).square().sum() + cov1.trace() + cov2.trace()).item() - 2 * np.trace(root).real


def population(d, *, scale=1.0, shift=0.0, n=10**9):
    """Moments of N(shift/√d·1, scale²·I) as if measured on n samples, exactly."""
    mean = torch.full((d,), shift / d**0.5, dtype=torch.float64)
    scatter = scale**2 * (n - 1) * torch.eye(d, dtype=torch.float64)
    return Moments.from_state({"n": torch.tensor(n), "mean": mean, "scatter": scatter})


def test_of_a_gaussian_with_itself_is_zero_and_never_negative():
    for seed in range(20):
        mu, cov = normal(50), covariance(50, seed)
        assert 0 <= frechet_distance(mu, cov, mu, cov) <= 1e-9 * cov.trace().item()


@pytest.mark.chapter(name="12_evaluation")
@given(shift=st.floats(-100, 100), scale=st.floats(1e-3, 1e3))
def test_a_translation_costs_its_squared_length(shift, scale):
    cov = scale * covariance(6, 2)
    got = frechet_distance(torch.zeros(6), cov, torch.full((6,), shift, dtype=torch.float64), cov)
    assert got == pytest.approx(6 * shift**2, rel=1e-9, abs=1e-9 * cov.trace().item())


@pytest.mark.chapter(name="12_evaluation")
@given(a=st.floats(0.01, 100), b=st.floats(0.01, 100), d=st.integers(1, 8))
def test_scaled_identities(a, b, d):
    eye, mu = torch.eye(d, dtype=torch.float64), torch.zeros(d)
    assert frechet_distance(mu, a**2 * eye, mu, b**2 * eye) == pytest.approx(
        d * (a - b) ** 2, rel=1e-9, abs=1e-10 * d * (a * a + b * b)
    )


@pytest.mark.chapter(name="12_evaluation")
def test_commuting_covariances_compare_axis_by_axis():
    a, b = torch.tensor([1.0, 4.0, 9.0]).double(), torch.tensor([16.0, 0.25, 9.0]).double()
    rotation = torch.linalg.qr(normal(3, 3)).Q
    cov1, cov2 = (rotation @ torch.diag(x) @ rotation.mT for x in (a, b))
    expected = (a.sqrt() - b.sqrt()).square().sum().item()  # 9 + 2.25 + 0
    assert frechet_distance(torch.zeros(3), cov1, torch.zeros(3), cov2) == pytest.approx(expected, rel=1e-12)


@pytest.mark.chapter(name="12_evaluation")
@pytest.mark.parametrize("d", [2, 64, 256])
def test_equals_the_sqrtm_route(d):
    one, two = (normal(d, seed=3), covariance(d, 4)), (normal(d, seed=5), covariance(d, 6))
    assert frechet_distance(*one, *two) == pytest.approx(by_sqrtm(*one, *two), rel=1e-6)


def test_is_symmetric_in_its_arguments():
    one, two = (normal(40, seed=3), covariance(40, 4)), (normal(40, seed=5), covariance(40, 6))
    assert frechet_distance(*one, *two) == pytest.approx(frechet_distance(*two, *one), rel=1e-10)


def test_singular_covariances_on_either_side():
    """Gaussians on the axes 1-2 and 2-3: only the shared axis is transported, the rest costs its whole variance."""
    cov1, cov2 = torch.diag(torch.tensor([1.0, 4.0, 0.0])), torch.diag(torch.tensor([0.0, 9.0, 16.0]))
    mu = torch.zeros(3)
    assert frechet_distance(mu, cov1, mu, cov2) == pytest.approx(1 + (2 - 3) ** 2 + 16)
    assert frechet_distance(mu, torch.zeros(3, 3), mu, cov2) == pytest.approx(25)
    low, full, mu = covariance(150, 7, rank=50), covariance(150, 8), torch.zeros(150)  # several blocks
    assert frechet_distance(mu, low, mu, full) == pytest.approx(frechet_distance(mu, full, mu, low), rel=1e-6)


def test_any_dtype_gives_a_float64_result():
    one, two = (normal(20, seed=3), covariance(20, 4)), (normal(20, seed=5), covariance(20, 6))
    single = frechet_distance(*(x.float() for x in (*one, *two)))
    assert isinstance(single, float) and single == pytest.approx(frechet_distance(*one, *two), rel=1e-5)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((torch.zeros(3), torch.eye(3), torch.zeros(2), torch.eye(2)), "3 and 2 dimensions"),
        ((torch.zeros(3), torch.eye(2), torch.zeros(3), torch.eye(3)), r"covariance of shape \(2, 2\)"),
        ((torch.zeros(1, 3), torch.eye(3), torch.zeros(3), torch.eye(3)), r"mean of shape \(1, 3\)"),
        ((torch.zeros(0), torch.zeros(0, 0), torch.zeros(0), torch.zeros(0, 0)), r"expected \(d,\) and \(d, d\)"),
        ((torch.zeros(3), torch.eye(3), torch.full((3,), float("nan")), torch.eye(3)), "3 of 3 .* NaN or infinite"),
        ((torch.zeros(2), torch.eye(2), torch.zeros(2), torch.eye(2) / 0), "4 of 4 .* covariance"),
        ((torch.zeros(2), torch.eye(2), torch.zeros(2), torch.tensor([[1.0, 0.5], [0.0, 1.0]])), "not symmetric"),
        ((torch.zeros(2), torch.diag(torch.tensor([1.0, -1.0])), torch.zeros(2), torch.eye(2)), "eigenvalue -1"),
        ((torch.zeros(2), torch.eye(2), torch.zeros(2), torch.diag(torch.tensor([1.0, -1.0]))), "no covariance"),
        ((torch.zeros(2, dtype=torch.int64), torch.eye(2), torch.zeros(2), torch.eye(2)), "torch.int64"),
    ],
)
def test_refuses_what_is_no_gaussian(arguments, message):
    with pytest.raises(InputError, match=message):
        frechet_distance(*arguments)


# sample size


def test_too_few_samples_are_refused_with_the_minimum_and_a_way_out():
    real, fake = Moments(8).update(normal(100, 8)), Moments(8).update(normal(8, 8, seed=1))
    with pytest.raises(InputError, match=r"at least 9 .*100 real and 8 fake.*`kid`.*judge"):
        frechet_from_moments(real, fake)
    with pytest.raises(InputError, match="8 real and 100 fake"):
        frechet_from_moments(fake, real)
    assert frechet_from_moments(real, fake, allow_singular=True) > 0
    fake.update(normal(1, 8, seed=2))
    assert frechet_from_moments(real, fake) == frechet_distance(real.mean, real.covariance, fake.mean, fake.covariance)


@pytest.mark.chapter(name="12_evaluation")
@pytest.mark.parametrize(("d", "n"), [(4, 400), (16, 1000), (16, 2000)])
def test_the_bias_law_measured(d, n):
    generator = rng(d)
    values = torch.tensor(
        [
            frechet_from_moments(*(Moments(d).update(torch.randn(n, d, generator=generator)) for _ in range(2)))
            for _ in range(200)
        ]
    )
    law = bias_isotropic(d, n)
    assert values.mean().item() == pytest.approx(law, abs=4 * values.std().item() / 200**0.5 + 0.02 * law)


def test_the_bias_law_is_the_stated_formula():
    assert bias_isotropic(64, 1000) == pytest.approx(2.208)
    with pytest.raises(InputError, match="n = 1"):
        bias_isotropic(64, 1)


def test_extrapolation_finds_the_value_and_the_slope():
    """Fakes N(0, 4I) against an exact N(m, I): the truth is d + |m|², bias 4d/n + d(d+1)/(2n).

    tr (4I + E)^½ = 2d + tr E/4 - |E|²/64 + …, and E|E|² = 16 d(d + 1)/n.
    """
    d, shift = 10, 2.0
    real = population(d, shift=shift)
    generator = rng(1)
    sizes = [100, 125, 160, 200, 300, 500]
    lines = [
        frechet_infinity(real, 2 * torch.randn(500, d, generator=generator), sizes=sizes, generator=generator)
        for _ in range(100)
    ]
    values, slopes, r2 = (torch.tensor(column) for column in zip(*lines, strict=True))
    truth = d + shift**2
    assert values.mean().item() == pytest.approx(truth, abs=4 * values.std().item() / 10)
    assert slopes.mean().item() == pytest.approx(4 * d + d * (d + 1) / 2, abs=4 * slopes.std().item() / 10)
    assert ((r2 >= 0) & (r2 <= 1)).all()


def test_a_straight_line_is_found_exactly():
    from ganbook.metrics.frechet import _line

    x = torch.tensor([0.1, 0.2, 0.5]).double()
    assert _line(x, 3 - 2 * x) == pytest.approx((3, -2, 1))
    assert _line(torch.tensor([0.0, 1.0, 2.0]).double(), torch.tensor([0.0, 1.0, 0.0]).double()).r2 == pytest.approx(0)


def test_extrapolation_is_repeatable_and_refuses_sizes_that_are_no_line():
    real, fake = population(5), normal(100, 5)
    first, second, other = (frechet_infinity(real, fake, sizes=[20, 90], generator=rng(s)) for s in (4, 4, 5))
    assert first == second != other
    for sizes in ([50], [50, 50], [5, 50], [50, 101], []):
        with pytest.raises(InputError, match=r"two different sizes between 6 .* and 100"):
            frechet_infinity(real, fake, sizes=sizes, generator=rng())
    with pytest.raises(InputError, match="and 5 real samples"):
        frechet_infinity(Moments(5).update(fake[:5]), fake, sizes=[20, 90], generator=rng())
    with pytest.raises(InputError, match=r"fakes are \(N, 5\); got \(100, 4\)"):
        frechet_infinity(real, fake[:, :4], sizes=[20, 90], generator=rng())


def test_a_flat_line_is_explained_in_full():
    from ganbook.metrics.frechet import _line

    x = torch.tensor([0.1, 0.2, 0.5]).double()
    assert tuple(_line(x, torch.full_like(x, 4.0))) == (4.0, 0.0, 1.0)


def test_the_bias_law_begins_at_one_dimension_and_two_samples():
    assert bias_isotropic(1, 2) == 1.5
    for d, n in ((0, 2), (1, 1)):
        with pytest.raises(InputError, match="d ≥ 1 dimensions and n ≥ 2 samples"):
            bias_isotropic(d, n)


def test_negative_eigenvalues_that_are_rounding_count_as_zero():
    """The product of two covariances of rank 3 in 40 dimensions has eigenvalues of some -1e-17."""
    zero = torch.zeros(40, dtype=torch.float64)
    for seed in range(10):
        a, b = covariance(40, seed, rank=3), covariance(40, seed + 100, rank=3)
        assert 0 < frechet_distance(zero, a, zero, b) < (a.trace() + b.trace()).item()


def test_the_tolerance_for_negative_eigenvalues_grows_with_both_covariances():
    zero, scale = torch.zeros(3, dtype=torch.float64), 1e6
    broken = torch.diag(torch.tensor([1.0, 1.0, -1e-3], dtype=torch.float64))
    for mine, theirs in (
        (torch.eye(3, dtype=torch.float64), broken),
        (scale * torch.eye(3, dtype=torch.float64), broken / scale),
    ):
        with pytest.raises(InputError):
            frechet_distance(zero, mine, zero, theirs)
