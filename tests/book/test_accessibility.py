"""axe-core over the pages, in both themes: nothing serious or critical. All of them take minutes (``-m long``)."""

from pathlib import Path

import pytest

pytest.importorskip("axe_playwright_python", reason="axe-core is not installed (axe-playwright-python carries it)")

GRAVE = {"serious", "critical"}
COLOURS = ["color-contrast", "link-in-text-block"]  # what a theme changes
ALIKE = [".bd-sidebar-primary", ".highlight pre"]  # on all pages: the list of pages, the colours of code
THOROUGH = ("index.html", "theory/01_minimax_game.html")
KINDS = (  # one page of each kind
    *THOROUGH, "bibliography.html", "claims.html", "data/mnist.html", "experiments/gan_mnist.html", "glossary.html",
    "playground.html", "practice/batch.html", "reference/api/losses.html", "results/index.html", "results/thesis.html",
)  # fmt: skip
RUN = """async ([exclude, rules]) => {
  const options = { resultTypes: ["violations"], preload: false, iframes: false };
  if (rules) options.runOnly = rules;
  const found = await axe.run({ include: [["html"]], exclude: exclude.map((one) => [one]) }, options);
  return found.violations.map((v) => ({
    rule: v.id, impact: v.impact, help: v.help, places: v.nodes.slice(0, 3).map((n) => n.target.join(" ")) }));
}"""
DARK = """() => {
  document.head.insertAdjacentHTML("beforeend", "<style>* { transition: none !important; }</style>");
  document.documentElement.dataset.theme = "dark";
}"""


def axe() -> Path:
    import axe_playwright_python

    return Path(axe_playwright_python.__file__).parent / "axe.min.js"


@pytest.mark.parametrize("kinds", [KINDS, pytest.param((), marks=pytest.mark.long)], ids=["one of each kind", "all"])
def test_no_page_shuts_anybody_out(html, browser, kinds):
    """Formulas are set on the thorough pages only: elsewhere they are the same kind of thing, by the thousand."""
    context = browser.new_context(
        viewport={"width": 1280, "height": 900}, color_scheme="light", reduced_motion="reduce"
    )
    page = context.new_page()
    page.set_default_timeout(300_000)  # a busy machine
    findings = {}
    built = {path.relative_to(html) for path in html.rglob("*.html")}
    names = sorted(str(path) for path in built if path.parts[0] not in ("_static", "slides"))
    assert set(kinds) <= set(names)
    names = list(kinds) or names
    plain = False
    for name in sorted(names, key=lambda name: name not in THOROUGH):
        if name not in THOROUGH and not plain:
            context.route("**/tex-chtml-full.js*", lambda route: route.abort())
            plain = True
        page.goto((html / name).as_uri())
        page.wait_for_function("document.documentElement.dataset.formulas === 'set'")
        page.add_script_tag(path=axe())
        alike = ALIKE if plain else []
        found = {"light": page.evaluate(RUN, [alike, None])}
        page.evaluate(DARK)
        found["dark"] = page.evaluate(RUN, [alike, COLOURS])
        if grave := {theme: [v for v in vs if v["impact"] in GRAVE] for theme, vs in found.items()}:
            findings |= {f"{name}, {theme}": vs for theme, vs in grave.items() if vs}
    context.close()
    assert names
    assert not findings
