"""The record of a run whose notebook trains by itself: the same files as `ganbook.experiment.Run` leaves.

`Run` knows a GAN's configuration. A notebook that trains autoencoders, or several models to compare, calls
`write_record` with what it has.
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from PIL import Image

from ganbook.checkpoint import write_atomically
from ganbook.experiment import PARAMS, write_json


def folder_for(name: str, parameters: Mapping[str, Any]) -> Path:
    """Where a notebook's run goes that was told no folder: ``runs/adhoc/NAME/HASH``, one for each set of parameters.

    The environment variable ``GANBOOK_RUNS`` names another place than the repository's ``runs``.
    """
    runs = Path(os.environ.get("GANBOOK_RUNS") or Path(__file__).parent.parent / "runs")
    digest = hashlib.sha256(json.dumps(dict(parameters), sort_keys=True).encode()).hexdigest()
    return runs / "adhoc" / name / digest[:8]


def write_record(
    folder: str | Path,
    *,
    parameters: Mapping[str, Any],
    rows: Sequence[Mapping[str, Any]],
    metrics: Mapping[str, Any],
    environment: Mapping[str, Any],
    train_seconds: float,
    sheet: Image.Image | None = None,
) -> None:
    """Write ``params.json``, ``history.csv``, ``samples.png``, ``environment.json``, and last ``metrics.json``.

    Args:
        folder: made if absent.
        parameters: all of them, defaults included.
        rows: the history; columns in the order in which they first appear, numbers to six digits.
        metrics: names to finite numbers, and under ``protocol`` how they were measured.
        environment: of `ganbook.experiment.environment`.
        train_seconds: of all training together.
        sheet: of samples.

    Raises:
        DataError: the folder cannot be written.
    """
    folder = Path(folder)
    write_json(folder / PARAMS, dict(parameters))
    columns = list(dict.fromkeys(name for row in rows for name in row))
    text = io.StringIO()
    writer = csv.DictWriter(text, fieldnames=columns, lineterminator="\n")
    writer.writeheader()
    for row in rows:
        writer.writerow({k: f"{v:.6g}" if isinstance(v, float) else v for k, v in row.items()})
    write_atomically(folder / "history.csv", text.getvalue().encode())
    if sheet is not None:
        picture = io.BytesIO()
        sheet.save(picture, format="png", optimize=True)
        write_atomically(folder / "samples.png", picture.getvalue())
    write_json(folder / "environment.json", {**environment, "train_seconds": round(train_seconds, 2)})
    write_json(folder / "metrics.json", dict(metrics))
