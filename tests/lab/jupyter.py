"""A JupyterLab for a test: its own settings, its own folders, and what a test asks of an open notebook."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).parents[2]
_TOKEN = "local"
_START_S = 90
_SETTINGS = '{"fetchNews": "false", "checkForUpdates": false, "doNotDisturbMode": true}'

_KERNEL_IS_IDLE = """async () => {
  const widget = window.jupyterapp.shell.currentWidget;
  await widget.context.ready;
  await widget.sessionContext.ready;
  for (let i = 0; i < 1200; i++) {
    const kernel = widget.sessionContext.session?.kernel;
    if (kernel && kernel.connectionStatus === 'connected' && kernel.status === 'idle') return;
    await new Promise(done => setTimeout(done, 50));
  }
  throw new Error('the kernel did not become idle');
}"""
_OPEN_IN_LAB = """async path => {
  const app = window.jupyterapp;
  // Closed as they are, for nobody is there to say whether to save; the tab of the launcher may stay.
  for (const one of [...app.shell.widgets('main')]) if (one.context) one.dispose();
  await app.commands.execute('docmanager:open', {path, factory: 'Notebook'});
  const widget = [...app.shell.widgets('main')].find(one => one.context?.path === path);
  app.shell.activateById(widget.id);
  for (let i = 0; i < 600 && app.shell.currentWidget !== widget; i++) await new Promise(requestAnimationFrame);
  if (app.shell.currentWidget !== widget) throw new Error(`${path} did not open`);
}"""
_START_CELL = """async index => {
  const panel = window.jupyterapp.shell.currentWidget;
  panel.content.activeCellIndex = index;
  panel.content.deselectAll();
  window.ftnbRuns = window.jupyterapp.commands.execute('notebook:run-cell').then(() => undefined);
}"""
_ASK_KERNEL = """async code => {
  const kernel = window.jupyterapp.shell.currentWidget.sessionContext.session.kernel;
  const request = kernel.requestExecute({code, store_history: false});
  let said = '';
  request.onIOPub = ({header, content}) => {
    if (header.msg_type === 'stream') said += content.text;
    if (header.msg_type === 'error') said += `${content.ename}: ${content.evalue}`;
  };
  await request.done;
  return said;
}"""
_STAND_STILL = """async view => {
  view.scrollIntoView({block: 'center', behavior: 'instant'});
  let last = '', same = 0;
  for (let i = 0; i < 600 && same < 5; i++) {
    await new Promise(requestAnimationFrame);
    const box = view.getBoundingClientRect(), key = `${box.x} ${box.y} ${box.width} ${box.height}`;
    same = key === last ? same + 1 : 0;
    last = key;
  }
}"""

_FRAMES = "async () => { for (let i = 0; i < 3; i++) await new Promise(requestAnimationFrame) }"


@contextlib.contextmanager
def lab_server(root: Path, home: Path) -> Iterator[str]:
    """Serve the notebooks in `root`, in JupyterLab and in Notebook 7; yields the address.

    Settings and everything that the server writes stay in `home`.
    """
    settings = home / "settings" / "@jupyterlab" / "apputils-extension"
    settings.mkdir(parents=True)
    (settings / "notification.jupyterlab-settings").write_text(_SETTINGS)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    folders = {"CONFIG_DIR": "config", "DATA_DIR": "data", "RUNTIME_DIR": "runtime"}
    environment = {
        **os.environ,
        **{f"JUPYTER_{name}": str(home / folder) for name, folder in folders.items()},
        "JUPYTERLAB_SETTINGS_DIR": str(home / "settings"),
        "JUPYTERLAB_WORKSPACES_DIR": str(home / "workspaces"),
        "IPYTHONDIR": str(home / "ipython"),
        "JUPYTER_PLATFORM_DIRS": "1",
        "PYTHONPATH": os.pathsep.join(filter(None, [str(REPOSITORY), os.environ.get("PYTHONPATH")])),
    }
    options = (
        "--no-browser",
        "--allow-root",
        "--ServerApp.ip=127.0.0.1",
        f"--ServerApp.port={port}",
        "--ServerApp.port_retries=0",
        f"--ServerApp.root_dir={root}",
        f"--IdentityProvider.token={_TOKEN}",
        "--LabApp.expose_app_in_browser=True",
        "--JupyterNotebookApp.expose_app_in_browser=True",
        "--LabApp.news_url=",
        "--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate",
    )
    log_path = home / "server.log"
    with log_path.open("wb") as log:
        server = subprocess.Popen(
            [sys.executable, "-m", "jupyter", "lab", *options],
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
        )
    try:
        _wait_for(f"http://127.0.0.1:{port}/api/status?token={_TOKEN}", server, log_path)
        yield f"http://127.0.0.1:{port}"
    finally:
        # Asked to stop, it stops its kernels first.
        server.terminate()
        try:
            server.wait(20)
        except subprocess.TimeoutExpired:
            server.kill()
            server.wait(5)


def _wait_for(url: str, server: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + _START_S
    while time.monotonic() < deadline:
        if server.poll() is not None:
            break
        try:
            urllib.request.urlopen(url, timeout=2).close()
            return
        except (urllib.error.URLError, TimeoutError, ConnectionError):
            time.sleep(0.1)
    raise RuntimeError(f"JupyterLab did not start: {log.read_text(errors='replace')[-2000:]}")


class Notebook:
    """An open notebook in a Playwright page."""

    def __init__(self, page: Any, address: str, name: str, *, app: str = "lab", reload: bool = True) -> None:
        """`reload=False` opens it in the JupyterLab that is in the page, if one is, instead of what is open there."""
        self.page = page
        self.console_errors: list[str] = []
        self.foreign_requests: list[str] = []
        self._heard = {"console": self._on_console, "pageerror": self._on_error, "request": self._on_request}
        for event, listener in self._heard.items():
            page.on(event, listener)
        place = "lab/tree" if app == "lab" else "notebooks"
        if not reload and page.url.startswith(f"{address}/lab"):
            page.evaluate(_OPEN_IN_LAB, name)
        else:
            page.goto(f"{address}/{place}/{name}?reset&token={_TOKEN}", wait_until="domcontentloaded")
            # The predicate must not be async: a promise is true at once.
            ready = "() => !!window.jupyterapp?.shell?.currentWidget?.sessionContext"
            page.wait_for_function(ready, timeout=60_000)
        page.evaluate(_KERNEL_IS_IDLE)

    def let_go(self) -> None:
        """Hear no more of the page, which the next notebook may be opened in."""
        for event, listener in self._heard.items():
            self.page.remove_listener(event, listener)

    def _on_console(self, message: Any) -> None:
        if message.type == "error":
            self.console_errors.append(message.text)

    def _on_error(self, error: Any) -> None:
        self.console_errors.append(str(error.stack))

    def _on_request(self, request: Any) -> None:
        self._note(request.url)

    def _note(self, url: str) -> None:
        if not url.startswith(("http://127.0.0.1:", "ws://127.0.0.1:", "data:", "blob:")):
            self.foreign_requests.append(url)

    def run_all(self) -> None:
        """Run every cell; returns when the last has finished."""
        self.page.evaluate("() => window.jupyterapp.commands.execute('notebook:run-all-cells')")

    def start_cell(self, index: int) -> Callable[[], None]:
        """Begin to run one cell; calling the result waits until it is over."""
        self.page.evaluate(_START_CELL, index)
        return lambda: self.page.evaluate("() => window.ftnbRuns")

    def run_cell(self, index: int) -> None:
        """Run one cell to its end."""
        self.start_cell(index)()

    def stop(self) -> None:
        """End its kernel."""
        self.page.evaluate("() => window.jupyterapp.shell.currentWidget.sessionContext.shutdown()")

    def save(self) -> None:
        """Write the notebook to its file."""
        self.page.evaluate("() => window.jupyterapp.commands.execute('docmanager:save')")

    def failed_outputs(self) -> list[str]:
        """Texts of the error outputs."""
        return self.page.evaluate("""() => window.jupyterapp.shell.currentWidget.model.sharedModel.cells
            .flatMap(cell => cell.toJSON().outputs ?? [])
            .filter(output => output.output_type === 'error').map(output => `${output.ename}: ${output.evalue}`)""")

    def ask_kernel(self, code: str) -> str:
        """Run `code` in the notebook's kernel, beside its cells, and return what it printed."""
        return self.page.evaluate(_ASK_KERNEL, code).strip()

    def view(self, index: int = 0) -> View:
        """The `index`-th engagement on the page (-1: the last), drawn and no longer moving."""
        views = self.page.locator(".ftnb[data-ready='1']:not(.ftnb-monitor)")
        one = views.last if index < 0 else views.nth(index)
        one.wait_for(timeout=30_000)
        return View(self.page, one)


class View:
    """An engagement on the page."""

    def __init__(self, page: Any, root: Any) -> None:
        self.page = page
        self.root = root
        self.settle()

    def settle(self) -> None:
        """Scroll it into view; running cells keep the page scrolling for a while."""
        self.root.evaluate(_STAND_STILL)

    def wait_for(self, condition: str) -> None:
        """Wait until this JavaScript about `view`, its element, is true."""
        self.page.wait_for_function(f"view => {condition}", arg=self.root.element_handle(), timeout=30_000)

    @property
    def nodes(self) -> list[str]:
        """The nodes' labels, in the payload's order."""
        return self.root.evaluate("view => view.ftnb.run.payload.nodes.map(node => node.label)")

    @property
    def selection(self) -> list[str]:
        """Ids of the selected steps, as the browser has them."""
        return (self.root.get_attribute("data-selection") or "").split()

    @property
    def chosen_nodes(self) -> list[str]:
        """Labels of the nodes that the graph marks as selected."""
        return self.root.evaluate(
            "view => view.ftnb.graph.cy.nodes('.chosen').map(n => view.ftnb.run.payload.nodes[+n.id().slice(1)].label)"
        )

    @property
    def chosen_lanes(self) -> list[str]:
        """Names of the steps whose lanes the timeline marks as selected."""
        return self.root.evaluate(
            """view => [...view.ftnb.timeline.selected].map(step => {
                const {nodes, steps} = view.ftnb.run.payload;
                return nodes[steps[step].node].label;
            })"""
        )

    def click_node(self, label: str) -> None:
        """Click in the middle of a node."""
        # The graph takes clicks when it has been painted.
        self.root.evaluate("view => void view.ftnb.graph.cy")
        self.settle()
        x, y = self.root.evaluate(
            """(view, label) => {
                const {graph, run} = view.ftnb;
                const index = run.payload.nodes.findIndex(node => node.label === label);
                const at = graph.cy.getElementById(`n${index}`).renderedPosition();
                const box = graph.cy.container().getBoundingClientRect();
                return [box.left + at.x, box.top + at.y];
            }""",
            label,
        )
        # As a hand does: it comes to the node before it clicks.
        self.page.mouse.move(x, y)
        self.root.evaluate(_FRAMES)
        self.page.mouse.click(x, y)

    def click_lane(self, index: int) -> None:
        """Click into the `index`-th lane that is in sight, near its name."""
        self.settle()
        box = self.root.locator(".ftnb-scroll").bounding_box()
        axis, lane = 24, 18
        self.page.mouse.click(box["x"] + 30, box["y"] + axis + lane * index + lane / 2)
