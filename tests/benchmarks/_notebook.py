"""Views in a real JupyterLab: how much crosses the wire, how soon all are painted, what a saved notebook keeps."""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nbformat
from playwright.sync_api import Browser, WebSocket

from tests.lab.jupyter import Notebook, lab_server

RUN = """
import ftnb
from ftnb.core.model import EventKind
from ftnb.store.sqlite import SQLiteStore
recorder = ftnb.start(SQLiteStore()).recorder

def record(n, name):
    engagement, step = recorder.start_engagement(name), None
    for i in range(n):
        state = {"messages": [{"role": "user", "content": f"message {k} of the talk"} for k in range(min(i, 20))]}
        step = recorder.start_step(engagement, "abcdefgh"[i % 8], triggers=(step,) if step else (), state=state)
        recorder.record_event(step, EventKind.TOOL_CALL, "look_up", payload={"args": {"query": f"number {i}"}})
        recorder.end_step(step, update={"found": i})
    recorder.end_engagement(engagement)
    return ftnb.engagement(engagement)

many = [record(20, f"run {i}") for i in range(VIEWS)]
long = record(100, "long")
one = record(20, "one")
"""
SHOW_ALL = "import time\nfrom IPython.display import display\nbegun = time.time()\nfor run in many: display(run)"
SHOW_ONE = "import time\nbegun = time.time()\none"
LATER = """() => {
  window.painted = [];
  const ready = () => [...document.querySelectorAll("ftnb-view")]
    .map(place => place.shadowRoot?.querySelector(".ftnb[data-ready='1']")).filter(Boolean);
  const seen = new Set(ready());
  const look = () => {
    for (const view of ready()) {
      if (seen.has(view)) continue;
      seen.add(view);
      requestAnimationFrame(() => requestAnimationFrame(() => window.painted.push(Date.now())));
    }
    requestAnimationFrame(look);
  };
  look();
}"""


@dataclass
class Seen:
    """What was measured. Times in ms, from before a view is made in Python until it is painted in the page."""

    opening_ms: float
    """A 20-step run's view, the first of a page: with what it takes to send and read the bundle."""
    first_ms: float
    """The same run's view again."""
    all_ms: float
    wire_bytes: int
    html_bytes: int
    """Of `to_html` of a 100-step run."""
    saved: str
    """The notebook's JSON with one view of a 100-step run in it."""


@contextmanager
def _opened(browser: Browser, cells: list[str]) -> Iterator[tuple[Notebook, Path]]:
    with tempfile.TemporaryDirectory() as folder:
        root, home = Path(folder) / "root", Path(folder) / "home"
        root.mkdir()
        notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])
        notebook.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3", "language": "python"}
        nbformat.write(notebook, root / "views.ipynb")
        with lab_server(root, home) as address:
            page = browser.new_page(viewport={"width": 1280, "height": 1400})
            page.on("websocket", _count)
            _COUNTED.clear()
            yield Notebook(page, address, "views.ipynb"), root / "views.ipynb"
            page.close()


_COUNTED: list[int] = []


def _count(socket: WebSocket) -> None:
    def note(frame: Any) -> None:
        _COUNTED.append(len(frame))

    socket.on("framereceived", note)
    socket.on("framesent", note)


def measure(browser: Browser, *, views: int) -> Seen:
    """Show one view twice, then one of 100 steps, then `views` in one cell, and save the one of 100 steps."""
    cells = [RUN.replace("VIEWS", str(views)), "long", SHOW_ALL, SHOW_ONE]
    with _opened(browser, cells) as (notebook, path):
        page = notebook.page
        notebook.run_cell(0)
        page.evaluate(LATER)
        notebook.run_cell(3)
        opening = _wait(notebook, 1)
        page.wait_for_timeout(500)
        page.evaluate("() => { window.painted = [] }")
        notebook.run_cell(3)
        first = _wait(notebook, 1)
        notebook.run_cell(1)
        notebook.view(-1)
        page.wait_for_timeout(500)
        page.evaluate("() => { window.painted = [] }")
        page.wait_for_timeout(500)
        before = sum(_COUNTED)
        notebook.start_cell(2)()
        everything = _wait(notebook, views)
        page.wait_for_timeout(300)
        wire = sum(_COUNTED) - before
        html = int(notebook.ask_kernel("print(len(long.widget().to_html().encode()))"))
        page.evaluate(
            "() => { const cells = window.jupyterapp.shell.currentWidget.model.sharedModel;"
            " for (const i of [3, 2, 0]) cells.deleteCell(i) }"
        )
        notebook.save()
        saved = path.read_text(encoding="utf-8")
    return Seen(opening, first, everything, wire, html, saved)


def _wait(notebook: Notebook, n: int) -> float:
    """Milliseconds from when the cell began to show, by the kernel's clock, until `n` views were painted."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        painted = notebook.page.evaluate("() => window.painted")
        if len(painted) >= n:
            return float(max(painted)) - float(notebook.ask_kernel("print(begun)")) * 1000
        notebook.page.wait_for_timeout(20)
    raise RuntimeError(f"{len(painted)} of {n} views were painted in a minute")


def outputs_of(saved: str) -> tuple[int, bool]:
    """Bytes of the outputs of a saved notebook, and whether there is a script among them."""
    outputs = [output for cell in json.loads(saved)["cells"] for output in cell.get("outputs", [])]
    text = json.dumps(outputs)
    return len(text), "<script" in text
