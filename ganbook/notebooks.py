"""A notebook as text: read without outputs, compared with its other half, its parameters inspected and checked."""

from __future__ import annotations

import ast
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ganbook.errors import DataError, InputError, unknown_name

if TYPE_CHECKING:
    from nbformat import NotebookNode

FOLDER_PARAMETER = "out"  # the parameter that tells an experiment notebook where to write its record
KINDS: dict[str, type] = {"int": int, "float": float, "str": str, "bool": bool}


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
    state = path.stat() if path.is_file() else None
    if state and path.suffix == ".py" and '"parameters"' not in path.read_text(errors="replace"):
        return {}  # as most chapters: no need to take the script apart
    return dict(_parameters(path, state and (state.st_mtime_ns, state.st_size)))


@lru_cache(maxsize=256)
def _parameters(path: Path, state: tuple[int, int] | None) -> dict[str, Parameter]:
    """A batch asks for the same notebook's parameters for each of its runs; read anew when the file has changed."""
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
    return {name: typed(prefix, known[name], value) for name, value in values.items()}


def typed(prefix: str, parameter: Parameter, value: Any) -> Any:
    """``value`` as the parameter's type; whole numbers serve where a float is asked for.

    Args:
        prefix: what a message starts with.

    Raises:
        InputError: a value of another type.
    """
    kind = KINDS[parameter.kind]
    if kind is float and type(value) is int:
        return float(value)
    if type(value) is kind:
        return value
    hint = " YAML reads 2e-4 as text: write 2.0e-4." if kind is float and isinstance(value, str) else ""
    raise InputError(
        f"{prefix}Parameter {parameter.name!r} takes {parameter.kind}, got {value!r} ({type(value).__name__}).{hint}"
    )


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
