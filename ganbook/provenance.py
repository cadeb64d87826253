"""Where a run was made and what it took: machine, versions, lock file, commit, and the energy, measured or estimated.

Nothing here imports torch: the process that starts a notebook's kernel has no need of it.
"""

from __future__ import annotations

import hashlib
import os
import platform
import resource
import shutil
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

PACKAGES = ("ganbook", "torch", "torchvision", "numpy", "scipy", "papermill", "ipykernel")
LOCK_FILE = Path(__file__).parent.parent / "requirements.lock"
POWERCAP = Path("/sys/class/powercap")
DRIVER = Path("/proc/driver/nvidia/version")
WATTS_PER_CORE = 10.0  # of a busy core of a server; the estimate is proportional to it
SAMPLE_SECONDS = 5.0  # between two looks at a GPU's power


@dataclass
class Energy:
    """What a run drew."""

    joules: float | None = None
    basis: str = ""  # in words, how it was found

    def as_dict(self) -> dict[str, Any]:
        """For a certificate: watt-hours to three digits, and how they were found."""
        hours = None if self.joules is None else float(f"{self.joules / 3600:.3g}")
        return {"watt_hours": hours, "basis": self.basis}


def machine() -> dict[str, Any]:
    """Processor, system, versions, the lock file's digest, the commit, and the GPU's driver where there is one."""
    found: dict[str, Any] = {
        "python": platform.python_version(),
        "platform": platform.platform(),
        "cpu": cpu_name(),
        "cores": os.cpu_count(),
        "versions": {name: number for name in PACKAGES if (number := _version(name))},
        "lock_sha256": hashlib.sha256(LOCK_FILE.read_bytes()).hexdigest() if LOCK_FILE.is_file() else None,
        "git_commit": _git("rev-parse", "HEAD"),
        "git_dirty": None if (s := _git("status", "--porcelain", "--untracked-files=no")) is None else bool(s),
    }
    if DRIVER.is_file():
        found["driver"] = DRIVER.read_text().splitlines()[0].removeprefix("NVRM version:").strip()
    return found


def cpu_name() -> str:
    """The processor's own name where the system tells it, else its architecture."""
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


@contextmanager
def energy_of(counters: Path = POWERCAP) -> Iterator[Energy]:
    """The energy that is drawn meanwhile; the numbers are there when the block has ended.

    Measured by the processor's own counters (RAPL) where they may be read, which counts all that runs on the machine;
    else estimated as processor time of child processes times ``WATTS_PER_CORE``. A GPU's power is sampled.
    """
    energy = Energy()
    before, busy = _counters(counters), _child_seconds()
    stop, samples = threading.Event(), list[float]()
    sampler = threading.Thread(target=_sample_gpu, args=(stop, samples), daemon=True)
    if shutil.which("nvidia-smi"):
        sampler.start()
    try:
        yield energy
    finally:
        stop.set()
        after = _counters(counters)
        drawn = sum(_difference(before[name], after[name], name) for name in before.keys() & after.keys())
        if drawn > 0:  # a virtual machine's counters may stand still
            energy.joules = drawn / 1e6
            energy.basis = "measured by the processor's counters"
        else:
            energy.joules = WATTS_PER_CORE * (_child_seconds() - busy)
            energy.basis = f"estimated at {WATTS_PER_CORE:g} W a busy core"
        if samples:
            energy.joules += sum(samples) * SAMPLE_SECONDS
            energy.basis += ", GPU sampled"


def _sample_gpu(stop: threading.Event, samples: list[float]) -> None:
    """Total power draw of the visible GPUs in watts, every few seconds."""
    command = ["nvidia-smi", "--query-gpu=power.draw", "--format=csv,noheader,nounits"]
    while not stop.wait(SAMPLE_SECONDS):
        try:
            lines = subprocess.run(command, capture_output=True, text=True, check=True, timeout=10).stdout.split()
            samples.append(sum(float(line) for line in lines))
        except (OSError, subprocess.SubprocessError, ValueError):
            return


def _counters(root: Path) -> dict[Path, int]:
    """Energy counters of the processor packages in microjoules, as far as they may be read."""
    found = {}
    for domain in root.glob("intel-rapl:[0-9]*"):
        if domain.name.count(":") == 1:  # whole packages; their parts are contained in them
            try:
                found[domain] = int((domain / "energy_uj").read_text())
            except (OSError, ValueError):
                continue
    return found


def _difference(before: int, after: int, domain: Path) -> int:
    """Of a counter that starts anew when it is full."""
    if after >= before:
        return after - before
    return after - before + int((domain / "max_energy_range_uj").read_text())


def _child_seconds() -> float:
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _git(*arguments: str) -> str | None:
    command = ["git", "-C", str(Path(__file__).parent), *arguments]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return None  # not a git checkout: the version number has to do
