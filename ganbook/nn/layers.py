"""Layers that stabilise a GAN or let one sample see the others: each a few lines, each from one paper."""

from __future__ import annotations

import math
from typing import TypeVar

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn.utils.parametrize import register_parametrization

from ganbook.errors import InputError
from ganbook.nn.dcgan import check_labels

Maps = Float[Tensor, "n c h w"]
Layer = TypeVar("Layer", nn.Linear, nn.Conv2d)


def pixel_norm(x: Float[Tensor, "n c ..."], eps: float = 1e-8) -> Float[Tensor, "n c ..."]:
    """``x / √(mean over channels of x² + ε)``: mean square one at each position (Karras et al. 2018, section 4.2)."""
    return x * torch.rsqrt(x.square().mean(1, keepdim=True) + eps)


class PixelNorm(nn.Module):
    """`pixel_norm` as a layer."""

    def forward(self, x: Float[Tensor, "n c ..."]) -> Float[Tensor, "n c ..."]:
        return pixel_norm(x)


class Scaled(nn.Module):
    """The parametrisation ``ŵ = c·w``."""

    def __init__(self, c: float) -> None:
        super().__init__()
        self.c = c

    def forward(self, weight: Tensor) -> Tensor:
        return self.c * weight


def equalised(layer: Layer, gain: float = math.sqrt(2)) -> Layer:
    """The layer with an equalised learning rate (Karras et al. 2018, section 4.1).

    The stored weights are N(0, 1), biases 0, and the layer multiplies by He's constant ``c = gain / √fan_in`` at run
    time. Adam's step does not know the scale of a weight, so that every layer now learns at the same relative speed.

    Args:
        layer: a linear layer or a convolution, changed in place.
        gain: √2 before a ReLU, 1 before a linear output.
    """
    nn.init.normal_(layer.weight)
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)
    register_parametrization(layer, "weight", Scaled(gain / math.sqrt(layer.weight[0].numel())))
    return layer


def minibatch_stddev(x: Maps, group: int = 4, eps: float = 1e-8) -> Float[Tensor, "n c_plus_1 h w"]:
    """One more feature map that tells the discriminator how unlike a group's samples are (Karras et al. 2018, 3).

    The standard deviation over the group of each feature at each position, averaged to one number a group.

    Args:
        x: `(N, C, H, W)`; groups are consecutive samples.
        group: samples in a group, all of them where the batch is smaller.

    Raises:
        InputError: the batch does not split into such groups.
    """
    n = len(x)
    group = min(group, n)
    if n % group:
        raise InputError(
            f"Minibatch stddev compares groups of {group} samples, got a batch of {n}. Choose a batch size that is a "
            f"multiple of {group}."
        )
    variance = x.reshape(n // group, group, -1).var(1, correction=0)
    one_number = (variance + eps).sqrt().mean(1).repeat_interleave(group)
    return torch.cat([x, one_number[:, None, None, None].expand(-1, 1, *x.shape[2:])], dim=1)


class MinibatchStddev(nn.Module):
    """`minibatch_stddev` as a layer."""

    def __init__(self, group: int = 4) -> None:
        super().__init__()
        self.group = group

    def forward(self, x: Maps) -> Float[Tensor, "n c_plus_1 h w"]:
        return minibatch_stddev(x, self.group)


class MinibatchDiscrimination(nn.Module):
    """Features `(N, A)` to `(N, A + B)`: how close each sample is to the others (Salimans et al. 2016, section 3.2).

    ``M_i = f(x_i)·T`` is a B × C matrix a sample, ``c_b(x_i, x_j) = exp(-‖M_ib - M_jb‖₁)`` and
    ``o_b(x_i) = Σ_j c_b(x_i, x_j)``, appended to the features.

    Args:
        features: A.
        kernels: B.
        dim: C.
    """

    def __init__(self, features: int, kernels: int = 16, dim: int = 8) -> None:
        super().__init__()
        self.kernels, self.dim = kernels, dim
        self.T = nn.Linear(features, kernels * dim, bias=False)

    def forward(self, x: Float[Tensor, "n a"]) -> Float[Tensor, "n a_plus_b"]:
        m = self.T(x).reshape(len(x), self.kernels, self.dim)
        distance = (m[:, None] - m[None]).abs().sum(3)  # (N, N, B)
        return torch.cat([x, torch.exp(-distance).sum(1)], dim=1)


class ConditionalBatchNorm2d(nn.Module):
    """BatchNorm whose scale and shift belong to the sample's class (Dumoulin et al. 2017; Miyato & Koyama 2018).

    Statistics are of the whole batch, whatever the labels. Scales start at 1, shifts at 0.
    """

    def __init__(self, channels: int, n_classes: int) -> None:
        super().__init__()
        self.n_classes = n_classes
        self.norm = nn.BatchNorm2d(channels, affine=False)
        self.scale, self.shift = nn.Embedding(n_classes, channels), nn.Embedding(n_classes, channels)
        nn.init.ones_(self.scale.weight)
        nn.init.zeros_(self.shift.weight)

    def forward(self, x: Maps, y: Int[Tensor, " n"] | None) -> Maps:
        labels = check_labels(y, self.n_classes)
        return self.scale(labels)[:, :, None, None] * self.norm(x) + self.shift(labels)[:, :, None, None]
