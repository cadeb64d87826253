"""PGGAN (Karras, Aila, Laine & Lehtinen 2018): networks that grow from 4×4 pixels by blocks, for any 4·2ᵏ pixels.

Both networks are built whole, and `grow` says how much of them is in use: `resolution`, the side of the images, and
`alpha`, how far the newest block has been faded in (section 2 and figure 2). A network that nobody has grown is whole:
the plain, non-progressive network of the same size, block by block. While alpha is below 1,

    G = (1 - α)·double(to_rgb_old(h_old)) + α·to_rgb_new(h_new),
    D:  h = (1 - α)·from_rgb_old(halve(x)) + α·block_new(from_rgb_new(x)),

so that α = 0 is exactly the smaller network between resizings, and α = 1 the larger one, at which the old path is
skipped. Two variants share the table of feature maps (table 2):

- `norm="equalised"`, the paper's: equalised learning rates in both networks, pixel norm in the generator and on its
  latents, a linear last layer;
- `norm="spectral"`, after the thesis this book started from: spectral norm in both, BatchNorm in the generator, tanh.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import cast

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn.functional import avg_pool2d, one_hot
from torch.nn.utils.parametrizations import spectral_norm

from ganbook.errors import InputError, unknown_name
from ganbook.nn.dcgan import check_labels
from ganbook.nn.layers import MinibatchStddev, PixelNorm, equalised, pixel_norm
from ganbook.nn.resnet import Labels, Maps, check_images, double

NORMS = ("equalised", "spectral")
FIRST = 4  # side of the first feature map and of the first stage's images


def sides(resolution: int) -> list[int]:
    """4, 8, 16, … up to ``resolution``.

    Raises:
        InputError: not 4 times a power of two.
    """
    doublings = math.log2(resolution / FIRST) if resolution >= FIRST else -1.0
    if doublings < 0 or not doublings.is_integer():
        raise InputError(
            f"A network that grows from {FIRST} pixels by doubling makes images of 4, 8, 16, 32, 64, … pixels, got "
            f"resolution={resolution}. Choose 4 times a power of two; ganbook.data resizes the images to it."
        )
    return [FIRST * 2**i for i in range(int(doublings) + 1)]


def maps_at(side: int, resolution: int, width: int, max_maps: int) -> int:
    """Feature maps at a side: ``width`` at the full resolution, twice as many at each halving, at most ``max_maps``."""
    return min(max_maps, width * resolution // side)


def constraint(norm: str) -> Callable[..., nn.Module]:
    """What is done to each layer with weights, given it and its gain.

    Raises:
        InputError: a name that is not in `NORMS`.
    """
    if norm not in NORMS:
        raise unknown_name("normalisation", norm, NORMS)
    return equalised if norm == "equalised" else _spectral


def _spectral(layer: nn.Conv2d | nn.Linear, gain: float = math.sqrt(2)) -> nn.Module:
    nn.init.orthogonal_(layer.weight, gain)  # the norm divides the gain away; it starts as a well conditioned matrix
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)
    return spectral_norm(layer)


def conv(
    maps_in: int, maps_out: int, kernel: int, norm: str, *, padding: int = 0, gain: float = math.sqrt(2)
) -> nn.Module:
    """A constrained convolution with bias."""
    return constraint(norm)(nn.Conv2d(maps_in, maps_out, kernel, padding=padding), gain)


def behind(maps: int, norm: str) -> list[nn.Module]:
    """What follows a convolution of the generator: LeakyReLU and pixel norm, or BatchNorm and LeakyReLU."""
    if norm == "equalised":
        return [nn.LeakyReLU(0.2), PixelNorm()]
    return [nn.BatchNorm2d(maps), nn.LeakyReLU(0.2)]


class Growing(nn.Module):
    """How much of a network is in use; saved with its weights. Abstract: a generator or a discriminator.

    Args:
        full: the resolution of the whole network, in pixels.
    """

    def __init__(self, full: int) -> None:
        super().__init__()
        self.sides = sides(full)
        self.resolution, self.alpha = full, 1.0

    def grow(self, resolution: int, alpha: float = 1.0) -> None:
        """Use the blocks up to ``resolution`` pixels, the newest by the share ``alpha`` in [0, 1].

        Raises:
            InputError: a resolution that the network does not pass, another alpha, or one below 1 at 4 pixels, where
                there is nothing to fade from.
        """
        if resolution not in self.sides:
            raise InputError(
                f"This network grows through {', '.join(map(str, self.sides))} pixels, got resolution={resolution}."
            )
        if not 0 <= alpha <= 1 or (resolution == FIRST and alpha < 1):
            raise InputError(
                f"alpha is the newest block's share, from 0 to 1, and 1 at {FIRST} pixels, got alpha={alpha} at "
                f"resolution={resolution}."
            )
        self.resolution, self.alpha = resolution, alpha

    def get_extra_state(self) -> Tensor:
        """Resolution and alpha, for `state_dict`."""
        return torch.tensor([self.resolution, self.alpha], dtype=torch.float64)

    def set_extra_state(self, state: Tensor) -> None:
        """The inverse of `get_extra_state`."""
        resolution, alpha = state.tolist()
        self.grow(int(resolution), alpha)


class Start(nn.Module):
    """Latents to the first 4×4 map: a 4×4 convolution of one pixel padded by 3, that is a dense layer."""

    def __init__(self, latent_dim: int, maps: int, norm: str) -> None:
        super().__init__()
        self.conv = conv(latent_dim, maps, FIRST, norm)

    def forward(self, z: Float[Tensor, "n latent"]) -> Maps:
        weight, bias = cast(Tensor, self.conv.weight), cast(Tensor, self.conv.bias)
        return torch.einsum("nl,mlhw->nmhw", z, weight) + bias[:, None, None]


class Double(nn.Module):
    """Twice the side, each pixel repeated."""

    def forward(self, x: Maps) -> Maps:
        return double(x)


class Generator(Growing):
    """Latents `(N, latent_dim)` and optional labels `(N,)` to images `(N, channels, resolution, resolution)`.

    Samples of the paper's variant are clipped to [-1, 1] in evaluation mode; in training its last layer is linear.

    Args:
        resolution: of the whole network: 4 times a power of two.
        channels: 1 for grey, 3 for colour.
        latent_dim: length of z.
        width: feature maps at the full resolution; the paper's 1024 pixels have 16.
        n_classes: 0 for no labels; else they enter one-hot beside the latent.
        norm: `"equalised"` for the paper's variant, `"spectral"` for the thesis'.
        max_maps: feature maps at the small sides.

    Raises:
        InputError: another resolution or an unknown norm.
    """

    def __init__(
        self,
        *,
        resolution: int,
        channels: int = 3,
        latent_dim: int = 512,
        width: int = 16,
        n_classes: int = 0,
        norm: str = "equalised",
        max_maps: int = 512,
    ) -> None:
        super().__init__(resolution)
        self.latent_dim, self.n_classes, self.norm = latent_dim, n_classes, norm
        maps = {side: maps_at(side, resolution, width, max_maps) for side in self.sides}
        first = maps[FIRST]
        layers = [Start(latent_dim + n_classes, first, norm), *behind(first, norm)]
        self.start = nn.Sequential(*layers, conv(first, first, 3, norm, padding=1), *behind(first, norm))
        self.blocks = nn.ModuleDict()
        for side in self.sides[1:]:
            layers = [Double(), conv(maps[side // 2], maps[side], 3, norm, padding=1), *behind(maps[side], norm)]
            layers += [conv(maps[side], maps[side], 3, norm, padding=1), *behind(maps[side], norm)]
            self.blocks[str(side)] = nn.Sequential(*layers)
        self.to_rgb = nn.ModuleDict({str(s): conv(maps[s], channels, 1, norm, gain=1.0) for s in self.sides})

    def forward(self, z: Float[Tensor, "n latent"], y: Labels = None) -> Maps:
        if self.norm == "equalised":
            z = pixel_norm(z)
        if self.n_classes:
            z = torch.cat([z, one_hot(check_labels(y, self.n_classes), self.n_classes).to(z.dtype)], dim=1)
        old = h = self.start(z)
        for side in self.sides[1 : self.sides.index(self.resolution) + 1]:
            old, h = h, self.blocks[str(side)](h)
        image = self.to_rgb[str(self.resolution)](h)
        if self.alpha < 1:
            image = torch.lerp(double(self.to_rgb[str(self.resolution // 2)](old)), image, self.alpha)
        if self.norm == "spectral":
            return torch.tanh(image)
        return image if self.training else image.clamp(-1, 1)


class Discriminator(Growing):
    """Images `(N, channels, resolution, resolution)` and optional labels `(N,)` to logits `(N,)`.

    No BatchNorm in either variant, so that every gradient penalty may be used. The minibatch standard deviation before
    the last two convolutions compares groups of four samples: the batch is a multiple of four, or smaller.

    Args:
        width: feature maps at the full resolution; the paper's 1024 pixels have 16.
        n_classes: 0 for no labels; else they enter by projection (Miyato & Koyama 2018, eq. 6).
        norm: `"equalised"` for the paper's variant, `"spectral"` for the thesis'.
        max_maps: feature maps at the small sides.

    Raises:
        InputError: another resolution or an unknown norm; later images of another shape than now in use.
    """

    def __init__(
        self,
        *,
        resolution: int,
        channels: int = 3,
        width: int = 16,
        n_classes: int = 0,
        norm: str = "equalised",
        max_maps: int = 512,
    ) -> None:
        super().__init__(resolution)
        self.channels, self.n_classes = channels, n_classes
        maps = {side: maps_at(side, resolution, width, max_maps) for side in self.sides}
        self.from_rgb, self.blocks = nn.ModuleDict(), nn.ModuleDict()
        for side in reversed(self.sides):
            self.from_rgb[str(side)] = nn.Sequential(conv(channels, maps[side], 1, norm), nn.LeakyReLU(0.2))
        for side in self.sides[:0:-1]:
            layers = [conv(maps[side], maps[side], 3, norm, padding=1), nn.LeakyReLU(0.2)]
            layers += [conv(maps[side], maps[side // 2], 3, norm, padding=1), nn.LeakyReLU(0.2), nn.AvgPool2d(2)]
            self.blocks[str(side)] = nn.Sequential(*layers)
        last = self.n_hidden = maps[FIRST]
        layers = [MinibatchStddev(), conv(last + 1, last, 3, norm, padding=1), nn.LeakyReLU(0.2)]
        self.end = nn.Sequential(*layers, conv(last, last, FIRST, norm), nn.LeakyReLU(0.2), nn.Flatten())
        self.head = constraint(norm)(nn.Linear(last, 1), 1.0)
        self.project: nn.Module | None = None
        if n_classes:
            self.project = constraint(norm)(nn.Linear(last, n_classes, bias=False), 1.0)

    def hidden(self, x: Maps) -> Float[Tensor, "n d"]:
        """The features that the logit is a linear function of, `(N, n_hidden)`."""
        side = self.resolution
        h = self.from_rgb[str(side)](check_images(x, (self.channels, side, side)))
        while side > FIRST:
            h = self.blocks[str(side)](h)
            if side == self.resolution and self.alpha < 1:
                h = torch.lerp(self.from_rgb[str(side // 2)](avg_pool2d(x, 2)), h, self.alpha)
            side //= 2
        return self.end(h)

    def forward(self, x: Maps, y: Int[Tensor, " n"] | None = None) -> Float[Tensor, " n"]:
        h = self.hidden(x)
        logits = self.head(h).flatten()
        if self.project is not None:
            logits = logits + self.project(h).gather(1, check_labels(y, self.n_classes)[:, None]).flatten()
        return logits
