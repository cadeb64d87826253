"""Many records as one table: one row a run, or one row a variant with mean and spread over its seeds."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import pandas as pd

from ganbook.errors import InputError
from ganbook.results import Record


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
    """Names of the parameters, ``seed`` aside, in which some of the runs differ.

    A record that lacks a parameter is older than it and differs from nobody by that.
    """
    names = list(dict.fromkeys(name for r in records for name in r.params if name not in ("seed", "out")))
    return [n for n in names if len({json.dumps(r.params[n], sort_keys=True) for r in records if n in r.params}) > 1]


def summary(records: Sequence[Record]) -> pd.DataFrame:
    """Mean, spread and 95% interval of every metric over the seeds of each variant.

    One row for each scale, set of varied parameters and protocol: numbers that were measured differently are never
    averaged. The columns are ``scale``, the varied parameters, ``protocol``, ``n`` (seeds), and for each metric
    ``<name>`` (mean), ``<name>_std`` (sample standard deviation) and ``<name>_ci`` (half the width of Student's 95%
    interval of the mean); both are NaN where there is one seed only.

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
            row[metric], row[f"{metric}_std"], row[f"{metric}_ci"] = (
                values.mean(),
                values.std(ddof=1),
                half_width(values),
            )
        rows.append(row)
    return pd.DataFrame(rows)


def half_width(values: Sequence[float] | pd.Series[float], level: float = 0.95) -> float:
    """Half the width of Student's interval of the mean, t(n - 1) · s / √n; NaN below two values.

    It takes the values as draws from one normal distribution. With two or three seeds it is wide, and rightly so:
    t(1) is 12.7 and t(2) is 4.3.

    Args:
        values: one a seed.
        level: probability that the interval holds the mean.
    """
    from scipy.special import stdtrit  # Student's quantile; scipy.stats has it too and takes a second to import

    n = len(values)
    if n < 2:
        return math.nan
    return float(stdtrit(n - 1, (1 + level) / 2) * pd.Series(values, dtype=float).std(ddof=1) / math.sqrt(n))


def formatted(table: pd.DataFrame) -> pd.DataFrame:
    """A `summary` with each metric in one column of text, mean ± half the 95% interval."""
    text = table.copy()
    for metric in metrics_of(table):
        spread = text.pop(f"{metric}_ci")
        del text[f"{metric}_std"]
        text[metric] = [with_spread(mean, half) for mean, half in zip(text[metric], spread, strict=True)]
    return text


def metrics_of(table: pd.DataFrame) -> list[str]:
    """The metrics of a `summary`, in its order."""
    return [column for column in table.columns if f"{column}_std" in table.columns]


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
