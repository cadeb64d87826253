"""Fidelity and diversity apart, and memorisation: metrics made of nearest neighbours in feature space.

Distances are Euclidean, computed in blocks from ``‖x‖² + ‖y‖² - 2 x·y`` about the data's mean, so that two distances
that are equal on paper may differ in the last digits. The neighbour a function returns carries a distance computed
anew from the difference, which is exactly 0 for a copy.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from ganbook.errors import InputError
from ganbook.metrics._inputs import feature_pair

BLOCK = 1024  # distances are held in blocks of this many rows and columns


class PrecisionRecall(NamedTuple):
    """Shares between 0 and 1."""

    precision: float  # of the fakes, how many lie on the manifold of the real samples
    recall: float  # of the real samples, how many lie on the manifold of the fakes


class DensityCoverage(NamedTuple):
    """``density`` is about 1 for equal distributions and has no upper bound; ``coverage`` is a share."""

    density: float
    coverage: float


class Memorisation(NamedTuple):
    """How much closer fakes come to the training data than fresh data do; see `memorisation`."""

    share: float  # of the fakes, how many have their nearest neighbour in the training rather than the held-out set
    expected_share: float  # the same for a generator that has learnt the distribution and remembers no sample
    distance_ratio: float  # median distance to the training set, of fakes divided by that of held-out samples
    z: float  # Meehan's statistic: standard normal without copying, far below 0 with it


def precision_recall(real: Tensor, fake: Tensor, *, k: int = 3) -> PrecisionRecall:
    """Improved precision and recall (Kynkäänniemi et al. 2019, eqs. 1 and 2).

    A sample's manifold is the union of balls about its points, each reaching to the k-th nearest of the others,
    boundary included. Compare values of equal sample sizes only: both grow with the balls, which shrink with n.

    Args:
        real: features, ``(n, d)``.
        fake: features, ``(m, d)``; the paper takes m = n.
        k: which neighbour the ball reaches to; smaller than n and m.

    Raises:
        InputError: too few samples for k, widths that differ, or numbers that are not finite.
    """
    real, fake = _centred(real, fake, k)
    return PrecisionRecall(precision=_share_inside(fake, real, k), recall=_share_inside(real, fake, k))


def density_coverage(real: Tensor, fake: Tensor, *, k: int = 5) -> DensityCoverage:
    """Density and coverage (Naeem et al. 2020, section 3): as `precision_recall`, less at the mercy of outliers.

    ``density`` counts, for each fake, in how many real balls it lies, divided by k. ``coverage`` is the share of real
    balls with a fake inside; for equal distributions and sizes it is about ``1 - ((n-1) … (n-k))/((2n-1) … (2n-k))``,
    close to ``1 - 2^(-k)``. As in the authors' code the balls are open.

    Raises:
        InputError: as `precision_recall`.
    """
    balls, occupied = balls_around(real, fake, k=k)
    return DensityCoverage(int(balls.sum()) / (k * len(fake)), int(occupied.sum()) / len(real))


def balls_around(real: Tensor, fake: Tensor, *, k: int = 5) -> tuple[Tensor, Tensor]:
    """What density and coverage are means of.

    Returns:
        For each fake the number of real balls that it lies in, ``(m,)`` int64; and for each real sample whether there
        is a fake in its ball, ``(n,)`` bool.

    Raises:
        InputError: as `precision_recall`.
    """
    real, fake = _centred(real, fake, k)
    radii = _radii(real, k)
    balls = torch.zeros(len(fake), dtype=torch.int64, device=real.device)
    occupied = []
    for rows, radius in zip(real.split(BLOCK), radii.split(BLOCK), strict=True):
        hits = torch.cat([_squared(rows, others) < radius[:, None] for others in fake.split(BLOCK)], 1)
        balls += hits.sum(0)
        occupied.append(hits.any(1))
    return balls, torch.cat(occupied)


def nearest_neighbours(query: Tensor, reference: Tensor, *, k: int = 1) -> tuple[Tensor, Tensor]:
    """The ``k`` rows of ``reference`` nearest to each row of ``query``, nearest first.

    Args:
        query: features, ``(n, d)``.
        reference: features, ``(m, d)``, m ≥ k.
        k: how many neighbours.

    Returns:
        Distances, float64, and row numbers in ``reference``, both ``(n, k)``, on the query's device.

    Raises:
        InputError: fewer than ``k`` reference rows, widths that differ, or numbers that are not finite.
    """
    query, reference = feature_pair(query, reference, names=("query features", "reference features"))
    if not 1 <= k <= len(reference):
        raise InputError(f"{k} nearest neighbours among {len(reference)} rows: pass a k from 1 to {len(reference)}.")
    centre = reference.mean(0)
    centred = reference - centre
    found = [_nearest(rows - centre, centred, k)[1] for rows in query.split(BLOCK)]
    distances = [
        torch.linalg.vector_norm(rows[:, None] - reference[indices], dim=2)
        for rows, indices in zip(query.split(BLOCK), found, strict=True)
    ]
    ordered, order = torch.cat(distances).sort(1)
    return ordered, torch.cat(found).gather(1, order)


def memorisation(train: Tensor, held_out: Tensor, fake: Tensor) -> Memorisation:
    """Whether fakes lie nearer to the training data than fresh data of the same distribution do.

    Two measures. The first asks each fake whether its nearest neighbour among training and held-out samples is a
    training sample. If the fakes are independent of both sets, all these samples are exchangeable, and the share is
    on average ``n_train / (n_train + n_held_out)``, whatever the quality of the fakes; copies push it to 1. The second
    is the data-copying test of Meehan et al. (2020; here with one cell): distances to the training set, of fakes
    against those of held-out samples, by the Mann-Whitney statistic and by the ratio of their medians (0 for copies,
    1 without copying; above 1 the fakes are far from all data). That one takes fakes of good quality: poor fakes hide
    copies. Both need a held-out set never used in training, without near-duplicates of training samples.

    Args:
        train: features of the training set, ``(n, d)``.
        held_out: features of fresh real data, ``(m, d)``, m ≥ 2.
        fake: features of generated samples, ``(l, d)``, l ≥ 2.

    Raises:
        InputError: too few rows, widths that differ, or numbers that are not finite.
    """
    if len(fake) < 2 or len(held_out) < 2:
        raise InputError(
            f"Memorisation compares distributions of distances: it needs at least 2 held-out and 2 fake samples, got "
            f"{len(held_out)} and {len(fake)}."
        )
    fake_to_train = nearest_neighbours(fake, train)[0].flatten()
    held_to_train = nearest_neighbours(held_out, train)[0].flatten()
    fake_to_held = nearest_neighbours(fake, held_out)[0].flatten()
    nearer = (fake_to_train < fake_to_held).double() + (fake_to_train == fake_to_held).double() / 2
    medians = fake_to_train.quantile(0.5).item(), held_to_train.quantile(0.5).item()
    if medians[1] == 0:
        raise InputError(
            "At least half of the held-out samples are copies of training samples, so nothing can be said about "
            "memorisation. Remove duplicates between the splits."
        )
    return Memorisation(
        share=nearer.mean().item(),
        expected_share=len(train) / (len(train) + len(held_out)),
        distance_ratio=medians[0] / medians[1],
        z=_mann_whitney_z(fake_to_train, held_to_train),
    )


def _mann_whitney_z(x: Tensor, y: Tensor) -> float:
    """The standardised number of pairs with ``x > y``, ties counting half (normal approximation, no tie correction)."""
    n, m = len(x), len(y)
    y = y.sort().values
    below = torch.searchsorted(y, x) + torch.searchsorted(y, x, right=True)
    u = below.double().sum().item() / 2
    return (u - n * m / 2) / (n * m * (n + m + 1) / 12) ** 0.5


def _centred(real: Tensor, fake: Tensor, k: int) -> tuple[Tensor, Tensor]:
    real, fake = feature_pair(real, fake)
    least = min(len(real), len(fake))
    if not 1 <= k < least:
        raise InputError(
            f"The {k}-th nearest neighbour among {len(real)} real and {len(fake)} fake samples: k goes from 1 to "
            f"{least - 1}, one less than the smaller sample, since a sample is not its own neighbour."
        )
    centre = real.mean(0)
    return real - centre, fake - centre


def _share_inside(points: Tensor, balls: Tensor, k: int) -> float:
    """The share of ``points`` that lie in at least one of the closed balls about ``balls``."""
    radii = _radii(balls, k)
    inside = 0
    for rows in points.split(BLOCK):
        hit = torch.zeros(len(rows), dtype=torch.bool, device=points.device)
        for centres, radius in zip(balls.split(BLOCK), radii.split(BLOCK), strict=True):
            hit |= (_squared(rows, centres) <= radius).any(1)
        inside += int(hit.sum())
    return inside / len(points)


def _radii(x: Tensor, k: int) -> Tensor:
    """For each row the squared distance to the k-th nearest of the *other* rows, ``(n,)``."""
    parts = []
    for start in range(0, len(x), BLOCK):
        parts.append(_nearest(x[start : start + BLOCK], x, k, own=start)[0][:, -1])
    return torch.cat(parts)


def _nearest(rows: Tensor, reference: Tensor, k: int, *, own: int | None = None) -> tuple[Tensor, Tensor]:
    """Squared distances and indices of the ``k`` nearest, kept while blocks of ``reference`` pass by.

    ``own`` is the place of ``rows`` within ``reference``: a row is then not counted as its own neighbour.
    """
    distances = torch.empty(len(rows), 0, dtype=rows.dtype, device=rows.device)
    indices = torch.empty(len(rows), 0, dtype=torch.int64, device=rows.device)
    for start in range(0, len(reference), BLOCK):
        block = reference[start : start + BLOCK]
        squared = _squared(rows, block)
        columns = torch.arange(start, start + len(block), device=rows.device).expand(len(rows), -1)
        if own is not None:
            selves = torch.arange(own, own + len(rows), device=rows.device)
            squared = squared.masked_fill(columns == selves[:, None], torch.inf)
        distances, indices = torch.cat([distances, squared], 1), torch.cat([indices, columns], 1)
        distances, kept = distances.topk(min(k, distances.shape[1]), largest=False)
        indices = indices.gather(1, kept)
    return distances, indices


def _squared(x: Tensor, y: Tensor) -> Tensor:
    """``‖xᵢ - yⱼ‖²``, at least 0."""
    return (x.square().sum(1)[:, None] + y.square().sum(1) - 2 * x @ y.mT).clamp(min=0)
