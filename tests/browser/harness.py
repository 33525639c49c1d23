"""The widget in a real browser without Jupyter: a strict policy, a model made of JavaScript, and no network."""

from __future__ import annotations

from typing import Any

from playwright.sync_api import ConsoleMessage, Error, Locator, Page, Route

from ftnb.core.model import Engagement
from ftnb.widget.html import read_bundle
from ftnb.widget.payload import engagement_payload

ORIGIN = "http://ftnb.test"
POLICY = (
    "default-src 'none'; script-src 'self' 'unsafe-inline' blob:; style-src 'unsafe-inline'; img-src data: blob:; "
    "connect-src 'none'; require-trusted-types-for 'script'; trusted-types 'none'"
)
_HOST = """<!DOCTYPE html><meta charset="utf-8"><body style="margin:0"><div id="above"></div><div id="out"></div>
<div style="height:1500px"></div><script type="module">
import runtime from "/runtime.js";
class Model {
  constructor(state) { this.state = state; this.sent = []; this.saved = 0; this.listeners = []; }
  get(name) { return this.state[name]; }
  set(name, value) { this.state[name] = value; }
  save_changes() { this.saved++; }
  send(content) { this.sent.push(content); }
  on(name, f) { this.listeners.push([name, f]); }
  off(name, f) { this.listeners = this.listeners.filter(([n, g]) => n !== name || g !== f); }
  fire(name, ...args) { for (const [n, f] of this.listeners) if (n === name) f(...args); }
  change(name, value) { this.state[name] = value; this.fire("change:" + name); }
}
window.show = (payload, options = {}) => {
  const { width = null, shadow = false, hidden = false, selection = [], state = {}, can = [], gone = false } = options;
  const out = document.getElementById("out");
  out.style.width = width ? width + "px" : "";
  out.style.display = hidden ? "none" : "";
  out.classList.toggle("jupyter-widgets-disconnected", gone);
  window.model = new Model({ _payload: payload, selection, _state: state, _can: can });
  window.controller = new AbortController();
  const el = document.createElement("div");
  (shadow ? out.attachShadow({ mode: "open" }) : out).append(el);
  const { mount } = runtime.initialize();
  window.stop = mount({ model: window.model, el, signal: window.controller.signal });
  window.view = el.querySelector(".ftnb");
};
window.showMonitor = (rows, run, width) => {
  const out = document.getElementById("out"), el = document.createElement("div");
  out.style.width = width ? width + "px" : "";
  out.append(el);
  window.model = new Model({ _rows: rows, _opened: null });
  const opened = new Model({ _payload: run, selection: [], _state: {}, _can: [] });
  const { mountMonitor } = runtime.initialize();
  window.stop = mountMonitor({ model: window.model, el, getModel: async () => opened });
  window.view = el.querySelector(".ftnb");
};
window.showBrowser = (page, run, width) => {
  const out = document.getElementById("out"), el = document.createElement("div");
  out.style.width = width ? width + "px" : "";
  out.append(el);
  window.model = new Model({ _page: page, _opened: null });
  const opened = new Model({ _payload: run, selection: [], _state: {}, _can: [] });
  const { mountBrowser } = runtime.initialize();
  window.stop = mountBrowser({ model: window.model, el, getModel: async () => opened });
  window.view = el.querySelector(".ftnb");
};
/** For listeners of a test. */
window.test = new AbortController();
window.reset = () => {
  window.stop?.();
  window.controller?.abort();
  window.test.abort();
  window.test = new AbortController();
  for (const name of ["view", "model", "stop", "controller", "leaked", "kept"]) delete window[name];
  for (const id of ["above", "out"]) {
    const fresh = document.createElement("div");
    fresh.id = id;
    document.getElementById(id).replaceWith(fresh);
  }
  for (const name of document.documentElement.getAttributeNames()) document.documentElement.removeAttribute(name);
  for (const name of document.body.getAttributeNames()) document.body.removeAttribute(name);
  document.body.style.margin = "0";
  document.activeElement?.blur();
  scrollTo(0, 0);
};
window.settled = async () => {
  for (const one of document.querySelectorAll(".ftnb")) void one.ftnb?.graph?.canvas?.cy;
  void window.view?.ftnb?.graph?.canvas?.cy;
  for (let i = 0; i < 4; i++) await new Promise(requestAnimationFrame);
};
window.ready = true;
</script>"""


class Widget:
    """One view in a page, and what happened there."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.problems: list[str] = []
        page.on("console", self._on_console)
        page.on("pageerror", self._on_error)
        page.route("**/*", self._serve)
        if page.url == ORIGIN + "/":
            page.evaluate("window.reset()")
            page.mouse.move(0, 0)
        else:
            page.goto(ORIGIN + "/")
        self.wait("window.ready")

    def close(self) -> None:
        """Let go of the page, which may be used again."""
        self.page.evaluate("window.reset?.()")
        self.page.emulate_media(reduced_motion="null", color_scheme="null", forced_colors="null")
        self.page.remove_listener("console", self._on_console)
        self.page.remove_listener("pageerror", self._on_error)
        self.page.unroute("**/*", self._serve)

    def show(self, engagement: Engagement, **options: Any) -> Widget:
        """Mount a view of `engagement`; options are width, shadow, hidden, selection, state, can and gone."""
        self.show_payload(engagement_payload(engagement), **options)
        return self

    def show_payload(self, payload: Any, **options: Any) -> None:
        self.page.evaluate("([payload, options]) => window.show(payload, options)", [payload, options])
        self.settle()

    def show_monitor(self, rows: Any, *, run: Any = None, width: int | None = None) -> None:
        """Mount the monitor; `run` is the payload of the run that is opened in it."""
        self.page.evaluate("([rows, run, width]) => window.showMonitor(rows, run, width)", [rows, run, width])
        self.settle()

    def show_browser(self, page: Any, *, run: Any = None, width: int | None = None) -> None:
        """Mount the browser of many engagements; `run` is the payload of the run that is opened in it."""
        self.page.evaluate("([page, run, width]) => window.showBrowser(page, run, width)", [page, run, width])
        self.settle()

    def settle(self) -> None:
        """Wait until what changed has been painted, by Cytoscape where it is to draw the graph in the end."""
        self.page.evaluate("window.settled()")

    def wait(self, condition: str) -> None:
        """Wait until this JavaScript is true. Playwright's own way needs eval, which the page's policy forbids."""
        for _ in range(600):
            if self.eval(condition):
                return
            self.page.wait_for_timeout(25)
        raise AssertionError(f"still not true after 15 s: {condition}")

    def eval(self, code: str, argument: Any = None) -> Any:
        """Run JavaScript; `view`, `model` and `app` are at hand."""
        return self.page.evaluate(
            f"async argument => {{ const {{view, model}} = window, app = view?.ftnb; return {code}; }}", argument
        )

    def click_node(self, name: str) -> None:
        """Click the node with this label in the graph, where it is drawn."""
        x, y = self.eval(
            "(() => { const own = app.graph.cy.nodes().filter(n => n.data('label') === argument)[0];"
            " const n = own.renderedPosition(), b = view.querySelector('.ftnb-canvas').getBoundingClientRect();"
            " return [b.left + n.x, b.top + n.y] })()",
            name,
        )
        self.page.mouse.click(x, y)
        self.settle()

    def click_lane(self, step: int, *, offset: int = 40) -> None:
        """Click the lane of a step, `offset` px from the left: on its name."""
        x, y = self.eval(
            "(() => { const s = view.querySelector('.ftnb-scroll'), lane = app.run.laneOfStep[argument];"
            " s.scrollTop = lane * 18 - 40; const b = s.getBoundingClientRect();"
            " return [b.left, b.top + 24 + lane * 18 + 9 - s.scrollTop] })()",
            step,
        )
        self.page.mouse.click(x + offset, y)
        self.settle()

    @property
    def selection(self) -> list[str]:
        """What the model was told last."""
        return list(self.eval("model.get('selection')"))

    @property
    def sent(self) -> list[dict[str, Any]]:
        """Messages to the kernel, without the one with which each view begins."""
        return [message for message in self.eval("model.sent") if message["op"] != "hello"]

    def answer(self, **fields: Any) -> None:
        """Answer the last message as the kernel would."""
        seq = self.eval("model.sent.at(-1).seq")
        self.eval("model.fire('msg:custom', argument)", {"seq": seq, "error": None, **fields})
        self.settle()

    @property
    def panel(self) -> Locator:
        return self.page.locator(".ftnb-panel")

    def _on_console(self, message: ConsoleMessage) -> None:
        # The one warning is about how these tests look at canvases.
        if message.type in ("error", "warning") and "willReadFrequently" not in message.text:
            self.problems.append(message.text)

    def _on_error(self, error: Error) -> None:
        self.problems.append(str(error))

    def _serve(self, route: Route) -> None:
        url = route.request.url
        if url == ORIGIN + "/":
            headers = {"content-type": "text/html", "content-security-policy": POLICY}
            route.fulfill(body=_HOST, headers=headers)
        elif url == ORIGIN + "/runtime.js":
            route.fulfill(body=read_bundle(), headers={"content-type": "text/javascript"})
        elif url == ORIGIN + "/favicon.ico":
            route.fulfill(status=204)
        else:
            self.problems.append(f"request to {url}")
            route.abort()
