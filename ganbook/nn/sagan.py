"""SAGAN (Zhang et al. 2019): SNGAN's residual networks with self-attention and spectral norm in **both** networks.

The file is laid out to be read beside `resnet.py`: it differs in the attention layers, whose places are a parameter,
and in the constraint on the generator. A place is the side of a feature map: ``attention=(32,)`` puts one layer behind
the block that makes a 32×32 map, the paper's best place (table 1), in each network that has such a map.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import relu

from ganbook.errors import InputError
from ganbook.nn.attention import SelfAttention2d
from ganbook.nn.resnet import (
    Labels,
    Maps,
    ProjectionHead,
    check_images,
    constraint,
    conv,
    dense,
    discriminator_blocks,
    generator_blocks,
    pooled,
    table,
)


def attention_layers(attention: Sequence[int], maps_at: dict[int, int], spectral: bool) -> nn.ModuleDict:
    """One attention layer for each place, under the side of its feature map.

    Args:
        attention: sides of feature maps.
        maps_at: how many feature maps the network has at each side it passes.

    Raises:
        InputError: the network has no feature map of that side.
    """
    strangers = [side for side in attention if side not in maps_at]
    if strangers:
        raise InputError(
            f"There is no feature map of side {strangers[0]} to attend to; this network passes the sides "
            f"{', '.join(map(str, sorted(maps_at)))}. Choose among these for attention."
        )
    return nn.ModuleDict(
        {str(side): SelfAttention2d(maps_at[side], k=min(8, maps_at[side]), spectral=spectral) for side in attention}
    )


class Generator(nn.Module):
    """Latents `(N, latent_dim)` and optional labels `(N,)` to images `(N, channels, resolution, resolution)`.

    Args:
        resolution: 32, 64 or 128.
        channels: 1 for grey, 3 for colour.
        width: the table's unit of feature maps; 0 for SNGAN's.
        n_classes: 0 for no labels.
        attention: sides of the feature maps with self-attention, from 8 to the resolution.
        norm: `"spectral"` as in the paper, or `"none"`.
    """

    def __init__(
        self,
        *,
        resolution: int,
        channels: int = 3,
        latent_dim: int = 128,
        width: int = 0,
        n_classes: int = 0,
        attention: Sequence[int] = (32,),
        norm: str = "spectral",
    ) -> None:
        super().__init__()
        rows, constrain = table(resolution), constraint(norm)
        width = width or rows.g_width
        self.latent_dim, self.n_classes = latent_dim, n_classes
        self.dense = dense(latent_dim, 4 * 4 * width * rows.g_first, constrain)
        self.blocks = generator_blocks(rows, width, n_classes, constrain)
        maps_at = {8 * 2**i: width * m for i, m in enumerate(rows.g_blocks)}
        self.attention = attention_layers(attention, maps_at, norm == "spectral")
        last = width * rows.g_blocks[-1]
        self.norm = nn.BatchNorm2d(last)
        self.to_image = conv(last, channels, 3, constrain, gain=1.0)

    def forward(self, z: Float[Tensor, "n latent"], y: Labels = None) -> Maps:
        h = self.dense(z).reshape(len(z), -1, 4, 4)
        for block in self.blocks:
            h = attend(self.attention, block(h, y))
        return torch.tanh(self.to_image(relu(self.norm(h))))


class Discriminator(nn.Module):
    """Images `(N, channels, resolution, resolution)` and optional labels `(N,)` to logits `(N,)`.

    Args:
        width: the table's unit of feature maps; 0 for SNGAN's.
        attention: sides of the feature maps with self-attention, below the resolution: (16,) for images of 32 pixels.
        norm: `"spectral"` as in the paper, or `"none"`.
    """

    def __init__(
        self,
        *,
        resolution: int,
        channels: int = 3,
        width: int = 0,
        n_classes: int = 0,
        attention: Sequence[int] = (32,),
        norm: str = "spectral",
    ) -> None:
        super().__init__()
        rows, constrain = table(resolution), constraint(norm)
        width = width or rows.d_width
        self.shape, self.n_classes = (channels, resolution, resolution), n_classes
        self.blocks = discriminator_blocks(rows, width, channels, constrain)
        maps_at = {resolution // 2 ** (i + 1): width * m for i, m in enumerate(rows.d_blocks[: rows.d_halving])}
        self.attention = attention_layers(attention, maps_at, norm == "spectral")
        self.n_hidden = width * rows.d_blocks[-1]
        self.head = ProjectionHead(self.n_hidden, n_classes, constrain)

    def hidden(self, x: Maps) -> Float[Tensor, "n d"]:
        """The features that the logit is a linear function of, `(N, n_hidden)`."""
        h = check_images(x, self.shape)
        for block in self.blocks:
            h = block(h)
            if block.halve:
                h = attend(self.attention, h)
        return pooled(h)

    def forward(self, x: Maps, y: Labels = None) -> Float[Tensor, " n"]:
        return self.head(self.hidden(x), y)


def attend(attention: nn.ModuleDict, h: Maps) -> Maps:
    """The feature map behind the attention layer of its side, if there is one."""
    side = str(h.shape[2])
    return attention[side](h) if side in attention else h
