"""What the output of a cell holds in JupyterLab and Notebook 7, which say what cells they deleted; and elsewhere."""

from __future__ import annotations

import re
from typing import Any

import pytest

from ftnb.widget import _page, _shown
from ftnb.widget.view import EngagementView
from tests.widget import traces

_WIDGET = "application/vnd.jupyter.widget-view+json"


@pytest.fixture
def cell(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Metadata of the message by which the cell was asked for."""
    asked: dict[str, Any] = {"deletedCells": [], "cellId": "a"}
    monkeypatch.setattr(_page, "_asked", lambda part: asked if part == "metadata" else {})
    return asked


def test_in_a_notebooks_page_the_output_is_html_which_names_the_views_place(cell: Any) -> None:
    view = EngagementView(traces.house())
    data, _ = view._repr_mimebundle_()
    assert set(data) == {"text/html", "text/plain"}
    (key,) = re.findall(r'<ftnb-view data-key="(\w+)"', data["text/html"])
    assert key == view.get_state("_place")["_place"]
    assert view.picture()["text/html"] in data["text/html"]
    assert len(data["text/html"]) < 30_000


def test_elsewhere_it_is_a_widget_with_the_picture_beside_it(cell: Any) -> None:
    del cell["deletedCells"]
    data, _ = EngagementView(traces.house())._repr_mimebundle_()
    assert set(data) == {_WIDGET, "text/html", "text/plain"}
    assert "ftnb-view" not in data["text/html"]


def test_a_view_that_waits_for_its_run_has_a_place_too(cell: Any) -> None:
    data, _ = EngagementView(None)._repr_mimebundle_()
    assert "Waiting for a run to begin" in data["text/html"]
    assert "<ftnb-view" in data["text/html"]


def test_an_output_that_is_brought_up_to_date_stays_of_its_kind(cell: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[dict[str, Any]] = []
    monkeypatch.setattr("IPython.display.display", lambda data, **_: told.append(data))
    view = EngagementView(traces.running(), follow=lambda hear: lambda: None)
    _shown.show(view)
    cell.clear()  # the run ends while no cell runs
    view.update(traces.house())
    view._ended()
    assert [_WIDGET in data for data in told] == [False] * len(told)
    assert len(told) == 2
    assert "<ftnb-view" in told[-1]["text/html"]
    assert told[-1]["text/plain"].startswith("house_search: completed")


def test_what_a_viewer_without_drawings_keeps_of_the_picture_can_be_read() -> None:
    picture = EngagementView(traces.house()).picture()["text/html"]
    text = re.sub(r"<(?!/?(?:div|p|table|tr|td)\b)[^>]*>", "", picture)
    assert "greetqualify" not in text
    assert "greet · " in text
