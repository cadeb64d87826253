"""The Inception Score at its bounds, by its formula, and against torch-fidelity."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import ganbook._torchvision  # noqa: F401  (torch_fidelity imports torchvision)
from ganbook.errors import InputError
from ganbook.metrics import inception_score, inception_score_of_probabilities, mode_score


def rng(seed=0):
    return torch.Generator().manual_seed(seed)


@pytest.mark.chapter(name="12_evaluation")
def test_sure_and_balanced_answers_score_the_number_of_classes():
    sure = torch.eye(7).repeat(20, 1)
    assert inception_score_of_probabilities(sure, splits=10) == pytest.approx((7, 0))
    assert inception_score(1000 * sure, splits=10) == pytest.approx((7, 0))


@pytest.mark.chapter(name="12_evaluation")
def test_one_answer_for_all_scores_one():
    same = torch.tensor([[0.1, 0.2, 0.7]]).repeat(50, 1)
    assert inception_score_of_probabilities(same) == pytest.approx((1, 0))
    only_one_class = torch.tensor([[0.0, 1.0, 0.0]]).repeat(50, 1)  # 0 log 0
    assert inception_score_of_probabilities(only_one_class) == pytest.approx((1, 0))


def test_a_case_by_hand():
    """Two samples (p, 1-p) and (1-p, p): the marginal is even, the score is 2 exp(-entropy)."""
    p = 0.8
    expected = 2 * math.exp(p * math.log(p) + (1 - p) * math.log(1 - p))
    got = inception_score_of_probabilities(torch.tensor([[p, 1 - p], [1 - p, p]], dtype=torch.float64), splits=1)
    assert got == pytest.approx((expected, 0))


@pytest.mark.chapter(name="12_evaluation")
@given(seed=st.integers(0, 999), n=st.integers(2, 30), k=st.integers(1, 6), scale=st.floats(0, 500))
@settings(max_examples=50)
def test_lies_between_one_and_the_number_of_classes(seed, n, k, scale):
    logits = scale * torch.randn(n, k, generator=rng(seed))
    mean, std = inception_score(logits, splits=2)
    assert 1 - 1e-9 <= mean <= k + 1e-9 and std >= 0


@pytest.mark.parametrize(("n", "splits"), [(1000, 10), (1003, 7), (50, 1)])
def test_equals_torch_fidelity(n, splits):
    from torch_fidelity.metric_isc import isc_features_to_metric

    logits = 3 * torch.randn(n, 20, generator=rng(1))
    theirs = isc_features_to_metric(logits, splits=splits, shuffle=False)
    expected = (theirs["inception_score_mean"], theirs["inception_score_std"])
    assert inception_score(logits, splits=splits) == pytest.approx(expected, rel=1e-9, abs=1e-12)
    probabilities = torch.softmax(logits.double(), 1)
    assert inception_score_of_probabilities(probabilities, splits=splits) == pytest.approx(
        expected, rel=1e-9, abs=1e-12
    )


def test_sorted_samples_need_the_shuffle():
    by_class = torch.eye(10).repeat_interleave(100, 0)
    assert inception_score_of_probabilities(by_class).mean == pytest.approx(1)
    assert inception_score_of_probabilities(by_class, generator=rng()).mean > 9


def test_refusals():
    with pytest.raises(InputError, match="5 samples cannot be cut into 10 splits"):
        inception_score(torch.zeros(5, 3))
    with pytest.raises(InputError, match="into 0 splits"):
        inception_score(torch.zeros(5, 3), splits=0)
    with pytest.raises(InputError, match=r"shape \(5,\), expected \(n, d\)"):
        inception_score(torch.zeros(5))
    with pytest.raises(InputError, match="1 of 6 numbers in the logits"):
        inception_score(torch.tensor([[0.0, 1.0, torch.inf], [0.0, 0.0, 0.0]]), splits=1)
    with pytest.raises(InputError, match=r"smallest is -2 .*Logits belong into `inception_score`"):
        inception_score_of_probabilities(torch.tensor([[3.0, -2.0]]), splits=1)
    with pytest.raises(InputError, match="sum is off by 0.5"):
        inception_score_of_probabilities(torch.tensor([[1.0, 0.5]]), splits=1)


def test_the_mode_score_of_real_samples_is_their_inception_score():
    logits = torch.randn(200, 5, generator=torch.Generator().manual_seed(0)).double() * 3
    assert mode_score(logits, logits) == pytest.approx(inception_score(logits, splits=1).mean)


def test_the_mode_score_pays_for_classes_that_are_left_out():
    sure = 40.0 * torch.eye(4, dtype=torch.float64)
    real = sure.repeat(10, 1)
    assert mode_score(real, real) == pytest.approx(4)
    divergence = 0.5 * math.log(0.5) + 0.5 * (math.log(0.25) + 40)  # of (½, ½, e⁻⁴⁰, e⁻⁴⁰) from four quarters
    assert math.log(mode_score(real, sure[:2].repeat(10, 1))) == pytest.approx(math.log(2) - divergence, abs=1e-6)
    assert mode_score(real, sure[:2].repeat(10, 1)) < mode_score(real, sure[:3].repeat(10, 1)) < 1


@pytest.mark.parametrize(("off", "kept"), [(5e-4, True), (-5e-4, True), (1.5e-3, False), (-1.5e-3, False)])
def test_one_row_may_miss_the_sum_of_one_by_rounding_only(off, kept):
    rows = torch.full((6, 4), 0.25, dtype=torch.float64)
    rows[2, 0] += off
    if kept:
        assert inception_score_of_probabilities(rows, splits=1).mean == pytest.approx(1, abs=1e-3)
    else:
        with pytest.raises(InputError, match="a sum is off by 0.0015"):
            inception_score_of_probabilities(rows, splits=1)
