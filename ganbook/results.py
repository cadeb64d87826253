"""Many runs as one table: run folders and committed records read, checked and summarised.

A record is a run folder, or the small part of one that is committed under ``book/results``: ``params.json``,
``metrics.json`` (names to numbers, and under ``protocol`` how they were measured), ``environment.json``, and where
there are ``history.csv`` and ``samples.png``.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from ganbook.errors import DataError, InputError

METRICS, PARAMS, ENVIRONMENT = "metrics.json", "params.json", "environment.json"
HISTORY, SAMPLES = "history.csv", "samples.png"
COMMITTED = (PARAMS, METRICS, ENVIRONMENT, HISTORY, SAMPLES)  # what of a run folder a committed record keeps


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
    params, environment = _read_json(folder / PARAMS), _read_json(folder / ENVIRONMENT)
    return Record(scale, experiment, run_id, folder, params, metrics, protocol, environment)


def read_records(*roots: Path) -> list[Record]:
    """Every record under some roots; of two under the same name, the one of the later root counts.

    Args:
        roots: folders with records at ``<scale>/<experiment>/<run_id>``; those that do not exist hold none.

    Raises:
        DataError: any record is damaged.
    """
    found: dict[tuple[str, ...], Path] = {}
    for root in roots:
        for file in sorted(root.glob(f"*/*/*/{METRICS}")):
            found[file.parent.relative_to(root).parts] = file.parent
    return [read_record(found[key]) for key in sorted(found)]


def runs_table(records: Iterable[Record]) -> pd.DataFrame:
    """One row a run; two column levels: ``run``, ``params``, ``metrics``, ``protocol``, ``environment``.

    ``table["metrics"]["accuracy"]`` is then one column over all runs.
    """
    rows = []
    for r in records:
        groups: dict[str, Mapping[str, Any]] = {
            "run": {"scale": r.scale, "experiment": r.experiment, "run_id": r.run_id},
            "params": r.params,
            "metrics": r.metrics,
            "protocol": r.protocol,
            "environment": {k: v for k, v in r.environment.items() if not isinstance(v, dict | list)},
        }
        rows.append({(group, name): value for group, values in groups.items() for name, value in values.items()})
    columns = list(dict.fromkeys(key for row in rows for key in row))
    columns.sort(key=lambda key: ("run", "params", "metrics", "protocol", "environment").index(key[0]))
    return pd.DataFrame([[row.get(key) for key in columns] for row in rows], columns=pd.MultiIndex.from_tuples(columns))


def varied(records: Sequence[Record]) -> list[str]:
    """Names of the parameters, ``seed`` aside, in which some of the runs differ."""
    names = list(dict.fromkeys(name for r in records for name in r.params if name not in ("seed", "out")))
    return [n for n in names if len({json.dumps(r.params.get(n), sort_keys=True) for r in records}) > 1]


def summary(records: Sequence[Record]) -> pd.DataFrame:
    """Mean and sample standard deviation of every metric over the seeds of each variant.

    One row for each scale, set of varied parameters and protocol: numbers that were measured differently are never
    averaged. The columns are ``scale``, the varied parameters, ``protocol``, ``n`` (seeds), and for each metric
    ``<name>`` (mean) and ``<name>_std`` (NaN where there is one seed only).

    Args:
        records: of one experiment.

    Raises:
        InputError: records of several experiments, or two of the same variant and seed.
    """
    if len({r.experiment for r in records}) > 1:
        raise InputError(f"A summary compares runs of one experiment, got {sorted({r.experiment for r in records})}.")
    names = varied(records)
    groups: dict[tuple[str, ...], list[Record]] = {}
    for r in records:
        variant = tuple(json.dumps(r.params.get(name)) for name in names)
        groups.setdefault((r.scale, *variant, json.dumps(r.protocol, sort_keys=True)), []).append(r)
    rows = []
    for group in groups.values():
        first = group[0]
        seeds = [r.params.get("seed") for r in group]
        if len(set(seeds)) < len(seeds):
            raise InputError(
                f"{first.experiment} has two records of the same variant and seed: {[str(r.folder) for r in group]}. "
                "Delete one."
            )
        row: dict[str, Any] = {"scale": first.scale} | {name: first.params.get(name) for name in names}
        row |= {"protocol": protocol_text(first.protocol), "n": len(group)}
        for metric in dict.fromkeys(name for r in group for name in r.metrics):
            values = pd.Series([r.metrics[metric] for r in group if metric in r.metrics], dtype=float)
            row[metric], row[f"{metric}_std"] = values.mean(), values.std(ddof=1)
        rows.append(row)
    return pd.DataFrame(rows)


def protocol_text(protocol: Mapping[str, Any]) -> str:
    """A protocol as one line, e.g. ``"extractor: mnist-judge, n_fake: 5000"``; of digests the first twelve digits."""
    shown = {name: value[:12] if name.endswith("sha256") else value for name, value in protocol.items()}
    return ", ".join(f"{name} {value}" for name, value in sorted(shown.items()))


def with_spread(mean: float, std: float) -> str:
    """``mean ± std`` to the digit that the spread supports; the mean alone where there is one seed only."""
    if math.isnan(mean):
        return "–"
    if math.isnan(std):
        return f"{mean:.4g}"
    if std == 0:
        return f"{mean:.4g} ± 0"
    digits = min(6, max(0, 1 - math.floor(math.log10(std))))
    return f"{mean:.{digits}f} ± {std:.{digits}f}"


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
