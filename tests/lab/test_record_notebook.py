"""A new user's first notebook, in JupyterLab, in a browser: what runs is what is committed."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.lab.conftest import Open
from tests.lab.jupyter import Notebook, View

pytestmark = pytest.mark.browser
NAME = "01_record.ipynb"


@pytest.fixture(scope="module")
def notebook(open_notebook: Open) -> Iterator[Notebook]:
    """The notebook, open in JupyterLab with all of its cells run."""
    with open_notebook(NAME, alone=True) as opened:
        opened.run_all()
        yield opened


@pytest.fixture
def view(notebook: Notebook) -> View:
    """The view that the notebook calls `w`."""
    return notebook.view(1)


def test_every_cell_runs(notebook: Notebook) -> None:
    assert notebook.failed_outputs() == []


def test_the_widget_shows_the_graph_and_what_was_run(notebook: Notebook, tmp_path: Path) -> None:
    view = notebook.view(0)
    assert {"greet", "search_listings", "search_agencies", "rank", "escalate", "submitted"} <= set(view.nodes)
    picture = tmp_path / "widget.png"
    view.root.screenshot(path=picture)
    assert picture.stat().st_size > 10_000


def test_a_click_on_a_node_selects_its_lane_and_reaches_python(notebook: Notebook, view: View) -> None:
    view.click_node("qualify")
    assert view.chosen_nodes == ["qualify"]
    assert view.chosen_lanes == ["qualify"]
    assert notebook.ask_kernel("print(w.selected['name'].to_list())") == "['qualify']"
    assert notebook.ask_kernel("print(*w.selection)").split() == view.selection


def test_a_click_on_a_lane_selects_its_node_and_reaches_python(notebook: Notebook, view: View) -> None:
    view.click_lane(0)
    assert view.chosen_nodes == ["greet"]
    assert notebook.ask_kernel("print(w.selected['name'].to_list())") == "['greet']"


def test_each_visit_of_a_loop_can_be_selected(notebook: Notebook, view: View) -> None:
    for visit in (1, 2):
        notebook.ask_kernel(f"w.select('rank', visit={visit})")
        view.page.wait_for_function(
            "([view, id]) => view.dataset.selection === id",
            arg=[view.root.element_handle(), notebook.ask_kernel(f"print(run.step('rank', visit={visit}).id)")],
        )
        assert view.chosen_nodes == ["rank"]


def test_nothing_goes_wrong_and_nothing_leaves_the_machine(notebook: Notebook) -> None:
    assert notebook.console_errors == []
    assert notebook.foreign_requests == []


def test_all_cells_can_be_run_again(notebook: Notebook) -> None:
    notebook.run_all()
    assert notebook.failed_outputs() == []
    assert notebook.console_errors == []
