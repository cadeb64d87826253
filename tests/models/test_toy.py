"""The convergence laws of small games, for the library's own losses and penalties."""

import math
from functools import partial

import pytest
import torch

from ganbook.errors import InputError
from ganbook.losses import F_GAN_LOSSES, LOSSES
from ganbook.models import toy
from ganbook.models.toy import (
    alternating,
    dirac_gan,
    field_eigenvalues,
    gauss_hermite,
    gaussian_gan,
    simultaneous,
    step_eigenvalues,
    trajectory,
    unrolled,
    vector_field,
)
from ganbook.penalties import PENALTIES

ALL_LOSSES = {**LOSSES, **F_GAN_LOSSES}
ORIGIN = torch.zeros(2, dtype=torch.float64)
START = torch.tensor([1.0, -1.0], dtype=torch.float64)  # Mescheder's θ = ψ = 1: his ψ has the other sign
# -f'(t*) for each player: how hard the logit of a fake sample at 0 is pushed down by D and up by G
PUSH = {
    "minimax": (0.5, 0.5),
    "nonsaturating": (0.5, 0.5),
    "lsgan": (0.5, 0.5),
    "hinge": (1.0, 1.0),
    "wasserstein": (1.0, 1.0),
    "rpgan": (0.5, 0.5),
    "fgan_kl": (1.0, 1.0),
    "fgan_reverse_kl": (1.0, 1.0),
    "fgan_pearson": (1.0, 1.0),
    "fgan_squared_hellinger": (1.0, 1.0),
    "fgan_js": (0.5, 0.5),
    "fgan_gan": (0.5, 0.5),
}
# the factor before -γψ that a penalty on the slope ψ adds to ψ's velocity
DAMPING = {"r1": 1.0, "r2": 1.0, "r1_r2": 2.0, "zero_centred": 2.0}


def state(theta, psi):
    return torch.tensor([theta, psi], dtype=torch.float64)


def radii(game, h, steps, start=START, **options):
    return trajectory(game, start, h, steps, **options).norm(dim=1)


def by_size(values):
    return sorted(values.tolist(), key=lambda z: (round(z.real, 9), round(z.imag, 9)))


def assert_same_eigenvalues(measured, expected, tolerance=1e-9):
    measured, expected = by_size(measured), by_size(torch.tensor(expected, dtype=torch.complex128))
    assert measured == pytest.approx(expected, abs=tolerance)


def test_the_table_of_pushes_is_complete():
    assert set(PUSH) == set(ALL_LOSSES)


@pytest.mark.chapter(name="07_training_dynamics")
@pytest.mark.parametrize("name", ["minimax", "nonsaturating"])
@pytest.mark.parametrize(("theta", "psi"), [(1.0, -1.0), (0.3, 0.8), (-2.0, 1.5)])
def test_the_field_is_mescheders_formula(name, theta, psi):
    """``ψ' = -θ σ(ψθ)``, ``θ' = ψ σ(±ψθ)``: written out by hand once to hold autograd to it."""
    sigmoid = 1 / (1 + math.exp(-psi * theta))
    v_theta = psi * (sigmoid if name == "minimax" else 1 - sigmoid)
    assert vector_field(dirac_gan(name), state(theta, psi)).tolist() == pytest.approx([v_theta, -theta * sigmoid])


@pytest.mark.chapter(name="07_training_dynamics")
@pytest.mark.parametrize("name", ALL_LOSSES)
def test_the_field_is_minus_the_slope_of_each_players_own_loss(name):
    game, x, e = dirac_gan(name), state(0.4, -0.7), 1e-6
    slopes = []
    for i, loss in enumerate((game.g_loss, game.d_loss)):
        up, down = x.clone(), x.clone()
        up[i] += e
        down[i] -= e
        slopes.append((loss(*game.split(up)) - loss(*game.split(down))).item() / (2 * e))
    assert vector_field(game, x).tolist() == pytest.approx([-s for s in slopes], abs=1e-7)


@pytest.mark.parametrize("name", [name for name, loss in ALL_LOSSES.items() if not loss.relativistic])
def test_a_constant_discriminator_at_its_best_answers_the_balanced_logit(name):
    balanced = torch.tensor([toy.UNDECIDED.get(name, 0.0)], dtype=torch.float64, requires_grad=True)
    (slope,) = torch.autograd.grad(ALL_LOSSES[name].d(balanced, balanced).sum(), balanced)
    assert slope.item() == pytest.approx(0.0, abs=1e-12)


@pytest.mark.chapter(name="07_training_dynamics")
@pytest.mark.parametrize("name", ALL_LOSSES)
def test_unregularised_the_eigenvalues_are_imaginary(name):
    """J = [[0, b], [-a, 0]], hence λ = ±i√(ab): never attracting, for any loss."""
    a, b = PUSH[name]
    expected = [complex(0, math.sqrt(a * b)), complex(0, -math.sqrt(a * b))]
    assert_same_eigenvalues(field_eigenvalues(dirac_gan(name), ORIGIN), expected)


@pytest.mark.chapter(name="07_training_dynamics")
@pytest.mark.parametrize("name", ALL_LOSSES)
@pytest.mark.parametrize("h", [0.1, 0.5])
def test_simultaneous_steps_repel_and_alternating_ones_only_turn(name, h):
    a, b = PUSH[name]
    size = step_eigenvalues(dirac_gan(name), ORIGIN, h).abs()
    assert size.tolist() == pytest.approx([math.sqrt(1 + h**2 * a * b)] * 2)
    size = step_eigenvalues(dirac_gan(name), ORIGIN, h, step=alternating).abs()
    assert size.tolist() == pytest.approx([1.0, 1.0], abs=1e-7)


@pytest.mark.chapter(name="07_training_dynamics")
def test_the_unregularised_trajectory_diverges_or_circles():
    """Mescheder's notebook: h = 0.2, 500 steps."""
    assert radii(dirac_gan(), 0.2, 500)[-1].item() == pytest.approx(3.10, abs=0.01)
    circling = radii(dirac_gan(), 0.2, 500, step=alternating)
    assert circling.min() > 1.3 and circling.max() < 1.6


@pytest.mark.chapter(name="07_training_dynamics")
@pytest.mark.parametrize("penalty", DAMPING)
@pytest.mark.parametrize("gamma", [0.3, 1.0, 2.0])
def test_a_zero_centred_penalty_damps_with_critical_strength_one(penalty, gamma):
    """λ = -c/2 ± √(c²/4 - 1/4) for the damping c: oscillation below c = 1, none from there on."""
    c = DAMPING[penalty] * gamma
    root = complex(c**2 / 4 - 1 / 4) ** 0.5
    eigenvalues = field_eigenvalues(dirac_gan(penalty=penalty, penalty_weight=gamma), ORIGIN)
    assert_same_eigenvalues(eigenvalues, [-c / 2 + root, -c / 2 - root], tolerance=1e-7)
    assert (eigenvalues.real < 0).all()
    assert bool((eigenvalues.imag.abs() > 1e-6).all()) == (c < 1)


@pytest.mark.chapter(name="07_training_dynamics")
@pytest.mark.parametrize(("gamma", "radius"), [(0.3, 2.6e-6), (1.0, 1e-21)])
def test_r1_converges_as_fast_as_its_eigenvalues_say(gamma, radius):
    final = radii(dirac_gan(penalty="r1", penalty_weight=gamma), 0.2, 500)[-1].item()
    assert math.log10(final) == pytest.approx(math.log10(radius), abs=0.1)


@pytest.mark.chapter(name="07_training_dynamics")
@pytest.mark.parametrize("name", ["minimax", "nonsaturating", "rpgan"])
@pytest.mark.parametrize("sigma", [0.3, 0.7, 1.2])
def test_instance_noise_damps_too(name, sigma):
    """λ = f''(0)σ² ± √(f''(0)²σ⁴ - f'(0)²) with f'(0) = 1/2 and f''(0) = -1/4 (Mescheder et al. 2018, lemma 3.2)."""
    a = -(sigma**2) / 4
    root = complex(a**2 - 1 / 4) ** 0.5
    assert_same_eigenvalues(field_eigenvalues(dirac_gan(name, noise_std=sigma), ORIGIN), [a + root, a - root])


@pytest.mark.chapter(name="07_training_dynamics")
def test_wgan_diverges_clipped_or_not_and_gradient_penalties_round_one_do_not_save_it():
    """The penalty (|ψ| - 1)² does nothing where the equilibrium is, at ψ = 0. Mescheder's λ = 0.7 is our 0.35."""
    h = 0.2
    assert step_eigenvalues(dirac_gan("wasserstein"), ORIGIN, h).abs().tolist() == pytest.approx(
        [math.sqrt(1 + h**2)] * 2
    )
    free = radii(dirac_gan("wasserstein"), h, 100)
    torch.testing.assert_close(free, math.sqrt(2) * (1 + h**2) ** (torch.arange(101, dtype=torch.float64) / 2))
    clipped = radii(dirac_gan("wasserstein"), h, 300, clip=1.0)[150:]
    assert clipped.min() > 0.9
    penalised = radii(dirac_gan("wasserstein", penalty="wgan_gp", penalty_weight=0.35), h, 500)[250:]
    assert (penalised.min().item(), penalised.max().item()) == pytest.approx((1.62, 1.97), abs=0.01)
    one_sided = radii(dirac_gan("wasserstein", penalty="wgan_lp", penalty_weight=0.35), h, 300)[150:]
    assert one_sided.min() > 0.9
    r1 = radii(dirac_gan("wasserstein", penalty="r1", penalty_weight=1.0), h, 100)
    assert r1[-1] < 1e-3


@pytest.mark.chapter(name="07_training_dynamics")
@pytest.mark.parametrize(("h", "start"), [(0.1, 0.43), (0.2, 0.55), (0.4, 1.2)])
def test_the_nonsaturating_gan_ends_on_a_limit_cycle(h, start):
    """Simultaneous steps: repelled within radius √(2h), attracted beyond it, by either road."""
    r = radii(dirac_gan("nonsaturating"), h, 600, start=state(start, 0.0))
    assert r[-200:].mean().item() == pytest.approx(math.sqrt(2 * h), rel=0.03)


@pytest.mark.chapter(name="07_training_dynamics")
def test_the_nonsaturating_gan_converges_sublinearly_when_players_alternate():
    """r ≈ √(8 / (h n)), so that 1/r² grows by h/8 a step: no eigenvalue tells, |λ| is one."""
    h = 0.2
    r = radii(dirac_gan("nonsaturating"), h, 600, start=state(0.3, 0.0), step=alternating)
    early, late = r[:63].pow(-2).mean(), r[-63:].pow(-2).mean()  # over two turns of 2π / (h/2) steps each
    assert (late - early).item() / (601 - 63) == pytest.approx(h / 8, rel=0.05)


def test_each_half_of_an_alternating_step_moves_one_player():
    """The generator answers the new discriminator, and does not look through its move (that would be unrolling)."""
    game, x, h = dirac_gan("minimax"), state(0.8, 0.5), 0.3
    v = vector_field(game, x)
    after = alternating(game, x, h)
    assert after[1].item() == pytest.approx((x + h * v)[1].item())
    answer = vector_field(game, torch.stack([x[0], after[1]]).detach())
    assert after[0].item() == pytest.approx((x[0] + h * answer[0]).item())


@pytest.mark.chapter(name="08_mode_collapse")
@pytest.mark.parametrize("name", ALL_LOSSES)
@pytest.mark.parametrize("h", [0.1, 0.5])
def test_foreseeing_one_step_of_the_discriminator_makes_the_equilibrium_attract(name, h):
    """θ' = θ + hb(ψ' - haθ), ψ' = ψ - haθ, so that det = 1 - h²ab and |λ| = √(1 - h²ab), where alternating has 1."""
    a, b = PUSH[name]
    size = step_eigenvalues(dirac_gan(name), ORIGIN, h, step=unrolled).abs()
    assert size.tolist() == pytest.approx([math.sqrt(1 - h**2 * a * b)] * 2, abs=1e-7)


@pytest.mark.chapter(name="08_mode_collapse")
def test_the_deeper_the_foresight_the_stronger_the_pull():
    final = [radii(dirac_gan(), 0.2, 60, step=partial(unrolled, k=k))[-1].item() for k in (1, 3, 6)]
    assert final[0] < 1.3 and final[2] < final[1] < final[0]
    assert final[2] < 0.6


@pytest.mark.chapter(name="07_training_dynamics")
@pytest.mark.parametrize("dim", [2, 3])
def test_in_more_dimensions_every_axis_obeys_the_same_law(dim):
    one = by_size(field_eigenvalues(dirac_gan(penalty="r1", penalty_weight=0.3), ORIGIN))
    many = field_eigenvalues(
        dirac_gan(penalty="r1", penalty_weight=0.3, dim=dim), torch.zeros(2 * dim, dtype=torch.float64)
    )
    assert_same_eigenvalues(many, [z for z in one for _ in range(dim)])


EQUILIBRIUM = torch.tensor([0.0, 1.0, 0.0, 0.0, 0.0], dtype=torch.float64)  # μ = 0, s = 1, D = 0


@pytest.mark.chapter(name="07_training_dynamics")
@pytest.mark.parametrize("name", ["minimax", "nonsaturating", "wasserstein", "hinge", "rpgan", "fgan_js"])
def test_the_true_gaussian_is_an_equilibrium(name):
    assert vector_field(gaussian_gan(name), EQUILIBRIUM).abs().max().item() < 1e-12


@pytest.mark.chapter(name="07_training_dynamics")
@pytest.mark.parametrize("name", ["minimax", "nonsaturating"])
def test_overlap_makes_the_equilibrium_attracting_where_the_loss_is_curved(name):
    """Nagarajan & Kolter 2017: absolutely continuous data suffice for the logistic loss; a linear loss still turns."""
    assert (field_eigenvalues(gaussian_gan(name), EQUILIBRIUM).real < -0.1).all()
    wasserstein = field_eigenvalues(gaussian_gan("wasserstein"), EQUILIBRIUM)
    assert wasserstein.real.abs().max().item() < 1e-9 and wasserstein.imag.abs().max().item() > 0.5
    final = trajectory(gaussian_gan(name), EQUILIBRIUM + 0.3, 0.2, 300)[-1]
    torch.testing.assert_close(final, EQUILIBRIUM, atol=1e-3, rtol=0)


@pytest.mark.parametrize("penalty", PENALTIES)
def test_the_jacobian_sees_the_fakes_move_under_a_penalty(penalty):
    """Against finite differences of the field: a penalty that detached its samples would be wrong here."""
    game = gaussian_gan("minimax", penalty=penalty, penalty_weight=0.5, points=6)
    x = torch.tensor([0.5, 0.8, 0.1, 0.9, -0.6], dtype=torch.float64)
    e = 1e-6 * torch.eye(5, dtype=torch.float64)
    columns = [(vector_field(game, x + d) - vector_field(game, x - d)) / 2e-6 for d in e]
    numeric = torch.stack(columns, dim=1).detach()
    exact = torch.autograd.functional.jacobian(lambda y: vector_field(game, y), x)
    torch.testing.assert_close(exact, numeric, atol=1e-6, rtol=1e-6)


def test_quadrature_integrates_the_normal_moments():
    nodes, weights = gauss_hermite(10)
    for power, moment in [(0, 1.0), (1, 0.0), (2, 1.0), (4, 3.0), (6, 15.0)]:
        assert (weights * nodes**power).sum().item() == pytest.approx(moment, abs=1e-10)


def test_refusals():
    with pytest.raises(InputError, match="in one dimension, got dim=2"):
        dirac_gan(noise_std=0.1, dim=2)
    for h in (0.0, -0.1, float("nan")):
        with pytest.raises(InputError, match="step size h above 0"):
            trajectory(dirac_gan(), START, h, 3)
    with pytest.raises(InputError, match="penalty='r1' and penalty_weight=0.0 do not go together"):
        dirac_gan(penalty="r1")
    with pytest.raises(InputError, match="Did you mean 'r1'"):
        dirac_gan(penalty="r11", penalty_weight=1.0)
    assert simultaneous(dirac_gan(), START, 0.1).shape == (2,)
