"""Fake pictures against a reference set: the metrics asked for, with protocol and, where there is one, interval."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import NamedTuple

import torch
from scipy.special import stdtrit
from torch import Tensor

from ganbook import metrics
from ganbook.data import ImageSet
from ganbook.errors import InputError, unknown_name
from ganbook.evaluation.extractors import Extractor
from ganbook.evaluation.features import KEPT, Pictures, SetPictures, Statistics, reference_statistics, statistics
from ganbook.evaluation.protocol import Protocol, Value, metric_name

DEFAULT = ("frechet", "kid", "precision", "recall", "density", "coverage")
LEVEL = 0.95
BLOCKS = 10  # of fakes, for intervals that leave one out
DENSITY_K = 5  # Naeem et al. 2020
MEMORY = 500_000_000  # bytes of reference features that memorisation may keep


class Measured(NamedTuple):
    """A number, its interval, what to know about it, and from how many features a side it comes (None: from all)."""

    value: float
    interval: tuple[float, float] | None = None
    about: str = ""
    n_real: int | None = None
    n_fake: int | None = None


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

    @property
    def equal_numbers(self) -> tuple[Tensor, Tensor]:
        """Real and fake features, as many of either: what metrics of neighbours are defined for."""
        n = min(len(self.real.rows), len(self.fake.rows), KEPT)
        return self.real.rows[:n], self.fake.rows[:n]

    @cached_property
    def precision_recall(self) -> metrics.PrecisionRecall:
        """Both shares, from one pass over the distances."""
        return metrics.precision_recall(*self.equal_numbers)

    @cached_property
    def balls(self) -> tuple[Tensor, Tensor]:
        """Real balls around each fake, and whether each is occupied: density and coverage from one pass."""
        return metrics.balls_around(*self.equal_numbers, k=DENSITY_K)


def _frechet(sides: Sides) -> Measured:
    value = metrics.frechet_from_moments(sides.real.moments, sides.fake.moments)
    half = _frechet_half_width(sides)
    if half is None:
        return Measured(value, None, "too few fakes for an interval")
    interval = (value - half, value + half)
    return Measured(value, interval, "interval over fakes at this n, reference fixed (block jackknife)")


def _frechet_infinity(sides: Sides) -> Measured:
    rows, d = sides.fake.rows, sides.real.moments.dim
    sizes = torch.linspace(lowest_size(len(rows), d), len(rows), 8).round().int().tolist()
    line = metrics.frechet_infinity(sides.real.moments, rows, sizes=sizes, generator=sides.generator)
    about = f"line in 1/n through {len(sizes)} sizes from {sizes[0]:,} to {sizes[-1]:,} fakes, R² {line.r2:.3f}"
    half = _frechet_half_width(sides)
    interval = None
    if half is not None:  # of the fakes as a whole, and of the line through random parts of them
        half = (half**2 + (float(stdtrit(len(sizes) - 2, (1 + LEVEL) / 2)) * _intercept_error(line, sizes)) ** 2) ** 0.5
        interval = (line.value - half, line.value + half)
    return Measured(line.value, interval, about, n_fake=len(rows))


def _intercept_error(line: metrics.FrechetInfinity, sizes: Sequence[int]) -> float:
    """The standard error of where a least-squares line in 1/n meets 0."""
    x = 1 / torch.tensor(sizes).double()
    sxx = float((x - x.mean()).square().sum())
    residual = line.slope**2 * sxx * (1 / line.r2 - 1) if line.r2 > 0 else 0.0
    return float((residual / (len(sizes) - 2) * (1 / len(sizes) + float(x.mean()) ** 2 / sxx)) ** 0.5)


def _frechet_half_width(sides: Sides) -> float | None:
    """Of the interval of a Fréchet distance over fakes, the reference fixed (block jackknife)."""
    if sides.fake.n - max(block.n for block in sides.fake.blocks) <= sides.real.moments.dim:
        return None
    low, high = metrics.frechet_interval([sides.real.moments], sides.fake.blocks)
    return (high - low) / 2


def lowest_size(n: int, dim: int) -> int:
    """The smallest sample from which the Fréchet distance is extrapolated."""
    return max(dim + 1, n // 3)


def _kid(sides: Sides) -> Measured:
    real, fake = sides.real.rows, sides.fake.rows
    size = max(2, min(1000, min(len(real), len(fake)) // 2))  # half at most: subsets have to differ
    found = metrics.kid(real, fake, subset_size=size, generator=sides.generator)
    half = _kid_half_width(real, fake)
    interval = None if half is None else (found.mean - half, found.mean + half)
    return Measured(found.mean, interval, f"100 subsets of {size:,}, interval from 10 parts", len(real), len(fake))


def _kid_half_width(real: Tensor, fake: Tensor) -> float | None:
    """Of Student's interval from ten disjoint parts of either side: each gives an unbiased estimate of its own."""
    if min(len(real), len(fake)) < 200:
        return None
    parts = zip(real.tensor_split(10), fake.tensor_split(10), strict=True)
    values = torch.tensor([metrics.mmd2(x, y, kernel=metrics.polynomial) for x, y in parts])
    return float(stdtrit(9, (1 + LEVEL) / 2)) * float(values.std()) / 10**0.5


def _mean(values: Tensor) -> tuple[float, float]:
    """Student's interval of a mean."""
    half = float(stdtrit(len(values) - 1, (1 + LEVEL) / 2)) * float(values.std()) / len(values) ** 0.5
    return float(values.mean()) - half, float(values.mean()) + half


def _share(value: float, n: int) -> tuple[float, float]:
    """Wilson's interval of a share of n."""
    from scipy.stats import binomtest  # over a second to import: only where it is needed

    found = binomtest(round(value * n), n).proportion_ci(LEVEL, method="wilson")
    return float(found.low), float(found.high)


def _neighbours(which: str) -> Callable[[Sides], Measured]:
    def measure(sides: Sides) -> Measured:
        n = len(sides.equal_numbers[0])
        value: float = getattr(sides.precision_recall, which)
        return Measured(value, _share(value, n), "k = 3, interval given the manifolds", n, n)

    return measure


def _density(sides: Sides) -> Measured:
    counts = sides.balls[0].double() / DENSITY_K
    n = len(counts)
    return Measured(float(counts.mean()), _mean(counts), f"k = {DENSITY_K}, interval given the manifold", n, n)


def _coverage(sides: Sides) -> Measured:
    occupied = sides.balls[1].double()
    n = len(occupied)
    value = float(occupied.mean())
    return Measured(value, _share(value, n), f"k = {DENSITY_K}, interval given the manifold", n, n)


def _inception_score(sides: Sides) -> Measured:
    logits = sides.extractor.logits(sides.fake.rows)
    found = metrics.inception_score(logits, generator=sides.generator)
    half = float(stdtrit(9, (1 + LEVEL) / 2)) * found.std / 3  # of the mean of ten; std divides by ten, hence √(10 - 1)
    about = f"10 parts, standard deviation {found.std:.2g}"
    return Measured(found.mean, (found.mean - half, found.mean + half), about, n_fake=len(logits))


def _memorisation(sides: Sides) -> Measured:
    if sides.held_out is None:
        raise no_held_out()
    found = metrics.memorisation(sides.real.rows, sides.held_out.rows, sides.fake.rows)
    about = (
        f"share of fakes nearer to training than to held-out pictures; {found.expected_share:.3f} without copying; "
        f"distance ratio {found.distance_ratio:.3f}, z {found.z:.1f}"
    )
    rows = len(sides.fake.rows)
    return Measured(found.share, _share(found.share, rows), about, len(sides.real.rows), rows)


def no_held_out() -> InputError:
    """For a reference that is no training split, or has no test split beside it."""
    return InputError(
        "Memorisation compares training pictures with held-out ones: name the training split of a set that has a test "
        "split, for instance --against celeba:64:train, or leave memorisation out of --metrics."
    )


METRICS: Mapping[str, Callable[[Sides], Measured]] = {
    "frechet": _frechet,
    "frechet_infinity": _frechet_infinity,
    "kid": _kid,
    "precision": _neighbours("precision"),
    "recall": _neighbours("recall"),
    "density": _density,
    "coverage": _coverage,
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
    check_request(fake, reference, extractor, names=names, held_out=held_out, n_real=n_real)
    sampled = SetPictures(reference, n_real)
    keep = rows_for(sampled.n, extractor.dim) if "memorisation" in names else KEPT
    real = reference_statistics(sampled, extractor, batch_size=batch_size, keep=keep, progress=progress)
    fakes = statistics(fake, extractor, batch_size=batch_size, blocks=BLOCKS, progress=progress)
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
        labels=fake.labels or "as they come",
    )
    values = []
    for name in names:
        found = METRICS[name](sides)
        low, high = found.interval or (None, None)
        own = replace(protocol, n_real=found.n_real or sampled.n, n_fake=found.n_fake or fake.n)
        title = metric_name(name, own.n_fake, extractor.name)
        values.append(Value(title, found.value, fake.name, own, low, high, found.about))
    return values


def rows_for(n: int, dim: int) -> int:
    """How many reference features memorisation may keep: all, if half a gigabyte holds them."""
    return min(n, max(KEPT, MEMORY // (4 * dim)))


def check_request(
    fake: Pictures,
    reference: ImageSet,
    extractor: Extractor,
    *,
    names: Sequence[str],
    held_out: ImageSet | None,
    n_real: int | None,
) -> None:
    """Refuse now what would fail after all features have been computed.

    Raises:
        InputError: an unknown metric, too few pictures for one, or something that one needs and is not there.
    """
    for name in names:
        if name not in METRICS:
            raise unknown_name("metric", name, METRICS)
    if not names:
        raise InputError(f"Name at least one metric: {', '.join(METRICS)}.")
    refuse_other_size(fake, reference)
    d, n = extractor.dim, min(n_real or len(reference.images), len(reference.images))
    if {"frechet", "frechet_infinity"} & set(names) and min(fake.n, n) <= d:
        raise InputError(
            f"A Fréchet distance in the {d} features of {extractor.name} needs more than {d:,} pictures on either "
            f"side, got {min(fake.n, n):,}; the covariance would be singular. Take more, or measure without it: "
            f"--metrics kid,precision,recall. For MNIST and emoji, --extractor mnist-judge has 64 features only."
        )
    kept = min(fake.n, KEPT)
    if "frechet_infinity" in names and lowest_size(kept, d) > kept - 8:
        raise InputError(
            f"Extrapolating the Fréchet distance takes samples well above {d:,} fakes, got {kept:,}. Take more (--n)."
        )
    if "inception_score" in names:
        extractor.logits(torch.zeros(1, d))  # refuses if there is no classifier
    if "memorisation" in names:
        if held_out is None:
            raise no_held_out()
        if rows_for(n, d) < n:
            raise InputError(
                f"Memorisation has to see every training picture, and {n:,} features of width {d} are more than is "
                f"kept in memory. Ask with a smaller extractor."
            )


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
