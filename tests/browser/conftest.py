"""One page for all tests of views: the bundle is parsed once, and what a test leaves behind is taken away."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser.harness import Widget

# Two processes share a machine of two cores.
expect.set_options(timeout=15_000)


@pytest.fixture(scope="session")
def kept_page(browser: Browser) -> Iterator[Page]:
    """A page that outlives tests."""
    page = browser.new_page(locale="en-US", timezone_id="UTC")
    yield page
    page.close()


@pytest.fixture
def widget(kept_page: Page, request: pytest.FixtureRequest) -> Iterator[Widget]:
    """A harness that ends the test with every error, warning and request that it saw.

    A module's VIEWPORT is the size of the page.
    """
    width, height = getattr(request.module, "VIEWPORT", (1100, 800))
    kept_page.set_viewport_size({"width": width, "height": height})
    harness = Widget(kept_page)
    yield harness
    harness.close()
    assert harness.problems == []
