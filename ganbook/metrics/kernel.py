"""Maximum mean discrepancy and the kernel inception distance: estimates without bias, of any sample size.

A kernel is a function of two feature matrices ``(n, d)`` and ``(m, d)`` that returns the matrix ``k(xᵢ, yⱼ)``,
``(n, m)``. With it (Gretton et al. 2012, lemma 6)::

    MMD² = E k(x, x') + E k(y, y') - 2 E k(x, y)

The unbiased estimate leaves out the pairs of a sample with itself, and so may be negative.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from ganbook.errors import InputError
from ganbook.metrics._inputs import feature_pair, random_rows

Kernel = Callable[[Tensor, Tensor], Tensor]

BLOCK = 1024  # a kernel matrix is held in blocks of this many rows and columns


def polynomial(x: Tensor, y: Tensor) -> Tensor:
    """``(x·y / d + 1)³``, the kernel of the KID (Bińkowski et al. 2018, section 4)."""
    return (x @ y.mT / x.shape[1] + 1) ** 3


def rbf(bandwidth: float) -> Kernel:
    """``exp(-‖x - y‖² / (2 σ²))`` with ``σ = bandwidth > 0``, in units of the features (Gretton et al. 2012).

    Raises:
        InputError: the bandwidth is not positive.
    """
    _positive("bandwidth", bandwidth)
    return lambda x, y: torch.exp(-_squared_distances(x, y) / (2 * bandwidth**2))


def imq(c: float) -> Kernel:
    """``C / (C + ‖x - y‖²)``, the inverse multiquadric kernel of the WAE (Tolstikhin et al. 2018, section 4).

    Its tails are heavier than the Gaussian's. For latents ``z ~ N(0, σ² I)`` in d dimensions the paper takes
    ``C = 2 d σ²``, the expected squared distance of two of them.

    Raises:
        InputError: ``c`` is not positive.
    """
    _positive("c", c)
    return lambda x, y: c / (c + _squared_distances(x, y))


def mmd2(x: Tensor, y: Tensor, *, kernel: Kernel, unbiased: bool = True) -> float:
    """The squared maximum mean discrepancy of two samples (Gretton et al. 2012, eqs. 3 and 5).

    No gradients flow: this is a measurement, in float64, not a loss.

    Args:
        x: real features, ``(n, d)``.
        y: fake features, ``(m, d)``; m may differ from n.
        kernel: `polynomial`, ``rbf(σ)``, ``imq(c)`` or any function of the same form.
        unbiased: leave out the pairs of a sample with itself; then at least two rows of each are needed.

    Raises:
        InputError: too few rows, widths that differ, or numbers that are not finite.
    """
    x, y = feature_pair(x, y, least=2 if unbiased else 1)
    return _mmd2(x, y, kernel, unbiased=unbiased)


class KID(NamedTuple):
    """Mean and spread of MMD² over random subsets."""

    mean: float
    std: float  # over subsets; subsets overlap, so this is no standard error of the mean


def kid(real: Tensor, fake: Tensor, *, subsets: int = 100, subset_size: int = 1000, generator: torch.Generator) -> KID:
    """The kernel inception distance: unbiased MMD² with the cubic kernel (Bińkowski et al. 2018, section 4).

    Called KID only of features of the Inception network; of others it is an MMD² with the same kernel.

    Args:
        real: features, ``(n, d)``.
        fake: features, ``(m, d)``.
        subsets: how many random subsets the mean is taken over.
        subset_size: rows of each in a subset, drawn without replacement.
        generator: chooses the subsets.

    Raises:
        InputError: subsets larger than a sample, widths that differ, or numbers that are not finite.
    """
    real, fake = feature_pair(real, fake, least=2)
    least = min(len(real), len(fake))
    if subsets < 1 or not 2 <= subset_size <= least:
        raise InputError(
            f"The KID of {len(real)} real and {len(fake)} fake features takes at least one subset of 2 to {least} "
            f"rows, got {subsets} subsets of {subset_size}. Pass a smaller `subset_size`; the KID stays unbiased."
        )
    values = torch.empty(subsets, dtype=torch.float64)
    for i in range(subsets):
        x, y = (rows[random_rows(len(rows), subset_size, generator, rows.device)] for rows in (real, fake))
        values[i] = _mmd2(x, y, polynomial, unbiased=True)
    return KID(values.mean().item(), values.std(correction=0).item())


def _mmd2(x: Tensor, y: Tensor, kernel: Kernel, *, unbiased: bool) -> float:
    within = [_mean_within(rows, kernel, unbiased=unbiased) for rows in (x, y)]
    across = sum(kernel(a, b).sum() for a in x.split(BLOCK) for b in y.split(BLOCK)) / (len(x) * len(y))
    value = sum(within) - 2 * across
    return float(value)


def _mean_within(x: Tensor, kernel: Kernel, *, unbiased: bool) -> Tensor:
    """The mean of ``k(xᵢ, xⱼ)`` over all pairs, or over those with ``i ≠ j``; symmetric blocks are computed once."""
    blocks = x.split(BLOCK)
    total = x.new_zeros(())
    for i, a in enumerate(blocks):
        diagonal = kernel(a, a)
        total += diagonal.sum() - (diagonal.trace() if unbiased else 0)
        for b in blocks[i + 1 :]:
            total += 2 * kernel(a, b).sum()
    return total / (len(x) * (len(x) - 1 if unbiased else len(x)))


def _squared_distances(x: Tensor, y: Tensor) -> Tensor:
    """``‖xᵢ - yⱼ‖²``, taken about the mean of ``y`` so that a common offset costs no digits."""
    centre = y.mean(0)
    x, y = x - centre, y - centre
    return (x.square().sum(1)[:, None] + y.square().sum(1) - 2 * x @ y.mT).clamp(min=0)


def _positive(name: str, value: float) -> None:
    if not 0 < value < float("inf"):
        raise InputError(f"A kernel's {name} is a positive number, got {value}.")
