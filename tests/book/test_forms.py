"""Slides, PDF and EPUB out of a small built book: what stands where, and that a browser and an e-reader can open it."""

import zipfile
from datetime import datetime
from pathlib import Path
from xml.etree import ElementTree

import pytest
from bs4 import BeautifulSoup

from book.tools import epub, pdf, slides
from ganbook.errors import DataError

BOOK = Path(__file__).parent.parent.parent / "book"
MACROS = '<script>window.MathJax = {"tex": {"macros": {"E": "\\\\mathbb{E}"}}}</script>'
PARTS = '<p class="caption">Theory</p><ul><li><a class="internal" href="theory/one.html">One</a></li></ul>'
PAGE = """<html><head>{next}{macros}</head><body><nav class="bd-links">{parts}</nav>
<article class="bd-article"><section id="{name}">{body}</section></article></body></html>"""
THEORY = r"""<h1>One game<a class="headerlink" href="#one">#</a></h1>
<div class="tip admonition"><ul><li>two players</li></ul></div>
<section id="players"><h2>Players</h2><p>The value is</p>
<div class="math notranslate" id="equation-v"><span class="eqno">(1)</span>\[ V = \E[\log D] \]</div>
<div class="proof theorem admonition" id="thm"><p class="admonition-title">Theorem 1 (Best)</p>
<p>It is <span class="math">\(a < b\)</span>, see <a href="#equation-v">(1)</a>.</p></div>
<div class="proof admonition" id="proof"><p>Proof. Differentiate.</p></div>
<div class="cell tag_claim"><div class="cell_output"><div class="output stream"><pre>best: yes
</pre></div></div></div>
<figure id="fig"><img src="../_images/a.png" alt="a dot"><figcaption>A dot.</figcaption></figure>
<div class="exercise admonition" id="ex"><p class="admonition-title">Exercise 1</p><p>Why?</p></div>
<div class="solution dropdown admonition"><div class="math">\[ b > a \]</div></div></section>
<section id="used"><h2>Where this is used</h2><figure><img src="../_images/a.png" alt="again"></figure></section>
<p><a href="../index.html">up</a> <a href="one.ipynb">file</a> <a href="https://doi.org/1">out</a></p>"""


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """A book of two pages, as it would stand beside its scripts and styles."""
    html = tmp_path_factory.mktemp("forms") / "html"
    for folder in ("theory", "_images", "_static"):
        (html / folder).mkdir(parents=True)
    for name, source in {
        "mathjax": BOOK / "_vendor" / "mathjax",
        "reveal": BOOK / "_vendor" / "reveal",
        "forms": BOOK / "_assets" / "forms",
        "widgets": BOOK / "_assets" / "widgets",
        **{name: BOOK / "_static" / name for name in ("book.css", "favicon.svg", "logo.svg", "card.png")},
    }.items():
        (html / "_static" / name).symlink_to(source)
    (html / "_static" / "pygments.css").write_text("pre { color: black }")
    (html / "_images" / "a.png").write_bytes((BOOK / "_static" / "card.png").read_bytes())
    following = '<link rel="next" href="theory/one.html" />'
    front = '<h1>Front</h1><a href="theory/one.html#thm">the theorem</a>'
    (html / "index.html").write_text(PAGE.format(macros=MACROS, parts=PARTS, next=following, name="front", body=front))
    (html / "theory" / "one.html").write_text(PAGE.format(macros=MACROS, parts=PARTS, next="", name="one", body=THEORY))
    return html


def test_a_lecture_has_statements_with_checks_and_proofs_below_them(built):
    found = slides.slides(slides.article(built / "theory" / "one.html"))
    assert [slide.kind for slide in found] == ["opening", "formula", "statement", "figure", "exercise"]
    opening, formula, statement, *_ = found
    assert opening.heading == "One game"
    assert opening.content[0].get_text() == "two players"
    assert formula.content[0].get_text() == "The value is"
    assert statement.anchor == "thm"
    assert statement.checks == ["best: yes"]
    assert [below.kind for below in statement.below] == ["proof"]


def test_links_and_pictures_of_a_deck_lead_back_into_the_book(built):
    page = slides.write(built)
    deck = (page.parent / "one.html").read_text()
    assert 'src="../_images/a.png"' in deck
    assert 'href="../theory/one.html#equation-v"' in deck
    assert 'href="../theory/one.html#thm"' in deck
    assert '<a href="one.html">One game</a>' in page.read_text()


def test_a_deck_opens_sets_its_formulas_and_goes_on(built, browser):
    slides.write(built)
    page = browser.new_page(viewport={"width": 1280, "height": 720})
    page.set_default_timeout(120_000)  # a busy machine
    problems = []
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.on("requestfailed", lambda request: problems.append(request.url))
    page.goto((built / "slides" / "one.html").as_uri())
    page.wait_for_function("() => window.Reveal?.isReady?.()")
    assert page.locator("section.present h1").inner_text() == "One game"
    for _ in range(2):
        page.keyboard.press("ArrowRight")
    assert page.locator("section.present .checks li").inner_text() == "best: yes"
    assert page.locator("section.present mjx-container").count() == 1
    page.keyboard.press("ArrowDown")
    assert "Differentiate" in page.locator("section.present.proof").inner_text()
    assert problems == []
    page.close()


def test_an_e_reader_finds_every_page_picture_and_link(built, browser, tmp_path):
    out = tmp_path / "book.epub"
    epub.write(built, epub.texts(built, browser), out)
    with zipfile.ZipFile(out) as archive:
        first = archive.infolist()[0]
        assert (first.filename, first.compress_type) == ("mimetype", zipfile.ZIP_STORED)
        names = set(archive.namelist())
        trees = {
            name: ElementTree.fromstring(archive.read(name)) for name in names if name.endswith((".xhtml", ".opf"))
        }
    manifest = [f"book/{item.get('href')}" for item in trees["book/package.opf"].findall(".//{*}item")]
    assert {*manifest} == names - {"mimetype", "META-INF/container.xml", "book/package.opf"}
    assert len(manifest) == len({*manifest})
    one = trees["book/page-theory-one.xhtml"]
    assert len(list(one.iter("{http://www.w3.org/1998/Math/MathML}math"))) == 3
    assert "𝔼" in "".join(one.itertext())
    assert [img.get("alt") for img in one.findall(".//{*}img")] == ["a dot", "again"]
    for name, tree in trees.items():
        for link in (link for a in tree.findall(".//{*}a") if ":" not in (link := a.get("href"))):
            file, _, fragment = link.partition("#")
            there = trees[f"book/{file}"] if file else trees[name]
            assert not fragment or [e for e in there.iter() if e.get("id") == fragment], link


def test_the_package_names_the_pages_in_order_and_says_where_mathematics_is():
    opf = epub.package(
        {"contents.xhtml": "nav", "a.xhtml": "mathml"}, ["contents.xhtml", "a.xhtml"], datetime(2020, 1, 2)
    )
    tree = ElementTree.fromstring(opf)
    assert [item.get("properties") for item in tree.findall(".//{*}item")] == ["nav", "mathml"]
    assert [item.get("idref") for item in tree.findall(".//{*}itemref")] == ["f0", "f1"]
    assert "2020-01-02T00:00:00Z" in opf


def test_a_printed_book_says_on_which_page_a_chapter_begins(built, browser, tmp_path):
    reader = pytest.importorskip("pypdf", reason="pypdf is not installed").PdfReader
    out = tmp_path / "book.pdf"
    pdf.print_book(built, browser, out)
    printed = reader(out)
    title, contents, front, one, *_ = (page.extract_text() for page in printed.pages)
    assert "The GAN book" in title
    assert {"Theory", "One", "game", "4"} <= {*contents.split()}
    assert "Front" in front
    assert "Theorem 1 (Best)" in one
    assert [p.name for p in tmp_path.iterdir()] == ["book.pdf"]


def test_a_wide_table_stands_upright_on_paper():
    cells = "".join(f"<th>m{i}</th>" for i in range(12)), "".join(f"<td>{i}</td>" for i in range(12))
    soup = BeautifulSoup(
        f"<table><tr>{cells[0]}</tr><tr>{cells[1]}</tr></table><table><tr><td>1</td></tr></table>", "html.parser"
    )
    wide, low = soup.select("table")
    pdf.turn(wide)
    pdf.turn(low)
    assert [row.get_text() for row in wide.select("tr")] == [f"m{i}{i}" for i in range(12)]
    assert low.get_text() == "1"


def test_numbers_of_the_contents_stand_on_the_lines_of_their_chapters(built, browser, tmp_path):
    reader = pytest.importorskip("pypdf", reason="pypdf is not installed").PdfReader
    page = built / "theory" / "one.html"
    before = page.read_text()
    wide = '<div style="width: 1000px">wider than the paper</div></article>'
    page.write_text(before.replace("</article>", wide))
    try:
        pdf.print_book(built, browser, tmp_path / "book.pdf")
    finally:
        page.write_text(before)
    heights = {}

    def note(text, current, matrix, *_):
        if text.strip():
            height = matrix[5] * current[3] + current[5]
            heights.setdefault(text.strip(), height)

    reader(tmp_path / "book.pdf").pages[1].extract_text(visitor_text=note)
    assert heights["4"] == pytest.approx(heights["One game"], abs=2)


def test_on_paper_there_is_nothing_to_press_and_only_short_code_stays_whole(built):
    page = built / "theory" / "one.html"
    before = page.read_text()
    code = "<div class='highlight'><pre>" + "a\n" * 3 + "</pre></div><div class='highlight'><pre>" + "b\n" * 40
    pressed = "<label>share <input type='range'></label><button>again</button>"
    page.write_text(before.replace("</article>", f"{code}</pre></div>{pressed}</article>"))
    try:
        text = pdf.chapter(built, page)
    finally:
        page.write_text(before)
    assert [block["class"] for block in text.select("div.highlight")] == [["highlight", "short"], ["highlight"]]
    assert not text.select("input, button, label")


def test_galleries_of_runs_stay_on_the_screen(built):
    page, gallery = built / "theory" / "one.html", built / "theory" / "one-runs.html"
    before = page.read_text()
    following = '<link rel="next" href="one-runs.html" />'
    gallery.write_text(PAGE.format(macros=MACROS, parts=PARTS, next="", name="runs", body="<h1>Every run</h1>"))
    link = '<a href="one-runs.html">runs</a></article>'
    page.write_text(before.replace("<head>", f"<head>{following}").replace("</article>", link))
    try:
        book = pdf.whole(built)
    finally:
        page.write_text(before)
        gallery.unlink()
    assert "Every run" not in book and "one-runs" not in book
    assert "runs</article>" in book


def test_long_code_in_a_cell_may_break_behind_its_signs():
    soup = BeautifulSoup("<code><span>cpu/gan_mnist/loss-nonsaturating</span> <span>a,b</span></code>", "html.parser")
    pdf.loosen(soup.code)
    assert soup.code.get_text() == "cpu/gan_mnist/loss-nonsaturating a,b"
    assert len(soup.select("wbr")) == 4
    assert not soup.select("span")[1].select("wbr")


def test_forms_of_a_book_that_is_not_built_say_what_to_do(tmp_path):
    with pytest.raises(DataError, match="make book"):
        slides.write(tmp_path)
    with pytest.raises(DataError, match="make book"):
        pdf.whole(tmp_path)
