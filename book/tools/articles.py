"""The built pages as material for the book's other forms: their order, their text, their links."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path

from bs4 import BeautifulSoup, Tag

from ganbook.errors import DataError

FURNITURE = ".headerlink, .page-tools, .widget-controls, script, button"
FOLDED_CODE = "details.hide.above-input"  # what draws a figure or checks a solution; its output stays
MATHEMATICS = re.compile(r"<script>window\.MathJax = (\{.*?\})</script>")


def reading_order(html: Path) -> Iterator[Path]:
    """The pages as their links to the next one lead through the book.

    Raises:
        DataError: the book is not built.
    """
    if not (html / "index.html").is_file():
        raise DataError(f"There are no pages under {html}. Build them with `make book`.")
    page: Path | None = html / "index.html"
    while page is not None:
        yield page
        found = re.search(r'<link rel="next"[^>]*href="([^"]+)"', page.read_text())
        page = Path(os.path.normpath(page.parent / found[1])) if found else None


def article(page: Path) -> Tag:
    """What stands on a page, without what only a screen needs.

    Raises:
        DataError: the page has no text; it was not built, or by something else.
    """
    found = BeautifulSoup(page.read_text(), "html.parser").select_one("article.bd-article") if page.is_file() else None
    if found is None:
        raise DataError(f"{page} has no article. Build the book anew with `make book`.")
    for element in found.select(FURNITURE):
        element.decompose()
    for folded in found.select(FOLDED_CODE):
        folded.replace_with(*(output.extract() for output in folded.select(".cell_output")))
    return found


def redirect(text: Tag, link: Callable[[str], str], file: Callable[[str], str]) -> None:
    """Let a page's links and pictures lead on from another place.

    Args:
        text: of the page, or a part of it.
        link: new address for the one of a link.
        file: new address for the one of a picture.
    """
    for element in text.select("a[href]"):
        element["href"] = link(str(element["href"]))
    for element in text.select("img[src]"):
        element["src"] = file(str(element["src"]))


def mathematics(html: Path) -> str:
    """The script that says which macros the pages' formulas use; pages without formulas do not have it.

    Of the pages' settings it leaves out that formulas wait until they are near the window.
    """
    for page in reading_order(html):
        if found := MATHEMATICS.search(page.read_text()):
            settings = json.loads(found[1])
            settings.pop("loader", None)
            return f"window.MathJax = {json.dumps(settings)}"
    return ""


def title(text: Tag) -> str:
    """The heading of a page."""
    heading = text.select_one("h1")
    return heading.get_text().strip() if heading else ""
