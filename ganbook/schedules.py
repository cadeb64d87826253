"""Learning-rate schedules: what both Adams' rates are multiplied by at a generator step, a pure function of its number.

Because nothing is accumulated, a resumed run has the very rates of an uninterrupted one. Linear decay to 0 is what the
published code of WGAN-GP and of SNGAN trains with; cosine decay is of Loshchilov & Hutter (2017, eq. 5, here without
restarts), the warm-up of Goyal et al. (2017, section 2.2).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial

from ganbook.errors import InputError, unknown_name

Schedule = Callable[[int], float]  # the number of a generator step, counted from 0, to a factor in [0, 1]


def constant(progress: float) -> float:
    """1 throughout."""
    return 1.0


def linear(progress: float) -> float:
    """``1 - progress``: from 1 down to 0."""
    return 1.0 - progress


def cosine(progress: float) -> float:
    """``½(1 + cos π·progress)``: from 1 down to 0, flat at both ends."""
    return 0.5 * (1.0 + math.cos(math.pi * progress))


SCHEDULES: dict[str, Callable[[float], float]] = {"constant": constant, "linear": linear, "cosine": cosine}


def schedule(name: str, *, steps: int, warmup: int = 0) -> Schedule:
    """The factor of the learning rates as a function of the generator step.

    Over the first ``warmup`` steps it rises in equal parts to 1, with ``(t + 1) / warmup`` at step t; then the named
    shape runs from 1, at step ``warmup``, towards its value at ``steps``, which no step reaches.

    Args:
        name: in `SCHEDULES`.
        steps: generator steps in all.
        warmup: steps of rising, 0 for none.

    Raises:
        InputError: an unknown name, or a warm-up that is not shorter than the run.
    """
    if name not in SCHEDULES:
        raise unknown_name("schedule", name, SCHEDULES)
    if not 0 <= warmup < steps:
        raise InputError(
            f"warmup counts steps within the run, from 0 to steps - 1, got warmup={warmup} and steps={steps}. Choose a "
            "shorter warm-up or a longer run."
        )
    return partial(_factor, SCHEDULES[name], steps, warmup)


def _factor(shape: Callable[[float], float], steps: int, warmup: int, step: int) -> float:
    if step < warmup:
        return (step + 1) / warmup
    return shape(min(1.0, (step - warmup) / (steps - warmup)))
