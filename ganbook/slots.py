"""One GPU, one run: which GPUs a run of the batch may use, so that two never share one unasked."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

VISIBLE = "CUDA_VISIBLE_DEVICES"
DEVICES = Path("/proc/driver/nvidia/gpus")  # one folder a GPU; asking CUDA itself would take seconds
POLL_SECONDS = 1.0


def gpus_here(devices: Path = DEVICES) -> list[str]:
    """Names by which CUDA is told of the GPUs that we may use: those of ``CUDA_VISIBLE_DEVICES``, else all."""
    if VISIBLE in os.environ:
        return [name for name in os.environ[VISIBLE].split(",") if name.strip()]
    return [str(index) for index, _ in enumerate(devices.iterdir())] if devices.is_dir() else []


@contextmanager
def gpu_slots(count: int, folder: Path, names: list[str]) -> Iterator[list[str]]:
    """Hold ``count`` GPUs for the block and show CUDA only these; waits until so many are free.

    The locks end with their process, however that ends. Where there are not more GPUs than asked for, or none asked
    for, nothing is held and nothing hidden.

    Args:
        count: GPUs that the run needs.
        folder: where the locks are; shared by all runs of a machine.
        names: of `gpus_here`.
    """
    if count == 0 or len(names) <= count:
        yield names
        return
    before = os.environ.get(VISIBLE)
    folder.mkdir(parents=True, exist_ok=True)
    with ExitStack() as stack:
        held = _hold(count, folder, names, stack)
        os.environ[VISIBLE] = ",".join(held)
        try:
            yield held
        finally:
            if before is None:
                del os.environ[VISIBLE]
            else:
                os.environ[VISIBLE] = before


def _hold(count: int, folder: Path, names: list[str], stack: ExitStack) -> list[str]:
    """All of ``count`` or none at a time, so that two runs that need several never wait for each other."""
    while True:
        with ExitStack() as attempt:
            held = []
            for name in names:
                try:
                    attempt.enter_context(FileLock(folder / f".gpu-{name}", timeout=0))
                    held.append(name)
                except Timeout:
                    continue
                if len(held) == count:
                    stack.push(attempt.pop_all())
                    return held
        time.sleep(POLL_SECONDS)
