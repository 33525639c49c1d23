"""From record to pixel: how long after a record was accepted does the view, in JupyterLab in Chromium, draw it?

The cell records and sleeps, so it holds the kernel all the while. The baseline is the same measurement for a bare
widget that is sent a small message for every fourth record, in the same notebook.

    python tests/benchmarks/bench_live.py [quick]
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import nbformat
from playwright.sync_api import sync_playwright

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from tests.benchmarks._tools import Line, show
from tests.conftest import CHROMIUM_FLAGS, find_chromium
from tests.lab.jupyter import Notebook, lab_server

RATE = 200
REACH_MS = 250

SETUP = """
import time, ftnb, anywidget
from ftnb.core.model import EventKind
session = ftnb.start("live.db")
recorder = session.recorder

class Bare(anywidget.AnyWidget):
    _esm = '''export default { render({ model, el }) {
      window.bare = [];
      el.textContent = "bare";
      model.on("msg:custom", (m) => requestAnimationFrame(() => window.bare.push(Date.now() - m.t * 1000)));
    } }'''
"""
SHOW = "engagement = recorder.start_engagement('run')\nhandle = ftnb.engagement(engagement)\nhandle"
BARE = "bare = Bare()\nbare"
RECORD = """
end, n, step = time.time() + {seconds}, 0, None
while time.time() < end:
    if n % 10 == 0:
        step = recorder.start_step(engagement, 'ab'[n // 10 % 2], triggers=(step,) if step else (), state={{'n': n}})
    recorder.record_event(step, EventKind.TOOL_CALL, 'tool', payload={{'t': time.time(), 'n': n}})
    if n % 10 == 9:
        recorder.end_step(step, update={{'n': n}})
    bare.send({{'t': time.time()}}) if n % 4 == 0 else None
    n += 1
    time.sleep(1 / {rate})
"""
WATCH = """view => {
  const seen = new Set();
  window.delays = [];
  const look = () => {
    for (const detail of (view.ftnb.run.payload.details ?? []).slice(-6)) for (const event of detail?.events ?? []) {
      const { t } = event.payload.value;
      if (t && !seen.has(t)) { seen.add(t); window.delays.push(Date.now() - t * 1000); }
    }
    requestAnimationFrame(look);
  };
  look();
}"""


def measure(seconds: float) -> tuple[list[float], list[float]]:
    """Delays in ms: of the view, and of the bare widget."""
    cells = (SETUP, SHOW, BARE, RECORD.format(seconds=seconds, rate=RATE))
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        root, home = Path(folder) / "root", Path(folder) / "home"
        root.mkdir()
        notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])
        notebook.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3", "language": "python"}
        nbformat.write(notebook, root / "live.ipynb")
        with lab_server(root, home) as address:
            browser = playwright.chromium.launch(executable_path=find_chromium(), args=list(CHROMIUM_FLAGS))
            page = browser.new_page(viewport={"width": 1280, "height": 1400})
            opened = Notebook(page, address, "live.ipynb")
            for index in range(3):
                opened.run_cell(index)
            opened.view(0).root.evaluate(WATCH)
            opened.run_cell(3)
            page.wait_for_timeout(1_000)
            delays = page.evaluate("() => [window.delays, window.bare]")
            browser.close()
    return delays[0], delays[1]


def at(values: list[float], share: float) -> float:
    """The value below which `share` of them lie."""
    return sorted(values)[int(share * (len(values) - 1))] if values else float("nan")


def main(quick: bool) -> None:
    seconds = 4.0 if quick else 12.0
    view, bare = measure(seconds)
    lines = []
    for name, values in (("view", view), ("bare widget", bare)):
        shown = ", ".join(f"p{share * 100:.0f} {at(values, share):,.0f}" for share in (0.5, 0.95, 1.0))
        reached = at(values, 0.95) < REACH_MS if name == "view" else None
        reach = f"p95 < {REACH_MS} ms" if name == "view" else ""
        lines.append(Line(f"{name}: record to pixel", reach, f"{shown} ms ({len(values)} records)", reached))
    show(f"{RATE} records/s for {seconds:g} s from a cell that holds the kernel", lines)


if __name__ == "__main__":
    main("quick" in sys.argv[1:])
