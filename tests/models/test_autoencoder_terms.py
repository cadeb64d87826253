"""The terms of the objectives against closed forms, torch.distributions and Monte Carlo."""

import math

import pytest
import torch
from torch.distributions import Bernoulli, Independent, Normal, kl_divergence

from ganbook.errors import InputError
from ganbook.metrics import mmd2
from ganbook.models.autoencoder_terms import (
    bernoulli_nll,
    best_variance,
    gaussian_kl,
    gaussian_nll,
    get_kernel,
    mmd2_estimate,
    reparameterise,
)


def rng(seed=0):
    return torch.Generator().manual_seed(seed)


def codes(n=5, d=3, seed=0):
    g = rng(seed)
    return torch.randn(n, d, generator=g, dtype=torch.float64), torch.randn(n, d, generator=g, dtype=torch.float64)


@pytest.mark.chapter(name="03_autoencoders")
def test_kl_is_that_of_torch_distributions():
    mean, log_var = codes()
    expected = kl_divergence(Normal(mean, (0.5 * log_var).exp()), Normal(0.0, 1.0)).sum(1)
    assert torch.allclose(gaussian_kl(mean, log_var), expected, atol=1e-12)
    assert torch.equal(gaussian_kl(torch.zeros(2, 4), torch.zeros(2, 4)), torch.zeros(2))


@pytest.mark.chapter(name="03_autoencoders")
def test_kl_is_the_mean_log_ratio_of_the_densities():
    """E_q[log q(z) - log p(z)] from draws by reparameterisation, within four standard errors."""
    mean, log_var = codes(1, 2)
    n = 200_000
    z = reparameterise(mean.expand(n, -1), log_var.expand(n, -1), rng(1))
    q, p = Independent(Normal(mean, (0.5 * log_var).exp()), 1), Independent(Normal(torch.zeros_like(mean), 1.0), 1)
    ratio = q.log_prob(z) - p.log_prob(z)
    assert abs(ratio.mean() - gaussian_kl(mean, log_var)[0]) < 4 * ratio.std() / n**0.5


@pytest.mark.chapter(name="03_autoencoders")
def test_draws_have_the_posteriors_moments_and_carry_gradients():
    mean = torch.tensor([[1.0, -2.0]], requires_grad=True)
    log_var = torch.tensor([[0.0, math.log(4.0)]], requires_grad=True)
    z = reparameterise(mean.expand(100_000, -1), log_var.expand(100_000, -1), rng())
    assert torch.allclose(z.mean(0), mean[0], atol=0.03)
    assert torch.allclose(z.std(0), torch.tensor([1.0, 2.0]), atol=0.03)
    z.square().sum(1).mean().backward()  # E z² = μ² + σ²: slopes 2μ, and σ² for log σ²
    assert torch.allclose(mean.grad, 2 * mean.detach(), atol=0.05)
    assert torch.allclose(log_var.grad, log_var.detach().exp(), atol=0.05)


def test_likelihoods_are_those_of_torch_distributions():
    x = torch.rand(3, 1, 4, 4, generator=rng(), dtype=torch.float64) * 2 - 1
    made = torch.rand(3, 1, 4, 4, generator=rng(1), dtype=torch.float64) * 1.8 - 0.9
    black_white = (x > 0).double()
    expected = -Bernoulli((made + 1) / 2).log_prob(black_white).flatten(1).sum(1)
    assert torch.allclose(bernoulli_nll(2 * black_white - 1, made), expected)
    for variance in (0.5, 0.03):
        expected = -Normal(made, variance**0.5).log_prob(x).flatten(1).sum(1)
        assert torch.allclose(gaussian_nll(x, made, variance), expected)


def test_cross_entropy_of_saturated_pixels_is_finite():
    ends = torch.tensor([-1.0, 1.0]).reshape(1, 1, 1, 2)
    assert bernoulli_nll(ends, ends).item() == 0
    assert math.isfinite(bernoulli_nll(ends, -ends).item())


@pytest.mark.chapter(name="03_autoencoders")
def test_the_best_variance_is_best_and_leaves_the_gradient_alone():
    x = torch.rand(4, 1, 3, 3, generator=rng(), dtype=torch.float64)
    made = torch.rand(4, 1, 3, 3, generator=rng(1), dtype=torch.float64, requires_grad=True)
    best = best_variance(x, made)
    at_best = gaussian_nll(x, made, best).mean()
    assert all(gaussian_nll(x, made, best * factor).mean() > at_best for factor in (0.9, 1.1))
    (detached,) = torch.autograd.grad(at_best, made)
    (through,) = torch.autograd.grad(gaussian_nll(x, made, (x - made).square().mean()).mean(), made)
    assert torch.allclose(detached, through)


@pytest.mark.parametrize("name", ["imq", "rbf"])
def test_mmd_is_the_metrics_unbiased_estimate_with_a_gradient(name):
    prior, z = codes(20, 3)
    z.requires_grad_()
    value = mmd2_estimate(prior, z, get_kernel(name, 3))
    assert value.item() == pytest.approx(mmd2(prior, z, kernel=get_kernel(name, 3)), abs=1e-12)
    value.backward()
    assert (z.grad != 0).any()


@pytest.mark.chapter(name="03_autoencoders")
@pytest.mark.parametrize("labelled", [False, True])
@pytest.mark.parametrize("name", ["imq", "rbf"])
def test_mmd_of_equal_laws_is_zero_on_average(name, labelled):
    """Unbiased: over many pairs of equal samples the mean lies within three standard errors of 0."""
    labels = torch.arange(24) % 4 if labelled else None
    draws = torch.randn(400, 2, 24, 2, generator=rng(), dtype=torch.float64)
    values = torch.stack([mmd2_estimate(a, b, get_kernel(name, 2), labels) for a, b in draws])
    assert abs(values.mean()) < 3 * values.std() / len(values) ** 0.5
    assert (values < 0).any()  # a biased estimate never is


def test_only_the_labelled_mmd_sees_that_classes_divide_the_prior():
    """Codes that are normal as a whole, but each class in a half-plane of its own."""
    z = torch.randn(400, 2, generator=rng(), dtype=torch.float64)
    prior = torch.randn(400, 2, generator=rng(1), dtype=torch.float64)
    labels = (z[:, 0] > 0).long()
    plain = mmd2_estimate(prior, z, get_kernel("rbf", 2))
    by_class = mmd2_estimate(prior, z, get_kernel("rbf", 2), labels)
    assert abs(plain) < 0.02 < 0.05 < by_class


def test_mmd_of_too_few_or_unpaired_codes_is_refused():
    for n, m in ((1, 1), (3, 4)):
        with pytest.raises(InputError, match="two samples of n"):
            mmd2_estimate(torch.zeros(n, 2), torch.zeros(m, 2), get_kernel("imq", 2))
    with pytest.raises(InputError, match="Did you mean 'imq'"):
        get_kernel("img", 2)
