"""The inspector, search, keys and the states of a view, in a browser."""

from __future__ import annotations

import base64
import io
from typing import Any

import pytest
from PIL import Image
from playwright.sync_api import expect

from ftnb.core.model import Annotation, Engagement
from ftnb.widget.payload import engagement_payload
from tests.browser.harness import Widget
from tests.widget import traces

pytestmark = pytest.mark.browser


def _png() -> str:
    file = io.BytesIO()
    Image.new("RGB", (30, 20), (200, 80, 20)).save(file, "PNG")
    return base64.b64encode(file.getvalue()).decode()


def rich() -> Engagement:
    """A run whose second step holds a bit of everything."""
    engagement = traces.house(fail=True)
    step = engagement.steps[1]
    step.state_ref = {
        **step.state_ref,
        "photo": {"$ftnb": "bytes", "base64": _png()},
        "budget": 400_000,
        "listings": [{"id": number, "price": 300_000 + number} for number in range(8)],
        "token": {"$ftnb": "redacted", "why": "api_key"},
        "gone": {"$ftnb": "withheld", "id": "x"},
    }
    step.update_ref = {"rooms": 3, "budget": 450_000, "messages": [{"role": "assistant", "content": "Up to 450,000."}]}
    engagement.annotations = [Annotation(label="correct", value=False, by="ana", note="no garden", step_id="s1")]
    return engagement


def _tab(widget: Widget, name: str) -> None:
    widget.panel.get_by_role("tab", name=name).click()
    widget.settle()


def test_a_whole_value_is_fetched_on_request(widget: Widget) -> None:
    engagement = traces.house()
    engagement.steps[0].state_ref = {"text": "x" * 9_000}
    widget.show(engagement, selection=["s0"], state={"tab": "io"})
    expect(widget.panel).to_contain_text("more characters")
    expect(widget.panel).to_contain_text("Only a part of 9 kB is shown")
    widget.panel.get_by_role("button", name="Show all").click()
    (message,) = widget.sent
    assert {key: message[key] for key in ("op", "part", "step", "event")} == {
        "op": "fetch", "part": "state", "step": "s0", "event": None,
    }  # fmt: skip
    widget.answer(op="value", preview={"value": "the whole value", "cut": False, "n_bytes": 17})
    expect(widget.panel).to_contain_text("the whole value")
    expect(widget.panel).not_to_contain_text("Only a part")


def test_images_tables_and_what_was_withheld(widget: Widget) -> None:
    widget.show(rich(), selection=["s1"], state={"tab": "io"})
    image = widget.panel.locator("img.ftnb-image")
    expect(image).to_be_visible()
    widget.wait("view.querySelector('img.ftnb-image').naturalWidth === 30")
    assert image.get_attribute("src").startswith("blob:")  # type: ignore[union-attr]
    widget.panel.get_by_text("as a table").click()
    expect(widget.panel.locator("tbody tr")).to_have_count(8)
    expect(widget.panel).to_contain_text("withheld: masked when recorded (api_key)")
    expect(widget.panel).to_contain_text("withheld: erased, or left out of this copy")


def test_a_difference_is_before_and_after_by_key_and_against_what_the_next_step_saw(widget: Widget) -> None:
    widget.show(rich(), selection=["s1"], state={"tab": "diff"})
    changes = widget.panel.locator(".ftnb-change")
    expect(changes.filter(has_text="/budget")).to_contain_text("400000")
    expect(changes.filter(has_text="/budget")).to_contain_text("450000")
    expect(changes.filter(has_text="/rooms")).to_contain_text("added")
    expect(changes.filter(has_text="/messages")).to_contain_text("a reducer joins it")
    widget.panel.get_by_role("button", name="what search_city #1 saw").click()
    expect(changes.filter(has_text="/round")).to_contain_text("added")
    expect(changes.filter(has_text="/budget")).to_contain_text("removed")


def test_a_conversation_shows_who_said_what_and_what_is_new(widget: Widget) -> None:
    widget.show(rich(), selection=["s1"], state={"tab": "messages"})
    first = widget.panel.locator(".ftnb-chat").first
    roles = first.locator(".ftnb-message").evaluate_all("all => all.map(one => one.dataset.role)")
    assert roles == ["system", "user", "assistant", "user", "assistant"]
    expect(first.locator(".ftnb-message").last).to_contain_text("new")


def test_tabs_by_key_are_kept_in_the_model(widget: Widget) -> None:
    widget.show(rich(), selection=["s1"])
    widget.panel.get_by_role("tab", name="Summary").focus()
    widget.page.keyboard.press("ArrowRight")
    expect(widget.panel.get_by_role("tab", name="In / out")).to_be_focused()
    assert widget.eval("model.state._state.tab") == "io"
    # Mounted again, as when the output is drawn anew, it is as it was.
    state = widget.eval("model.state._state")
    widget.eval("window.stop()")
    widget.show(rich(), selection=["s1"], state=state)
    expect(widget.panel.get_by_role("tab", name="In / out")).to_have_attribute("aria-selected", "true")
    widget.page.locator(".ftnb-graph").focus()
    widget.page.keyboard.press("]")
    expect(widget.panel.get_by_role("tab", name="Diff")).to_have_attribute("aria-selected", "true")


def test_finding_a_text_in_a_step(widget: Widget) -> None:
    widget.show(rich(), selection=["s1"], state={"tab": "io"})
    widget.panel.get_by_role("button", name="Find in this step").click()
    widget.page.keyboard.type("garden")
    expect(widget.panel.locator("mark").first).to_have_text("garden")
    widget.page.keyboard.press("Escape")
    expect(widget.panel.locator("mark")).to_have_count(0)


def test_judging_a_step(widget: Widget) -> None:
    widget.show(rich(), selection=["s1"], can=["annotate"])
    expect(widget.panel.locator(".ftnb-judged")).to_contain_text("wrong")
    expect(widget.panel.locator(".ftnb-judged")).to_contain_text("no garden")
    widget.panel.get_by_role("button", name="Note", exact=True).click()
    widget.page.keyboard.type("see <b>log</b> f/?")
    widget.panel.get_by_role("button", name="Save").click()
    message = widget.sent[-1]
    assert (message["op"], message["step"], message["label"]) == ("annotate", "s1", "note")
    assert message["note"] == "see <b>log</b> f/?"
    widget.answer(op="answer", value=True)
    expect(widget.page.locator("[aria-live]")).to_have_text("Saved")
    expect(widget.panel.locator("form")).to_have_count(0)


def test_searching_narrows_all_parts_and_asks_the_kernel_for_the_rest(widget: Widget) -> None:
    widget.show(traces.house())
    widget.page.locator(".ftnb-graph").focus()
    widget.page.keyboard.press("/")
    widget.page.keyboard.type("widened")
    expect(widget.page.locator(".ftnb-search small")).to_contain_text("2 of 15")
    assert widget.sent[-1]["op"] == "search"
    widget.answer(op="answer", value=["s0"])
    expect(widget.page.locator(".ftnb-search small")).to_have_text("3 of 15")
    expect(widget.panel.locator(".ftnb-steps button")).to_have_count(3)
    assert widget.eval("app.graph.cy.nodes('.dim').map(n => n.data('label')).includes('present')")
    widget.page.keyboard.press("Enter")
    assert widget.selection == ["s0"]
    widget.page.keyboard.press("Escape")
    expect(widget.page.locator(".ftnb-search")).to_be_hidden()
    assert widget.eval("app.graph.cy.nodes('.dim').length") == 0
    assert widget.eval("model.state._state.filter") is None


def test_a_filter_set_in_python_is_shown(widget: Widget) -> None:
    widget.show(traces.house(fail=True))
    asked = dict.fromkeys(("text", "name", "ns", "turn", "model", "tool")) | {"kind": "tool_call", "status": "failed"}
    widget.eval("model.change('_state', {filter: argument})", asked)
    expect(widget.page.locator(".ftnb-search")).to_contain_text("1 of 10")
    expect(widget.panel.locator(".ftnb-steps button")).to_have_count(1)


def test_the_arrows_follow_causes_and_the_failure_is_a_key_away(widget: Widget) -> None:
    widget.show(traces.house(fail=True))
    widget.page.locator(".ftnb-graph").focus()
    press = widget.page.keyboard.press
    press("f")
    assert widget.selection == ["s9"]
    press("ArrowLeft")
    assert widget.selection == ["s8"]  # rank: a join of two searches
    press("ArrowLeft")
    assert widget.selection == ["s6"]
    press("ArrowDown")
    assert widget.selection == ["s7"]  # the search beside it
    press("ArrowRight")
    press("ArrowLeft")
    assert widget.selection == ["s7"], "the way back is the way that was come"
    press("End")
    press("ArrowRight")
    expect(widget.page.locator("[aria-live]")).to_have_text("Nothing came after this step")


def test_help_lists_the_keys_and_gives_the_focus_back(widget: Widget) -> None:
    widget.show(traces.house())
    graph = widget.page.locator(".ftnb-graph")
    graph.focus()
    widget.page.keyboard.press("?")
    dialog = widget.page.get_by_role("dialog")
    expect(dialog).to_contain_text("to the first failure")
    widget.page.keyboard.press("ArrowRight")
    assert widget.selection == []
    widget.page.keyboard.press("Escape")
    expect(dialog).to_be_hidden()
    expect(graph).to_be_focused()


def test_states_are_said_and_not_left_blank(widget: Widget) -> None:
    widget.show_payload({})
    expect(widget.page.locator(".ftnb-state").first).to_contain_text("Waiting for a run to begin")
    widget.eval("model.change('_payload', argument)", engagement_payload(traces.house()))
    widget.settle()
    expect(widget.page.locator(".ftnb-name")).to_have_text("house_search")
    expect(widget.page.locator(".ftnb-state").first).to_be_hidden()
    widget.eval("window.stop()")
    widget.show(rich(), gone=True, can=["annotate"], selection=["s1"])
    expect(widget.page.locator(".ftnb-banner")).to_contain_text("The kernel is gone")
    expect(widget.panel.get_by_role("button", name="Right")).to_be_disabled()
    widget.eval("document.getElementById('out').classList.remove('jupyter-widgets-disconnected')")
    widget.eval("model.fire('comm_live_update')")
    expect(widget.page.locator(".ftnb-banner")).to_be_visible()
    widget.answer(op="answer", value=True)
    expect(widget.page.locator(".ftnb-banner")).to_be_hidden()


def test_a_run_that_cannot_be_drawn_says_why(widget: Widget) -> None:
    payload: Any = engagement_payload(traces.house())
    payload["timeline"]["lanes"][0]["step"] = 99
    widget.show_payload(payload)
    expect(widget.page.locator(".ftnb-state").first).to_contain_text("RangeError")
    assert any("RangeError" in problem for problem in widget.problems)
    widget.problems.clear()


def test_details_of_a_long_run_come_when_a_step_is_looked_at(widget: Widget) -> None:
    payload: Any = engagement_payload(rich())
    details = payload["details"]
    payload["details"] = []
    widget.show_payload(payload, selection=["s1"])
    expect(widget.panel).to_contain_text("Asking the kernel")
    assert (widget.sent[-1]["op"], widget.sent[-1]["step"]) == ("detail", "s1")
    widget.answer(op="answer", value=details[1])
    expect(widget.panel.get_by_role("tab", name="Extraction")).to_be_visible()


@pytest.mark.parametrize("width", [400, 1100])
def test_nothing_is_wider_than_the_view(widget: Widget, width: int) -> None:
    widget.show(rich(), selection=["s1"], width=width, can=["annotate"])
    for name in ("Summary", "In / out", "Diff", "Messages", "Events", "Extraction", "Raw"):
        _tab(widget, name)
        assert widget.eval("view.scrollWidth <= view.clientWidth")
        body = "(b => [b.scrollWidth, b.clientWidth])(view.querySelector('.ftnb-body'))"
        inner, outer = widget.eval(body)
        assert inner <= outer + 1, name
