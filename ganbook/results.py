"""Records of runs, read and checked.

A record is a run folder, or the small part of one that is committed under ``book/results``: ``params.json``,
``metrics.json`` (names to numbers, and under ``protocol`` how they were measured), ``environment.json``, and where
there are ``history.csv`` and ``samples.png``. ``run.json``, the certificate of a finished run, holds the digest of
each: a record that was changed afterwards is refused.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ganbook.errors import DataError
from ganbook.sources import digest

if TYPE_CHECKING:
    import pandas as pd

METRICS, PARAMS, ENVIRONMENT = "metrics.json", "params.json", "environment.json"
HISTORY, SAMPLES = "history.csv", "samples.png"
COMPLETE = "run.json"  # the certificate that a run came to its end
COMMITTED = (PARAMS, METRICS, ENVIRONMENT, HISTORY, SAMPLES)  # what of a run folder a committed record keeps
KEPT = Path(__file__).parent.parent / "book" / "results"  # the committed records


@dataclass(frozen=True)
class Record:
    """One finished run."""

    scale: str
    experiment: str
    run_id: str
    folder: Path
    params: Mapping[str, Any]
    metrics: Mapping[str, float]
    protocol: Mapping[str, Any]  # how the metrics were measured: two protocols never share a row
    environment: Mapping[str, Any]
    certificate: Mapping[str, Any] = field(default_factory=dict)  # run.json; empty for records older than it

    @property
    def result_id(self) -> str:
        """The name under which a result is quoted, e.g. ``"cpu/gan_mnist/loss-hinge_seed-1"``."""
        return f"{self.scale}/{self.experiment}/{self.run_id}"

    @property
    def samples(self) -> Path | None:
        """The sample sheet, where the run left one."""
        path = self.folder / SAMPLES
        return path if path.is_file() else None

    def history(self) -> pd.DataFrame:
        """Losses by step; empty where the run kept none.

        Raises:
            DataError: the file is damaged.
        """
        import pandas as pd  # slow to import: only where it is needed

        path = self.folder / HISTORY
        if not path.is_file():
            return pd.DataFrame()
        try:
            return pd.read_csv(path)
        except (ValueError, OSError) as error:
            raise _damaged(path, str(error)) from None


def read_record(folder: Path) -> Record:
    """The record of one run folder, whose path ends in ``<scale>/<experiment>/<run_id>``.

    Raises:
        DataError: a file is missing or damaged; names it and says how to get it back.
    """
    scale, experiment, run_id = folder.parts[-3:]
    metrics = _read_json(folder / METRICS)
    protocol = metrics.pop("protocol", {})
    if not isinstance(protocol, dict):
        raise _damaged(folder / METRICS, f"'protocol' must be an object, got {protocol!r}")
    for name, value in metrics.items():
        if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
            raise _damaged(folder / METRICS, f"metric {name!r} must be a finite number, got {value!r}")
    metrics = {name: float(value) for name, value in metrics.items()}  # counts are written as whole numbers
    params, environment = _read_json(folder / PARAMS), _read_json(folder / ENVIRONMENT)
    certificate = _read_json(folder / COMPLETE) if (folder / COMPLETE).is_file() else {}
    digests = certificate.get("record", {})
    if not isinstance(digests, dict):
        raise _damaged(folder / COMPLETE, f"'record' must be an object, got {digests!r}")
    for name, recorded in digests.items():
        if not (folder / name).is_file() or digest([folder / name]) != recorded:
            raise _damaged(folder / name, f"it is not what the run wrote, as {COMPLETE} has it")
    return Record(scale, experiment, run_id, folder, params, metrics, protocol, environment, certificate)


def read_records(*roots: Path) -> list[Record]:
    """Every record under some roots; of two under the same name, the one of the later root counts.

    Args:
        roots: folders with records at ``<scale>/<experiment>/<run_id>``; those that do not exist hold none.

    Raises:
        DataError: any record is damaged, or two of the same name contradict each other.
    """
    found: dict[str, Record] = {}
    for root in roots:
        for file in sorted(root.glob(f"*/*/*/{METRICS}")):
            record = read_record(file.parent)
            if record.result_id in found:
                refuse_contradiction(found[record.result_id], record)
            found[record.result_id] = record
    return [found[key] for key in sorted(found)]


def kept_records(experiment: str, scale: str = "cpu-long", *, root: Path = KEPT) -> list[Record]:
    """The committed records of an experiment at one scale, by name; none where nothing has been run yet.

    Args:
        experiment: as in ``notebooks/experiments.yml``.
        scale: as there.
        root: of the records.

    Raises:
        DataError: one of them is damaged.
    """
    folders = [file.parent for file in root.glob(f"{scale}/{experiment}/*/{METRICS}")]
    return sorted((read_record(folder) for folder in folders), key=lambda record: record.result_id)


def refuse_contradiction(one: Record, other: Record) -> None:
    """Two records of one name may differ if code, parameters, versions or device did; if none did, one is wrong.

    Raises:
        DataError: names both and what to do.
    """
    if one.metrics == other.metrics or _origin(one) is None or _origin(one) != _origin(other):
        return
    names = [n for n in {**one.metrics, **other.metrics} if one.metrics.get(n) != other.metrics.get(n)]
    differ = ", ".join(f"{n} {one.metrics.get(n)} and {other.metrics.get(n)}" for n in names)
    raise DataError(
        f"{one.folder} and {other.folder} both claim to be {one.result_id}, from the same code, parameters and device, "
        f"and differ: {differ}. Find out which is right with `ganbook reproduce {one.result_id}`, and delete the other."
    )


def _origin(record: Record) -> tuple[str, ...] | None:
    """What determines a result; None where the record does not say which code it came from."""
    e, c = record.environment, record.certificate
    code = c.get("sources") or (None if e.get("git_dirty") is not False else e.get("git_commit"))
    if not code:
        return None
    same = (c.get("parameters", record.params), e.get("versions"), e.get("device"), e.get("threads"))
    return (str(code), *(json.dumps(part, sort_keys=True) for part in same))


def _read_json(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise _damaged(path, "it is missing") from None
    except (ValueError, OSError) as error:
        raise _damaged(path, str(error)) from None
    if not isinstance(content, dict):
        raise _damaged(path, f"it must hold an object, got {type(content).__name__}")
    return content


def _damaged(path: Path, problem: str) -> DataError:
    return DataError(
        f"{path} is not a usable record: {problem}. Delete the folder {path.parent} and run it again "
        "(`make experiments`), or restore it with git if it is committed."
    )
