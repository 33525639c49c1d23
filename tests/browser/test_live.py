"""A view that follows a run, and the monitor, in a browser: patches as the kernel makes them."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from playwright.sync_api import expect

from ftnb.widget.live import LivePayload
from ftnb.widget.protocol import Following
from tests.browser.harness import Widget
from tests.widget import traces

pytestmark = pytest.mark.browser
FOLLOWING = Following(is_on=True, dropped=0, detail="", stalled_s=0.0)


def _patch(widget: Widget, live: LivePayload, engagement: Any, **given: Any) -> None:
    changes = live.update(engagement, changed=None, following=given.get("following", FOLLOWING))
    widget.eval("model.fire('msg:custom', argument)", {"op": "patch", "patch": live.payload["seq"], "changes": changes})
    widget.settle()


def test_the_view_goes_on_with_the_run(widget: Widget) -> None:
    whole = traces.house()
    live = LivePayload(traces.running(), None)
    widget.show_payload(copy.deepcopy(live.payload), selection=["s3"], state={"tab": "raw"})
    for n in range(5, len(whole.steps)):
        steps = whole.steps[:n]
        _patch(
            widget, live, whole.model_copy(update={"steps": steps, "status": traces.running().status, "ended_at": None})
        )
    expect(widget.page.locator(".ftnb-live")).to_be_visible()
    assert widget.eval("app.run.payload.steps.length") == len(whole.steps) - 1
    _patch(widget, live, whole, following=None)
    assert widget.eval("app.run.payload") == live.payload
    expect(widget.page.locator(".ftnb-head")).to_contain_text("completed")
    expect(widget.page.locator(".ftnb-live")).to_have_count(0)
    expect(widget.page.locator("[aria-live]")).to_have_text("house_search is completed")
    assert widget.selection == ["s3"]


def test_what_is_looked_at_is_not_disturbed_by_what_goes_on_elsewhere(widget: Widget) -> None:
    whole = traces.house()
    live = LivePayload(whole.model_copy(update={"steps": whole.steps[:6]}), None)
    widget.show_payload(copy.deepcopy(live.payload), selection=["s1"], state={"tab": "io"})
    widget.eval("view.querySelector('.ftnb-body').scrollTop = 40")
    widget.eval("window.kept = view.querySelector('.ftnb-section')")
    _patch(widget, live, whole)
    assert widget.eval("window.kept.isConnected")
    assert widget.eval("view.querySelector('.ftnb-body').scrollTop") == 40


def test_a_missed_patch_is_asked_for(widget: Widget) -> None:
    live = LivePayload(traces.running(), None)
    widget.show_payload(copy.deepcopy(live.payload))
    live.update(traces.house(), changed=None, following=FOLLOWING)
    _patch(widget, live, traces.paused())
    hello = widget.eval("model.sent.filter(message => message.op === 'hello').map(message => message.patches)")
    assert hello == [0, 0]


def test_what_the_recorder_dropped_is_a_badge(widget: Widget) -> None:
    live = LivePayload(traces.running(), None)
    widget.show_payload(copy.deepcopy(live.payload))
    _patch(widget, live, traces.running(), following={**FOLLOWING, "dropped": 12, "detail": "queue_full 12"})
    expect(widget.page.locator(".ftnb-head")).to_contain_text("recorder dropped 12")
    _patch(widget, live, traces.running(), following={**FOLLOWING, "stalled_s": 5.0})
    expect(widget.page.locator(".ftnb-head")).to_contain_text("store stalled 5 s")


def _row(n: int, **given: Any) -> dict[str, Any]:
    row = {
        "id": f"e{n}", "name": f"run {n}", "status": "active", "started_at": "2026-01-05T09:30:00+00:00",
        "duration_ms": 4_000.0 + n, "steps": 3, "running": ["search"], "last_step": "search", "tokens": 1_200,
        "tokens_per_s": 35.0, "errors": 0, "llm_calls": 2, "tool_calls": 1, "turns": 1, "dropped": 0,
        "spark": [0, 1, 4, 2, 0, 9],
    }  # fmt: skip
    return {**row, **given}


def _monitor(**given: Any) -> dict[str, Any]:
    rows = [_row(1), _row(2, status="paused", running=[]), _row(3, status="failed", errors=2, running=[])]
    empty = {"v": 1, "kind": "monitor", "store": "sqlite:///traces.db", "n_more": 0, "alerts": [], "alarms": []}
    return {**empty, "rows": rows, "following": None, **given}


def test_the_monitor_lists_and_opens(widget: Widget) -> None:
    widget.show_monitor(_monitor(), run=LivePayload(traces.house(), None).payload)
    rows = widget.page.locator(".ftnb-list tbody tr")
    expect(rows).to_have_count(3)
    expect(rows.nth(2)).to_contain_text("failed")
    expect(widget.page.locator(".ftnb-head").first).to_contain_text("1 running")
    rows.nth(2).click()
    assert [widget.sent[-1][key] for key in ("op", "engagement", "step")] == ["open", "e3", None]
    expect(rows.nth(2)).to_contain_text("opens when the kernel is free")
    widget.eval("model.change('_opened', 'anywidget:run')")
    expect(widget.page.locator(".ftnb-opened .ftnb-name")).to_have_text("house_search")
    widget.page.get_by_role("button", name="Close").click()
    assert widget.sent[-1]["engagement"] is None


def test_the_monitor_moves_and_keeps_the_focus(widget: Widget) -> None:
    widget.show_monitor(_monitor())
    widget.page.get_by_role("button", name="run 1").focus()
    widget.page.keyboard.press("ArrowDown")
    expect(widget.page.get_by_role("button", name="run 2")).to_be_focused()
    newer = _monitor(rows=[_row(4), _row(2, status="paused", tokens=99_000, running=[])])
    widget.eval("model.change('_rows', argument)", newer)
    expect(widget.page.locator(".ftnb-list tbody tr")).to_have_count(2)
    expect(widget.page.get_by_role("button", name="run 2")).to_be_focused()
    expect(widget.page.locator(".ftnb-list")).to_contain_text("99,000")


def test_alarms_are_shown_heard_opened_and_removed(widget: Widget) -> None:
    alerts = [{"key": 0, "name": "tokens > 50_000", "condition": "tokens > 50_000", "n": 0, "error": None}]
    widget.show_monitor(_monitor(alerts=alerts, alarms=[]))
    alarm = {
        "alert": 0, "name": "tokens > 50_000", "engagement": "e1", "engagement_name": "run 1", "step": "s4",
        "text": "tokens > 50_000: run 1 (tokens 51204) <b>x</b>", "at": "2026-01-05T09:31:00+00:00",
    }  # fmt: skip
    widget.eval("model.change('_rows', argument)", _monitor(alerts=[{**alerts[0], "n": 1}], alarms=[alarm]))
    widget.page.locator(".ftnb-alarms button").click()
    assert [widget.sent[-1][key] for key in ("op", "engagement", "step")] == ["open", "e1", "s4"]
    widget.page.get_by_role("button", name="Remove the alert").click()
    assert widget.sent[-1]["op"] == "remove_alert"
    assert widget.eval("view.querySelectorAll('.ftnb-alarms b').length") == 0


def test_a_monitor_of_nothing_says_so(widget: Widget) -> None:
    widget.show_monitor(_monitor(rows=[]))
    expect(widget.page.locator(".ftnb-state").first).to_contain_text("Nothing has run yet")
