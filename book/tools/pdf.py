"""The built book as one PDF, printed by Chromium: `python -m book.tools.pdf`, after `make book`.

Pages are put one behind the other in reading order, links between them become links within the file, and what is folded
on a page is unfolded. The outline is made from the headings.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path

from bs4 import BeautifulSoup, Tag

from book.tools.build import Paths
from book.tools.stills import chromium
from ganbook.errors import DataError

FURNITURE = ".headerlink, .page-tools, .widget-controls, .moving button, script, button"
STYLES: tuple[str, ...] = (
    "styles/theme.css",
    "styles/pydata-sphinx-theme.css",
    "pygments.css",
    "styles/sphinx-book-theme.css",
)
STYLES += ("proof.css", "exercise.css", "sphinx-design.min.css", "book.css")
PRINT = """
@page { size: A4; margin: 20mm 18mm 22mm; }
html, body { background: #fff; font-size: 10pt; }
article { break-before: page; }
.bd-article pre { font-size: 7.4pt; white-space: pre-wrap; }
nav.contents { break-before: page; } nav.contents ol { list-style: none; padding-left: 1em; }
.title { padding-top: 60mm; text-align: center; } .title h1 { font-size: 34pt; }
.tag_hide-input > details > summary, details.hide > summary { display: none; }
.bd-article table { font-size: 8pt; overflow: visible; }
mjx-container[display="true"] { overflow: visible !important; }
"""


def reading_order(html: Path) -> Iterator[Path]:
    """The pages as their links to the next one lead through the book."""
    page: Path | None = html / "index.html"
    while page is not None:
        yield page
        found = re.search(r'<link rel="next"[^>]*href="([^"]+)"', page.read_text())
        page = Path(os.path.normpath(page.parent / found[1])) if found else None


def chapter(html: Path, page: Path) -> Tag:
    """The article of a page, with anchors and addresses that hold in the whole."""
    article = BeautifulSoup(page.read_text(), "html.parser").select_one("article.bd-article")
    if article is None:
        raise DataError(f"{page} has no article. Build the book anew with `make book`.")
    prefix = anchor(html, page)
    article["id"] = prefix
    for element in article.select(FURNITURE):
        element.decompose()
    for still in article.select("noscript"):
        still.unwrap()
    for folded in article.select("details"):
        folded["open"] = ""
    for element in article.select("[id]"):
        if element is not article:
            element["id"] = f"{prefix}--{element['id']}"
    for link in article.select("a[href]"):
        link["href"] = target(html, page, str(link["href"]))
    for source in article.select("source"):
        source.decompose()
    for picture in article.select("img[src]"):
        path = os.path.normpath(page.parent / str(picture["src"]))
        picture["src"] = os.path.relpath(path, html).replace("walk.webp", "walk.png")
    return article


def anchor(html: Path, page: Path) -> str:
    """The anchor of a page in the whole book."""
    return "page-" + str(page.relative_to(html).with_suffix("")).replace("/", "-")


def target(html: Path, page: Path, address: str) -> str:
    """Where a link of a page leads in the whole book; links to elsewhere stay."""
    path, _, fragment = address.partition("#")
    if ":" in path or (path and not path.endswith(".html")):
        return address
    there = Path(os.path.normpath(page.parent / path)) if path else page
    if not there.is_relative_to(html):
        return address
    return f"#{anchor(html, there)}" + (f"--{fragment}" if fragment else "")


def whole(html: Path) -> str:
    """One HTML page with all chapters, to be opened beside ``html``."""
    chapters = [chapter(html, page) for page in reading_order(html)]
    titles = [(article["id"], h1.get_text()) for article in chapters if (h1 := article.select_one("h1")) is not None]
    contents = "".join(f'<li><a href="#{name}">{title}</a></li>' for name, title in titles)
    styles = "".join(f'<link rel="stylesheet" href="_static/{name}">' for name in STYLES)
    config = re.search(r"<script>(window\.MathJax = .*?)</script>", (html / "reading.html").read_text())
    mathematics = config[1] if config else ""
    return f"""<!DOCTYPE html><html lang="en" data-theme="light"><head><meta charset="utf-8"><title>The GAN book</title>
<base href="{html.resolve().as_uri()}/">{styles}<style>{PRINT}</style><script>{mathematics}</script>
<script defer src="_static/mathjax/tex-chtml-full.js"></script></head><body>
<div class="title"><p>The GAN book authors</p><h1>The GAN book</h1></div>
<nav class="contents"><h2>Contents</h2><ol>{contents}</ol></nav>
{"".join(str(article) for article in chapters)}</body></html>"""


def print_book(html: Path, out: Path) -> None:
    """Write the PDF.

    Raises:
        DataError: the book is not built, or there is no Chromium on this machine.
    """
    from playwright.sync_api import sync_playwright

    executable, flags = chromium()
    if executable is None:
        raise DataError("There is no Chromium here to print with. On Debian and Ubuntu: apt install chromium")
    if not (html / "index.html").is_file():
        raise DataError(f"There are no pages under {html}. Build them with `make book`.")
    source = out.with_suffix(".html")
    source.write_text(whole(html))
    number = '<div style="font-size: 8px; width: 100%; text-align: center"><span class="pageNumber"></span></div>'
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=executable, args=flags)
        page = browser.new_page()
        page.set_default_timeout(0)
        page.goto(source.resolve().as_uri())
        page.evaluate("() => MathJax.startup.promise.then(() => document.fonts.ready).then(() => null)")
        page.pdf(
            path=out,
            prefer_css_page_size=True,
            print_background=True,
            display_header_footer=True,
            header_template="<span></span>",
            footer_template=number,
            outline=True,
            tagged=True,
        )
        browser.close()
    source.unlink()


if __name__ == "__main__":
    import sys

    HTML = Paths.at("cpu").index.parent
    try:
        print_book(HTML, HTML.parent / "ganbook.pdf")
    except DataError as error:
        sys.exit(f"Error: {error}")
    print(f"The book is printed. Next: open {HTML.parent / 'ganbook.pdf'}")
