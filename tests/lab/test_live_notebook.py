"""Runs that are watched while they go on, in JupyterLab: from a cell that holds the kernel and from one that awaits."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import nbformat
import pytest
from nbconvert import HTMLExporter
from playwright.sync_api import expect

from tests.lab.conftest import Open
from tests.lab.jupyter import Notebook, View

pytestmark = pytest.mark.browser

GRAPH = """
import asyncio, time
from typing import TypedDict
from langgraph.graph import END, START, StateGraph
import ftnb

class State(TypedDict, total=False):
    n: int

def sync(state):
    time.sleep(0.5)
    return {"n": state.get("n", 0) + 1}

async def later(state):
    await asyncio.sleep(0.5)
    return {"n": state.get("n", 0) + 1}

def build(node):
    graph = StateGraph(State)
    graph.add_node("work", node)
    graph.add_edge(START, "work")
    graph.add_conditional_edges("work", lambda s: "work" if s["n"] < 16 else END, ["work", END])
    return graph.compile()

held, awaiting = build(sync), build(later)
"""
AWAITING = """%%trace --name awaiting
from ipywidgets.widgets.widget import _instances
from ftnb.widget.view import EngagementView

run = asyncio.ensure_future(awaiting.ainvoke({}))
shown = [view for view in _instances.values() if isinstance(view, EngagementView)][-1]
arrived = []
shown.observe(lambda change: arrived.append((run.done(), change["new"])), "selection")
_ = await run
"""
CELLS = (
    "%load_ext ftnb",
    GRAPH,
    "%%trace --name held\n_ = held.invoke({})",
    AWAITING,
    "monitor = ftnb.monitor()\nmonitor",
    "w = ftnb.last().widget()\nw",
    "%ftnb display auto",
    "_ = held.invoke({'n': 13})",
)
N_STEPS = 16


@pytest.fixture(scope="module")
def folder(lab_folder: Path) -> Path:
    """Where the notebook is."""
    folder = lab_folder / "live"
    folder.mkdir()
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in CELLS])
    notebook.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3", "language": "python"}
    nbformat.write(notebook, folder / "live.ipynb")
    return folder


@pytest.fixture(scope="module")
def notebook(open_notebook: Open, folder: Path) -> Iterator[Notebook]:
    """The notebook, open in JupyterLab, with nothing run."""
    with open_notebook("live/live.ipynb", alone=True) as opened:
        yield opened


def _steps(view: View) -> int:
    return int(view.root.evaluate("view => view.ftnb.run.payload.steps.length"))


def test_a_cell_that_holds_the_kernel_shows_its_run_as_it_goes_on(notebook: Notebook) -> None:
    notebook.run_cell(0)
    notebook.run_cell(1)
    running = notebook.start_cell(2)
    view = notebook.view(0)
    view.wait_for("view.ftnb.run.payload.steps.length >= 2")
    assert _steps(view) < N_STEPS
    expect(view.root.locator(".ftnb-live")).to_be_visible()
    # A click while the kernel is held is kept, and arrives after the cell.
    view.click_node("work")
    selected = view.selection
    assert len(selected) == 1
    running()
    view = notebook.view(0)
    assert _steps(view) == N_STEPS
    expect(view.root.locator(".ftnb-head")).to_contain_text("completed")
    assert view.selection == selected
    expect(view.root.locator(".ftnb-live")).to_have_count(0)


def test_a_click_reaches_python_at_once_while_a_cell_awaits(notebook: Notebook) -> None:
    running = notebook.start_cell(3)
    view = notebook.view(1)
    view.wait_for("view.ftnb.run.payload.steps.length >= 2")
    view.click_node("work")
    selected = view.selection
    running()
    assert notebook.ask_kernel("print(arrived[0])") == str((False, tuple(selected)))
    assert _steps(notebook.view(1)) == N_STEPS


def test_the_monitor_lists_both_and_opens_one(notebook: Notebook) -> None:
    notebook.run_cell(4)
    monitor = notebook.page.locator(".ftnb-monitor[data-ready='1']")
    expect(monitor.locator("tbody tr")).to_have_count(2)
    expect(monitor).to_contain_text("held")
    monitor.locator("tbody tr").nth(0).click()
    opened = monitor.locator(".ftnb-opened .ftnb[data-ready='1']")
    expect(opened).to_contain_text("awaiting")
    assert notebook.ask_kernel("print(monitor.view.opened.engagement.name)") == "awaiting"


def test_selection_filter_and_moment_are_one_on_both_sides(notebook: Notebook) -> None:
    notebook.run_cell(5)
    view = notebook.view(-1)
    notebook.ask_kernel("w.select('work', visit=3)")
    expect(view.root.locator(".ftnb-where")).to_have_text("work #3")
    view.root.locator(".ftnb-graph").focus()
    notebook.page.keyboard.press("ArrowRight")
    expect(view.root.locator(".ftnb-where")).to_have_text("work #4")
    assert notebook.ask_kernel("print(w.selected['visit'].to_list())") == "[4]"
    assert notebook.ask_kernel("print(w.filter(name='work', status='failed').height)") == "0"
    expect(view.root.locator(".ftnb-search small")).to_have_text("0 of 16")
    notebook.page.keyboard.press("/")
    notebook.page.keyboard.press("Escape")
    assert notebook.ask_kernel("print(w._state['filter'], w.filtered.height)") == "None 16"
    assert float(notebook.ask_kernel("print(w.seek(500))")) == 500.0


def test_a_judgement_is_put_on_record_by_a_click(notebook: Notebook) -> None:
    view = notebook.view(-1)
    view.root.get_by_role("tab", name="Summary").click()
    view.root.get_by_role("button", name="Wrong").click()
    expect(view.root.locator(".ftnb-judged")).to_contain_text("wrong")
    said = notebook.ask_kernel(
        "print([(a.label, a.value, a.step_id == w.selection[-1]) for a in ftnb.last().annotations])"
    )
    assert said == "[('correct', False, True)]"


def test_runs_are_shown_by_themselves_while_they_go_on(notebook: Notebook) -> None:
    notebook.run_cell(6)
    running = notebook.start_cell(7)
    shown = notebook.page.locator(".jp-Cell").nth(7).locator(".ftnb[data-ready='1']")
    expect(shown.locator(".ftnb-live")).to_be_visible(timeout=30_000)
    running()
    expect(shown.locator(".ftnb-head")).to_contain_text("completed")
    expect(shown).to_have_count(1)
    notebook.ask_kernel("get_ipython().run_line_magic('ftnb', 'display off')")


def test_a_saved_notebook_keeps_the_final_picture(notebook: Notebook, folder: Path) -> None:
    notebook.save()
    saved = nbformat.read(folder / "live.ipynb", as_version=4)
    held = [output["data"] for output in saved.cells[2].outputs if "text/html" in output.get("data", {})]
    assert len(held) == 1
    assert held[0]["text/plain"].startswith("held: completed")
    assert "<svg" in held[0]["text/html"]
    assert "<script" not in held[0]["text/html"]
    assert len(json.dumps(saved.cells[2].outputs)) < 20_000
    page, _ = HTMLExporter().from_notebook_node(saved)
    assert "held" in page
    assert "16 steps" in page


def test_nothing_goes_wrong_and_nothing_leaves_the_machine(notebook: Notebook) -> None:
    assert notebook.failed_outputs() == []
    assert notebook.console_errors == []
    assert notebook.foreign_requests == []


def test_a_view_says_when_its_kernel_is_gone(notebook: Notebook) -> None:
    notebook.page.evaluate("() => window.jupyterapp.shell.currentWidget.sessionContext.session.kernel.restart()")
    view = notebook.view(0)
    expect(view.root.locator(".ftnb-banner")).to_be_visible(timeout=30_000)
    expect(view.root.locator(".ftnb-head")).to_contain_text("completed")
