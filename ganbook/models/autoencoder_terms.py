"""What autoencoders minimise, term by term: likelihoods of pictures and distances of codes from the prior.

Pure functions, one value a picture unless a term compares a whole batch; weights and means belong to the step
(`ganbook.models.autoencoder`). Likelihoods are in nats, pictures in [-1, 1].
"""

from __future__ import annotations

import math

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn.functional import binary_cross_entropy

from ganbook.errors import InputError, unknown_name
from ganbook.metrics.kernel import Kernel, imq, rbf

LIKELIHOODS = ("bernoulli", "gaussian", "learned")
KERNELS = ("imq", "rbf")
FIXED_VARIANCE = 0.5  # at which -log p(x | z) is the squared distance plus a constant

Images = Float[Tensor, "n c h w"]
Codes = Float[Tensor, "n latent"]
Values = Float[Tensor, " n"]


def gaussian_kl(mean: Codes, log_var: Codes) -> Values:
    """``KL[N(μ, diag σ²) ‖ N(0, I)] = ½ Σ (μ² + σ² - 1 - log σ²)`` (Kingma & Welling 2014, appendix B)."""
    return 0.5 * (mean.square() + log_var.exp() - 1 - log_var).sum(1)


def reparameterise(mean: Codes, log_var: Codes, rng: torch.Generator) -> Codes:
    """``z = μ + σ·ε`` with ε ~ N(0, I): a draw that gradients pass through (Kingma & Welling 2014, section 2.4)."""
    noise = torch.randn(mean.shape, generator=rng, device=mean.device, dtype=mean.dtype)
    return mean + (0.5 * log_var).exp() * noise


def bernoulli_nll(x: Images, reconstruction: Images) -> Values:
    """Cross-entropy of the pixels as ink probabilities, in nats: both images are mapped from [-1, 1] to [0, 1].

    A log-likelihood only of pixels that are 0 or 1; of grey ones it is a loss with the same minimiser.
    """
    ink, probability = (x + 1) / 2, (reconstruction + 1) / 2
    return binary_cross_entropy(probability, ink, reduction="none").flatten(1).sum(1)


def gaussian_nll(x: Images, reconstruction: Images, variance: float | Tensor) -> Values:
    """``Σ (x - x̂)² / (2σ²) + d/2 log(2πσ²)`` in nats, d the number of pixels and channels, x in [-1, 1]."""
    variance = torch.as_tensor(variance, dtype=x.dtype, device=x.device)
    squares = (x - reconstruction).square().flatten(1)
    return squares.sum(1) / (2 * variance) + squares.shape[1] / 2 * torch.log(2 * math.pi * variance)


def best_variance(x: Images, reconstruction: Images) -> Float[Tensor, ""]:
    """The σ² that minimises the batch's mean `gaussian_nll`: the mean squared error (Rybkin et al. 2021, section 3).

    Detached: at its minimum over σ² the loss has, by the envelope theorem, the same gradient without it.
    """
    return (x - reconstruction).square().mean().detach().clamp(min=1e-6)


def mmd2_estimate(
    prior: Float[Tensor, "m latent"], codes: Codes, kernel: Kernel, labels: Int[Tensor, " n"] | None = None
) -> Float[Tensor, ""]:
    """The unbiased MMD² that WAE-MMD minimises, differentiable (Tolstikhin et al. 2018, Algorithm 2).

    With labels it compares the joint laws of (z, y), under ``k(z, z')·1[y = y']``: each class then fills the prior by
    itself, which is what a conditional decoder is sampled from. The i-th draws of both samples share their label, so
    that the pair i = j is left out across the samples too (Gretton et al. 2012, eq. 4), which keeps it unbiased.

    Args:
        prior: draws from N(0, I), as many as codes.
        codes: from the encoder.
        kernel: ``rbf(σ)`` or ``imq(c)`` of `ganbook.metrics`.
        labels: of the codes, and taken for the prior's draws too.

    Raises:
        InputError: fewer than two codes, or another number of draws.
    """
    n = len(codes)
    if n < 2 or len(prior) != n:
        raise InputError(f"An unbiased MMD² takes two samples of n ≥ 2 each, got {len(prior)} draws and {n} codes.")
    pairs = n * (n - 1)
    matrices = [kernel(prior, prior), kernel(codes, codes), kernel(prior, codes)]
    if labels is not None:
        same = (labels[:, None] == labels).to(codes.dtype)
        matrices = [matrix * same for matrix in matrices]
    within_prior, within_codes = ((matrix.sum() - matrix.trace()) / pairs for matrix in matrices[:2])
    cross = matrices[2]
    across = cross.mean() if labels is None else (cross.sum() - cross.trace()) / pairs
    return within_prior + within_codes - 2 * across


def get_kernel(name: str, latent_dim: int) -> Kernel:
    """The kernel of WAE-MMD on latents in d dimensions: IMQ with C = 2d, or RBF with σ² = d.

    Both have the scale of the squared distance of two draws from N(0, I), which is 2d on average (Tolstikhin et al.
    2018, section 4).

    Raises:
        InputError: an unknown name.
    """
    if name not in KERNELS:
        raise unknown_name("kernel", name, KERNELS)
    return imq(2.0 * latent_dim) if name == "imq" else rbf(math.sqrt(latent_dim))
