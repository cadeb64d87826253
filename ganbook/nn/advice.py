"""DCGAN with each of its guidelines as a switch, to see what a guideline is worth (Radford et al. 2016, section 3).

`Advice()` follows all of them and builds the networks of `ganbook.nn.dcgan`, weight for weight; each field turns one
of them off. What belongs to the training and not to the networks (BatchNorm's batches, noise on the pictures, the
optimiser) is an argument of `ganbook.models.gan.GAN`.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, fields
from itertools import pairwise

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn.functional import one_hot

from ganbook.errors import unknown_name
from ganbook.nn.dcgan import check_labels, initialise, stages

Z = Float[Tensor, "n latent"]
CHOICES = {
    "layers": ("convolution", "dense"),
    "down": ("stride", "max", "average"),
    "up": ("stride", "nearest"),
    "activation_g": ("relu", "leaky_relu", "tanh"),
    "activation_d": ("leaky_relu", "relu", "tanh"),
    "norm_g": ("batch", "none"),
    "norm_d": ("batch", "none"),
    "pixels": ("symmetric", "unit"),
    "output": ("tanh", "linear"),
    "latents": ("normal", "uniform", "sphere"),
    "weights": ("normal", "torch"),
}


@dataclass(frozen=True)
class Advice:
    """Which guidelines a pair of networks follows; each default is the paper's own choice, except `latents`.

    Raises:
        InputError: a choice that does not exist; the nearest is suggested.
    """

    layers: str = "convolution"  # dense: fully connected, with as many multiplications
    down: str = "stride"  # of the discriminator; max or average: pooling after a convolution of stride 1
    up: str = "stride"  # of the generator; nearest: repeated pixels, then a convolution of stride 1
    activation_g: str = "relu"  # or leaky_relu, tanh
    activation_d: str = "leaky_relu"  # or relu, tanh
    norm_g: str = "batch"  # or none
    norm_d: str = "batch"  # or none
    pixels: str = "symmetric"  # [-1, 1]; unit: [0, 1], with the logistic sigmoid last in the generator
    output: str = "tanh"  # linear: nothing bounds the generator's pixels
    latents: str = "normal"  # uniform on [-1, 1] (the paper's), or on the sphere of radius √d
    weights: str = "normal"  # N(0, 0.02²); torch: that library's own initial weights

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if value not in CHOICES[field.name]:
                raise unknown_name(f"choice of {field.name}", value, CHOICES[field.name])


def normal_latents(z: Z) -> Z:
    """``z`` as it is, N(0, I)."""
    return z


def uniform_latents(z: Z) -> Z:
    """``2Φ(z) - 1 = erf(z/√2)``: of a standard normal z, uniform on [-1, 1] in each coordinate."""
    return torch.erf(z / math.sqrt(2))


def sphere_latents(z: Z) -> Z:
    """``√d · z/‖z‖``: of a standard normal z, uniform on the sphere of radius √d."""
    return z * (math.sqrt(z.shape[1]) / z.norm(dim=1, keepdim=True))


LATENTS: dict[str, Callable[[Tensor], Tensor]] = {
    "normal": normal_latents,
    "uniform": uniform_latents,
    "sphere": sphere_latents,
}


def activation(name: str) -> nn.Module:
    """A new layer of that name; LeakyReLU has slope 0.2."""
    return {"relu": nn.ReLU(), "leaky_relu": nn.LeakyReLU(0.2), "tanh": nn.Tanh()}[name]


class Generator(nn.Module):
    """Standard normal latents `(N, latent_dim)` and optional labels to images `(N, channels, side, side)` in [-1, 1].

    The latents' law is made from the normal one inside; pixels in [0, 1] leave as ``2x - 1``. Only `output="linear"`
    leaves [-1, 1]. The other arguments are those of `ganbook.nn.dcgan.Generator`.
    """

    def __init__(
        self, advice: Advice, *, resolution: int, channels: int, latent_dim: int, width: int, n_classes: int = 0
    ) -> None:
        super().__init__()
        self.advice, self.latent_dim, self.n_classes = advice, latent_dim, n_classes
        side, doublings = stages(resolution)
        maps = [width * 2**k for k in reversed(range(doublings))]
        if advice.layers == "dense":
            size = (channels, resolution, resolution)
            work = (latent_dim + n_classes) * maps[0] * side**2 + convolution_work([*maps, channels], side)
            hidden = dense_width(latent_dim + n_classes, math.prod(size), work)
            layers: list[nn.Module] = [nn.Flatten()]
            for n_in in (latent_dim + n_classes, hidden):
                layers += self._block(nn.Linear(n_in, hidden, bias=advice.norm_g == "none"), nn.BatchNorm1d(hidden))
            layers += [nn.Linear(hidden, math.prod(size)), nn.Unflatten(1, size)]
        else:
            bias = advice.norm_g == "none"
            first = nn.ConvTranspose2d(latent_dim + n_classes, maps[0], side, bias=bias)
            layers = self._block(first, nn.BatchNorm2d(maps[0]))
            for n_in, n_out in pairwise(maps):
                layers += self._block(*doubling(advice.up, n_in, n_out, bias=bias), nn.BatchNorm2d(n_out))
            layers += doubling(advice.up, maps[-1], channels, bias=True)
        if advice.output == "tanh":
            layers += [nn.Tanh()]
        self.net = nn.Sequential(*layers)
        if advice.weights == "normal":
            initialise(self)

    def _block(self, *layers: nn.Module) -> list[nn.Module]:
        """Layers whose last is BatchNorm, which the advice may leave out, and an activation."""
        kept = layers if self.advice.norm_g == "batch" else layers[:-1]
        return [*kept, activation(self.advice.activation_g)]

    def forward(self, z: Z, y: Int[Tensor, " n"] | None = None) -> Float[Tensor, "n c h w"]:
        z = LATENTS[self.advice.latents](z)
        if self.n_classes:
            z = torch.cat([z, one_hot(check_labels(y, self.n_classes), self.n_classes).to(z.dtype)], dim=1)
        z = z[:, :, None, None]
        if self.advice.pixels == "unit" and self.advice.output == "tanh":
            return torch.tanh(self.net[:-1](z) / 2)  # 2σ(a) - 1
        return self.net(z)


class Discriminator(nn.Module):
    """Images `(N, channels, side, side)` in [-1, 1] and optional labels `(N,)` to logits `(N,)`.

    With pixels in [0, 1] it reads ``(x + 1)/2``. The other arguments are those of `ganbook.nn.dcgan.Discriminator`.
    """

    def __init__(self, advice: Advice, *, resolution: int, channels: int, width: int, n_classes: int = 0) -> None:
        super().__init__()
        self.advice, self.n_classes = advice, n_classes
        side, doublings = stages(resolution)
        maps = [channels, *(width * 2**k for k in range(doublings))]
        norm = advice.norm_d == "batch"
        layers: list[nn.Module] = []
        if advice.layers == "dense":
            n_in = channels * resolution**2
            size = dense_width(n_in, 1, convolution_work(list(reversed(maps)), side) + maps[-1] * side**2)
            layers += [nn.Flatten(), nn.Linear(n_in, size), activation(advice.activation_d)]
            layers += [nn.Linear(size, size, bias=not norm), *([nn.BatchNorm1d(size)] if norm else [])]
            layers += [activation(advice.activation_d)]
        else:
            for stage, (n_in, n_out) in enumerate(pairwise(maps)):
                batch_norm = norm and stage > 0
                layers += halving(advice.down, n_in, n_out, bias=not batch_norm)
                layers += [nn.BatchNorm2d(n_out)] if batch_norm else []
                layers += [activation(advice.activation_d)]
            size = maps[-1] * side**2
        self.features = nn.Sequential(*layers, nn.Flatten())
        self.head = nn.Linear(size, 1)
        self.project = nn.Embedding(n_classes, size) if n_classes else None
        if advice.weights == "normal":
            initialise(self)

    def forward(self, x: Float[Tensor, "n c h w"], y: Int[Tensor, " n"] | None = None) -> Float[Tensor, " n"]:
        h = self.features((x + 1) / 2 if self.advice.pixels == "unit" else x)
        logits = self.head(h).flatten()
        if self.project is not None:
            logits = logits + (self.project(check_labels(y, self.n_classes)) * h).sum(1)
        return logits


def doubling(up: str, n_in: int, n_out: int, *, bias: bool) -> list[nn.Module]:
    """Layers that double the side: a transposed convolution, or repeated pixels and a convolution."""
    if up == "stride":
        return [nn.ConvTranspose2d(n_in, n_out, 4, stride=2, padding=1, bias=bias)]
    return [nn.Upsample(scale_factor=2, mode="nearest"), nn.Conv2d(n_in, n_out, 3, padding=1, bias=bias)]


def halving(down: str, n_in: int, n_out: int, *, bias: bool) -> list[nn.Module]:
    """Layers that halve the side: a convolution of stride 2, or one of stride 1 and pooling."""
    if down == "stride":
        return [nn.Conv2d(n_in, n_out, 4, stride=2, padding=1, bias=bias)]
    pool = nn.MaxPool2d(2) if down == "max" else nn.AvgPool2d(2)
    return [nn.Conv2d(n_in, n_out, 3, padding=1, bias=bias), pool]


def convolution_work(maps: list[int], side: int) -> int:
    """Multiplications per image of 4 × 4 convolutions between ``maps``, the coarsest first, of sides side, 2·side, …"""
    pairs = pairwise(maps)
    return sum(16 * n_in * n_out * (side * 2**stage) ** 2 for stage, (n_in, n_out) in enumerate(pairs))


def dense_width(n_in: int, n_out: int, work: int) -> int:
    """The largest h with which dense layers n_in → h → h → n_out take at most ``work`` multiplications."""
    b = n_in + n_out
    return max(1, (math.isqrt(b * b + 4 * work) - b) // 2)
