"""Structural similarity at several scales, and with it the variety of a set of images."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import avg_pool2d, conv2d

from ganbook.errors import InputError
from ganbook.metrics._inputs import as_float64

WEIGHTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)  # exponents of the scales, finest first (Wang et al. 2003)
WINDOW, SIGMA = 11, 1.5  # pixels: the Gaussian window of Wang et al. 2004
K1, K2 = 0.01, 0.03  # constants that keep the quotients finite, as shares of the range of a pixel
PAIRS_AT_ONCE = 64


class PairwiseMSSSIM(NamedTuple):
    """Similarity of random pairs of one set: high where the images are all alike."""

    mean: float
    std: float  # over pairs; the standard error of the mean is about std / √pairs
    scales: int  # how many scales the images were large enough for


def ms_ssim_scales(height: int, width: int) -> int:
    """The number of scales that fit: at the coarsest, both sides still hold the 11-pixel window; at most 5.

    5 from 176 pixels on, 4 from 88, 3 from 44, 2 from 22, 1 from 11.

    Raises:
        InputError: a side is shorter than 11 pixels.
    """
    side = min(height, width)
    if side < WINDOW:
        raise InputError(
            f"MS-SSIM looks through windows of {WINDOW} × {WINDOW} pixels, which images of {height} × {width} do not "
            "hold. Compare so small images by their features, e.g. with `density_coverage`."
        )
    return min(len(WEIGHTS), 1 + int(math.log2(side // WINDOW)))


def ms_ssim(a: Tensor, b: Tensor, *, scales: int | None = None) -> Float[Tensor, " n"]:
    """Multi-scale structural similarity of images in pairs (Wang, Simoncelli & Bovik 2003, eq. 7).

    The product over scales j of ``mⱼ^wⱼ``, with ``mⱼ`` the mean over windows of contrast · structure, at the coarsest
    scale of luminance · contrast · structure, and ``wⱼ`` of `WEIGHTS`. Between scales the images are averaged over
    2 × 2 pixels, an odd last row or column left out. Each channel is compared for itself and the results are averaged;
    a negative ``mⱼ`` counts as 0. Where not all five scales fit, the first ones' weights are divided by their sum: such
    values are comparable only with values of as many scales.

    Args:
        a: images in [-1, 1], ``(n, c, h, w)``.
        b: as many images of the same shape.
        scales: how many scales; by default as many as fit, see `ms_ssim_scales`.

    Returns:
        One value between 0 and 1 for each pair, float64; 1 only for equal images.

    Raises:
        InputError: different or unusable shapes, values outside [-1, 1], or more scales than fit.
    """
    if a.shape != b.shape:
        raise InputError(f"MS-SSIM compares images in pairs, got shapes {tuple(a.shape)} and {tuple(b.shape)}.")
    x = _unit_range(a)
    y = _unit_range(b).to(x.device)
    fitting = ms_ssim_scales(*x.shape[-2:])
    scales = fitting if scales is None else scales
    if not 1 <= scales <= fitting:
        raise InputError(
            f"Images of {x.shape[-2]} × {x.shape[-1]} pixels hold 1 to {fitting} scales of MS-SSIM, got {scales}."
        )
    total = sum(WEIGHTS[:scales]) if scales < len(WEIGHTS) else 1.0  # the published five add up to 1.0001
    result = x.new_ones(x.shape[:2])
    for j, weight in enumerate(WEIGHTS[:scales]):
        if j > 0:
            x, y = avg_pool2d(x, 2), avg_pool2d(y, 2)
        luminance, contrast_structure = _ssim_maps(x, y)
        if j == scales - 1:
            contrast_structure = luminance * contrast_structure
        result = result * contrast_structure.mean((2, 3)).clamp(min=0) ** (weight / total)
    return result.mean(1)


def pairwise_ms_ssim(images: Tensor, *, pairs: int, generator: torch.Generator) -> PairwiseMSSSIM:
    """MS-SSIM of random pairs of different images of one set (Odena et al. 2017, section 4.2).

    The paper takes 100 pairs of each class: call it class by class. Nothing is said by the value alone; the real
    images' value beside it is the one to meet, for a set less alike than the real images may just be noisy.

    Args:
        images: in [-1, 1], ``(N, C, H, W)`` with N ≥ 2.
        pairs: how many pairs are drawn, with replacement.
        generator: chooses the pairs.

    Raises:
        InputError: fewer than two images or one pair, and the errors of `ms_ssim`.
    """
    n = len(images) if images.ndim == 4 else 0
    if n < 2 or pairs < 1:
        raise InputError(
            f"Pairs are drawn from at least two images (N, C, H, W), and at least one of them; got images of shape "
            f"{tuple(images.shape)} and {pairs} pairs."
        )
    where = generator.device
    first = torch.randint(n, (pairs,), generator=generator, device=where)
    second = (first + torch.randint(1, n, (pairs,), generator=generator, device=where)) % n
    chosen = zip(first.split(PAIRS_AT_ONCE), second.split(PAIRS_AT_ONCE), strict=True)
    values = torch.cat([ms_ssim(images[i.to(images.device)], images[j.to(images.device)]) for i, j in chosen])
    scales = ms_ssim_scales(*images.shape[-2:])
    return PairwiseMSSSIM(values.mean().item(), values.std(correction=0).item(), scales)


def _unit_range(images: Tensor) -> Tensor:
    """Images from [-1, 1] to [0, 1], where SSIM's luminance is defined, in float64."""
    x = as_float64(images, "images", ndim=4)
    if x.numel() == 0:
        raise InputError(f"MS-SSIM takes images (N, C, H, W), got the empty shape {tuple(x.shape)}.")
    low, high = x.min().item(), x.max().item()
    if low < -1 - 1e-3 or high > 1 + 1e-3:
        raise InputError(
            f"MS-SSIM takes images in [-1, 1], got values from {low:.4g} to {high:.4g}. Images in [0, 255] become "
            "`images / 127.5 - 1`."
        )
    return (x + 1) / 2


def _ssim_maps(x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """Luminance and contrast-structure at each place of the window (Wang et al. 2004, eqs. 6 and 13), range 1."""
    c1, c2 = K1**2, K2**2
    mu_x, mu_y = _blur(x), _blur(y)
    var_x, var_y = _blur(x * x) - mu_x**2, _blur(y * y) - mu_y**2
    covariance = _blur(x * y) - mu_x * mu_y
    luminance = (2 * mu_x * mu_y + c1) / (mu_x**2 + mu_y**2 + c1)
    return luminance, (2 * covariance + c2) / (var_x + var_y + c2)


def _blur(x: Tensor) -> Tensor:
    """The Gaussian-weighted mean in each window that lies inside, ``(n, c, h - 10, w - 10)``."""
    offsets = torch.arange(WINDOW, dtype=x.dtype, device=x.device) - WINDOW // 2
    gaussian = torch.exp(-(offsets**2) / (2 * SIGMA**2))
    gaussian = gaussian / gaussian.sum()
    planes = x.flatten(0, 1)[:, None]
    planes = conv2d(conv2d(planes, gaussian.view(1, 1, 1, -1)), gaussian.view(1, 1, -1, 1))
    return planes.unflatten(0, x.shape[:2]).squeeze(2)
