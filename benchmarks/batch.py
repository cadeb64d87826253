"""What the batch costs: ``python benchmarks/batch.py [--runs 6] [--planned 200] [--rounds 3] [--only PART]``.

In a project of its own, with a notebook that computes next to nothing (``tests/material/tiny.py``), one thread:

- papermill over the plain function: the notebook's code as a Python script, against papermill's command line;
- the batch over bare papermill, for each run: the same runs through `book.tools.batch`, one at a time, less what the
  batch takes when nothing is to be done, against papermill's command line. Twice: as the batch makes runs on this
  machine, as forks of one process that has the libraries (the first of them pays for importing these), and through
  Snakemake, a process for each, as on a cluster;
- planning: a batch of which every run is done already;
- two at once: two runs side by side against one alone. Needs two cores.

Prints medians, the range over rounds, and processor time, which other work on the machine disturbs less. ``--only``
does one part alone: ``overheads``, ``plan`` or ``two``. Run it on an otherwise idle machine.
"""

from __future__ import annotations

import argparse
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from ganbook.batch import RUNS, load_experiments, markers, plan
from ganbook.execution import SINGLE_THREAD

ROOT = Path(__file__).parent.parent
TINY = ROOT / "tests" / "material" / "tiny.py"
BUSY = "\n# %%\nfor _ in range(40_000_000):\n    pass\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=6)
    parser.add_argument("--planned", type=int, default=200)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", choices=["overheads", "plan", "two"], help="one of the measures")
    arguments = parser.parse_args()
    wanted = {arguments.only} if arguments.only else {"overheads", "plan", "two"}
    os.environ |= dict.fromkeys(SINGLE_THREAD, "1") | {"PYTHONPATH": str(ROOT), "MPLBACKEND": "agg"}
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(project(Path(folder)))
        if "overheads" in wanted:
            overheads(arguments.runs, arguments.rounds)
        if "plan" in wanted:
            declare(arguments.planned)
            pretend()
            show(f"batch of {arguments.planned} runs with nothing to do", arguments.rounds, batch)
        if "two" in wanted and (os.cpu_count() or 1) > 1:
            two_at_once(arguments.rounds)


def overheads(runs: int, rounds: int) -> None:
    """Of papermill over the plain function, and of the batch over papermill."""
    bare = show("papermill, one run", rounds, papermill)
    plain = show("the same code as a script", rounds, script)
    print(f"papermill over the plain function: {bare - plain:.2f} s a run", flush=True)
    declare(runs)
    for how, more in (("as forks", ()), ("through Snakemake", ("--cores", "1"))):
        some = show(f"batch of {runs} runs, one at a time, {how}", rounds, lambda more=more: batch(*more), forget)
        none = show("the same batch with nothing to do", rounds, lambda more=more: batch(*more))
        print(f"batch over bare papermill, {how}: {(some - none) / runs - bare:.2f} s a run", flush=True)


def two_at_once(rounds: int) -> None:
    """Two busy runs of one thread each against one."""
    notebook = Path("notebooks/experiments/tiny.py")
    notebook.write_text(TINY.read_text() + BUSY)
    one = show("one busy run", rounds, lambda: side_by_side(1))
    two = show("two busy runs side by side", rounds, lambda: side_by_side(2))
    print(f"two over one: {two / one:.2f} times", flush=True)


def project(folder: Path) -> Path:
    """A folder with one experiment, this checkout's code, and a notebook for papermill."""
    (folder / "notebooks" / "experiments").mkdir(parents=True)
    (folder / "notebooks" / "theory").mkdir()
    shutil.copy(TINY, folder / "notebooks" / "experiments")
    for name in ("ganbook", "book"):
        (folder / name).symlink_to(ROOT / name)
    command = ["jupytext", "--quiet", "--to", "ipynb", "-o", str(folder / "tiny.ipynb"), str(TINY)]
    subprocess.run([sys.executable, "-m", *command], check=True)
    return folder


def declare(runs: int) -> None:
    text = f"tiny:\n  title: Tiny\n  smoke: {{}}\n  cpu: {{seeds: {list(range(runs))}}}\n"
    Path("notebooks/experiments.yml").write_text(text)


def forget() -> None:
    shutil.rmtree(RUNS, ignore_errors=True)


def pretend() -> None:
    """Mark every planned run as done."""
    for marker in map(Path, markers(plan(load_experiments(), "cpu"))):
        marker.parent.mkdir(parents=True, exist_ok=True)
        marker.touch()


def script() -> None:
    subprocess.run([sys.executable, str(TINY)], check=True, capture_output=True)


def papermill() -> None:
    command = ["papermill", "--no-progress-bar", "--log-level", "ERROR", "tiny.ipynb", "out.ipynb", "-p", "seed", "1"]
    subprocess.run([sys.executable, "-m", *command], check=True, capture_output=True)


def batch(*more: str) -> None:
    """One run at a time: this process keeps the children to one core, so that forks are one at a time too."""
    command = ["-m", "book.tools.batch", "runs", "cpu", "--snakefile", str(ROOT / "Snakefile"), *more]
    here = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(here)})
    try:
        subprocess.run([sys.executable, *command], check=True, capture_output=True)
    finally:
        os.sched_setaffinity(0, here)


def side_by_side(count: int) -> None:
    command = [sys.executable, "-m", "ganbook.batch_cli", "run", "notebooks/experiments/tiny.py", "-o"]
    processes = [subprocess.Popen([*command, f"runs/own/{i}"], stdout=subprocess.DEVNULL) for i in range(count)]
    for process in processes:
        if process.wait() != 0:
            sys.exit("A run failed; see runs/own.")


def show(what: str, rounds: int, work: Callable[[], None], before: Callable[[], None] = lambda: None) -> float:
    """Median wall clock of some work, printed with its range and with the processor time of all its processes."""
    walls, busy = [], []
    for _ in range(rounds):
        before()
        start, used = time.perf_counter(), processor_seconds()
        work()
        walls.append(time.perf_counter() - start)
        busy.append(processor_seconds() - used)
    wall = statistics.median(walls)
    print(
        f"{what}: {wall:.2f} s ({min(walls):.2f} to {max(walls):.2f}), processor {statistics.median(busy):.2f} s",
        flush=True,
    )
    return wall


def processor_seconds() -> float:
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


if __name__ == "__main__":
    main()
