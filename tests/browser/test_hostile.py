"""Payloads are data: in every view, every file and every fallback nothing of them runs, loads or gets out."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page

from ftnb.widget.browser_table import static_table
from ftnb.widget.export import whole_svg
from ftnb.widget.html import engagement_page, many_page
from ftnb.widget.monitor import static_table as monitor_table
from ftnb.widget.payload import engagement_payload
from ftnb.widget.picture import static_html
from tests.browser import hostile
from tests.browser.harness import Widget

pytestmark = pytest.mark.browser
VIEWPORT = (1000, 800)

NOTHING_RAN = "window.__pwned === undefined && ({}).polluted === undefined"
NOTHING_CAME_IN = """[...document.querySelectorAll('script, iframe, object, embed, link, base, meta[http-equiv], form')]
    .filter(one => view.contains(one)).length + [...view.querySelectorAll('*')].filter(one =>
    [...one.attributes].some(({name, value}) => name.startsWith('on') || /^\\s*javascript:/i.test(value) &&
      ['href', 'src', 'action', 'xlink:href'].includes(name))).length"""


@pytest.fixture
def widget(widget: Widget) -> Iterator[Widget]:
    """The harness; ends the test with whether anything ran."""
    yield widget
    assert widget.eval(NOTHING_RAN)


def test_a_hostile_run_is_shown_step_by_step_in_every_tab(widget: Widget) -> None:
    run = hostile.engagement()
    widget.show(run)
    assert widget.eval("app.run.payload.steps.length") == len(run.steps)
    assert widget.eval("view.querySelector('.ftnb-state:not([hidden])')") is None
    for index in range(len(run.steps)):
        widget.eval("(app.goTo(argument), 1)", index)
        names = widget.eval("[...view.querySelectorAll('[role=tab]')].map(tab => tab.textContent)")
        for tab in range(len(names)):
            widget.eval("(view.querySelectorAll('[role=tab]')[argument]?.click(), 1)", tab)
        assert widget.eval(NOTHING_CAME_IN) == 0
    widget.settle()


@pytest.mark.parametrize("name", list(hostile.PAYLOADS))
def test_hostile_runs_side_by_side_and_as_a_map(widget: Widget, name: str) -> None:
    widget.show_payload(hostile.PAYLOADS[name]())
    for key in ("ArrowDown",) * 6:
        widget.page.locator(".ftnb").press(key)
    widget.settle()
    assert widget.eval("view.dataset.ready") == "1"
    assert widget.eval(NOTHING_CAME_IN) == 0


def test_a_hostile_monitor(widget: Widget) -> None:
    widget.show_monitor(hostile.monitor(), run=engagement_payload(hostile.engagement()))
    widget.eval("(model.change('_opened', 'x'), 1)")
    widget.settle()
    assert widget.eval("view.querySelectorAll('tbody tr').length") == len(hostile.TEXTS)
    assert widget.eval(NOTHING_CAME_IN) == 0


def test_a_hostile_browser_and_search(widget: Widget) -> None:
    widget.show_browser(hostile.browser(), run=engagement_payload(hostile.engagement()))
    assert widget.eval("view.querySelectorAll('tbody tr').length") == len(hostile.TEXTS)
    widget.eval("(view.querySelectorAll('.ftnb-facet button, th button, td button').forEach(one => one.click()), 1)")
    widget.eval("(model.change('_opened', 'x'), 1)")
    widget.settle()
    assert widget.eval(NOTHING_CAME_IN) == 0
    picked = [message["query"]["picked"] for message in widget.sent if message["op"] == "browse"]
    assert [{"field": "meta:" + hostile.TEXTS[0], "values": ["__proto__"]}] in picked
    widget.eval("(stop(), model.state._page = argument, model.change('_page', argument), 1)", hostile.found())
    widget.show_browser(hostile.found())
    assert widget.eval("view.querySelectorAll('.ftnb-hits button').length") == len(hostile.TEXTS)
    assert widget.eval(NOTHING_CAME_IN) == 0


def test_no_text_makes_a_view_wider_than_its_place(widget: Widget) -> None:
    for width in (400, 900):
        widget.show(hostile.engagement(), width=width)
        assert widget.eval("view.scrollWidth <= view.clientWidth + 1")
        widget.eval("(stop(), 1)")
        widget.show_browser(hostile.browser(), width=width)
        assert widget.eval("view.scrollWidth <= view.clientWidth + 1")
        widget.eval("(stop(), 1)")


def test_files_and_fallbacks_neither_run_nor_load_anything(page: Page, tmp_path: Path) -> None:
    run = hostile.engagement()
    payload = engagement_payload(run)
    documents = {
        "page": engagement_page(payload),
        "comparison": many_page(hostile.comparison(), hostile.TEXTS[0]),
        "map": many_page(hostile.process_map(), hostile.TEXTS[1]),
        "picture": f"<!DOCTYPE html><meta charset=utf-8>{static_html(payload)}",
        "list": f"<!DOCTYPE html><meta charset=utf-8>{static_table(hostile.browser())}",
        "monitor": f"<!DOCTYPE html><meta charset=utf-8>{monitor_table(hostile.monitor())}",
        "svg": f"<!DOCTYPE html><meta charset=utf-8>{whole_svg(payload, dark=False)}",
    }
    requests: list[str] = []
    errors: list[str] = []
    page.on("request", lambda request: requests.append(request.url))
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.on("console", lambda message: message.type == "error" and errors.append(message.text))
    for name, document in documents.items():
        path = tmp_path / f"{name}.html"
        path.write_text(document, encoding="utf-8", errors="replace")
        page.goto(path.as_uri())
        page.wait_for_timeout(50)
        assert page.evaluate(NOTHING_RAN), name
        if name not in ("page", "comparison", "map"):
            assert page.locator("script, iframe, img, link, a[href^=javascript]").count() == 0, name
    assert [url for url in requests if not url.startswith(("file:", "data:", "blob:"))] == []
    assert errors == []


def test_the_picture_is_an_svg_that_a_strict_parser_reads() -> None:
    from xml.etree import ElementTree

    picture = whole_svg(engagement_payload(hostile.engagement()), dark=True)
    names = {one.tag.rpartition("}")[2] for one in ElementTree.fromstring(picture).iter()}
    assert names.isdisjoint({"script", "foreignObject", "image", "a", "use", "animate", "set"})
