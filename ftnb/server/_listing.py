"""Pages of the list of engagements: by metadata, status, name or any text, from a store of any size.

The newest or oldest page comes from the store's own index. What no index answers (text, status, pages further on) is
asked of the frame of engagements, which is brought up to date by what is new only.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice, product
from typing import TYPE_CHECKING, Any

from ..core.errors import FtnbError, InvalidArgumentError, UnknownEngagementError
from ..core.model import EngagementStatus
from ..store.base import EngagementSummary, LogStore, Store
from ..traces import Traces

if TYPE_CHECKING:
    import polars as pl

MAX_PAGE = 1_000
PAGE = 100
_STATUSES = frozenset(status.value for status in EngagementStatus)
_MAX_GUESSES = 4


@dataclass(frozen=True)
class Asked:
    """A page that somebody asks for."""

    limit: int = PAGE
    offset: int = 0
    after: str | None = None
    """The page begins behind this engagement."""
    newest: bool = False
    status: Sequence[str] = ()
    name: str | None = None
    q: str | None = None
    """Text anywhere in id, name, metadata or the step of a drop-off, whatever the case."""
    where: Mapping[str, str] = field(default_factory=dict)
    """Metadata; a value that reads as a number, true, false or null also finds that."""

    @property
    def is_plain(self) -> bool:
        """Whether the store's own index answers it."""
        return not (self.offset or self.after or self.status or self.name or self.q)


class Listing:
    """The list of one store. Thread-safe."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._traces = Traces(store) if isinstance(store, LogStore) else None
        self._lock = threading.Lock()

    def page(self, asked: Asked) -> tuple[list[EngagementSummary], bool]:
        """The engagements, and whether there are more. Raises UnknownEngagementError for an unknown `after`."""
        unknown = [status for status in asked.status if status not in _STATUSES]
        if unknown:
            raise InvalidArgumentError(f"no status {unknown[0]!r}; known: {', '.join(sorted(_STATUSES))}")
        if asked.is_plain:
            found = self._from_index(asked)
        elif self._traces is not None:
            found = self._from_frame(asked, self._traces)
        else:
            found = list(islice(self._by_reading(asked), asked.offset, asked.offset + asked.limit + 1))
        return found[: asked.limit], len(found) > asked.limit

    def _from_index(self, asked: Asked) -> list[EngagementSummary]:
        found: list[EngagementSummary] = []
        guesses = product(*([(key, value) for value in _readings(text)] for key, text in asked.where.items()))
        for where in islice(guesses, _MAX_GUESSES):
            try:
                found = self._store.list_engagements(dict(where) or None, limit=asked.limit + 1, newest=asked.newest)
            except TypeError:  # a store of flowtraicer's protocol, which has no pages
                every = self._store.list_engagements(dict(where) or None)
                found = (every[::-1] if asked.newest else every)[: asked.limit + 1]
            if found:
                break
        return found

    def _from_frame(self, asked: Asked, traces: Traces) -> list[EngagementSummary]:
        import polars as pl

        with self._lock:
            frame = traces.engagements()
        if asked.newest:
            frame = frame.reverse()
        if asked.after is not None:
            place = frame.select(pl.col("engagement_id").index_of(asked.after)).item()
            if place is None:
                raise UnknownEngagementError.of(asked.after)
            frame = frame.slice(place + 1)
        frame = _filtered(frame, asked)
        rows = frame.slice(asked.offset, asked.limit + 1).iter_rows(named=True)
        return [_summary(row) for row in rows]

    def _by_reading(self, asked: Asked) -> Iterator[EngagementSummary]:
        every = self._store.list_engagements()
        begun = asked.after is None
        for one in every[::-1] if asked.newest else every:
            text = f"{one.id} {one.name} {one.dropped_at or ''} {one.metadata!r}".lower()
            wanted = (
                begun
                and (not asked.status or one.status.value in asked.status)
                and (asked.name is None or one.name == asked.name)
                and (asked.q is None or asked.q.lower() in text)
                and _has(one.metadata, asked.where)
            )
            if wanted:
                yield one
            begun = begun or one.id == asked.after


def _filtered(frame: pl.DataFrame, asked: Asked) -> pl.DataFrame:
    import polars as pl

    if asked.status:
        frame = frame.filter(pl.col("status").cast(pl.String).is_in(list(asked.status)))
    if asked.name is not None:
        frame = frame.filter(pl.col("name").cast(pl.String) == asked.name)
    if asked.q:
        text = pl.concat_str(
            [
                pl.col(name).cast(pl.String).fill_null("")
                for name in ("engagement_id", "name", "dropped_at", "metadata")
            ],
            separator="\n",
        )
        frame = frame.filter(text.str.to_lowercase().str.contains(asked.q.lower(), literal=True))
    for key, value in asked.where.items():
        # Only what could match is parsed: the key stands in the text as JSON writes it.
        if value != "null":
            frame = frame.filter(pl.col("metadata").str.contains(json.dumps(key, ensure_ascii=False), literal=True))
        kept = [_has(_metadata(text), {key: value}) for text in frame["metadata"]]
        frame = frame.filter(pl.Series(kept, dtype=pl.Boolean))
    return frame


def _has(metadata: Mapping[Any, Any], where: Mapping[str, str]) -> bool:
    def fits(there: Any, text: str) -> bool:
        return any(there == value and type(there) is type(value) for value in _readings(text))

    return all(fits(metadata.get(key), text) for key, text in where.items())


def _readings(text: str) -> list[Any]:
    """What the text of an address may mean: itself, and the number, truth or nothing that it reads as."""
    try:
        read = json.loads(text, parse_constant=lambda _: text)
    except (ValueError, RecursionError):
        return [text]
    return [text] if isinstance(read, str | list | dict) else [text, read]


def _metadata(text: str | None) -> dict[str, Any]:
    try:
        read = json.loads(text or "{}")
    except (ValueError, RecursionError):
        return {}
    return read if isinstance(read, dict) else {}


def _summary(row: Mapping[str, Any]) -> EngagementSummary:
    return EngagementSummary(
        id=row["engagement_id"],
        name=row["name"],
        status=EngagementStatus(row["status"]),
        started_at=row["started_at"],
        ended_at=row["ended_at"],
        step_count=row["n_steps"],
        total_tokens=row["total_tokens"],
        dropped_at=row["dropped_at"],
        metadata=_metadata(row["metadata"]),
        n_turns=row["n_turns"],
    )


def warm(listing: Listing) -> None:
    """Read what the first search would wait for, on a thread of its own."""

    def read() -> None:
        try:
            listing.page(Asked(limit=1, offset=1))
        except FtnbError:
            pass  # whoever searches is told

    threading.Thread(target=read, name="ftnb-listing", daemon=True).start()
