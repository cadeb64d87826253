"""A modern baseline after R3GAN (Huang, Gokaslan, Kuleshov & Tompkin 2024, section 3): residual networks, nothing else.

Made for the loss `rpgan` with the penalty `r1_r2`, whose convergence lets the tricks go: there is no normalisation, no
style, no noise, no minibatch statistics. What stays is a plain residual design, the same in both networks:

- a block is ``x + conv1×1(f(grouped conv3×3(f(conv1×1(x)))))`` with twice the maps inside (an inverted bottleneck), in
  groups of 16 maps, f being LeakyReLU(0.2);
- weights start after fix-up (Zhang, Dauphin & Ma 2019): the last convolution of each block at 0, the others scaled by
  ``L^(-1/4)`` for L blocks, so that a deep stack starts as the identity and learns at the pace of a shallow one;
- sides change by bilinear resampling, maps by a 1×1 convolution;
- at the 4×4 end a learnt basis of maps is weighted by a linear function of z, and in the discriminator read by one
  4×4 filter for each map.
"""

from __future__ import annotations

import math
from itertools import pairwise
from typing import TypeVar

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn.functional import conv2d, interpolate, one_hot, pad

from ganbook.nn.dcgan import check_labels
from ganbook.nn.pggan import FIRST, maps_at, sides
from ganbook.nn.resnet import Labels, Maps, check_images

NORMS = ("none",)
SLOPE = 0.2  # of LeakyReLU
GAIN = math.sqrt(2 / (1 + SLOPE**2))  # keeps the variance behind it (He et al. 2015)
Layer = TypeVar("Layer", nn.Linear, nn.Conv2d)
GROUP = 16  # maps that a 3×3 convolution reads together
BLOCKS = 2  # at each side


def conv(maps_in: int, maps_out: int, kernel: int, *, gain: float, groups: int = 1, bias: bool = True) -> nn.Conv2d:
    """A convolution that keeps the side, with weights from N(0, gain²/fan_in) and biases 0."""
    layer = nn.Conv2d(maps_in, maps_out, kernel, padding=kernel // 2, groups=groups, bias=bias)
    return _initialised(layer, gain)


def dense(size_in: int, size_out: int, *, gain: float = 1.0) -> nn.Linear:
    """A linear layer initialised likewise."""
    return _initialised(nn.Linear(size_in, size_out), gain)


def _initialised(layer: Layer, gain: float) -> Layer:
    nn.init.normal_(layer.weight, 0.0, gain / math.sqrt(layer.weight[0].numel()))
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)
    return layer


class Block(nn.Module):
    """``x + conv1×1(f(grouped conv3×3(f(conv1×1(x)))))``, at first the identity.

    Args:
        maps: of x; twice as many inside.
        depth: L, the blocks of the whole network.
    """

    def __init__(self, maps: int, depth: int) -> None:
        super().__init__()
        inner, gain = 2 * maps, GAIN * depth ** (-1 / 4)
        groups = inner // math.gcd(inner, GROUP)
        self.branch = nn.Sequential(
            conv(maps, inner, 1, gain=gain),
            nn.LeakyReLU(SLOPE),
            conv(inner, inner, 3, gain=gain, groups=groups),
            nn.LeakyReLU(SLOPE),
            conv(inner, maps, 1, gain=0.0, bias=False),
        )

    def forward(self, x: Maps) -> Maps:
        return x + self.branch(x)


def upsample(x: Maps) -> Maps:
    """Twice the side, bilinear: each axis is filtered with (1, 3, 3, 1)/4."""
    return interpolate(x, scale_factor=2, mode="bilinear", align_corners=False)


def downsample(x: Maps) -> Maps:
    """Half the side, through the same filter (1, 3, 3, 1)/8 on each axis, the border repeated."""
    filter1d = torch.tensor([1.0, 3.0, 3.0, 1.0], device=x.device, dtype=x.dtype) / 8
    maps = x.shape[1]
    kernel = torch.outer(filter1d, filter1d).expand(maps, 1, 4, 4)
    return conv2d(pad(x, (1, 1, 1, 1), mode="replicate"), kernel, stride=2, groups=maps)


class Resample(nn.Module):
    """`upsample` or `downsample`, and a 1×1 convolution where the number of maps changes."""

    def __init__(self, maps_in: int, maps_out: int, *, up: bool) -> None:
        super().__init__()
        self.up = up
        self.maps = conv(maps_in, maps_out, 1, gain=1.0, bias=False) if maps_in != maps_out else nn.Identity()

    def forward(self, x: Maps) -> Maps:
        return upsample(self.maps(x)) if self.up else self.maps(downsample(x))


def table(resolution: int, width: int, max_maps: int) -> list[int]:
    """Feature maps from 4 pixels up to the resolution: ``width`` at the last, at most ``max_maps``."""
    return [maps_at(side, resolution, width, max_maps) for side in sides(resolution)]


class Generator(nn.Module):
    """Latents `(N, latent_dim)` and optional labels `(N,)` to images `(N, channels, resolution, resolution)`.

    The last layer is linear; in evaluation mode samples are clipped to [-1, 1].

    Args:
        resolution: 4 times a power of two.
        channels: 1 for grey, 3 for colour.
        latent_dim: length of z.
        width: feature maps at the full resolution, twice as many at each halving.
        n_classes: 0 for no labels; else they enter one-hot beside the latent.
        max_maps: feature maps at the small sides.

    Raises:
        InputError: another resolution.
    """

    def __init__(
        self,
        *,
        resolution: int,
        channels: int = 3,
        latent_dim: int = 64,
        width: int = 96,
        n_classes: int = 0,
        max_maps: int = 768,
    ) -> None:
        super().__init__()
        maps = table(resolution, width, max_maps)
        depth = BLOCKS * len(maps)
        self.latent_dim, self.n_classes = latent_dim, n_classes
        self.basis = nn.Parameter(torch.randn(maps[0], FIRST, FIRST))
        self.weights = dense(latent_dim + n_classes, maps[0])
        layers: list[nn.Module] = [Block(maps[0], depth) for _ in range(BLOCKS)]
        for a, b in pairwise(maps):
            layers += [Resample(a, b, up=True), *(Block(b, depth) for _ in range(BLOCKS))]
        self.body = nn.Sequential(*layers)
        self.to_rgb = conv(maps[-1], channels, 1, gain=1.0)

    def forward(self, z: Float[Tensor, "n latent"], y: Labels = None) -> Maps:
        if self.n_classes:
            z = torch.cat([z, one_hot(check_labels(y, self.n_classes), self.n_classes).to(z.dtype)], dim=1)
        image = self.to_rgb(self.body(self.basis * self.weights(z)[:, :, None, None]))
        return image if self.training else image.clamp(-1, 1)


class Discriminator(nn.Module):
    """Images `(N, channels, resolution, resolution)` and optional labels `(N,)` to logits `(N,)`.

    Args:
        width: feature maps at the full resolution, twice as many at each halving.
        n_classes: 0 for no labels; else they enter by projection (Miyato & Koyama 2018, eq. 6).
        max_maps: feature maps at the small sides.

    Raises:
        InputError: another resolution than 4 times a power of two; later images of another shape.
    """

    def __init__(
        self, *, resolution: int, channels: int = 3, width: int = 96, n_classes: int = 0, max_maps: int = 768
    ) -> None:
        super().__init__()
        maps = table(resolution, width, max_maps)[::-1]
        depth = BLOCKS * len(maps)
        self.shape, self.n_classes = (channels, resolution, resolution), n_classes
        self.from_rgb = conv(channels, maps[0], 1, gain=1.0)
        layers: list[nn.Module] = [Block(maps[0], depth) for _ in range(BLOCKS)]
        for a, b in pairwise(maps):
            layers += [Resample(a, b, up=False), *(Block(b, depth) for _ in range(BLOCKS))]
        self.body = nn.Sequential(*layers)
        last = self.n_hidden = maps[-1]
        self.basis = _initialised(nn.Conv2d(last, last, FIRST, groups=last, bias=False), 1.0)
        self.head = dense(last, 1)
        self.project = _initialised(nn.Linear(last, n_classes, bias=False), 1.0) if n_classes else None

    def hidden(self, x: Maps) -> Float[Tensor, "n d"]:
        """The features that the logit is a linear function of, `(N, n_hidden)`."""
        return self.basis(self.body(self.from_rgb(check_images(x, self.shape)))).flatten(1)

    def forward(self, x: Maps, y: Int[Tensor, " n"] | None = None) -> Float[Tensor, " n"]:
        h = self.hidden(x)
        logits = self.head(h).flatten()
        if self.project is not None:
            logits = logits + self.project(h).gather(1, check_labels(y, self.n_classes)[:, None]).flatten()
        return logits
