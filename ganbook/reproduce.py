"""One recorded number, made again: what differs here from where it was made, the new run, and a verdict.

On the same processor, with the same versions, threads and code, a run with the same seed gives identical metrics. On
another machine sums are rounded otherwise; training amplifies that, and the result is another draw, like that of
another seed. So it is compared with the interval in which one more seed of the same variant is expected,
mean ± t s √(1 + 1/n). That interval is recorded with the result: ``ganbook results --tolerances`` writes it as
``tolerance.json`` into each record's folder. For a record without one it is computed from the records at hand.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ganbook.batch import load_experiments
from ganbook.errors import DataError, unknown_name
from ganbook.executed import write_whole
from ganbook.execution import run_notebook
from ganbook.notebooks import FOLDER_PARAMETER, parameters_of
from ganbook.provenance import machine
from ganbook.results import Record, read_record
from ganbook.sources import digest, sources

REPRODUCED = Path("runs/reproduced")
ROUNDING = 1e-9  # relative; what writing and reading a number in JSON may change
TOLERANCE = "tolerance.json"  # of a record: for each metric, between which values it counts as reproduced elsewhere
FEW = 0.1  # relative tolerance across machines where the record has no other seeds to tell the spread


@dataclass(frozen=True)
class Comparison:
    """One metric, recorded and made again."""

    metric: str
    recorded: float
    again: float
    low: float  # what counts as reproduced
    high: float

    @property
    def word(self) -> str:
        """``identical``, ``within tolerance`` or ``differs``."""
        if math.isclose(self.recorded, self.again, rel_tol=ROUNDING, abs_tol=ROUNDING):
            return "identical"
        return "within tolerance" if self.low <= self.again <= self.high else "differs"


def find(records: Sequence[Record], result_id: str) -> Record:
    """The record of that name, e.g. ``"cpu/gan_mnist/loss-hinge_seed-1"``.

    Raises:
        InputError: there is none; the nearest name is suggested.
    """
    by_id = {record.result_id: record for record in records}
    if result_id not in by_id:
        raise unknown_name("result", result_id, by_id)
    return by_id[result_id]


def notebook_of(record: Record) -> Path:
    """The notebook that made a record, as its certificate or else ``experiments.yml`` has it.

    Raises:
        DataError: neither knows one that exists.
    """
    named = record.certificate.get("notebook")
    if named is None and record.experiment in (experiments := load_experiments()):
        named = experiments[record.experiment].notebook
    if named is None or not Path(named).is_file():
        raise DataError(
            f"The notebook of {record.result_id} ({named or 'not recorded'}) is not here. Check out the commit that "
            f"made it ({record.environment.get('git_commit', 'not recorded')}) and run this again."
        )
    return Path(named)


def parameters_again(record: Record, notebook: Path) -> dict[str, Any]:
    """The recorded parameters, as far as the notebook takes them; its folder is another one now."""
    known = parameters_of(notebook)
    recorded = {**record.params, **record.certificate.get("parameters", {})}
    return {name: value for name, value in recorded.items() if name in known and name != FOLDER_PARAMETER}


def differences(record: Record, notebook: Path, here: Mapping[str, Any] | None = None) -> list[str]:
    """In what this machine and this checkout differ from those of a record, a line each; empty if in nothing known.

    Args:
        here: what `ganbook.provenance.machine` says; asked if not given.
    """
    here = machine() if here is None else here
    e, c = record.environment, record.certificate
    there = {**e, **c.get("machine", {})}
    lines = []
    if "sources" in c:
        if c["sources"] != digest(sources(notebook)):
            lines.append(f"code: the notebook, what it imports or its data changed since ({_commit(e)})")
    elif e.get("git_commit") != here.get("git_commit") or e.get("git_dirty") or here.get("git_dirty"):
        lines.append(f"code: recorded at {_commit(e)}, here {_commit(here)}")
    processor = str(there.get("cpu") or e.get("device", "")).removeprefix("cpu (").removesuffix(")")
    if processor and processor != here.get("cpu"):
        lines.append(f"processor: recorded on {processor}, here {here.get('cpu')}")
    for name in ("python", "platform", "driver", "lock_sha256"):
        if name in there and there[name] != here.get(name):
            lines.append(f"{name}: recorded {_short(there[name])}, here {_short(here.get(name))}")
    for name, number in there.get("versions", {}).items():
        if number != (now := here.get("versions", {}).get(name)):
            lines.append(f"{name}: recorded {number}, here {now or 'not installed'}")
    return lines


def how_to_restore(record: Record) -> str:
    """Commands that bring back the recorded code and versions."""
    commit = record.environment.get("git_commit")
    if not commit:
        return "The record names no commit, so its code cannot be checked out."
    changed = " (it had changes on top that were not committed)" if record.environment.get("git_dirty") else ""
    return (
        f"git worktree add ../at-{commit[:10]} {commit} && cd ../at-{commit[:10]} && "
        f"make book && .venv/bin/ganbook reproduce {record.result_id}{changed}"
    )


def run_again(record: Record, notebook: Path, folder: Path = REPRODUCED) -> Record:
    """Run the notebook with the recorded parameters, from the start, beside the other runs.

    Raises:
        IncompleteRunError: it did not come to its end.
    """
    place = folder / record.result_id
    threads = int(record.certificate.get("threads") or record.environment.get("threads") or 1)
    run_notebook(notebook, parameters_again(record, notebook), place, threads=threads)
    return read_record(place)


def compare(record: Record, again: Record, siblings: Sequence[Record], *, same_machine: bool) -> list[Comparison]:
    """Every recorded metric beside the new one.

    Args:
        record: the recorded run.
        again: the new one.
        siblings: all records; those of the same variant, other seeds, tell how far a result scatters.
        same_machine: then metrics must be identical.

    Raises:
        DataError: the new run lacks a metric that the record has, or the recorded tolerance is damaged.
    """
    found, recorded = [], {} if same_machine else recorded_tolerance(record)
    for metric, value in record.metrics.items():
        if metric not in again.metrics:
            raise DataError(f"The new run of {record.result_id} measured no {metric}; its code is another one.")
        if same_machine:
            low, high = value, value
        else:
            low, high = recorded.get(metric) or expected(record, siblings, metric)
        found.append(Comparison(metric, value, again.metrics[metric], low, high))
    return found


def expected(record: Record, siblings: Sequence[Record], metric: str) -> tuple[float, float]:
    """Where a result of the same variant with another seed is expected, with probability 95%; see the module."""
    from scipy.stats import t

    variant = _variant(record)
    group = [r for r in siblings if _variant(r) == variant and metric in r.metrics and r.protocol == record.protocol]
    values = [r.metrics[metric] for r in group]
    n = len(values)
    if n < 2:
        half = FEW * abs(record.metrics[metric])
        return record.metrics[metric] - half, record.metrics[metric] + half
    mean = sum(values) / n
    deviation = math.sqrt(sum((v - mean) ** 2 for v in values) / (n - 1))
    half = float(t.ppf(0.975, n - 1)) * deviation * math.sqrt(1 + 1 / n)
    return mean - half, mean + half


def record_tolerances(records: Sequence[Record]) -> list[Path]:
    """Write down beside each record what will count as reproduced on another machine; returns the files.

    Args:
        records: all of them: those of one variant tell from seed to seed how far its results scatter.

    Raises:
        DataError: a folder cannot be written.
    """
    files = []
    for record in records:
        bounds = {metric: expected(record, records, metric) for metric in record.metrics}
        files.append(record.folder / TOLERANCE)
        write_whole(files[-1], (json.dumps(bounds, indent=2) + "\n").encode())
    return files


def recorded_tolerance(record: Record) -> dict[str, tuple[float, float]]:
    """By metric, between which values a result counts as reproduced; empty where none was recorded.

    Raises:
        DataError: the file is damaged.
    """
    path = record.folder / TOLERANCE
    if not path.is_file():
        return {}
    try:
        found = {str(metric): (float(low), float(high)) for metric, (low, high) in json.loads(path.read_text()).items()}
    except (OSError, ValueError, TypeError, AttributeError) as error:
        raise DataError(
            f"{path} holds no tolerances ({error}). Restore it with git, or write it anew: `ganbook results "
            "--tolerances`."
        ) from None
    if wrong := [metric for metric, (low, high) in found.items() if not low <= high]:
        raise DataError(
            f"{path}: the bounds of {wrong[0]} are {found[wrong[0]]}, and the first must not be above the second. "
            "Write it anew: `ganbook results --tolerances`."
        )
    return found


def verdict(comparisons: Sequence[Comparison]) -> str:
    """The worst of the comparisons, in one sentence."""
    words = {c.word for c in comparisons}
    if "differs" in words:
        names = ", ".join(c.metric for c in comparisons if c.word == "differs")
        return f"NOT REPRODUCED: {names} differ{'s' if names.count(',') == 0 else ''} by more than the tolerance."
    if words <= {"identical"}:
        return "REPRODUCED: every metric is identical."
    return "REPRODUCED within the tolerance."


def _variant(record: Record) -> tuple[Any, ...]:
    params = sorted((name, repr(value)) for name, value in record.params.items() if name not in ("seed", "out"))
    return (record.scale, record.experiment, *params)


def _commit(origin: Mapping[str, Any]) -> str:
    return str(origin.get("git_commit") or "no commit")[:10] + (" with changes" if origin.get("git_dirty") else "")


def _short(value: Any) -> str:
    text = str(value)
    return text[:12] if len(text) == 64 else text
