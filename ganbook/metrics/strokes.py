"""Two traits of a pen stroke, read off the pixels: its slant and its thickness.

They need no network, so that they can judge what a network has done to a digit.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import pad

from ganbook.errors import InputError

NAMES = ("slant", "thickness")


def stroke_traits(images: Float[Tensor, "n c h w"]) -> Float[Tensor, "n 2"]:
    """Slant and thickness of each picture, float64; light strokes on black.

    With the brightness b ≥ 0 of a pixel as its weight:

    slant
        ``-μ₁₁ / μ₀₂`` of the central moments, the vertical one below: by how many pixels a stroke moves to the right
        for each that it rises. Upright is 0.
    thickness
        ``2 Σ b / Σ ‖∇b‖``, in pixels: of a bar much longer than wide, its width.

    Args:
        images: in [-1, 1]; colours are averaged.

    Raises:
        InputError: another shape, or pictures of one pixel's height.
    """
    if images.ndim != 4 or len(images) == 0 or min(images.shape[2:]) < 2:
        raise InputError(
            f"Strokes are read off images (N, C, H, W) of at least 2 x 2 pixels, got {tuple(images.shape)}."
        )
    b = (images.double().mean(1) + 1) / 2
    mass = b.sum((1, 2)).clamp(min=1e-6)
    rows, columns = (torch.arange(side, dtype=torch.float64) for side in b.shape[1:])
    dr = rows[None, :] - (b.sum(2) @ rows / mass)[:, None]
    dc = columns[None, :] - (b.sum(1) @ columns / mass)[:, None]
    mixed = torch.einsum("nij,ni,nj->n", b, dr, dc)
    slant = -mixed / torch.einsum("nij,ni->n", b, dr.square()).clamp(min=1e-6)
    padded = pad(b, (1, 1, 1, 1))
    across, down = padded.diff(dim=2)[:, 1:], padded.diff(dim=1)[:, :, 1:]
    thickness = 2 * mass / (across.square() + down.square()).sqrt().sum((1, 2)).clamp(min=1e-6)
    return torch.stack([slant, thickness], 1)
