"""Distributions whose density is known: Gaussian mixtures on the line, a ring and a grid."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from ganbook.errors import InputError


@dataclass(frozen=True)
class GaussianMixture:
    """A mixture of isotropic Gaussians in d dimensions."""

    means: Float[Tensor, "k d"]
    std: Float[Tensor, " k"]
    weights: Float[Tensor, " k"]  # sum to 1

    def __post_init__(self) -> None:
        k = len(self.means)
        if self.means.ndim != 2 or self.std.shape != (k,) or self.weights.shape != (k,):
            raise InputError(
                f"A mixture takes means (k, d), std (k,) and weights (k,), got {tuple(self.means.shape)}, "
                f"{tuple(self.std.shape)} and {tuple(self.weights.shape)}."
            )
        if bool((self.std <= 0).any()) or bool((self.weights < 0).any()) or abs(self.weights.sum().item() - 1) > 1e-5:
            raise InputError("A mixture needs positive std and weights that are not negative and sum to 1.")

    def sample(self, n: int, generator: torch.Generator) -> Float[Tensor, "n d"]:
        """``n`` independent points."""
        mode = torch.multinomial(self.weights, n, replacement=True, generator=generator)
        noise = torch.randn(n, self.means.shape[1], generator=generator)
        return self.means[mode] + self.std[mode, None] * noise

    def log_prob(self, x: Float[Tensor, "n d"]) -> Float[Tensor, " n"]:
        """The log density at each point."""
        d = self.means.shape[1]
        squared = torch.cdist(x, self.means).square() / self.std.square()
        log_normal = -0.5 * squared - d * torch.log(self.std) - 0.5 * d * math.log(2 * math.pi)
        return torch.logsumexp(log_normal + torch.log(self.weights), dim=1)


def mixture(means: list[list[float]], std: float) -> GaussianMixture:
    """Equal weights and one standard deviation; ``means`` is a list of k points."""
    k = len(means)
    return GaussianMixture(torch.tensor(means), torch.full((k,), float(std)), torch.full((k,), 1 / k))


def ring(modes: int = 8, *, radius: float = 1.0, std: float = 0.01) -> GaussianMixture:
    """Modes on a circle; the defaults are PacGAN's 2D-ring (Lin et al. 2018, section 4.1)."""
    angles = [2 * math.pi * i / modes for i in range(modes)]
    return mixture([[radius * math.cos(a), radius * math.sin(a)] for a in angles], std)


def grid(side: int = 5, *, spacing: float = 2.0, std: float = 0.05) -> GaussianMixture:
    """Modes on a square grid round 0; the defaults are PacGAN's 2D-grid, {-4, -2, 0, 2, 4}² (Lin et al. 2018)."""
    ticks = [spacing * (i - (side - 1) / 2) for i in range(side)]
    return mixture([[x, y] for x in ticks for y in ticks], std)


def endless(mixture: GaussianMixture, batch_size: int, *, seed: int) -> Iterator[tuple[Float[Tensor, "n d"], None]]:
    """Fresh batches `(N, d)` of a mixture, for ever and without labels, as `ganbook.training.train` wants them."""
    rng = torch.Generator().manual_seed(seed)
    while True:
        yield mixture.sample(batch_size, rng), None
