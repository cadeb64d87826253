"""The Fréchet distance against closed forms, scipy and its own sampling law; moments against numpy."""

import numpy as np
import pytest
import scipy.linalg
import torch
from hypothesis import given, settings
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


def test_of_a_gaussian_with_itself_is_zero():
    cov = covariance(50, 1)
    assert frechet_distance(normal(50), cov, normal(50), cov) == pytest.approx(0, abs=1e-9 * cov.trace().item())


@given(shift=st.floats(-100, 100), scale=st.floats(1e-3, 1e3))
def test_a_translation_costs_its_squared_length(shift, scale):
    cov = scale * covariance(6, 2)
    got = frechet_distance(torch.zeros(6), cov, torch.full((6,), shift, dtype=torch.float64), cov)
    assert got == pytest.approx(6 * shift**2, rel=1e-9, abs=1e-9 * cov.trace().item())


@given(a=st.floats(0.01, 100), b=st.floats(0.01, 100), d=st.integers(1, 8))
def test_scaled_identities(a, b, d):
    eye, mu = torch.eye(d, dtype=torch.float64), torch.zeros(d)
    assert frechet_distance(mu, a**2 * eye, mu, b**2 * eye) == pytest.approx(
        d * (a - b) ** 2, rel=1e-9, abs=1e-10 * d * (a * a + b * b)
    )


def test_commuting_covariances_compare_axis_by_axis():
    a, b = torch.tensor([1.0, 4.0, 9.0]).double(), torch.tensor([16.0, 0.25, 9.0]).double()
    rotation = torch.linalg.qr(normal(3, 3)).Q
    cov1, cov2 = (rotation @ torch.diag(x) @ rotation.mT for x in (a, b))
    expected = (a.sqrt() - b.sqrt()).square().sum().item()  # 9 + 2.25 + 0
    assert frechet_distance(torch.zeros(3), cov1, torch.zeros(3), cov2) == pytest.approx(expected, rel=1e-12)


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


# moments


@given(sizes=st.lists(st.integers(0, 7), min_size=2, max_size=6).filter(lambda s: sum(s) >= 2), seed=st.integers(0, 99))
@settings(max_examples=30)
def test_streamed_and_merged_moments_are_those_of_the_whole(sizes, seed):
    x = normal(sum(sizes), 3, seed=seed) * torch.tensor([1.0, 10.0, 0.1]) + 5
    streamed, half = Moments(3), Moments(3)
    for i, part in enumerate(x.split(sizes)):
        (streamed if i % 2 else half).update(part)
    streamed.merge(half)
    assert streamed.n == len(x)
    np.testing.assert_allclose(streamed.mean, x.numpy().mean(0), rtol=1e-12)
    np.testing.assert_allclose(streamed.covariance, np.cov(x.numpy().T), rtol=1e-9, atol=1e-12)


def test_batches_longer_than_a_chunk_count_whole():
    x = normal(2500, 2)
    moments = Moments(2).update(x)
    assert moments.n == 2500
    np.testing.assert_allclose(moments.covariance, np.cov(x.numpy().T), rtol=1e-12)


def test_a_large_offset_costs_no_digits():
    x = normal(4000, 2)
    moved = Moments(2).update(x + 1e6)
    torch.testing.assert_close(moved.covariance, Moments(2).update(x).covariance, rtol=1e-8, atol=1e-8)


def test_half_precision_features_are_accumulated_in_double():
    x = normal(3000, 4).half()
    moments = Moments(4).update(x)
    assert moments.mean.dtype == moments.covariance.dtype == torch.float64
    np.testing.assert_allclose(moments.mean, x.numpy().astype(np.float64).mean(0), rtol=1e-12)


def test_merging_leaves_the_other_as_it_was():
    a, b = Moments(2).update(normal(5, 2)), Moments(2).update(normal(7, 2, seed=1))
    before = b.covariance
    a.merge(b).update(normal(3, 2))
    assert b.n == 7 and torch.equal(b.covariance, before)
    empty = Moments(2).merge(b)
    empty.update(normal(3, 2))
    assert b.n == 7 and torch.equal(b.covariance, before)


def test_a_part_can_be_left_out():
    x = 100 + normal(50, 3)
    whole, part = Moments(3).update(x), Moments(3).update(x[30:])
    rest, alone = whole.without(part), Moments(3).update(x[:30])
    assert rest.n == 30 and whole.n == 50
    torch.testing.assert_close(rest.mean, alone.mean, rtol=1e-12, atol=0)
    torch.testing.assert_close(rest.covariance, alone.covariance, rtol=1e-10, atol=1e-10)
    assert whole.without(whole).n == 0 and torch.equal(whole.without(Moments(3)).covariance, whole.covariance)
    for other in (Moments(2), Moments(3).update(normal(51, 3))):
        with pytest.raises(InputError, match="50 rows of width 3 cannot contain"):
            whole.without(other)


def test_state_brings_the_moments_back_and_is_a_copy():
    moments = Moments(3).update(normal(10, 3))
    state = moments.state()
    moments.update(normal(4, 3, seed=1))
    back = Moments.from_state(state)
    assert back.n == 10 and moments.n == 14
    back.update(normal(4, 3, seed=1))
    assert torch.equal(back.mean, moments.mean) and torch.equal(back.covariance, moments.covariance)


def test_refused_features_leave_the_moments_alone():
    moments = Moments(3).update(normal(10, 3))
    broken = normal(2000, 3)
    broken[1500, 1] = float("inf")
    with pytest.raises(InputError, match="1 of .* NaN or infinite"):
        moments.update(broken)
    assert moments.n == 10


def test_refusals_of_moments():
    with pytest.raises(InputError, match=r"features \(m, 3\), got \(5, 2\)"):
        Moments(3).update(torch.zeros(5, 2))
    with pytest.raises(InputError, match=r"got \(3,\)"):
        Moments(3).update(torch.zeros(3))
    with pytest.raises(InputError, match="torch.uint8"):
        Moments(3).update(torch.zeros(5, 3, dtype=torch.uint8))
    with pytest.raises(InputError, match="d ≥ 1"):
        Moments(0)
    with pytest.raises(InputError, match="width 3 cannot take in moments of width 2"):
        Moments(3).merge(Moments(2))
    with pytest.raises(InputError, match="at least 2 samples, these moments have seen 1"):
        _ = Moments(3).update(torch.zeros(1, 3)).covariance
    with pytest.raises(InputError, match="holds n, mean and scatter, got mean, n"):
        Moments.from_state({"n": torch.tensor(1), "mean": torch.zeros(2)})
    with pytest.raises(InputError, match=r"covariance of shape \(3, 3\)"):
        Moments.from_state({"n": torch.tensor(1), "mean": torch.zeros(2), "scatter": torch.zeros(3, 3)})
    with pytest.raises(InputError, match="-1 samples"):
        Moments.from_state({"n": torch.tensor(-1), "mean": torch.zeros(2), "scatter": torch.zeros(2, 2)})


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
    assert frechet_infinity(real, fake, sizes=[20, 90], generator=rng(4)) == frechet_infinity(
        real, fake, sizes=[20, 90], generator=rng(4)
    )
    for sizes in ([50], [50, 50], [5, 50], [50, 101], []):
        with pytest.raises(InputError, match=r"two different sizes between 6 .* and 100"):
            frechet_infinity(real, fake, sizes=sizes, generator=rng())
    with pytest.raises(InputError, match=r"fakes are \(N, 5\); got \(100, 4\)"):
        frechet_infinity(real, fake[:, :4], sizes=[20, 90], generator=rng())
