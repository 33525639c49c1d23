from __future__ import annotations

import json
from typing import Any

import pytest
from playwright.sync_api import expect

from ftnb.widget.columns import pack, plain
from ftnb.widget.compare import comparison_payload
from ftnb.widget.payload import engagement_payload
from tests.benchmarks.bench_widget import wide_graph
from tests.browser.harness import Widget
from tests.widget import golden, traces

pytestmark = pytest.mark.browser


def _labels(widget: Widget, selector: str) -> list[str]:
    return list(widget.eval("app.graph.cy.nodes(argument).map(n => n.data('label'))", selector))


def test_nodes_are_coloured_and_sized_by_choice_and_the_choice_is_kept(widget: Widget) -> None:
    widget.show(traces.house())
    widget.page.get_by_label("Colour of the nodes").select_option("duration")
    widget.page.get_by_label("Height of the nodes").select_option("tokens")
    widget.settle()
    data = widget.eval("app.graph.cy.nodes().filter(n => n.data('label') === 'search_coast')[0].data()")
    assert (data["heat"], data["note"]) == (1, "2.28 s")
    heights = widget.eval(
        "['greet', 'present'].map(l => app.graph.cy.nodes().filter(n => n.data('label') === l)[0].data('height'))"
    )
    assert heights[0] < heights[1]
    expect(widget.page.locator(".ftnb-legend")).to_contain_text("duration: light less, dark more")
    state = [
        message["state"]["graph"] for message in widget.sent if message["op"] == "state" and "graph" in message["state"]
    ]
    assert state[-1] == {"color": "duration", "size": "tokens", "folded": None}
    assert widget.eval("view.querySelector('.ftnb-looks select').options.length") == 3, "nothing costs anything here"


def test_the_way_to_a_failure_stands_out(widget: Widget) -> None:
    widget.show(traces.house(fail=True))
    ends = widget.eval("app.graph.cy.edges('.fatal').map(e => e.target().data('label'))")
    assert {"greet", "qualify", "search_coast", "rank", "refine", "present"} == set(ends)
    expect(widget.page.locator(".ftnb-legend")).to_contain_text("way to the failure")


def test_subgraphs_fold_and_unfold(widget: Widget) -> None:
    widget.show(traces.nested())
    assert _labels(widget, ".group") == ["research"]
    widget.page.get_by_role("button", name="Fold all subgraphs").click()
    widget.settle()
    assert _labels(widget, ".folded") == ["research (2)"]
    assert "find" not in _labels(widget, "node")
    widget.click_node("research (2)")
    assert widget.selection == ["s1"]
    widget.page.get_by_role("button", name="Unfold all subgraphs").click()
    widget.settle()
    assert _labels(widget, ".group") == ["research"]
    assert _labels(widget, ".chosen") == ["research"], "the selection is still there"


def test_a_click_on_the_sign_folds_one_subgraph(widget: Widget) -> None:
    widget.show(traces.nested())
    x, y = widget.eval(
        "(() => { const group = app.graph.cy.nodes('.group')[0], canvas = view.querySelector('.ftnb-canvas');"
        " const b = group.renderedBoundingBox({ includeLabels: false, includeOverlays: false });"
        " const c = canvas.getBoundingClientRect(); return [c.left + b.x1 + 18, c.top + b.y1 + 18] })()"
    )
    widget.page.mouse.click(x, y)
    widget.settle()
    assert _labels(widget, ".folded") == ["research (2)"]
    assert widget.selection == []


def test_a_step_inside_a_folded_subgraph_marks_the_subgraph(widget: Widget) -> None:
    widget.show(traces.nested())
    widget.page.get_by_role("button", name="Fold all subgraphs").click()
    widget.eval("model.change('selection', ['s3'])")
    widget.settle()
    assert _labels(widget, ".chosen") == ["research (2)"]


def test_the_graph_can_be_read_as_a_list(widget: Widget) -> None:
    widget.show(traces.house())
    items = widget.page.get_by_role("list", name="Nodes of the graph").get_by_role("listitem")
    expect(items).to_have_count(9)
    expect(items.nth(2)).to_have_text("search_city, 3 visits, 1.56 s; led to rank")
    assert widget.eval("app.graph.element.getAttribute('aria-label')").startswith(
        "Workflow graph of house_search: 11 nodes"
    )


def test_the_layout_is_the_same_for_one_topology(widget: Widget) -> None:
    places = "app.graph.cy.nodes('.step').map(n => [n.data('label'), n.position('x'), n.position('y')])"
    widget.show(traces.house())
    first = widget.eval(places)
    widget.show(traces.house(fail=True))
    assert widget.eval(places) == first


def test_thousands_of_nodes_can_be_seen_selected_and_zoomed(widget: Widget) -> None:
    widget.show_payload(plain(pack(engagement_payload(wide_graph(600), details="none"))))
    assert widget.eval("app.graph.cy.nodes().length") == 0, "it is painted without Cytoscape"
    colors = widget.eval(
        "(() => { const c = view.querySelector('.ftnb-plain'), seen = new Set();"
        " const d = c.getContext('2d').getImageData(0, 0, c.width, c.height).data;"
        " for (let i = 0; i < d.length; i += 4) seen.add(d[i] << 16 | d[i + 1] << 8 | d[i + 2]);"
        " return seen.size })()"
    )
    assert colors > 10
    box = widget.page.locator(".ftnb-canvas").bounding_box()
    assert box is not None
    widget.eval("model.change('selection', ['s300'])")
    for _ in range(14):
        widget.page.get_by_role("button", name="Zoom in", exact=True).click()
    widget.eval("model.change('selection', ['s301'])")
    widget.settle()
    x, y = widget.eval(
        "(() => { const p = app.graph.canvas.plain, n = p.shown.nodes[301];"
        " return [n.x * p.zoomed + p.x, n.y * p.zoomed + p.y] })()"
    )
    widget.page.mouse.click(box["x"] + x, box["y"] + y)
    assert widget.selection == ["s301"]
    expect(widget.panel).to_contain_text("node 301")


def _other(widget: Widget, name: str) -> None:

    widget.show_payload(json.loads((golden.FOLDER / f"{name}.json").read_text(encoding="utf-8")))


def test_two_runs_are_compared(widget: Widget) -> None:
    _other(widget, "comparison")
    assert _labels(widget_graph(widget), ".first") == ["A submitted"]
    expect(widget.panel).to_contain_text("Both runs")
    widget.page.get_by_role("button", name="first difference").click()
    expect(widget.panel).to_contain_text("refine #2, only in yesterday")
    widget.page.locator(".ftnb-time").focus()
    for _ in range(5):
        widget.page.keyboard.press("ArrowDown")
    expect(widget.panel.locator("caption")).to_have_text("submitted")
    widget.page.keyboard.press("Escape")
    expect(widget.panel).to_contain_text("Both runs")


def widget_graph(widget: Widget) -> Any:
    """The harness with `app.graph.cy` where the views of many keep it."""

    class Other:
        def eval(self, code: str, argument: Any = None) -> Any:
            return widget.eval(code.replace("app.graph.cy", "app.graph.canvas.cy"), argument)

    return Other()


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_a_process_map_shows_numbers_and_differences(widget: Widget, theme: str) -> None:
    widget.eval("void (document.body.dataset.jpThemeLight = String(argument === 'light'))", theme)
    _other(widget, "process_map")
    notes = "app.graph.canvas.cy.nodes('.step').map(n => [n.data('label'), n.data('note')])"
    assert ["submitted", "−25 pp"] in widget.eval(notes)
    widget.page.get_by_label("Which engagements").select_option("1")
    widget.page.get_by_label("What the colours and numbers are").select_option("times")
    widget.settle()
    assert ["submitted", "9"] in widget.eval(notes)
    widget.page.get_by_label("Leave out ways").fill("60")
    assert widget.eval("app.graph.canvas.cy.edges('.rare').length") > 0
    widget.eval("app.showNode(1)")
    expect(widget.panel).to_contain_text("median duration")


def test_hostile_names_stay_names_in_views_of_many(widget: Widget) -> None:
    run = engagement_payload(traces.hostile())
    widget.show_payload(comparison_payload(run, run, names=(traces.HOSTILE, traces.HOSTILE)))
    widget.eval("app.choose(2)")
    assert widget.eval("view.querySelectorAll('img, script, iframe, a').length") == 0
    assert widget.eval("window.__pwned ?? null") is None
