"""Docstrings as pages: autodoc and napoleon, with plain-text mathematics in them left as it is.

The library's docstrings are written to be read in an editor: ``|x|``, ``a*b`` and indented formulas are no markup. What
reStructuredText cannot read all the same is shown word for word, as ``help()`` shows it.
"""

from __future__ import annotations

import re
from pathlib import Path

from docutils import nodes
from docutils.core import publish_doctree
from sphinx.application import Sphinx

import ganbook

ROOT = Path(ganbook.__file__).parent.parent
PATH = re.compile(r"PosixPath\('(?P<path>[^']*)'\)")
STARRED = r"[^\s*](?:[^*\n]*[^\s*])?"
LITERAL = re.compile(rf"(``.+?``|`[^`]+`|(?<![\w*])(?:\*{STARRED}\*|\*\*{STARRED}\*\*)(?![\w*]))")


def protect(lines: list[str]) -> list[str]:
    """The lines with stars, bars and closing underscores escaped outside of what is quoted or emphasised."""
    return ["".join(_protected(i, part) for i, part in enumerate(LITERAL.split(line))) for line in lines]


def _protected(index: int, part: str) -> str:
    if index % 2:  # quoted: `name` is a name, as in Markdown
        return f"`{part}`" if part.startswith("`") and not part.startswith("``") else part
    return re.sub(r"[*|\\`]|_(?!\w)", lambda found: "\\" + found[0], part)


def before(app: Sphinx, what: str, name: str, obj: object, options: object, lines: list[str]) -> None:
    """Ahead of napoleon: formulas are no markup."""
    app.env.temp_data["docstring"] = list(lines)
    lines[:] = protect(lines)


def after(app: Sphinx, what: str, name: str, obj: object, options: object, lines: list[str]) -> None:
    """Behind napoleon: what would not parse is shown as it was written."""
    quiet = {"report_level": 5, "halt_level": 5, "env": app.env}
    tree = publish_doctree("\n".join(lines), settings_overrides=quiet)
    if any(message["level"] >= 2 for message in tree.findall(nodes.system_message)):
        lines[:] = ["::", "", *(f"    {line}" for line in app.env.temp_data["docstring"]), ""]


def signature(
    app: Sphinx, what: str, name: str, obj: object, options: object, arguments: str | None, answer: str | None
) -> tuple[str, str | None] | None:
    """A path in a signature is the same on every machine that builds the pages."""
    return (plain_paths(arguments), answer) if arguments and "PosixPath" in arguments else None


def plain_paths(arguments: str) -> str:
    """The arguments with paths below the repository as they are from its root."""
    return PATH.sub(lambda found: f"Path('{found['path'].removeprefix(f'{ROOT}/')}')", arguments)


def skip(app: Sphinx, what: str, name: str, obj: object, skipped: bool, options: object) -> bool | None:
    """A named tuple's fields stand in its signature; that they are numbered helps nobody."""
    return True if str(getattr(obj, "__doc__", "")).startswith("Alias for field number") else None


def adopt(app: Sphinx, doctree: nodes.document) -> None:
    """Let every node of a page belong to that page.

    What MyST hands on to the parser of reStructuredText keeps a document of its own, which holds the environment of
    the whole book: 5 MB of it would be written, and read again, with every page of docstrings.
    """
    for node in doctree.findall():
        node.document = doctree


def setup(app: Sphinx) -> dict[str, bool]:
    """Register with Sphinx."""
    app.setup_extension("sphinx.ext.autodoc")
    app.connect("autodoc-process-docstring", before, priority=100)
    app.setup_extension("sphinx.ext.napoleon")
    app.connect("autodoc-process-docstring", after, priority=900)
    app.connect("autodoc-process-signature", signature)
    app.connect("autodoc-skip-member", skip)
    app.connect("doctree-read", adopt)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
