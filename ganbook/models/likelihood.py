"""What a VAE's decoder is worth as a model of the data: bounds of log p(x) by importance sampling.

With z₁ … z_k from q(z | x), ::

    L_k(x) = E log 1/k Σᵢ p(x | zᵢ) p(zᵢ) / q(zᵢ | x)

is a lower bound of log p(x) that rises with k; L_1 is the ELBO and L_∞ is log p(x) itself (Burda, Grosse &
Salakhutdinov 2016, eq. 8 and theorem 1). It is a log-likelihood only where the pixels are what the likelihood says: of
the Bernoulli, pixels that are 0 or 1, hence `binarised`.
"""

from __future__ import annotations

import math

import torch
from jaxtyping import Int
from torch import Tensor

from ganbook.errors import InputError
from ganbook.models.autoencoder import Autoencoder, evaluating
from ganbook.models.autoencoder_terms import Images, Values

AT_ONCE = 5000  # codes that are decoded together


def binarised(x: Images, rng: torch.Generator) -> Images:
    """Pictures of -1 and 1: each pixel is ink with the probability that its grey value says.

    Drawn anew for each batch this is *dynamic* binarisation (Salakhutdinov & Murray 2008; Burda et al. 2016, appendix
    D). Likelihoods of one fixed draw, and of grey values, are other numbers and not to be compared with it.
    """
    ink = (x + 1) / 2
    return 2 * torch.bernoulli(ink.clamp(0, 1), generator=rng) - 1


def importance_bound(
    model: Autoencoder, x: Images, labels: Int[Tensor, " n"] | None = None, *, draws: int, seed: int = 0
) -> Values:
    """One estimate of L_k for each picture, k = ``draws``, in nats.

    Raises:
        InputError: no draws, or an autoencoder that does not draw its codes and so has no q(z | x).
    """
    if model.objective != "vae":
        raise InputError(f"Only a VAE has a distribution of codes to weigh; this autoencoder is a {model.objective}.")
    if draws < 1:
        raise InputError(f"The bound takes one draw or more of each picture's code, got draws={draws}.")
    rng = torch.Generator().manual_seed(seed)
    size = max(1, AT_ONCE // draws)
    bounds = []
    with evaluating(model.encoder, model.decoder):
        for start in range(0, len(x), size):
            part = x[start : start + size]
            y = None if labels is None else labels[start : start + size]
            bounds.append(_log_weights(model, part, y, draws, rng).logsumexp(1) - math.log(draws))
    return torch.cat(bounds)


def _log_weights(model: Autoencoder, x: Tensor, labels: Tensor | None, draws: int, rng: torch.Generator) -> Tensor:
    """``log p(x | z) + log p(z) - log q(z | x)`` of each draw, `(n, draws)`."""
    mean, log_var = (part.repeat_interleave(draws, 0) for part in model.posterior(x, labels))
    noise = torch.randn(mean.shape, generator=rng)
    z = mean + (0.5 * log_var).exp() * noise
    y = None if labels is None else labels.repeat_interleave(draws)
    drawn = model.sample(z, y)
    nll = model.reconstruction_nll(x.repeat_interleave(draws, 0), drawn)
    ratio = 0.5 * (noise.square() + log_var - z.square()).sum(1)  # log p(z) - log q(z | x); the constants cancel
    return (ratio - nll).view(len(x), draws)
