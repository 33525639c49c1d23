"""Whether a page shows what a cell displays. Where none does, the picture is all that is kept."""

from __future__ import annotations

import os
from typing import Any

import anywidget
from comm import DummyComm


def is_unattended() -> bool:
    """Whether the cell that runs was asked for by a program which nobody sits at: `nbconvert --execute`, nbclient.

    Such programs keep an output's widget where there is one, and the page that they write then asks a CDN for the
    widget manager, which shows nothing for want of a kernel. They say of themselves that they cannot take input
    (`allow_stdin` of Jupyter's protocol). Voilà and Databricks say so as well, but show a page.
    """
    from IPython.core.getipython import get_ipython

    if os.environ.get("SERVER_SOFTWARE", "").startswith("voila") or "DATABRICKS_RUNTIME_VERSION" in os.environ:
        return False
    parent: Any = getattr(get_ipython(), "get_parent", dict)()
    content = parent.get("content") if isinstance(parent, dict) else None
    return isinstance(content, dict) and content.get("allow_stdin") is False


class _Held(DummyComm):
    """The comm of a widget that was made where nobody looks: it sends nothing."""


class PageWidget(anywidget.AnyWidget):
    """A widget that is sent to a page where there is one: an unattended notebook keeps neither its state nor script."""

    comm: Any

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

    def _repr_mimebundle_(self, **kwargs: Any) -> Any:
        if isinstance(self.comm, _Held):
            if is_unattended():
                return {}, {}
            self.open()
        return super()._repr_mimebundle_(**kwargs) or ({}, {})
