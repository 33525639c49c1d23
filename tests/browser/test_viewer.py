"""The viewer as its server sends it, in a real browser: list, run, live, wrong token, lost connection."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Page, expect

from ftnb.core.model import EngagementStatus
from ftnb.recorder import Recorder
from ftnb.store.sqlite import SQLiteStore
from tests.server.conftest import record
from tests.server.serving import Served, serving

pytestmark = pytest.mark.browser


@pytest.fixture
def store() -> Iterator[SQLiteStore]:
    made = SQLiteStore()
    for number in range(60):
        record(made, f"run {number}", user=f"u-{number % 7}")
    yield made
    made.close()


@pytest.fixture
def served(store: SQLiteStore) -> Iterator[Served]:
    with serving(store) as found:
        yield found


@pytest.fixture
def viewer(page: Page, served: Served) -> Iterator[Page]:
    """Logged in, with the list drawn; ends the test with every error that the browser told."""
    problems: list[str] = []
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.on("console", lambda said: problems.append(said.text) if "Content Security" in said.text else None)
    page.goto(served.link)
    expect(page.locator("tbody tr")).to_have_count(50)
    yield page
    assert problems == []


def test_without_the_token_there_is_a_form_for_it(page: Page, served: Served) -> None:
    page.goto(served.origin + "/")
    expect(page.locator("h1")).to_have_text("This viewer asks for its token")
    page.fill("input", "wrong")
    page.click("button")
    expect(page.locator("[role=alert]")).to_contain_text("not the token")
    page.fill("input", served.token)
    page.click("button")
    expect(page.locator("tbody tr")).to_have_count(50)


def test_pages_search_and_a_run(viewer: Page, served: Served) -> None:
    expect(viewer.locator("tbody tr").first).to_contain_text("run 59")
    viewer.get_by_role("button", name="Older").click()
    expect(viewer.locator("tbody tr")).to_have_count(10)
    viewer.get_by_role("searchbox").fill("run 42")
    expect(viewer.locator("tbody tr")).to_have_count(1)
    viewer.get_by_role("link", name="run 42").click()
    expect(viewer.locator(".ftnb-server-run .ftnb-name")).to_have_text("run 42")
    viewer.locator(".ftnb-steps button").nth(1).click()
    assert "/s/" in viewer.url
    address = viewer.url
    viewer.get_by_role("button", name="All engagements").click()
    expect(viewer.locator("tbody tr")).to_have_count(1)
    viewer.goto(served.origin + "/static/runtime.js")
    viewer.goto(address)
    expect(viewer.locator(".ftnb-panel")).to_contain_text("find")
    expect(viewer.locator(".ftnb-server-run > .ftnb")).not_to_have_attribute("data-selection", "")


def test_a_run_is_on_top_while_it_goes_on_and_moves(viewer: Page, store: SQLiteStore) -> None:
    recorder = Recorder(store)
    engagement = recorder.start_engagement("now")
    first = viewer.locator("tbody tr").first
    expect(first).to_contain_text("now")
    expect(first).to_contain_text("running")
    viewer.get_by_role("link", name="now", exact=True).click()
    step = recorder.start_step(engagement, "look_up")
    expect(viewer.locator(".ftnb-steps")).to_contain_text("look_up")
    recorder.end_step(step)
    recorder.end_engagement(engagement, EngagementStatus.COMPLETED)
    expect(viewer.locator(".ftnb-server-run .ftnb-head")).to_contain_text("completed")
    recorder.close()


def test_a_server_that_comes_back_is_found_again(viewer: Page, store: SQLiteStore, served: Served) -> None:
    viewer.get_by_role("link", name="run 59").click()
    expect(viewer.locator(".ftnb-server-run .ftnb-name")).to_have_text("run 59")
    banner = viewer.locator(".ftnb-server > .ftnb-banner")
    expect(banner).to_be_hidden()
    viewer.context.set_offline(True)
    served.server.should_exit = True
    expect(banner).to_contain_text("The server is not reached", timeout=10_000)
    expect(viewer.locator(".ftnb-server-run .ftnb-name")).to_have_text("run 59")


@pytest.mark.parametrize("width", [400, 1280])
def test_nothing_is_wider_than_the_page(viewer: Page, width: int) -> None:
    viewer.set_viewport_size({"width": width, "height": 800})
    assert viewer.evaluate("document.documentElement.scrollWidth") <= width
    viewer.get_by_role("link", name="run 59").click()
    expect(viewer.locator(".ftnb-server-run .ftnb-canvas canvas").first).to_be_visible()
    assert viewer.evaluate("document.documentElement.scrollWidth") <= width


def test_an_engagement_that_is_not_there_is_said(viewer: Page, served: Served) -> None:
    viewer.goto(served.origin + "/#/e/nobody")
    expect(viewer.get_by_text("This engagement cannot be shown")).to_be_visible()
