"""The page "The thesis, revisited": what it reports beside what our records say, and what of the two compares.

The thesis' side is ``book/thesis.yml``; ours is read from records, and a row without records is pending.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from book.tools import gallery
from book.tools.pages import SCALE_TITLES
from ganbook.batch import RUNS, Run
from ganbook.errors import DataError
from ganbook.results import METRICS, Record, read_record
from ganbook.tables import half_width, protocol_text, with_spread

Staged = dict[str, Callable[[], bytes]]
Records = Mapping[tuple[str, str], list[Record]]  # by scale and experiment
THESIS = "thesis.yml"  # under book/
PAGE = "results/thesis.md"
SCALES = ("cpu", "cpu-long", "gpu")
DISTANCES = ("fid", "fd")
EXTRA = ("recall", "ms_ssim")  # shown beside the distance
NO_TRAINING = "–"


@dataclass(frozen=True)
class Row:
    """One thing that the thesis reports."""

    name: str  # of the source's row: S4.9
    asks: str
    place: str  # section and figure of the thesis
    says: str
    experiment: str
    variant: str
    fid: float | None = None
    where: Mapping[str, Any] = field(default_factory=dict)  # parameters that a run must have


def read_thesis(path: Path) -> tuple[str, list[Row]]:
    """The source's title and its rows.

    Raises:
        DataError: the file does not say what it must; names the row.
    """
    content = yaml.safe_load(path.read_text(encoding="utf-8"))
    rows = []
    for name, entry in content["rows"].items():
        try:
            rows.append(Row(name=name, **entry))
        except TypeError as error:
            raise DataError(f"{path}, row {name}: {error}. The fields are those of book.tools.thesis.Row.") from None
    return str(content["source"]), rows


def pages(runs: Sequence[Run], *, local: Path, committed: Path, thesis: Path) -> Staged:
    """The page and the sample sheets that it shows.

    Args:
        runs: all runs of any scale that may answer.
        local: run folders of this machine; they count before committed ones.
        committed: records kept in git.
        thesis: the data file.
    """
    source, rows = read_thesis(thesis)
    wanted = {row.experiment for row in rows}
    records: dict[tuple[str, str], list[Record]] = {}
    for run in runs:
        if run.experiment in wanted and (record := _record(run, local, committed)) is not None:
            records.setdefault((run.scale, run.experiment), []).append(record)
    staged: Staged = {}
    sections = [_head(source), _table(rows, records, runs), _compares(rows, records), *_sheets(rows, records, staged)]
    staged[PAGE] = "\n".join([*sections, ""]).encode
    return staged


def answers(row: Row, records: Sequence[Record]) -> list[tuple[Record, dict[str, float]]]:
    """The records that answer a row, each with its metrics under plain names.

    A run of several variants has them as ``recall@variant``.
    """
    found = []
    for record in records:
        if any(record.params.get(name) != value for name, value in row.where.items()):
            continue
        variants = str(record.params.get("variant", ""))
        suffix = f"@{row.variant}"
        named = {m.removesuffix(suffix): v for m, v in record.metrics.items() if row.variant and m.endswith(suffix)}
        if variants == row.variant:
            found.append((record, dict(record.metrics)))
        elif named:
            found.append((record, named))
    return found


def _record(run: Run, local: Path, committed: Path) -> Record | None:
    """The record of a run, made with the parameters that are declared now."""
    folder = run.folder.relative_to(RUNS)
    for root in (local, committed):
        if (root / folder / METRICS).is_file():
            record = read_record(root / folder)
            same = all(record.params.get(name, value) == value for name, value in run.parameters.items())
            return record if same else None
    return None


def _head(source: str) -> str:
    return f"""# The thesis, revisited

One of the texts that this book answers is *{source}*. Below, what it reports stands beside what our runs measured of
the same thing; the rows have their names from [Sources](../sources.md). Its figures are quoted with their section and
figure there; ours were read from records when this page was built, as mean ± half of Student's 95% interval over seeds
([how to read the names](index.md)). What has not been run is *pending*: nothing stands in for it. Small distances are
good, a high recall too; a high MS-SSIM means that the samples resemble each other.

*Before this:* [evaluation](../theory/12_evaluation.ipynb), which says what such figures are worth.
"""


def planned(row: Row, scale: str, runs: Sequence[Run]) -> bool:
    """Whether a run of a scale will answer a row; what a run leaves to its notebook's defaults may be what is asked."""
    for run in runs:
        if (run.scale, run.experiment) != (scale, row.experiment):
            continue
        names = str(run.parameters.get("variant", row.variant)).split(",")
        fits = all(run.parameters.get(name, value) == value for name, value in row.where.items())
        if fits and (row.variant in names or names == ["all"]):
            return True
    return False


def _table(rows: Sequence[Row], records: Records, runs: Sequence[Run]) -> str:
    lines = []
    for row in rows:
        cells = [_cell(row, scale, records, runs) for scale in SCALES]
        asks = f"[{row.asks}]({row.experiment}.md)"
        lines.append([row.name, asks, f"{row.says} ({row.place})", *cells])
    head = ["row", "what", "the thesis", *(f"ours, {SCALE_TITLES[scale]}" for scale in SCALES)]
    return f"## Side by side\n\n{gallery.table(head, lines)}\n"


def _cell(row: Row, scale: str, records: Records, runs: Sequence[Run]) -> str:
    found = answers(row, records.get((scale, row.experiment), []))
    if not found:
        return "*pending*" if planned(row, scale, runs) else "not planned"
    parts = []
    metrics = [values for _, values in found]
    names = dict.fromkeys(name for values in metrics for name in values)
    for name in [*(n for n in names if n.startswith(DISTANCES)), *(n for n in EXTRA if n in names)]:
        values = [v[name] for v in metrics if name in v]
        parts.append(f"{name.replace('_', ' ')} {with_spread(sum(values) / len(values), half_width(values))}")
    link = f"[{len(found)} seed{'s' if len(found) > 1 else ''}]({row.experiment}-runs.md)"
    return "; ".join([*parts, link, _cost([record for record, _ in found])])


def _cost(records: Sequence[Record]) -> str:
    """Wall clock and energy of a run: of one with several variants, of all of them together."""
    seconds = [s for r in records if isinstance(s := r.environment.get("train_seconds"), int | float)]
    hours = [h for r in records if (h := r.certificate.get("energy", {}).get("watt_hours")) is not None]
    together = any(r.params.get("variant") == "all" or "," in str(r.params.get("variant", "")) for r in records)
    parts = [gallery.seconds(sum(seconds) / len(seconds)) if seconds else NO_TRAINING]
    if hours:
        parts.append(f"{sum(hours) / len(hours):.2g} Wh")
    return f"{', '.join(parts)} a run" + (", all variants together" if together else "")


def _compares(rows: Sequence[Row], records: Records) -> str:
    protocols: dict[str, list[str]] = {}
    for (scale, experiment), found in sorted(records.items()):
        for record in found:
            text = protocol_text(record.protocol)
            place = f"{experiment} ({scale})"
            if text and place not in protocols.setdefault(text, []):
                protocols[text].append(place)
    lines = [f"- {', '.join(places)}: {text}." for text, places in protocols.items()] or ["- *No record yet.*"]
    figures = [row for row in rows if row.fid is not None]
    numbers = ", ".join(f"{row.fid:g} ({row.name})" for row in figures)
    verdicts = [_verdict(row, records) for row in figures]
    return "\n".join(
        [
            "## What does not compare",
            "",
            f"The thesis gives two numbers, {numbers}. It does not say how many samples were measured, against which",
            "pictures, how they were cropped and scaled, or which implementation computed the distance (it names the",
            "importance of using the official one). Each of these moves an FID, some by more than what lies between",
            "two good networks ([the chapter on evaluation](../theory/12_evaluation.ipynb)). So:",
            "",
            "- **A judge's distance is no FID.** At the scales `cpu` and `cpu-long` the pictures are emoji, and",
            "  distances are taken in the features of a small classifier of emoji. These numbers share the formula",
            "  with the thesis' and nothing else, and must not be set against them.",
            "- **Faces at scale `gpu`** are the thesis' data set, and the features are those of FID. The crop, the",
            "  pictures that are compared with and the number of samples stand below; the thesis' are unknown.",
            "- **Samples bias an FID upwards**, the more the fewer they are. Two values compare at equal numbers only.",
            "- **One run is one seed.** The thesis' figures are single runs, and have no interval.",
            "",
            *verdicts,
            "",
            "How each of ours was measured:",
            "",
            *lines,
            "",
        ]
    )


def _verdict(row: Row, records: Records) -> str:
    """Whether the project's bar for one figure is met: a third of it, on faces, at scale gpu."""
    found = answers(row, records.get(("gpu", row.experiment), []))
    values = [v for _, metrics in found for name, v in metrics.items() if name.startswith("fid")]
    bar = (row.fid or 0.0) / 3
    if not values:
        return f"- {row.name}: our bar is a third of the figure, {bar:.1f}. *Pending*: no run on faces has been made."
    mean = sum(values) / len(values)
    word = "met" if mean <= bar else f"missed by {mean - bar:.1f}"
    return f"- {row.name}: our bar is a third of the figure, {bar:.1f}; we have {mean:.1f}: **{word}**."


def _sheets(rows: Sequence[Row], records: Records, staged: Staged) -> list[str]:
    """The sample sheet of each answered row, of the largest scale that has one; rows that share a run share it."""
    lines = ["## Samples, side by side", ""]
    shown: set[str] = set()
    for row in rows:
        for scale in reversed(SCALES):
            found = [r for r, _ in answers(row, records.get((scale, row.experiment), [])) if r.samples is not None]
            if not found:
                continue
            record = found[0]
            if record.result_id not in shown:
                shown.add(record.result_id)
                name = f"thesis-{gallery.sheet_name(record)}"
                staged[f"results/{name}"] = record.samples.read_bytes  # type: ignore[union-attr]  # found has them
                names = str(record.params.get("variant", ""))
                what = f"{row.experiment}, {scale}" + (f", variants {names}" if names else "")
                lines += [
                    f"```{{figure}} {name}",
                    f":alt: Sheet of generated samples of {what}.",
                    ":class: sample-sheet",
                    f"{row.name}, {row.asks}: {what}, not selected. Of several variants, each has a row, in the order",
                    "of its notebook.",
                    "```",
                    "",
                ]
            break
    return lines if shown else [*lines, "*No samples yet.*"]
