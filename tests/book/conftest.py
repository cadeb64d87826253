"""One built book and one browser for all tests of the pages."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from filelock import FileLock
from playwright.sync_api import Browser, sync_playwright

from book.tools.build import Paths
from book.tools.stills import chromium

ROOT = Path(__file__).parent.parent.parent


@pytest.fixture(scope="session")
def html(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The book at scale smoke, through the same Snakefile; what is up to date is not made again."""
    shared = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        shared = shared.parent  # of all workers of this session; the first of them makes the book
    made = shared / "the-book-is-made"
    command = [sys.executable, "-m", "book.tools.batch", "book", "smoke"]
    with FileLock(shared / "html-of-tests.lock"):
        if not made.exists():
            result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
            assert result.returncode == 0, result.stdout + result.stderr
            made.touch()
    return (ROOT / Paths.at("smoke").index).parent


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    executable, flags = chromium()
    if executable is None:
        message = (
            "No Chromium on this machine, so nobody looked at the pages. On Debian and Ubuntu: apt install chromium"
        )
        if os.environ.get("CI"):
            pytest.fail(message)
        pytest.skip(message)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=executable, args=flags)
        yield browser
        browser.close()
