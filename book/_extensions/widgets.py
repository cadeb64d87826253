"""The directives ``widget`` and ``moving``: figures that answer to sliders, and pictures that move.

    ```{widget} dirac
    :alt: What a still picture of it shows, for a reader without scripts.

    The caption, as a figure's.
    ```

The scripts in ``_assets/widgets`` draw a widget in the browser, without a kernel; only pages with a widget load them
(what lies in ``_static`` is loaded on every page). Without JavaScript a still stands in its place: ``NAME.png`` beside
the scripts, made by ``book.tools.stills``.
"""

from __future__ import annotations

import html
from typing import Any, ClassVar

from docutils import nodes
from docutils.parsers.rst import directives
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

SCRIPTS = ("maths.js", "kit.js", "picture.js", "widgets.js")


class Widget(SphinxDirective):
    """One widget by its name in ``widgets.js``; the content is the caption."""

    required_arguments = 1
    has_content = True
    option_spec: ClassVar[dict[str, Any]] = {"alt": directives.unchanged_required}

    def run(self) -> list[nodes.Node]:
        """A figure whose body a script fills."""
        (name,) = self.arguments
        if not (alt := self.options.get("alt")) or not self.content:
            raise self.error(f"The widget {name} needs a caption and :alt:, the words for its still picture.")
        self.env.metadata[self.env.docname]["widgets"] = True
        root = "../" * self.env.docname.count("/")
        still = f'<img src="{root}_static/widgets/{name}.png" alt="{html.escape(alt)}">'
        head = (
            f'<figure class="widget" id="widget-{name}" data-widget="{name}"><div class="widget-body">'
            f"<noscript>{still}<p>A still picture: this figure moves where JavaScript is allowed.</p></noscript>"
            "</div><figcaption>"
        )
        caption = nodes.container(classes=["widget-caption"])
        self.state.nested_parse(self.content, self.content_offset, caption)
        opening, closing = (nodes.raw("", text, format="html") for text in (head, "</figcaption></figure>"))
        return [opening, caption, closing]


class Moving(SphinxDirective):
    """A picture that moves, ``_static/NAME.webp``; still, ``NAME.png``, for those who asked for less motion."""

    required_arguments = 1
    has_content = True
    option_spec: ClassVar[dict[str, Any]] = {"alt": directives.unchanged_required}

    def run(self) -> list[nodes.Node]:
        """A figure with a button that stops it."""
        (name,) = self.arguments
        if not (alt := self.options.get("alt")):
            raise self.error(f"The moving picture {name} needs :alt:, the words for what it shows.")
        stem = "../" * self.env.docname.count("/") + f"_static/{name}"
        head = (
            f'<figure class="moving"><picture><source media="(prefers-reduced-motion: reduce), print" '
            f'srcset="{stem}.png"><img src="{stem}.webp" alt="{html.escape(alt)}"></picture>'
            f'<button type="button" hidden data-still="{stem}.png" data-moving="{stem}.webp">Stop</button><figcaption>'
        )
        caption = nodes.container(classes=["widget-caption"])
        self.state.nested_parse(self.content, self.content_offset, caption)
        opening, closing = (nodes.raw("", text, format="html") for text in (head, "</figcaption></figure>"))
        return [opening, caption, closing]


def load_scripts(app: Sphinx, pagename: str, templatename: str, context: dict[str, Any], doctree: object) -> None:
    """Only pages with a widget load the scripts."""
    if app.env.metadata.get(pagename, {}).get("widgets"):
        for name in SCRIPTS:
            app.add_js_file(f"widgets/{name}", loading_method="defer")


def setup(app: Sphinx) -> dict[str, bool]:
    """Register with Sphinx."""
    app.add_directive("widget", Widget)
    app.add_directive("moving", Moving)
    app.connect("config-inited", lambda app, config: config.html_static_path.append("_assets"))
    app.connect("html-page-context", load_scripts)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
