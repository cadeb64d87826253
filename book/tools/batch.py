"""Run Snakemake as the Makefile wants it: quiet, never twice on one scale, with a plain word at the end.

python -m book.tools.batch book cpu
python -m book.tools.batch runs cpu only=mnist                    # the experiments of that name or tag
python -m book.tools.batch runs gpu --profile profiles/slurm      # further arguments go to Snakemake

The runs on this machine are made first, as forks of one process (`ganbook.warm`); Snakemake finds them done and makes
the pages. With a profile, or any other option of Snakemake's, it makes the runs as well.

What Snakemake says goes to ``runs/batch-<scale>.log``; the runs tell of themselves on stdout. Snakemake's own lock
would survive a `kill -9` and shut everyone out; ours is the operating system's and ends with the last process that has
it.
"""

from __future__ import annotations

import fcntl
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from book.tools import build
from ganbook.batch import THEORY
from ganbook.errors import DataError, GanbookError
from ganbook.slots import gpus_here

LOCAL = ("--cores", "all")  # and as many runs on GPUs as there are GPUs
# What makes a run new is the key in the name of its output; dates decide for the pages only.
ALWAYS = ("--keep-going", "--rerun-incomplete", "--nolock", "--rerun-triggers", "mtime", "input", "params")


class InterruptedBatchError(GanbookError):
    """Ctrl-C or SIGTERM; says what is kept."""


def batch(target: str, scale: str, more: Sequence[str] = ()) -> int:
    """Make a target of the Snakefile; returns Snakemake's exit status.

    Raises:
        DataError: another batch of the same scale is at work.
        InterruptedBatchError: Ctrl-C or SIGTERM; every run was ended in good order.
    """
    build.RUNS.mkdir(exist_ok=True)
    for part in (scale, THEORY):
        for failure in build.RUNS.glob(f"{part}/*/*/{build.FAILURE}"):
            failure.unlink()  # of an earlier batch
    command = [str(Path(sys.executable).with_name("snakemake")), target, *ALWAYS]
    settings = [word for word in more if word.startswith("only=")]
    local = [*LOCAL, "--resources", f"gpu={max(1, len(gpus_here()))}"]
    command += [*([] if "--profile" in more else local), *(word for word in more if word not in settings)]
    command += ["--config", f"scale={scale}", *settings]
    with _alone(build.RUNS / f".lock-{scale}", scale) as lock, build.batch_log(scale).open("w") as log:
        status: int | None = 0
        if sys.platform == "linux" and _asks_nothing_of_snakemake(more):
            status = _obey([sys.executable, "-m", "ganbook.warm", target, scale, *settings], log, lock)
        if status == 0:
            status = _obey(command, log, lock)
    if status is None:
        raise InterruptedBatchError(f"Interrupted. {build.finished(scale)} The same command goes on from there.")
    if status != 0:
        print(build.failures(scale), file=sys.stderr)
    return status


def _asks_nothing_of_snakemake(more: Sequence[str]) -> bool:
    """Whether it may find the runs done: a cluster, a dry run or a number of cores are Snakemake's own business."""
    options = [word for word in more if not word.startswith("only=")]
    return not options or (options[0] == "--snakefile" and len(options) == 2)


def _obey(command: Sequence[str], log: IO[str], lock: IO[str]) -> int | None:
    """Exit status of a command, None if we were interrupted: then it and all its children are, once, and waited for.

    The command holds the lock too, so that killing us alone lets nobody else in while it still works.
    """
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    process = subprocess.Popen(command, stderr=log, process_group=0, pass_fds=[lock.fileno()])
    try:
        return process.wait()
    except KeyboardInterrupt:
        print("Interrupted: ending the runs at work ...", file=sys.stderr)
        os.killpg(process.pid, signal.SIGINT)
        process.wait()
        return None
    finally:
        signal.signal(signal.SIGTERM, before)


@contextmanager
def _alone(path: Path, scale: str) -> Iterator[IO[str]]:
    with path.open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise DataError(
                f"Another batch of scale {scale} is at work in this folder. Wait for it or end it; "
                f"what it does stands in {build.batch_log(scale)}."
            ) from None
        yield file


def main() -> None:
    """A target, a scale, and arguments for Snakemake."""
    try:
        target, scale, *more = sys.argv[1:]
        sys.exit(batch(target, scale, more))
    except InterruptedBatchError as error:
        print(error, file=sys.stderr)
        sys.exit(130)
    except GanbookError as error:
        sys.exit(f"Error: {error}")
    except KeyboardInterrupt:  # before the runs, or while their failures are read
        print("Interrupted; what is finished is kept. The same command goes on from there.", file=sys.stderr)
        sys.exit(130)


if __name__ == "__main__":
    main()
