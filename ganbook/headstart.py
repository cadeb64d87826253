"""What a head start saves: times to a goal on a clock that counts everything, compared seed by seed.

A *course* is the table of one run, a row each time its games were looked at, with the columns ``start`` (what the
generator began from; ``random`` is no head start), ``held`` (1 if the generator first stood still while its
discriminator learnt), ``fd``, and the clocks: ``step`` and ``seconds``.

A game that never reaches the goal has no time. To leave it out would flatter the start that fails more often, so the
clock is stopped at τ, the earliest end among the games of the run, and what is compared is min(T, τ). This is the
restricted mean survival time of trials in medicine (Royston & Parmar 2013).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from ganbook.errors import DataError, InputError
from ganbook.metrics import bootstrap_interval
from ganbook.results import Record

if TYPE_CHECKING:
    import pandas as pd

Game = tuple[str, int]  # start, held
RANDOM = "random"
KEYS = ["start", "held"]
COLUMNS = ("start", "held", "step", "seconds", "fd")
SEEDS = 5  # fewer decide nothing
LOSSES = {"nonsaturating": "GAN", "wasserstein": "WGAN"}


@dataclass(frozen=True)
class Verdict:
    """The mean saving over seeds, its 95% interval, and what may be said: `word`.

    Written out, a dash says that there is nothing to tell apart: in no seed did one arrive before the other.
    """

    values: tuple[float, ...]
    low: float
    high: float

    @property
    def mean(self) -> float:
        """Of the savings."""
        return sum(self.values) / len(self.values)

    @property
    def word(self) -> str:
        """Faster or slower only where the interval leaves zero out and every seed has the same sign."""
        if len(self.values) < SEEDS:
            return "too few seeds"
        if self.low > 0 and min(self.values) > 0:
            return "faster"
        if self.high < 0 and max(self.values) < 0:
            return "slower"
        return "no difference shown"

    def __str__(self) -> str:
        if len(self.values) < SEEDS:
            return f"{self.mean:+.3g} (too few seeds)"
        if not any(self.values):
            return "–"
        shown = f"{self.mean:+.3g} [{self.low:+.3g}, {self.high:+.3g}]"
        return f"**{self.word}** {shown}" if self.word in ("faster", "slower") else shown


@dataclass(frozen=True)
class Row:
    """One head start in one game on one data set; a verdict for each goal."""

    dataset: str
    game: str
    start: str
    held: bool
    verdicts: dict[float, Verdict]


def times_to(course: pd.DataFrame, clock: str, goal: float) -> pd.Series:
    """min(T, τ) of each game of a run, T the first reading of ``clock`` with ``fd`` at or below ``goal``.

    Raises:
        DataError: the table lacks a column, or a game was looked at less than twice.
    """
    missing = [name for name in COLUMNS if name not in course.columns]
    if missing:
        raise DataError(f"A course has the columns {', '.join(COLUMNS)}; this one lacks {', '.join(missing)}.")
    ends = course.groupby(KEYS)[clock].max()
    if course.groupby(KEYS).size().min() < 2:
        raise DataError("A game of this course was looked at once only, so it has no time to anything.")
    reached = course[course["fd"] <= goal].groupby(KEYS)[clock].min()
    return reached.reindex(ends.index).fillna(math.inf).clip(upper=ends.min())


def savings(course: pd.DataFrame, clock: str, goal: float) -> dict[Game, float]:
    """``min(T_random, τ) - min(T_start, τ)`` of each head start against random weights, held alike.

    Raises:
        InputError: the run has no game from random weights to compare with.
    """
    read = times_to(course, clock, goal)
    times: dict[Game, float] = {(str(key[0]), int(key[1])): float(time) for key, time in zip(read.index, read)}
    if {held for _, held in times} - {held for start, held in times if start == RANDOM}:
        raise InputError("A saving is against random weights, held alike: the run has no such game. Add 'random'.")
    return {(start, held): times[RANDOM, held] - time for (start, held), time in times.items() if start != RANDOM}


def standing(course: pd.DataFrame) -> pd.DataFrame:
    """What each game has at τ on the seconds' clock: its last look until then, indexed by start and held."""
    end = course.groupby(KEYS)["seconds"].max().min()
    return course[course["seconds"] <= end].groupby(KEYS).last()


def verdict(values: Sequence[float]) -> Verdict:
    """The savings of all seeds as a verdict; the interval is the percentile bootstrap of their mean."""
    if len(values) < 2:
        return Verdict(tuple(values), -math.inf, math.inf)
    if len(set(values)) == 1:  # every resample is the sample
        return Verdict(tuple(values), values[0], values[0])
    rows = torch.tensor(values, dtype=torch.float64)
    interval = bootstrap_interval(torch.mean, rows, generator=torch.Generator().manual_seed(0))
    return Verdict(tuple(values), interval.low, interval.high)


def game_of(record: Record) -> str:
    """GAN, WGAN, CGAN or CWGAN."""
    return ("C" if record.params["conditional"] else "") + LOSSES[record.params["loss"]]


def verdicts(records: Iterable[Record], clock: str, goals: Sequence[float]) -> list[Row]:
    """One row for each data set, game, head start and held or not, in this order."""
    groups: dict[tuple[str, str], list[pd.DataFrame]] = {}
    for record in records:
        groups.setdefault((record.params["dataset"], game_of(record)), []).append(record.history())
    order = {"mnist": 0, "emoji": 1}
    rows = []
    for dataset, game in sorted(groups, key=lambda key: (order.get(key[0], 2), len(key[1]), key[1])):
        saved = {goal: [savings(course, clock, goal) for course in groups[dataset, game]] for goal in goals}
        for start, held in next(iter(saved.values()))[0]:
            words = {goal: verdict([seed[start, held] for seed in seeds]) for goal, seeds in saved.items()}
            rows.append(Row(dataset, game, start, bool(held), words))
    return rows
