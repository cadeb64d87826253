"""Which files a notebook's numbers depend on, and one digest over them."""

from __future__ import annotations

import ast
import hashlib
import json
import re
from collections.abc import Iterable, Iterator
from functools import lru_cache
from pathlib import Path

PACKAGE = Path(__file__).parent
DATA_SUFFIXES = (".csv", ".gz", ".json", ".npz", ".png", ".safetensors", ".zip")
MEASUREMENT = re.compile(
    r"book/(?:measurements/[\w.-]+|[\w-]+\.yml)"
)  # what a notebook reads, by its path from the root
EMBEDDED = "data"  # the embedded sets and judges, beside the package; read by ganbook/data and what builds on it


def sources(notebook: Path, package: Path = PACKAGE) -> list[Path]:
    """The notebook and everything of ``ganbook`` that it imports, directly or through another module.

    A run depends on these files and on no other code of ours, so that mending the command line or a network that
    the notebook does not use runs nothing again. The embedded data counts where `ganbook.data` is imported, and so does
    a committed measurement or a table of the book (``book/*.yml``) that the code names.
    """
    found: set[Path] = set()
    waiting = list(_imports(_code(notebook), package))
    while waiting:
        module = waiting.pop()
        if module not in found:
            found.add(module)
            waiting += _imported_by(module, module.stat().st_mtime_ns, package)
    if package / "data" / "__init__.py" in found:
        folder = package.parent / EMBEDDED
        downloads = folder / "cache"
        found |= {f for f in folder.rglob("*") if f.suffix in DATA_SUFFIXES and not f.is_relative_to(downloads)}
    found |= {package.parent / name for name in MEASUREMENT.findall(_code(notebook))}
    return [notebook, *sorted(found)]


def digest(files: Iterable[Path]) -> str:
    """One sha256 over the contents of files, in order."""
    total = hashlib.sha256()
    for file in files:
        state = file.stat()
        total.update(_file_digest(file, state.st_mtime_ns, state.st_size))
    return total.hexdigest()


@lru_cache(maxsize=4096)
def _file_digest(file: Path, changed: int, size: int) -> bytes:
    """Notebooks share data and modules, so each file is read once while its time and size stay as they are."""
    return hashlib.sha256(file.read_bytes()).digest()


def _code(notebook: Path) -> str:
    """A notebook's code, IPython's magics blanked out."""
    text = notebook.read_text()
    if notebook.suffix == ".ipynb":
        cells = json.loads(text)["cells"]
        text = "\n".join("".join(cell["source"]) for cell in cells if cell["cell_type"] == "code")
    lines = []
    for line in text.splitlines():
        bare = line.lstrip()
        lines.append(line[: len(line) - len(bare)] + "pass" if bare[:1] in ("%", "!") else line)
    return "\n".join(lines)


@lru_cache(maxsize=4096)
def _imported_by(module: Path, changed: int, package: Path) -> tuple[Path, ...]:
    return tuple(_imports(module.read_text(), package))


def _imports(code: str, package: Path) -> Iterator[Path]:
    """Files of the package that a piece of code imports, the ``__init__`` of each package on the way included."""
    for node in ast.walk(ast.parse(code)):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            names = [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
        else:
            continue
        for name in names:
            first, *parts = name.split(".")
            if first == package.name:
                yield from _files(package, parts)


def _files(package: Path, parts: list[str]) -> Iterator[Path]:
    for end in range(len(parts) + 1):
        place = package.joinpath(*parts[:end])
        if place.is_dir():
            yield place / "__init__.py"
        elif (module := place.with_name(place.name + ".py")).is_file():
            yield module
