"""The file that the demo writes, as somebody sees it who opens it: no server, no kernel, no network."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.sync_api import Browser

from ftnb.examples.demo import main

pytestmark = pytest.mark.browser


def test_a_click_on_the_broken_step_shows_why_it_broke(browser: Browser, tmp_path: Path) -> None:
    out = tmp_path / "demo.html"
    assert main(["--n", "40", "--store", str(tmp_path / "demo.db"), "--out", str(out)]) == 0
    page = browser.new_page(viewport={"width": 1280, "height": 900})
    problems: list[str] = []
    page.on("console", lambda message: message.type in ("error", "warning") and problems.append(message.text))
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.on("request", lambda request: request.url.startswith("http") and problems.append(request.url))
    page.goto(out.as_uri())
    view = page.locator(".ftnb[data-ready='1']")
    view.get_by_title("Go to the first step with an error").click()
    assert view.evaluate("v => v.ftnb.graph.cy.nodes('.chosen').length") == 1
    assert view.locator(".ftnb-panel", has_text="Error: ").count() == 1
    view.get_by_role("tab", name="In / out").click()
    assert view.locator(".ftnb-panel", has_text="the state that the node was given").count() == 1
    assert page.get_by_text("How far they came").is_visible()
    assert problems == []
    page.close()
