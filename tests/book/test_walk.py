"""The built book in a browser, from disk and without a network: every page, in both themes, on desk and telephone."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, Request

pytestmark = pytest.mark.xdist_group("walk")  # one worker loads the pages, once

SIZES = {"desk": (1280, 900), "telephone": (360, 740)}
THEMES = ("light", "dark")

LOADED = """async () => {
  await window.MathJax?.startup?.promise;
  if (document.querySelector("mjx-lazy")) MathJax.startup.document.lazyTypesetAll();  // a reader's come one by one
  while (document.documentElement.dataset.formulas !== "set") await new Promise((then) => setTimeout(then, 5));
  await document.fonts.ready;
  return {
    math: document.querySelectorAll('.math').length,
    typeset: document.querySelectorAll('.math mjx-container').length,
    mathErrors: [...document.querySelectorAll('mjx-merror, [data-mjx-error]')].map(e => e.textContent),
    fontErrors: [...document.fonts].filter(f => f.status === 'error').map(f => f.family),
    mathFonts: [...document.fonts].filter(f => f.family.startsWith('MJX') && f.status === 'loaded').length,
    brokenImages: [...document.images].filter(i => !(i.complete && i.naturalWidth)).map(i => i.src),
    noAlt: [...document.querySelectorAll('.bd-article img')].filter(i => !i.alt).map(i => i.src),
    ids: [...document.querySelectorAll('[id]')].map(e => e.id),
    links: [...document.links].map(a => a.href),
    solutions: document.querySelectorAll('.solution.dropdown').length,
  };
}"""

SHOWN = """async () => {
  await new Promise(drawn => requestAnimationFrame(() => requestAnimationFrame(drawn)));  // a new theme takes a frame
  return {
    excess: document.documentElement.scrollWidth - document.documentElement.clientWidth,
    theme: document.documentElement.dataset.theme,
  };
}"""


@dataclass
class Trouble:
    """What a page complained about, and whom it asked."""

    complaints: list[str] = field(default_factory=list)
    abroad: list[str] = field(default_factory=list)  # requests that leave the machine


@dataclass
class Visit:
    """What a page held once loaded, and how it stood at each (theme, size)."""

    held: dict[str, Any]
    shown: dict[tuple[str, str], dict[str, Any]]
    trouble: Trouble


class Watch:
    """Writes down what a tab complains about; after `new` for the page that it loads next."""

    def __init__(self, page: Page) -> None:
        self.trouble = Trouble()
        page.on("console", lambda m: self.complain(m.text) if m.type in ("error", "warning") else None)
        page.on("pageerror", lambda error: self.complain(str(error)))
        page.on("requestfailed", lambda request: self.complain(f"failed: {request.url}"))
        page.on("request", self.note)

    def complain(self, text: str) -> None:
        self.trouble.complaints.append(text)

    def note(self, request: Request) -> None:
        if not request.url.startswith(("file:", "data:", "blob:")):
            self.trouble.abroad.append(request.url)

    def new(self) -> Trouble:
        self.trouble = Trouble()
        return self.trouble


def pages(html: Path) -> list[Path]:
    found = sorted(page for page in html.rglob("*.html") if "_static" not in page.parts)
    assert html / "index.html" in found
    assert len(found) >= 5
    return found


WAYS = (
    ("light", "desk"),
    ("dark", "desk"),
    ("dark", "telephone"),
    ("light", "telephone"),
)  # one thing changes at a time


def visit(page: Page, watch: Watch, path: Path, ways: Sequence[tuple[str, str]]) -> Visit:
    """Loads the page once, in the first of the ways, in which the tab stands; then looks at it in the others.

    The theme follows what the reader's system asks for, so it can be asked for anew.
    """
    trouble = watch.new()
    page.goto(path.as_uri())
    held, shown = page.evaluate(LOADED), {}
    before = ways[0]
    for theme, size in ways:
        if theme != before[0]:
            page.emulate_media(color_scheme=theme)
        if size != before[1]:
            resize(page, size)
        shown[theme, size] = page.evaluate(SHOWN)
        before = theme, size
    return Visit(held, shown, trouble)


def resize(page: Page, size: str) -> None:
    width, height = SIZES[size]
    page.set_viewport_size({"width": width, "height": height})


@pytest.fixture(scope="module")
def visits(html, browser) -> dict[Path, Visit]:
    """All pages, one after the other in one tab: the browser then reads the scripts that all of them share once."""
    width, height = SIZES["desk"]
    context = browser.new_context(viewport={"width": width, "height": height}, color_scheme="light")
    context.set_default_timeout(120_000)  # machines of two cores are slow when busy
    page = context.new_page()
    watch = Watch(page)
    found = {}
    for number, path in enumerate(pages(html)):  # every other page is met on the telephone
        found[path] = visit(page, watch, path, WAYS[::-1] if number % 2 else WAYS)
    context.close()
    return found


def wrong(visits: dict[Path, Visit], html: Path, judge) -> dict[str, Any]:
    """The pages of which the judge has something to say."""
    return {str(path.relative_to(html)): found for path, visit in visits.items() if (found := judge(visit))}


def test_no_page_complains_or_asks_another_machine(visits, html):
    assert not wrong(visits, html, lambda v: v.trouble.complaints + v.trouble.abroad)


def test_all_mathematics_is_typeset_with_its_fonts(visits, html):
    def judge(visit):
        held = visit.held
        faults = [*held["mathErrors"], *held["fontErrors"]]
        if held["math"] != held["typeset"]:
            faults.append(f"{held['math'] - held['typeset']} formulas left as text")
        if held["math"] and not held["mathFonts"]:
            faults.append("no font for the mathematics")
        return faults

    assert not wrong(visits, html, judge)
    assert sum(visit.held["math"] for visit in visits.values()) > 0


def test_every_picture_is_there_and_has_words(visits, html):
    assert not wrong(visits, html, lambda v: v.held["brokenImages"] + v.held["noAlt"])


@pytest.mark.parametrize("theme", THEMES)
@pytest.mark.parametrize("size", SIZES)
def test_no_page_needs_scrolling_sideways(visits, html, size, theme):
    assert not wrong(visits, html, lambda v: max(0, v.shown[theme, size]["excess"]))


@pytest.mark.parametrize("theme", THEMES)
def test_pages_follow_the_theme_that_the_reader_asks_for(visits, html, theme):
    assert not wrong(visits, html, lambda v: [s for (t, _), s in v.shown.items() if t == theme and s["theme"] != theme])


def test_links_within_the_book_lead_somewhere(visits, html):
    """Every link to a page of the book, and to a place in it."""
    targets = {path: set(visit.held["ids"]) for path, visit in visits.items()}
    links = [(path, url) for path, visit in visits.items() for url in visit.held["links"]]
    dead = []
    for path, url in links:
        address, _, fragment = url.removeprefix("file://").partition("#")
        if not url.startswith("file:"):
            continue
        target = Path(address.partition("?")[0])
        if not target.is_file() or (fragment and target in targets and fragment not in targets[target]):
            dead.append((str(path.relative_to(html)), url))
    assert links
    assert not dead


def test_the_search_finds_a_word_from_disk(html, browser):
    page = browser.new_page()
    watch = Watch(page)
    page.goto((html / "search.html").as_uri() + "?q=discriminator")
    page.wait_for_selector("#search-results ul.search li a", timeout=15_000)
    assert page.locator("#search-results ul.search li").count() >= 2
    page.wait_for_timeout(500)  # excerpts would be fetched now
    assert watch.trouble == Trouble()
    page.close()


def test_solutions_unfold(visits, browser):
    path = next(path for path, visit in visits.items() if visit.held["solutions"])
    page = browser.new_page()
    page.goto(path.as_uri())
    solution = page.locator(".solution.dropdown").first
    content = solution.locator(".section, p").last
    before = content.is_visible()
    solution.locator("p.admonition-title, summary").first.click()
    page.wait_for_timeout(300)
    assert (before, content.is_visible()) == (False, True)
    page.close()
