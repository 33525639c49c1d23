from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from ftnb.widget.html import TrustedHtml, engagement_page, frame, write_page
from ftnb.widget.payload import engagement_payload
from tests.browser.harness import Widget
from tests.widget import traces

pytestmark = pytest.mark.browser


@pytest.mark.parametrize("name", list(traces.ALL))
def test_every_state_of_a_run_is_drawn(widget: Widget, name: str) -> None:
    engagement = traces.ALL[name]()
    widget.show(engagement)
    expect(widget.page.locator(".ftnb-name")).to_have_text(engagement.name)
    colors = """[...view.querySelectorAll(argument + ' canvas')].map(c => {
        const d = c.getContext('2d').getImageData(0, 0, c.width, c.height).data, seen = new Set();
        for (let i = 0; i < d.length; i += 4) seen.add(d[i] << 16 | d[i + 1] << 8 | d[i + 2]);
        return seen.size })"""
    assert max(widget.eval(colors, ".ftnb-graph")) > 20, "the graph is blank"
    assert max(widget.eval(colors, ".ftnb-time")) > 5, "the timeline is blank"
    assert widget.eval("view.scrollWidth <= view.clientWidth")


def test_a_click_on_a_node_selects_everywhere(widget: Widget) -> None:
    widget.show(traces.house())
    widget.click_node("qualify")
    assert widget.selection == ["s1"]
    assert [(message["op"], message["selection"]) for message in widget.sent] == [("select", ["s1"])]
    assert widget.eval("model.saved") == 1
    assert widget.eval("[...app.timeline.selected]") == [1]
    assert widget.eval("app.graph.cy.nodes('.chosen').map(n => n.data('label'))") == ["qualify"]
    expect(widget.panel).to_contain_text("Extraction · Wish")


def test_a_node_selects_its_last_visit_and_each_visit_can_be_chosen(widget: Widget) -> None:
    widget.show(traces.house())
    widget.click_node("search_city")
    assert widget.selection == ["s10"]
    expect(widget.panel).to_contain_text("visit 3 of 3")
    for number, step in ((1, "s2"), (2, "s6"), (3, "s10")):
        widget.panel.locator(".ftnb-visits button").nth(number - 1).click()
        assert widget.selection == [step]
        expect(widget.panel).to_contain_text(f"visit {number} of 3")


def test_each_lane_selects_exactly_its_step(widget: Widget) -> None:
    engagement = traces.house()
    widget.show(engagement)
    for index, step in enumerate(engagement.steps):
        widget.click_lane(index)
        assert widget.selection == [step.id]


def test_a_click_on_a_mark_opens_its_event(widget: Widget) -> None:
    widget.show(traces.house())
    offset = widget.eval("app.timeline.gutter + app.timeline.window.x(600)")
    widget.click_lane(1, offset=round(offset))
    expect(widget.panel.locator(".ftnb-event.chosen")).to_contain_text("Wish")


def test_adding_to_a_selection(widget: Widget) -> None:
    widget.show(traces.house())
    widget.click_lane(0)
    widget.page.keyboard.down("Control")
    widget.click_lane(3)
    assert widget.selection == ["s0", "s3"]
    widget.click_lane(0)
    widget.page.keyboard.up("Control")
    assert widget.selection == ["s3"]


def test_python_selects_in_the_browser_and_is_not_told_its_own_choice(widget: Widget) -> None:
    widget.show(traces.house(), selection=["s0"])
    expect(widget.panel).to_contain_text("greet")
    widget.eval("model.change('selection', ['s9'])")
    expect(widget.panel).to_contain_text("refine")
    assert widget.eval("[...app.timeline.selected]") == [9]
    assert widget.sent == []


def test_the_keyboard_reaches_every_step(widget: Widget) -> None:
    widget.show(traces.house())
    note = "document.addEventListener('keydown', e => (window.leaked ??= []).push(e.key), { signal: test.signal })"
    widget.eval(note)
    graph = widget.page.locator(".ftnb-graph")
    graph.focus()
    for expected in ("s0", "s1", "s2"):
        widget.page.keyboard.press("ArrowRight")
        assert widget.selection == [expected]
    widget.page.keyboard.press("ArrowLeft")
    assert widget.selection == ["s1"]
    widget.page.keyboard.press("End")
    assert widget.selection == ["s14"]
    widget.page.keyboard.press("Enter")
    expect(widget.page.locator(".ftnb-body")).to_be_focused()
    widget.page.keyboard.press("Escape")
    expect(graph).to_be_focused()
    widget.page.keyboard.press("Escape")
    assert widget.selection == []
    expect(widget.panel).to_contain_text("All steps")
    # Jupyter's command mode must not see them: it would delete cells.
    assert widget.eval("window.leaked ?? []") == []


def test_focus_can_be_seen_and_the_choice_heard(widget: Widget) -> None:
    widget.show(traces.house())
    for _ in range(2):  # past search and help
        widget.page.keyboard.press("Tab")
        assert widget.eval("getComputedStyle(document.activeElement).outlineStyle") == "solid"
    widget.page.keyboard.press("Tab")
    assert widget.eval("document.activeElement.className") == "ftnb-graph"
    assert widget.eval("getComputedStyle(document.activeElement).outlineStyle") == "solid"
    widget.page.keyboard.press("ArrowRight")
    expect(widget.page.locator("[aria-live]")).to_have_text("greet, completed, 240 ms, 70 tokens")


def test_the_badge_leads_to_the_failure(widget: Widget) -> None:
    widget.show(traces.house(fail=True))
    widget.page.get_by_role("button", name="1 step with errors").click()
    assert widget.selection == ["s9"]
    expect(widget.panel).to_contain_text("KeyError: listing 2 has no price")


def test_hostile_text_stays_text(widget: Widget) -> None:
    engagement = traces.hostile()
    widget.show(engagement)
    for index in range(len(engagement.steps)):
        widget.click_lane(index)
        for tab in range(widget.panel.get_by_role("tab").count() if index == 0 else 1):
            widget.panel.get_by_role("tab").nth(tab).click()
            for fold in widget.panel.locator("details:not([open]) > summary").all():
                fold.click()
            widget.settle()
    # `content` boxes of every kind were open by now.
    assert widget.eval("view.querySelectorAll('img, script, iframe, a').length") == 0
    assert widget.eval("window.__pwned ?? null") is None
    assert widget.eval("({}).polluted ?? null") is None
    expect(widget.panel).to_contain_text("<script>window.__pwned = 1</script>")
    widget.click_node("__proto__")
    assert widget.selection == ["s0"]


def test_the_theme_follows_the_page(widget: Widget) -> None:
    widget.show(traces.house())
    background = "getComputedStyle(view).backgroundColor"
    assert widget.eval("view.dataset.theme") == "light"
    light = widget.eval(background)
    widget.eval("document.body.dataset.jpThemeLight = 'false'")
    widget.wait("view.dataset.theme === 'dark'")
    assert widget.eval(background) != light
    widget.settle()
    pixel = "[...view.querySelector('.ftnb-scroll canvas').getContext('2d').getImageData(160, 30, 1, 1).data]"
    dark_bar = widget.eval(pixel)
    widget.eval("document.body.dataset.jpThemeLight = 'true'")
    widget.wait("view.dataset.theme === 'light'")
    widget.settle()
    assert widget.eval(pixel) != dark_bar


def test_the_pages_own_colors_are_used(widget: Widget) -> None:
    widget.eval("document.documentElement.style.setProperty('--jp-layout-color0', 'rgb(1, 2, 3)')")
    widget.show(traces.house())
    assert widget.eval("getComputedStyle(view).backgroundColor") == "rgb(1, 2, 3)"


def test_clicks_hit_after_the_page_above_has_grown(widget: Widget) -> None:
    widget.show(traces.house())
    widget.click_node("greet")
    widget.eval("document.getElementById('above').style.height = '137px'")
    widget.click_node("qualify")
    assert widget.selection == ["s1"]


def test_a_view_that_is_mounted_out_of_sight_draws_when_it_is_shown(widget: Widget) -> None:
    widget.show(traces.house(), hidden=True)
    widget.eval("document.getElementById('out').style.display = ''")
    widget.settle()
    widget.click_node("rank")
    assert widget.selection == ["s12"]


def test_it_works_inside_a_shadow_root(widget: Widget) -> None:
    widget.show(traces.house(), shadow=True)
    widget.click_node("greet")
    assert widget.selection == ["s0"]
    assert widget.eval("getComputedStyle(view).borderRadius") == "8px"


def test_the_page_scrolls_over_the_graph_until_it_is_in_use(widget: Widget) -> None:
    widget.show(traces.house())
    zoom = "app.graph.cy.zoom()"
    before = widget.eval(zoom)
    widget.page.mouse.move(300, 200)
    widget.page.mouse.wheel(0, 120)
    widget.wait("scrollY > 0")
    assert widget.eval(zoom) == before
    widget.eval("window.scrollTo(0, 0)")
    widget.page.locator(".ftnb-graph").focus()
    # Cytoscape takes no wheel for a quarter of a second after the page has scrolled.
    widget.page.wait_for_timeout(400)
    widget.page.mouse.wheel(0, -120)
    widget.wait(f"view.ftnb.graph.cy.zoom() > {before}")


def test_a_running_view_follows_the_run(widget: Widget) -> None:
    widget.show(traces.running(), selection=["s3"])
    expect(widget.page.locator(".ftnb-head")).to_contain_text("running")
    widget.eval("model.change('_payload', argument)", engagement_payload(traces.house()))
    widget.settle()
    expect(widget.page.locator(".ftnb-head")).to_contain_text("completed")
    expect(widget.panel).to_contain_text("search_coast")
    assert widget.eval("[...app.timeline.selected]") == [3]
    widget.click_node("submitted")
    assert widget.selection == ["s14"]


@pytest.mark.parametrize("width", [400, 640, 1100])
def test_it_fits_its_place(widget: Widget, width: int) -> None:
    widget.show(traces.house(), width=width)
    assert widget.eval("view.scrollWidth") <= width
    panel, graph = widget.panel.bounding_box(), widget.page.locator(".ftnb-graph").bounding_box()
    assert panel is not None
    assert graph is not None
    assert (panel["y"] > graph["y"]) == (width <= 640)
    widget.click_node("present")
    assert widget.selection == ["s13"]


def test_a_view_that_goes_leaves_nothing_behind(widget: Widget) -> None:
    widget.show(traces.house())
    widget.eval("window.controller.abort()")
    assert widget.eval("model.listeners") == []
    assert widget.eval("document.querySelectorAll('.ftnb').length") == 0
    widget.eval("document.body.dataset.jpThemeLight = 'false'")
    widget.settle()


def test_a_payload_of_another_version_says_what_to_do(widget: Widget) -> None:
    widget.show_payload({**engagement_payload(traces.house()), "v": 99})
    expect(widget.page.locator(".ftnb")).to_contain_text("Restart the kernel")


def _watch(page: Page) -> list[str]:
    problems: list[str] = []
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.on("console", lambda message: problems.append(message.text) if message.type == "error" else None)
    page.on("request", lambda request: problems.append(request.url) if not _is_local(request.url) else None)
    return problems


def _is_local(url: str) -> bool:
    return url.startswith(("file:", "data:", "blob:", "about:"))


@pytest.mark.parametrize("name", ["house", "hostile"])
def test_the_exported_file_works_offline(page: Page, tmp_path: Path, name: str) -> None:
    problems = _watch(page)
    engagement = traces.ALL[name]()
    path = tmp_path / "run.html"
    path.write_text(engagement_page(engagement_payload(engagement)), encoding="utf-8")
    page.goto(path.as_uri())
    page.wait_for_selector(".ftnb[data-ready='1']")
    page.locator(".ftnb-steps button").nth(2).click()
    expect(page.locator(".ftnb-nav")).to_contain_text(engagement.steps[2].name)
    assert page.evaluate("window.__pwned ?? null") is None
    assert problems == []


def test_a_page_holds_several_views_and_our_own_pictures(page: Page, tmp_path: Path) -> None:
    problems = _watch(page)
    views = [engagement_payload(traces.house()), engagement_payload(traces.house(fail=True))]
    parts: list[Any] = [views[0], TrustedHtml("<svg id='funnel' width='10' height='10'></svg>"), views[1]]
    page.goto(write_page(tmp_path / "report.html", "Report", parts).as_uri())
    expect(page.locator(".ftnb[data-ready='1']")).to_have_count(2)
    expect(page.locator("#funnel")).to_have_count(1)
    assert problems == []


def test_the_static_frame_works_in_its_sandbox(page: Page, tmp_path: Path) -> None:
    problems = _watch(page)
    path = tmp_path / "saved.html"
    path.write_text(frame(engagement_page(engagement_payload(traces.house())), height=560), encoding="utf-8")
    page.goto(path.as_uri())
    inner = page.frame_locator("iframe")
    inner.locator(".ftnb-steps button").nth(6).click()
    expect(inner.locator(".ftnb-nav")).to_contain_text("search_city")
    assert problems == []
