"""The browser's widget: pages of many engagements, of which any can be opened. Importing this imports anywidget."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, cast

import traitlets

from ._list import ListView
from ._page import loader
from .browse import checked_query
from .browser_table import static_table
from .protocol import BrowseQuery, BrowserPayload
from .view import EngagementView


@dataclass(frozen=True)
class Unfinished:
    """A page that can be shown at once, and what makes the whole of it: called in a thread of its own.

    `finish` is given a function that says whether its page is still wanted.
    """

    page: BrowserPayload
    finish: Callable[[Callable[[], bool]], BrowserPayload]


class BrowserView(ListView):
    """Engagements to sort, choose and open; or what a search found. A row opens its run below the list."""

    _esm = loader("mountBrowser")
    _page = traitlets.Dict().tag(sync=True)

    def __init__(
        self,
        first: BrowserPayload | Unfinished,
        *,
        on_query: Callable[[BrowseQuery], BrowserPayload | Unfinished],
        on_open: Callable[[str], EngagementView],
    ) -> None:
        """`on_query` gives another page; `on_open(engagement_id)` the view of a run."""
        self._on_query = on_query
        self._work: threading.Thread | None = None
        self._asked = 0
        super().__init__(on_open, _page=dict(first.page if isinstance(first, Unfinished) else first))
        self._finish(first)

    @property
    def payload(self) -> BrowserPayload:
        """The page that is shown; waits until it is whole."""
        work = self._work
        if work is not None and work is not threading.current_thread():
            work.join()
        return cast(BrowserPayload, self._page)

    def show(self, **fields: Any) -> BrowserPayload:
        """Another page or choice, as a click does: `text`, `within`, `picked`, `sort`, `descending`, `page`.

        `within` is "about" (name, id, metadata, error) or "values" (everything recorded).
        """
        self._ask(fields)
        return self.payload

    def close(self) -> None:
        """Take it off the page, and the run that is open in it."""
        self._asked += 1
        super().close()

    def _ask(self, fields: dict[str, Any]) -> None:
        query = checked_query({**cast(BrowserPayload, self._page)["query"], "page": 0, **fields})
        found = self._on_query(query)
        self._asked += 1
        self._page = dict(found.page if isinstance(found, Unfinished) else found)
        self._finish(found)

    def _finish(self, found: BrowserPayload | Unfinished) -> None:
        """Make the rest of a page beside the kernel's thread, so that the first of it is seen at once."""
        self._work = None
        if not isinstance(found, Unfinished):
            return
        asked = self._asked

        def finish() -> None:
            try:
                page = dict(found.finish(lambda: self._asked == asked))
            except Exception as error:  # whatever a store raises: the page that is shown says so
                page = {**found.page, "note": f"{type(error).__name__}: {error}"[:300]}
            if self._asked == asked:
                self._page = page

        self._work = threading.Thread(target=finish, name="ftnb-browser", daemon=True)
        self._work.start()

    def _take_own(self, content: dict[str, Any]) -> None:
        if content.get("op") == "browse" and isinstance(content.get("query"), dict):
            self._ask(content["query"])

    def _static(self) -> str:
        return static_table(cast(BrowserPayload, self._page))

    def __repr__(self) -> str:
        return f"<BrowserView {self._page['title']}>"
