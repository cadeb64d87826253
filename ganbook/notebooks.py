"""One notebook, run once with given parameters, and the proof that it ran to its end.

The only module that knows papermill and jupytext. A run is complete when papermill raised nothing, every code cell
was executed, and a notebook that was told where to write its record wrote one; then, and last of all, ``run.json``
appears in the run folder. Papermill's own word is not enough: it marks a notebook whose kernel was killed, or that
left through ``sys.exit(0)``, as completed.
"""

from __future__ import annotations

import ast
import json
import logging
import os
import shutil
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ganbook.errors import DataError, GanbookError, InputError, unknown_name
from ganbook.sources import digest, sources

if TYPE_CHECKING:
    from nbformat import NotebookNode

# nbformat checks no IRI, but its dependency jsonschema compiles a grammar for them on import, for two seconds
sys.modules.setdefault("rfc3987_syntax", None)  # type: ignore[arg-type]  # None means: not to be imported

EXECUTED, LOG, RECORD, COMPLETE, FAILURE = "notebook.ipynb", "run.log", "metrics.json", "run.json", "failure.txt"
INPUTS = "inputs.json"
# what a run may leave in its folder; all of it goes when the run starts anew from other inputs
RUN_FILES = [EXECUTED, LOG, RECORD, COMPLETE, FAILURE, INPUTS]
RUN_FILES += ["params.json", "history.csv", "samples.png", "environment.json", "model.safetensors", "tensorboard"]
RUN_FILES += ["earlier"]  # checkpoints

FOLDER_PARAMETER = "out"  # the parameter that tells an experiment notebook where to write its record
KINDS: dict[str, type] = {"int": int, "float": float, "str": str, "bool": bool}
SINGLE_THREAD = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMEXPR_NUM_THREADS")


class IncompleteRunError(GanbookError):
    """A notebook did not run to its end; its folder keeps the executed part and the log."""


@dataclass(frozen=True)
class Parameter:
    """One line of a notebook's parameters cell."""

    name: str
    kind: str  # int, float, str or bool
    default: Any
    help: str  # the comment behind it


def read_notebook(path: Path) -> NotebookNode:
    """A notebook without outputs, from its percent script or from its ``.ipynb``.

    Raises:
        InputError: there is no such notebook, or it is neither ``.py`` nor ``.ipynb``.
        DataError: the file is no notebook.
    """
    import jupytext
    import nbformat

    if path.suffix not in (".py", ".ipynb"):
        raise InputError(f"{path} is no notebook: give a .py (percent format) or an .ipynb file.")
    if not path.is_file():
        raise unknown_name("notebook", str(path), notebooks_near(path))
    try:
        notebook = jupytext.read(path) if path.suffix == ".py" else nbformat.read(path, as_version=4)
    except Exception as error:  # every reader raises its own kinds
        raise DataError(f"{path} cannot be read as a notebook ({error}). Restore it, or write its twin anew.") from None
    notebook.metadata.setdefault("kernelspec", {"name": "python3", "display_name": "Python 3"})
    notebook.metadata.kernelspec.setdefault("language", "python")
    for cell in notebook.cells:
        cell.metadata.setdefault("tags", [])
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = [], None
    return notebook


def refuse_edited_twin(script: Path) -> None:
    """Refuse to run a script whose ``.ipynb`` was edited after it: the edit would be lost without a word.

    Raises:
        DataError: says how to carry the edit over, or to drop it.
    """
    twin = script.with_suffix(".ipynb")
    newer = script.suffix == ".py" and twin.is_file() and twin.stat().st_mtime > script.stat().st_mtime
    if newer and sources_of_cells(read_notebook(twin)) != sources_of_cells(read_notebook(script)):
        raise DataError(
            f"{twin} was edited after {script}, which is what runs. Carry the edit over with "
            f"`jupytext --sync {script}`, or drop it with `touch {script}`."
        )


def sources_of_cells(notebook: NotebookNode) -> list[tuple[str, str]]:
    """Kind and text of each cell: what two halves of a pair must share."""
    return [(cell.cell_type, cell.source.strip()) for cell in notebook.cells]


def notebooks_near(path: Path) -> list[str]:
    """Notebooks of the same kind of file, two folders around ``path``, for a hint at a misspelt name."""
    root = path.parent if path.parent.is_dir() else path.parent.parent
    return [str(file) for file in sorted(root.rglob(f"*{path.suffix}"))]


def parameters_of(path: Path) -> dict[str, Parameter]:
    """The parameters that a notebook documents, by name; none if it has no cell tagged ``parameters``.

    Raises:
        InputError: several parameter cells, or a parameter that is no plain literal of type int, float, str or bool.
    """
    notebook = read_notebook(path)
    cells = [cell for cell in notebook.cells if "parameters" in cell.metadata.tags]
    if not cells:
        return {}
    if len(cells) > 1:
        raise InputError(f"{path} has {len(cells)} cells tagged 'parameters'; papermill needs exactly one.")
    return {name: _parameter(path, name, seen) for name, seen in _inspect(notebook).items()}


def check_parameters(notebook: Path, values: Mapping[str, Any], where: str = "") -> dict[str, Any]:
    """``values`` as the notebook's parameters, whole numbers turned into floats where a float is asked for.

    Args:
        notebook: the notebook that will receive them.
        values: by name.
        where: what to call their origin in a message, e.g. a place in a YAML file.

    Raises:
        InputError: an unknown name (the nearest is suggested) or a value of another type.
    """
    known = parameters_of(notebook)
    prefix = f"{where or notebook}: "
    for name in values:
        if name not in known:
            raise InputError(f"{prefix}{unknown_name('parameter', name, known)}")
    return {name: _typed(prefix, known[name], value) for name, value in values.items()}


def run_notebook(
    notebook: Path,
    parameters: Mapping[str, Any],
    folder: Path,
    *,
    threads: int = 1,
    cell_timeout: int | None = None,
) -> Path:
    """Execute a notebook inside ``folder`` and return ``folder/run.json``, the certificate that it ran to its end.

    The kernel works in ``folder`` and finds ``out = "."`` there if the notebook has such a parameter. A checkpoint
    that an interrupted run of the same inputs left is kept for the notebook to resume from; everything else goes.

    Args:
        notebook: ``.py`` or ``.ipynb``.
        parameters: checked against the notebook before anything runs.
        folder: made if absent.
        threads: of the numerical libraries; one makes runs comparable and lets several share a machine.
        cell_timeout: seconds that any one cell may take.

    Raises:
        InputError: unknown or mistyped parameters, or no such notebook.
        DataError: the folder cannot be written, or the other half of the notebook's pair is newer and different.
        IncompleteRunError: the notebook did not run to its end; names the folder that keeps what there is.
    """
    import papermill
    from nbclient.exceptions import CellTimeoutError, DeadKernelError

    values = check_parameters(notebook, parameters)
    refuse_edited_twin(notebook)
    if FOLDER_PARAMETER in parameters_of(notebook):
        values.setdefault(FOLDER_PARAMETER, ".")
    records = values.get(FOLDER_PARAMETER) == "."
    inputs = {"sources": digest(sources(notebook)), "parameters": values}
    _prepare(folder, inputs)
    started, clock = datetime.now(UTC), time.monotonic()
    try:
        with _environment(threads), _log_to(folder / LOG) as log, _sigterm_interrupts():
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
            )
        reason = why_incomplete(folder, records=records)
    except papermill.PapermillExecutionError as error:
        reason = f"cell {error.cell_index + 1} raised {error.ename}: {error.evalue}"
    except CellTimeoutError:
        reason = f"a cell took longer than {cell_timeout} s"
    except KeyboardInterrupt:
        reason = "it was interrupted; the same command again goes on from its last checkpoint, if it kept one"
    except (DeadKernelError, RuntimeError) as error:
        reason = f"the kernel died ({str(error).splitlines()[0]}): killed, out of memory or crashed"
    if reason:
        message = f"{notebook} did not run to its end: {reason}. What there is: {folder / EXECUTED}, {folder / LOG}."
        (folder / FAILURE).write_text(message + "\n")
        raise IncompleteRunError(message)
    certificate = {
        "notebook": Path(os.path.relpath(notebook)).as_posix(),
        **inputs,
        "executed": digest([folder / EXECUTED]),
        "started": started.isoformat(timespec="seconds"),
        "seconds": round(time.monotonic() - clock, 2),
        "threads": threads,
    }
    _write(folder / COMPLETE, json.dumps(certificate, indent=2) + "\n")
    return folder / COMPLETE


def why_incomplete(folder: Path, *, records: bool) -> str:
    """Why the executed notebook of a run folder proves no complete run; empty if it does.

    Args:
        folder: of the run.
        records: whether the notebook was told to write its record there.
    """
    import nbformat

    executed = nbformat.read(folder / EXECUTED, as_version=4)
    code = [cell for cell in executed.cells if cell.cell_type == "code" and cell.source.strip()]
    unrun = [cell for cell in code if cell.execution_count is None]
    if any(output.get("ename") == "SystemExit" for cell in code for output in cell.outputs):
        return "a cell left through SystemExit"
    if executed.metadata.papermill.exception:
        return "papermill recorded an exception"
    if unrun:
        start = unrun[0].source.strip().splitlines()[0]
        return f"{len(unrun)} of {len(code)} code cells never ran, the first being `{start}`"
    if records and not (folder / RECORD).is_file():
        return f"it wrote no {RECORD}"
    return ""


def _inspect(notebook: NotebookNode) -> dict[str, dict[str, str]]:
    """What papermill reads out of the parameters cell: name, annotation, default as text, comment."""
    import nbformat
    import papermill

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "notebook.ipynb"
        nbformat.write(notebook, path)
        return dict(papermill.inspect_notebook(str(path)))


def _parameter(path: Path, name: str, seen: Mapping[str, str]) -> Parameter:
    try:
        default = ast.literal_eval(seen["default"])
    except (ValueError, SyntaxError):
        raise InputError(
            f"{path}: the default of parameter {name!r} is {seen['default']!r}, not a plain literal. Derive it in the "
            "cell after the parameters, or the injected values come too late for it."
        ) from None
    kind = seen["inferred_type_name"] if seen["inferred_type_name"] != "None" else type(default).__name__
    if kind not in KINDS:
        raise InputError(f"{path}: parameter {name!r} is annotated {kind!r}; use one of {', '.join(KINDS)}.")
    return Parameter(name, kind, default, seen["help"])


def _typed(prefix: str, parameter: Parameter, value: Any) -> Any:
    kind = KINDS[parameter.kind]
    if kind is float and type(value) is int:
        return float(value)
    if type(value) is kind:
        return value
    hint = " YAML reads 2e-4 as text: write 2.0e-4." if kind is float and isinstance(value, str) else ""
    raise InputError(
        f"{prefix}Parameter {parameter.name!r} takes {parameter.kind}, got {value!r} ({type(value).__name__}).{hint}"
    )


def _prepare(folder: Path, inputs: Mapping[str, Any]) -> None:
    """Make the folder ready: an interrupted run of the same inputs keeps its checkpoint, all other traces go."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        known = folder / INPUTS
        text = json.dumps(inputs, indent=2) + "\n"
        resumable = known.is_file() and known.read_text() == text and not (folder / RECORD).exists()
        for name in RUN_FILES if not resumable else [RECORD, COMPLETE, FAILURE]:
            path = folder / name
            if path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink(missing_ok=True)
        known.write_text(text)
    except OSError as error:
        raise DataError(
            f"The run folder {folder} cannot be written: {(error.strerror or str(error)).lower()}. Choose a folder you "
            "may write to, or free some space."
        ) from None


@contextmanager
def _environment(threads: int) -> Iterator[None]:
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
def _sigterm_interrupts() -> Iterator[None]:
    """SIGTERM, which schedulers send, ends a run as Ctrl-C does; only a main thread can arrange that."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
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


def _write(path: Path, text: str) -> None:
    temporary = path.with_name(f".{path.name}.part")
    temporary.write_text(text)
    temporary.replace(path)
