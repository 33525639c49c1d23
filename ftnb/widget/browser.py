"""The browser's widget: pages of many engagements, of which any can be opened. Importing this imports anywidget."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

import anywidget
import traitlets

from .browse import checked_query
from .browser_table import static_table
from .protocol import BrowseQuery, BrowserPayload
from .view import EngagementView, runtime

_LOADER = """
export default {
  async render({ model, el, signal, host }) {
    const runtime = await host.getWidget(model.get("_runtime"));
    return runtime.exports.mountBrowser({ model, el, signal, getModel: (ref) => host.getModel(ref) });
  },
};
"""


class BrowserView(anywidget.AnyWidget):
    """Engagements to sort, choose and open; or what a search found. A row opens its run below the list."""

    _esm = _LOADER
    _runtime = anywidget.WidgetTrait().tag(sync=True)
    _page = traitlets.Dict().tag(sync=True)
    _opened = anywidget.WidgetTrait().tag(sync=True)

    def __init__(
        self,
        payload: BrowserPayload,
        *,
        on_query: Callable[[BrowseQuery], BrowserPayload],
        on_open: Callable[[str], EngagementView],
    ) -> None:
        """`on_query` gives another page; `on_open(engagement_id)` the view of a run."""
        self._on_query, self._on_open = on_query, on_open
        super().__init__(_runtime=runtime(), _page=dict(payload))
        self.on_msg(self._take)

    @property
    def payload(self) -> BrowserPayload:
        """The page that is shown."""
        return cast(BrowserPayload, self._page)

    @property
    def opened(self) -> EngagementView | None:
        """The run that is open below the list."""
        return self._opened if isinstance(self._opened, EngagementView) else None

    def show(self, **fields: Any) -> BrowserPayload:
        """Another page or choice, as a click does: `text`, `picked`, `sort`, `descending`, `page`."""
        query = checked_query({**self.payload["query"], "page": 0, **fields})
        self._page = dict(self._on_query(query))
        return self.payload

    def open_run(self, engagement_id: str | None, *, step: str | None = None) -> EngagementView | None:
        """Open a run below the list, and select a step of it (an id or a name); None closes it.

        Raises UnknownEngagementError, UnknownStepError.
        """
        before = self.opened
        if engagement_id is None:
            self._opened = None
        elif before is None or before.engagement.id != engagement_id:
            self._opened = self._on_open(engagement_id)
        if before is not None and before is not self._opened:
            before.close()
        if step is not None and self.opened is not None:
            self.opened.select(step)
        return self.opened

    def close(self) -> None:
        """Take it off the page, and the run that is open in it."""
        if self.opened is not None:
            self.opened.close()
        super().close()

    def _take(self, _: Any, content: Any, buffers: Any) -> None:
        """What the browser sends. It is not trusted: anything unknown is ignored."""
        if not isinstance(content, dict):
            return
        try:
            if content.get("op") == "open":
                engagement, step = content.get("engagement"), content.get("step")
                self.open_run(
                    engagement if isinstance(engagement, str) else None, step=step if isinstance(step, str) else None
                )
            elif content.get("op") == "browse" and isinstance(content.get("query"), dict):
                self.show(**{"page": 0, **content["query"]})
        except LookupError as error:
            self.send({"op": "answer", "seq": content.get("seq"), "value": None, "error": str(error)})

    def _repr_mimebundle_(self, **kwargs: Any) -> Any:
        data, metadata = super()._repr_mimebundle_(**kwargs) or ({}, {})
        return {**data, "text/html": static_table(self.payload), "text/plain": repr(self)}, metadata

    def __repr__(self) -> str:
        return f"<BrowserView {self.payload['title']}>"
