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
    dtype: str = "float32 features, float64 statistics"
    version: str = version("ganbook")  # of this library

    def __str__(self) -> str:
        return (
            f"{self.dataset} {self.split} ({self.preprocessing}), {self.n_real:,} real and {self.n_fake:,} fake, "
            f"{self.extractor} {self.extractor_sha256[:8]}, {self.dtype}, ganbook {self.version}"
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
    """What was measured in rows, metrics in columns.

    Args:
        values: any number of them.
        mixed: values of different protocols are refused, or get a column ``protocol`` with a letter each; the
            letters' meaning is in the table's ``attrs["protocols"]``.

    Raises:
        InputError: protocols differ and ``mixed`` is ``"refuse"``; the message names the fields.
    """
    protocols = list(dict.fromkeys(value.protocol for value in values))
    first = protocols[0] if protocols else None
    unlike = {name: pair for p in protocols[1:] if first for name, pair in first.differences(p).items()}
    if unlike and mixed == "refuse":
        fields_ = "; ".join(f"{name}: {a} and {b}" for name, (a, b) in unlike.items())
        raise InputError(
            f"These values were measured under different protocols and must not stand in one table ({fields_}). "
            f"Measure them alike, or mark them: table(values, mixed='mark')."
        )
    letters: dict[Protocol, str] = {}
    for protocol in protocols:
        same = next((letter for known, letter in letters.items() if not known.differences(protocol)), None)
        letters[protocol] = same or chr(ord("A") + len(set(letters.values())))
    rows: dict[tuple[str, str], dict[str, float]] = {}
    for value in values:
        rows.setdefault((value.of, letters[value.protocol]), {})[value.name] = value.value
    frame = pd.DataFrame([{"of": of, "protocol": letter, **cells} for (of, letter), cells in rows.items()])
    frame.attrs["protocols"] = {letter: str(protocol) for protocol, letter in letters.items()}
    return frame if unlike else frame.drop(columns="protocol", errors="ignore")
