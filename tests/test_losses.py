"""Losses by property: a wrong sign, factor, side or detach fails here."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn.functional import binary_cross_entropy_with_logits

from ganbook.errors import InputError
from ganbook.losses import (
    F_DIVERGENCES,
    F_GAN_LOSSES,
    LOSSES,
    check_adaptive,
    check_logits,
    f_gan,
    get_loss,
    instance_noise,
    no_targets,
    real_targets,
)
from ganbook.nn.mlp import mlp

logits = st.floats(-30, 30, allow_nan=False)


def at(real, fake):
    return torch.tensor([real], dtype=torch.float64), torch.tensor([fake], dtype=torch.float64)


def sigmoid(t):
    return 1 / (1 + math.exp(-t))


FORMULAS = {  # re-derived from the papers, in probabilities where they are written so
    "minimax": (lambda r, f: -math.log(sigmoid(r)) - math.log(1 - sigmoid(f)), lambda r, f: math.log(1 - sigmoid(f))),
    "nonsaturating": (lambda r, f: -math.log(sigmoid(r)) - math.log(sigmoid(-f)), lambda r, f: -math.log(sigmoid(f))),
    "lsgan": (lambda r, f: ((r - 1) ** 2 + f**2) / 2, lambda r, f: (f - 1) ** 2 / 2),
    "hinge": (lambda r, f: max(0, 1 - r) + max(0, 1 + f), lambda r, f: -f),
    "wasserstein": (lambda r, f: f - r, lambda r, f: -f),
    "rpgan": (lambda r, f: -math.log(sigmoid(r - f)), lambda r, f: -math.log(sigmoid(f - r))),
}


def test_every_loss_has_a_formula():
    assert set(FORMULAS) == set(LOSSES)


@pytest.mark.chapter(name="01_minimax_game")
@pytest.mark.parametrize("name", LOSSES)
@given(real=st.floats(-12, 12), fake=st.floats(-12, 12))
def test_values_are_the_papers(name, real, fake):
    loss, (d, g) = LOSSES[name], FORMULAS[name]
    assert loss.d(*at(real, fake)).item() == pytest.approx(d(real, fake), rel=1e-6, abs=1e-9)
    assert loss.g(*at(real, fake)).item() == pytest.approx(g(real, fake), rel=1e-6, abs=1e-9)


@pytest.mark.chapter(name="01_minimax_game")
@pytest.mark.parametrize("name", LOSSES)
@given(real=logits, fake=logits)
def test_descent_moves_each_player_its_own_way(name, real, fake):
    """D wants reals up and fakes down, G wants fakes up; LSGAN pulls towards its targets 1 and 0 instead."""
    if name == "lsgan":
        real, fake = min(real, 0.99), min(max(fake, 0.01), 0.99)
    r, f = (x.requires_grad_() for x in at(real, fake))
    d_r, d_f = torch.autograd.grad(LOSSES[name].d(r, f).sum(), (r, f))
    assert d_r.item() <= 0 <= d_f.item()
    (g_f,) = torch.autograd.grad(LOSSES[name].g(r, f).sum(), f)
    assert g_f.item() <= 0
    if abs(real) < 1 and abs(fake) < 1:
        assert d_r.item() < 0 < d_f.item() and g_f.item() < 0


@pytest.mark.parametrize("name", LOSSES)
def test_per_sample_and_finite_at_any_logit(name):
    real, fake = torch.tensor([0.3, -2.0, 1e4, -1e4]), torch.tensor([1.0, -1e4, -1e4, 1e4])
    for function in (LOSSES[name].d, LOSSES[name].g):
        together = function(real, fake)
        assert together.shape == (4,) and together.isfinite().all()
        alone = torch.cat([function(real[i : i + 1], fake[i : i + 1]) for i in range(4)])
        assert torch.equal(together, alone)


@pytest.mark.parametrize("name", LOSSES)
def test_only_a_relativistic_generator_reads_the_real_logits(name):
    real, fake = torch.randn(8), torch.randn(8)
    reads = not torch.equal(LOSSES[name].g(real, fake), LOSSES[name].g(real + 1, fake))
    assert reads == LOSSES[name].relativistic


@pytest.mark.chapter(name="01_minimax_game")
def test_gradients_saturate_as_the_formula_says():
    t = torch.linspace(-20, 20, 81, dtype=torch.float64, requires_grad=True)
    (minimax,) = torch.autograd.grad(LOSSES["minimax"].g(t, t).sum(), t)
    (nonsaturating,) = torch.autograd.grad(LOSSES["nonsaturating"].g(t, t).sum(), t)
    torch.testing.assert_close(minimax, -torch.sigmoid(t.detach()))
    torch.testing.assert_close(nonsaturating, -torch.sigmoid(-t.detach()))


@pytest.mark.chapter(name="01_minimax_game")
def test_minimax_is_twice_the_averaged_cross_entropy():
    real, fake = torch.randn(100), torch.randn(100)
    bce = binary_cross_entropy_with_logits(torch.cat([real, fake]), torch.cat([torch.ones(100), torch.zeros(100)]))
    torch.testing.assert_close(LOSSES["minimax"].d(real, fake).mean(), 2 * bce)


# the logit of the best discriminator where the density ratio p/q is known, minimising the loss point by point
BEST = {
    "minimax": lambda ratio: math.log(ratio),
    "nonsaturating": lambda ratio: math.log(ratio),
    "lsgan": lambda ratio: ratio / (1 + ratio),
    "hinge": lambda ratio: math.copysign(1, ratio - 1),
}


@pytest.mark.chapter(name="01_minimax_game")
@pytest.mark.parametrize("name", BEST)
@pytest.mark.parametrize("ratio", [0.2, 0.7, 3.0])
def test_the_optimal_discriminator_is_the_known_function_of_the_density_ratio(name, ratio):
    t = torch.linspace(-4, 4, 80_001, dtype=torch.float64)
    real_part = LOSSES[name].d(t, torch.zeros_like(t)) - LOSSES[name].d(torch.zeros_like(t), torch.zeros_like(t))
    expected_loss = ratio * real_part + LOSSES[name].d(torch.zeros_like(t), t)
    assert t[expected_loss.argmin()].item() == pytest.approx(BEST[name](ratio), abs=1e-3)


@pytest.mark.chapter(name="01_minimax_game")
def test_a_trained_discriminator_finds_the_log_density_ratio_and_the_jensen_shannon_divergence():
    """N(0,1) against N(m,1): D*(x) = m²/2 - m·x for real N(0,1), and -min loss = 2 JSD - log 4."""
    m, rng = 1.0, torch.Generator().manual_seed(0)
    torch.manual_seed(0)
    network = mlp([1, 32, 1], slope=0.2)
    optimizer = torch.optim.Adam(network.parameters(), 1e-2)
    for _ in range(400):
        real, fake = torch.randn(2000, 1, generator=rng), m + torch.randn(2000, 1, generator=rng)
        loss = LOSSES["minimax"].d(network(real).flatten(), network(fake).flatten()).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    x = torch.linspace(-1.5, 2.5, 50)[:, None]
    error = torch.sigmoid(network(x).flatten()) - torch.sigmoid(m**2 / 2 - m * x.flatten())
    assert error.abs().max().item() < 0.05
    with torch.no_grad():
        real, fake = torch.randn(200_000, 1, generator=rng), m + torch.randn(200_000, 1, generator=rng)
        value = -LOSSES["minimax"].d(network(real).flatten(), network(fake).flatten()).mean().item()
    assert value == pytest.approx(2 * 0.1608 * math.log(2) - math.log(4), abs=0.01)  # JSD/log 2 at distance 1


# other repositories' words for the same functions: their formula, in the sign they minimise, beside ours
ALIASES = {
    "minimax.d": lambda r, f: -torch.log(torch.sigmoid(r)) - torch.log(1 - torch.sigmoid(f)),  # "vanilla", BCE × 2
    "minimax.g": lambda r, f: torch.log(1 - torch.sigmoid(f)),  # "saturating"
    "nonsaturating.g": lambda r, f: -torch.log(torch.sigmoid(f)),  # "BCE with real labels", "logistic"
    "lsgan.d": lambda r, f: ((r - 1) ** 2 + f**2) / 2,  # "MSE"
    "hinge.d": lambda r, f: -torch.clamp(r - 1, max=0) - torch.clamp(-f - 1, max=0),  # SNGAN's min(0, ·) form
    "wasserstein.d": lambda r, f: -(r - f),  # "wgan", "critic loss"
    "rpgan.d": lambda r, f: -torch.nn.functional.logsigmoid(r - f),  # "RSGAN"
    "fgan_gan.d": lambda r, f: LOSSES["minimax"].d(r, f),
    "fgan_gan.g": lambda r, f: LOSSES["minimax"].g(r, f),
    "fgan_js.d": lambda r, f: LOSSES["minimax"].d(r, f) - math.log(4),
    "fgan_js.g": lambda r, f: LOSSES["minimax"].g(r, f) + math.log(2),
}


@pytest.mark.parametrize("name", ALIASES)
def test_names_and_signs_map_to_the_formulas_of_other_repositories(name):
    loss, player = name.split(".")
    real, fake = (3 * torch.randn(50, dtype=torch.float64) for _ in range(2))
    ours = getattr(get_loss(loss), player)(real, fake)
    torch.testing.assert_close(ours, ALIASES[name](real, fake))


# D_f(P‖Q) for two discrete distributions, each from its own textbook definition
P, Q = torch.tensor([0.5, 0.3, 0.2], dtype=torch.float64), torch.tensor([0.1, 0.3, 0.6], dtype=torch.float64)


def kl(a, b):
    return (a * (a / b).log()).sum()


DIVERGENCES = {
    "kl": kl(P, Q),
    "reverse_kl": kl(Q, P),
    "pearson": ((P - Q) ** 2 / Q).sum(),
    "squared_hellinger": ((P.sqrt() - Q.sqrt()) ** 2).sum(),
    "js": kl(P, (P + Q) / 2) + kl(Q, (P + Q) / 2),
    "gan": kl(P, (P + Q) / 2) + kl(Q, (P + Q) / 2) - math.log(4),
}


def bound(row, v):
    """The variational bound at the logits v, one for each point of the space."""
    return (P * row.activation(v)).sum() - (Q * row.fake_term(v)).sum()


@pytest.mark.chapter(name="04_divergences")
@pytest.mark.parametrize("name", F_DIVERGENCES)
def test_the_convex_function_gives_the_textbook_divergence(name):
    torch.testing.assert_close((Q * F_DIVERGENCES[name].f(P / Q)).sum(), DIVERGENCES[name])


@pytest.mark.chapter(name="04_divergences")
@pytest.mark.parametrize("name", F_DIVERGENCES)
def test_the_conjugate_is_the_supremum_and_the_fake_term_its_composition(name):
    row = F_DIVERGENCES[name]
    v = torch.linspace(-1.5, 1.5, 7, dtype=torch.float64)
    torch.testing.assert_close(row.fake_term(v), row.conjugate(row.activation(v)))
    u = torch.logspace(-4, 1.5, 100_000, dtype=torch.float64)
    for t in row.activation(v):
        torch.testing.assert_close((u * t - row.f(u)).max(), row.conjugate(t), atol=2e-4, rtol=0)


@pytest.mark.chapter(name="04_divergences")
@pytest.mark.parametrize("name", F_DIVERGENCES)
def test_the_bound_holds_everywhere_and_is_tight_at_the_optimum(name):
    row = F_DIVERGENCES[name]
    ratio = (P / Q).requires_grad_()
    (slope,) = torch.autograd.grad(row.f(ratio).sum(), ratio)  # g(v*) = f'(p/q)
    v = torch.zeros(3, dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.LBFGS([v], max_iter=200, line_search_fn="strong_wolfe")

    def closure():
        optimizer.zero_grad()
        loss = -bound(row, v)
        loss.backward()
        return loss

    for _ in range(5):
        optimizer.step(closure)
    torch.testing.assert_close(row.activation(v.detach()), slope, atol=1e-4, rtol=0)
    torch.testing.assert_close(bound(row, v.detach()), DIVERGENCES[name], atol=1e-7, rtol=0)
    for seed in range(50):
        other = 2 * torch.randn(3, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
        assert bound(row, other) < DIVERGENCES[name]


@pytest.mark.chapter(name="04_divergences")
@pytest.mark.parametrize("name", F_DIVERGENCES)
def test_the_f_gan_pair_is_the_bound_with_the_signs_of_a_minimised_loss(name):
    row, loss = F_DIVERGENCES[name], f_gan(name)
    v = torch.tensor([0.7, -0.4, 1.1], dtype=torch.float64)
    expected_d = (P * loss.d(v, torch.zeros_like(v))).sum() + (Q * loss.d(torch.zeros_like(v), v)).sum()
    at_zero = loss.d(torch.zeros(1, dtype=torch.float64), torch.zeros(1, dtype=torch.float64)).item()
    torch.testing.assert_close(expected_d, -bound(row, v) + at_zero)
    real, fake = (torch.linspace(-1.5, 1.5, 13, dtype=torch.float64, requires_grad=True) for _ in range(2))
    d_real, d_fake = torch.autograd.grad(loss.d(real, fake).sum(), (real, fake))
    (g_fake,) = torch.autograd.grad(loss.g(real, fake).sum(), fake)
    assert (d_real < 0).all() and (d_fake > 0).all() and (g_fake < 0).all()
    torch.testing.assert_close(g_fake, -d_fake)  # a zero-sum game
    assert F_GAN_LOSSES[f"fgan_{name}"].d(real, fake).equal(loss.d(real, fake))


@pytest.mark.parametrize("name", ["minimax", "nonsaturating", "lsgan"])
def test_smoothing_moves_the_real_target_and_nothing_else(name):
    loss = LOSSES[name]
    real, fake = torch.randn(9, dtype=torch.float64), torch.randn(9, dtype=torch.float64)
    ones = torch.ones(9, dtype=torch.float64)
    torch.testing.assert_close(loss.smooth_d(real, fake, ones), loss.d(real, fake))
    shift = loss.smooth_d(real, fake + 1, 0.8 * ones) - loss.smooth_d(real, fake, 0.8 * ones)
    torch.testing.assert_close(shift, loss.d(real, fake + 1) - loss.d(real, fake))
    t = torch.linspace(-3, 3, 60_001, dtype=torch.float64)
    best = t[loss.smooth_d(t, torch.zeros_like(t), torch.full_like(t, 0.8)).argmin()].item()
    assert best == pytest.approx(0.8 if name == "lsgan" else math.log(4), abs=1e-3)  # σ(log 4) = 0.8


@pytest.mark.parametrize("name", [*LOSSES, *F_GAN_LOSSES])
def test_the_sign_of_a_logit_means_something_where_the_loss_says_so(name):
    """Where real and fake are equally likely, is 0 the one best logit?"""
    loss, v = get_loss(name), torch.linspace(-2, 2, 401, dtype=torch.float64)
    zero = torch.zeros_like(v)
    same = loss.d(v, v) if loss.relativistic else loss.d(v, zero) + loss.d(zero, v)
    best = v[same <= same.min() + 1e-12]
    assert (len(best) == 1 and best.abs().item() < 1e-9) == (loss.zero_undecided and name != "hinge")
    if name == "hinge":  # every logit in [-1, 1] is best there; the sign of D still is that of p - q
        assert loss.zero_undecided and (best.min(), best.max()) == (-1, 1)


def test_targets_fill_the_interval_and_follow_the_callers_generator():
    targets = real_targets(20_000, 0.8, torch.Generator().manual_seed(0))
    assert targets.min() >= 0.8 and targets.max() <= 1
    assert targets.mean().item() == pytest.approx(0.9, abs=0.003)
    assert targets.std().item() == pytest.approx(0.2 / 12**0.5, abs=0.002)
    assert torch.equal(targets, real_targets(20_000, 0.8, torch.Generator().manual_seed(0)))


def test_instance_noise_has_its_spread_and_passes_gradients():
    x = torch.full((4000, 3), 2.0, requires_grad=True)
    noisy = instance_noise(x, 0.5, torch.Generator().manual_seed(0))
    assert (noisy - x).std().item() == pytest.approx(0.5, abs=0.02)
    assert (noisy - x).mean().item() == pytest.approx(0.0, abs=0.02)
    noisy.sum().backward()
    assert torch.equal(x.grad, torch.ones_like(x))
    assert instance_noise(x, 0.0, torch.Generator()) is x
    drawn = torch.randn(x.shape, generator=torch.Generator().manual_seed(0))
    assert torch.equal(noisy, x + 0.5 * drawn)  # the published sequence of a seed does not change


def test_refusals():
    with pytest.raises(InputError, match="Unknown f-divergence 'kll'. Did you mean 'kl'"):
        f_gan("kll")
    with pytest.raises(InputError, match="Did you mean 'fgan_js'"):
        get_loss("fgan_jss")
    with pytest.raises(InputError, match="Unknown loss 'wassertein'. Did you mean 'wasserstein'"):
        get_loss("wassertein")
    with pytest.raises(InputError, match=r"one shape \(N,\), got \(4, 1\) and \(4,\)"):
        check_logits(torch.zeros(4, 1), torch.zeros(4))
    with pytest.raises(InputError, match=r"got \(4,\) and \(3,\)"):
        check_logits(torch.zeros(4), torch.zeros(3))
    with pytest.raises(InputError, match=r"got \(4, 2\) and \(4, 2\)"):
        check_logits(torch.zeros(4, 2), torch.zeros(4, 2))
    check_logits(torch.zeros(4), torch.zeros(4))
    with pytest.raises(InputError, match="got augment='none'"):
        check_adaptive("nonsaturating", "none")
    with pytest.raises(InputError, match="says nothing under loss='wasserstein'"):
        check_adaptive("wasserstein", "color")
    check_adaptive("nonsaturating", "color")
    assert "choose minimax, nonsaturating, lsgan." in str(no_targets("hinge"))
