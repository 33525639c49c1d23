"""Whether a page shows what a cell displays. Where none does, the picture is all that is kept."""

from __future__ import annotations

import os
from collections.abc import Mapping
from html import escape
from typing import Any
from uuid import uuid4

import anywidget
import traitlets
from comm import DummyComm

_LOADER = """
export default {
  initialize({ model, signal }) {
    const all = (globalThis[Symbol.for("ftnb.runtimes")] ??= {});
    (all[model.get("_home")] ??= []).push((runtime) => runtime.attend({ model, signal, mount: runtime.MOUNT }));
  },
  async render({ model, el, signal, host }) {
    const runtime = await host.getWidget(model.get("_runtime"));
    return runtime.exports.MOUNT({ model, el, signal, getModel: (ref) => host.getModel(ref) });
  },
};
"""


def loader(mount: str = "mount") -> str:
    """The ESM of a view which `mount`, an export of the bundle, draws: as a widget, or in a place that HTML keeps."""
    return _LOADER.replace("MOUNT", mount)


def is_unattended() -> bool:
    """Whether the cell that runs was asked for by a program which nobody sits at: `nbconvert --execute`, nbclient.

    Such programs keep an output's widget where there is one, and the page that they write then asks a CDN for the
    widget manager, which shows nothing for want of a kernel. They say of themselves that they cannot take input
    (`allow_stdin` of Jupyter's protocol). Voilà and Databricks say so as well, but show a page.
    """
    if os.environ.get("SERVER_SOFTWARE", "").startswith("voila") or "DATABRICKS_RUNTIME_VERSION" in os.environ:
        return False
    return _asked("content").get("allow_stdin") is False


def is_notebook_page() -> bool:
    """Whether the cell that runs belongs to a notebook in JupyterLab 4 or Notebook 7.

    These keep a widget's reference in the saved notebook, and show an error where its kernel has gone, whatever else
    the output holds. But they make widgets as soon as the kernel tells of them, displayed or not: there the output can
    be HTML, in which the widget draws itself. They are known by what they alone say of a cell (`deletedCells`).
    """
    return "deletedCells" in _asked("metadata")


def _asked(part: str) -> Mapping[str, Any]:
    """A part of the message by which the cell that runs was asked for; empty where there is none."""
    from IPython.core.getipython import get_ipython

    parent: Any = getattr(get_ipython(), "get_parent", dict)()
    found = parent.get(part) if isinstance(parent, dict) else None
    return found if isinstance(found, dict) else {}


class _Held(DummyComm):
    """The comm of a widget that was made where nobody looks: it sends nothing."""


class PageWidget(anywidget.AnyWidget):
    """A widget that is sent to a page where there is one: an unattended notebook keeps neither its state nor script."""

    comm: Any
    _place = traitlets.Unicode().tag(sync=True)
    """Names the places that pages keep for it."""
    _home = traitlets.Unicode().tag(sync=True)
    """The `_place` of the runtime that draws it, by which it is found before anything is displayed; "" for none."""

    @traitlets.default("_place")
    def _new_place(self) -> str:
        return uuid4().hex

    def open(self) -> None:
        """Send it, and the widgets that it holds, to the page."""
        if self.comm is None and is_unattended():
            self.comm = _Held(target_name="jupyter.widget")
            return
        if isinstance(self.comm, _Held):  # somebody looks now; its id stays
            self.comm = None
            for name, trait in self.traits(sync=True).items():
                held = getattr(self, name) if isinstance(trait, anywidget.WidgetTrait) else None
                if isinstance(held, PageWidget):
                    held.open()
        super().open()

    def picture(self) -> dict[str, str]:
        """What viewers without kernel or script show, by media type. Widgets that are never displayed have none."""
        return {}

    def bundle(
        self, *, in_place: bool, picture: Mapping[str, str] | None = None
    ) -> tuple[dict[str, Any], dict[str, Any]]:
        """What an output holds, and its metadata: a picture (its own, unless given), and the widget.

        The widget is drawn in the picture's stead if `in_place`, and is an entry beside it otherwise.
        """
        picture = self.picture() if picture is None else picture
        if isinstance(self.comm, _Held):
            if is_unattended():
                return dict(picture), {}
            self.open()
        if in_place and picture and self._home:
            markup = picture.get("text/html") or f"<p>{escape(picture['text/plain'])}</p>"
            return {**picture, "text/html": place(self._place, markup)}, {}
        data, metadata = super()._repr_mimebundle_() or ({}, {})
        return {**data, **picture}, metadata

    def shown_as(self, picture: Mapping[str, str]) -> tuple[dict[str, Any], dict[str, Any]]:
        """What the output of the cell that runs holds, with this picture (by media type) in place of its own."""
        return self.bundle(in_place=is_notebook_page(), picture=picture)

    def _repr_mimebundle_(self, **kwargs: Any) -> Any:
        return self.bundle(in_place=is_notebook_page())


def place(key: str, picture: str) -> str:
    """HTML in which the view of that key is drawn while its kernel is there; else `picture` is seen."""
    return f'<ftnb-view data-key="{escape(key, quote=True)}" style="display:block">{picture}</ftnb-view>'


class RuntimeView(PageWidget):
    """A view that the shared runtime draws, or puts into its place."""

    _runtime = anywidget.WidgetTrait().tag(sync=True)

    def __init__(self, runtime: PageWidget | None, **traits: Any) -> None:
        super().__init__(_runtime=runtime, _home=runtime._place if runtime is not None else "", **traits)
