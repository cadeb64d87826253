"""The built book for e-readers, EPUB 3: `python -m book.tools.epub`, after `make book`.

It holds the same pages in the same order as the PDF. MathJax reads the formulas in Chromium and writes them as MathML,
which e-readers set themselves; there are no scripts in the file.
"""

from __future__ import annotations

import re
import sys
import uuid
import zipfile
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from html import escape
from mimetypes import guess_type
from pathlib import Path
from typing import TYPE_CHECKING

from book.tools.build import Paths
from book.tools.pdf import AUTHOR, TITLE, anchor, browser, open_whole, parts
from ganbook.errors import DataError

if TYPE_CHECKING:
    from playwright.sync_api import Browser

CONTAINER = """<?xml version="1.0" encoding="UTF-8"?>
<container version="1.0" xmlns="urn:oasis:names:tc:opendocument:xmlns:container"><rootfiles>
<rootfile full-path="book/package.opf" media-type="application/oebps-package+xml"/></rootfiles></container>
"""
STYLES = ("pygments.css", "forms/epub.css")
COVER = "_static/card.png"
# letters of their own instead of the attribute mathvariant, which readers of MathML Core leave out
LETTERS = """
const ALPHABETS = {
  "double-struck": [0x1D538, 0x1D552, 0x1D7D8], "script": [0x1D49C, 0x1D4B6], "fraktur": [0x1D504, 0x1D51E],
  "bold": [0x1D400, 0x1D41A, 0x1D7CE], "bold-italic": [0x1D468, 0x1D482],
  "sans-serif": [0x1D5A0, 0x1D5BA, 0x1D7E2], "monospace": [0x1D670, 0x1D68A, 0x1D7F6] };
const OLDER = {
  "double-struck": { C: "ℂ", H: "ℍ", N: "ℕ", P: "ℙ", Q: "ℚ", R: "ℝ", Z: "ℤ" },
  "script": { B: "ℬ", E: "ℰ", F: "ℱ", H: "ℋ", I: "ℐ", L: "ℒ", M: "ℳ", R: "ℛ", e: "ℯ", g: "ℊ", o: "ℴ" },
  "fraktur": { C: "ℭ", H: "ℌ", I: "ℑ", R: "ℜ", Z: "ℨ" } };
function letter(variant, one) {
  if (OLDER[variant]?.[one]) return OLDER[variant][one];
  const kind = ["A", "a", "0"].findIndex((first, i) => one >= first && one <= ["Z", "z", "9"][i]);
  const start = ALPHABETS[variant][kind];
  return start ? String.fromCodePoint(start + one.charCodeAt(0) - "Aa0".charCodeAt(kind)) : one;
}
"""
ARTICLES = (
    f"() => {{{LETTERS}"
    + """
  const read = new DOMParser(), write = new XMLSerializer();
  for (const item of MathJax.startup.document.math) {
    const formula = read.parseFromString(MathJax.startup.toMML(item.root), "text/xml").documentElement;
    for (const node of [formula, ...formula.querySelectorAll("*")])
      for (const name of node.getAttributeNames()) if (name.startsWith("data-")) node.removeAttribute(name);
    for (const node of formula.querySelectorAll("[mathvariant]")) {
      const variant = node.getAttribute("mathvariant");
      if (!ALPHABETS[variant] || node.children.length) continue;
      node.textContent = [...node.textContent].map((one) => letter(variant, one)).join("");
      node.removeAttribute("mathvariant");
    }
    formula.setAttribute("alttext", item.math.trim());
    item.typesetRoot.replaceWith(document.importNode(formula, true));
  }
  return Object.fromEntries([...document.querySelectorAll("article.bd-article")].map(
    (article) => [article.id, [article.querySelector("h1").textContent.trim(), write.serializeToString(article)]]));
}"""
)


def texts(html: Path, browser: Browser) -> dict[str, tuple[str, str]]:
    """The articles by their anchors: title and text as XHTML, the formulas as MathML.

    Raises:
        DataError: the book is not built.
    """
    with open_whole(html, browser) as page:
        found: dict[str, tuple[str, str]] = page.evaluate(ARTICLES)
    return found


def relink(text: str) -> str:
    """Links within the whole become links between its files."""
    text = re.sub(r'href="#(page-[\w-]+?)(--[^"]*)?"', lambda m: f'href="{m[1]}.xhtml{_fragment(m[1], m[2])}"', text)
    return text.replace('aria-hidden="true" href', "href")


def _fragment(page: str, rest: str | None) -> str:
    return f"#{page}{rest}" if rest else ""


def document(name: str, body: str, *, head: str = "") -> str:
    """A file of the book."""
    links = "".join(f'<link rel="stylesheet" type="text/css" href="_static/{style}"/>' for style in STYLES)
    return f"""<?xml version="1.0" encoding="UTF-8"?>
<!DOCTYPE html>
<html xmlns="http://www.w3.org/1999/xhtml" xmlns:epub="http://www.idpf.org/2007/ops" lang="en" xml:lang="en">
<head><title>{escape(name)}</title>{links}{head}</head><body>{body}</body></html>
"""


def navigation(titles: Mapping[str, str], captions: Mapping[str, str]) -> str:
    """The list of contents that e-readers show.

    Args:
        titles: of the articles, by their anchors.
        captions: of the parts, by the anchors of their first articles.
    """
    lines, inside = [], False
    for name, title in titles.items():
        if name in captions:
            lines.append(("</ol></li>" if inside else "") + f"<li><span>{escape(captions[name])}</span><ol>")
            inside = True
        lines.append(f'<li><a href="{name}.xhtml">{escape(title)}</a></li>')
    listed = "\n".join(lines) + ("</ol></li>" if inside else "")
    return document("Contents", f'<nav epub:type="toc" id="toc"><h1>Contents</h1><ol>{listed}</ol></nav>')


def package(files: Mapping[str, str], order: list[str], modified: datetime) -> str:
    """The list of all files and the order in which they are read.

    Args:
        files: properties of each file besides this one, empty for most.
        order: files that are read one after the other.
        modified: when the book was made.
    """
    ids = {name: f"f{i}" for i, name in enumerate(files)}
    items = []
    for name, properties in files.items():
        kind = "application/xhtml+xml" if name.endswith(".xhtml") else guess_type(name)[0]
        stated = f' properties="{properties}"' if properties else ""
        items.append(f'<item id="{ids[name]}" href="{escape(name)}" media-type="{kind}"{stated}/>')
    spine = "".join(f'<itemref idref="{ids[name]}"/>' for name in order)
    return f"""<?xml version="1.0" encoding="UTF-8"?>
<package xmlns="http://www.idpf.org/2007/opf" version="3.0" unique-identifier="id" xml:lang="en">
<metadata xmlns:dc="http://purl.org/dc/elements/1.1/">
<dc:identifier id="id">urn:uuid:{uuid.uuid5(uuid.NAMESPACE_URL, "ganbook")}</dc:identifier>
<dc:title>{TITLE}</dc:title><dc:language>en</dc:language><dc:creator>{AUTHOR}</dc:creator>
<dc:rights>Text under CC BY 4.0, code under the MIT licence.</dc:rights>
<meta property="dcterms:modified">{modified:%Y-%m-%dT%H:%M:%SZ}</meta>
</metadata>
<manifest>{"".join(items)}</manifest>
<spine>{spine}</spine></package>
"""


def write(html: Path, articles: Mapping[str, tuple[str, str]], out: Path) -> None:
    """Put the articles, their pictures and what e-readers need to know into one file.

    Raises:
        DataError: a picture of an article is not among the built pages.
    """
    captions = {anchor(html, page): caption for page, caption in parts(html).items()}
    pages = {f"{name}.xhtml": document(title, relink(text)) for name, (title, text) in articles.items()}
    titles = {name: title for name, (title, _) in articles.items()}
    sources = {source for _, text in articles.values() for source in re.findall(r'<img[^>]*? src="([^"]+)"', text)}
    pictures = sorted(sources | {COVER})
    for picture in pictures:
        if not (html / picture).is_file():
            raise DataError(f"The picture {picture} is not under {html}. Build the book anew with `make book`.")
    files = {"contents.xhtml": "nav", COVER: "cover-image"}
    files |= {f"_static/{style}": "" for style in STYLES}
    files |= {name: "mathml" if "<math" in text else "" for name, text in pages.items()}
    files |= {picture: "" for picture in pictures if picture != COVER}
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("mimetype", "application/epub+zip", zipfile.ZIP_STORED)
        archive.writestr("META-INF/container.xml", CONTAINER)
        archive.writestr("book/package.opf", package(files, ["contents.xhtml", *pages], datetime.now(UTC)))
        archive.writestr("book/contents.xhtml", navigation(titles, captions))
        for name, text in pages.items():
            archive.writestr(f"book/{name}", text)
        for name in files:
            if name not in pages and name != "contents.xhtml":
                archive.write(html / name, f"book/{name}")


def main(arguments: Iterator[str]) -> None:
    """Write the EPUB of the book of a scale, `cpu` unless another is named."""
    html = Paths.at(next(arguments, "cpu")).index.parent
    out = html.parent / "ganbook.epub"
    try:
        with browser() as chromium:
            articles = texts(html, chromium)
        write(html, articles, out)
    except DataError as error:
        sys.exit(f"Error: {error}")
    print(f"The book for e-readers is written. Next: open {out}")


if __name__ == "__main__":
    main(iter(sys.argv[1:]))
