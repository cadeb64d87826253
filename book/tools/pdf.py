"""The built book as one PDF, printed by Chromium: `python -m book.tools.pdf`, after `make book`.

Pages are put one behind the other in reading order, links between them become links within the file, and what is folded
on a page is unfolded. The outline is made from the headings. Chromium cannot write the numbers of pages into a list of
contents, so they are printed once more by themselves and laid over it.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING

from bs4 import BeautifulSoup, Tag
from bs4.element import AttributeValueList

from book.tools.articles import article, mathematics, reading_order, redirect, title
from book.tools.build import Paths
from book.tools.stills import chromium
from ganbook.errors import DataError

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

TITLE, AUTHOR = "The GAN book", "The GAN book authors"
STYLES: tuple[str, ...] = (
    "styles/theme.css",
    "styles/pydata-sphinx-theme.css",
    "pygments.css",
    "styles/sphinx-book-theme.css",
)
STYLES += ("mystnb.*.css", "proof.css", "exercise.css", "sphinx-design.min.css", "book.css", "forms/print.css")
FOOTER = (
    '<div style="color: #555; font: 8px serif; width: 100%; text-align: center"><span class="pageNumber"></span></div>'
)
READY = "() => MathJax.startup.promise.then(() => document.fonts.ready).then(() => null)"
SAY = """() => {
  for (const formula of MathJax.startup.document.math) {
    formula.typesetRoot.querySelector("mjx-assistive-mml")?.remove();
    formula.typesetRoot.setAttribute("role", "img");
    formula.typesetRoot.setAttribute("aria-label", formula.math.trim());
  }
}"""
SHRINK = """() => {
  for (const table of document.querySelectorAll(".bd-article table")) {
    const around = table.parentElement, room = around.clientWidth;
    if (table.offsetWidth > room && room > 0) table.style.zoom = room / table.offsetWidth;
    const narrow = table.offsetWidth < 0.7 * room && table.rows[0]?.cells.length === 2 && !table.closest("details");
    if (narrow && table.rows.length > 14 && around.children.length === 1) around.classList.add("halves");
  }
  for (const formula of document.querySelectorAll(".bd-article mjx-container")) {
    const set = formula.querySelector("mjx-math"), room = formula.closest("p, li, td, div, dd").clientWidth;
    if (set && room > 0 && set.offsetWidth > room) formula.style.fontSize = `${(100 * room) / set.offsetWidth}%`;
  }
}"""
GALLERY, COMMANDS = "-runs.html", "results/reproduce.html"  # to be clicked through, and to be copied: not for paper
WIDEST = 9  # columns
LONG = 16  # lines of code that go over to the next page together
UNBROKEN = 24  # characters of code in a table's cell that need no place to break
WIDTH = 642  # pixels between the margins of A4
NUMBER = """numbers => {
  document.documentElement.classList.add("numbers-only");
  for (const link of document.querySelectorAll("nav.book-contents a"))
    link.nextElementSibling.textContent = numbers[link.hash.slice(1)];
}"""


def anchor(html: Path, page: Path) -> str:
    """The anchor of a page in the whole book."""
    return "page-" + str(page.relative_to(html).with_suffix("")).replace("/", "-")


def target(html: Path, page: Path, address: str) -> str:
    """Where a link of a page leads in the whole book; links to elsewhere stay."""
    path, _, fragment = address.partition("#")
    if ":" in path or (path and not path.endswith(".html")):
        return address
    there = _there(page, path)
    if not there.is_relative_to(html):
        return address
    return f"#{anchor(html, there)}" + (f"--{fragment}" if fragment else "")


def on_paper(html: Path, page: Path) -> bool:
    """Whether a page is printed: galleries of runs and the list of commands stay on the screen."""
    name = page.relative_to(html).as_posix()
    return not name.endswith(GALLERY) and name != COMMANDS


def chapter(html: Path, page: Path) -> Tag:
    """The article of a page, with anchors and addresses that hold in the whole."""
    text = article(page)
    prefix = anchor(html, page)
    for still in text.select("noscript"):
        if still.p is not None:
            still.p.decompose()  # "a still picture": on paper all are
        still.unwrap()
    for folded in text.select("details"):
        folded["open"] = ""
    for useless in text.select("source, label:has(input), input, select, button"):
        useless.decompose()
    known = set()
    for element in text.select("[id]"):
        if element["id"] in known:
            del element["id"]
        else:
            known.add(element["id"])
            element["id"] = f"{prefix}--{element['id']}"
    text["id"] = prefix
    for table in text.select("table"):
        turn(table)
    for code in text.select("td code"):
        loosen(code)
    for block in text.select("div.highlight"):
        if block.get_text().count("\n") <= LONG:
            block["class"] = AttributeValueList([*block.get_attribute_list("class"), "short"])
    for link in text.select("a[href]"):
        if not _leads_on(html, page, str(link["href"])):
            link.unwrap()  # to a file beside the pages, or to one that is not printed
    redirect(text, lambda link: target(html, page, link), lambda file: _picture(html, page, file))
    return text


def turn(table: Tag) -> None:
    """Set a table that is wide and low upright: paper has no scroll bar."""
    rows = [row.find_all(["th", "td"], recursive=False) for row in table.select("tr")]
    columns = len(rows[0]) if rows else 0
    if columns <= max(WIDEST, len(rows)) or any(len(row) != columns for row in rows):
        return
    upright = BeautifulSoup(features="html.parser").new_tag("tbody")
    for cells in zip(*rows, strict=True):
        row = BeautifulSoup(features="html.parser").new_tag("tr")
        row.extend(cell.extract() for cell in cells)
        upright.append(row)
    table.clear()
    table.append(upright)


def loosen(code: Tag) -> None:
    """Let a long word of code in a cell break behind its signs, so that it makes no column wide."""
    for word in code.find_all(string=lambda text: text is not None and len(text) > UNBROKEN):
        for piece in re.split(r"(?<=[,./_=])", word):
            word.insert_before(piece, BeautifulSoup(features="html.parser").new_tag("wbr"))
        word.extract()


def _leads_on(html: Path, page: Path, address: str) -> bool:
    path = address.partition("#")[0]
    if not path or ":" in path:
        return True
    there = _there(page, path)
    return path.endswith(".html") and (not there.is_relative_to(html) or on_paper(html, there))


def _there(page: Path, path: str) -> Path:
    """The page that a relative address of a page names; its own for an empty one."""
    return Path(os.path.normpath(page.parent / path)) if path else page


def _picture(html: Path, page: Path, source: str) -> str:
    """Its place under ``html``; of a moving picture the still one."""
    path = page.parent / source
    still = path.with_suffix(".png")
    return os.path.relpath(os.path.normpath(still if path.suffix == ".webp" and still.is_file() else path), html)


def parts(html: Path) -> dict[Path, str]:
    """The first page of each part of the book, and the part's name, as in the list beside the pages."""
    index = BeautifulSoup((html / "index.html").read_text(), "html.parser")
    found = {}
    for caption in index.select("nav.bd-links p.caption"):
        first = caption.find_next("a", class_="internal")
        if isinstance(first, Tag):
            found[html / str(first["href"])] = caption.get_text().strip()
    return found


def contents(html: Path, chapters: dict[Path, Tag]) -> str:
    """The list of contents, by parts; the numbers of pages are still missing."""
    captions = parts(html)
    lines = []
    for page, text in chapters.items():
        if page in captions:
            lines.append(f'<li class="part">{escape(captions[page])}</li>')
        lines.append(
            f'<li><a href="#{text["id"]}">{escape(title(text))}</a><span class="number">0</span></li>'
            if page != html / "index.html"
            else ""
        )
    return f'<nav class="book-contents"><h2>Contents</h2><ol>{"".join(lines)}</ol></nav>'


def whole(html: Path) -> str:
    """One HTML page with all chapters.

    Raises:
        DataError: the book is not built.
    """
    chapters = {page: chapter(html, page) for page in reading_order(html) if on_paper(html, page)}
    sheets = (file.relative_to(html) for name in STYLES for file in sorted((html / "_static").glob(name)))
    styles = "".join(f'<link rel="stylesheet" href="{sheet}">' for sheet in sheets)
    return f"""<!DOCTYPE html><html lang="en" data-theme="light"><head><meta charset="utf-8"><title>{TITLE}</title>
<base href="{html.resolve().as_uri()}/">{styles}<script>{mathematics(html)}</script>
<script defer src="_static/mathjax/tex-chtml-full.js"></script></head><body class="whole">
<header class="title"><img src="_static/logo.svg" alt=""><p class="name">{TITLE}</p><p>{AUTHOR}</p></header>
{contents(html, chapters)}
{"".join(str(text) for text in chapters.values())}</body></html>"""


def page_numbers(printed: Path) -> dict[str, int]:
    """On which page each article of a printed book begins, the first page being 1."""
    from pypdf import PdfReader

    reader = PdfReader(printed)
    found = {}
    for name, destination in reader.named_destinations.items():
        number = reader.get_destination_page_number(destination)
        if (name := name.lstrip("/")).startswith("page-") and "--" not in name and number is not None:
            found[name] = number + 1
    return found


def with_numbers(printed: Path, numbers: Path, out: Path) -> None:
    """Lay the printed numbers of the contents over it."""
    from pypdf import PdfReader, PdfWriter

    writer = PdfWriter(clone_from=printed)
    for page, over in zip(writer.pages, PdfReader(numbers).pages, strict=False):  # the contents come first
        page.merge_page(over)
    writer.add_metadata({"/Title": TITLE, "/Author": AUTHOR})
    writer.write(out)


@contextmanager
def browser() -> Iterator[Browser]:
    """Chromium, to print with.

    Raises:
        DataError: there is none on this machine.
    """
    from playwright.sync_api import sync_playwright

    executable, flags = chromium()
    if executable is None:
        raise DataError("There is no Chromium here to print with. On Debian and Ubuntu: apt install chromium")
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=executable, args=flags)
        yield started
        started.close()


@contextmanager
def open_whole(html: Path, browser: Browser) -> Iterator[Page]:
    """The whole book in Chromium, its formulas set; the file that it comes from is taken away afterwards.

    Raises:
        DataError: the book is not built.
    """
    source = html.parent / "whole.html"
    source.write_text(whole(html))
    page = browser.new_page(viewport={"width": WIDTH, "height": 1000})
    page.emulate_media(media="print")
    page.set_default_timeout(0)  # hundreds of pages
    page.goto(source.resolve().as_uri())
    page.evaluate(READY)
    yield page
    page.close()
    source.unlink()


def print_book(html: Path, browser: Browser, out: Path) -> None:
    """Write the PDF.

    Raises:
        DataError: the book is not built.
    """
    body, numbers = (out.with_suffix(suffix) for suffix in (".body.pdf", ".numbers.pdf"))
    with open_whole(html, browser) as page:
        page.evaluate(SHRINK)  # wide tables, to the width of the paper
        page.evaluate(SAY)  # a formula is one thing with its TeX as its words, not a hundred
        _print(page, body, footer=FOOTER, background=True)
        page.evaluate(NUMBER, page_numbers(body))
        _print(page, numbers, footer="<span></span>", background=False)
    with_numbers(body, numbers, out)
    body.unlink()
    numbers.unlink()


def _print(page: Page, out: Path, *, footer: str, background: bool) -> None:
    page.pdf(
        path=out,
        prefer_css_page_size=True,
        print_background=background,
        display_header_footer=True,
        header_template="<span></span>",
        footer_template=footer,
        outline=True,
        tagged=True,
    )


def main(arguments: Iterator[str]) -> None:
    """Print the book of a scale, `cpu` unless another is named."""
    html = Paths.at(next(arguments, "cpu")).index.parent
    out = html.parent / "ganbook.pdf"
    try:
        with browser() as chromium_here:
            print_book(html, chromium_here, out)
    except DataError as error:
        sys.exit(f"Error: {error}")
    print(f"The book is printed. Next: open {out}")


if __name__ == "__main__":
    main(iter(sys.argv[1:]))
