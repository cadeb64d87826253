"""The list of all pages beside each page, made once.

The theme resolves the whole tree of contents anew for every page, which was two thirds of the time of a build. Here it
does so for the first page; for the others only the addresses and the mark of the page itself are set.
"""

from __future__ import annotations

import copy
import posixpath
from collections.abc import Callable, Iterator
from typing import Any

from bs4 import BeautifulSoup, Tag
from sphinx.application import Sphinx

MARKS = {"current", "active"}


def neutral(tree: BeautifulSoup, page: str) -> BeautifulSoup:
    """The list as it stands beside a page, without the marks of that page and with names of pages as addresses."""
    tree = copy.copy(tree)
    for link in tree("a"):
        address = str(link["href"])
        here = posixpath.normpath(posixpath.join(posixpath.dirname(page), address)).removesuffix(".html")
        if ":" not in address:
            link["href"] = page if address == "#" else here
    for element in tree.select("a, li, ul"):
        element["class"] = [name for name in _classes(element) if name not in MARKS]
        if not element["class"]:
            del element["class"]
    for folded in tree("details"):
        folded.attrs.pop("open", None)
    return tree


def beside(tree: BeautifulSoup, page: str, address: Callable[[str], str]) -> str:
    """The list with the marks of a page. The tree is changed, written and changed back: a copy would take longer.

    Args:
        tree: from `neutral`.
        page: its name.
        address: from that page to one of another name.
    """
    before: list[tuple[Tag, dict[str, Any]]] = []

    def change(element: Tag, **attributes: object) -> None:
        before.append((element, dict(element.attrs)))
        element.attrs |= attributes

    for link in tree("a"):
        name = str(link["href"])
        if name == page:
            change(link, href="#")
            for element, attributes in _marks(link):
                change(element, **attributes)
        elif ":" not in name:
            change(link, href=address(name))
    text = str(tree)
    for element, attributes in reversed(before):
        element.attrs = attributes
    return text


def _marks(link: Tag) -> Iterator[tuple[Tag, dict[str, object]]]:
    """What changes where the page itself is listed, and what it lies under, unfolded."""
    yield link, {"class": ["current", *_classes(link)]}
    for parent in link.parents:
        if parent.name == "li":
            yield parent, {"class": [*_classes(parent), "current", "active"]}
            yield from ((folded, {"open": "open"}) for folded in parent("details", recursive=False))
        elif parent.name == "ul":
            yield parent, {"class": ["current", *_classes(parent)]}


def _classes(element: Tag) -> list[str]:
    """Beautiful Soup lists None for an element without any."""
    return [name for name in element.get_attribute_list("class") if name]


def offer(app: Sphinx, pagename: str, templatename: str, context: dict[str, Any], doctree: object) -> None:
    """``_templates/sbt-sidebar-nav.html`` asks for the list."""
    kept: dict[str, BeautifulSoup] = app.builder.__dict__.setdefault("contents_of_the_book", {})

    def contents(make: Callable[..., BeautifulSoup], **options: object) -> str:
        """The list for this page; `make` is the theme's own way."""
        if not kept:
            kept["tree"] = neutral(make(**options), pagename)
        return beside(kept["tree"], pagename, lambda name: app.builder.get_relative_uri(pagename, name))

    context["contents"] = contents


def setup(app: Sphinx) -> dict[str, bool]:
    """Register with Sphinx."""
    app.connect("html-page-context", offer, priority=100)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
