"""Which modes of a known mixture a generator reaches: the protocols of VEEGAN and PacGAN, and their floors.

Ring and grid: 2,500 samples. A sample is of high quality within 3 standard deviations of its nearest mode, and a mode
is captured when it is the nearest of at least one such sample (Srivastava et al. 2017, section 4.1). Stacked MNIST:
26,000 samples of three digits each, one a channel, read by a classifier; there are 1000 modes (the same, section 4.2).

How evenly the modes are used is the *reverse* Kullback-Leibler divergence, of the generated distribution over modes
from the real one: ``KL(p_G ‖ p_data) = Σ p_G log (p_G / p_data)`` (Lin et al. 2018, section 4). A perfect sampler does
not reach 0 with n samples: the floors below belong beside every table.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor

from ganbook.errors import InputError
from ganbook.metrics._inputs import feature_matrix, feature_pair

STACKED_CLASSES = 10  # digits in a channel: 10³ modes


class ModeStatistics(NamedTuple):
    """What a sample says about the modes of a mixture."""

    captured: int  # modes that are the nearest of at least one sample of high quality
    n_modes: int
    high_quality: float  # share of the samples within the radius of their nearest mode
    reverse_kl: float  # nats, over the samples of high quality; NaN if there are none


class StackedModes(NamedTuple):
    """What the classifier's answers say about the modes of stacked images."""

    captured: int  # modes with at least one sample
    n_modes: int
    reverse_kl: float  # nats


def mode_statistics(
    samples: Tensor, means: Tensor, std: Tensor | float, *, radius: float = 3.0, weights: Tensor | None = None
) -> ModeStatistics:
    """Modes captured, samples of high quality and reverse KL on a mixture of isotropic Gaussians.

    Distances are counted in standard deviations of the mode (Mahalanobis), also when looking for the nearest. The
    distribution over modes is that of the samples of high quality, as in PacGAN's code; its paper speaks of all.

    Args:
        samples: generated points, ``(n, d)``; the papers take n = 2500.
        means: centres of the modes, ``(k, d)``.
        std: their standard deviation, one number or ``(k,)``.
        radius: in standard deviations; 3 in two dimensions. In many, typical points lie ``√d`` from their mean.
        weights: the true shares of the modes, ``(k,)``; equal by default.

    Raises:
        InputError: shapes that do not fit, numbers that are not finite, no positive ``std`` or ``radius``.
    """
    samples, means = feature_pair(samples, means, names=("samples", "means of the modes"))
    k = len(means)
    sigma = torch.as_tensor(std, dtype=torch.float64, device=means.device)
    if sigma.shape not in ((), (k,)) or not bool((sigma > 0).all()) or not bool(sigma.isfinite().all()) or radius <= 0:
        raise InputError(
            f"{k} modes take a positive std, one number or ({k},), and a positive radius; got std {sigma.tolist()} and "
            f"radius {radius}."
        )
    distances = torch.cdist(samples, means, compute_mode="donot_use_mm_for_euclid_dist") / sigma
    nearest = distances.min(1)
    good = nearest.indices[nearest.values < radius]
    counts = torch.bincount(good, minlength=k)
    return ModeStatistics(
        captured=int((counts > 0).sum()),
        n_modes=k,
        high_quality=len(good) / len(samples),
        reverse_kl=_reverse_kl(counts, weights),
    )


def stacked_modes(
    class_predictions: Tensor, *, classes: int = STACKED_CLASSES, weights: Tensor | None = None
) -> StackedModes:
    """Modes captured and reverse KL on stacked images, from the class read in each channel.

    Args:
        class_predictions: integers from 0 to ``classes - 1``, ``(n, 3)`` (or any number c of channels), n = 26,000 in
            the papers.
        classes: how many a channel can show; there are ``classes ** c`` modes.
        weights: the true shares of the modes, ``(classes ** c,)`` with the first channel as the highest digit; equal
            by default.

    Raises:
        InputError: no integers, out of range, or a wrong shape.
    """
    if class_predictions.ndim != 2 or class_predictions.numel() == 0 or class_predictions.dtype == torch.bool:
        raise InputError(
            f"Predictions for stacked images have shape (n, channels), one class a channel; got "
            f"{tuple(class_predictions.shape)} of {class_predictions.dtype}. Take the argmax of the logits."
        )
    if class_predictions.is_floating_point() or class_predictions.is_complex():
        raise InputError(
            f"Predictions are whole class numbers, got {class_predictions.dtype}. Take the argmax of the logits."
        )
    low, high = int(class_predictions.min()), int(class_predictions.max())
    if low < 0 or high >= classes:
        raise InputError(f"Predicted classes run from 0 to {classes - 1}, got {low} to {high}.")
    channels = class_predictions.shape[1]
    mode = torch.zeros(len(class_predictions), dtype=torch.int64, device=class_predictions.device)
    for channel in class_predictions.long().unbind(1):
        mode = mode * classes + channel
    counts = torch.bincount(mode, minlength=classes**channels)
    return StackedModes(int((counts > 0).sum()), len(counts), _reverse_kl(counts, weights))


def high_quality_ceiling(dim: int, *, radius: float = 3.0) -> float:
    """The share of high quality of a perfect sampler: ``P(χ²_d < r²)``, in two dimensions ``1 - exp(-r²/2)``.

    For well separated modes; with radius 3 in two dimensions it is about 98.9 %.

    Raises:
        InputError: ``dim`` < 1 or a radius that is not positive.
    """
    if dim < 1 or radius <= 0:
        raise InputError(f"A ceiling exists for dim ≥ 1 and radius > 0, got {dim} and {radius}.")
    half = torch.tensor([dim / 2, radius**2 / 2], dtype=torch.float64)
    return torch.special.gammainc(half[0], half[1]).item()


def reverse_kl_floor(n_modes: int, n: int) -> float:
    """``(k - 1) / (2n)``: the expected reverse KL of a perfect sampler over k modes, to first order in 1/n.

    ``2n · KL`` of an empirical from its true distribution is asymptotically χ² with k - 1 degrees of freedom (Wilks
    1938). For 1000 modes and 26,000 samples: 0.0192.

    Raises:
        InputError: ``n_modes`` or ``n`` below 1.
    """
    _at_least_one(n_modes, n)
    return (n_modes - 1) / (2 * n)


def captured_modes_expected(n_modes: int, n: int) -> float:
    """``k (1 - (1 - 1/k)ⁿ)``: how many of k equally likely modes n samples of a perfect sampler hit on average.

    Raises:
        InputError: ``n_modes`` or ``n`` below 1.
    """
    _at_least_one(n_modes, n)
    return n_modes * (1 - (1 - 1 / n_modes) ** n)


def _at_least_one(n_modes: int, n: int) -> None:
    if n_modes < 1 or n < 1:
        raise InputError(f"Floors take at least one mode and one sample, got {n_modes} modes and {n} samples.")


def _reverse_kl(counts: Tensor, weights: Tensor | None) -> float:
    """``KL(counts / n ‖ weights)``, weights equal by default; NaN without samples."""
    k = len(counts)
    if weights is None:
        target = torch.full((k,), 1 / k, dtype=torch.float64, device=counts.device)
    else:
        if weights.shape != (k,):
            raise InputError(f"The true shares of {k} modes have shape ({k},), got {tuple(weights.shape)}.")
        target = feature_matrix(weights[None], "shares of the modes")[0].to(counts.device)
        if bool((target < 0).any()) or abs(target.sum().item() - 1) > 1e-5:
            raise InputError(f"The true shares of the modes are not negative and add up to 1, got {target.tolist()}.")
    n = int(counts.sum())
    if n == 0:
        return math.nan
    p = counts.double() / n
    return torch.xlogy(p, torch.where(p > 0, p / target, 1)).sum().item()
