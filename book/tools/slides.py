"""Slides for lecturers out of the built theory chapters: `python -m book.tools.slides`, after `make book`.

One deck a chapter, for reveal.js, which lies beside the pages. A deck holds what a lecture writes on the board, in the
chapter's own words: what the chapter is about, its statements with what their checks printed, its formulas, figures and
exercises. To the right goes the lecture; below a statement lies its proof. Figures that move on the pages move here.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from html import escape
from pathlib import Path

from bs4 import BeautifulSoup, Tag

from book.tools.articles import article, mathematics, reading_order, redirect, title
from book.tools.build import Paths
from ganbook.errors import DataError

FOLDER, PART = "slides", "theory"
ENDS = ("Where this is used",)  # sections that are for reading
BLOCKS = "div.proof, figure, div.math, div.tag_claim, div.exercise, table"
WIDGETS = ("maths.js", "kit.js", "picture.js", "widgets.js")


@dataclass
class Slide:
    """One slide: its heading, where in the chapter it comes from, what stands on it, and the slides below it."""

    heading: str
    anchor: str
    content: list[Tag]
    kind: str
    checks: list[str] = field(default_factory=list)
    below: list[Slide] = field(default_factory=list)


def slides(text: Tag) -> list[Slide]:
    """The slides of a chapter, in its order.

    Args:
        text: the chapter's article, links and pictures already leading on from the slides' folder.
    """
    found = [_opening(text)]
    for section in text.select("section"):
        heading = section.find("h2", recursive=False)
        if isinstance(heading, Tag) and heading.get_text() not in ENDS:
            found += section_slides(heading.get_text().strip(), section)
    return found


def section_slides(heading: str, section: Tag) -> list[Slide]:
    """The slides of one section; a proof goes below what it proves, a check onto it."""
    found: list[Slide] = []
    for block in _outermost(section.select(BLOCKS)):
        if block.find_parent(class_="solution"):
            continue
        classes = block.get_attribute_list("class")
        anchor = str(block.get("id") or section["id"])
        if "tag_claim" in classes:
            printed = [out.get_text().strip() for out in block.select(".cell_output .output.stream")]
            if not found or found[-1].kind == "exercise":
                found.append(Slide(heading, anchor, [], "check"))
            found[-1].checks += [line for text in printed for line in text.splitlines()]
        elif "proof" in classes and not block.select_one(".admonition-title"):
            if found and found[-1].kind == "statement":
                found[-1].below.append(Slide(f"{heading}: proof", found[-1].anchor, [block], "proof"))
        elif "proof" in classes or "exercise" in classes:
            found.append(Slide(heading, anchor, [block], "exercise" if "exercise" in classes else "statement"))
        elif block.name == "figure":
            found.append(Slide(heading, anchor, [block], "figure"))
        else:
            before = block.find_previous_sibling()
            words = [before] if isinstance(before, Tag) and before.name == "p" else []
            found.append(Slide(heading, anchor, [*words, block], "formula" if block.name == "div" else "table"))
    return found


def _outermost(blocks: Sequence[Tag]) -> Iterator[Tag]:
    """Those that lie in no other one."""
    chosen = {id(block) for block in blocks}
    return (block for block in blocks if not any(id(parent) in chosen for parent in block.parents))


def _opening(text: Tag) -> Slide:
    """The chapter's title and what it says that it is about."""
    about = text.select_one("div.tip ul, div.admonition ul")
    return Slide(title(text), str(text.section["id"]) if text.section else "", [about] if about else [], "opening")


def deck(html: Path, page: Path) -> str:
    """The slides of one page of the book as a page that reveal.js shows.

    Raises:
        DataError: there is no such page.
    """
    text = article(page)
    chapter = os.path.relpath(page, html / FOLDER)
    redirect(text, lambda link: _beside(html, page, link), lambda file: _beside(html, page, file))
    shown = slides(text)
    written = "\n".join(_stack(slide, chapter) for slide in shown)
    scripts = "".join(f'<script defer src="../_static/widgets/{name}"></script>' for name in WIDGETS)
    moving = scripts if text.select_one("figure.widget") else ""
    return _page(title(text), f'<div class="reveal"><div class="slides">\n{written}\n</div></div>', html, moving)


def _beside(html: Path, page: Path, address: str) -> str:
    """An address on a page, as it reads in the slides' folder."""
    path, mark, fragment = address.partition("#")
    if ":" in path:
        return address
    return os.path.relpath(page.parent / path if path else page, html / FOLDER) + mark + fragment


def _stack(slide: Slide, chapter: str) -> str:
    """A slide with those below it."""
    if not slide.below:
        return _section(slide, chapter)
    return "<section>" + "".join(_section(one, chapter) for one in (slide, *slide.below)) + "</section>"


def _section(slide: Slide, chapter: str) -> str:
    level = "h1" if slide.kind == "opening" else "h2"
    for element in (inner for block in slide.content for inner in (block, *block.select("[id]"))):
        if not str(element.get("id", "")).startswith("widget-"):
            element.attrs.pop("id", None)  # an address with a # names a slide here
    checks = "".join(f"<li>{escape(line)}</li>" for line in slide.checks)
    return (
        f'<section class="{slide.kind}"><{level}>{escape(slide.heading)}</{level}>'
        f'<div class="board">{"".join(map(str, slide.content))}'
        + (f'<ul class="checks" aria-label="Checked by the chapter’s code">{checks}</ul>' if checks else "")
        + f'</div><p class="source"><a href="{chapter}#{slide.anchor}">in the chapter</a></p></section>'
    )


def _page(name: str, body: str, html: Path, scripts: str) -> str:
    return f"""<!DOCTYPE html>
<html lang="en" data-theme="light"><head><meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{escape(name)} (slides)</title><link rel="icon" href="../_static/favicon.svg">
<link rel="stylesheet" href="../_static/reveal/reset.css"><link rel="stylesheet" href="../_static/reveal/reveal.css">
<link rel="stylesheet" href="../_static/book.css"><link rel="stylesheet" href="../_static/forms/slides.css">
<script>{mathematics(html)}</script>
<script defer src="../_static/mathjax/tex-chtml-full.js"></script>{scripts}
<script defer src="../_static/reveal/reveal.js"></script><script defer src="../_static/forms/slides.js"></script>
</head><body>
{body}
</body></html>
"""


def index(decks: dict[str, str]) -> str:
    """The page that lists the decks, by their file names and titles."""
    lines = "".join(f'<li><a href="{file}">{escape(name)}</a></li>' for file, name in decks.items())
    return f"""<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>Slides of the GAN book</title><link rel="icon" href="../_static/favicon.svg">
<link rel="stylesheet" href="../_static/forms/slides.css"></head><body class="decks"><main>
<h1>Slides</h1><p>One deck a chapter of the theory part. Arrow keys: to the right goes the lecture, down lies the proof.
Escape shows all slides at once, F fills the screen. To print a deck, add <code>?print-pdf</code> to its address.</p>
<ol>{lines}</ol><p><a href="../index.html">The book</a></p></main></body></html>
"""


def write(html: Path) -> Path:
    """Write a deck for each chapter of the theory part, and the page that lists them; that page is returned.

    Raises:
        DataError: the book is not built.
    """
    pages = [page for page in reading_order(html) if page.parent.name == PART]
    folder = html / FOLDER
    folder.mkdir(exist_ok=True)
    names = {}
    for page in pages:
        text = deck(html, page)
        (folder / page.name).write_text(text)
        names[page.name] = BeautifulSoup(text, "html.parser").select_one("h1").get_text()  # type: ignore[union-attr]
    (folder / "index.html").write_text(index(names))
    return folder / "index.html"


def main(arguments: Iterator[str]) -> None:
    """Write the slides of the book of a scale, `cpu` unless another is named."""
    try:
        page = write(Paths.at(next(arguments, "cpu")).index.parent)
    except DataError as error:
        sys.exit(f"Error: {error}")
    print(f"The slides are written. Next: open {page}")


if __name__ == "__main__":
    main(iter(sys.argv[1:]))
