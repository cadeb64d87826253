"""The built book in a browser, from disk and without a network: every page, in both themes, on desk and telephone."""

from dataclasses import dataclass, field
from pathlib import Path

import pytest
from playwright.sync_api import Page

SIZES = {"desk": (1280, 900), "telephone": (360, 740)}

STATE = """() => ({
  math: document.querySelectorAll('.math').length,
  typeset: document.querySelectorAll('.math mjx-container').length,
  mathErrors: [...document.querySelectorAll('mjx-merror, [data-mjx-error]')].map(e => e.textContent),
  fontErrors: [...document.fonts].filter(f => f.status === 'error').map(f => f.family),
  mathFonts: [...document.fonts].filter(f => f.family.startsWith('MJX') && f.status === 'loaded').length,
  brokenImages: [...document.images].filter(i => !(i.complete && i.naturalWidth)).map(i => i.src),
  noAlt: [...document.querySelectorAll('.bd-article img')].filter(i => !i.alt).map(i => i.src),
  width: document.documentElement.scrollWidth, room: document.documentElement.clientWidth,
  theme: document.documentElement.dataset.theme,
})"""


@dataclass
class Trouble:
    """What a page complained about, and whom it asked."""

    complaints: list[str] = field(default_factory=list)
    abroad: list[str] = field(default_factory=list)  # requests that leave the machine


def watch(page: Page) -> Trouble:
    trouble = Trouble()
    page.on("console", lambda m: trouble.complaints.append(m.text) if m.type in ("error", "warning") else None)
    page.on("pageerror", lambda error: trouble.complaints.append(str(error)))
    page.on("requestfailed", lambda request: trouble.complaints.append(f"failed: {request.url}"))
    page.on(
        "request", lambda r: None if r.url.startswith(("file:", "data:", "blob:")) else trouble.abroad.append(r.url)
    )
    return trouble


def pages(html: Path) -> list[Path]:
    found = sorted(page for page in html.rglob("*.html") if "_static" not in page.parts)
    assert html / "index.html" in found
    assert len(found) >= 5
    return found


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("size", SIZES)
def test_every_page_stands_by_itself(html, browser, size, theme):
    width, height = SIZES[size]
    context = browser.new_context(viewport={"width": width, "height": height}, color_scheme=theme)
    findings = {}
    mathematics = 0
    for path in pages(html):
        page = context.new_page()
        trouble = watch(page)
        page.goto(path.as_uri())
        page.evaluate("() => window.MathJax?.startup?.promise")
        page.evaluate("() => document.fonts.ready.then(() => null)")
        state = page.evaluate(STATE)
        mathematics += state["math"]
        wrong = {
            "complaints": trouble.complaints,
            "requests off the machine": trouble.abroad,
            "formulas left as text": state["math"] - state["typeset"],
            "formulas in error": state["mathErrors"],
            "fonts that did not load": state["fontErrors"],
            "no font for the mathematics": state["math"] > 0 and state["mathFonts"] == 0,
            "missing images": state["brokenImages"],
            "images without words": state["noAlt"],
            "pixels to scroll sideways": max(0, state["width"] - state["room"]),
            "other theme than asked for": state["theme"] != theme,
        }
        if found := {what: value for what, value in wrong.items() if value}:
            findings[str(path.relative_to(html))] = found
        page.close()
    context.close()
    assert not findings
    assert mathematics > 0


def test_links_within_the_book_lead_somewhere(html, browser):
    """Every link to a page of the book, and to a place in it."""
    context = browser.new_context()
    targets: dict[Path, set[str]] = {}
    links: list[tuple[Path, str]] = []
    for path in pages(html):
        page = context.new_page()
        page.goto(path.as_uri())
        targets[path] = set(page.evaluate("() => [...document.querySelectorAll('[id]')].map(e => e.id)"))
        links += [(path, url) for url in page.evaluate("() => [...document.links].map(a => a.href)")]
        page.close()
    context.close()
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
    trouble = watch(page)
    page.goto((html / "search.html").as_uri() + "?q=discriminator")
    page.wait_for_selector("#search-results ul.search li a", timeout=15_000)
    assert page.locator("#search-results ul.search li").count() >= 2
    page.wait_for_timeout(500)  # excerpts would be fetched now
    assert trouble == Trouble()
    page.close()


def test_solutions_unfold(html, browser):
    page = browser.new_page()
    for path in pages(html):
        page.goto(path.as_uri())
        solution = page.locator(".solution.dropdown").first
        if solution.count():
            content = solution.locator(".section, p").last
            before = content.is_visible()
            solution.locator("p.admonition-title, summary").first.click()
            page.wait_for_timeout(300)
            assert (before, content.is_visible()) == (False, True)
            break
    else:
        pytest.fail("no page has an exercise with a solution")
    page.close()
