"""What stands on every page beside its text: reading time, downloads, ways to open and to mend it, previews of sources.

The repository's address is the one value ``repository.url`` of ``_config.yml``; while it is empty, nothing that needs
it is shown. ``pages.json`` in the source, written by ``book.tools.build``, says which file each page was made from.
"""

from __future__ import annotations

import html
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

from docutils import nodes
from sphinx.addnodes import desc
from sphinx.application import Sphinx
from sphinx.util import logging

logger = logging.getLogger(__name__)

WORDS_A_MINUTE, SECONDS_A_CODE_LINE = 200, 3
ASIDE = (nodes.table, nodes.figure, nodes.definition_list, nodes.field_list, nodes.bullet_list, nodes.Admonition, desc)
LISTS = ("bibliography", "glossary", "notation")
GITHUB = re.compile(r"https://github\.com/(?P<owner>[\w.-]+)/(?P<name>[\w.-]+?)(?:\.git)?/?")


def reading_minutes(doctree: nodes.document) -> int:
    """Minutes for the whole of a page, prose and code; cells' outputs are looked at, not read."""
    code = [node.astext() for node in doctree.findall(nodes.literal_block)]
    lines = sum(len(text.splitlines()) for text in code)
    words = len(doctree.astext().split()) - sum(len(text.split()) for text in code)
    return max(1, round(words / WORDS_A_MINUTE + lines * SECONDS_A_CODE_LINE / 60))


def prose_minutes(doctree: nodes.document) -> int:
    """Minutes for a page's paragraphs alone, without its tables, pictures, entries and code."""
    paragraphs = [p for p in doctree.findall(nodes.paragraph) if not any(isinstance(a, ASIDE) for a in above(p))]
    return max(1, round(sum(len(p.astext().split()) for p in paragraphs) / WORDS_A_MINUTE))


def above(node: nodes.Node) -> Iterator[nodes.Node]:
    """The nodes that a node lies in, from the inside out."""
    while (node := node.parent) is not None:
        yield node


def site(repository: str) -> str:
    """The address at which GitHub Pages shows a repository's pages, with a slash; empty for other hosts."""
    match = GITHUB.fullmatch(repository)
    return f"https://{match['owner'].lower()}.github.io/{match['name']}/" if match else ""


def links(repository: str, branch: str, origin: str) -> list[tuple[str, str, str]]:
    """Label, address and explanation of what can be done with a page's file in a public repository."""
    repository = repository.rstrip("/").removesuffix(".git")
    if not repository:
        return []
    found = []
    place = f"{quote(branch)}/{quote(origin)}"
    match = GITHUB.fullmatch(repository)
    if match and origin.startswith("notebooks/"):
        notebook = quote(str(Path(origin).with_suffix(".ipynb")))
        hub = f"{match['owner']}/{match['name']}"
        binder = f"https://mybinder.org/v2/gh/{hub}/{quote(branch)}?urlpath=lab/tree/{notebook}"
        colab = f"https://colab.research.google.com/github/{hub}/blob/{quote(branch)}/{notebook}"
        install = f"In its first cell: !pip install git+{repository}"
        found += [("JupyterLab on Binder", binder, "Starts a machine in the cloud; takes minutes")]
        found += [("Colab", colab, install)]
    found += [("edit", f"{repository}/edit/{place}", f"Edit {origin}")]
    issue = f"{repository}/issues/new?title={quote('Page ' + origin)}"
    return [*found, ("report a mistake", issue, "Opens an issue that names this page")]


def forms(address: str) -> list[tuple[str, str, str]]:
    """Label, address and explanation of the book's other forms, which lie beside the published pages."""
    if not address:
        return []
    return [
        ("PDF", f"{address}ganbook.pdf", "The whole book, printed"),
        ("EPUB", f"{address}ganbook.epub", "The whole book for e-readers"),
        ("slides", f"{address}slides/index.html", "The theory part for lecturers"),
    ]


def is_read(pagename: str, origin: str) -> bool:
    """Whether a page is read from front to back: what code wrote, and lists, are looked things up in."""
    return (origin.endswith(".md") and pagename not in LISTS) or origin.startswith("notebooks/")


def reading_time(doctree: nodes.document, *, whole: bool) -> str:
    """How long a page takes; of a page to look things up in, what there is to read before one does."""
    minutes = reading_minutes(doctree) if whole else prose_minutes(doctree)
    plural = "minute" if minutes == 1 else "minutes"
    return f"about {minutes} {plural} to read" + ("" if whole else ", then to look things up in")


def tools(minutes: str, downloads: list[tuple[str, str]], public: list[tuple[str, str, str]]) -> str:
    """The line under a page's title."""
    parts = [f"<li>{html.escape(minutes)}</li>"]
    parts += [f'<li><a href="{html.escape(url)}" download>{label}</a></li>' for label, url in downloads]
    parts += [
        f'<li><a href="{html.escape(url)}" title="{html.escape(title)}">{label}</a></li>'
        for label, url, title in public
    ]
    return f'<ul class="page-tools" aria-label="About this page">{"".join(parts)}</ul>'


def furnish(
    app: Sphinx, pagename: str, templatename: str, context: dict[str, Any], doctree: nodes.document | None
) -> None:
    """Put the line of tools under the title, and the card for links to this page into the head."""
    options = app.config.html_theme_options
    repository, branch = options.get("repository_url", ""), options.get("repository_branch", "main")
    if doctree is None or "body" not in context:
        return
    origins = json.loads((Path(app.srcdir) / "pages.json").read_text())
    origin = origins.get(pagename, "")
    root = "../" * pagename.count("/")
    downloads = []
    for suffix, label in ((".ipynb", "notebook (.ipynb)"), (".py", "script (.py)")):
        file = Path(origin).with_suffix(suffix)
        if origin.startswith("notebooks/") and (Path(app.srcdir) / "_extra" / file).is_file():
            downloads.append((label, f"{root}{file}"))
    public = links(repository, branch, origin) if origin else []
    if pagename == app.config.root_doc:
        public = [*forms(site(repository)), *public]
    line = tools(reading_time(doctree, whole=is_read(pagename, origin)), downloads, public)
    context["body"] = context["body"].replace("</h1>", "</h1>\n" + line, 1)
    context["body"] = context["body"].replace('<div role="list" class="citation-list">', '<div class="citation-list">')
    context["metatags"] = context.get("metatags", "") + card(context, doctree, site(repository), pagename)


def card(context: dict[str, Any], doctree: nodes.document, address: str, pagename: str) -> str:
    """Meta tags for search engines and for the card that a link to this page shows; the picture needs an address."""
    paragraph = next((p.astext() for p in doctree.findall(nodes.paragraph) if len(p.astext()) > 60), "")
    words = html.escape(re.sub(r"\s+", " ", paragraph)[:200], quote=True)
    title = html.escape(re.sub(r"<[^>]+>", "", str(context.get("title", ""))), quote=True)
    tags = {"og:title": title, "og:description": words, "og:type": "article", "og:site_name": "The GAN book"}
    if address:
        tags |= {"og:url": f"{address}{pagename}.html", "og:image": f"{address}_static/card.png"}
    lines = [f'<meta property="{name}" content="{value}">' for name, value in tags.items()]
    return "\n".join([f'<meta name="description" content="{words}">', *lines])


def check_alternatives(app: Sphinx, doctree: nodes.document, docname: str) -> None:
    """Every picture has words for a reader who does not see it; a build without them fails."""
    for image in doctree.findall(nodes.image):
        if not image.get("alt", "").strip():
            logger.warning("%s: the picture %s has no alternative text", docname, image.get("uri"), location=image)


def previews(page: str) -> dict[str, str]:
    """The entries of a bibliography page by their anchors, as text."""
    entries = re.findall(r'<div class="citation" id="([^"]+)".*?<p>(.*?)</p>', page, flags=re.DOTALL)
    return {
        anchor: html.unescape(re.sub(r"\s+", " ", re.sub(r"<[^>]+>", "", text))).strip() for anchor, text in entries
    }


def finish(app: Sphinx, error: Exception | None) -> None:
    """Write what can only be written when all pages are there: previews of citations and the site map."""
    root = Path(app.outdir)
    bibliography = root / "bibliography.html"
    if error is not None or app.builder.format != "html" or not bibliography.is_file():
        return
    entries = json.dumps(previews(bibliography.read_text()), ensure_ascii=False, indent=0)
    (root / "_static" / "citations.js").write_text(f"window.CITATIONS = {entries};\n")
    if address := site(app.config.html_theme_options.get("repository_url", "")):
        pages = "".join(f"<url><loc>{address}{name}.html</loc></url>\n" for name in sorted(app.env.found_docs))
        head = '<?xml version="1.0" encoding="UTF-8"?>\n<urlset xmlns="http://www.sitemaps.org/schemas/sitemap/0.9">\n'
        (root / "sitemap.xml").write_text(f"{head}{pages}</urlset>\n")
        (root / "robots.txt").write_text(f"User-agent: *\nAllow: /\nSitemap: {address}sitemap.xml\n")


def setup(app: Sphinx) -> dict[str, bool]:
    """Register with Sphinx."""
    app.connect("config-inited", lambda app, config: config.html_extra_path.append("_extra"))
    app.connect("doctree-resolved", check_alternatives)
    app.connect("html-page-context", furnish, priority=900)
    app.connect("build-finished", finish)
    app.add_js_file("citations.js", loading_method="defer")
    return {"parallel_read_safe": True, "parallel_write_safe": True}
