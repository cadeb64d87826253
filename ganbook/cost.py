"""What runs cost, judged by the runs that are recorded."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ganbook.batch import Run
from ganbook.errors import GanbookError
from ganbook.notebooks import parameters_of
from ganbook.results import COMPLETE, METRICS, Record, read_record

STEPS = "steps"  # the parameter that a training's length is proportional to


@dataclass(frozen=True)
class Estimate:
    """How long one planned run takes."""

    run: Run
    done: bool
    seconds: float | None  # None where no record is like it
    basis: str  # in words, what it was judged by
    device: str  # on which that was measured


def recorded(*roots: Path) -> list[Record]:
    """All undamaged records under some roots; one that cannot be read tells nothing about time."""
    found = []
    for root in roots:
        for file in sorted(root.glob(f"*/*/*/{METRICS}")):
            try:
                found.append(read_record(file.parent))
            except GanbookError:
                continue
    return found


def seconds_of(record: Record) -> float | None:
    """Wall clock of a recorded run: the whole notebook's where there is a certificate, else the training's."""
    for value in (record.certificate.get("seconds"), record.environment.get("train_seconds")):
        if isinstance(value, int | float) and value > 0:
            return float(value)
    return None


def estimates(runs: Sequence[Run], records: Sequence[Record]) -> list[Estimate]:
    """What each planned run takes, by the nearest record: its own, its siblings', or one of another length.

    A GPU's time is never judged by a CPU's, and nothing by a smoke test, which is all overhead.
    """
    known: dict[Path, float | None] = {}
    for run in runs:
        if run.notebook not in known:
            parameter = parameters_of(run.notebook).get(STEPS)
            known[run.notebook] = None if parameter is None else float(parameter.default)
    return [_estimate(run, [r for r in records if r.experiment == run.experiment], known[run.notebook]) for run in runs]


def _estimate(run: Run, records: Sequence[Record], default_steps: float | None) -> Estimate:
    done = (run.folder / COMPLETE).is_file()
    timed = [(r, s) for r in records if (s := seconds_of(r)) is not None]
    own = [(r, s) for r, s in timed if (r.scale, r.run_id) == (run.scale, run.run_id)]
    alike = [(r, s) for r, s in timed if r.scale == run.scale]
    for found, basis in ((own, "its own record"), (alike, f"{len(alike)} runs alike")):
        if found:
            return Estimate(run, done, statistics.median(s for _, s in found), basis, _device(found[0][0]))
    steps = run.parameters.get(STEPS, default_steps)
    longer = [(r, s) for r, s in timed if "smoke" not in (run.scale, r.scale) and r.params.get(STEPS)]
    longer = [(r, s) for r, s in longer if "gpu" not in (run.scale, r.scale)]
    if steps and longer:
        rate = statistics.median(s / float(r.params[STEPS]) for r, s in longer)
        return Estimate(run, done, rate * float(steps), f"steps of {longer[0][0].scale}", _device(longer[0][0]))
    return Estimate(run, done, None, "nothing", "-")


def _device(record: Record) -> str:
    return str(record.environment.get("device", "-"))


def duration(seconds: float) -> str:
    """Seconds as a person says them: ``"40 s"``, ``"12 min"``, ``"3.5 h"``."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 90 * 60 else f"{seconds / 3600:.1f} h"
