"""A view in marimo, in a browser: it is drawn in a shadow root, and a click reaches the cells that depend on it."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from playwright.sync_api import Page, Route, expect

from tests.lab.jupyter import REPOSITORY

pytestmark = pytest.mark.browser
WAIT_MS = 60_000
NOTEBOOK = """
import marimo

app = marimo.App()


@app.cell
def _():
    import marimo as mo
    import ftnb
    from ftnb.store.sqlite import SQLiteStore

    session = ftnb.start(SQLiteStore())
    with ftnb.record("house_search") as engagement:
        with ftnb.step("greet"):
            pass
        with ftnb.step("rank"):
            pass
    run = ftnb.last()
    return mo, run


@app.cell
def _(mo, run):
    view = mo.ui.anywidget(run.widget())
    view
    return (view,)


@app.cell
def _(mo, run, view):
    names = [step.name for step in run.steps if step.id in view.value.get("selection", [])]
    mo.md(f"Python sees: {', '.join(names) or 'nothing'}")
    return


@app.cell
def _(mo, run, view):
    to_rank = mo.ui.button(label="to rank", on_click=lambda _: view.widget.select("rank"))
    to_rank
    return
"""


@contextmanager
def serving(folder: Path) -> Iterator[str]:
    """`marimo run` of the notebook; yields the address."""
    path = folder / "look.py"
    path.write_text(NOTEBOOK, encoding="utf-8")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    home = {name: str(folder) for name in ("HOME", "XDG_CONFIG_HOME", "XDG_CACHE_HOME", "XDG_STATE_HOME")}
    path_of_ours = os.pathsep.join(filter(None, [str(REPOSITORY), os.environ.get("PYTHONPATH")]))
    environment = {**os.environ, **home, "PYTHONPATH": path_of_ours, "MARIMO_SKIP_UPDATE_CHECK": "1"}
    options = ("--headless", "--no-token", "--host", "127.0.0.1", "--port", str(port))
    log = folder / "server.log"
    with log.open("wb") as out:
        server = subprocess.Popen(
            [sys.executable, "-m", "marimo", "run", str(path), *options],
            cwd=folder, env=environment, stdin=subprocess.DEVNULL, stdout=out, stderr=out,
        )  # fmt: skip
    try:
        address = f"http://127.0.0.1:{port}"
        _wait_for(address, server, log)
        yield address
    finally:
        server.terminate()
        try:
            server.wait(10)
        except subprocess.TimeoutExpired:
            server.kill()
            server.wait(5)


def _wait_for(address: str, server: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + 90
    while time.monotonic() < deadline and server.poll() is None:
        try:
            urllib.request.urlopen(f"{address}/health", timeout=2).close()
            return
        except (urllib.error.URLError, TimeoutError, ConnectionError):
            time.sleep(0.1)
    raise RuntimeError(f"marimo did not start: {log.read_text(errors='replace')[-2000:]}")


def test_a_run_is_drawn_and_its_selection_is_one_with_python(page: Page, tmp_path: Path) -> None:
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))

    def only_here(route: Route) -> None:
        here = route.request.url.startswith(("http://127.0.0.1:", "data:", "blob:"))
        route.continue_() if here else route.abort()

    page.route("**/*", only_here)
    with serving(tmp_path) as address:
        page.goto(address)
        view = page.locator(".ftnb[data-ready='1']")
        view.wait_for(timeout=WAIT_MS)
        assert view.evaluate("view => view.getRootNode() instanceof ShadowRoot")
        painted = """view => { const c = view.querySelector('.ftnb-time canvas'); const seen = new Set();
            const d = c.getContext('2d').getImageData(0, 0, c.width, c.height).data;
            for (let i = 0; i < d.length; i += 4) seen.add(d[i] << 16 | d[i + 1] << 8 | d[i + 2]); return seen.size }"""
        assert view.evaluate(painted) > 5

        said = page.get_by_text("Python sees:")
        expect(said).to_have_text("Python sees: nothing", timeout=WAIT_MS)
        view.locator(".ftnb-panel button", has_text="greet").first.click()
        expect(said).to_have_text("Python sees: greet", timeout=WAIT_MS)

        page.get_by_role("button", name="to rank").click()
        expect(view.locator(".ftnb-where")).to_contain_text("rank", timeout=WAIT_MS)
    assert errors == []
