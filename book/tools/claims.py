"""Two pages of proof: what the book claims with its proof and its check, and what its sources ask with the answer.

A theorem, lemma, proposition or corollary is *checked* by the next claim cell of its ``##`` section, in the same
notebook: a cell that asserts, and prints one line when the assertions have held. A claim that checks others than those
that wait for it says so in a comment, ``# checks thm-a, prop-b``.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Container, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any

from book.tools.chapters import CLAIM
from book.tools.laws import Law, laws
from ganbook.errors import DataError

if TYPE_CHECKING:
    from nbformat import NotebookNode

Staged = dict[str, Callable[[], bytes]]
SOURCES = "sources.yml"  # under book/: which pages answer which row of the sources
NEED_A_CHECK = {"theorem", "lemma", "proposition", "corollary"}
LISTED = NEED_A_CHECK | {"definition", "algorithm"}
DIRECTIVE = re.compile(r"^[`:]{3,}\{prf:(\w+)\}\s*(.*?)\s*$")
LABEL = re.compile(r"^:label:\s*(\S+)")
CHECKS = re.compile(r"^# checks (.+)$", re.MULTILINE)


@dataclass(frozen=True)
class Statement:
    """A numbered statement of a chapter."""

    kind: str  # theorem, lemma, …
    title: str
    label: str  # by which the book refers to it
    proven: bool = False  # a proof follows it
    check: str = ""  # what its check printed; empty where there is none


@dataclass(frozen=True)
class Chapter:
    """What one notebook states and checks."""

    page: str  # its place in the book, without suffix: theory/01_minimax_game
    title: str
    statements: tuple[Statement, ...]
    other_checks: tuple[str, ...]  # lines of claim cells that belong to no statement


def read_chapter(page: str, notebook: NotebookNode) -> Chapter:
    """Statements and claims of an executed notebook, in its order.

    Raises:
        DataError: a claim says that it checks a statement that does not stand before it.
    """
    title, waiting = page, list[int]()
    found: list[Statement] = []
    others: list[str] = []
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            lines = cell.source.splitlines()
            for number, line in enumerate(lines):
                if line.startswith("# ") and title == page:
                    title = line[2:].strip()
                elif line.startswith("## "):
                    waiting.clear()  # what the section has not checked stays unchecked
                elif (match := DIRECTIVE.match(line)) and match[1] == "proof" and found:
                    found[-1] = replace(found[-1], proven=True)
                elif match and match[1] in LISTED:
                    if match[1] in NEED_A_CHECK:
                        waiting.append(len(found))
                    found.append(Statement(match[1], match[2], _label(lines[number + 1 :])))
        elif CLAIM in cell.metadata.get("tags", []):
            line = _printed(cell)
            checked = _named(cell.source, found, page) or list(waiting)
            if not checked:
                others.append(line)
            for index in checked:
                found[index] = replace(found[index], check=line)
            waiting = [index for index in waiting if index not in checked]
    return Chapter(page, title, tuple(found), tuple(others))


def _named(source: str, found: Sequence[Statement], page: str) -> list[int]:
    """The statements, by their place among those found, that a claim cell says it checks."""
    labels = [label.strip() for names in CHECKS.findall(source) for label in names.split(",")]
    places = {statement.label: index for index, statement in enumerate(found)}
    if missing := [label for label in labels if label not in places]:
        raise DataError(
            f"{page}: a claim says `# checks {', '.join(labels)}`, but no statement before it has the label "
            f"{missing[0]!r}. Mend the comment or take it out."
        )
    return [places[label] for label in labels]


def unchecked(chapters: Iterable[Chapter]) -> list[str]:
    """Statements that need a check and have none, one line each."""
    return [
        f"{chapter.page}: the {s.kind} {s.title!r} has no check. Let a cell tagged `{CLAIM}` follow it in its section."
        for chapter in chapters
        for s in chapter.statements
        if s.kind in NEED_A_CHECK and not s.check
    ]


def pages(chapters: Sequence[Chapter], sources: Path, known: Iterable[str], tests: Path) -> Staged:
    """The pages "Claims" and "Sources", by their place in the book.

    Args:
        chapters: all chapters of the book.
        sources: the yaml file that says where each row of the sources is answered.
        known: all pages of the book, without suffix.
        tests: the folder of the library's tests.

    Raises:
        DataError: a statement has no check, or a row or a test names a place that does not exist.
    """
    if problems := unchecked(chapters):
        raise DataError("\n".join(problems))
    titles = dict.fromkeys(known, "")  # Sphinx then takes the page's own
    titles |= {chapter.page: chapter.title for chapter in chapters}
    return {
        "claims.md": claims_page(chapters, laws(tests, (Path(chapter.page).name for chapter in chapters))).encode,
        "sources.md": sources_page(read_sources(sources), titles, chapters, sources).encode,
    }


def claims_page(chapters: Sequence[Chapter], held: Sequence[Law]) -> str:
    """Where each claim is stated, whether it is proven there, what its check printed, and which tests hold it too."""
    statements = [s for chapter in chapters for s in chapter.statements if s.kind in NEED_A_CHECK]
    others = sum(len(chapter.other_checks) for chapter in chapters)
    lines = [
        "# Claims: where stated, proven, checked",
        "",
        f"This page is written when the book is built: {len(statements)} statements with a check each, and {others}",
        "checks of what the text says beside them. A check of a theory chapter is a cell that stops the build when it",
        "fails; an experiment's says what came out. The last column is what it printed. One cell may check several",
        "statements. A statement without a proof on its page is cited there.",
        "",
        f"A chapter's laws have to hold in the library, too: {len(held)} tests carry their chapter's name, and tell",
        "by their own what they hold. Those of one: `pytest -m 'chapter(name=\"07_training_dynamics\")' tests`.",
        "",
    ]
    for chapter in chapters:
        if not chapter.statements and not chapter.other_checks:
            continue
        lines += [f"## [{chapter.title}]({chapter.page}.ipynb)", ""]
        if chapter.statements:
            rows = [_row(statement) for statement in chapter.statements]
            lines += [_table(["stated", "what", "proven", "the check said"], rows), ""]
        if chapter.other_checks:
            lines += ["Also checked:", "", *(f"- {_plain(check)}" for check in chapter.other_checks), ""]
        lines += _held([law for law in held if law.chapter == Path(chapter.page).name])
    return "\n".join(lines)


def _held(held: Sequence[Law]) -> list[str]:
    """What a chapter's tests hold, a line a file."""
    if not held:
        return []
    files = groupby(held, key=lambda law: law.file)  # they come by file
    rows = (f"- `{file}`: {'; '.join(law.sentence for law in group)}" for file, group in files)
    return ["Held by tests:", "", *rows, ""]


def _row(statement: Statement) -> list[str]:
    proven = "here" if statement.proven else "cited" if statement.kind in NEED_A_CHECK else "–"
    where = f"{{prf:ref}}`{statement.label}`" if statement.label else statement.kind
    return [where, statement.title, proven, _plain(statement.check) or "–"]


def read_sources(path: Path) -> list[Mapping[str, Any]]:
    """The sources and their rows.

    Raises:
        DataError: the file is not a list of sources with ``name``, ``about`` and ``rows`` of ``asks`` and ``shown``.
    """
    import yaml

    try:
        sources = yaml.safe_load(path.read_text())
        for source in sources:
            if not {"name", "about"} <= set(source) or not all(
                set(row) == {"asks", "shown"} and isinstance(row["shown"], list) for row in source["rows"].values()
            ):
                raise TypeError
    except (yaml.YAMLError, AttributeError, KeyError, TypeError):
        raise DataError(
            f"{path} is not as expected: a list of sources with `name`, `about` and `rows`, each row with what it "
            "`asks` and the list of pages where that is `shown`."
        ) from None
    return list(sources)


def _found(rows: int, shown: int) -> str:
    if shown == rows:
        return f"Each of the {rows} things that they show, ask or leave open has its place here."
    return f"Of the {rows} things that they show, ask or leave open, {shown} have a place here; the others are *open*."


def sources_page(
    sources: Sequence[Mapping[str, Any]], titles: Mapping[str, str], chapters: Sequence[Chapter], path: Path
) -> str:
    """What the sources ask, row by row, the places in the book that show it, and what the checks there said.

    Args:
        sources: as `read_sources` returns them.
        titles: of all pages, by their place without suffix; where empty, the page's own is shown.
        chapters: all chapters of the book, with their statements and checks.
        path: of the file, for messages.

    Raises:
        DataError: a row names a page or a label that does not exist.
    """
    checks = {statement.label: statement.check for chapter in chapters for statement in chapter.statements}
    rows = [(name, row) for source in sources for name, row in source["rows"].items()]
    shown = sum(1 for _, row in rows if row["shown"])
    lines = [
        "# Sources: what they ask, where it is shown",
        "",
        "The book answers five texts on generative networks: a talk, a lecture, a tutorial, a bachelor's thesis and a",
        f"master's. {_found(len(rows), shown)}",
        "The last column is what the checks of the statements named said when the book was built, and how many checks",
        "the other pages hold ([all of them](claims.md)).",
        "",
    ]
    for source in sources:
        lines += [f"## {source['name']}", "", source["about"].strip(), ""]
        table = [
            [
                name,
                str(row["asks"]).strip(),
                "; ".join(_link(name, place, titles, checks, path) for place in row["shown"]) or "*open*",
                "; ".join(filter(None, (_checked(place, checks, chapters) for place in row["shown"]))) or "–",
            ]
            for name, row in source["rows"].items()
        ]
        lines += [_table(["row", "what", "shown in", "checked"], table), ""]
    return "\n".join(lines)


def _checked(place: str, checks: Mapping[str, str], chapters: Sequence[Chapter]) -> str:
    """What the check of a statement said; of a page, how many checks it holds; empty where it has none."""
    page, _, label = place.partition("#")
    if label:
        return _plain(checks[label])
    found = [chapter for chapter in chapters if chapter.page == page]
    count = sum(len({s.check for s in chapter.statements if s.check}) + len(chapter.other_checks) for chapter in found)
    return "" if not count else f"{count} check{'s' if count > 1 else ''} in {found[0].title}"


def _link(row: str, place: str, titles: Mapping[str, str], labels: Container[str], path: Path) -> str:
    """A link to a page, ``theory/01_minimax_game``, or to one of its statements, ``theory/01_minimax_game#thm-jsd``."""
    page, _, label = place.partition("#")
    if page not in titles or (label and label not in labels):
        what = f"the statement {label!r}" if page in titles else f"the page {page!r}"
        raise DataError(f"{path}, row {row}: {what} is not in the book. Mend or take out {place!r}.")
    suffix = ".ipynb" if page.startswith(("theory/", "experiments/")) else ".md"
    link = f"[{titles[page]}]({page}{suffix})"
    return f"{link}, {{prf:ref}}`{label}`" if label else link


def _label(lines: Sequence[str]) -> str:
    for line in lines:
        if match := LABEL.match(line):
            return match[1]
        if line.strip() and not line.startswith(":"):
            break
    return ""


def _printed(cell: NotebookNode) -> str:
    text = "".join(output.text for output in cell.outputs if output.output_type == "stream")
    return " / ".join(text.split("\n")).strip(" /")


def _plain(text: str) -> str:
    """Text of a terminal as text of a page: nothing in it is markup."""
    return re.sub(r"([\\`*_$<>\[\]{}|])", r"\\\1", text)


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)
