"""Keep the built pages to themselves: nothing is asked of another machine, and ``file://`` raises no errors."""

from __future__ import annotations

from sphinx.application import Sphinx
from sphinx.config import Config


def stay_local(app: Sphinx, config: Config) -> None:
    """Widget scripts would come from a CDN; MathJax is here, outside _static, whose scripts load on every page."""
    config.nb_ipywidgets_js = {}  # type: ignore[attr-defined]
    config.html_static_path.append("_vendor")


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
    app.connect("config-inited", stay_local, priority=900)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
