"""Numbers that carry how they were measured, and tables that refuse to mix what cannot be compared."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from importlib.metadata import version
from typing import Any, Literal

import pandas as pd

from ganbook.errors import InputError

INCEPTION = "inception-2015-12-05"


@dataclass(frozen=True)
class Protocol:
    """Everything besides the generator that a metric's value depends on."""

    dataset: str  # of the real pictures, e.g. "celeba"
    split: str
    preprocessing: str  # crop and resize in words, e.g. "crop 178, Pillow bicubic to 64 px"
    data_sha256: str
    n_real: int
    n_fake: int
    extractor: str  # name of the feature network
    extractor_sha256: str  # of its weights
    labels: str = "as they come"  # how the classes of conditional samples were drawn
    dtype: str = "float32 features, float64 statistics"
    version: str = version("ganbook")  # of this library

    def __str__(self) -> str:
        return (
            f"{self.dataset} {self.split} ({self.preprocessing}), {self.n_real:,} real and {self.n_fake:,} fake, "
            f"labels {self.labels}, {self.extractor} {self.extractor_sha256[:8]}, {self.dtype}, ganbook {self.version}"
        )

    def differences(self, other: Protocol) -> dict[str, tuple[Any, Any]]:
        """The fields in which two protocols differ so that their values are not comparable; versions may differ."""
        pairs = {f.name: (getattr(self, f.name), getattr(other, f.name)) for f in fields(self)}
        return {name: pair for name, pair in pairs.items() if pair[0] != pair[1] and name != "version"}


@dataclass(frozen=True)
class Value:
    """One measured number."""

    name: str  # with n and, unless it is Inception, the extractor: "fid10k", "fd5k(mnist-judge)"
    value: float
    of: str  # what was measured: a run, a folder
    protocol: Protocol
    low: float | None = None  # ends of the 95% interval, where there is one
    high: float | None = None
    about: str = ""  # what a reader should know to read the number

    def __str__(self) -> str:
        interval = "" if self.low is None or self.high is None else f" [{self.low:.4g}, {self.high:.4g}]"
        return f"{self.name} {self.value:.4g}{interval}: {self.protocol}"

    def as_dict(self) -> dict[str, Any]:
        """For JSON; the protocol comes along."""
        return asdict(self)


def metric_name(metric: str, n: int, extractor: str) -> str:
    """The name that a metric's value is printed under, `fid10k` or `fd5k(mnist-judge)`.

    Args:
        metric: ``frechet``, ``kid``, or any other metric's own name.
        n: number of fakes.
        extractor: only `INCEPTION` makes a Fréchet distance an FID and a kernel distance a KID.
    """
    inception = extractor == INCEPTION
    short = {"frechet": "fid" if inception else "fd", "kid": "kid" if inception else "kd"}.get(metric, metric)
    count = f"{n // 1000}k" if n % 1000 == 0 and n else str(n)
    return f"{short}{count}" + ("" if inception else f"({extractor})")


def table(values: Sequence[Value], *, mixed: Literal["refuse", "mark"] = "refuse") -> pd.DataFrame:
    """What was measured in rows, metrics in columns; a column holds values of one protocol.

    Args:
        values: any number of them.
        mixed: values of one metric under different protocols are refused, or their rows get a column ``protocol`` with
            a letter each; the letters' meaning is in the table's ``attrs["protocols"]``.

    Raises:
        InputError: protocols differ and ``mixed`` is ``"refuse"``; the message names the fields. Or two values claim
            the same cell.
    """
    rows: list[dict[str, Value]] = []
    for value in values:
        _place(value, rows)
    letters: list[dict[str, Value]] = []  # for each letter the first row that had it
    marks = []
    unlike: dict[str, tuple[Any, Any]] = {}
    for row in rows:
        differences = [_differences(first, row) for first in letters]
        mark = next((i for i, found in enumerate(differences) if not found), len(letters))
        if mark == len(letters):
            unlike |= differences[0] if differences else {}
            letters.append(row)
        marks.append(chr(ord("A") + mark))
    if unlike and mixed == "refuse":
        fields_ = "; ".join(f"{name}: {a} and {b}" for name, (a, b) in unlike.items())
        raise InputError(
            f"These values were measured under different protocols and must not stand in one table ({fields_}). "
            f"Measure them alike, or mark them: table(values, mixed='mark')."
        )
    cells = [
        {"of": next(iter(row.values())).of, "protocol": mark, **{name: value.value for name, value in row.items()}}
        for row, mark in zip(rows, marks, strict=True)
    ]
    frame = pd.DataFrame(cells)
    frame.attrs["protocols"] = {
        chr(ord("A") + i): {name: str(value.protocol) for name, value in row.items()} for i, row in enumerate(letters)
    }
    return frame if unlike else frame.drop(columns="protocol", errors="ignore")


def _place(value: Value, rows: list[dict[str, Value]]) -> None:
    """Put a value into the row of what it is of; a second one under another protocol gets a row of its own."""
    for row in rows:
        if next(iter(row.values())).of != value.of:
            continue
        there = row.get(value.name)
        if there is None:
            row[value.name] = value
            return
        if not there.protocol.differences(value.protocol):
            if there.value != value.value:
                raise InputError(
                    f"Two values claim to be {value.name} of {value.of}: {there.value:.6g} and {value.value:.6g}. Give "
                    f"what was measured names that differ."
                )
            return
    rows.append({value.name: value})


def _differences(a: dict[str, Value], b: dict[str, Value]) -> dict[str, tuple[Any, Any]]:
    """In which fields the protocols of two rows differ, in any metric that both have."""
    found: dict[str, tuple[Any, Any]] = {}
    for name in a.keys() & b.keys():
        found |= a[name].protocol.differences(b[name].protocol)
    return found
