"""The inline browser: a frame of engagements behind the widget, and runs that open below it."""

from __future__ import annotations

import threading
from collections.abc import Callable
from functools import cached_property
from typing import TYPE_CHECKING, Any

from .._handles import EngagementHandle
from ..audit._state import badges_of
from ..store.base import LogStore
from ..widget.browse import PAGE, Catalogue, checked_query, first_query
from ..widget.browser import BrowserView, Unfinished
from ..widget.protocol import PROTOCOL_VERSION, BrowseQuery, BrowserPayload, HitRow
from ..widget.view import EngagementView
from ._found import search_traces
from ._search import Hit

if TYPE_CHECKING:
    import polars as pl

    from ._found import Found

_MANY = 100_000
"""From so many records on, the newest engagements are shown before the others are counted."""


def browse_frame(store: LogStore, frame: Callable[[], pl.DataFrame], title: str, **query: Any) -> BrowserView:
    """The browser over the frame that `frame()` gives, with the columns of `Traces.engagements`; `query` as of
    `Traces.browse`.

    Of a large store the newest engagements are shown at once, and the rest is counted in a thread.
    """
    source = _Source(store, frame, title)
    asked = first_query(**query)
    first = source.newest() if asked == first_query() else None
    view = BrowserView(
        Unfinished(first, lambda _: source.whole_page(asked)) if first else source.page(asked),
        on_query=source.page,
        on_open=lambda one: _open(store, one),
    )
    return view


class _Source:
    """Pages of one frame, which is made when it is first needed."""

    def __init__(self, store: LogStore, frame: Callable[[], pl.DataFrame], title: str) -> None:
        self._store, self._frame, self._title = store, frame, title
        self._lock = threading.Lock()
        self._searched: tuple[str, Found] | None = None

    @property
    def catalogue(self) -> Catalogue:
        # Asked for by the kernel's thread, too, while the first page is being finished.
        with self._lock:
            return self._made

    @cached_property
    def _made(self) -> Catalogue:
        return Catalogue(self._frame())

    def newest(self) -> BrowserPayload | None:
        """The first page of a large store without the rest; None where all is soon there."""
        from ..frames import Frames
        from ..frames._refresh import Part

        if self._store.revision()[0] < _MANY:
            return None
        ids = [one.id for one in self._store.list_engagements(limit=PAGE, newest=True)]
        page = Catalogue(Frames(Part(self._store, ids)).engagements()).page(first_query(), title=self._title)
        note = "the newest; the rest is being counted …"
        return {**self._with_badges(page), "facets": [], "spreads": [], "note": note}

    def page(self, asked: BrowseQuery) -> BrowserPayload | Unfinished:
        if asked["within"] == "about" or not asked["text"]:
            return self.whole_page(asked)
        known = self._searched
        if known is not None and known[0] == asked["text"]:
            return self._found_page(known[1], asked)
        before = self._empty(asked, f"searching {asked['text'][:40]!r} in all that was recorded …")
        return Unfinished(before, lambda wanted: self._search(asked, wanted))

    def whole_page(self, asked: BrowseQuery) -> BrowserPayload:
        """A page of the frame."""
        return self._with_badges(self.catalogue.page(asked, title=self._title))

    def _with_badges(self, page: BrowserPayload) -> BrowserPayload:
        """How far each of its engagements is proved, as the store says."""
        rows = page["rows"]
        for row, badge in zip(rows, badges_of(self._store, [row["id"] for row in rows]), strict=True):
            row["audit"] = badge
        return page

    def _search(self, asked: BrowseQuery, wanted: Callable[[], bool]) -> BrowserPayload:
        def still(_done: int, _total: int) -> None:
            if not wanted():
                raise KeyboardInterrupt  # ends a search, as from the keyboard

        found = search_traces(self._store, asked["text"], progress=still)
        self._searched = (asked["text"], found)
        return self._found_page(found, asked)

    def _found_page(self, found: Found, asked: BrowseQuery) -> BrowserPayload:
        return {**_hits_page(found, asked), "title": self._title, "searches": True}

    def _empty(self, asked: BrowseQuery, note: str) -> BrowserPayload:
        return BrowserPayload(
            v=PROTOCOL_VERSION, kind="browser", title=self._title, note=note, searches=True, n=0, n_found=0,
            page_size=PAGE, query=asked, rows=[], hits=[], facets=[], spreads=[],
        )  # fmt: skip


def browse_found(found: Found) -> BrowserView:
    """The browser over what a search found."""
    return BrowserView(
        _hits_page(found, first_query()),
        on_query=lambda asked: _hits_page(found, asked),
        on_open=lambda one: _open(found.store, one),
    )


def _hits_page(found: Found, asked: BrowseQuery) -> BrowserPayload:
    asked = checked_query({**asked, "page": min(asked["page"], max((len(found) - 1) // PAGE, 0))})
    begin = asked["page"] * PAGE
    about = found.about
    return BrowserPayload(
        v=PROTOCOL_VERSION, kind="browser", title=found.text, note="" if found.complete else found.title(),
        searches=False, n=found.n_searched, n_found=len(found), page_size=PAGE, query=asked, rows=[],
        hits=[_hit_row(hit, about) for hit in found.hits[begin : begin + PAGE]], facets=[], spreads=[],
    )  # fmt: skip


def _hit_row(hit: Hit, about: dict[str, tuple[str, str]]) -> HitRow:
    name, status = about.get(hit.engagement_id, ("", None))
    return HitRow(
        engagement=hit.engagement_id, engagement_name=name, status=status,  # type: ignore[typeddict-item]
        step=hit.step_id, step_name=hit.step_name, where=hit.where, path=hit.path[:120], before=hit.before,
        match=hit.match, after=hit.after,
    )  # fmt: skip


def _open(store: LogStore, engagement_id: str) -> EngagementView:
    handle = EngagementHandle(store, engagement_id)
    handle.load()
    opened: EngagementView = handle.widget()
    return opened
