from __future__ import annotations

import pytest
from playwright.sync_api import Page, expect

from ftnb.widget.columns import pack, plain
from ftnb.widget.payload import engagement_payload
from tests.benchmarks.bench_widget import long_run
from tests.browser.harness import Widget
from tests.widget import traces

pytestmark = pytest.mark.browser
VIEWPORT = (1100, 900)


def _place(widget: Widget, ms: float, y: float) -> tuple[float, float]:
    """Where a moment is on the page, `y` px below the timeline's upper border."""
    x, top = widget.eval(
        "(() => { const b = view.querySelector('.ftnb-scroll').getBoundingClientRect();"
        " return [b.left + app.timeline.gutter + app.timeline.window.x(argument), b.top] })()",
        ms,
    )
    return x, top + y


def _span(widget: Widget) -> tuple[float, float]:
    left, right = widget.eval("(w => [w.scale.ms(w.left), w.scale.ms(w.right)])(app.timeline.window)")
    return left, right


def test_rows_can_be_grouped_and_the_choice_is_kept(widget: Widget) -> None:
    widget.show(traces.nested())
    rows = widget.page.get_by_label("Rows of the timeline")
    assert rows.locator("option").all_inner_texts() == ["a row a step", "by node", "by subgraph"]
    rows.select_option("subgraph")
    widget.settle()
    assert widget.eval("app.timeline.rows.rows.map(r => r.label)") == ["top level", "research"]
    assert [m["state"] for m in widget.sent if m["op"] == "state"][-1] == {
        "timeline": {"grouping": "subgraph", "wall": False}
    }


def test_a_bar_in_a_group_selects_its_step(widget: Widget) -> None:
    widget.show(traces.house())
    widget.page.get_by_label("Rows of the timeline").select_option("node")
    widget.settle()
    row = widget.eval("app.timeline.rows.rowOfStep[0][6]")
    widget.page.mouse.click(*_place(widget, 1_900, 24 + 18 * row + 4))
    assert widget.selection == ["s6"]


def test_what_ran_side_by_side_is_drawn_side_by_side(widget: Widget) -> None:
    widget.show(traces.house())
    widget.eval("app.timeline.setState({grouping: 'turn', wall: false})")
    widget.settle()
    assert widget.eval("app.timeline.rows.length") == 2


def test_a_humans_pause_is_short_until_it_is_opened(widget: Widget) -> None:
    widget.show(traces.paused())
    wide = "(w => w.x(7200000) - w.x(425))(app.timeline.window)"
    assert widget.eval(wide) < 100
    middle = widget.eval("app.timeline.scale.ms((app.timeline.scale.unit(425) + app.timeline.scale.unit(7200000)) / 2)")
    widget.page.mouse.move(*_place(widget, middle, 12))
    expect(widget.page.locator(".ftnb-tip")).to_contain_text("Waited for the user for 2 h")
    widget.page.mouse.click(*_place(widget, middle, 12))
    widget.settle()
    assert widget.eval(wide) > 600
    widget.page.mouse.click(*_place(widget, 3_600_000, 12))
    widget.settle()
    assert widget.eval(wide) < 100


def test_time_can_be_drawn_as_long_as_it_was(widget: Widget) -> None:
    widget.show(traces.paused())
    widget.page.get_by_role("button", name="idle short").click()
    widget.settle()
    assert widget.eval("(w => w.x(7200000) - w.x(425))(app.timeline.window)") > 600


def test_a_range_drawn_on_the_axis_is_zoomed_to(widget: Widget) -> None:
    widget.show(traces.house())
    start, end = _place(widget, 1_000, 10), _place(widget, 2_000, 10)
    widget.page.mouse.move(*start)
    widget.page.mouse.down()
    widget.page.mouse.move(*end, steps=4)
    widget.page.mouse.up()
    left, right = _span(widget)
    assert left == pytest.approx(1_000, abs=20)
    assert right == pytest.approx(2_000, abs=20)
    assert widget.selection == []
    widget.page.mouse.dblclick(*_place(widget, 1_500, 150))
    assert widget.eval("app.timeline.window.isWhole")


def test_the_strip_shows_the_whole_of_a_long_run_and_moves_the_window(widget: Widget) -> None:
    widget.show(traces.long())
    box = widget.page.locator(".ftnb-minimap").bounding_box()
    assert box is not None
    y = box["y"] + 15
    widget.page.mouse.move(box["x"] + 400, y)
    widget.page.mouse.down()
    widget.page.mouse.move(box["x"] + 600, y, steps=3)
    widget.page.mouse.up()
    first = _span(widget)
    assert 0 < first[0] < first[1] < widget.eval("app.run.payload.timeline.total_ms")
    widget.page.mouse.move(box["x"] + 500, y)
    widget.page.mouse.down()
    widget.page.mouse.move(box["x"] + 560, y, steps=3)
    widget.page.mouse.up()
    second = _span(widget)
    assert second[0] > first[0]
    assert second[1] - second[0] == pytest.approx(first[1] - first[0], rel=0.01)


def test_what_a_run_has_no_use_for_is_not_shown(widget: Widget) -> None:
    widget.show(traces.house())
    expect(widget.page.locator(".ftnb-minimap")).to_be_hidden()
    expect(widget.page.get_by_role("button", name="idle short")).to_be_hidden()
    assert widget.page.get_by_label("Rows of the timeline").locator("option").all_inner_texts() == [
        "a row a step",
        "by node",
    ]


def test_a_selected_step_comes_into_sight(widget: Widget) -> None:
    widget.show(traces.long())
    widget.eval("app.timeline.zoom(30, 0)")
    widget.eval("model.change('selection', ['s58'])")
    widget.settle()
    left, right = _span(widget)
    assert left < widget.eval("app.run.step(58).offset_ms") < right
    assert widget.eval("view.querySelector('.ftnb-scroll').scrollTop") > 500


def test_time_before_the_first_step_is_no_gap(widget: Widget) -> None:
    engagement = traces.house()
    early = engagement.model_copy(update={"started_at": traces.at(-60_000)})
    widget.show(early)
    assert widget.eval("app.timeline.window.x(app.run.step(0).offset_ms)") == 0


def test_the_scrubber_shows_the_run_as_of_a_moment(widget: Widget) -> None:
    widget.show(traces.house())
    widget.eval("app.seek(700)")
    widget.settle()
    assert widget.eval("app.graph.cy.nodes('[status = \"running\"]').map(n => n.data('label'))") == [
        "search_city",
        "search_coast",
    ]
    assert widget.eval("app.timeline.cursor") == 700
    expect(widget.page.locator(".ftnb-clock")).to_have_text("700 ms of 4.32 s")
    assert [m["state"]["time_ms"] for m in widget.sent if m["op"] == "state"][-1] == 700
    widget.page.get_by_role("button", name="whole run").click()
    widget.settle()
    assert widget.eval("app.graph.cy.nodes('[status = \"running\"]').length") == 0
    assert widget.eval("app.timeline.cursor") is None


def test_a_click_on_the_axis_goes_to_that_moment(widget: Widget) -> None:
    widget.show(traces.house())
    widget.page.mouse.click(*_place(widget, 2_000, 10))
    assert widget.eval("app.timeline.cursor") == pytest.approx(2_000, abs=10)


def test_it_plays_and_stops_at_the_end(widget: Widget) -> None:
    widget.show(traces.house())
    widget.page.get_by_role("button", name="Play the run").click()
    widget.wait("app.timeline.cursor > 0")
    expect(widget.page.get_by_role("button", name="Pause")).to_be_visible()
    widget.page.get_by_label("Speed").select_option("16×")
    widget.wait("app.timeline.cursor === null")
    expect(widget.page.get_by_role("button", name="Play the run")).to_be_visible()


def test_with_reduced_motion_it_goes_from_event_to_event(page: Page) -> None:
    page.emulate_media(reduced_motion="reduce")
    widget = Widget(page)
    widget.show(traces.house())
    widget.page.get_by_role("button", name="Play the run").click()
    seen = set()
    for _ in range(26):
        seen.add(widget.eval("app.timeline.cursor"))
        page.wait_for_timeout(50)
    assert seen <= {0, 240, 245, 655, 660}
    assert len(seen) >= 2
    assert widget.problems == []


def test_a_run_that_goes_on_leaves_the_slider_alone(widget: Widget) -> None:
    widget.show(traces.running())
    slider = widget.page.get_by_label("Moment of the run")
    slider.evaluate("e => { e.value = 300; e.dispatchEvent(new Event('input')) }")
    before = widget.eval("app.timeline.cursor")
    assert before > 0
    widget.eval("model.change('_payload', argument)", engagement_payload(traces.house()))
    widget.settle()
    assert widget.eval("app.timeline.cursor") == before
    widget.eval("model.change('_state', { time_ms: 250 })")
    widget.settle()
    assert widget.eval("app.timeline.cursor") == 250


def test_durations_below_zero_are_drawn(widget: Widget) -> None:
    engagement = traces.house()
    for step in engagement.steps[::2]:
        step.duration_ms = -50.0
    widget.show(engagement)
    widget.page.get_by_label("Rows of the timeline").select_option("node")
    widget.settle()
    widget.click_node("rank")
    assert len(widget.selection) == 1


def test_the_slider_has_keys_of_its_own(widget: Widget) -> None:
    widget.show(traces.house(), selection=["s3"])
    widget.page.get_by_label("Moment of the run").focus()
    widget.page.keyboard.press("Home")
    widget.settle()
    assert widget.eval("app.timeline.cursor") == 0
    assert widget.selection == ["s3"]
    text = widget.page.get_by_label("Moment of the run").get_attribute("aria-valuetext")
    assert text == "0 ms of 4.32 s, 1 of 15 steps begun, 1 running"


def test_the_timeline_can_be_read_as_a_list(widget: Widget) -> None:
    widget.show(traces.house())
    items = widget.page.get_by_role("list", name="Steps in order of time").get_by_role("listitem")
    expect(items).to_have_count(15)
    expect(items.nth(2)).to_have_text("search_city #1, completed, visit 1 of 3, 520 ms, from 660 ms")


def test_ten_thousand_steps_are_opened_grouped_and_searched(widget: Widget) -> None:
    widget.show_payload(plain(pack(engagement_payload(long_run(10_000, 5), details="none"))))
    assert widget.eval("app.timeline.rows.grouping") == "node"
    assert widget.eval("app.run.marks.length") == 50_000
    widget.eval("app.timeline.zoom(2000, 300)")
    widget.settle()
    step = widget.eval(
        "(() => { const r = app.timeline.rows, c = app.timeline.columns;"
        " return r.step[r.barsIn(0, c[0], c.at(-1))[0]] })()"
    )
    assert isinstance(step, int)
    widget.page.get_by_role("button", name="steps with errors").click()
    assert widget.eval("app.run.step(Number(model.get('selection')[0].slice(1))).failing")


@pytest.mark.parametrize("width", [400, 1000])
def test_it_fits_its_place(widget: Widget, width: int) -> None:
    widget.show(traces.paused(), width=width)
    assert widget.eval("view.scrollWidth") <= width
    for name in ("Play the run", "Show the whole time"):
        box = widget.page.get_by_role("button", name=name).bounding_box()
        assert box is not None
        assert box["x"] + box["width"] <= width
