"""The still pictures that stand for the widgets where no script may run: `python -m book.tools.stills`.

They are taken from the built playground with Chromium, one PNG a widget, and committed.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from book.tools.build import BOOK, Paths

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
FLAGS = ["--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"]
FLAGS += ["--disable-component-update", "--disable-sync"]
WIDTH = 700  # pixels of the figure


def chromium() -> tuple[str | None, list[str]]:
    """The browser on this machine, if there is one, and the flags with which it asks nobody anything."""
    executable = next(filter(None, map(shutil.which, BROWSERS)), None)
    return executable, [*FLAGS, "--no-sandbox"] if os.geteuid() == 0 else FLAGS


def take(page: Path, folder: Path) -> list[Path]:
    """One picture of each widget's drawing on a built page."""
    from playwright.sync_api import sync_playwright

    executable, flags = chromium()
    taken = []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=executable, args=flags)
        tab = browser.new_page(viewport={"width": 1400, "height": 900}, color_scheme="light")
        tab.set_default_timeout(120_000)  # a busy machine
        tab.goto(page.resolve().as_uri())
        tab.add_style_tag(content=f".widget {{ width: {WIDTH}px }} .widget-controls {{ display: none !important }}")
        tab.wait_for_timeout(500)
        for figure in tab.locator("figure.widget").all():
            picture = folder / f"{figure.get_attribute('data-widget')}.png"
            figure.locator(".widget-body").screenshot(path=picture)
            taken.append(picture)
        browser.close()
    return taken


if __name__ == "__main__":
    for file in take(Paths.at("cpu").index.with_name("playground.html"), BOOK / "_assets" / "widgets"):
        print(file)
