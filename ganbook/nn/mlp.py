"""Fully connected networks for points in the plane and other small games."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

from ganbook.errors import unknown_name
from ganbook.nn.layers import MinibatchDiscrimination

NORMS = ("spectral", "none")


def mlp(sizes: Sequence[int], *, slope: float = 0.0) -> nn.Sequential:
    """Linear layers of the given sizes with a (leaky) ReLU between them and nothing after the last.

    Args:
        sizes: widths from input to output, at least two numbers.
        slope: slope of the activation for negative inputs; 0 is ReLU.
    """
    layers: list[nn.Module] = []
    for size_in, size_out in pairwise(sizes):
        layers += [nn.Linear(size_in, size_out), nn.LeakyReLU(slope)]
    return nn.Sequential(*layers[:-1])


class Generator(nn.Module):
    """Latents `(N, latent_dim)` to points `(N, dim)`."""

    def __init__(self, *, latent_dim: int = 2, dim: int = 2, width: int = 128, depth: int = 3) -> None:
        super().__init__()
        self.latent_dim = latent_dim
        self.net = mlp([latent_dim, *[width] * depth, dim])

    def forward(self, z: Float[Tensor, "n latent"], y: None = None) -> Float[Tensor, "n dim"]:
        return self.net(z)


class Discriminator(nn.Module):
    """Points `(N, dim)` to logits `(N,)`.

    Args:
        norm: `"spectral"` (Miyato et al. 2018) or `"none"`.
        kernels: of minibatch discrimination before the last layer (Salimans et al. 2016); 0 for none.
    """

    def __init__(
        self,
        *,
        dim: int = 2,
        width: int = 128,
        depth: int = 3,
        slope: float = 0.2,
        norm: str = "none",
        kernels: int = 0,
    ) -> None:
        super().__init__()
        if norm not in NORMS:
            raise unknown_name("normalisation", norm, NORMS)
        self.net = mlp([dim, *[width] * depth, 1], slope=slope)
        if kernels:
            features = list(self.net)[:-1]
            self.net = nn.Sequential(*features, MinibatchDiscrimination(width, kernels), nn.Linear(width + kernels, 1))
        if norm == "spectral":
            for layer in list(self.net.modules()):
                if isinstance(layer, nn.Linear):
                    spectral_norm(layer)

    def forward(self, x: Float[Tensor, "n dim"], y: None = None) -> Float[Tensor, " n"]:
        return self.net(x).flatten()
