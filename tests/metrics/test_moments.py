"""Moments of streamed, merged and left-out batches against numpy's of the whole."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ganbook.errors import InputError
from ganbook.metrics import Moments


def rng(seed=0):
    return torch.Generator().manual_seed(seed)


def normal(*shape, seed=0):
    return torch.randn(*shape, dtype=torch.float64, generator=rng(seed))


@given(sizes=st.lists(st.integers(0, 7), min_size=2, max_size=6).filter(lambda s: sum(s) >= 2), seed=st.integers(0, 99))
@settings(max_examples=30)
def test_streamed_and_merged_moments_are_those_of_the_whole(sizes, seed):
    x = normal(sum(sizes), 3, seed=seed) * torch.tensor([1.0, 10.0, 0.1]) + 5
    streamed, half = Moments(3), Moments(3)
    for i, part in enumerate(x.split(sizes)):
        (streamed if i % 2 else half).update(part)
    streamed.merge(half)
    assert streamed.n == len(x)
    np.testing.assert_allclose(streamed.mean, x.numpy().mean(0), rtol=1e-12, atol=1e-13)
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
    for entry in moments.state().values():
        entry.zero_()
    state = moments.state()
    moments.update(normal(4, 3, seed=1))
    back = Moments.from_state(state)
    assert back.n == 10 and moments.n == 14
    back.update(normal(4, 3, seed=1))
    assert Moments.from_state(state).n == 10  # not touched by what was made of it
    again = Moments(3).update(normal(10, 3))
    assert torch.equal(Moments.from_state(state).covariance, again.covariance)
    assert torch.equal(Moments.from_state(state).mean, again.mean)
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


def test_one_dimension_is_enough():
    assert Moments(1).update(torch.tensor([[1.0], [3.0]])).covariance.tolist() == [[2.0]]
