"""axe-core finds nothing to complain about, in any view, in both themes, at full width and at 400 px."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page

from ftnb.widget.compare import comparison_payload
from ftnb.widget.html import Heading, TrustedHtml, engagement_page, many_page, write_page
from ftnb.widget.payload import engagement_payload
from ftnb.widget.picture import static_html
from tests.browser import many
from tests.browser.harness import Widget
from tests.widget import golden, traces

pytestmark = pytest.mark.browser
VIEWPORT = (1000, 900)

AXE = Path(__file__).parents[2] / "js" / "node_modules" / "axe-core" / "axe.min.js"
RUN = """async within => {
    const found = await axe.run(within ?? document, { resultTypes: ['violations'] });
    return found.violations.flatMap(({id, nodes}) => nodes.map(({html, failureSummary}) =>
        `${id}: ${html.slice(0, 200)} ${failureSummary}`));
}"""


@pytest.fixture(autouse=True)
def axe() -> str:
    """The checker's source."""
    if not AXE.is_file():
        pytest.fail("axe-core is not installed: cd js && npm ci")
    return AXE.read_text(encoding="utf-8")


def complaints(page: Page, axe: str, within: str | None = None) -> list[str]:
    if not page.evaluate("() => Boolean(window.axe)"):
        page.evaluate(axe)
    found: list[str] = page.evaluate(RUN, within)
    return found


def looks(widget: Widget, axe: str) -> list[str]:
    """What there is to say about the view as it is, in both themes."""
    found = []
    for light, background in (("true", "#fff"), ("false", "#111")):
        code = "(document.body.dataset.jpThemeLight = argument[0], document.body.style.background = argument[1], 1)"
        widget.eval(code, [light, background])
        widget.settle()
        found += complaints(widget.page, axe, ".ftnb")
    return found


@pytest.mark.parametrize("width", [400, 1000])
def test_a_run_in_each_state(widget: Widget, axe: str, width: int) -> None:
    for name in ("failed", "paused", "running", "nested", "empty"):
        widget.show(traces.ALL[name](), width=width)
        assert looks(widget, axe) == [], name
        widget.eval("(stop(), 1)")


def test_every_tab_of_a_step_search_and_help(widget: Widget, axe: str) -> None:
    widget.show(traces.house(fail=True), selection=["s9"], can=["annotate"])
    for tab in range(widget.eval("view.querySelectorAll('[role=tab]').length")):
        widget.eval("(view.querySelectorAll('[role=tab]')[argument].click(), 1)", tab)
        assert looks(widget, axe) == [], tab
    widget.eval("(app.search.open(), app.help.toggle(), 1)")
    assert looks(widget, axe) == []


@pytest.mark.parametrize("width", [400, 1000])
def test_many_runs(widget: Widget, axe: str, width: int) -> None:
    run = engagement_payload(traces.house(fail=True))
    widget.show_browser(many.browser(), run=run, width=width)
    assert looks(widget, axe) == []
    widget.eval("(model.change('_opened', 'x'), 1)")
    assert looks(widget, axe) == []
    for show in (
        lambda: widget.show_browser(many.found(), run=run, width=width),
        lambda: widget.show_browser(many.browser(0, 0), run=run, width=width),
        lambda: widget.show_monitor(many.monitor(), width=width),
        lambda: widget.show_payload(comparison_payload(engagement_payload(traces.house()), run), width=width),
        lambda: widget.show_payload(golden.process_map(), width=width),
    ):
        widget.eval("(stop(), 1)")
        show()
        assert looks(widget, axe) == []


def documents(path: Path) -> dict[str, str]:
    run: Any = engagement_payload(traces.house(fail=True))
    both = comparison_payload(engagement_payload(traces.house()), run)
    written = write_page(path, "Two runs", [run, Heading("More"), "A text.", TrustedHtml("<p>ours</p>"), both])
    return {
        "run": engagement_page(run),
        "comparison": many_page(both, "Both"),
        "report": written.read_text(encoding="utf-8"),
    }


@pytest.mark.parametrize("name", ["run", "comparison", "report"])
def test_files(page: Page, axe: str, tmp_path: Path, name: str) -> None:
    path = tmp_path / "page.html"
    path.write_text(documents(tmp_path / "report.html")[name], encoding="utf-8")
    page.goto(path.as_uri())
    page.wait_for_selector(".ftnb[data-ready='1']")
    assert complaints(page, axe) == []


def test_the_picture_in_a_saved_notebook(page: Page, axe: str) -> None:
    page.set_content(f"<div id=out>{static_html(engagement_payload(traces.house(fail=True)))}</div>")
    assert complaints(page, axe, "#out") == []
