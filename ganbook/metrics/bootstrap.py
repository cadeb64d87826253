"""Intervals that say how far a metric may be from what it estimates, given that it was measured on samples.

Which one to take depends on what is estimated.

- Averages of one value a sample, and smooth functions of them (accuracy, shares of modes, Inception Score):
  `bootstrap_interval`.
- Whatever compares the samples of a set with one another: `jackknife_interval`. A resample holds copies, which have
  distance 0 from each other: k-nearest-neighbour balls shrink, and an MMD² that leaves out ``k(xᵢ, xᵢ)`` gets it in
  again by ``k(xᵢ, xⱼ)`` of copies, hence the bias of the biased estimate.
- A Fréchet distance at the sample size at which it is reported (what another 10,000 samples estimate as well):
  `jackknife_interval`, or `frechet_interval` from streamed moments. The distance between the distributions, free of
  the bias of the sample size: the same with ``debias=True``, or ``bootstrap_interval(…, kind="basic")``.

Why the percentile bootstrap is wrong for a Fréchet distance. The estimate from n samples lies on average ``b/n`` above
the distance between the distributions (see `bias_isotropic`). A resample of n rows is to the sample what the sample is
to the distribution: only about 63 % of the rows are in it, some several times, and it adds a second ``b/n``. The
percentile interval is therefore centred near ``truth + 2b/n`` and often misses the estimate itself, its expectation and
the truth. Reflected about the estimate (the basic interval) the same resamples remove the bias instead of doubling it.
Leaving out a block of m rows repeats none: it changes the bias by ``b/(n - m) - b/n`` only, alike for every block, so
that the spread over blocks is that of the statistic.

None of them knows of the spread over training seeds, which is usually larger.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Literal, NamedTuple

import torch
from scipy.special import stdtrit
from torch import Tensor

from ganbook.errors import InputError
from ganbook.metrics.frechet import frechet_from_moments
from ganbook.metrics.moments import Moments

Statistic = Callable[..., float | Tensor]


class Interval(NamedTuple):
    """A confidence interval."""

    low: float
    high: float


def bootstrap_interval(
    statistic: Statistic,
    *arrays: Tensor,
    level: float = 0.95,
    repetitions: int = 1000,
    generator: torch.Generator,
    paired: bool = False,
    kind: Literal["percentile", "basic"] = "percentile",
) -> Interval:
    """The bootstrap interval of ``statistic(*arrays)`` over the rows of the arrays (Efron & Tibshirani 1993, ch. 13).

    Not for Fréchet distances unless ``kind="basic"``, nor for metrics of neighbours; the module's text says why.

    Args:
        statistic: takes tensors like ``arrays`` and returns a number.
        arrays: one tensor for each independent sample, samples along the first axis, e.g. real and fake features.
        level: the probability with which the interval shall cover, between 0 and 1.
        repetitions: how many times the rows are drawn with replacement.
        generator: draws them.
        paired: the arrays are columns of one sample (predictions and labels, say): draw the same rows of each.
        kind: ``"percentile"``, the quantiles of the statistic over resamples; or ``"basic"``, the same reflected about
            the estimate, which takes away a bias instead of doubling it.

    Raises:
        InputError: no arrays, fewer than 2 rows, a level or number of repetitions that gives no quantile, or a
            statistic that is not finite.
    """
    _check(arrays, level)
    least = math.ceil(2 / (1 - level) - 1e-9)
    if repetitions < least:
        raise InputError(
            f"{repetitions} repetitions have no {level:.4g} interval: at least {least} are needed "
            "for one value to lie beyond each end, and 1000 for ends that can be trusted."
        )
    lengths = {len(array) for array in arrays}
    if kind not in ("percentile", "basic") or (paired and len(lengths) > 1):
        raise InputError(
            f"A bootstrap is 'percentile' or 'basic', and paired arrays have one length; got kind {kind!r} and lengths "
            f"{[len(array) for array in arrays]}."
        )
    values = torch.empty(repetitions, dtype=torch.float64)
    for i in range(repetitions):
        rows = [_resample(len(array), generator) for array in (arrays[:1] if paired else arrays)]
        rows = rows * len(arrays) if paired else rows
        values[i] = _value(statistic, *(a[r.to(a.device)] for a, r in zip(arrays, rows, strict=True)))
    low, high = values.quantile(torch.tensor([(1 - level) / 2, (1 + level) / 2], dtype=torch.float64)).tolist()
    if kind == "basic":
        estimate = _value(statistic, *arrays)
        return Interval(2 * estimate - high, 2 * estimate - low)
    return Interval(low, high)


def jackknife_interval(
    statistic: Statistic,
    *arrays: Tensor,
    level: float = 0.95,
    blocks: int = 20,
    generator: torch.Generator,
    debias: bool = False,
) -> Interval:
    """``estimate ± t · se``, from leaving out one block of rows at a time (Tukey 1958; Arvesen 1969 for two samples).

    With ``θ₍ᵦ₎`` the statistic without block b, ``se² = (B - 1)/B Σ (θ₍ᵦ₎ - mean θ)²``, added up over the independent
    samples, and t the quantile of Student's distribution with B - 1 degrees of freedom. The interval covers what the
    statistic is *on average at this sample size*; with ``debias`` the estimate is first corrected by
    ``(B - 1)(mean θ - estimate)`` for each sample, which removes a bias of order 1/n (Quenouille 1956).

    It takes a smooth statistic. Where real and fake distributions are equal, a squared distance has no slope and the
    interval is wider than it need be.

    Args:
        statistic: takes tensors like ``arrays`` and returns a number.
        arrays: one tensor for each independent sample, samples along the first axis.
        level: the probability with which the interval shall cover.
        blocks: B ≥ 2, at most the rows of any array; the statistic is computed B times for each array.
        generator: deals the rows out to blocks, so that their order does not matter.
        debias: centre the interval at the estimate without its bias.

    Raises:
        InputError: no arrays, more blocks than rows, a level outside (0, 1), or a statistic that is not finite.
    """
    _check(arrays, level)
    least = min(len(array) for array in arrays)
    if not 2 <= blocks <= least:
        raise InputError(f"{least} rows are dealt out to 2 to {least} blocks, got {blocks}.")
    left_out = []
    for k, array in enumerate(arrays):
        order = torch.randperm(len(array), generator=generator, device=generator.device).to(array.device)
        values = []
        for block in order.tensor_split(blocks):
            kept = torch.ones(len(array), dtype=torch.bool, device=array.device)
            kept[block] = False
            values.append(_value(statistic, *arrays[:k], array[kept], *arrays[k + 1 :]))
        left_out.append(torch.tensor(values, dtype=torch.float64))
    return _jackknife(_value(statistic, *arrays), left_out, level, debias=debias)


def frechet_interval(
    real: Sequence[Moments], fake: Sequence[Moments], *, level: float = 0.95, debias: bool = False
) -> Interval:
    """`jackknife_interval` of the Fréchet distance, from the moments of blocks of features as they stream by.

    Args:
        real: moments of B blocks of about equal size, their rows dealt out at random; or of a single block when the
            real statistics are a fixed reference, whose own uncertainty is then left out.
        fake: moments of B ≥ 2 blocks of fakes.
        level: the probability with which the interval shall cover.
        debias: cover the distance between the distributions instead of the one expected at this sample size.

    Raises:
        InputError: fewer than two blocks of fakes, no real block, widths that differ, a level outside (0, 1), or too
            few samples for the covariances.
    """
    _check_level(level)
    if len(fake) < 2 or len(real) < 1:
        raise InputError(
            f"An interval takes at least two blocks of fakes and one of real samples, got {len(fake)} and {len(real)}."
        )
    wholes = [_merged(real), _merged(fake)]
    left_out = []
    for side, parts in enumerate((real, fake)):
        values = []
        for part in parts if len(parts) > 1 else ():
            pair = list(wholes)
            pair[side] = wholes[side].without(part)
            values.append(frechet_from_moments(*pair))
        if values:
            left_out.append(torch.tensor(values, dtype=torch.float64))
    return _jackknife(frechet_from_moments(*wholes), left_out, level, debias=debias)


def _merged(parts: Sequence[Moments]) -> Moments:
    whole = Moments(parts[0].dim)
    for part in parts:
        whole.merge(part)
    return whole


def _jackknife(estimate: float, left_out: list[Tensor], level: float, *, debias: bool) -> Interval:
    variance, bias = 0.0, 0.0
    for values in left_out:
        b = len(values)
        variance += (b - 1) / b * (values - values.mean()).square().sum().item()
        bias += (b - 1) * (values.mean().item() - estimate)
    freedom = min(len(values) for values in left_out) - 1
    half = float(stdtrit(freedom, (1 + level) / 2)) * variance**0.5
    centre = estimate - bias if debias else estimate
    return Interval(centre - half, centre + half)


def _resample(n: int, generator: torch.Generator) -> Tensor:
    return torch.randint(n, (n,), generator=generator, device=generator.device)


def _value(statistic: Statistic, *arrays: Tensor) -> float:
    value = float(statistic(*arrays))
    if not math.isfinite(value):
        raise InputError(
            f"The statistic came out as {value} on arrays of {[len(array) for array in arrays]} rows, so it has no "
            "interval. Give it more rows, or a statistic that is defined on every part of them."
        )
    return value


def _check(arrays: tuple[Tensor, ...], level: float) -> None:
    _check_level(level)
    if not arrays or any(array.ndim == 0 or len(array) < 2 for array in arrays):
        shapes = [tuple(array.shape) for array in arrays]
        raise InputError(f"An interval takes at least one array with two rows or more, got shapes {shapes}.")


def _check_level(level: float) -> None:
    if not 0 < level < 1:
        raise InputError(f"A confidence level lies between 0 and 1, got {level}; 95 % is 0.95.")
