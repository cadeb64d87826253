"""Precision, recall, density, coverage against their references; neighbours and memorisation against brute force."""

import numpy as np
import pytest
import scipy.stats
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import ganbook._torchvision  # noqa: F401  (torch_fidelity imports torchvision)
from ganbook.errors import InputError
from ganbook.metrics import density_coverage, manifold, memorisation, nearest_neighbours, precision_recall


def rng(seed=0):
    return torch.Generator().manual_seed(seed)


def normal(*shape, seed=0):
    return torch.randn(*shape, dtype=torch.float64, generator=rng(seed))


def samples(n, m, d):
    """Real and fake samples that overlap in part."""
    return normal(n, d), 0.3 + 0.7 * normal(m, d, seed=1)


def line(*points):
    return torch.tensor(points, dtype=torch.float64)[:, None]


@pytest.mark.parametrize("block", [1024, 7])
@pytest.mark.parametrize(("n", "m", "d", "k"), [(60, 60, 2, 3), (50, 80, 8, 1), (80, 45, 64, 5)])
def test_precision_and_recall_are_torch_fidelitys(n, m, d, k, block, monkeypatch):
    from torch_fidelity.metric_prc import calculate_precision_recall_full

    monkeypatch.setattr(manifold, "BLOCK", block)
    real, fake = samples(n, m, d)
    assert precision_recall(real, fake, k=k) == pytest.approx(calculate_precision_recall_full(fake, real, k), abs=1e-6)


@pytest.mark.parametrize("block", [1024, 7])
@pytest.mark.parametrize(("n", "m", "d", "k"), [(60, 60, 2, 3), (50, 80, 8, 1), (80, 45, 64, 5)])
def test_density_and_coverage_are_the_authors(n, m, d, k, block, monkeypatch):
    from prdc import compute_prdc

    monkeypatch.setattr(manifold, "BLOCK", block)
    real, fake = samples(n, m, d)
    theirs = compute_prdc(real.numpy(), fake.numpy(), k)
    assert density_coverage(real, fake, k=k) == pytest.approx((theirs["density"], theirs["coverage"]), abs=1e-12)
    assert precision_recall(real, fake, k=k) == pytest.approx((theirs["precision"], theirs["recall"]), abs=1e-12)


def test_cases_by_hand_on_the_line():
    """Real balls (k = 1) about 0, 1, 10 have radii 1, 1, 9; fake balls about 2, 2.5, 20 have radii 0.5, 0.5, 17.5."""
    real, fake = line(0, 1, 10), line(2, 2.5, 20)
    assert precision_recall(real, fake, k=1) == pytest.approx((2 / 3, 1 / 3))  # 20 lies outside; only 10 is inside
    assert density_coverage(real, fake, k=1) == pytest.approx((2 / 3, 1 / 3))  # 2 is on the edge of the ball about 1


def test_balls_are_closed_for_precision_and_open_for_density():
    real, fake = line(0, 1, 9), line(2, 50, 51)  # 2 lies on the edge of the ball about 1, and inside that about 9
    assert precision_recall(line(0, 1), line(2, 50), k=1).precision == 0.5
    assert density_coverage(line(0, 1), line(2, 50), k=1) == (0, 0)
    assert density_coverage(real, fake, k=1).density == pytest.approx(1 / 3)


@pytest.mark.chapter(name="12_evaluation")
def test_fakes_at_one_place_have_precision_and_no_recall():
    real = normal(200, 4)
    collapsed = 1e-3 * normal(200, 4, seed=2)
    assert precision_recall(real, collapsed) == (1.0, 0.0)
    spread = precision_recall(real, 5 * normal(200, 4, seed=2))
    assert spread.precision < 0.2 and spread.recall > 0.9


@pytest.mark.chapter(name="12_evaluation")
def test_equal_distributions_have_density_one_and_the_known_coverage():
    n, k = 1000, 5
    density, coverage = density_coverage(normal(n, 8), normal(n, 8, seed=1), k=k)
    expected = 1 - np.prod([(n - i) / (2 * n - i) for i in range(1, k + 1)])
    assert density == pytest.approx(1, abs=0.1)
    assert coverage == pytest.approx(expected, abs=0.03)


@given(seed=st.integers(0, 999), k=st.integers(1, 4), scale=st.floats(0.1, 10), shift=st.floats(-1000, 1000))
@settings(max_examples=25)
def test_scaling_and_moving_both_samples_changes_nothing(seed, k, scale, shift):
    real, fake = normal(30, 3, seed=seed), 0.5 + normal(25, 3, seed=seed + 1)
    moved = scale * real + shift, scale * fake + shift
    assert precision_recall(*moved, k=k) == precision_recall(real, fake, k=k)
    assert density_coverage(*moved, k=k) == density_coverage(real, fake, k=k)


@pytest.mark.parametrize("block", [1024, 4])
@pytest.mark.parametrize("k", [1, 3])
def test_neighbours_are_those_of_brute_force(k, block, monkeypatch):
    monkeypatch.setattr(manifold, "BLOCK", block)
    query, reference = 100 + normal(9, 5), 100 + normal(14, 5, seed=1)
    distances, indices = nearest_neighbours(query, reference, k=k)
    brute = np.linalg.norm(query.numpy()[:, None] - reference.numpy(), axis=2)
    np.testing.assert_array_equal(indices, brute.argsort(1)[:, :k])
    np.testing.assert_allclose(distances, np.sort(brute, 1)[:, :k], rtol=1e-12)


def test_a_copy_is_at_distance_zero():
    reference = 1000 + normal(50, 64)
    distances, indices = nearest_neighbours(reference[[7, 30]], reference)
    assert torch.equal(distances, torch.zeros(2, 1, dtype=torch.float64)) and indices.flatten().tolist() == [7, 30]


# memorisation


def test_a_generator_that_remembers_nothing_meets_the_expected_share():
    """Over repetitions share averages n_train/(n_train + n_held_out), z has mean 0 and variance 1, the ratio is 1."""
    generator = rng(5)
    results = [memorisation(*(torch.randn(n, 3, generator=generator) for n in (90, 30, 40))) for _ in range(300)]
    share, expected, ratio, z = (torch.tensor(column) for column in zip(*results, strict=True))
    assert expected[0].item() == 0.75
    assert share.mean().item() == pytest.approx(0.75, abs=4 * share.std().item() / 300**0.5)
    assert z.mean().item() == pytest.approx(0, abs=4 / 300**0.5) and z.std().item() == pytest.approx(1, abs=0.2)
    assert ratio.mean().item() == pytest.approx(1, abs=0.1)


def test_copies_are_found():
    train, held_out, fresh = normal(200, 6), normal(200, 6, seed=1), normal(100, 6, seed=2)
    copied = memorisation(train, held_out, train[:100] + 1e-3 * normal(100, 6, seed=3))
    assert copied.share == 1 and copied.distance_ratio < 0.01 and copied.z < -10
    half = memorisation(train, held_out, torch.cat([train[:50], fresh[:50]]))
    assert 0.65 < half.share < 0.85 and half.z < -3
    assert memorisation(train, held_out, train).distance_ratio == 0


def test_halfway_between_both_counts_half():
    assert memorisation(line(0, 10), line(2, 12), line(1, 11)).share == 0.5


def test_bad_fakes_are_no_copies():
    train, held_out = normal(200, 6), normal(200, 6, seed=1)
    far = memorisation(train, held_out, 20 + normal(100, 6, seed=2))
    assert far.distance_ratio > 5 and far.z > 5


def test_the_statistic_is_mann_and_whitneys():
    train = normal(40, 2).round()
    held_out, fake = (normal(n, 2, seed=n).round() / 2 for n in (30, 21))  # so that there are ties
    x, y = (nearest_neighbours(query, train)[0].flatten().numpy() for query in (fake, held_out))
    assert len(np.unique(np.concatenate([x, y]))) < 20
    n, m = len(x), len(y)
    u = scipy.stats.mannwhitneyu(x, y).statistic
    result = memorisation(train, held_out, fake)
    assert result.z == pytest.approx((u - n * m / 2) / (n * m * (n + m + 1) / 12) ** 0.5)
    assert result.distance_ratio == pytest.approx(np.median(x) / np.median(y))


def test_refusals():
    x = normal(5, 3)
    for metric in (precision_recall, density_coverage):
        for k in (0, 4):
            with pytest.raises(InputError, match=f"{k}-th nearest .* 5 real and 4 fake .* from 1 to 3"):
                metric(x, x[:4], k=k)
        with pytest.raises(InputError, match="d = 3 and the fake features d = 2"):
            metric(x, x[:, :2], k=1)
        with pytest.raises(InputError, match="NaN"):
            metric(x, x * torch.nan, k=1)
    for k in (0, 6):
        with pytest.raises(InputError, match=f"{k} nearest neighbours among 5"):
            nearest_neighbours(x, x, k=k)
    with pytest.raises(InputError, match="query features have d = 2 and the reference features d = 3"):
        nearest_neighbours(x[:, :2], x)
    with pytest.raises(InputError, match="got 5 and 1"):
        memorisation(x, x + 1, x[:1])
    with pytest.raises(InputError, match="half of the held-out samples are copies"):
        memorisation(x, x, x + 1)


def test_a_large_common_offset_costs_no_digits():
    real, fake = samples(60, 60, 4)
    far = 1e7 + real, 1e7 + fake
    assert precision_recall(*far) == precision_recall(real, fake)
    assert density_coverage(*far) == density_coverage(real, fake)
    assert nearest_neighbours(*far, k=3)[1].equal(nearest_neighbours(real, fake, k=3)[1])
