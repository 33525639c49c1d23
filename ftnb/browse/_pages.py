"""The inline browser: a frame of engagements behind the widget, and runs that open below it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .._handles import EngagementHandle
from ..store.base import LogStore
from ..widget.browse import PAGE, Catalogue, checked_query, first_query
from ..widget.browser import BrowserView
from ..widget.protocol import PROTOCOL_VERSION, BrowseQuery, BrowserPayload, HitRow
from ..widget.view import EngagementView
from ._search import Hit

if TYPE_CHECKING:
    import polars as pl

    from ._found import Found


def browse_frame(store: LogStore, frame: pl.DataFrame, title: str, **query: Any) -> BrowserView:
    """The browser over `frame`, with the columns of `Traces.engagements`; `query` as of `Traces.browse`."""
    catalogue = Catalogue(frame)

    def page(asked: BrowseQuery) -> BrowserPayload:
        return catalogue.page(asked, title=title)

    return BrowserView(page(first_query(**query)), on_query=page, on_open=lambda one: _open(store, one))


def browse_found(found: Found) -> BrowserView:
    """The browser over what a search found."""
    about = {one.id: (one.name, one.status.value) for one in found.store.list_engagements()}

    def row(hit: Hit) -> HitRow:
        name, status = about.get(hit.engagement_id, ("", None))
        return HitRow(
            engagement=hit.engagement_id, engagement_name=name, status=status,  # type: ignore[typeddict-item]
            step=hit.step_id, step_name=hit.step_name, where=hit.where, path=hit.path[:120], before=hit.before,
            match=hit.match, after=hit.after,
        )  # fmt: skip

    def page(asked: BrowseQuery) -> BrowserPayload:
        asked = checked_query({**asked, "page": min(asked["page"], max((len(found) - 1) // PAGE, 0))})
        begin = asked["page"] * PAGE
        return BrowserPayload(
            v=PROTOCOL_VERSION, kind="browser", title=found.text, note="" if found.complete else found.title(),
            n=found.n_searched, n_found=len(found), page_size=PAGE, query=asked, rows=[],
            hits=[row(hit) for hit in found.hits[begin : begin + PAGE]], facets=[], spreads=[],
        )  # fmt: skip

    return BrowserView(page(first_query()), on_query=page, on_open=lambda one: _open(found.store, one))


def _open(store: LogStore, engagement_id: str) -> EngagementView:
    handle = EngagementHandle(store, engagement_id)
    handle.load()
    opened: EngagementView = handle.widget()
    return opened
