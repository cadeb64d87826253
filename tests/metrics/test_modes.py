"""Modes: cases by hand, perfect samplers at their floors, collapsed ones where they belong."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from ganbook.data import toy
from ganbook.errors import InputError
from ganbook.metrics import (
    captured_modes_expected,
    high_quality_ceiling,
    mode_statistics,
    reverse_kl_floor,
    stacked_modes,
)


def rng(seed=0):
    return torch.Generator().manual_seed(seed)


def points(*rows):
    return torch.tensor(rows, dtype=torch.float64)


def test_a_case_by_hand():
    """Modes at 0, 10, 20 with std 1: three good samples at the first, one at the second, two stray."""
    means = points([0.0, 0], [10, 0], [20, 0])
    samples = points([0, 2.9], [0, -1], [1, 1], [10, 0], [10, 3.1], [16, 0])
    kl = 0.75 * math.log(0.75 * 3) + 0.25 * math.log(0.25 * 3)
    assert mode_statistics(samples, means, 1.0) == pytest.approx((2, 3, 4 / 6, kl))
    assert mode_statistics(samples, means, 1.0, radius=3.5).high_quality == pytest.approx(5 / 6)
    weights = torch.tensor([0.5, 0.3, 0.2])
    weighted = 0.75 * math.log(0.75 / 0.5) + 0.25 * math.log(0.25 / 0.3)
    assert mode_statistics(samples, means, 1.0, weights=weights).reverse_kl == pytest.approx(weighted, rel=1e-6)


def test_the_radius_is_open_and_counts_in_standard_deviations():
    assert mode_statistics(points([3.0, 0]), points([0.0, 0]), 1.0).high_quality == 0
    assert mode_statistics(points([3.0, 0]), points([0.0, 0]), 1.01).high_quality == 1
    # at 4: 4 standard deviations from the narrow mode at 0, and 3 of the wide one's from 10
    wide = mode_statistics(points([4.0, 0]), points([0.0, 0], [10, 0]), torch.tensor([1.0, 2.5]))
    assert wide.captured == 1 and wide.high_quality == 1


@pytest.mark.chapter(name="08_mode_collapse")
@pytest.mark.parametrize(("name", "k"), [("ring", 8), ("grid", 25)])
def test_a_perfect_sampler_meets_ceiling_and_floor(name, k):
    mixture = {"ring": toy.ring, "grid": toy.grid}[name]()
    generator, n, repetitions = rng(1), 2500, 100
    results = [mode_statistics(mixture.sample(n, generator), mixture.means, mixture.std) for _ in range(repetitions)]
    assert all(r.captured == r.n_modes == k for r in results)
    ceiling = high_quality_ceiling(2)
    shares, kls = (torch.tensor(c) for c in zip(*((r.high_quality, r.reverse_kl) for r in results), strict=True))
    assert shares.mean().item() == pytest.approx(ceiling, abs=4 * (ceiling * (1 - ceiling) / n / repetitions) ** 0.5)
    floor = reverse_kl_floor(k, int(n * ceiling))
    assert kls.mean().item() == pytest.approx(floor, abs=4 * kls.std().item() / repetitions**0.5 + 0.01 * floor)


def test_one_mode_reached_and_none_reached():
    mixture = toy.ring()
    collapsed = mixture.means[2] + mixture.std[2] * torch.randn(2500, 2, generator=rng())
    got = mode_statistics(collapsed, mixture.means, mixture.std)
    assert got.captured == 1 and got.reverse_kl == pytest.approx(math.log(8))
    nowhere = mode_statistics(torch.zeros(2500, 2), mixture.means, mixture.std)
    assert nowhere[:3] == (0, 8, 0.0) and math.isnan(nowhere.reverse_kl)


def test_a_mode_that_should_not_occur_costs_infinitely_much():
    modes = points([0.0, 0], [10, 0])
    assert mode_statistics(modes, modes, 1.0, weights=torch.tensor([1.0, 0.0])).reverse_kl == math.inf
    assert mode_statistics(modes[:1], modes, 1.0, weights=torch.tensor([1.0, 0.0])).reverse_kl == pytest.approx(0)


# stacked images


def test_stacked_modes_by_hand():
    assert stacked_modes(torch.tensor([[0, 0, 7]] * 5)) == pytest.approx((1, 1000, math.log(1000)))
    orders = torch.tensor([[1, 2, 3], [3, 2, 1], [1, 3, 2], [1, 2, 3]])
    kl = 0.5 * math.log(500) + 2 * 0.25 * math.log(250)
    assert stacked_modes(orders) == pytest.approx((3, 1000, kl))
    assert stacked_modes(torch.tensor([[0, 1], [1, 1]]), classes=2)[:2] == (2, 4)


def test_weights_of_stacked_modes_count_the_first_channel_highest():
    weights = torch.full((1000,), 0.5 / 999)
    weights[123] = 0.5
    assert stacked_modes(torch.tensor([[1, 2, 3]]), weights=weights).reverse_kl == pytest.approx(math.log(2))


def test_every_mode_once_is_even():
    assert stacked_modes(torch.cartesian_prod(*[torch.arange(10)] * 3)) == pytest.approx((1000, 1000, 0))


@pytest.mark.chapter(name="08_mode_collapse")
def test_a_perfect_sampler_of_stacked_digits_meets_the_floor():
    generator = rng(2)
    results = [stacked_modes(torch.randint(10, (26_000, 3), generator=generator)) for _ in range(20)]
    kls = torch.tensor([r.reverse_kl for r in results])
    assert all(r.captured == 1000 for r in results)
    assert kls.mean().item() == pytest.approx(reverse_kl_floor(1000, 26_000), rel=0.02)
    few = [stacked_modes(torch.randint(10, (1500, 3), generator=generator)).captured for _ in range(20)]
    assert sum(few) / 20 == pytest.approx(captured_modes_expected(1000, 1500), abs=8)


@pytest.mark.chapter(name="08_mode_collapse")
def test_the_floors_are_the_stated_numbers():
    assert high_quality_ceiling(2) == pytest.approx(1 - math.exp(-9 / 2))
    assert high_quality_ceiling(1) == pytest.approx(math.erf(3 / math.sqrt(2)))
    assert high_quality_ceiling(4, radius=2.0) == pytest.approx(1 - 3 * math.exp(-2))
    assert reverse_kl_floor(1000, 26_000) == pytest.approx(0.01921, abs=1e-5)
    assert captured_modes_expected(1, 5) == 1 and captured_modes_expected(4, 1) == pytest.approx(1)


@given(radius=st.floats(0.1, 6), seed=st.integers(0, 99))
def test_more_radius_never_means_less(radius, seed):
    samples = 5 * torch.randn(50, 2, generator=rng(seed), dtype=torch.float64)
    small, large = (mode_statistics(samples, points([0.0, 0], [5, 5]), 1.0, radius=r) for r in (radius, radius + 0.5))
    assert small.captured <= large.captured and small.high_quality <= large.high_quality
    assert math.isnan(large.reverse_kl) or -1e-12 <= large.reverse_kl <= math.log(2) + 1e-12


def test_refusals():
    samples, means = torch.zeros(5, 2), torch.zeros(3, 2)
    with pytest.raises(InputError, match="samples have d = 2 and the means of the modes d = 3"):
        mode_statistics(samples, torch.zeros(4, 3), 1.0)
    for std in (0.0, -1.0, math.nan, math.inf, torch.ones(2), torch.tensor([1.0, 0.0, 1.0])):
        with pytest.raises(InputError, match="3 modes take a positive std"):
            mode_statistics(samples, means, std)
    with pytest.raises(InputError, match="radius 0"):
        mode_statistics(samples, means, 1.0, radius=0.0)
    with pytest.raises(InputError, match="10 of 10 numbers in the samples are NaN"):
        mode_statistics(samples * torch.nan, means, 1.0)
    with pytest.raises(InputError, match=r"shape \(3,\), got \(2,\)"):
        mode_statistics(samples, means, 1.0, weights=torch.ones(2) / 2)
    with pytest.raises(InputError, match="add up to 1"):
        mode_statistics(samples, means, 1.0, weights=torch.ones(3))
    with pytest.raises(InputError, match="whole class numbers, got torch.float32"):
        stacked_modes(torch.zeros(5, 3))
    for bad in (torch.zeros(5, dtype=torch.int64), torch.zeros(0, 3, dtype=torch.int64)):
        with pytest.raises(InputError, match="one class a channel"):
            stacked_modes(bad)
    for value in (-1, 10):
        with pytest.raises(InputError, match=f"from 0 to 9, got {value} to {value}"):
            stacked_modes(torch.full((2, 3), value))
    with pytest.raises(InputError, match="0 modes and 5 samples"):
        reverse_kl_floor(0, 5)
    with pytest.raises(InputError, match="5 modes and 0 samples"):
        captured_modes_expected(5, 0)
    with pytest.raises(InputError, match="got 0 and 3"):
        high_quality_ceiling(0)


@pytest.mark.parametrize("wrong", [-1, 10])
def test_one_class_out_of_range_is_enough_to_refuse(wrong):
    predictions = torch.full((5, 3), 4)
    predictions[2, 1] = wrong
    with pytest.raises(InputError, match="from 0 to 9"):
        stacked_modes(predictions)


def test_a_ceiling_takes_any_positive_radius():
    assert high_quality_ceiling(1, radius=0.5) == pytest.approx(math.erf(0.5 / math.sqrt(2)))
    with pytest.raises(InputError, match="radius > 0"):
        high_quality_ceiling(1, radius=0.0)


def test_true_shares_may_miss_one_by_rounding_only():
    samples, means = points([0.0, 0], [10, 0]), points([0.0, 0], [10, 0])
    for off in (5e-6, -5e-6):
        mode_statistics(samples, means, 1.0, weights=torch.tensor([0.5 + off, 0.5], dtype=torch.float64))
    for off in (1.5e-5, -1.5e-5):
        with pytest.raises(InputError, match="add up to 1"):
            mode_statistics(samples, means, 1.0, weights=torch.tensor([0.5 + off, 0.5], dtype=torch.float64))
