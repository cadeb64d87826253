"""What stands on every page beside its text, and what may not be missing there."""

import importlib.util
import json
import re
from pathlib import Path

import pytest
from docutils import nodes
from docutils.core import publish_doctree

from book.tools.measure import CHAPTER_MEGABYTES, SITE_MEGABYTES, weights

EXTENSIONS = Path(__file__).parent.parent.parent / "book" / "_extensions"


def extension(name: str):
    spec = importlib.util.spec_from_file_location(name, EXTENSIONS / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


furniture, docstrings, typography = extension("furniture"), extension("docstrings"), extension("typography")


def test_without_a_repository_nothing_leads_there():
    assert furniture.links("", "main", "notebooks/theory/07_training_dynamics.py") == []
    assert furniture.site("") == ""


def test_with_a_repository_a_chapter_opens_elsewhere_and_can_be_mended():
    found = furniture.links("https://github.com/Owner/name/", "main", "notebooks/theory/07_x.py")
    addresses = {label: url for label, url, _ in found}
    assert addresses == {
        "JupyterLab on Binder": "https://mybinder.org/v2/gh/Owner/name/main?urlpath=lab/tree/notebooks/theory/07_x.ipynb",
        "Colab": "https://colab.research.google.com/github/Owner/name/blob/main/notebooks/theory/07_x.ipynb",
        "edit": "https://github.com/Owner/name/edit/main/notebooks/theory/07_x.py",
        "report a mistake": "https://github.com/Owner/name/issues/new?title=Page%20notebooks/theory/07_x.py",
    }
    assert furniture.site("https://github.com/Owner/name") == "https://owner.github.io/name/"
    page = furniture.links("https://github.com/Owner/name", "main", "book/index.md")
    assert [label for label, _, _ in page] == ["edit", "report a mistake"]


def test_the_published_first_page_offers_the_other_forms():
    assert furniture.forms("") == []
    addresses = [url for _, url, _ in furniture.forms("https://owner.github.io/name/")]
    assert addresses[0] == "https://owner.github.io/name/ganbook.pdf"
    assert addresses[-1] == "https://owner.github.io/name/slides/index.html"


def test_only_what_is_read_from_front_to_back_says_how_long_that_takes():
    assert furniture.is_read("theory/01", "notebooks/theory/01.py") and furniture.is_read("course", "book/course.md")
    pages = {"results/wgan": "book/tools/pages.py", "glossary": "book/glossary.md", "results/thesis": "book/thesis.yml"}
    assert not any(furniture.is_read(page, origin) for page, origin in pages.items())


def test_a_page_to_look_things_up_in_counts_its_paragraphs_only():
    page = publish_doctree("word " * 600 + "\n\n" + "- entry\n" * 800)
    assert furniture.reading_time(page, whole=True) == "about 7 minutes to read"
    assert furniture.reading_time(page, whole=False) == "about 3 minutes to read, then to look things up in"


def test_a_path_in_a_signature_names_no_machine():
    here = f"(folder: Path = PosixPath('{docstrings.ROOT}/data/judges'), at: Path = PosixPath('/sys/class/powercap'))"
    told = "(folder: Path = Path('data/judges'), at: Path = Path('/sys/class/powercap'))"
    assert docstrings.plain_paths(here) == told


def test_formulas_in_docstrings_are_no_markup():
    (line,) = docstrings.protect(["the gap |x| of p_ and a*b, *not* `name` nor ``E|x|*y``"])
    assert docstrings.protect(["the **logits** of **options and 2**3"]) == [r"the **logits** of \*\*options and 2\*\*3"]
    assert line == r"the gap \|x\| of p\_ and a\*b, *not* ``name`` nor ``E|x|*y``"


def test_every_page_has_its_line_and_its_neighbours(html):
    origins = json.loads((html.parent / "source" / "pages.json").read_text())
    assert {"index", "theory/07_training_dynamics", "reference/cli", "practice/own_data"} <= set(origins)
    for name, origin in origins.items():
        text = (html / f"{name}.html").read_text()
        assert 'class="page-tools"' in text, name
        assert (" to read</li>" in text) == furniture.is_read(name, origin), name
        assert (" to read, then to look things up in</li>" in text) != furniture.is_read(name, origin), name
        assert 'class="prev-next-area"' in text, name
        assert text.count('data-made="once"') == 1, f"{name}: the theme made the list of pages, anew and slowly"
        if origin.startswith("notebooks/"):
            for suffix in (".py", ".ipynb"):
                root = "../" * name.count("/")
                file = Path(origin).with_suffix(suffix)
                assert (f'href="{root}{file}" download' in text) == (html / file).is_file(), (name, suffix)
        if not origin.startswith(("book/tools", "ganbook/")) and name not in PLAIN:
            assert "Before this:" in text, f"{name} does not say what it builds on"


PLAIN = {"index", "notation", "glossary", "bibliography", "claims", "sources"}  # read in any order


def test_pages_are_light(html):
    site, chapters = weights(html)
    assert site < SITE_MEGABYTES
    assert max(chapters.values()) < CHAPTER_MEGABYTES, chapters


WAITING = """document.addEventListener("DOMContentLoaded", () => MathJax.startup.promise.then(() => {
  window.waiting = document.querySelectorAll("mjx-lazy").length;
}))"""


def test_formulas_wait_at_first_and_all_of_them_are_set_by_themselves(html, browser):
    page = browser.new_page()
    page.add_init_script(WAITING)
    page.goto((html / "theory" / "05_wasserstein.html").as_uri())
    page.wait_for_function("document.documentElement.dataset.formulas === 'set'", timeout=120_000)
    assert page.evaluate("window.waiting") > 50
    assert page.locator("mjx-lazy").count() == 0
    page.close()


def test_a_citation_shows_its_entry(html, browser):
    page = browser.new_page()
    page.goto((html / "index.html").as_uri())
    page.locator('.bd-article a[href*="bibliography.html#"]').first.focus()
    preview = page.locator("#citation-preview")
    assert "Goodfellow" in preview.inner_text()
    page.keyboard.press("Escape")
    assert not preview.is_visible()
    page.close()


@pytest.mark.parametrize("word", ["discriminator", "дискриминатор", "дискримінатор", "дыскрымінатар"])
def test_the_search_finds_a_term_in_each_language(html, browser, word):
    page = browser.new_page()
    page.goto((html / "search.html").as_uri() + f"?q={word}")
    page.wait_for_selector("#search-results ul.search li a[href^='glossary.html']", timeout=60_000)
    page.close()


def test_a_moving_picture_can_be_stopped_and_keeps_still_where_asked(html, browser):
    for motion, first, second in (("no-preference", "walk.webp", "walk.png"), ("reduce", "walk.png", "walk.webp")):
        context = browser.new_context(reduced_motion=motion)
        page = context.new_page()
        page.goto((html / "index.html").as_uri())
        shown = "() => document.querySelector('.moving img').currentSrc"
        assert page.evaluate(shown).endswith(first)
        page.locator(".moving button").click()
        page.wait_for_function(f"({shown})().endsWith('{second}')")
        context.close()


def test_widgets_stand_in_their_chapters(html):
    """Seven in the chapters that explain them; the playground has them all."""
    named = re.compile(r'<figure class="widget" id="[^"]+" data-widget="(\w+)"')
    found = {name for page in (html / "theory").glob("*.html") for name in named.findall(page.read_text())}
    assert len(found) >= 6
    assert found <= set(named.findall((html / "playground.html").read_text()))


DRAWN = "nodes => nodes.map(node => node.innerHTML)"


def test_widgets_answer_to_the_keyboard(html, browser):
    page = browser.new_page(viewport={"width": 360, "height": 800})
    page.set_default_timeout(120_000)  # a busy machine
    errors = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.goto((html / "playground.html").as_uri())
    figures = page.locator("figure.widget").all()
    for figure in figures:
        shown = figure.locator(".widget-stage, .widget-readings")
        before = shown.evaluate_all(DRAWN)
        slider = figure.locator("input[type=range]").first
        slider.focus()
        page.keyboard.press("PageUp")
        page.keyboard.press("ArrowRight")
        assert shown.evaluate_all(DRAWN) != before, figure.get_attribute("id")
        assert slider.get_attribute("aria-valuetext") == figure.locator("output").first.inner_text()
    assert len(figures) >= 6
    assert errors == []
    page.close()


def test_without_scripts_a_widget_is_a_still_picture(html, browser):
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto((html / "playground.html").as_uri())
    stills = page.locator("figure.widget noscript img")
    assert stills.count() >= 6
    for still in stills.all():
        assert still.is_visible()
        assert still.get_attribute("alt")
        assert (html / still.get_attribute("src")).is_file()
    context.close()


@pytest.mark.parametrize(
    ("word", "page"),
    [
        ("Jensen", "theory/01_minimax_game"),
        ("Kantorovich", "theory/05_wasserstein"),
        ("Lipschitz", "theory/06_lipschitz"),
    ],
)
def test_the_search_finds_a_formula_by_its_name(html, browser, word, page):
    tab = browser.new_page()
    tab.goto((html / "search.html").as_uri() + f"?q={word}")
    tab.wait_for_selector(f"#search-results ul.search li a[href^='{page}']", timeout=60_000)
    tab.close()


def test_search_and_menus_are_reached_without_a_mouse(html, browser):
    page = browser.new_page(viewport={"width": 1280, "height": 800}, color_scheme="light")
    page.set_default_timeout(120_000)  # a busy machine
    page.goto((html / "practice" / "gpu.html").as_uri())
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent.trim()") == "Skip to main content"
    page.locator("article .theme-switch-button, .theme-switch-button").first.focus()
    before = page.evaluate("document.documentElement.dataset.mode")
    page.keyboard.press("Enter")
    assert page.evaluate("document.documentElement.dataset.mode") != before
    page.keyboard.press("Control+k")
    page.wait_for_function("document.activeElement.matches('#pst-search-dialog input[name=q]')")
    page.keyboard.type("discriminator")
    page.keyboard.press("Enter")
    page.wait_for_selector("#search-results ul.search li a")
    page.locator("#search-results ul.search li a").first.focus()
    page.keyboard.press("Enter")
    page.wait_for_selector("article.bd-article h1")
    assert "search.html" not in page.url
    page.close()


def test_on_a_telephone_the_contents_open_and_close_by_keyboard(html, browser):
    page = browser.new_page(viewport={"width": 360, "height": 740})
    page.set_default_timeout(120_000)  # a busy machine
    page.goto((html / "practice" / "gpu.html").as_uri())
    contents = page.locator(".bd-links a").first
    assert not contents.is_visible()
    page.locator(".primary-toggle").last.focus()
    page.keyboard.press("Enter")
    contents.wait_for(state="visible")
    page.keyboard.press("Escape")
    contents.wait_for(state="hidden")
    page.close()


def test_no_page_carries_the_environment_of_the_whole_book(html):
    """A page that Sphinx keeps between builds is about as large as what stands on it."""
    kept = {path: path.stat().st_size for path in (html.parent / ".doctrees").rglob("*.doctree")}
    assert kept
    assert max(kept.values()) < 2_500_000, max(kept, key=kept.__getitem__)


def test_a_formula_keeps_what_touches_it():
    page = publish_doctree("A set (:math:`a`, of :math:`b`-th :math:`c`\\ s), :math:`d` – :math:`e`.")
    typography.bind(None, page, "page")
    bound = [node.astext() for node in page.findall(nodes.inline) if "unbroken" in node["classes"]]
    assert bound == ["(a,", "b-t", "cs", "e."]
    assert page.astext() == "A set (a, of b-th cs), d – e."


def test_the_blank_before_a_link_in_a_title_is_not_underlined():
    title = nodes.title("", "Solution to", nodes.reference("", " Exercise 3"))
    typography.space(None, nodes.section("", title), "page")
    assert [child.astext() for child in title] == ["Solution to", " ", "Exercise 3"]
