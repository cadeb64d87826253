"""The residual networks of SNGAN (Miyato et al. 2018, appendix B, tables 4 and 6), for 32, 64 and 128 pixels.

Generator: a dense layer to a 4×4 map, residual blocks that double it, BatchNorm, ReLU, a 3×3 convolution, tanh; labels
choose the scales and shifts of its BatchNorm (Miyato & Koyama 2018). Discriminator: residual blocks that halve the
image, ReLU, a **sum** over all positions, a dense layer; labels enter by projection, ``D(x, y) = w·h(x) + e_y·h(x)``.
There is no BatchNorm in the discriminator, so that every gradient penalty may be used with it.

The paper has tables for 32 pixels (table 4) and 128 (table 6); the networks for 64 are those for 128 without the block
at 128 pixels in the generator, and without the last block, which keeps its size, in the discriminator.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn.functional import avg_pool2d, interpolate, relu
from torch.nn.utils.parametrizations import spectral_norm

from ganbook.errors import InputError, unknown_name
from ganbook.nn.dcgan import check_labels
from ganbook.nn.layers import ConditionalBatchNorm2d

Maps = Float[Tensor, "n _c _h _w"]  # channels and sides change from layer to layer
Labels = Int[Tensor, " n"] | None
Constrain = Callable[[nn.Module], nn.Module]  # what is done to every layer with weights: spectral norm or nothing
NORMS = ("spectral", "none")


@dataclass(frozen=True)
class Table:
    """One resolution's rows: feature maps in units of the width."""

    g_first: int  # the 4×4 map
    g_blocks: tuple[int, ...]  # each doubles the side
    g_width: int  # the paper's unit
    d_blocks: tuple[int, ...]
    d_halving: int  # how many of the discriminator's blocks halve the side, the first ones
    d_width: int


TABLES = {
    32: Table(1, (1, 1, 1), 256, (1, 1, 1, 1), 2, 128),
    64: Table(16, (8, 4, 2, 1), 64, (1, 2, 4, 8, 16), 5, 64),
    128: Table(16, (16, 8, 4, 2, 1), 64, (1, 2, 4, 8, 16, 16), 5, 64),
}


def table(resolution: int) -> Table:
    """The rows for one resolution.

    Raises:
        InputError: there are none for it.
    """
    if resolution not in TABLES:
        raise InputError(
            f"The residual networks make images of {', '.join(map(str, TABLES))} pixels, got resolution={resolution}. "
            "Choose one of these; ganbook.data resizes the images to it."
        )
    return TABLES[resolution]


def constraint(norm: str) -> Constrain:
    """Spectral normalisation for `"spectral"`, nothing for `"none"`.

    Raises:
        InputError: another name.
    """
    if norm not in NORMS:
        raise unknown_name("normalisation", norm, NORMS)
    return spectral_norm if norm == "spectral" else _unconstrained


def _unconstrained(layer: nn.Module) -> nn.Module:
    return layer


def conv(maps_in: int, maps_out: int, kernel: int, constrain: Constrain, *, gain: float = math.sqrt(2)) -> nn.Module:
    """A convolution that keeps the side, with Glorot's uniform weights times ``gain`` and biases 0."""
    layer = nn.Conv2d(maps_in, maps_out, kernel, padding=kernel // 2)
    nn.init.xavier_uniform_(layer.weight, gain)
    nn.init.zeros_(layer.bias)  # type: ignore[arg-type]  # there is one
    return constrain(layer)


def dense(size_in: int, size_out: int, constrain: Constrain) -> nn.Module:
    """A linear layer with Glorot's uniform weights and biases 0."""
    layer = nn.Linear(size_in, size_out)
    nn.init.xavier_uniform_(layer.weight)
    nn.init.zeros_(layer.bias)
    return constrain(layer)


def double(x: Maps) -> Maps:
    """Twice the side, each pixel repeated."""
    return interpolate(x, scale_factor=2, mode="nearest")


class GeneratorBlock(nn.Module):
    """BatchNorm, ReLU, double, 3×3, BatchNorm, ReLU, 3×3, plus a doubled 1×1 shortcut."""

    def __init__(self, maps_in: int, maps_out: int, n_classes: int, constrain: Constrain) -> None:
        super().__init__()
        self.norm1, self.norm2 = batch_norm(maps_in, n_classes), batch_norm(maps_out, n_classes)
        self.conv1, self.conv2 = conv(maps_in, maps_out, 3, constrain), conv(maps_out, maps_out, 3, constrain)
        self.shortcut = conv(maps_in, maps_out, 1, constrain, gain=1.0)

    def forward(self, x: Maps, y: Labels) -> Maps:
        h = self.conv1(double(relu(normalise(self.norm1, x, y))))
        h = self.conv2(relu(normalise(self.norm2, h, y)))
        return h + double(
            self.shortcut(x)
        )  # a 1×1 convolution and repetition commute; this order is four times cheaper


class DiscriminatorBlock(nn.Module):
    """ReLU, 3×3, ReLU, 3×3, halve, plus a shortcut, which is 1×1 and halved where the shape changes.

    The block at the image itself leaves out the first ReLU, which would cut away half of the image's range.
    """

    def __init__(self, maps_in: int, maps_out: int, constrain: Constrain, *, halve: bool, first: bool) -> None:
        super().__init__()
        self.halve, self.first = halve, first
        self.conv1, self.conv2 = conv(maps_in, maps_out, 3, constrain), conv(maps_out, maps_out, 3, constrain)
        learnt = halve or maps_in != maps_out
        self.shortcut = conv(maps_in, maps_out, 1, constrain, gain=1.0) if learnt else None

    def forward(self, x: Maps) -> Maps:
        h = self.conv2(relu(self.conv1(x if self.first else relu(x))))
        skip = avg_pool2d(x, 2) if self.halve else x
        skip = skip if self.shortcut is None else self.shortcut(skip)
        return (avg_pool2d(h, 2) if self.halve else h) + skip


def batch_norm(maps: int, n_classes: int) -> nn.Module:
    """BatchNorm, conditional where there are classes."""
    return ConditionalBatchNorm2d(maps, n_classes) if n_classes else nn.BatchNorm2d(maps)


def normalise(norm: nn.Module, x: Maps, y: Labels) -> Maps:
    """Apply what `batch_norm` made."""
    return norm(x, y) if isinstance(norm, ConditionalBatchNorm2d) else norm(x)


def generator_blocks(rows: Table, width: int, n_classes: int, constrain: Constrain) -> nn.ModuleList:
    """The residual blocks of a generator, from 4×4 up."""
    maps = [width * m for m in (rows.g_first, *rows.g_blocks)]
    return nn.ModuleList(GeneratorBlock(a, b, n_classes, constrain) for a, b in pairwise(maps))


def discriminator_blocks(rows: Table, width: int, channels: int, constrain: Constrain) -> nn.ModuleList:
    """The residual blocks of a discriminator, from the image down."""
    maps = [channels, *(width * m for m in rows.d_blocks)]
    return nn.ModuleList(
        DiscriminatorBlock(a, b, constrain, halve=i < rows.d_halving, first=i == 0)
        for i, (a, b) in enumerate(pairwise(maps))
    )


class Generator(nn.Module):
    """Latents `(N, latent_dim)` and optional labels `(N,)` to images `(N, channels, resolution, resolution)`.

    Args:
        resolution: 32, 64 or 128.
        channels: 1 for grey, 3 for colour.
        width: the table's unit of feature maps; 0 for the paper's.
        n_classes: 0 for no labels.
    """

    def __init__(
        self, *, resolution: int, channels: int = 3, latent_dim: int = 128, width: int = 0, n_classes: int = 0
    ) -> None:
        super().__init__()
        rows = table(resolution)
        width = width or rows.g_width
        self.latent_dim, self.n_classes = latent_dim, n_classes
        self.dense = dense(latent_dim, 4 * 4 * width * rows.g_first, _unconstrained)
        self.blocks = generator_blocks(rows, width, n_classes, _unconstrained)
        last = width * rows.g_blocks[-1]
        self.norm = nn.BatchNorm2d(last)
        self.to_image = conv(last, channels, 3, _unconstrained, gain=1.0)

    def forward(self, z: Float[Tensor, "n latent"], y: Labels = None) -> Maps:
        h = self.dense(z).reshape(len(z), -1, 4, 4)
        for block in self.blocks:
            h = block(h, y)
        return torch.tanh(self.to_image(relu(self.norm(h))))


class Discriminator(nn.Module):
    """Images `(N, channels, resolution, resolution)` and optional labels `(N,)` to logits `(N,)`.

    Args:
        width: the table's unit of feature maps; 0 for the paper's.
        norm: `"spectral"` as in the paper, or `"none"`.
    """

    def __init__(
        self, *, resolution: int, channels: int = 3, width: int = 0, n_classes: int = 0, norm: str = "spectral"
    ) -> None:
        super().__init__()
        rows, constrain = table(resolution), constraint(norm)
        width = width or rows.d_width
        self.shape, self.n_classes = (channels, resolution, resolution), n_classes
        self.blocks = discriminator_blocks(rows, width, channels, constrain)
        self.n_hidden = width * rows.d_blocks[-1]
        self.head = ProjectionHead(self.n_hidden, n_classes, constrain)

    def hidden(self, x: Maps) -> Float[Tensor, "n d"]:
        """The features that the logit is a linear function of, `(N, n_hidden)`."""
        h = check_images(x, self.shape)
        for block in self.blocks:
            h = block(h)
        return pooled(h)

    def forward(self, x: Maps, y: Labels = None) -> Float[Tensor, " n"]:
        return self.head(self.hidden(x), y)


def pooled(x: Maps) -> Float[Tensor, "n d"]:
    """ReLU and the sum over all positions."""
    return relu(x).sum((2, 3))


class ProjectionHead(nn.Module):
    """``w·h + b``, and ``+ e_y·h`` with labels (Miyato & Koyama 2018, eq. 6), of the `pooled` maps h."""

    def __init__(self, maps: int, n_classes: int, constrain: Constrain) -> None:
        super().__init__()
        self.n_classes = n_classes
        self.dense = dense(maps, 1, constrain)
        self.embed: nn.Module | None = None
        if n_classes:
            embed = nn.Embedding(n_classes, maps)
            nn.init.xavier_uniform_(embed.weight)
            self.embed = constrain(embed)

    def forward(self, h: Float[Tensor, "n d"], y: Labels) -> Float[Tensor, " n"]:
        logits = self.dense(h).flatten()
        if self.embed is not None:
            logits = logits + (self.embed(check_labels(y, self.n_classes)) * h).sum(1)
        return logits


def check_images(x: Tensor, shape: tuple[int, int, int]) -> Tensor:
    """The images, if they have the shape the network was built for.

    Raises:
        InputError: another resolution or number of channels.
    """
    if x.shape[1:] != shape:
        raise InputError(
            f"This discriminator reads images of shape (N, {', '.join(map(str, shape))}), got {tuple(x.shape)}. Load "
            "the data at the resolution and colour the networks were built for."
        )
    return x
