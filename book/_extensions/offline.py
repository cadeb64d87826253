"""Keep the built pages to themselves: nothing is asked of another machine, and ``file://`` raises no errors.

What the theme would load on every page and no page uses is left out: a script that draws icons (``icons.css`` has those
that are shown) and the whole index of the search (its page has it).
"""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import Any

from pybtex.plugin import find_plugin, register_plugin
from sphinx.application import Sphinx
from sphinx.config import Config

UNUSED = re.compile(r'\s*<script[^>]*\bsrc="[^"]*(fontawesome|searchtools|language_data|searchindex)\.js\b.*?</script>')
IDLE: tuple[str, ...] = (
    "scripts/fontawesome.js",
    "vendor/fontawesome/webfonts/*.ttf",
)
IDLE += ("scripts/*.map", "styles/*.map")


def stay_local(app: Sphinx, config: Config) -> None:
    """Widget scripts would come from a CDN; MathJax is here, outside _static, whose scripts load on every page."""
    config.nb_ipywidgets_js = {}  # type: ignore[attr-defined]
    config.html_static_path.append("_vendor")
    config.templates_path.insert(0, "_templates")  # before the theme's own, whose order is not ours


def know_backends() -> None:
    """For each citation pybtex would look through all installed packages for the one that writes it."""
    for name in ("docutils", "plaintext"):
        register_plugin("pybtex.backends", name, find_plugin("pybtex.backends", name), force=True)


def lighten(head: str) -> str:
    """A page's head without the scripts that no page of the book needs."""
    return UNUSED.sub("", head)


def offer_lighten(app: Sphinx, pagename: str, templatename: str, context: dict[str, Any], doctree: object) -> None:
    """``_templates/layout.html`` calls it."""
    context["lighten"] = lighten


def drop_idle(app: Sphinx, error: Exception | None) -> None:
    """Files that lie beside the pages and that none of them names."""
    if error is None and app.builder.format == "html":
        for pattern in IDLE:
            for path in (Path(app.outdir) / "_static").glob(pattern):
                shutil.rmtree(path) if path.is_dir() else path.unlink()


def unplug_thebe(app: Sphinx) -> None:
    """Jupyter Book always loads sphinx-thebe, whose pages name a CDN; only its style sheet stays, which is a file."""
    for listeners in app.events.listeners.values():
        listeners[:] = [
            one
            for one in listeners
            if one.handler.__module__ != "sphinx_thebe" or one.handler.__name__ == "st_static_path"
        ]


def setup(app: Sphinx) -> dict[str, bool]:
    """Register with Sphinx; this extension comes last, when all others have registered theirs."""
    unplug_thebe(app)
    know_backends()
    app.connect("config-inited", stay_local, priority=900)
    app.connect("html-page-context", offer_lighten)
    app.connect("build-finished", drop_idle)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
