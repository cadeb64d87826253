"""How far a run is, read from what it leaves in its folder while it is at work."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from ganbook.execution import EXECUTED, FAILURE, LOCK, LOG
from ganbook.results import COMPLETE

TAIL = 2000  # bytes of a log that are looked at for its last line


@dataclass(frozen=True)
class Progress:
    """Where a run stands."""

    word: str  # done, failed, at work, interrupted or not begun
    text: str


def progress(folder: Path) -> Progress:
    """Where the run of a folder stands; papermill keeps the notebook up to date cell by cell."""
    if at_work(folder):
        return Progress("at work", ", ".join(filter(None, ("at work", _cell(folder), _last_line(folder)))))
    if (folder / COMPLETE).is_file():
        try:
            seconds = float(json.loads((folder / COMPLETE).read_text())["seconds"])
        except (OSError, ValueError, KeyError, TypeError):
            return Progress("damaged", f"{COMPLETE} cannot be read; delete the folder and run it again")
        return Progress("done", f"done in {seconds:.0f} s")
    if (folder / FAILURE).is_file():
        return Progress("failed", f"failed: {(folder / FAILURE).read_text().strip()}")
    if (folder / EXECUTED).is_file():
        return Progress("interrupted", f"interrupted at {_cell(folder) or 'its start'}; it goes on when run again")
    return Progress("not begun", "not begun")


def at_work(folder: Path) -> bool:
    """Whether a process holds the lock of a run folder."""
    if not (folder / LOCK).is_file():
        return False
    try:
        with FileLock(folder / LOCK, timeout=0):
            return False
    except (Timeout, OSError):
        return True


def _cell(folder: Path) -> str:
    try:
        cells: list[dict[str, Any]] = json.loads((folder / EXECUTED).read_text())["cells"]
    except (OSError, ValueError, KeyError):  # not yet, or just being written
        return ""
    code = [cell for cell in cells if cell["cell_type"] == "code"]
    done = sum(cell.get("metadata", {}).get("papermill", {}).get("status") == "completed" for cell in code)
    return f"cell {min(done + 1, len(code))} of {len(code)}"


def _last_line(folder: Path) -> str:
    """What the notebook printed last, such as a step and its losses."""
    try:
        text = (folder / LOG).read_bytes()[-TAIL:].decode(errors="replace")
    except OSError:
        return ""
    lines = [line.strip() for line in text.replace("\r", "\n").splitlines() if line.strip()]
    return lines[-1][:100] if lines else ""
