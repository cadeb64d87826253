"""Spectral normalisation written out (Miyato et al. 2018), and the exact norm of a convolution to compare it with.

A layer's Lipschitz constant is its largest singular value σ₁. Power iteration estimates it from below at the price of
two matrix-vector products a step; dividing the weight by the estimate makes the layer 1-Lipschitz once it has settled.
The networks use ``torch.nn.utils.parametrizations.spectral_norm``; `SpectralNorm` is the same in a page, and a test
holds the two equal step by step.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import normalize

from ganbook.errors import InputError

Matrix = Float[Tensor, "rows columns"]
Left = Float[Tensor, " rows"]
Right = Float[Tensor, " columns"]


def as_matrix(weight: Float[Tensor, "out ..."]) -> Matrix:
    """A weight as a matrix, one row per output: `(out, in·k·k)` for a convolution (Miyato et al. 2018)."""
    return weight.flatten(1)


@torch.no_grad()
def power_iteration(w: Matrix, v: Right, steps: int = 1) -> tuple[Left, Right]:
    """``u ← Wv / ‖Wv‖``, ``v ← Wᵀu / ‖Wᵀu‖`` (Miyato et al. 2018, algorithm 1, which keeps u where this keeps v).

    Each step multiplies the error of the direction by (σ₂/σ₁)², and that of the estimate `sigma` by (σ₂/σ₁)⁴.

    Raises:
        InputError: no step at all.
    """
    if steps < 1:
        raise InputError(f"Power iteration takes at least 1 step, got steps={steps}.")
    for _ in range(steps):
        u = normalize(w @ v, dim=0, eps=1e-12)
        v = normalize(w.T @ u, dim=0, eps=1e-12)
    return u, v


def sigma(w: Matrix, u: Left, v: Right) -> Float[Tensor, ""]:
    """``uᵀWv``: never above σ₁. Its derivative with respect to W is ``uvᵀ``, u and v being held."""
    return u @ w @ v


class SpectralNorm(nn.Module):
    """The parametrisation ``W ← W / uᵀWv``, for ``torch.nn.utils.parametrize.register_parametrization``.

    Args:
        weight: `(out, …)`, of which u and v are remembered between calls, as buffers.
        steps: power iterations a call in training mode; none in evaluation mode.
        warm_up: power iterations from random vectors at the start.
        rng: where the start comes from.
    """

    u: Tensor
    v: Tensor

    def __init__(
        self, weight: Tensor, *, steps: int = 1, warm_up: int = 15, rng: torch.Generator | None = None
    ) -> None:
        super().__init__()
        self.steps = steps
        w = as_matrix(weight.detach())
        start = torch.randn(w.shape[1], generator=rng, dtype=w.dtype).to(w.device)
        u, v = power_iteration(w, normalize(start, dim=0), warm_up)
        self.register_buffer("u", u)
        self.register_buffer("v", v)

    def forward(self, weight: Tensor) -> Tensor:
        w = as_matrix(weight)
        if self.training:
            u, v = power_iteration(w, self.v, self.steps)
            self.u.copy_(u)
            self.v.copy_(v)
        # clones, for the next call overwrites the buffers while this call's backward pass may be still to come
        return weight / sigma(w, self.u.clone(), self.v.clone())


def circular_conv_singular_values(
    weight: Float[Tensor, "out in k1 k2"], size: tuple[int, int]
) -> Float[Tensor, "h w rank"]:
    """All singular values of a convolution with circular padding and stride 1 (Sedghi, Gupta & Long 2019).

    The Fourier transform makes the operator block diagonal: one `(out, in)` matrix per frequency.

    Args:
        weight: the kernel, no larger than the image.
        size: height and width of the image it is applied to.

    Raises:
        InputError: the kernel is larger than the image.
    """
    if weight.shape[2] > size[0] or weight.shape[3] > size[1]:
        raise InputError(
            f"The kernel {tuple(weight.shape[2:])} is larger than the image {tuple(size)} it is applied to. "
            "Give the height and width of the layer's input."
        )
    transfer = torch.fft.fft2(weight, s=size).permute(2, 3, 0, 1)
    return torch.linalg.svdvals(transfer)


def circular_conv_norm(weight: Float[Tensor, "out in k1 k2"], size: tuple[int, int]) -> Float[Tensor, ""]:
    """The exact operator norm of a convolution with circular padding and stride 1.

    Spectral normalisation divides by the norm σ of `as_matrix(weight)` instead, which is another number:
    ``σ ≤ ‖conv‖ ≤ √(k₁k₂)·σ``. The left side is Parseval's identity, ``WWᵀ`` being the mean of ``T(f)T(f)*`` over all
    frequencies; the right side is Tsuzuku, Sato & Sugiyama (2018), and tells that a "1-Lipschitz" 3×3 layer may stretch
    by up to 3.
    """
    return circular_conv_singular_values(weight, size).max()
