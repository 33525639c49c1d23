"""`tr.search(…)`: which values hold a text, and a view that lands on the steps that hold it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import cached_property
from html import escape
from typing import TYPE_CHECKING, Any

from ..core._progress import Progress
from ..core.errors import FtnbError, InvalidArgumentError
from ..store.base import LogStore
from ._search import Hit, Needle, checked_where, reader_of, search_engagement

if TYPE_CHECKING:
    import polars as pl

    from ..widget.browser import BrowserView

_TEXT_ROWS = 10
_HTML_ROWS = 40
LIMIT = 500


class Found:
    """What a search found. As the last expression of a cell it is a list; a row opens the run at the step."""

    def __init__(self, store: LogStore, text: str, hits: list[Hit], *, n_searched: int, n_engagements: int) -> None:
        self.store, self.text, self.hits = store, text, hits
        self.n_searched, self.n_engagements = n_searched, n_engagements
        """Engagements that were looked through, newest first, of so many."""

    @cached_property
    def about(self) -> dict[str, tuple[str, str]]:
        """Name and status of the engagements, by id."""
        return {one.id: (one.name, one.status.value) for one in self.store.list_engagements()}

    @property
    def complete(self) -> bool:
        """Whether all engagements were looked through: neither the limit nor an interrupt ended it before."""
        return self.n_searched == self.n_engagements

    def __len__(self) -> int:
        return len(self.hits)

    def frame(self) -> pl.DataFrame:
        """One row a value that holds the text, newest engagement first, in the order of the log within one.

        engagement_id, step_id and step_name (null: of the engagement as a whole), where (input, output, messages,
        tool_args, tool_result, error, extraction, log, metadata, note), excerpt, path (within the value), at.
        """
        import polars as pl

        rows = [
            (hit.engagement_id, hit.step_id, hit.step_name, hit.where, hit.excerpt, hit.path, hit.at)
            for hit in self.hits
        ]
        schema: dict[str, Any] = {
            "engagement_id": pl.String, "step_id": pl.String, "step_name": pl.String, "where": pl.String,
            "excerpt": pl.String, "path": pl.String, "at": pl.Datetime("us", "UTC"),
        }  # fmt: skip
        return pl.DataFrame(rows, schema=schema, orient="row")

    def widget(self) -> BrowserView:
        """The interactive list."""
        from ._pages import browse_found

        return browse_found(self)

    def title(self) -> str:
        """How much was found, and in how much."""
        n = len({hit.engagement_id for hit in self.hits})
        rest = "" if self.complete else f"; {self.n_engagements - self.n_searched:,} older ones were not looked through"
        values = "1 value" if len(self.hits) == 1 else f"{len(self.hits):,} values"
        return f"{self.text!r}: {values} in {n:,} of {self.n_searched:,} engagements{rest}"

    def __repr__(self) -> str:
        lines = [f"  {hit.engagement_id} {hit.step_name or '–'} {hit.where}: {hit.excerpt}" for hit in self.hits]
        more = len(lines) - _TEXT_ROWS
        return "\n".join([self.title(), *lines[:_TEXT_ROWS], *([f"  … and {more:,} more"] if more > 0 else [])])

    def _repr_html_(self) -> str:
        rows = "".join(
            f"<tr><td>{escape(hit.engagement_id)}</td><td>{escape((hit.step_name or '–')[:80])}</td>"
            f"<td>{hit.where}</td><td>{escape(hit.before)}<b>{escape(hit.match)}</b>{escape(hit.after)}</td></tr>"
            for hit in self.hits[:_HTML_ROWS]
        )
        head = "".join(f"<th>{name}</th>" for name in ("engagement", "step", "where", "excerpt"))
        more = len(self.hits) - _HTML_ROWS
        rest = f"<p>… and {more:,} more; <code>.frame()</code> has all.</p>" if more > 0 else ""
        table = f"<table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>"
        return f"<p><b>{escape(self.title())}</b></p>{table}{rest}"

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> Any:
        text = {"text/plain": repr(self), "text/html": self._repr_html_()}
        try:
            return self.widget().shown_as(text)
        except (ImportError, FtnbError):  # no anywidget here, or no bundle: a display never breaks a cell
            return text


def search_traces(
    store: LogStore,
    text: str,
    *,
    in_: str | Iterable[str] | None = None,
    case: bool = False,
    limit: int = LIMIT,
    progress: bool | Callable[[int, int], Any] = True,
) -> Found:
    """See `Traces.search`."""
    needle, places = Needle(text, case=case), checked_where(in_)
    if isinstance(limit, bool) or limit < 1:
        raise InvalidArgumentError(f"limit is a whole number, 1 or more; got {limit!r}")
    ids = [one.id for one in store.list_engagements(newest=True)]
    hits: list[Hit] = []
    shown, searched = Progress(len(ids), progress if len(ids) > 200 or callable(progress) else False), 0
    try:
        read = reader_of(store)
        for engagement_id in ids:
            hits += search_engagement(read, engagement_id, needle, places)
            searched += 1
            shown.at(searched, f"searched {searched:,} of {len(ids):,} engagements, {len(hits):,} found")
            if len(hits) >= limit:
                break
    except KeyboardInterrupt:
        pass  # what was found is worth having; `complete` says that it is not all
    return Found(store, text, hits, n_searched=searched, n_engagements=len(ids))
