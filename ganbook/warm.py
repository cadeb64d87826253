"""Many runs on one machine, each in a process forked from one that has imported everything already.

python -m ganbook.warm book cpu              # the runs that the book of a scale shows
python -m ganbook.warm runs cpu only=mnist   # the experiments of that name or tag

The batch calls this before Snakemake, which then finds the runs done; a batch with runs that want a GPU, or that goes
to a cluster, is left to Snakemake. What a run is, leaves and proves is the same (`ganbook.execution`): only
its process, and that of its kernel, begin as forks (`ganbook.kernels`).
"""

from __future__ import annotations

import os
import signal
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path

from ganbook.batch import Run, chosen, load_experiments, markers, plan, theory_runs
from ganbook.batch_cli import announced
from ganbook.errors import GanbookError
from ganbook.execution import kernel_environment, run_notebook
from ganbook.kernels import SpareKernel, import_libraries, manager_of

WORTH = 2  # runs; importing once for a single one gains nothing


def pending(target: str, scale: str, only: str = "") -> list[Run]:
    """The runs of a target that are not done; none at all if one of them wants a GPU, which Snakemake hands out.

    Raises:
        GanbookError: they are declared wrongly.
    """
    experiments = load_experiments()
    names = set(chosen(experiments, only))
    runs = plan(experiments, scale)
    wanted = [*runs, *theory_runs()] if target == "book" else [run for run in runs if run.experiment in names]
    found = [run for run, marker in zip(wanted, markers(wanted), strict=True) if not Path(marker).is_file()]
    return [] if any(run.resources.gpu for run in found) else found


def run_all(runs: Sequence[Run], workers: int) -> int:
    """Run each in a fork of this process, as many at once as there are workers; a failing one stops no other.

    Returns:
        how many failed.
    """
    at_work, failed = 0, 0
    for run in [*runs, *[None] * workers]:  # at the end there is nobody to start, only to wait for
        if at_work == workers or (run is None and at_work):
            failed += os.wait()[1] != 0
            at_work -= 1
        if run is not None:
            _fork(run)
            at_work += 1
    return failed


def _fork(run: Run) -> None:
    """Start a run; what it has to say of failures stands in its folder."""
    sys.stdout.flush()
    if os.fork():
        return
    status = 1
    try:
        kernels = manager_of(SpareKernel())
        with announced(run.folder):
            run_notebook(
                run.notebook,
                dict(run.parameters),
                run.folder,
                minutes=run.resources.minutes or None,
                once=True,
                kernels=kernels,
            )
        status = 0
    except GanbookError as error:
        print(f"Error: {error}", file=sys.stderr)
    except BaseException:  # a fork must never go on as its parent would
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


def main() -> None:
    """A target, a scale, and which experiments."""
    target, scale, *more = sys.argv[1:]
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        runs = pending(target, scale, "".join(word.removeprefix("only=") for word in more))
        if len(runs) < WORTH:
            return
        with kernel_environment(threads=1):
            import_libraries()
            sys.exit(1 if run_all(runs, len(os.sched_getaffinity(0))) else 0)
    except KeyboardInterrupt:
        _wait_for_all()
        sys.exit(130)
    except GanbookError as error:
        sys.exit(f"Error: {error}")


def _wait_for_all() -> None:
    """The interrupt went to the runs too: each ends its kernel and says what is kept."""
    while True:
        try:
            os.wait()
        except ChildProcessError:
            return


if __name__ == "__main__":
    main()
