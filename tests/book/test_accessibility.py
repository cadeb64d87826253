"""axe-core over every page, in both themes: nothing serious, nothing critical."""

from pathlib import Path

import pytest

pytest.importorskip("axe_playwright_python", reason="axe-core is not installed (axe-playwright-python carries it)")

GRAVE = {"serious", "critical"}
RUN = """async () => (await axe.run(document, { resultTypes: ["violations"] })).violations.map(v => ({
  rule: v.id, impact: v.impact, help: v.help, places: v.nodes.slice(0, 3).map(n => n.target.join(" ")) }))"""


def axe() -> Path:
    import axe_playwright_python

    return Path(axe_playwright_python.__file__).parent / "axe.min.js"


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_no_page_shuts_anybody_out(html, browser, theme):
    context = browser.new_context(viewport={"width": 1280, "height": 900}, color_scheme=theme, reduced_motion="reduce")
    findings = {}
    for path in sorted(page for page in html.rglob("*.html") if "_static" not in page.parts):
        page = context.new_page()
        page.goto(path.as_uri())
        page.evaluate("() => window.MathJax?.startup?.promise.then(() => null)")
        page.add_script_tag(path=axe())
        if grave := [v for v in page.evaluate(RUN) if v["impact"] in GRAVE]:
            findings[str(path.relative_to(html))] = grave
        page.close()
    context.close()
    assert not findings
