"""Keep the built pages to themselves: nothing is asked of another machine, and `file://` raises no errors."""

from __future__ import annotations

from typing import Any

from sphinx.application import Sphinx
from sphinx.config import Config


def stay_local(app: Sphinx, config: Config) -> None:
    """Take out what Jupyter Book adds for connected readers: live kernels and widget scripts from a CDN."""
    config.nb_ipywidgets_js = {}  # type: ignore[attr-defined]


def drop_thebe(app: Sphinx, pagename: str, templatename: str, context: dict[str, Any], doctree: Any) -> None:
    """Remove the scripts of sphinx-thebe, which would fetch a kernel front end once pressed; there is no button."""
    if "script_files" in context:
        context["script_files"] = [s for s in context["script_files"] if "thebe" not in str(getattr(s, "filename", s))]


def setup(app: Sphinx) -> dict[str, bool]:
    """Register with Sphinx."""
    app.connect("config-inited", stay_local, priority=900)
    app.connect("html-page-context", drop_thebe, priority=900)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
