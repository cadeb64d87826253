"""Divergences against closed forms, against each other and against other people's programmes."""

import math
import warnings

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import entropy, norm, wasserstein_distance

from ganbook.divergences import (
    F_DIVERGENCES,
    check_distribution,
    f_divergence,
    gaussian,
    gaussian_kl,
    gaussian_wasserstein2,
    get_f_divergence,
    js,
    kl,
    reverse_kl,
    total_variation,
    trapezoid_weights,
    variational_bound,
    wasserstein_1d,
)
from ganbook.errors import InputError

GRID = torch.linspace(-30, 30, 60_001, dtype=torch.float64)
WEIGHTS = trapezoid_weights(GRID)


def probabilities(*values):
    p = torch.tensor(values, dtype=torch.float64)
    return p / p.sum()


positive = st.lists(st.floats(0.01, 10), min_size=5, max_size=5)


@pytest.mark.chapter(name="04_divergences")
@given(a=positive, b=positive)
def test_the_named_divergences_are_the_textbooks(a, b):
    p, q = probabilities(*a), probabilities(*b)
    m = (p + q) / 2
    assert kl(p, q).item() == pytest.approx(entropy(p, q), abs=1e-12)
    assert reverse_kl(p, q).item() == pytest.approx(entropy(q, p), abs=1e-12)
    assert js(p, q).item() == pytest.approx((entropy(p, m) + entropy(q, m)) / 2, abs=1e-12)
    assert total_variation(p, q).item() == pytest.approx((p - q).clamp(min=0).sum().item(), abs=1e-12)
    assert f_divergence(p, q, "chi2").item() == pytest.approx(((p - q) ** 2 / q).sum().item(), abs=1e-10)
    assert f_divergence(p, q, "hellinger").item() == pytest.approx(1 - (p * q).sqrt().sum().item(), abs=1e-12)


@pytest.mark.chapter(name="04_divergences")
@pytest.mark.parametrize("name", F_DIVERGENCES)
@given(a=positive, b=positive)
@settings(max_examples=30)
def test_every_f_divergence_is_zero_only_on_the_diagonal_and_falls_when_outcomes_are_merged(name, a, b):
    p, q = probabilities(*a), probabilities(*b)
    value = f_divergence(p, q, name).item()
    assert value >= -1e-12
    assert f_divergence(p, p, name).item() == pytest.approx(0, abs=1e-12)
    if (p - q).abs().max() > 1e-3:
        assert value > 1e-9
    merged_p, merged_q = (torch.cat([v[:1] + v[1:2], v[2:]]) for v in (p, q))
    assert f_divergence(merged_p, merged_q, name).item() <= value + 1e-12


@pytest.mark.chapter(name="04_divergences")
@pytest.mark.parametrize("name", F_DIVERGENCES)
def test_slope_is_the_derivative_and_conjugate_the_supremum(name):
    divergence = get_f_divergence(name)
    u = torch.tensor([0.05, 0.4, 0.9, 1.3, 4.0], dtype=torch.float64, requires_grad=True)
    (derivative,) = torch.autograd.grad(divergence.f(u).sum(), u)
    torch.testing.assert_close(divergence.slope(u.detach()), derivative)
    ratios = torch.cat([torch.zeros(1), torch.logspace(-6, 3, 400_001, dtype=torch.float64)])
    values = divergence.f(ratios)
    for t in divergence.slope(u.detach()):
        attained = (ratios * t - values)[values.isfinite()].max()
        assert divergence.conjugate(t).item() == pytest.approx(attained.item(), abs=1e-4)


@pytest.mark.parametrize(
    ("name", "t"), [("reverse_kl", 0.1), ("js", 0.4), ("total_variation", 0.6), ("hellinger", 0.6)]
)
def test_beyond_its_domain_a_conjugate_is_infinite(name, t):
    assert F_DIVERGENCES[name].conjugate(torch.tensor([t])).item() == math.inf


@pytest.mark.chapter(name="04_divergences")
@pytest.mark.parametrize("name", F_DIVERGENCES)
def test_the_variational_bound_is_a_bound_and_is_reached_by_the_slope_only(name):
    p, q = probabilities(0.5, 0.3, 0.2), probabilities(0.2, 0.3, 0.5)
    value, best = f_divergence(p, q, name), F_DIVERGENCES[name].slope(p / q)
    torch.testing.assert_close(variational_bound(p, q, best, name), value)
    rng = torch.Generator().manual_seed(0)
    for _ in range(50):
        critic = best + 0.1 * torch.randn(3, generator=rng, dtype=torch.float64)
        assert variational_bound(p, q, critic, name) <= value + 1e-12
    assert variational_bound(p, q, best - 0.05, name) < value - 1e-5 or name == "total_variation"


@pytest.mark.chapter(name="04_divergences")
def test_disjoint_supports():
    p, q = torch.tensor([0.4, 0.6, 0.0, 0.0]), torch.tensor([0.0, 0.0, 0.3, 0.7])
    assert kl(p, q).item() == reverse_kl(p, q).item() == math.inf
    assert js(p, q).item() == pytest.approx(math.log(2))
    assert total_variation(p, q).item() == pytest.approx(1)
    assert f_divergence(p, q, "hellinger").item() == pytest.approx(1)
    assert kl(torch.tensor([1.0, 0.0]), torch.tensor([0.5, 0.5])).item() == pytest.approx(math.log(2))  # 0 log 0 = 0


@pytest.mark.chapter(name="04_divergences")
@pytest.mark.parametrize(("mean", "std"), [(0.0, 1.0), (1.0, 1.0), (2.0, 0.5), (-1.0, 3.0)])
def test_quadrature_agrees_with_the_closed_forms_of_gaussians(mean, std):
    p, q = gaussian(GRID, mean, std), gaussian(GRID)
    parameters = [torch.tensor(v, dtype=torch.float64) for v in (mean, std, 0.0, 1.0)]
    forward, backward = gaussian_kl(*parameters), gaussian_kl(*parameters[2:], *parameters[:2])
    assert kl(p, q, WEIGHTS).item() == pytest.approx(forward.item(), abs=1e-8)
    reach = GRID.abs() < 15  # beyond, a narrow p underflows to 0 where q does not, and the reverse is infinite
    truncated = trapezoid_weights(GRID[reach])
    assert reverse_kl(p[reach], q[reach], truncated).item() == pytest.approx(backward.item(), abs=1e-6)
    torch_kl = torch.distributions.kl_divergence(
        torch.distributions.Normal(*parameters[:2]), torch.distributions.Normal(*parameters[2:])
    )
    torch.testing.assert_close(forward, torch_kl)


def test_trapezoid_weights_integrate_straight_pieces_exactly():
    grid = torch.tensor([0.0, 0.5, 2.0, 3.0])
    values = torch.tensor([1.0, 3.0, 0.0, 4.0])
    assert (trapezoid_weights(grid) * values).sum().item() == pytest.approx(torch.trapezoid(values, grid).item())


@pytest.mark.chapter(name="04_divergences")
@pytest.mark.parametrize(("shift", "expected"), [(1, 0.1608), (2, 0.4859), (4, 0.9128), (8, 0.99987)])
def test_js_of_shifted_gaussians(shift, expected):
    assert js(gaussian(GRID, shift), gaussian(GRID), WEIGHTS).item() / math.log(2) == pytest.approx(expected, abs=6e-5)


@pytest.mark.chapter(name="04_divergences")
@pytest.mark.parametrize("shift", [0.5, 3.0])
def test_total_variation_of_shifted_gaussians(shift):
    value = total_variation(gaussian(GRID, shift), gaussian(GRID), WEIGHTS).item()
    assert value == pytest.approx(math.erf(shift / 2 / math.sqrt(2)), abs=1e-6)


@pytest.mark.parametrize("name", ["js", "total_variation", "hellinger"])
def test_underflow_in_one_tail_does_not_spoil_a_bounded_divergence(name):
    narrow, wide = gaussian(GRID, 0, 0.16), gaussian(GRID)  # at 6.13 their ratio is beyond the largest float
    near = GRID.abs() < 5
    expected = f_divergence(wide[near], narrow[near], name, trapezoid_weights(GRID[near])).item()
    assert f_divergence(wide, narrow, name, WEIGHTS).item() == pytest.approx(expected, abs=1e-6)


samples = st.lists(st.floats(-100, 100), min_size=1, max_size=8)


@pytest.mark.chapter(name="05_wasserstein")
@given(x=samples, y=samples)
def test_wasserstein_on_a_line_is_scipys_for_samples_of_any_size(x, y):
    value = wasserstein_1d(torch.tensor(x), torch.tensor(y)).item()
    assert value == pytest.approx(wasserstein_distance(torch.tensor(x).numpy(), torch.tensor(y).numpy()), abs=1e-9)


@pytest.mark.chapter(name="05_wasserstein")
@pytest.mark.parametrize("order", [1, 2, 3])
def test_a_shift_costs_its_length_in_every_order(order):
    x = torch.randn(50, generator=torch.Generator().manual_seed(0))
    assert wasserstein_1d(x, x + 3, order).item() == pytest.approx(3, rel=1e-5)
    assert wasserstein_1d(x, x.flip(0), order).item() == 0
    assert wasserstein_1d(x, x.repeat(3), order).item() == 0


@pytest.mark.chapter(name="05_wasserstein")
def test_w2_of_gaussian_quantiles_is_the_closed_form():
    levels = (torch.arange(200_000, dtype=torch.float64) + 0.5) / 200_000
    z = torch.special.ndtri(levels)
    one, half = torch.tensor(1.0), torch.tensor(0.5)
    expected = gaussian_wasserstein2(one, half, torch.tensor(0.0), one).item()
    assert wasserstein_1d(1 + 0.5 * z[::2], z[1::2], order=2).item() == pytest.approx(expected, abs=1e-3)


@pytest.mark.chapter(name="05_wasserstein")
def test_distances_can_be_differentiated():
    mean = torch.tensor(1.0, dtype=torch.float64, requires_grad=True)
    (slope,) = torch.autograd.grad(kl(gaussian(GRID, mean), gaussian(GRID), WEIGHTS), mean)
    assert slope.item() == pytest.approx(1.0, abs=1e-6)  # d/dm of m²/2
    x = torch.tensor([0.0, 1.0], requires_grad=True)
    (slopes,) = torch.autograd.grad(wasserstein_1d(x, torch.tensor([5.0, 7.0])), x)
    assert slopes.tolist() == [-0.5, -0.5]


def test_refusals():
    half = torch.tensor([0.5, 0.5])
    with pytest.raises(InputError, match="Unknown f-divergence 'jensen'"):
        f_divergence(half, half, "jensen")
    with pytest.raises(InputError, match="p has total mass 2 instead of 1"):
        kl(torch.ones(2), half)
    with pytest.raises(InputError, match=r"got \(3,\), \(2,\) and \(3,\)"):
        js(torch.ones(3) / 3, half)
    with pytest.raises(InputError, match="but q has values"):
        kl(half, torch.tensor([1.5, -0.5]))
    with pytest.raises(InputError, match="total mass 0.5"):
        kl(gaussian(GRID[GRID <= 0]), gaussian(GRID[GRID <= 0]), trapezoid_weights(GRID[GRID <= 0]))
    with pytest.raises(InputError, match="at least two rising points"):
        trapezoid_weights(GRID.flip(0))
    with pytest.raises(InputError, match=r"got \(0,\) and \(2,\)"):
        wasserstein_1d(torch.zeros(0), half)
    with pytest.raises(InputError, match="at least 1, got 0.5"):
        wasserstein_1d(half, half, 0.5)


def test_a_part_that_the_generator_never_visits():
    p, q = torch.tensor([0.5, 0.5], dtype=torch.float64), torch.tensor([1.0, 0.0], dtype=torch.float64)
    assert kl(p, q).item() == math.inf
    assert reverse_kl(p, q).item() == pytest.approx(math.log(2))
    assert total_variation(p, q).item() == 0.5
    assert js(p, q).item() == pytest.approx(0.5 * (0.5 * math.log(2 / 3) + 0.5 * math.log(2) + math.log(4 / 3)))


def test_gaussians_are_those_of_scipy_wherever_their_mean_lies():
    x = torch.tensor([-1.5, 0.0, 2.0, 4.5])
    density = gaussian(x, 1.3, 0.8)
    assert density.dtype == torch.float64
    assert density.tolist() == pytest.approx(norm.pdf(x.double().numpy(), 1.3, 0.8))
    one, three, four, five = (torch.tensor(float(value), dtype=torch.float64) for value in (1, 3, 4, 5))
    assert gaussian_kl(three, four, three, four) == gaussian_wasserstein2(three, four, three, four) == 0
    assert gaussian_kl(three, one, five, one).item() == pytest.approx(2)
    assert gaussian_wasserstein2(one, one, four, five).item() == 5


@pytest.mark.parametrize("name", F_DIVERGENCES)
def test_single_precision_is_computed_in_double(name):
    p, q = probabilities(1, 2, 3, 4).float(), probabilities(4, 1, 1, 2).float()
    weights, critic = torch.ones(4), torch.tensor([0.1, -0.2, 0.3, -0.4])
    found = f_divergence(p / p.sum(), q / q.sum(), name, weights)
    expected = f_divergence((p / p.sum()).double(), (q / q.sum()).double(), name)
    assert found.dtype == torch.float64 and found.item() == pytest.approx(expected.item(), rel=1e-14)
    bound = variational_bound(p, q, critic, name, weights)
    in_double = variational_bound(p.double(), q.double(), critic.double(), name)
    assert bound.dtype == torch.float64 and bound.item() == pytest.approx(in_double.item(), rel=1e-14)


def test_single_precision_grids_and_samples_are_computed_in_double():
    third = torch.tensor([0.0, 0.1, 0.4])
    assert trapezoid_weights(third).dtype == torch.float64
    assert trapezoid_weights(third).tolist() == trapezoid_weights(third.double()).tolist()
    found = wasserstein_1d(third, torch.tensor([0.3, 0.7]))
    assert found.dtype == torch.float64
    assert found.item() == wasserstein_1d(third.double(), torch.tensor([0.3, 0.7]).double()).item()


def test_a_critic_may_be_infinite_where_a_distribution_never_goes():
    half, one = torch.tensor([0.5, 0.5], dtype=torch.float64), torch.tensor([1.0, 0.0], dtype=torch.float64)
    at_best = torch.tensor([1 + math.log(2), -math.inf], dtype=torch.float64)  # 1 + log(p/q)
    assert variational_bound(one, half, at_best, "kl").item() == pytest.approx(math.log(2))
    steep = torch.tensor([1.0, 800.0], dtype=torch.float64)  # its conjugate, e^799, is infinite in double precision
    assert variational_bound(half, one, steep, "kl").item() == pytest.approx(0.5 + 400 - 1)


def test_two_points_are_a_grid_and_equal_ones_are_none():
    assert trapezoid_weights(torch.tensor([1.0, 4.0])).tolist() == [1.5, 1.5]
    for grid in ([1.0], [1.0, 1.0], [2.0, 1.0]):
        with pytest.raises(InputError, match="at least two rising points"):
            trapezoid_weights(torch.tensor(grid))


@pytest.mark.filterwarnings("error")
def test_a_distribution_with_a_gradient_is_checked_without_a_warning():
    p = probabilities(1, 2, 3).requires_grad_()
    kl(p, probabilities(3, 2, 1)).backward()
    assert p.grad.isfinite().all()


def test_distributions_that_carry_a_gradient_are_checked_in_silence():
    """Fitting calls the divergence at every step: torch's word on scalars would stand there each time."""
    logits = torch.tensor([0.1, 0.5, -0.2], requires_grad=True)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        check_distribution(logits.softmax(0), torch.full((3,), 1 / 3), torch.ones(3))
