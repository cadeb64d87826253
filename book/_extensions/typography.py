"""Small corrections of what stands in a line."""

from __future__ import annotations

import re
from collections.abc import Callable

from docutils import nodes
from sphinx.application import Sphinx

BEFORE, AFTER = re.compile(r"[^\s–—-]$"), re.compile(r"-?[^\s–—]")  # what touches a formula


def bind(app: Sphinx, doctree: nodes.document, docname: str) -> None:
    """Lay formula and what touches it into one span that is not broken.

    Browsers may break a line on both sides of a formula: one began with the comma behind it, one ended with a bracket.
    """
    for formula in [*doctree.findall(nodes.math)]:
        place = formula.parent
        at = place.index(formula)
        before = _text(place, at - 1, BEFORE.search)
        after = _text(place, at + 1, AFTER.match)
        if not before and not after:
            continue
        bound = nodes.inline("", "", classes=["unbroken"])
        place[at] = bound
        if after:
            place[at + 1] = nodes.Text(after.string[after.end() :])
        if before:
            place[at - 1] = nodes.Text(before.string[: before.start()])
        bound += [nodes.Text(before[0])] if before else []
        bound += formula
        bound += [nodes.Text(after[0])] if after else []


def space(app: Sphinx, doctree: nodes.document, docname: str) -> None:
    """sphinx-exercise puts the blank of "Solution to Exercise 3" into the link, which is underlined."""
    for link in [*doctree.findall(nodes.reference)]:
        first = link[0] if len(link) else None
        if isinstance(link.parent, nodes.title) and isinstance(first, nodes.Text) and first.startswith(" "):
            link[0] = nodes.Text(first.lstrip())
            link.parent.insert(link.parent.index(link), nodes.Text(" "))


def _text(place: nodes.Element, at: int, look: Callable[[str], re.Match[str] | None]) -> re.Match[str] | None:
    """What is found in a neighbour, if that is text."""
    neighbour = place[at] if 0 <= at < len(place) else None
    return look(neighbour.astext()) if isinstance(neighbour, nodes.Text) else None


def setup(app: Sphinx) -> dict[str, bool]:
    """Register with Sphinx."""
    app.connect("doctree-resolved", bind)
    app.connect("doctree-resolved", space)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
