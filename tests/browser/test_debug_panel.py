"""Why a step ran, what it changed, its code and the branches of a run, in a browser."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, expect

import ftnb
from ftnb.store.sqlite import SQLiteStore
from ftnb.traces import EngagementHandle
from ftnb.widget.view import EngagementView
from tests.browser.harness import Widget
from tests.debug import graphs

pytestmark = pytest.mark.browser
CAN = ["annotate", "inspect", "family"]


@pytest.fixture(scope="module")
def run() -> Iterator[EngagementHandle]:
    """A recorded run of an agent with tools, and a fork of it."""
    store = SQLiteStore()
    ftnb.start(store)
    graphs.agent().invoke({"messages": [("user", "weather in Oslo?")]})
    made = ftnb.last()
    made.fork(at=made.steps[2])
    yield made
    ftnb.stop()
    store.close()


def show(widget: Widget, run: EngagementHandle, **options: Any) -> EngagementView:
    """Mount the view of `run` as its kernel would; what it is asked, `serve` answers."""
    view = run.widget()
    widget.show_payload(view.payload, can=CAN, **options)
    serve(widget, view)
    return view


def serve(widget: Widget, view: EngagementView) -> list[dict[str, Any]]:
    """Let the view's own kernel side answer all questions that the page has asked and that have no answer yet."""
    sent: list[dict[str, Any]] = []
    view.send = lambda content, buffers=None: sent.append(content)  # type: ignore[method-assign]
    asked = [one for one in widget.eval("model.sent.splice(0)") if one["op"] in ("inspect", "family", "fetch")]
    for one in asked:
        view._answers.take(view, one, [])
    for answer in sent:
        if answer.get("op") in ("answer", "value"):
            widget.eval("model.fire('msg:custom', argument)", answer)
    widget.settle()
    return asked


def open_tab(widget: Widget, view: EngagementView, name: str) -> None:
    """Choose a tab; its question is answered."""
    widget.panel.get_by_role("tab", name=name).click()
    widget.settle()
    serve(widget, view)


def test_why_leads_along_the_causes(widget: Widget, run: EngagementHandle) -> None:
    last = run.steps[-1]
    view = show(widget, run, selection=[last.id])
    open_tab(widget, view, "Why")
    causes = widget.panel.locator(".ftnb-causes").first
    expect(widget.panel).to_contain_text(last.why().title)
    expect(causes).to_contain_text(last.why().causes[0].text)
    causes.get_by_role("button").first.click()
    widget.settle()
    assert widget.selection == last.triggers
    # The tab stays, and asks about the other step.
    (asked,) = serve(widget, view)
    assert (asked["op"], asked["what"], asked["step"]) == ("inspect", "why", last.triggers[0])
    expect(widget.panel).to_contain_text(run.step(last.triggers[0]).why().title)


def test_what_was_answered_is_not_asked_again(widget: Widget, run: EngagementHandle) -> None:
    view = show(widget, run, selection=[run.steps[1].id])
    open_tab(widget, view, "Why")
    widget.panel.get_by_role("tab", name="Summary").click()
    widget.panel.get_by_role("tab", name="Why").click()
    widget.settle()
    assert serve(widget, view) == []
    expect(widget.panel).to_contain_text("ran because")


def test_diff_is_what_the_reducers_made_of_it(widget: Widget, run: EngagementHandle) -> None:
    step = run.step("think")
    view = show(widget, run, selection=[step.id])
    open_tab(widget, view, "Diff")
    (path,) = {op["path"] for op in step.diff().patch}
    place = re.sub(r"/(\w+)/(\d+)", r"\1[\2]", path)
    expect(widget.panel.locator(".ftnb-change")).to_have_count(1)
    expect(widget.panel.locator(".ftnb-change code").first).to_have_text(place)
    widget.panel.get_by_role("button", name="what it returned").click()
    expect(widget.panel.get_by_role("button", name="what it returned")).to_have_attribute("aria-pressed", "true")


def test_source_as_it_was_and_whether_it_is_so_today(widget: Widget, run: EngagementHandle) -> None:
    step = run.step("think")
    view = show(widget, run, selection=[step.id])
    open_tab(widget, view, "Source")
    expect(widget.panel.locator(".ftnb-code").first).to_contain_text(step.source.text.strip().splitlines()[0].strip())
    expect(widget.panel).to_contain_text("today's code is the same")
    expect(widget.panel).to_contain_text(step.source.sha256[:12])


def test_markup_in_recorded_code_stays_text(widget: Widget, run: EngagementHandle) -> None:
    view = run.widget()
    code = {"node": "n", "qualname": "<img src=x onerror=alert(1)>", "text": "x = '<script>1</script>'", "place": "a:1"}
    more = {"sha256": "0" * 64, "version": "1" * 64, "changed": True, "diff": "--- a\n+++ b\n-x\n+<b>y</b>"}
    view.insight = lambda *_: {**code, **more, "routers": []}  # type: ignore[method-assign]
    widget.show_payload(view.payload, can=CAN, selection=[run.steps[0].id], state={"tab": "source"})
    serve(widget, view)
    expect(widget.panel.locator(".ftnb-code").first).to_contain_text("<script>1</script>")
    expect(widget.panel).to_contain_text("today's code differs")
    assert widget.panel.locator("img, b:text-is('y'), script").count() == 0


def test_what_is_not_known_is_said_and_can_be_asked_again(widget: Widget, run: EngagementHandle) -> None:
    view = run.widget()
    widget.show_payload(view.payload, can=CAN, selection=[run.steps[0].id], state={"tab": "why"})
    expect(widget.panel).to_contain_text("Asking the kernel")
    good = view.insight
    view.insight = lambda *_: (_ for _ in ()).throw(LookupError("it was purged"))  # type: ignore[method-assign]
    serve(widget, view)
    expect(widget.panel).to_contain_text("Why it ran is not known: it was purged")
    view.insight = good  # type: ignore[method-assign]
    widget.panel.get_by_role("button", name="Ask again").click()
    serve(widget, view)
    expect(widget.panel).to_contain_text("ran because")


def test_tabs_are_reached_by_key(widget: Widget, run: EngagementHandle) -> None:
    view = show(widget, run, selection=[run.steps[1].id])
    widget.panel.get_by_role("tab", name="Summary").focus()
    widget.page.keyboard.press("ArrowRight")
    widget.settle()
    serve(widget, view)
    expect(widget.panel.get_by_role("tab", name="Why")).to_be_focused()
    expect(widget.panel).to_contain_text("ran because")
    widget.panel.locator(".ftnb-causes .ftnb-link").first.focus()
    widget.page.keyboard.press("Enter")
    widget.settle()
    assert widget.selection == run.steps[1].triggers


def test_without_a_store_the_tabs_are_not_there(widget: Widget, run: EngagementHandle) -> None:
    widget.show_payload(run.widget().payload, selection=[run.steps[0].id])
    expect(widget.panel.get_by_role("tab", name="Summary")).to_be_visible()
    for name in ("Why", "Source"):
        expect(widget.panel.get_by_role("tab", name=name)).to_have_count(0)
    expect(widget.page.get_by_label("Run and its branches")).to_have_count(0)


def test_the_family_is_offered_and_a_branch_is_shown(widget: Widget, run: EngagementHandle) -> None:
    view = show(widget, run)
    choice = widget.page.get_by_label("Run and its branches")
    ids = run.family()["engagement_id"].to_list()
    assert choice.locator("option").evaluate_all("all => all.map(one => one.value)") == ids
    expect(choice).to_have_value(run.id)
    choice.select_option(ids[1])
    (asked,) = serve(widget, view)
    assert (asked["op"], asked["show"]) == ("family", ids[1])
    assert view.engagement.id == ids[1]
    widget.eval("model.change('_payload', argument)", view.payload)
    widget.settle()
    serve(widget, view)
    expect(widget.page.get_by_label("Run and its branches")).to_have_value(ids[1])


def test_a_saved_page_answers_by_itself(page: Page, run: EngagementHandle, tmp_path: Path) -> None:
    path = run.widget().to_html(tmp_path / "run.html")
    page.goto(f"file://{path}")
    page.get_by_role("list", name="Steps").get_by_role("button").last.click()
    page.get_by_role("tab", name="Why").click()
    expect(page.locator(".ftnb-panel")).to_contain_text("ran because")
    page.get_by_role("tab", name="Diff").click()
    expect(page.locator(".ftnb-change").first).to_be_visible()
    expect(page.get_by_role("tab", name="Source")).to_have_count(0)
    expect(page.get_by_label("Run and its branches").locator("option")).to_have_count(2)
