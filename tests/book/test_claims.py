"""The claims of every notebook come out as committed, in the runs that the book of scale smoke is made of."""

import ast
import re
from pathlib import Path

import nbformat
import pytest

from book.tools.chapters import broken_claims, claims
from ganbook.batch import Run, load_experiments, plan, theory_runs
from ganbook.executed import EXECUTED
from ganbook.notebooks import read_notebook

ROOT = Path(__file__).parent.parent.parent
THEORY = theory_runs(ROOT / "notebooks")
EXPERIMENTS = [run for run in plan(load_experiments(ROOT / "notebooks" / "experiments.yml"), "smoke") if run.chapter]


def label(run: Run) -> str:
    return f"{run.notebook.parent.name}/{run.notebook.stem}"


def without_verdicts(text: str) -> str:
    return re.sub(r"\b(True|False)\b|\d+(\.\d+)?%?", "VERDICT", text)


@pytest.fixture(autouse=True)
def at_home(monkeypatch):
    monkeypatch.chdir(ROOT)  # folders of runs are relative to it


@pytest.mark.parametrize("run", THEORY, ids=label)
def test_the_claims_of_a_theory_chapter_hold(html, run):
    assert not broken_claims(run)


@pytest.mark.parametrize("run", THEORY, ids=label)
def test_a_claim_of_a_theory_chapter_stops_the_chapter_if_it_is_false(run):
    """The words after the colon would be compared only where somebody compares: a cell that is false must fail."""
    silent = [
        cell.source
        for cell in read_notebook(run.notebook).cells
        if "claim" in cell.metadata.get("tags", [])
        and not any(isinstance(node, ast.Assert) for node in ast.walk(ast.parse(cell.source)))
    ]
    assert silent == []


@pytest.mark.parametrize("run", EXPERIMENTS, ids=label)
def test_an_experiment_makes_the_claims_that_are_committed(html, run):
    """After a few steps a claim about a trained network cannot hold: its words are compared, not its verdict."""
    found, committed = (
        {source: without_verdicts(text) for source, text in claims(nbformat.read(path, as_version=4)).items()}
        for path in (run.folder / EXECUTED, run.notebook.with_suffix(".ipynb"))
    )
    assert found
    assert found == committed


@pytest.mark.parametrize("run", [*THEORY, *EXPERIMENTS], ids=label)
def test_every_notebook_claims_something(run):
    committed = nbformat.read(run.notebook.with_suffix(".ipynb"), as_version=4)
    assert any("nbval-check-output" in cell.metadata.get("tags", []) and cell.outputs for cell in committed.cells)


def test_every_figure_of_the_runs_is_a_picture(html):
    """A kernel without its backend shows the words ``<Figure size …>`` in a picture's place, and no warning."""
    wordy = [page.name for page in html.rglob("*.html") if "&lt;Figure size" in page.read_text(encoding="utf-8")]
    assert not wordy
