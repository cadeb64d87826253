"""Pages put one behind the other: links and anchors hold in the whole, what is folded is open."""

from book.tools import pdf

HEAD = '<html><head>{}</head><body><article class="bd-article">{}</article></body></html>'


def book(tmp_path):
    (tmp_path / "theory").mkdir()
    (tmp_path / "index.html").write_text(
        HEAD.format(
            '<link rel="next" title="One" href="theory/one.html" />',
            '<h1>Front</h1><a href="theory/one.html#game">one</a> <a href="https://doi.org/1">out</a>',
        )
    )
    (tmp_path / "theory" / "one.html").write_text(
        HEAD.format(
            '<link rel="prev" title="Front" href="../index.html" />',
            '<h1>One<a class="headerlink" href="#game">#</a></h1><p id="game">text</p><a href="#game">here</a>'
            '<details><summary>solution</summary><img src="../_images/a.png" alt="a"></details>'
            '<details class="hide above-input"><summary>Show</summary><div class="cell_input">code</div>'
            '<div class="cell_output">measured</div></details>'
            '<a href="../index.html">up</a>',
        )
    )
    return tmp_path


def test_pages_come_in_reading_order(tmp_path):
    html = book(tmp_path)
    assert [page.name for page in pdf.reading_order(html)] == ["index.html", "one.html"]


def test_links_lead_within_the_whole(tmp_path):
    html = book(tmp_path)
    front, one = (pdf.chapter(html, page) for page in pdf.reading_order(html))
    assert front["id"] == "page-index"
    assert [a["href"] for a in front.select("a")] == ["#page-theory-one--game", "https://doi.org/1"]
    assert [a["href"] for a in one.select("a")] == ["#page-theory-one--game", "#page-index"]
    assert one.select_one("#page-theory-one--game") is not None
    assert one.select_one("details[open] img")["src"] == "_images/a.png"


def test_folded_code_is_left_out_and_what_it_printed_stays(tmp_path):
    html = book(tmp_path)
    text = pdf.chapter(html, html / "theory" / "one.html").get_text()
    assert "measured" in text and "code" not in text and "Show" not in text


def test_what_stays_on_the_screen_is_neither_printed_nor_linked(tmp_path):
    html = book(tmp_path)
    assert not pdf.on_paper(html, html / "results" / "reproduce.html")
    assert not pdf.on_paper(html, html / "results" / "wgan-runs.html")
    assert pdf.on_paper(html, html / "reference" / "api" / "reproduce.html")  # the module of that name
    body = '<h1>Four ways</h1><a href="reproduce.html">again</a> <a href="wgan-runs.html#r">runs</a>'
    body += '<a href="../reference/api/reproduce.html">module</a>'
    (html / "results").mkdir()
    (html / "results" / "wgan.html").write_text(HEAD.format("", body))
    text = pdf.chapter(html, html / "results" / "wgan.html")
    assert [a["href"] for a in text.select("a")] == ["#page-reference-api-reproduce"]
