"""The notebook on looking, in JupyterLab and in Notebook 7, in a browser."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import expect

from tests.lab.conftest import Open
from tests.lab.jupyter import Notebook

pytestmark = pytest.mark.browser
NAME = "03_look.ipynb"
WAIT_MS = 30_000


@pytest.fixture(scope="module", params=["lab", "notebook"])
def notebook(request: Any, open_notebook: Open) -> Iterator[Notebook]:
    """The notebook, open with all of its cells run."""
    with open_notebook(NAME, app=request.param) as opened:
        opened.run_all()
        yield opened


def test_every_cell_runs(notebook: Notebook) -> None:
    assert notebook.failed_outputs() == []


def test_what_is_typed_and_clicked_in_the_list_reaches_python_and_opens_a_run(notebook: Notebook) -> None:
    page = notebook.page
    browsers = page.locator(".ftnb-browser[data-ready='1']")
    chosen = browsers.nth(1)  # tr.browse(...), which the notebook calls `failed`
    chosen.scroll_into_view_if_needed()
    chosen.get_by_role("button", name="Show all").click()
    expect(chosen.locator(".ftnb-facts").first).to_have_text("40 engagements", timeout=WAIT_MS)
    assert notebook.ask_kernel("print(failed.payload['n_found'])") == "40"
    chosen.get_by_role("searchbox").fill("retiree")
    expect(chosen.get_by_role("button", name="Show all")).to_be_visible(timeout=WAIT_MS)
    assert int(notebook.ask_kernel("print(failed.payload['n_found'])")) < 40

    chosen.locator("td.name button").first.click()
    opened = chosen.locator(".ftnb-opened .ftnb[data-ready='1']")
    opened.wait_for(timeout=WAIT_MS)
    same = "print(failed.opened.engagement.id == failed.payload['rows'][0]['id'])"
    assert notebook.ask_kernel(same) == "True"


def test_a_value_that_was_found_opens_its_run_at_its_step(notebook: Notebook) -> None:
    found = notebook.page.locator(".ftnb-browser[data-ready='1']").nth(2)
    found.scroll_into_view_if_needed()
    found.locator(".ftnb-hits button").first.click()
    opened = found.locator(".ftnb-opened .ftnb[data-ready='1']")
    opened.wait_for(timeout=WAIT_MS)
    step = notebook.ask_kernel("print(found.hits[0].step_id)")
    expect(opened).to_have_attribute("data-selection", step, timeout=WAIT_MS)


def test_two_runs_and_the_map_are_drawn(notebook: Notebook) -> None:
    drawn = notebook.page.locator(".ftnb[data-ready='1']")
    labels = [one.get_attribute("aria-label") or "" for one in drawn.all()]
    assert sum(label.startswith("Process map") for label in labels) == 2
    assert any(" and " in label for label in labels)


def test_nothing_is_fetched_from_elsewhere(notebook: Notebook) -> None:
    assert notebook.foreign_requests == []
