"""The chat of the workflow notebook, in JupyterLab, in a browser: typed into and clicked as a user does."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import expect

from tests.lab.conftest import Open
from tests.lab.jupyter import Notebook

pytestmark = pytest.mark.browser
NAME = "04_workflow.ipynb"
WAIT_MS = 30_000


@pytest.fixture(scope="module")
def notebook(open_notebook: Open) -> Iterator[Notebook]:
    """The notebook, open in JupyterLab with all of its cells run."""
    with open_notebook(NAME) as opened:
        opened.run_all()
        yield opened


def test_every_cell_runs(notebook: Notebook) -> None:
    assert notebook.failed_outputs() == []


def test_a_typed_line_a_click_and_the_answer(notebook: Notebook) -> None:
    page = notebook.page
    field = page.get_by_placeholder("Say something")
    field.scroll_into_view_if_needed()
    field.fill("Is it still free?")
    field.press("Enter")
    card = page.get_by_role("button", name="Yes", exact=True)
    card.wait_for(timeout=WAIT_MS)
    said = "print([text for who, text in chat.transcript if who != 'card'][-1])"
    assert notebook.ask_kernel(said) == "Is it still free?"
    assert notebook.ask_kernel("print(chat.turn.status)") == "paused"

    card.click()
    expect(card).to_have_count(0, timeout=WAIT_MS)
    status = page.get_by_text("completed ·").last
    status.wait_for(timeout=WAIT_MS)
    assert notebook.ask_kernel("print(chat.transcript[-1])").startswith("('agent', 'Thank you")
    assert notebook.ask_kernel("print(len(chat._view.engagement.steps))") == "3"


def test_nothing_is_fetched_from_elsewhere(notebook: Notebook) -> None:
    assert notebook.foreign_requests == []
