"""The list of pages, made once and marked for each page, is what the theme makes for that page."""

import importlib.util
from pathlib import Path

from bs4 import BeautifulSoup

ROOT = Path(__file__).parent.parent.parent
spec = importlib.util.spec_from_file_location("contents", ROOT / "book" / "_extensions" / "contents.py")
contents = importlib.util.module_from_spec(spec)
spec.loader.exec_module(contents)

ON_INDEX = """
<ul class="nav bd-sidenav">
<li class="toctree-l1"><a class="reference internal" href="reading.html">How</a></li>
<li class="toctree-l1 has-children"><a class="reference internal" href="results/index.html">Results</a>
<details><summary></summary><ul>
<li class="toctree-l2"><a class="reference internal" href="results/wgan.html">Four ways</a></li>
</ul></details></li>
<li><a class="reference external" href="https://doi.org/1">out</a></li></ul>"""
ON_WGAN = """
<ul class="current nav bd-sidenav">
<li class="toctree-l1"><a class="reference internal" href="../reading.html">How</a></li>
<li class="toctree-l1 current active has-children"><a class="reference internal" href="index.html">Results</a>
<details open="open"><summary></summary><ul class="current">
<li class="toctree-l2 current active"><a class="current reference internal" href="#">Four ways</a></li>
</ul></details></li>
<li><a class="reference external" href="https://doi.org/1">out</a></li></ul>"""


def parts(html: str) -> list[tuple[str, frozenset[str], str | None, bool]]:
    return [
        (tag.name, frozenset(tag.get("class", [])), tag.get("href"), tag.has_attr("open"))
        for tag in BeautifulSoup(html, "html.parser").find_all()
    ]


def address(page: str, name: str) -> str:
    return ("../" * page.count("/") + f"{name}.html").replace("../results/", "")


def test_a_list_made_for_one_page_serves_all_others():
    for page, html in {"index": ON_INDEX, "results/wgan": ON_WGAN}.items():
        tree = contents.neutral(BeautifulSoup(html, "html.parser"), page)
        marked = contents.beside(tree, "results/wgan", lambda name: address("results/wgan", name))
        assert parts(marked) == parts(ON_WGAN)
        assert parts(contents.beside(tree, "index", lambda name: address("index", name))) == parts(ON_INDEX)


def test_every_page_is_marked_in_its_own_list(html):
    pages = [page for page in html.rglob("*.html") if not {"_static", "slides"} & {*page.relative_to(html).parts}]
    for page in pages:
        _, _, text = page.read_text().partition('<nav class="bd-links')
        listed = text.partition("</nav>")[0]
        assert listed.count('href="#"') == (page.name not in ("index.html", "search.html") or page.parent != html), page
        assert listed.count('class="reference internal"') > 50
