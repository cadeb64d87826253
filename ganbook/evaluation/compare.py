"""Fake pictures against a reference set: the metrics asked for, with protocol and, where there is one, interval."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from scipy.stats import binomtest, t
from torch import Tensor

from ganbook import metrics
from ganbook.data import ImageSet
from ganbook.errors import InputError, unknown_name
from ganbook.evaluation.extractors import Extractor
from ganbook.evaluation.features import Pictures, SetPictures, Statistics, reference_statistics, statistics
from ganbook.evaluation.protocol import Protocol, Value, metric_name

DEFAULT = ("frechet", "kid", "precision", "recall", "density", "coverage")
LEVEL = 0.95


class Measured(NamedTuple):
    """A number, its interval and what to know about it."""

    value: float
    interval: tuple[float, float] | None = None
    about: str = ""


@dataclass(frozen=True)
class Sides:
    """What a metric may look at."""

    real: Statistics
    fake: Statistics
    held_out: Statistics | None  # of real pictures that were not trained on
    extractor: Extractor
    seed: int = 0

    @property
    def generator(self) -> torch.Generator:
        """For metrics that draw subsets; the same for every metric and call."""
        return torch.Generator().manual_seed(self.seed)


def _frechet(sides: Sides) -> Measured:
    value = metrics.frechet_from_moments(sides.real.moments, sides.fake.moments)
    interval = metrics.frechet_interval([sides.real.moments], sides.fake.blocks)
    return Measured(value, interval, "interval over fakes at this n, reference fixed (block jackknife)")


def _frechet_infinity(sides: Sides) -> Measured:
    rows, d = sides.fake.rows, sides.real.moments.dim
    lowest = max(d + 1, len(rows) // 3)
    if lowest > len(rows) - 5:
        raise InputError(
            f"Extrapolating the Fréchet distance takes samples well above {d} fakes, got {len(rows)}. Measure with "
            f"more fakes (--n)."
        )
    sizes = torch.linspace(lowest, len(rows), 8).round().int().tolist()
    line = metrics.frechet_infinity(sides.real.moments, rows, sizes=sizes, generator=sides.generator)
    return Measured(line.value, None, f"line in 1/n through {len(sizes)} sizes from {lowest}, R² {line.r2:.3f}")


def _kid(sides: Sides) -> Measured:
    real, fake = sides.real.rows, sides.fake.rows
    size = min(1000, len(real), len(fake))
    found = metrics.kid(real, fake, subset_size=size, generator=sides.generator)
    return Measured(found.mean, _kid_interval(real, fake), f"100 subsets of {size}, standard deviation {found.std:.2g}")


def _kid_interval(real: Tensor, fake: Tensor) -> tuple[float, float] | None:
    """Student's interval from ten disjoint parts of either side: each gives an unbiased estimate of its own."""
    if min(len(real), len(fake)) < 200:
        return None
    parts = zip(real.tensor_split(10), fake.tensor_split(10), strict=True)
    values = torch.tensor([metrics.mmd2(x, y, kernel=metrics.polynomial) for x, y in parts])
    half = float(t.ppf((1 + LEVEL) / 2, 9)) * float(values.std()) / 10**0.5
    return float(values.mean()) - half, float(values.mean()) + half


def _share(value: float, n: int) -> tuple[float, float]:
    """Wilson's interval of a share of n."""
    found = binomtest(round(value * n), n).proportion_ci(LEVEL, method="wilson")
    return float(found.low), float(found.high)


def _neighbours(which: str) -> Callable[[Sides], Measured]:
    def measure(sides: Sides) -> Measured:
        real, fake = sides.real.rows, sides.fake.rows
        n = min(len(real), len(fake))  # the metrics are defined for equal numbers
        real, fake = real[:n], fake[:n]
        note = (
            f"{n:,} features a side, k = {3 if which in ('precision', 'recall') else 5}, interval given the manifolds"
        )
        if which in ("precision", "recall"):
            value: float = getattr(metrics.precision_recall(real, fake), which)
            return Measured(value, _share(value, n), note)
        value = getattr(metrics.density_coverage(real, fake), which)
        return Measured(value, _share(value, n) if which == "coverage" else None, note)

    return measure


def _inception_score(sides: Sides) -> Measured:
    logits = sides.extractor.logits(sides.fake.rows)
    found = metrics.inception_score(logits, generator=sides.generator)
    return Measured(found.mean, None, f"{len(logits):,} fakes in 10 parts, standard deviation {found.std:.2g}")


def _memorisation(sides: Sides) -> Measured:
    if sides.held_out is None:
        raise InputError("Memorisation compares training and held-out pictures, and this set has no test split.")
    found = metrics.memorisation(sides.real.rows, sides.held_out.rows, sides.fake.rows)
    about = (
        f"share of fakes nearer to training than to held-out pictures; {found.expected_share:.3f} without copying; "
        f"distance ratio {found.distance_ratio:.3f}, z {found.z:.1f}"
    )
    return Measured(found.share, _share(found.share, len(sides.fake.rows)), about)


METRICS: Mapping[str, Callable[[Sides], Measured]] = {
    "frechet": _frechet,
    "frechet_infinity": _frechet_infinity,
    "kid": _kid,
    "precision": _neighbours("precision"),
    "recall": _neighbours("recall"),
    "density": _neighbours("density"),
    "coverage": _neighbours("coverage"),
    "inception_score": _inception_score,
    "memorisation": _memorisation,
}


def evaluate(
    fake: Pictures,
    reference: ImageSet,
    extractor: Extractor,
    *,
    names: Sequence[str] = DEFAULT,
    held_out: ImageSet | None = None,
    n_real: int | None = None,
    batch_size: int = 50,
    progress: bool = True,
) -> list[Value]:
    """Measure pictures against a data set.

    Args:
        fake: what was generated.
        reference: the real pictures; their statistics are cached.
        extractor: the feature network, used for both.
        names: of `METRICS`, in the order of the result. A Fréchet distance of too few pictures is refused.
        held_out: real pictures that were not trained on, for ``memorisation``.
        n_real: how many real pictures; None takes all.
        batch_size: pictures at a time through the network.
        progress: show bars.

    Raises:
        InputError: an unknown metric, too few pictures for one, or pictures of another size than the reference.
        DataError: a picture cannot be read.
    """
    for name in names:
        if name not in METRICS:
            raise unknown_name("metric", name, METRICS)
    if not names:
        raise InputError(f"Name at least one metric: {', '.join(METRICS)}.")
    refuse_other_size(fake, reference)
    least = min(fake.n, n_real or len(reference.images))
    if {"frechet", "frechet_infinity"} & set(names) and least <= extractor.dim:
        raise InputError(
            f"A Fréchet distance in the {extractor.dim} features of {extractor.name} needs more than {extractor.dim:,} "
            f"pictures on either side, got {least:,}; the covariance would be singular. Take more, or measure without "
            f"it: --metrics kid,precision,recall. For MNIST and emoji, --extractor mnist-judge has 64 features only."
        )
    sampled = SetPictures(reference, n_real)
    real = reference_statistics(sampled, extractor, batch_size=batch_size, progress=progress)
    fakes = statistics(fake, extractor, batch_size=batch_size, blocks=10, progress=progress)
    apart = None
    if held_out is not None and "memorisation" in names:
        apart = reference_statistics(SetPictures(held_out), extractor, batch_size=batch_size, progress=progress)
    sides = Sides(real, fakes, apart, extractor)
    protocol = Protocol(
        dataset=reference.name,
        split=reference.split,
        preprocessing=reference.preprocessing,
        data_sha256=reference.sha256,
        n_real=sampled.n,
        n_fake=fake.n,
        extractor=extractor.name,
        extractor_sha256=extractor.sha256,
    )
    values = []
    for name in names:
        found = METRICS[name](sides)
        low, high = found.interval or (None, None)
        title = metric_name(name, fake.n, extractor.name)
        values.append(Value(title, found.value, fake.name, protocol, low, high, found.about))
    return values


def refuse_other_size(fake: Pictures, reference: ImageSet) -> None:
    """Look at the first fakes and compare their size with the reference's.

    Raises:
        InputError: they differ; a resize inside a metric would be part of its value.
    """
    shape = tuple(next(iter(fake.batches(2))).shape[2:])
    if shape != reference.images.shape[2:]:
        raise InputError(
            f"{fake.name} has pictures of {shape[1]} x {shape[0]} pixels, the reference {reference.name} was prepared "
            f"at {reference.images.shape[3]} x {reference.images.shape[2]}. Name the reference at the same resolution "
            f"({reference.name}:{shape[0]}); resizing one side only changes every metric."
        )
