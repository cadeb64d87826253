"""One notebook, run once with given parameters, and the proof that it ran to its end.

A run is complete when papermill raised nothing, every code cell was executed, and a notebook that was told where to
write its record wrote one; then, and last of all, ``run.json`` appears in the run folder. Papermill's own word is not
enough: it marks a notebook whose kernel was killed, or that left through ``sys.exit(0)``, as completed.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import shutil
import signal
import threading
import time
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from types import FrameType
from typing import Any

from filelock import FileLock, Timeout

from ganbook.errors import DataError, GanbookError
from ganbook.executed import EXECUTED, append_record, why_incomplete, write_whole
from ganbook.notebooks import FOLDER_PARAMETER, check_parameters, parameters_of, read_notebook, refuse_edited_twin
from ganbook.provenance import energy_of, machine
from ganbook.results import COMMITTED, COMPLETE, METRICS
from ganbook.sources import digest, sources

LOG, FAILURE, INPUTS, LOCK = "run.log", "failure.txt", "inputs.json", ".lock"
DONE = "done-"  # an empty file that carries the key of the inputs in its name: what the batch looks for
# what a run may leave in its folder; all of it goes when the run starts anew from other inputs
TRACES = (EXECUTED, LOG, FAILURE, INPUTS, COMPLETE, *COMMITTED, "tensorboard", "earlier", "*.safetensors", f"{DONE}*")
VERDICT = (METRICS, COMPLETE, FAILURE, f"{DONE}*")  # what goes even where the run resumes

SINGLE_THREAD = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMEXPR_NUM_THREADS")


class IncompleteRunError(GanbookError):
    """A notebook did not run to its end; its folder keeps the executed part and the log."""


class _OutOfTimeError(KeyboardInterrupt):
    """The alarm of a run's time limit; an interrupt, so that no notebook code takes it for its own error."""


def run_inputs(code: str, known: Collection[str], values: Mapping[str, Any]) -> dict[str, Any]:
    """What the result of a run depends on.

    Args:
        code: digest of the notebook, of what it imports from ``ganbook``, and of its data.
        known: names of all parameters that the notebook has.
        values: of those that the run sets.
    """
    place = {FOLDER_PARAMETER: "."} if FOLDER_PARAMETER in known else {}
    return {"sources": code, "parameters": {**place, **values}}


def run_key(inputs: Mapping[str, Any]) -> str:
    """The content address of a run: sixteen hexadecimal digits, equal for equal inputs on every machine."""
    return hashlib.sha256(json.dumps(inputs, sort_keys=True).encode()).hexdigest()[:16]


def run_notebook(
    notebook: Path,
    parameters: Mapping[str, Any],
    folder: Path,
    *,
    threads: int = 1,
    cell_timeout: int | None = None,
    minutes: float | None = None,
    once: bool = False,
    kernels: type | None = None,
) -> Path:
    """Execute a notebook inside ``folder`` and return ``folder/run.json``, the certificate that it ran to its end.

    The kernel works in ``folder`` and finds ``out = "."`` there if the notebook has such a parameter. A checkpoint
    that an interrupted run of the same inputs left is kept for the notebook to resume from; everything else goes.

    Args:
        notebook: ``.py`` or ``.ipynb``.
        parameters: checked against the notebook before anything runs.
        folder: made if absent; locked while the run lasts.
        threads: of the numerical libraries; one makes runs comparable and lets several share a machine.
        cell_timeout: seconds that any one cell may take.
        minutes: that the whole run may take; the limit needs a main thread.
        once: take a finished run of the same inputs as it is, and wait for a process that is at work on it.
        kernels: the kernel manager to start the kernel with, if not the ordinary one.

    Raises:
        InputError: unknown or mistyped parameters, or no such notebook.
        DataError: the folder cannot be written or is at work, or the other half of the notebook's pair is newer.
        IncompleteRunError: the notebook did not run to its end; names the folder that keeps what there is.
    """
    values = check_parameters(notebook, parameters)
    refuse_edited_twin(notebook)
    inputs = run_inputs(digest(sources(notebook)), parameters_of(notebook), values)
    _make(folder)
    with _alone(folder, wait=once):
        if once and certified(folder, inputs):
            (folder / f"{DONE}{run_key(inputs)}").touch()
            return folder / COMPLETE
        _clear(folder, inputs)
        started, clock = datetime.now(UTC), time.monotonic()
        with energy_of() as energy:
            reason = _execute(notebook, inputs["parameters"], folder, threads, cell_timeout, minutes, kernels)
        seconds = round(time.monotonic() - clock, 2)  # by a clock that nobody can set back
        if reason:
            message = (
                f"{notebook} did not run to its end: {reason}. What there is: {folder / EXECUTED}, {folder / LOG}."
            )
            write_whole(folder / FAILURE, f"{message}\n".encode())
            raise IncompleteRunError(message)
        certificate = {
            "notebook": Path(os.path.relpath(notebook)).as_posix(),
            **inputs,
            "record": {name: digest([file]) for name in COMMITTED if (file := folder / name).is_file()},
            "started": started.isoformat(timespec="seconds"),
            "seconds": seconds,
            "threads": threads,
            "energy": energy.as_dict(),
            "machine": machine(),
        }
        append_record(folder / EXECUTED, certificate)
        certificate["executed"] = digest([folder / EXECUTED])
        write_whole(folder / COMPLETE, (json.dumps(certificate, indent=2) + "\n").encode())
        (folder / f"{DONE}{run_key(inputs)}").touch()
    return folder / COMPLETE


def certified(folder: Path, inputs: Mapping[str, Any]) -> bool:
    """Whether a folder holds the finished run of these very inputs, its record unchanged since."""
    try:
        known = json.loads((folder / COMPLETE).read_text())
        same = {name: known[name] for name in inputs} == dict(inputs)
        return same and all(digest([folder / name]) == value for name, value in known.get("record", {}).items())
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return False


def _execute(
    notebook: Path,
    values: Mapping[str, Any],
    folder: Path,
    threads: int,
    cell_timeout: int | None,
    minutes: float | None,
    kernels: type | None,
) -> str:
    """Run the notebook; returns why it did not run to its end, or nothing."""
    import papermill
    from nbclient.exceptions import CellTimeoutError, DeadKernelError

    try:
        with kernel_environment(threads), _log_to(folder / LOG) as log, _signals_interrupt(minutes):
            papermill.execute_notebook(
                read_notebook(notebook),
                folder / EXECUTED,
                parameters=values,
                kernel_name="python3",  # the one of this environment
                progress_bar=False,
                log_output=False,
                stdout_file=log,
                stderr_file=log,
                cwd=folder,
                execution_timeout=cell_timeout,
                extra_arguments=["--log-level=ERROR"],  # each kernel would greet with a warning about its transport
                **({"kernel_manager_class": kernels} if kernels else {}),
            )
        return why_incomplete(folder, records=values.get(FOLDER_PARAMETER) == ".")
    except papermill.PapermillExecutionError as error:
        return f"cell {error.cell_index + 1} raised {error.ename}: {error.evalue}"
    except CellTimeoutError:
        return f"a cell took longer than {cell_timeout} s"
    except _OutOfTimeError:
        return f"it took longer than {minutes:g} min; the same command again goes on from its last checkpoint"
    except KeyboardInterrupt:
        return "it was interrupted; the same command again goes on from its last checkpoint, if it kept one"
    except (DeadKernelError, RuntimeError) as error:
        return f"the kernel died ({str(error).splitlines()[0]}): killed, out of memory or crashed"


def _make(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / LOCK).touch()
    except OSError as error:
        raise DataError(
            f"The run folder {folder} cannot be written: {(error.strerror or str(error)).lower()}. Choose a folder you "
            "may write to, or free some space."
        ) from None


@contextmanager
def _alone(folder: Path, *, wait: bool) -> Iterator[None]:
    """Keep a second run out of the folder; the lock goes with the process, however that ends."""
    lock = FileLock(folder / LOCK)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        if not wait:
            raise DataError(f"Another run is at work in {folder}. Wait for it, or choose another folder.") from None
        lock.acquire()
    try:
        yield
    finally:
        lock.release()


def _clear(folder: Path, inputs: Mapping[str, Any]) -> None:
    """An interrupted run of the same inputs keeps its checkpoint; all other traces of earlier runs go."""
    known = folder / INPUTS
    text = json.dumps(inputs, indent=2) + "\n"
    resumable = known.is_file() and known.read_text() == text and not (folder / COMPLETE).exists()
    for pattern in VERDICT if resumable else TRACES:
        for path in folder.glob(pattern):
            if path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink(missing_ok=True)
    write_whole(known, text.encode())


@contextmanager
def kernel_environment(threads: int) -> Iterator[None]:
    """Environment variables of the kernel: numerical threads, no progress bars, no chatter."""
    wanted = {name: str(threads) for name in SINGLE_THREAD}
    wanted |= {"TQDM_DISABLE": "1", "PYDEVD_DISABLE_FILE_VALIDATION": "1", "CUBLAS_WORKSPACE_CONFIG": ":4096:8"}
    wanted["MPLBACKEND"] = "module://matplotlib_inline.backend_inline"  # a caller's agg would leave out every figure
    before = {name: os.environ.get(name) for name in wanted}
    os.environ.update(wanted)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


@contextmanager
def _signals_interrupt(minutes: float | None) -> Iterator[None]:
    """SIGTERM, which schedulers send, and the time limit end a run as Ctrl-C does; it takes a main thread."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def out_of_time(signum: int, frame: FrameType | None) -> None:
        raise _OutOfTimeError

    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    alarm = signal.signal(signal.SIGALRM, out_of_time)
    signal.setitimer(signal.ITIMER_REAL, 60 * minutes if minutes else 0)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, alarm)
        signal.signal(signal.SIGTERM, before)


@contextmanager
def _log_to(path: Path) -> Iterator[Any]:
    """A log file that receives what the notebook prints and what papermill says."""
    with path.open("a", buffering=1) as file:
        handler = logging.StreamHandler(file)
        handler.setFormatter(logging.Formatter("%(asctime)s %(message)s"))
        logger = logging.getLogger("papermill")
        logger.addHandler(handler)
        logger.setLevel(logging.INFO)
        propagate, logger.propagate = logger.propagate, False
        try:
            yield file
        finally:
            logger.removeHandler(handler)
            logger.propagate = propagate
