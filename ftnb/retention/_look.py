"""What must be known of a store's engagements to decide whether they may go."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import orjson

from ..audit._holds import holds_of
from ..core.ids import from_us
from ..store.base import EngagementSummary, Store

TERMINAL = frozenset({"completed", "failed", "abandoned"})
"""Statuses in which an engagement may be purged."""


@dataclass(frozen=True, slots=True)
class Known:
    """One engagement as it stood when it was looked at."""

    summary: EngagementSummary
    last_seq: int
    """Of its last record; 0 where the store does not tell."""
    newest_at: datetime
    """When its last record was made, or it ended, whichever is later: a clock that was set back makes nothing old."""
    n_records: int
    holds: tuple[str, ...] = ()
    """Why it is held."""

    @property
    def is_terminal(self) -> bool:
        """Whether it has ended."""
        return self.summary.status.value in TERMINAL and self.summary.ended_at is not None


@dataclass(frozen=True, slots=True)
class View:
    """A store as it stood when it was looked at."""

    engagements: tuple[Known, ...]
    """Oldest first."""
    log_size: int
    """Entries of the store's own log; 0 where it keeps none."""
    newest_at: datetime | None
    """When its newest record was made; None: it is empty."""


def look(store: Store) -> View:
    """Look at every engagement of `store`. The length of the log is read first: a hold that comes later is noticed."""
    entries = list(getattr(store, "store_entries", list)())
    log_size = len(entries)
    held = holds_of(entries)
    last, newest, counts = _columns(store)
    known = []
    for summary in store.list_engagements():
        at = max(one for one in (summary.started_at, summary.ended_at, newest.get(summary.id)) if one is not None)
        known.append(
            Known(summary, last.get(summary.id, 0), at, counts.get(summary.id, 0), tuple(held.get(summary.id, ())))
        )
    return View(tuple(known), log_size, max((one.newest_at for one in known), default=None))


def _columns(store: Any) -> tuple[dict[str, int], dict[str, datetime], dict[str, int]]:
    """Last seq, newest time and number of records, by engagement; empty for a store of somebody else's."""
    if not hasattr(store, "scan"):
        return {}, {}, {}
    import polars as pl

    table = pl.DataFrame(store.scan(["seq", "engagement_id", "at_us"]))
    grouped = table.group_by("engagement_id").agg(
        pl.col("seq").max().alias("last"), pl.col("at_us").max().alias("at"), pl.len().alias("n")
    )
    rows = list(grouped.iter_rows())
    return (
        {key: seq for key, seq, _, _ in rows},
        {key: _moment(at) for key, _, at, _ in rows},
        {key: n for key, _, _, n in rows},
    )


def _moment(micros: int) -> datetime:
    try:
        return from_us(micros)
    except OverflowError:  # a damaged row; it must not make anything old
        return datetime.max.replace(tzinfo=UTC)


def all_held_since(store: Any, log_size: int) -> set[str]:
    """Engagements that a hold was added for since the store's own log had `log_size` entries."""
    rows = store.entry_rows(wait=False, after=log_size)
    holds = (orjson.loads(body)["engagements"] for _, _, kind, body in rows if kind == "hold")
    return {engagement_id for hold in holds for engagement_id in hold}


def held_since(store: Any, engagement_id: str, log_size: int) -> bool:
    """Whether a hold on the engagement was added since the store's own log had `log_size` entries."""
    return engagement_id in all_held_since(store, log_size)


def matching(store: Store, where: dict[str, Any]) -> Iterator[str]:
    """Ids of the engagements whose metadata equals `where`."""
    return (summary.id for summary in store.list_engagements(where))
