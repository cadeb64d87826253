"""Mutation testing: small mistakes are put into the library one by one, and the tests have to notice each.

    python benchmarks/mutation.py losses
    python benchmarks/mutation.py losses --sample 10
    python benchmarks/mutation.py losses penalties divergences metrics --jobs 4

A mutant is the module with one change: a sign, a factor, a comparison, an axis, a mean for a sum, a detach left out, a
flag turned. It is killed when the module's own tests fail. Printed are the survivors with their lines and the score,
the share of mutants that were killed. Some survivors change nothing (``x * 1`` for ``x / 1``): they are read, not
counted away.

Each mutant is tested in a fork of a process that has imported PyTorch and pytest already, in a copy of the repository:
a mutant costs its tests' own time, and the working tree is never touched. Checking every shape takes half of that time
and kills little, so only what survives without it is tested with it. Needs `os.fork`: Linux or macOS.
"""

from __future__ import annotations

import argparse
import ast
import copy
import os
import random
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from queue import SimpleQueue
from typing import Any

ROOT = Path(__file__).parent.parent
METRICS = ("bootstrap", "diversity", "frechet", "inception", "kernel", "manifold", "modes", "moments")
TESTS = {  # module: the tests that answer for it, the quickest first
    "losses": ["tests/test_losses.py"],
    "penalties": ["tests/test_penalties.py"],
    "divergences": ["tests/test_divergences.py"],
    **{f"metrics/{name}": [f"tests/metrics/test_{name}.py"] for name in METRICS},
}
Change = Callable[[Any], None]

BINARY: dict[type[ast.operator], type[ast.operator]] = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.Div,
    ast.Div: ast.Mult,
    ast.Pow: ast.Mult,
    ast.MatMult: ast.Mult,
    ast.FloorDiv: ast.Mult,
    ast.Mod: ast.Mult,
}
COMPARISONS: dict[type[ast.cmpop], type[ast.cmpop]] = {
    ast.Lt: ast.LtE,
    ast.LtE: ast.Lt,
    ast.Gt: ast.GtE,
    ast.GtE: ast.Gt,
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
    ast.Is: ast.IsNot,
    ast.IsNot: ast.Is,
}
METHODS = {"mean": "sum", "sum": "mean", "min": "max", "max": "min", "log": "exp", "exp": "log", "sqrt": "square"}
METHODS |= {"square": "abs", "softplus": "relu", "relu": "abs", "log1p": "log", "expm1": "exp", "real": "imag"}
LEFT_OUT = ("detach", "clamp", "clone", "sqrt", "abs", "double", "sort", "flip")  # x.detach() becomes x


@dataclass(frozen=True)
class Mutant:
    """One change of one module."""

    module: str
    line: int
    what: str
    source: str


def sites(tree: ast.AST) -> Iterator[ast.AST]:
    """Nodes that may be changed: neither docstrings and annotations nor what is only said on the way to an error."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.Raise | ast.Import | ast.ImportFrom | ast.JoinedStr | ast.AnnAssign):
            continue
        yield node
        if isinstance(node, ast.FunctionDef):
            bare = ast.Module(body=node.body, type_ignores=[])
            yield from sites(bare)
        elif isinstance(node, ast.ClassDef):
            yield from sites(ast.Module(body=node.body, type_ignores=[]))
        else:
            yield from sites(node)


def changes(node: ast.AST) -> Iterator[tuple[str, Change]]:
    """What can be done to one node: a description and a function that does it to the node or to a copy of it."""
    if isinstance(node, ast.BinOp) and type(node.op) in BINARY:
        other = BINARY[type(node.op)]
        yield f"{type(node.op).__name__} -> {other.__name__}", lambda n: setattr(n, "op", other())
    if isinstance(node, ast.Compare) and type(node.ops[0]) in COMPARISONS:
        swapped = COMPARISONS[type(node.ops[0])]
        yield f"{type(node.ops[0]).__name__} -> {swapped.__name__}", lambda n: n.ops.__setitem__(0, swapped())
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        yield "minus left out", lambda n: setattr(n, "op", ast.UAdd())
    if isinstance(node, ast.BoolOp):
        junction = ast.Or if isinstance(node.op, ast.And) else ast.And
        yield f"{type(node.op).__name__} -> {junction.__name__}", lambda n: setattr(n, "op", junction())
    if isinstance(node, ast.Constant) and isinstance(node.value, bool | int | float):
        value = (not node.value) if isinstance(node.value, bool) else _other(node.value)
        yield f"{node.value!r} -> {value!r}", lambda n: setattr(n, "value", value)
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
        name = node.func.attr
        if name in METHODS:
            yield f"{name} -> {METHODS[name]}", lambda n: setattr(n.func, "attr", METHODS[name])
        if name in LEFT_OUT and not _is_module(node.func.value):
            yield f"{name} left out", _leave_out
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in METHODS:
        known = node.func.id
        yield f"{known} -> {METHODS[known]}", lambda n: setattr(n.func, "id", METHODS[known])


def _other(value: float) -> float:
    """Another number: the next whole one, twice a fraction."""
    return value + 1 if isinstance(value, int) or value in (0.0, 1.0) else 2 * value


def _is_module(node: ast.AST) -> bool:
    return isinstance(node, ast.Name) and node.id in ("torch", "math", "np", "F", "functional")


def _leave_out(call: Any) -> None:
    """``x.detach()`` becomes ``(x)``: the call turns into a function that gives its object back."""
    inner = call.func.value
    call.func = ast.parse("(lambda value: value)", mode="eval").body
    call.args, call.keywords = [inner], []


def mutants(module: str) -> list[Mutant]:
    """All changes of a module, in the order of its lines."""
    tree = ast.parse((ROOT / "ganbook" / f"{module}.py").read_text())
    count = sum(1 for node in sites(tree) for _ in changes(node))
    found = []
    for index in range(count):
        changed = copy.deepcopy(tree)
        node, what, change = [(n, w, c) for n in sites(changed) for w, c in changes(n)][index]
        line = getattr(node, "lineno", 0)
        change(node)
        found.append(Mutant(module, line, what, ast.unparse(ast.fix_missing_locations(changed))))
    return sorted(found, key=lambda mutant: mutant.line)


def copy_of_repository(folder: Path) -> Path:
    """Library and tests copied, all else linked."""
    for entry in ROOT.iterdir():
        if entry.name in ("ganbook", "tests"):
            shutil.copytree(entry, folder / entry.name, ignore=shutil.ignore_patterns("__pycache__"))
        elif entry.name not in (".git", "runs"):
            (folder / entry.name).symlink_to(entry)
    return folder


def tests_pass(folder: Path, tests: Sequence[str], seconds: float, *, shapes: bool) -> bool:
    """Whether the tests pass in a copy of the repository, shapes checked or not; too long is a failure."""
    child = os.fork()
    if child == 0:
        os._exit(_run_tests(folder, tests, shapes))
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status) == 0
        time.sleep(0.02)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return False


def _run_tests(folder: Path, tests: Sequence[str], shapes: bool) -> int:
    """In the child, where the library has not been imported yet."""
    import pytest

    silence = os.open(os.devnull, os.O_WRONLY)
    os.dup2(silence, 1)
    os.dup2(silence, 2)
    os.chdir(folder)
    sys.path.insert(0, str(folder))
    sys.dont_write_bytecode = True
    options = ["-x", "-q", "-m", "not long", "-p", "no:cacheprovider", "-p", "no:nbval"]
    options += [] if shapes else ["-o", "addopts=--import-mode=importlib"]
    try:
        return int(pytest.main([*options, *tests]))
    except BaseException:
        return 1


def survivors(module: str, folders: SimpleQueue[Path], jobs: int, sample: int = 0) -> tuple[list[Mutant], int]:
    """The mutants of a module that its tests let pass, and how many there were."""
    tests, path = TESTS[module], Path("ganbook") / f"{module}.py"
    folder = folders.get()
    started = time.monotonic()
    if not tests_pass(folder, tests, 3600, shapes=True):
        sys.exit(f"The tests {' '.join(tests)} fail without any change. Mend them first.")
    limit = 30 + 10 * (time.monotonic() - started)
    folders.put(folder)

    def survives(mutant: Mutant) -> bool:
        folder = folders.get()
        original = (folder / path).read_text()
        (folder / path).write_text(mutant.source)
        try:
            return tests_pass(folder, tests, limit, shapes=False) and tests_pass(folder, tests, limit, shapes=True)
        finally:
            (folder / path).write_text(original)
            folders.put(folder)

    found = mutants(module)
    if 0 < sample < len(found):
        found = sorted(random.Random(0).sample(found, sample), key=lambda mutant: mutant.line)
    with ThreadPoolExecutor(jobs) as pool:
        verdicts = list(pool.map(survives, found))
    return [mutant for mutant, alive in zip(found, verdicts, strict=True) if alive], len(found)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("modules", nargs="+", help=f"{', '.join(TESTS)}, or metrics for all of these")
    parser.add_argument("--jobs", type=int, default=1, help="mutants tested at a time")
    parser.add_argument("--sample", type=int, default=0, help="test only so many of each module, chosen with seed 0")
    parser.add_argument("--list", action="store_true", help="only list the mutants")
    arguments = parser.parse_args()
    modules = [name for given in arguments.modules for name in TESTS if name == given or name.startswith(f"{given}/")]
    if not modules:
        parser.error(f"no such modules; known: {', '.join(TESTS)}")
    if arguments.list:
        for mutant in (m for module in modules for m in mutants(module)):
            print(f"ganbook/{mutant.module}.py:{mutant.line}: {mutant.what}")
        return
    import hypothesis  # noqa: F401  # here, so that every fork has them already
    import scipy.stats  # noqa: F401
    import torch

    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as place:
        folders: SimpleQueue[Path] = SimpleQueue()
        for job in range(arguments.jobs):
            (Path(place) / str(job)).mkdir()
            folders.put(copy_of_repository(Path(place) / str(job)))
        killed = total = 0
        for module in modules:
            alive, count = survivors(module, folders, arguments.jobs, arguments.sample)
            for mutant in alive:
                print(f"survived  ganbook/{module}.py:{mutant.line}: {mutant.what}", flush=True)
            print(f"{module}: {count - len(alive)} of {count} mutants killed", flush=True)
            killed, total = killed + count - len(alive), total + count
    print(f"score {killed / max(total, 1):.1%} ({killed} of {total})")


if __name__ == "__main__":
    main()
