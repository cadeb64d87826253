"""Losses by property: a wrong sign, factor, side or detach fails here."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn.functional import binary_cross_entropy_with_logits

from ganbook.errors import InputError
from ganbook.losses import LOSSES, check_logits, get_loss
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


@pytest.mark.parametrize("name", LOSSES)
@given(real=st.floats(-12, 12), fake=st.floats(-12, 12))
def test_values_are_the_papers(name, real, fake):
    loss, (d, g) = LOSSES[name], FORMULAS[name]
    assert loss.d(*at(real, fake)).item() == pytest.approx(d(real, fake), rel=1e-6, abs=1e-9)
    assert loss.g(*at(real, fake)).item() == pytest.approx(g(real, fake), rel=1e-6, abs=1e-9)


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


def test_gradients_saturate_as_the_formula_says():
    t = torch.linspace(-20, 20, 81, dtype=torch.float64, requires_grad=True)
    (minimax,) = torch.autograd.grad(LOSSES["minimax"].g(t, t).sum(), t)
    (nonsaturating,) = torch.autograd.grad(LOSSES["nonsaturating"].g(t, t).sum(), t)
    torch.testing.assert_close(minimax, -torch.sigmoid(t.detach()))
    torch.testing.assert_close(nonsaturating, -torch.sigmoid(-t.detach()))


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


@pytest.mark.parametrize("name", BEST)
@pytest.mark.parametrize("ratio", [0.2, 0.7, 3.0])
def test_the_optimal_discriminator_is_the_known_function_of_the_density_ratio(name, ratio):
    t = torch.linspace(-4, 4, 80_001, dtype=torch.float64)
    real_part = LOSSES[name].d(t, torch.zeros_like(t)) - LOSSES[name].d(torch.zeros_like(t), torch.zeros_like(t))
    expected_loss = ratio * real_part + LOSSES[name].d(torch.zeros_like(t), t)
    assert t[expected_loss.argmin()].item() == pytest.approx(BEST[name](ratio), abs=1e-3)


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


def test_refusals():
    with pytest.raises(InputError, match="Unknown loss 'wassertein'. Did you mean 'wasserstein'"):
        get_loss("wassertein")
    with pytest.raises(InputError, match=r"one shape \(N,\), got \(4, 1\) and \(4,\)"):
        check_logits(torch.zeros(4, 1), torch.zeros(4))
    with pytest.raises(InputError, match=r"got \(4,\) and \(3,\)"):
        check_logits(torch.zeros(4), torch.zeros(3))
