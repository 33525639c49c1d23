"""The list of many engagements: by mouse, by keys, in a narrow place, without a kernel."""

from __future__ import annotations

from typing import Any

import pytest
from playwright.sync_api import expect

from ftnb.widget.payload import engagement_payload
from tests.browser import many
from tests.browser.harness import Widget
from tests.widget import traces

pytestmark = pytest.mark.browser
VIEWPORT = (1000, 1200)


def queries(widget: Widget) -> list[dict[str, Any]]:
    return [message["query"] for message in widget.sent if message["op"] == "browse"]


def test_a_head_sorts_and_sorts_the_other_way_round(widget: Widget) -> None:
    widget.show_browser(many.browser())
    widget.page.get_by_role("button", name="tokens").click()
    widget.page.get_by_role("button", name="started").click()
    assert [(q["sort"], q["descending"], q["page"]) for q in queries(widget)] == [
        ("total_tokens", True, 0),
        ("started_at", False, 0),
    ]
    assert widget.eval("view.querySelector('th.started_at').getAttribute('aria-sort')") == "descending"


def test_values_are_chosen_and_let_go(widget: Widget) -> None:
    widget.show_browser(many.browser())
    widget.page.locator(".ftnb-facet button", has_text="web").click()
    widget.page.locator(".ftnb-facet button[aria-pressed=true]").click()
    widget.page.get_by_role("button", name="Show all").click()
    failed = {"field": "status", "values": ["failed"]}
    assert [q["picked"] for q in queries(widget)] == [[failed, {"field": "meta:channel", "values": ["web"]}], [], []]


def test_what_is_typed_is_asked_once_and_is_not_for_jupyter(widget: Widget) -> None:
    widget.show_browser(many.browser())
    widget.eval("(document.addEventListener('keydown', () => { window.leaked = 1 }, { signal: test.signal }), 1)")
    widget.page.locator("input[type=search]").press_sequentially("add")
    widget.wait("model.sent.some(one => one.op === 'browse')")
    widget.page.wait_for_timeout(300)
    assert [q["text"] for q in queries(widget)] == ["add"]
    assert widget.eval("window.leaked") is None


def test_keys_walk_the_rows_and_open_one(widget: Widget) -> None:
    page = many.browser()
    widget.show_browser(page, run=engagement_payload(traces.house(fail=True)))
    widget.page.keyboard.press("Tab")
    widget.page.locator(".ftnb-list").focus()
    for key in ("ArrowDown", "ArrowDown", "ArrowUp", "Enter"):
        widget.page.keyboard.press(key)
    assert [m["engagement"] for m in widget.sent if m["op"] == "open"] == [page["rows"][0]["id"]]
    widget.eval("(model.change('_opened', 'x'), 1)")
    expect(widget.page.locator(".ftnb-opened .ftnb-name")).to_have_text("house_search")
    # The run that is open has keys of its own.
    widget.page.locator(".ftnb-opened .ftnb-graph").first.press("f")
    assert widget.eval("view.querySelector('.ftnb-opened .ftnb').dataset.selection") == "s9"
    widget.page.locator(".ftnb-list").focus()
    widget.page.keyboard.press("PageDown")
    assert queries(widget)[-1]["page"] == 3
    widget.page.keyboard.press("Escape")
    assert widget.sent[-1]["engagement"] is None


def test_pages_turn_and_end(widget: Widget) -> None:
    widget.show_browser(many.browser())
    expect(widget.page.locator(".ftnb-pages span")).to_have_text("41 – 60 of 1,234")
    widget.page.get_by_role("button", name="Next page").click()
    widget.page.get_by_role("button", name="Last page").click()
    assert [q["page"] for q in queries(widget)] == [3, 61]
    last = many.browser()
    last["query"]["page"] = 61
    widget.eval("(model.change('_page', argument), 1)", last)
    expect(widget.page.get_by_role("button", name="Next page")).to_be_disabled()


def test_a_new_page_keeps_the_focus_where_it_was(widget: Widget) -> None:
    widget.show_browser(many.browser())
    widget.page.get_by_role("button", name="tokens").focus()
    widget.eval("(model.change('_page', argument), 1)", many.browser(10))
    assert widget.eval("document.activeElement.dataset.key") == "sort total_tokens"
    assert widget.eval("view.querySelectorAll('tbody tr').length") == 10


def test_a_value_that_was_found_opens_the_run_at_its_step(widget: Widget) -> None:
    widget.show_browser(many.found())
    expect(widget.page.locator(".ftnb-name")).to_have_text("Found: Thursday")
    assert widget.eval("[...view.querySelectorAll('mark')].every(one => one.textContent === 'Thursday')")
    widget.page.locator(".ftnb-hits button").nth(1).click()
    opened = widget.sent[-1]
    assert (opened["engagement"], opened["step"]) == (many.found()["hits"][1]["engagement"], "s1")


def test_nothing_found_and_nothing_there_are_said(widget: Widget) -> None:
    widget.show_browser(many.browser(0, 0))
    expect(widget.page.locator(".ftnb-state")).to_contain_text("No engagement is like that")
    widget.eval("(stop(), 1)")
    widget.show_browser({**many.found(0), "hits": []})
    expect(widget.page.locator(".ftnb-state")).to_contain_text("Nothing was found")


def test_a_kernel_that_has_gone_is_told(widget: Widget) -> None:
    widget.show_browser(many.browser())
    widget.eval("(model.fire('comm_live_update'), 1)")
    expect(widget.page.locator(".ftnb-banner")).to_be_visible()
    widget.eval("(model.change('_page', model.state._page), 1)")
    expect(widget.page.locator(".ftnb-banner")).to_be_hidden()


def test_it_fits_a_narrow_place(widget: Widget) -> None:
    widget.show_browser(many.browser(), width=400)
    assert widget.eval("view.scrollWidth <= view.clientWidth")
    assert widget.eval(
        "view.querySelector('.ftnb-list').scrollWidth <= view.querySelector('.ftnb-list').clientWidth + 1"
    )
