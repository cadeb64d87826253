"""What the built pages weigh and how soon a reader can use them, from disk: `python -m book.tools.measure`."""

from __future__ import annotations

import re
import sys
from pathlib import Path

from book.tools.build import Paths
from book.tools.stills import chromium

CHAPTER_MEGABYTES, SITE_MEGABYTES = 3.0, 60.0  # budgets; a chapter with its pictures, without the shared scripts
INTERACTIVE_SECONDS = 1.5  # budget on a quiet machine
CHAPTERS = ("theory", "experiments")
PICTURE = re.compile(r'<(?:img|source)[^>]*?(?:src|srcset)="([^"]+)"')
READY = """async () => {
  await (window.MathJax?.startup?.promise ?? Promise.resolve());
  const waits = (formula) => formula.checkVisibility() && formula.getBoundingClientRect().top < window.innerHeight;
  while ([...document.querySelectorAll("mjx-lazy")].some(waits)) await new Promise((then) => setTimeout(then, 50));
  await document.fonts.ready;
  return performance.now();
}"""


def weights(html: Path) -> tuple[float, dict[str, float]]:
    """Megabytes of the site, and of each chapter: the page and the pictures in it."""
    site = sum(file.stat().st_size for file in html.rglob("*") if file.is_file()) / 1e6
    chapters = {}
    for page in (page for part in CHAPTERS for page in sorted((html / part).glob("*.html"))):
        pictures = {page.parent / source for source in PICTURE.findall(page.read_text()) if ":" not in source}
        size = page.stat().st_size + sum(file.stat().st_size for file in pictures if file.is_file())
        chapters[str(page.relative_to(html))] = size / 1e6
    return site, chapters


def interactive(html: Path, pages: list[str]) -> dict[str, float]:
    """Seconds until each page has its fonts and the formulas in its window set, opened from disk in Chromium."""
    from playwright.sync_api import sync_playwright

    executable, flags = chromium()
    found = {}
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=executable, args=flags)
        for name in pages:
            tab = browser.new_page()
            tab.goto((html / name).resolve().as_uri())
            found[name] = float(tab.evaluate(READY)) / 1000
            tab.close()
        browser.close()
    return found


def main() -> None:
    """Print the measures of the book of a scale, `cpu` unless another is named."""
    html = Paths.at(sys.argv[1] if len(sys.argv) > 1 else "cpu").index.parent
    site, chapters = weights(html)
    times = interactive(html, list(chapters))
    for name, size in chapters.items():
        print(f"{size:6.2f} MB  {times[name]:5.2f} s  {name}")
    print(f"heaviest chapter {max(chapters.values()):.2f} MB (budget {CHAPTER_MEGABYTES:g} MB)")
    slowest, budget = max(times.values()), INTERACTIVE_SECONDS
    print(f"slowest chapter  {slowest:.2f} s until the formulas in its window are set (budget {budget:g} s)")
    print(f"whole site       {site:.1f} MB (budget {SITE_MEGABYTES:g} MB)")


if __name__ == "__main__":
    main()
