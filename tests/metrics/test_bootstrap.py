"""Intervals: closed forms, and how often they cover a truth that is known."""

import math

import pytest
import scipy.stats
import torch

from ganbook.errors import InputError
from ganbook.metrics import (
    Moments,
    bias_isotropic,
    bootstrap_interval,
    frechet_distance,
    frechet_from_moments,
    frechet_interval,
    jackknife_interval,
    mmd2,
    rbf,
)


def rng(seed=0):
    return torch.Generator().manual_seed(seed)


def normal(*shape, seed=0):
    return torch.randn(*shape, dtype=torch.float64, generator=rng(seed))


def mean_difference(x, y):
    return y.mean() - x.mean()


def frechet(x, y):
    return frechet_distance(x.mean(0), torch.cov(x.mT), y.mean(0), torch.cov(y.mT))


def share_covering(intervals, truth):
    return sum(interval.low <= truth <= interval.high for interval in intervals) / len(intervals)


def test_percentiles_of_a_mean_are_those_of_its_normal_limit():
    x = normal(400)
    low, high = bootstrap_interval(torch.mean, x, repetitions=4000, generator=rng(), level=0.9)
    mean, error = x.mean().item(), x.std(correction=0).item() / 20
    assert (low, high) == pytest.approx((mean - 1.645 * error, mean + 1.645 * error), abs=0.15 * error)


def test_ends_are_the_quantiles_of_the_resamples():
    """Of two rows 0 and 1 the mean over resamples is 0, ½ or 1 with probability ¼, ½, ¼."""
    x = torch.tensor([0.0, 1.0])
    assert bootstrap_interval(torch.mean, x, level=0.6, generator=rng()) == (0, 1)
    assert bootstrap_interval(torch.mean, x, level=0.4, generator=rng()) == (0.5, 0.5)


def test_the_basic_interval_is_the_percentile_interval_reflected():
    x = normal(30).exp()
    percentile = bootstrap_interval(torch.mean, x, repetitions=200, generator=rng(3))
    basic = bootstrap_interval(torch.mean, x, repetitions=200, generator=rng(3), kind="basic")
    estimate = x.mean().item()
    assert basic == pytest.approx((2 * estimate - percentile.high, 2 * estimate - percentile.low))


def test_arrays_are_drawn_apart_unless_paired():
    x = normal(200)
    apart = bootstrap_interval(mean_difference, x, x, repetitions=100, generator=rng())
    assert apart.high - apart.low > 0.2
    assert bootstrap_interval(mean_difference, x, x, repetitions=100, generator=rng(), paired=True) == (0, 0)


def test_the_interval_of_a_skewed_mean_covers_as_often_as_it_says():
    generator = rng(1)
    intervals = [
        bootstrap_interval(torch.mean, -torch.rand(60, generator=generator).log(), repetitions=200, generator=generator)
        for _ in range(100)
    ]
    assert 0.86 <= share_covering(intervals, 1.0) <= 0.99


# leaving out blocks


def test_of_a_mean_the_jackknife_is_students_interval():
    x = normal(12)
    expected = scipy.stats.t.interval(0.9, 11, x.mean().item(), x.std().item() / 12**0.5)
    assert jackknife_interval(torch.mean, x, blocks=12, level=0.9, generator=rng()) == pytest.approx(expected)


def test_variances_of_independent_samples_add_up():
    x, y = normal(10), 3 * normal(15, seed=1)
    low, high = jackknife_interval(mean_difference, x, y, blocks=5, generator=rng(2), level=0.9)
    order = rng(2)
    variance = 0
    for sample in (x, y):
        means = torch.stack(
            [block.mean() for block in sample[torch.randperm(len(sample), generator=order)].split(len(sample) // 5)]
        )
        variance += means.var().item() / 5
    half = scipy.stats.t.ppf(0.95, 4) * variance**0.5
    centre = mean_difference(x, y).item()
    assert (low, high) == pytest.approx((centre - half, centre + half))


def test_debiasing_the_plug_in_variance_gives_the_unbiased_one():
    x = normal(9)
    low, high = jackknife_interval(lambda z: z.var(correction=0), x, blocks=9, generator=rng(), debias=True)
    assert (low + high) / 2 == pytest.approx(x.var().item())
    low, high = jackknife_interval(lambda z: z.var(correction=0), x, blocks=9, generator=rng())
    assert (low + high) / 2 == pytest.approx(x.var(correction=0).item())


def test_coverage_of_a_squared_distance_with_a_bias():
    """|ȳ - x̄|² between N(0, I) and N(m, I) in 50 dimensions, 100 samples each: truth 1, bias 2 · 50 / 100 = 1."""
    generator, kinds = rng(3), {"percentile": [], "basic": [], "jackknife": [], "debiased": []}

    def distance(x, y):
        return (x.mean(0) - y.mean(0)).square().sum()

    for _ in range(60):
        x, y = (torch.randn(100, 50, generator=generator) for _ in range(2))
        y[:, 0] += 1
        for kind in ("percentile", "basic"):
            kinds[kind].append(bootstrap_interval(distance, x, y, repetitions=60, generator=generator, kind=kind))
        for kind in ("jackknife", "debiased"):
            interval = jackknife_interval(distance, x, y, blocks=10, generator=generator, debias=kind == "debiased")
            kinds[kind].append(interval)
    assert share_covering(kinds["percentile"], 1.0) < 0.1 and share_covering(kinds["percentile"], 2.0) < 0.5
    for kind, value in {"jackknife": 2.0, "debiased": 1.0, "basic": 1.0}.items():
        assert share_covering(kinds[kind], value) > 0.85


def test_coverage_of_mmd2():
    """Copies in resamples bring back what the unbiased estimate leaves out; blocks do not. Truth as in test_kernel."""
    sigma, m, generator = 0.8, 1.0, rng(4)
    root = sigma / math.sqrt(sigma**2 + 2)
    truth = 2 * root * (1 - math.exp(-(m**2) / (2 * (sigma**2 + 2))))
    bootstrap, jackknife = [], []

    def statistic(x, y):
        return mmd2(x, y, kernel=rbf(sigma))

    for _ in range(30):
        real, fake = (torch.randn(40, 1, generator=generator) for _ in range(2))
        bootstrap.append(bootstrap_interval(statistic, real, fake + m, repetitions=40, generator=generator))
        jackknife.append(jackknife_interval(statistic, real, fake + m, blocks=8, generator=generator))
    copies = 2 * (1 - root) / 40  # (E k(x, x) - E k(x, x')) / n for each sample
    centres = [torch.tensor(intervals, dtype=torch.float64).mean(1) for intervals in (bootstrap, jackknife)]
    assert 0.5 * copies < (centres[0] - centres[1]).mean().item() < 3 * copies
    assert share_covering(jackknife, truth) > 0.8
    assert centres[1].mean().item() == pytest.approx(truth, abs=4 * centres[1].std().item() / 30**0.5)


@pytest.mark.long
def test_coverage_of_a_frechet_distance():
    """N(0, I) against N(m, I) with |m| = 1 in ten dimensions, 100 samples each: truth 1, bias 0.75.

    The percentile interval doubles the bias and misses both; the jackknife covers the expectation at n = 100, and
    without bias the truth, as does the basic interval.
    """
    d, n, truth, generator = 10, 100, 1.0, rng(1)
    expected = truth + bias_isotropic(d, n)
    kinds: dict[str, list] = {"percentile": [], "basic": [], "jackknife": [], "debiased": []}
    for _ in range(30):
        real, fake = (torch.randn(n, d, generator=generator, dtype=torch.float64) for _ in range(2))
        fake[:, 0] += truth
        for kind in ("percentile", "basic"):
            kinds[kind].append(bootstrap_interval(frechet, real, fake, repetitions=40, generator=generator, kind=kind))
        kinds["jackknife"].append(jackknife_interval(frechet, real, fake, blocks=10, generator=generator))
        kinds["debiased"].append(jackknife_interval(frechet, real, fake, blocks=10, generator=generator, debias=True))
    assert share_covering(kinds["percentile"], truth) < 0.1 and share_covering(kinds["percentile"], expected) < 0.8
    covered = {"jackknife": expected, "debiased": truth, "basic": truth}
    for kind, value in covered.items():
        centres = torch.tensor(kinds[kind], dtype=torch.float64).mean(1)
        assert centres.mean().item() == pytest.approx(value, abs=4 * centres.std().item() / 30**0.5)
        assert share_covering(kinds[kind], value) > 0.8
    width = [high - low for low, high in kinds["jackknife"]]
    assert sum(width) / len(width) < 2 * truth  # not by being endless


@pytest.mark.parametrize("debias", [False, True])
def test_blocks_of_moments_give_the_same_interval(debias):
    """Against the formula over left-out blocks of features; Student's t for 95 % is 3.182 with 3 degrees of freedom."""
    blocks = {"x": normal(4, 30, 3).unbind(), "y": (0.5 + normal(5, 20, 3, seed=1)).unbind()}
    moments = {side: [Moments(3).update(block) for block in parts] for side, parts in blocks.items()}
    whole = {side: torch.cat(parts) for side, parts in blocks.items()}
    estimate = frechet(**whole)
    variance, bias = {}, {}
    for side, parts in blocks.items():
        n = len(parts)
        left = [frechet(**(whole | {side: torch.cat(parts[:b] + parts[b + 1 :])})) for b in range(n)]
        values = torch.tensor(left, dtype=torch.float64)
        variance[side] = (n - 1) / n * (values - values.mean()).square().sum().item()
        bias[side] = (n - 1) * (values.mean().item() - estimate)
    for sides, real, freedom in ((["x", "y"], moments["x"], 3), (["y"], [Moments(3).update(whole["x"])], 4)):
        half = scipy.stats.t.ppf(0.975, freedom) * sum(variance[side] for side in sides) ** 0.5
        centre = estimate - debias * sum(bias[side] for side in sides)
        assert frechet_interval(real, moments["y"], debias=debias) == pytest.approx((centre - half, centre + half))
    assert all(part.n == 30 for part in moments["x"])


def test_every_interval_is_the_generators_choice():
    x = normal(40)
    for interval in (bootstrap_interval, jackknife_interval):
        first, second, other = (interval(torch.var, x, generator=rng(s)) for s in (1, 1, 2))
        assert first == second != other


def test_refusals():
    x = normal(30)
    for interval in (bootstrap_interval, jackknife_interval):
        for level in (0.0, 1.0, 95.0, math.nan):
            with pytest.raises(InputError, match="between 0 and 1"):
                interval(torch.mean, x, level=level, generator=rng())
        for arrays in ((), (x[:1],), (x, x[0])):
            with pytest.raises(InputError, match="at least one array with two rows"):
                interval(torch.mean, *arrays, generator=rng())
        with pytest.raises(InputError, match="came out as nan"):
            interval(lambda _: math.nan, x, generator=rng())
    with pytest.raises(InputError, match="39 repetitions have no 0.95 interval: at least 40 "):
        bootstrap_interval(torch.mean, x, repetitions=39, generator=rng())
    with pytest.raises(InputError, match=r"lengths \[30, 20\]"):
        bootstrap_interval(mean_difference, x, x[:20], generator=rng(), paired=True)
    for blocks in (1, 31):
        with pytest.raises(InputError, match=f"2 to 30 blocks, got {blocks}"):
            jackknife_interval(torch.mean, x, blocks=blocks, generator=rng())
    part = Moments(2).update(normal(20, 2))
    with pytest.raises(InputError, match="got 1 and 1"):
        frechet_interval([part], [part])
    with pytest.raises(InputError, match="got 2 and 0"):
        frechet_interval([], [part, part])
    with pytest.raises(InputError, match="between 0 and 1"):
        frechet_interval([part], [part, part], level=2.0)
    few = Moments(2).update(normal(2, 2))
    with pytest.raises(InputError, match="at least 3 are needed"):
        frechet_interval([part], [few, few])
    assert frechet_from_moments(part, part) == pytest.approx(0, abs=1e-12)


def test_blocks_may_be_two_and_as_many_as_the_shorter_sample_has_rows():
    x, y = normal(4), normal(9, seed=1)
    for blocks in (2, 4):
        low, high = jackknife_interval(mean_difference, x, y, blocks=blocks, generator=rng())
        assert low < high
    for blocks in (1, 5):
        with pytest.raises(InputError, match="4 rows are dealt out to 2 to 4 blocks"):
            jackknife_interval(mean_difference, x, y, blocks=blocks, generator=rng())
