"""Notebooks that a program runs with nobody at them: what their saved form and nbconvert's page show."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbclient import NotebookClient
from nbconvert import HTMLExporter
from playwright.sync_api import Browser, expect

from ftnb.widget import _page
from ftnb.widget._page import PageWidget
from ftnb.widget.view import EngagementView
from tests.widget import traces

_WIDGET = "application/vnd.jupyter.widget-view+json"
_CELLS = (
    "import ftnb\n"
    "ftnb.start('t.db')\n"
    "with ftnb.record('booking') as run:\n"
    "    for name in ('greet', 'search', 'submitted'):\n"
    "        with run.step(name):\n"
    "            pass\n"
    "ftnb.stop()\n"
    "tr = ftnb.open('t.db')\n"
    "tr.engagement(tr.engagements()['engagement_id'][0])",
    "tr",
    "tr.funnel(['greet', 'search'], mode='ordered').figure()",
    "tr.funnel(['greet', 'search'], mode='ordered').widget()",
    "tr.directly_follows().widget()",
)


@pytest.fixture(scope="module")
def notebook(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A notebook as nbconvert executes it."""
    made = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in _CELLS])
    folder = tmp_path_factory.mktemp("unattended")
    NotebookClient(made, timeout=120, resources={"metadata": {"path": str(folder)}}).execute()
    return made


def test_neither_state_nor_script_is_kept(notebook: Any) -> None:
    assert "widgets" not in notebook.metadata
    for cell in notebook.cells:
        (output,) = cell.outputs
        assert _WIDGET not in output.data
        assert "<script" not in output.data["text/html"]
    assert len(json.dumps(notebook.cells[0].outputs)) < 20_000


@pytest.fixture
def page_file(notebook: Any, tmp_path: Path) -> Path:
    page, _ = HTMLExporter().from_notebook_node(notebook)
    path = tmp_path / "page.html"
    path.write_text(page, encoding="utf-8")
    return path


@pytest.mark.browser
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_page_shows_every_output_without_a_network(browser: Browser, page_file: Path, scheme: Any) -> None:
    context = browser.new_context(offline=True, color_scheme=scheme)
    page = context.new_page()
    page.goto(page_file.as_uri())
    shown = page.locator(".jp-OutputArea-output")
    expect(shown).to_have_count(len(_CELLS))
    assert all(shown.nth(k).bounding_box()["height"] > 30 for k in range(len(_CELLS)))  # type: ignore[index]
    expect(shown.nth(0).locator("svg").first).to_be_visible()
    expect(shown.nth(0)).to_contain_text("submitted")
    expect(shown.nth(1)).to_contain_text("booking")
    expect(shown.nth(2).locator("table")).to_contain_text("greet")
    expect(shown.nth(3).locator("table")).to_contain_text("search")
    expect(shown.nth(4)).to_contain_text("greet")
    context.close()


def test_a_view_is_sent_when_somebody_looks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_page, "is_unattended", lambda: True)
    view = EngagementView(traces.house())
    assert _WIDGET not in view._repr_mimebundle_()[0]
    model_id = view.model_id
    monkeypatch.setattr(_page, "is_unattended", lambda: False)
    assert view._repr_mimebundle_()[0][_WIDGET]["model_id"] == model_id == view.model_id


def test_widgets_that_a_view_holds_are_sent_before_it(monkeypatch: pytest.MonkeyPatch) -> None:
    sent: list[str] = []
    monkeypatch.setattr(_page, "is_unattended", lambda: True)
    runtime = PageWidget(_esm="export default {}")
    monkeypatch.setattr("ftnb.widget.view.runtime", lambda: runtime)
    view = EngagementView(traces.house())
    monkeypatch.setattr(_page, "is_unattended", lambda: False)
    monkeypatch.setattr("ipywidgets.Widget.open", lambda widget: sent.append(type(widget).__name__))
    view.open()
    assert sent == ["PageWidget", "EngagementView"]
