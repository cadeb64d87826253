"""When each notebook ran, how long, on what and with which versions; and how to get each number again."""

from __future__ import annotations

import html
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from book.tools import gallery
from ganbook.batch import RUNS, Run
from ganbook.progress import progress
from ganbook.results import COMPLETE, METRICS, Record, read_record

Staged = dict[str, Callable[[], bytes]]
ALIKE = ("threads", "machine", "python", "torch")  # said once where all runs agree
NUMBERS = 3  # of a run, beside the command that gets all of them again


def pages(runs: Sequence[Run], shown: Sequence[Run], *, local: Path, committed: Path) -> Staged:
    """The execution-status page and the reproducibility page.

    Args:
        runs: all that this book is made of.
        shown: all runs of any scale whose record a page may show.
        local: run folders of this machine.
        committed: records kept in git.
    """
    return {
        "results/status.md": _status(runs).encode,
        "results/reproduce.md": _reproduce(runs, _records(shown, local, committed)).encode,
    }


def _status(runs: Sequence[Run]) -> str:
    rows = [_status_row(run) for run in runs]
    head = ["notebook", "run", "state", "started (UTC)", "took", "energy", "threads", "machine"]
    head += ["python", "torch", "code"]
    columns = {name: values for name, *values in zip(head, *rows, strict=True)}
    same = {name: columns[name][0] for name in ALIKE if len({*columns[name], "–"}) == 2 and "–" not in columns[name]}
    rows = [[cell for name, cell in zip(head, row, strict=True) if name not in same] for row in rows]
    shared = f"All of them: {', '.join(f'{name} {value}' for name, value in same.items())}.\n\n" if same else ""
    head = [name for name in head if name not in same]
    done = sum((run.folder / COMPLETE).is_file() for run in runs)
    return f"""# Execution status

{done} of the {len(runs)} notebook runs that this book is made of came to their end on the machine that built it. A run
is done when every code cell ran, no exception was raised and the record was written; papermill's own word is not taken
for it. Click on a head to sort.

{shared}{gallery.sortable(head, rows)}

Energy is measured where the processor's counters may be read, else estimated as 10 W for each busy core. *Code* is the
digest of the notebook, of the modules of `ganbook` that it imports and of its data: when it changes, the run is made
again.
"""


def _status_row(run: Run) -> list[str]:
    c = _certificate(run.folder)
    m = c.get("machine", {})
    energy = c.get("energy", {}).get("watt_hours")
    return [
        _link(run),
        f"`{run.run_id}`",
        progress(run.folder).word,
        str(c.get("started", "–"))[:16].replace("T", " "),
        gallery.seconds(c.get("seconds")),
        "–" if energy is None else f"{energy} Wh",
        str(c.get("threads", "–")),
        html.escape(str(m.get("cpu", "–"))),
        str(m.get("python", "–")),
        str(m.get("versions", {}).get("torch", "–")),
        f"`{str(c.get('sources', '–'))[:8]}`",
    ]


def _link(run: Run) -> str:
    page = run.notebook.relative_to("notebooks").with_suffix("")
    return f"[{run.experiment}](../{page.as_posix()}.ipynb)"


def _certificate(folder: Path) -> Mapping[str, Any]:
    try:
        content = json.loads((folder / COMPLETE).read_text())
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


def _records(runs: Sequence[Run], local: Path, committed: Path) -> list[Record]:
    found = []
    for run in runs:
        folder = run.folder.relative_to(RUNS)
        place = next((root / folder for root in (local, committed) if (root / folder / METRICS).is_file()), None)
        if place is not None:
            found.append(read_record(place))
    return found


def _reproduce(runs: Sequence[Run], records: Sequence[Record]) -> str:
    rows = []
    for r in records:
        shown = list(r.metrics.items())[:NUMBERS]
        numbers = ", ".join(f"{name.replace('_', ' ')} {value:.4g}" for name, value in shown)
        if len(r.metrics) > NUMBERS:
            numbers += f" and [{len(r.metrics) - NUMBERS} more]({r.experiment}-runs.md)"
        commit = str(r.environment.get("git_commit") or "–")[:10]
        commit += " + changes" if r.environment.get("git_dirty") else ""
        rows.append([f"`ganbook reproduce {r.result_id}`", numbers, commit])
    chapters = [[_link(r), f"`ganbook run {r.notebook.as_posix()}`"] for r in runs if r.chapter]
    return f"""# How to get each number again

The whole book, from a clone of the repository: `make book`. The versions are those of `requirements.lock`, which `make`
installs; the seeds stand in the parameters; the data are in the repository or fetched by their digest.

Each run has one command, which gets all its numbers again; those that the table leaves out stand in the gallery that it
links to. `ganbook reproduce` says in what this machine differs from the recorded one (code,
versions, processor, threads), runs the notebook again, and compares: on the same processor with the same versions the
metrics are identical; elsewhere rounding differs, a training amplifies it, and the result is another draw like that of
another seed, so it is compared within the interval that the recorded seeds predict for one more of them.

{gallery.sortable(["command", "numbers", "commit"], rows) if rows else "*No record yet.*"}

The numbers in the prose of a chapter are computed by its notebook:

{gallery.table(["chapter", "command"], chapters)}
"""
