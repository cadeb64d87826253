"""Time to a distance: the clock of a record, and when a threshold counts as reached.

The rules in short. The clock runs while the networks are trained, data serving included, and stands still while samples
are judged and while the first steps of all, which compile and fill caches, are made; those are timed apart and undone.
A threshold is reached at the first look at which the distance is at or below it and stays so at the next: a single
lucky look does not count. `Heusel et al. (2017) <https://arxiv.org/abs/1706.08500>`_ plot distance over time; nobody
seems to have fixed rules for reading a time from such a curve, so these are ours.
"""

from __future__ import annotations

import copy
import itertools
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch

from ganbook.data import Batches
from ganbook.errors import DivergenceError, InputError
from ganbook.experiment import unlabelled
from ganbook.models.gan import GAN
from ganbook.training import Batch, History, train

WARM_UP = 3  # steps of both networks before the clock starts


@dataclass(frozen=True)
class Look:
    """What was seen after ``step`` generator steps; ``seconds`` on the wall, ``cpu_seconds`` of the processor."""

    step: int
    seconds: float
    cpu_seconds: float
    distance: float


@dataclass(frozen=True)
class Race:
    """All looks of one training; ``warm_up`` seconds came before the clock."""

    looks: tuple[Look, ...]
    warm_up: float
    diverged: bool = False


def reached(looks: Sequence[Look], threshold: float) -> Look | None:
    """The first look at or below ``threshold`` whose successor is so too; None if there is none."""
    for look, following in itertools.pairwise(looks):
        if max(look.distance, following.distance) <= threshold:
            return look
    return None


def race(
    gan: GAN,
    batches: Batches,
    distance: Callable[[GAN], float],
    *,
    thresholds: Sequence[float],
    every: int,
    steps: int,
    n_dis: int = 1,
    warm_up: int = WARM_UP,
) -> Race:
    """Train until the lowest threshold is reached, or for ``steps`` generator steps.

    Args:
        gan: as it was built; it is trained in place.
        batches: endless and with a state, so that the warm-up can be undone; labels are left out without classes.
        distance: of the samples from the data, the smaller the better; not timed.
        thresholds: distances of which the time is asked, in any order.
        every: generator steps between two looks.
        steps: when to give up.
        n_dis: discriminator steps per generator step.
        warm_up: steps that are made and undone before the clock starts.

    Raises:
        InputError: no threshold, or fewer than two looks, with which nothing can be reached.
    """
    if not thresholds or every < 1 or steps < 2 * every:
        raise InputError(
            f"A race needs thresholds and at least two looks, got {list(thresholds)}, {steps} steps and a look every "
            f"{every}. Give a distance to reach, and steps of at least twice the interval."
        )
    before = _warm(gan, batches, warm_up)
    history, clock, cpu = History(), 0.0, 0.0
    looks: list[Look] = []
    while history.step < steps and reached(looks, min(thresholds)) is None:
        start, cpu_start = time.perf_counter(), time.process_time()
        try:
            goal = min(history.step + every, steps)
            train(gan, _served(gan, batches), steps=goal, n_dis=n_dis, log_every=every, history=history, progress=False)
        except DivergenceError:
            return Race(tuple(looks), before, diverged=True)
        _wait(gan.device)
        clock, cpu = clock + time.perf_counter() - start, cpu + time.process_time() - cpu_start
        looks.append(Look(history.step, clock, cpu, distance(gan)))
    return Race(tuple(looks), before)


def _warm(gan: GAN, batches: Batches, steps: int) -> float:
    """Seconds of a few steps, after which everything is as it was."""
    state, position = copy.deepcopy(gan.state_dict()), copy.deepcopy(batches.state_dict())
    start = time.perf_counter()
    for _ in range(steps):
        real, labels = next(_served(gan, batches))
        gan.discriminator_step(real, labels)
        gan.generator_step(real, labels)
    _wait(gan.device)
    spent = time.perf_counter() - start
    gan.load_state_dict(state)
    batches.load_state_dict(position)
    return spent


def _served(gan: GAN, batches: Batches) -> Iterator[Batch]:
    return batches if gan.n_classes else unlabelled(batches)


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
