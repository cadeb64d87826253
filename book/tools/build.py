"""From finished runs to pages: stage the book's source, then let Jupyter Book build it.

python -m book.tools.build stage cpu    # book/*, executed notebooks and records -> book/_build/source
python -m book.tools.build html cpu     # -> book/_build/html
"""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from ganbook.batch import EXPERIMENTS, SCALES, Experiment, Run, load_experiments, plan, theory_runs
from ganbook.errors import DataError, GanbookError
from ganbook.execution import EXECUTED, FAILURE
from ganbook.results import COMPLETE, METRICS

BOOK, RUNS, TESTS = Path("book"), Path("runs"), Path("tests")
BIBLIOGRAPHY = "references.bib"  # under book/
COMMITTED = BOOK / "results"  # records that are kept in git
DOWNLOADS = ("results", "runs")  # executed notebooks there are files to be downloaded, no pages
NOT_STAGED = {"_build", "tools", "results", "measurements", "decisions", "__pycache__"}


@dataclass(frozen=True)
class Paths:
    """Where the book of one scale is built; the book that readers open is the one of scale `cpu`."""

    source: Path
    manifest: Path  # what is staged, with digests
    output: Path  # jupyter-book writes to output/_build
    done: Path  # written when the pages are complete

    @classmethod
    def at(cls, scale: str) -> Paths:
        """The paths for a scale."""
        output = BOOK if scale == "cpu" else BOOK / "_build" / scale
        build = output / "_build"
        return cls(build / "source", build / "source.json", output, build / "book.json")

    @property
    def index(self) -> Path:
        """The page to open."""
        return self.output / "_build" / "html" / "index.html"


def inputs(scale: str) -> list[str]:
    """Files, runs aside, from which the staged source is made."""
    tools = sorted(BOOK.glob("tools/*.py"))
    others = [name for name in SCALES if name not in (scale, "smoke")]
    records = [file for name in others for file in sorted((RUNS / name).glob(f"*/*/{METRICS}"))]
    committed = [file for file in sorted(COMMITTED.rglob("*")) if file.is_file()]
    pairs = [*sorted(Path("notebooks").rglob("*.ipynb")), *sorted(TESTS.rglob("test_*.py"))]
    code = [*sorted(Path("ganbook").rglob("*.py")), EXPERIMENTS, Path("CITATION.cff"), *tools]
    return [str(file) for file in (*code, *static_files(), *committed, *pairs, *records)]


def static_files() -> Iterator[Path]:
    """Everything under ``book/`` that goes into the staged source as it is."""
    for path in sorted(BOOK.rglob("*")):
        relative = path.relative_to(BOOK)
        if path.is_file() and not NOT_STAGED & {*relative.parts} and not path.name.startswith("."):
            yield path


def stage(scale: str) -> None:
    """Assemble the source of the book: static pages, executed chapters, results pages.

    Only files whose content changed are written, so that Sphinx rebuilds only their pages.

    Raises:
        DataError: a record is damaged, or table of contents and notebooks do not match.
    """
    from book.tools import cards, chapters, claims, letters, pages, reference, status, thesis

    paths = Paths.at(scale)
    experiments = load_experiments()
    runs = planned(scale)
    staged: dict[str, Callable[[], bytes]] = {str(f.relative_to(BOOK)): f.read_bytes for f in static_files()}
    for run in runs:
        if run.chapter:
            staged[chapter_page(run)] = partial(chapters.page, run.folder / EXECUTED)
            staged |= downloads(run)
    shown = [run for name in SCALES if name in (scale, *SCALES[2:]) for run in plan(experiments, name)]
    made = {
        "book/tools/pages.py": pages.results(experiments, scale, local=RUNS, committed=COMMITTED),
        "book/tools/status.py": status.pages(runs, shown, local=RUNS, committed=COMMITTED),
        f"book/{thesis.THESIS}": thesis.pages(shown, local=RUNS, committed=COMMITTED, thesis=BOOK / thesis.THESIS),
        "ganbook/data/catalog.py": cards.cards(),
        "book/tools/reference.py": reference.reference(experiments),
    }
    for generated in made.values():
        staged |= generated
    made[f"book/{claims.SOURCES}"] = proofs(runs, staged)
    staged |= made[f"book/{claims.SOURCES}"]
    check_contents(staged)
    staged["_toc.yml"] = partial(contents, experiments)
    staged[BIBLIOGRAPHY] = letters.lettered((BOOK / BIBLIOGRAPHY).read_text()).encode
    staged["pages.json"] = partial(_origins, runs, made)
    digests = {name: _write_if_changed(paths.source / name, content()) for name, content in sorted(staged.items())}
    for file in [file for file in paths.source.rglob("*") if file.is_file()]:
        if str(file.relative_to(paths.source)) not in staged:
            file.unlink()
    broken = [text for run in runs if run.chapter for text in chapters.broken_claims(run)] if scale == "cpu" else []
    paths.manifest.write_text(json.dumps({"scale": scale, "claims": broken, "files": digests}, indent=1) + "\n")


def downloads(run: Run) -> dict[str, Callable[[], bytes]]:
    """Both halves of a chapter's notebook, for the reader to take along; they lie beside the pages."""
    halves = [run.notebook, run.notebook.with_suffix(".ipynb")]
    return {f"_extra/{half}": half.read_bytes for half in halves if half.is_file()}


def _origins(runs: Sequence[Run], made: Mapping[str, Mapping[str, object]]) -> bytes:
    """Which file of the repository each page comes from: the one to edit."""
    written = [f for f in static_files() if f.suffix == ".md" and not f.relative_to(BOOK).parts[0].startswith("_")]
    origins = {str(f.relative_to(BOOK).with_suffix("")): str(f) for f in written}
    for source, generated in made.items():
        origins |= {name.removesuffix(".md"): source for name in generated if name.endswith(".md")}
    origins |= {chapter_page(run).removesuffix(".ipynb"): str(run.notebook) for run in runs if run.chapter}
    return (json.dumps(origins, indent=1) + "\n").encode()


def chapter_page(run: Run) -> str:
    """Where a chapter stands in the book: as its notebook stands under ``notebooks/``."""
    return str(run.notebook.relative_to("notebooks").with_suffix(".ipynb"))


def proofs(runs: Sequence[Run], staged: Iterable[str]) -> dict[str, Callable[[], bytes]]:
    """The pages "Claims" and "Sources", from the executed chapters and the names of all other staged files.

    Raises:
        DataError: a theorem without a check, or a row of the sources that names a place which does not exist.
    """
    import nbformat

    from book.tools import claims

    known = {Path(name).with_suffix("").as_posix() for name in staged if name.endswith((".ipynb", ".md"))}
    executed = {
        Path(chapter_page(run)).with_suffix("").as_posix(): run.folder / EXECUTED for run in runs if run.chapter
    }
    chapters = [claims.read_chapter(page, nbformat.read(file, as_version=4)) for page, file in executed.items()]
    return claims.pages(chapters, BOOK / claims.SOURCES, known, TESTS)


def contents(experiments: Mapping[str, Experiment]) -> bytes:
    """``_toc.yml`` with each experiment's results in the place of the pattern for them, and its runs below.

    Beside the pages the long titles would fill the list: there an experiment's own is enough.
    """
    from book.tools import gallery

    lines = (BOOK / "_toc.yml").read_text().splitlines()
    at = next(i for i, line in enumerate(lines) if "- glob: results/*" in line)
    indent = lines[at][: lines[at].index("-")]
    listed = []
    for name, experiment in experiments.items():
        title = json.dumps(experiment.title.replace("'", "’"), ensure_ascii=False)  # no typography after this
        listed += [f"- file: results/{name}", f"  title: {title}", "  sections:"]
        listed += [f"    - file: results/{gallery.page_name(experiment)}", "      title: Every run"]
    return "\n".join([*lines[:at], *(indent + line for line in listed), *lines[at + 1 :], ""]).encode()


def check_contents(staged: dict[str, Callable[[], bytes]]) -> None:
    """Every notebook has its line in ``_toc.yml``, and every line there its page.

    Raises:
        DataError: names the line to add or to take away.
    """
    import yaml

    listed: set[str] = set()

    def walk(node: object) -> None:
        if isinstance(node, dict):
            listed.update(str(node[key]) for key in ("file", "root") if key in node)
            node = list(node.values())
        if isinstance(node, list):
            for item in node:
                walk(item)

    walk(yaml.safe_load((BOOK / "_toc.yml").read_text()))
    pages = {str(Path(name).with_suffix("")) for name in staged if name.endswith((".ipynb", ".md"))}
    notebooks = [Path(name) for name in staged if name.endswith(".ipynb") and name[0] != "_"]
    chapters = {str(path.with_suffix("")) for path in notebooks if path.parts[:2] != DOWNLOADS}
    if missing := sorted(chapters - listed):
        raise DataError(f"{BOOK}/_toc.yml lacks a line for {missing[0]}. Add `- file: {missing[0]}` to its part.")
    if unknown := sorted(listed - pages):
        raise DataError(f"{BOOK}/_toc.yml lists {unknown[0]}, but there is no such page. Take the line out.")


def html(scale: str) -> None:
    """Build the pages; warnings are errors.

    Raises:
        DataError: Jupyter Book failed; names its log.
    """
    paths, clock = Paths.at(scale), time.monotonic()
    log = paths.output / "_build" / "build.log"
    command = [str(Path(sys.executable).with_name("jupyter-book")), "build", str(paths.source)]
    command += ["--path-output", str(paths.output), "-q", "-W", "-n", "--keep-going"]
    environment = {**os.environ, "NO_COLOR": "1"}
    with log.open("w") as file:
        code = subprocess.run(command, stdout=file, stderr=subprocess.STDOUT, env=environment, check=False).returncode
    if code != 0 or not paths.index.is_file():
        problems = [line for line in log.read_text().splitlines() if "WARNING" in line or "ERROR" in line]
        shown = "\n  ".join(problems[:10] or log.read_text().splitlines()[-10:])
        raise DataError(f"Jupyter Book found something to mend (all of it: {log}):\n  {shown}")
    pages = {str(Path(name).with_suffix(".html")) for name in json.loads(paths.manifest.read_text())["files"]}
    root = paths.index.parent
    for page in [page for page in root.rglob("*.html") if "_static" not in page.parts]:
        if str(page.relative_to(root)) not in {*pages, "search.html"}:
            page.unlink()  # of a chapter that is no more
    for source in (root / "_sources").rglob("*.ipynb"):
        _empty(source)
    count = sum(1 for page in pages if (root / page).is_file())
    paths.done.write_text(json.dumps({"pages": count, "seconds": round(time.monotonic() - clock, 1)}) + "\n")


def _empty(notebook: Path) -> None:
    """Take the outputs out of the notebook that a reader downloads to run it: they are on the page, and heavy."""
    import nbformat

    content = nbformat.read(notebook, as_version=4)
    cells = [cell for cell in content.cells if cell.cell_type == "code" and cell.outputs]
    for cell in cells:
        cell.outputs, cell.execution_count = [], None
    if cells:
        nbformat.write(content, notebook)


def report(scale: str) -> str:
    """The closing words of a build: address, counts, and claims that came out otherwise than in the committed book."""
    paths = Paths.at(scale)
    manifest, done = json.loads(paths.manifest.read_text()), json.loads(paths.done.read_text())
    lines = [f"Claim differs: {text}" for text in manifest["claims"]]
    address = paths.index.resolve().as_uri()
    return "\n".join([*lines, f"The book ({done['pages']} pages) is ready. Next: open {address}"])


def planned(scale: str) -> list[Run]:
    """All runs that the book of a scale shows.

    Raises:
        GanbookError: they are declared wrongly.
    """
    return [*theory_runs(), *plan(load_experiments(), scale)]


def batch_log(scale: str) -> Path:
    """What Snakemake and its jobs said in the last batch of a scale."""
    return RUNS / f"batch-{scale}.log"


def finished(scale: str) -> str:
    """How many of the planned runs are done, in one sentence."""
    runs = planned(scale)
    done = sum((run.folder / COMPLETE).is_file() for run in runs)
    return f"{done} of {len(runs)} runs are finished and kept."


def failures(scale: str) -> str:
    """What went wrong in the last batch: one paragraph for each failed run, or else the end of Snakemake's log."""
    try:
        runs = planned(scale)
    except GanbookError as error:
        return f"Error: {error}"
    failed = [file.read_text().strip() for run in runs if (file := run.folder / FAILURE).is_file()]
    if failed:
        return "\n".join([*failed, f"{len(failed)} of {len(runs)} runs failed; the others are kept."])
    path = batch_log(scale)
    log = path.read_text().splitlines()
    start = next((i for i, line in enumerate(log) if line.startswith("Error: ")), len(log) - 15)
    return "\n".join([*log[max(0, start) :][:15], f"All of it: {path}"])


def _write_if_changed(path: Path, content: bytes) -> str:
    if not path.is_file() or path.read_bytes() != content:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return hashlib.sha256(content).hexdigest()


def main() -> None:
    """``stage``, ``html``, ``report`` or ``failures``, and a scale."""
    action, scale = sys.argv[1:]
    try:
        text = {"stage": stage, "html": html, "report": report, "failures": failures}[action](scale)
    except GanbookError as error:
        sys.exit(f"Error: {error}")
    if text:
        print(text)


if __name__ == "__main__":
    main()
