"""Which tests hold a chapter's laws in the library: those marked ``@pytest.mark.chapter(name="07_training_dynamics")``.

Read from the test files as text, so that the book can say it without importing pytest.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from ganbook.errors import DataError

MARK = "pytest.mark.chapter"
FORM = f'@{MARK}(name="07_training_dynamics")'


@dataclass(frozen=True)
class Law:
    """One test that holds a law of a chapter."""

    chapter: str  # 07_training_dynamics
    file: str  # tests/models/test_toy.py
    test: str  # its name without test_

    @property
    def sentence(self) -> str:
        """The test's name as it reads."""
        return self.test.replace("_", " ")


def laws(tests: Path, chapters: Iterable[str]) -> list[Law]:
    """The marked tests below a folder, by file and line.

    Args:
        tests: the folder; its name stands first in each `Law.file`.
        chapters: names of the chapters that there are.

    Raises:
        DataError: a mark that names no chapter, or has another form.
    """
    known, found = set(chapters), list[Law]()
    for path in sorted(tests.rglob("test_*.py")):
        file = path.relative_to(tests.parent).as_posix()
        for node in ast.parse(path.read_text()).body:
            if not isinstance(node, ast.FunctionDef):
                continue
            for mark in node.decorator_list:
                if ast.unparse(mark).startswith(MARK):
                    found.append(Law(_chapter(mark, f"{file}:{mark.lineno}", known), file, node.name[len("test_") :]))
    return found


def _chapter(mark: ast.expr, place: str, known: set[str]) -> str:
    match mark:
        case ast.Call(args=[], keywords=[ast.keyword(arg="name", value=ast.Constant(value=str(name)))]):
            if name in known:
                return name
    raise DataError(f"{place}: `{ast.unparse(mark)}` names no chapter. A mark reads {FORM}, after a file of theory.")
