"""Comparisons of variants, against textbook values, scipy, and cases whose answer is plain."""

import math
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from ganbook.comparison import better, by_variant, concordance, holm, paired, ranking
from ganbook.errors import InputError
from ganbook.results import Record
from ganbook.tables import half_width


def record(loss, seed, accuracy, *, scale="cpu", protocol="n 10", metric="accuracy"):
    params = {"loss": loss, "seed": seed}
    return Record(scale, "tiny", f"{loss}{seed}", Path("x"), params, {metric: accuracy}, {"n": protocol}, {})


def test_the_interval_is_students():
    values = np.random.default_rng(0).normal(3, 2, 7)
    low, high = stats.t.interval(0.95, 6, loc=values.mean(), scale=stats.sem(values))
    assert half_width(values.tolist()) == pytest.approx((high - low) / 2)
    assert half_width([1.0, 2.0]) == pytest.approx(12.706 * 0.5, rel=1e-3)  # t(1) of any table
    assert half_width([2.0, 2.0, 2.0]) == 0
    assert math.isnan(half_width([1.0]))


def test_an_interval_covers_the_mean_as_often_as_it_says():
    draws = np.random.default_rng(1).normal(0, 1, (2000, 4))
    covered = [abs(row.mean()) <= half_width(row.tolist()) for row in draws]
    assert 0.93 < np.mean(covered) < 0.97


def test_pairs_find_what_the_seeds_hide():
    rng = np.random.default_rng(2)
    seeds = rng.normal(0, 10, 8)  # a good seed is good for both
    values = {
        "a": {s: float(seeds[s]) for s in range(8)},
        "b": {s: float(seeds[s] + 1 + rng.normal(0, 0.1)) for s in range(8)},
    }
    (row,) = paired(values).to_dict("records")
    assert row["variant"] == "b" and row["n"] == 8
    assert row["difference"] == pytest.approx(1, abs=0.2)
    assert row["p"] < 1e-4
    unpaired = stats.ttest_ind(list(values["a"].values()), list(values["b"].values())).pvalue
    assert unpaired > 0.5
    reference = stats.ttest_rel(list(values["b"].values()), list(values["a"].values()))
    assert (row["t"], row["p"]) == pytest.approx((reference.statistic, reference.pvalue))


def test_only_common_seeds_count_and_too_few_of_them_prove_nothing():
    values = {"a": {0: 1.0, 1: 2.0}, "b": {1: 5.0, 2: 9.0}, "c": {7: 1.0}, "d": {0: 2.0, 1: 3.0}}
    rows = paired(values, "a").set_index("variant")
    assert rows.loc["b", "n"] == 1 and rows.loc["b", "difference"] == 3
    assert rows.loc["c", "n"] == 0 and math.isnan(rows.loc["c", "difference"])
    assert rows.loc["d", "difference"] == 1 and rows.loc["d", "ci"] == 0  # the same at every seed: t is no number
    assert rows["p"].isna().all() and rows["p_holm"].isna().all()
    assert "a" not in rows.index
    with pytest.raises(InputError, match="Unknown variant 'e'"):
        paired(values, "e")


def test_holms_correction_steps_down_and_never_falls():
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert holm([0.5, 0.9]) == pytest.approx([1.0, 1.0])
    corrected = holm([0.02, math.nan])
    assert corrected[0] == 0.02 and math.isnan(corrected[1])


def test_a_ranking_counts_from_the_good_end_and_says_how_far_seeds_agree():
    agreed = {"good": {0: 3.0, 1: 30.0, 2: 8.0}, "middle": {0: 2.0, 1: 20.0, 2: 7.0}, "bad": {0: 1.0, 1: 10.0, 2: 6.0}}
    table = ranking(agreed, "accuracy")
    assert list(table["variant"]) == ["good", "middle", "bad"]
    assert list(table["mean_rank"]) == [1, 2, 3] and list(table["first"]) == [1, 0, 0]
    assert table.attrs["kendall_w"] == pytest.approx(1)
    assert list(ranking(agreed, "fid10k")["variant"]) == ["bad", "middle", "good"]
    torn = {"a": {0: 1.0, 1: 2.0}, "b": {0: 2.0, 1: 1.0}}
    table = ranking(torn, "accuracy")
    assert list(table["first"]) == [0.5, 0.5] and list(table["worst"]) == [2, 2]
    assert table.attrs["kendall_w"] == 0


def test_concordance_follows_friedmans_statistic():
    import pandas as pd

    values = np.random.default_rng(3).integers(0, 4, (6, 5)).astype(float)  # with ties
    ranks = pd.DataFrame(values).rank(axis=1)
    friedman = stats.friedmanchisquare(*values.T).statistic
    assert concordance(ranks) == pytest.approx(friedman / (6 * (5 - 1)))  # W = chi-square / (m (k - 1))
    assert math.isnan(concordance(ranks.head(1)))
    assert math.isnan(concordance(pd.DataFrame([[1.5, 1.5], [1.5, 1.5]])))


def test_values_are_sorted_by_variant_and_seed_and_unlike_ones_refused():
    records = [record("hinge", 0, 0.9), record("hinge", 1, 0.8), record("lsgan", 0, 0.7)]
    assert by_variant(records, "accuracy") == {"loss=hinge": {0: 0.9, 1: 0.8}, "loss=lsgan": {0: 0.7}}
    for more, told in (
        (record("lsgan", 1, 0.9, protocol="n 99"), "measured in 2 ways"),
        (record("hinge", 0, 0.9), "two records of seed 0"),
        (record("lsgan", 1, 0.9, scale="gpu"), "at one scale, got cpu/tiny, gpu/tiny"),
    ):
        with pytest.raises(InputError, match=told):
            by_variant([*records, more], "accuracy")
    with pytest.raises(InputError, match="Did you mean 'accuracy'"):
        by_variant(records, "accuracyy")


@pytest.mark.parametrize(
    ("metric", "good"),
    [
        ("fid10k", "less"),
        ("fd5k(mnist-judge)", "less"),
        ("KID", "less"),
        ("judge_accuracy", "more"),
        ("recall", "more"),
        ("precision5k(mnist-judge)", "more"),
        ("within_class_spread", ""),  # best at 1
    ],
)
def test_which_end_is_good_is_read_from_the_name_and_not_guessed(metric, good):
    assert better(metric) == good
