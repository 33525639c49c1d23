"""A Plotly figure in a notebook that can be clicked: what is behind a point comes back to Python.

The page needs no other server: the Plotly that is installed with the package is sent once a page, packed, when the
first figure is drawn, and is not kept in saved notebooks.
"""

from __future__ import annotations

import functools
import gzip
import json
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeGuard

import traitlets

from ..core.errors import FtnbError
from ._page import PageWidget, RuntimeView, is_notebook_page

if TYPE_CHECKING:
    import plotly.graph_objects as go
    import polars as pl

_ESM = """
const KEY = "__ftnb_plotly__";

function ask(model) {
  return new Promise((resolve) => {
    const take = (message, buffers) => {
      if (message?.op !== "plotly") return;
      model.off("msg:custom", take);
      resolve(buffers[0]);
    };
    model.on("msg:custom", take);
    model.send({ op: "plotly" });
  });
}

async function load(model) {
  const packed = await ask(model);
  const code = await new Response(new Blob([packed]).stream().pipeThrough(new DecompressionStream("gzip"))).text();
  const parts = ["const module = { exports: {} };\\n", code, "\\nexport default module.exports;"];
  const url = URL.createObjectURL(new Blob(parts, { type: "text/javascript" }));
  try {
    return (await import(url)).default;
  } finally {
    URL.revokeObjectURL(url);
  }
}

function plotly(model) {
  globalThis[KEY] ??= load(model).catch((error) => { delete globalThis[KEY]; throw error; });
  return globalThis[KEY];
}

async function draw({ model, el }) {
  const place = document.createElement("div");
  const said = document.createElement("div");
  said.setAttribute("role", "status");
  said.style.cssText = "font: 13px system-ui, sans-serif; min-height: 1.4em; padding: 0 16px;";
  el.append(place, said);
  let gone = false;
  const tell = () => { said.textContent = model.get("_said"); };
  model.on("change:_said", tell);
  tell();
  const Plotly = await plotly(model);
  if (gone) return;
  const again = () => {
    const figure = model.get("_figure");
    return Plotly.react(place, figure.data, figure.layout, { displaylogo: false, responsive: true });
  };
  await again();
  model.on("change:_figure", again);
  let n = 0;
  const send = (clicked) => {
    n += 1;
    model.set("_clicked", clicked && { ...clicked, n });
    model.save_changes();
  };
  place.on("plotly_click", (event) => {
    const point = event.points[0];
    if (!point) return;
    const at = point.pointNumber ?? point.pointIndex ?? null;
    send({ curve: point.curveNumber, point: at });
  });
  place.on("plotly_doubleclick", () => send(null));
  return () => {
    gone = true;
    model.off("change:_said", tell);
    model.off("change:_figure", again);
    Plotly.purge(place);
  };
}

export default {
  initialize({ model, signal }) {
    const home = model.get("_home");
    if (!home) return;
    const all = (globalThis[Symbol.for("ftnb.runtimes")] ??= {});
    const mount = (given) => {
      const drawn = draw(given);
      return () => drawn.then((stop) => stop?.(), () => {});
    };
    // Until Plotly is there the table is seen. Its styles are in the page's head.
    const attend = () => (all[home] ??= []).push((runtime) => runtime.attend({ model, signal, mount, isOpen: true }));
    plotly(model).then(attend, (error) => console.error(error));
  },
  render: draw,
};
"""


@functools.cache
def _packed() -> bytes:
    """The Plotly of this installation, for a browser."""
    from plotly.offline import get_plotlyjs

    return gzip.compress(get_plotlyjs().encode(), compresslevel=6, mtime=0)


def _runtime_of_page() -> PageWidget | None:
    """What finds the place of a figure in a notebook's page; elsewhere none is needed."""
    from .view import runtime

    try:
        return runtime() if is_notebook_page() else None
    except FtnbError:
        return None


class FigureView(RuntimeView):
    """A figure whose points select what is behind them.

    `selected` is a frame of the engagements behind the point that was clicked last; a double click clears it. Observe
    the trait `selection`, their ids, to follow the user: `view.observe(f, "selection")`.
    """

    _esm = _ESM
    _figure = traitlets.Dict().tag(sync=True)
    _clicked = traitlets.Dict(allow_none=True, default_value=None).tag(sync=True)
    _said = traitlets.Unicode("Click a mark to select the engagements behind it.").tag(sync=True)
    selection = traitlets.Tuple()
    """Ids of the engagements behind the clicked point."""

    def __init__(self, figure: go.Figure, pick: Callable[[Any], pl.DataFrame], fallback: str, text: str) -> None:
        """`pick(key)` gives the engagements behind a key that the figure's traces hold, a point, in `meta`; `fallback`
        is HTML for viewers without a kernel."""
        self._pick, self._fallback, self._text = pick, fallback, text
        plain = json.loads(str(figure.to_json()))
        self._keys = [trace.pop("meta", None) for trace in plain["data"]]
        self._selected: pl.DataFrame | None = None
        super().__init__(_runtime_of_page(), _figure=plain)
        self.on_msg(self._take)
        self.observe(self._on_click, "_clicked")

    @property
    def selected(self) -> pl.DataFrame | None:
        """The engagements behind the point that was clicked last; None before a click, and after a double click."""
        return self._selected

    def click(self, curve: int, point: int) -> pl.DataFrame | None:
        """What a click on a point of a trace does, from Python: selects, and returns what is selected."""
        self._clicked = {"curve": curve, "point": point, "n": -1}
        return self._selected

    def _on_click(self, change: Any) -> None:
        """What the browser sends. It is not trusted: a point that there is not selects nothing."""
        clicked = change["new"]
        key = _key(self._keys, clicked) if isinstance(clicked, dict) else None
        if key is None:
            self._selected = None
            self.selection = ()
            self._said = "Nothing behind it to select." if clicked else "Nothing is selected."
            return
        found = self._pick(key)
        self._selected = found
        n = found["engagement_id"].n_unique()
        self._said = f"{n:,} engagement{'' if n == 1 else 's'} selected: .selected has them."
        self.selection = tuple(found["engagement_id"].unique(maintain_order=True))

    def _take(self, _: Any, content: Any, buffers: Any) -> None:
        if isinstance(content, dict) and content.get("op") == "plotly":
            self.send({"op": "plotly"}, buffers=[_packed()])

    def picture(self) -> dict[str, str]:
        """The figure's table."""
        return {"text/html": self._fallback, "text/plain": self._text}

    def __repr__(self) -> str:
        return f"<FigureView of {self._text.splitlines()[0]}>"


def _key(keys: list[Any], clicked: dict[str, Any]) -> Any:
    """The key of a clicked point; None where there is none. Of a heat map a point is a row and a column."""
    curve, point = clicked.get("curve"), clicked.get("point")
    if not _is_place(curve, keys):
        return None
    found = keys[curve]
    for place in point if isinstance(point, list) else [point]:
        if not isinstance(found, list) or not _is_place(place, found):
            return None
        found = found[place]
    return found


def _is_place(place: Any, within: list[Any]) -> TypeGuard[int]:
    return isinstance(place, int) and not isinstance(place, bool) and 0 <= place < len(within)
