"""Bounds of the likelihood against a model whose likelihood is known in closed form."""

import math

import pytest
import torch
from torch import nn

from ganbook.errors import InputError
from ganbook.models.autoencoder import Autoencoder, build
from ganbook.models.likelihood import binarised, importance_bound

SLOPE = 0.8  # x = SLOPE·z + noise of variance ½, one latent, one pixel: p(x) = N(0, SLOPE² + ½)


class Line(nn.Module):
    """The decoder ``SLOPE·z``."""

    latent_dim, n_classes = 1, 0

    def __init__(self):
        super().__init__()
        self.slope = nn.Parameter(torch.tensor(SLOPE))

    def forward(self, z, y=None):
        return (self.slope * z)[:, :, None, None]


class Posterior(nn.Module):
    """The exact p(z | x), with its variance times ``stretch``."""

    def __init__(self, stretch=1.0):
        super().__init__()
        precision = 1 + SLOPE**2 / 0.5
        self.gain = nn.Parameter(torch.tensor(SLOPE / 0.5 / precision))
        self.log_var = math.log(stretch / precision)

    def forward(self, x, y=None):
        mean = self.gain * x.flatten(1)
        return torch.stack([mean, torch.full_like(mean, self.log_var)], 1)


X = torch.linspace(-2, 2, 9)[:, None, None, None]
EXACT = torch.distributions.Normal(0, math.sqrt(SLOPE**2 + 0.5)).log_prob(X.flatten())


@pytest.mark.chapter(name="03_autoencoders")
@pytest.mark.parametrize("draws", [1, 7])
def test_with_the_exact_posterior_every_weight_is_the_likelihood(draws):
    model = Autoencoder(Posterior(), Line(), likelihood="gaussian")
    assert torch.allclose(importance_bound(model, X, draws=draws), EXACT, atol=1e-5)


@pytest.mark.chapter(name="03_autoencoders")
def test_the_bound_rises_to_the_likelihood_and_one_draw_is_the_elbo():
    model = Autoencoder(Posterior(3.0), Line(), likelihood="gaussian")
    many = X.repeat(2000, 1, 1, 1)
    one, ten = (importance_bound(model, many, draws=k).mean().item() for k in (1, 10))
    exact = EXACT.mean().item()
    gap = 0.5 * (3.0 - 1 - math.log(3.0))  # KL of the stretched posterior from the exact one
    assert one == pytest.approx(exact - gap, abs=0.03)
    assert one == pytest.approx(model.elbo(many).mean().item(), abs=0.03)
    assert one + 0.2 < ten < exact + 0.01
    assert importance_bound(model, X, draws=5000).mean().item() == pytest.approx(exact, abs=0.01)


def test_labels_and_parts_belong_to_their_pictures(monkeypatch):
    model = build("cvae", resolution=28, channels=1, n_classes=3, latent_dim=2, width=4)
    x, y = torch.rand(5, 1, 28, 28, generator=torch.Generator().manual_seed(0)).round() * 2 - 1, torch.arange(5) % 3
    whole = importance_bound(model, x, y, draws=4)
    monkeypatch.setattr("ganbook.models.likelihood.AT_ONCE", 8)
    assert torch.allclose(importance_bound(model, x, y, draws=4), whole, atol=1e-3)


def test_only_what_draws_codes_has_a_bound():
    plain = build("ae", resolution=28, channels=1, n_classes=0, latent_dim=2, width=4)
    with pytest.raises(InputError, match="Only a VAE"):
        importance_bound(plain, torch.zeros(1, 1, 28, 28), draws=1)
    model = Autoencoder(Posterior(), Line(), likelihood="gaussian")
    with pytest.raises(InputError, match="draws=0"):
        importance_bound(model, X, draws=0)


def test_binarised_pixels_are_ink_as_often_as_they_are_grey():
    x = torch.full((1, 1, 100, 100), 0.4)  # 70% ink
    drawn = binarised(x, torch.Generator().manual_seed(0))
    assert set(drawn.unique().tolist()) == {-1.0, 1.0}
    assert (drawn > 0).double().mean().item() == pytest.approx(0.7, abs=0.02)
    black_and_white = torch.tensor([-1.0, 1.0]).view(1, 1, 1, 2)
    assert torch.equal(binarised(black_and_white, torch.Generator()), black_and_white)
