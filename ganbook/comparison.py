"""Is one variant better than another, or was it the seed? Paired tests and the stability of a ranking.

Variants that were run with the same seeds share networks, latents and data order at the start, so they are compared
seed by seed: what the seeds have in common falls out of the differences.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from ganbook.errors import InputError, unknown_name
from ganbook.results import Record
from ganbook.tables import half_width, protocol_text, varied

# which end of a metric is the good one, by how its name begins or, for a classifier's word, ends
LESS = ("fd", "fid", "frechet", "kid", "mmd", "wasserstein", "sliced", "mse", "nll", "error", "loss")
MORE = ("accuracy", "precision", "recall", "density", "coverage", "inception_score", "is", "psnr", "ssim")

Values = dict[str, dict[int, float]]  # by variant, by seed


def better(metric: str) -> str:
    """``"less"`` or ``"more"``: which values of a metric are good, by its name; empty where the name does not say."""
    name = re.split(r"[(@\d]", metric.lower())[0].strip("_ ")
    if name.startswith(LESS):
        return "less"
    return "more" if name in MORE or name.endswith(("_accuracy", "_precision", "_recall")) else ""


def by_variant(records: Sequence[Record], metric: str) -> Values:
    """The values of one metric by variant and seed, variants in the order of the records.

    Raises:
        InputError: records of several experiments or scales, an unknown metric, values that were measured by different
            protocols, or a variant and seed that stand there twice.
    """
    places = sorted({f"{r.scale}/{r.experiment}" for r in records})
    if len(places) != 1:
        raise InputError(f"A comparison takes runs of one experiment at one scale, got {', '.join(places) or 'none'}.")
    measured = [r for r in records if metric in r.metrics]
    if not measured:
        raise unknown_name("metric", metric, {name for r in records for name in r.metrics})
    if len(protocols := {protocol_text(r.protocol) for r in measured}) > 1:
        raise InputError(
            f"{metric} of {places[0]} was measured in {len(protocols)} ways ({'; '.join(sorted(protocols))}), and such "
            "numbers cannot be compared. Measure all of them in one way."
        )
    names = varied(records)
    values: Values = {}
    for r in measured:
        seeds = values.setdefault(variant_name(r.params, names), {})
        seed = int(r.params.get("seed", 0))
        if seed in seeds:
            raise InputError(f"{places[0]} has two records of seed {seed} of one variant. Delete one: {r.folder}.")
        seeds[seed] = r.metrics[metric]
    return values


def variant_name(params: Mapping[str, Any], names: Sequence[str]) -> str:
    """The varied parameters as one line, e.g. ``"loss=hinge, norm=spectral"``."""
    return ", ".join(f"{name}={_plain(params.get(name))}" for name in names) or "default"


def paired(values: Values, baseline: str | None = None) -> pd.DataFrame:
    """Every variant against one of them, over the seeds that both have.

    Args:
        values: of `by_variant`.
        baseline: a variant; the first one if not given.

    Returns:
        One row a variant: ``variant``, ``n`` (common seeds), ``difference`` (its mean minus the baseline's), ``ci``
        (half the width of the 95% interval of the difference), ``t``, ``p`` (paired t-test, two-sided; Student, 1908)
        and ``p_holm`` (corrected for the number of variants; Holm, 1979). NaN below two common seeds.

    Raises:
        InputError: an unknown baseline.
    """
    from scipy.stats import ttest_rel

    base = baseline if baseline is not None else next(iter(values))
    if base not in values:
        raise unknown_name("variant", base, values)
    rows = []
    for variant, seeds in values.items():
        if variant == base:
            continue
        common = sorted(seeds.keys() & values[base].keys())
        ours, theirs = [seeds[s] for s in common], [values[base][s] for s in common]
        differences = [a - b for a, b in zip(ours, theirs, strict=True)]
        spread = len(common) > 1 and max(differences) > min(differences)
        test = ttest_rel(ours, theirs) if spread else None  # without spread t is no number, or infinite
        rows.append(
            {
                "variant": variant,
                "n": len(common),
                "difference": sum(differences) / len(common) if common else math.nan,
                "ci": half_width(differences),
                "t": float(test.statistic) if test is not None else math.nan,
                "p": float(test.pvalue) if test is not None else math.nan,
            }
        )
    table = pd.DataFrame(rows, columns=["variant", "n", "difference", "ci", "t", "p"])
    table["p_holm"] = holm(table["p"].tolist())
    return table


def holm(p: Sequence[float]) -> list[float]:
    """Holm's step-down correction: the smallest of m p-values times m, the next times m - 1, never falling.

    Args:
        p: probabilities in [0, 1]; those that are NaN stay so and do not count.
    """
    order = sorted((value, index) for index, value in enumerate(p) if not math.isnan(value))
    corrected = [math.nan] * len(p)
    largest = 0.0
    for rank, (value, index) in enumerate(order):
        largest = max(largest, min(1.0, (len(order) - rank) * value))
        corrected[index] = largest
    return corrected


def ranking(values: Values, metric: str) -> pd.DataFrame:
    """How stable the order of the variants is from seed to seed.

    Args:
        values: of `by_variant`; only seeds that every variant has are counted.
        metric: decides by its name which end is the good one; where the name does not say, large values come first.

    Returns:
        One row a variant, the best first: ``variant``, ``n`` (common seeds), ``mean_rank`` (1 is best, ties share),
        ``best`` and ``worst`` (rank over the seeds), ``first`` (share of the seeds at which no other is better).
        ``attrs["kendall_w"]`` is Kendall's coefficient of concordance: 1 where all seeds agree, 0 where they do not at
        all (Kendall and Babington Smith, 1939); NaN below two seeds or variants.
    """
    common = sorted(set.intersection(*(set(seeds) for seeds in values.values())))
    table = pd.DataFrame({variant: [seeds[s] for s in common] for variant, seeds in values.items()}, index=common)
    ranks = table.rank(axis=1, ascending=better(metric) == "less")
    lowest = table.rank(axis=1, ascending=better(metric) == "less", method="min")
    result = pd.DataFrame(
        {
            "variant": list(values),
            "n": len(common),
            "mean_rank": ranks.mean().tolist(),
            "best": ranks.min().tolist(),
            "worst": ranks.max().tolist(),
            "first": (lowest == 1).mean().tolist(),
        }
    )
    result = result.sort_values("mean_rank", kind="stable", ignore_index=True)
    result.attrs["kendall_w"] = concordance(ranks)
    return result


def concordance(ranks: pd.DataFrame) -> float:
    """Kendall's W of one row of ranks a seed, ties corrected for: 12 S / (m² (k³ - k) - m Σ T)."""
    m, k = ranks.shape
    if m < 2 or k < 2:
        return math.nan
    totals = ranks.sum()
    squares = float(((totals - totals.mean()) ** 2).sum())
    ties = sum(float((counts**3 - counts).sum()) for counts in (row.value_counts() for _, row in ranks.iterrows()))
    room = m * m * (k**3 - k) - m * ties
    return 12 * squares / room if room > 0 else math.nan


def _plain(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)
