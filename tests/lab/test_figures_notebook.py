"""Figures of journeys in JupyterLab: a click on a mark tells Python which engagements are behind it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nbformat
import pytest
from playwright.sync_api import expect

from tests.lab.conftest import Open
from tests.lab.jupyter import Notebook

pytestmark = pytest.mark.browser
WAIT_MS = 30_000
CELL = """from IPython.display import display

import ftnb
from ftnb.examples.house_traffic import FUNNEL, record_traffic

store = ftnb.SQLiteStore()
record_traffic(store, 200)
tr = ftnb.open(store)
f = tr.funnel(FUNNEL, mode="ordered")
flows = tr.directly_follows()
bars, way = f.widget(), flows.figure_widget()
display(bars, way)"""


@pytest.fixture(scope="module")
def notebook(open_notebook: Open, lab_folder: Path) -> Iterator[Notebook]:
    """A notebook with two figures, run."""
    made = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(CELL)])
    # Without it JupyterLab asks which kernel to take.
    made.metadata.kernelspec = {"name": "python3", "display_name": "Python 3", "language": "python"}
    nbformat.write(made, lab_folder / "figures.ipynb")
    with open_notebook("figures.ipynb") as opened:
        opened.run_all()
        yield opened


def _middle(box: Any) -> tuple[float, float]:
    assert box is not None
    return box["x"] + box["width"] / 2, box["y"] + box["height"] / 2


def test_a_click_on_a_bar_selects_the_engagements_that_came_there(notebook: Notebook) -> None:
    page = notebook.page
    assert notebook.failed_outputs() == []
    figure = page.locator(".js-plotly-plot").first
    figure.wait_for(timeout=WAIT_MS)
    figure.scroll_into_view_if_needed()
    bar = figure.locator(".funnellayer .point path").nth(3)
    page.mouse.move(*_middle(bar.bounding_box()))
    page.mouse.click(*_middle(bar.bounding_box()))
    reached = notebook.ask_kernel("print(f.steps[3].reached)")
    said = page.get_by_role("status").filter(has_text=f"{reached} engagements selected")
    expect(said).to_be_visible(timeout=WAIT_MS)
    same = "print(set(bars.selection) == set(f.engagements('rank', 'reached')['engagement_id']))"
    assert notebook.ask_kernel(same) == "True"


def test_a_click_on_an_arrow_selects_who_went_that_way(notebook: Notebook) -> None:
    page = notebook.page
    figure = page.locator(".js-plotly-plot").nth(1)
    figure.wait_for(timeout=WAIT_MS)
    figure.scroll_into_view_if_needed()
    # Of the marks that take clicks, those on arrows come before those of the boxes; the first is of the commonest move.
    x, y = _middle(figure.locator(".scatterlayer .trace").nth(-2).locator(".points path").first.bounding_box())
    page.mouse.move(x, y)
    page.mouse.click(x, y)
    expect(page.get_by_role("status").filter(has_text="selected: .selected has them").nth(1)).to_be_visible(
        timeout=WAIT_MS
    )
    edge = "e = flows.frame().row(0, named=True); "
    same = edge + "print(len(way.selection) == e['n_engagements'])"
    assert notebook.ask_kernel(same) == "True"


def test_nothing_is_fetched_from_elsewhere(notebook: Notebook) -> None:
    assert notebook.foreign_requests == []
