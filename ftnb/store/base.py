"""What a store is: the contract that every backend keeps and every reader relies on.

- **Append-only.** Records are added and, by `purge`, whole engagements are erased; nothing is ever changed.
- **Order.** `seq` orders the records of one store, never the clock. Within an engagement: turn, stream, position.
- **All or nothing.** `append` and `append_drafts` either commit everything that they were given or raise and commit
  nothing. On return it is committed, has its `seq`, and in-process subscribers have been given it.
- **Threads.** Every method may be called from any thread, and `subscribe` from any event loop.
- **Read-your-writes.** Reads first wait, at most two seconds, for what recorders of this process have accepted for the
  store; if that is not enough they warn (PartialTraceWarning) and answer with what is there.
- **Live.** A subscriber sees every record committed after it came, once, in the order of seq, whichever thread or
  process wrote it; with `after=` it goes on from a seq that it has seen. A record that was purged before it could be
  handed on (through this store object, or before it was read here) is left out. What waits for a slow subscriber is
  bounded; past that it gets one gap record with a count.
- **Erasing.** A purge holds for every store object and process, at once and for good: what comes late is counted.
- **Errors.** StoreError (an OSError) when the backend fails, UnknownEngagementError (a KeyError) for an unknown id.

`ftnb.testing.StoreTests` checks all of it, for any store.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from pydantic import BaseModel, Field

from ..core.model import Engagement, EngagementStatus
from ._writer import Batch
from .draft import Draft
from .records import BaseRecord, Record

if TYPE_CHECKING:
    import pyarrow as pa


class EngagementSummary(BaseModel):
    """One engagement in a listing, without its steps."""

    id: str
    name: str
    status: EngagementStatus
    started_at: datetime
    ended_at: datetime | None = None
    step_count: int = 0
    total_tokens: int = 0
    dropped_at: str | None = None
    metadata: dict[Any, Any] = Field(default_factory=dict)
    n_turns: int = 1

    @classmethod
    def from_engagement(cls, eng: Engagement) -> EngagementSummary:
        """The summary of a whole engagement."""
        return cls(
            id=eng.id,
            name=eng.name,
            status=eng.status,
            started_at=eng.started_at,
            ended_at=eng.ended_at,
            step_count=len(eng.steps),
            total_tokens=eng.total_tokens,
            dropped_at=eng.dropped_at,
            metadata=eng.metadata,
            n_turns=eng.n_turns,
        )


def matches(metadata: Mapping[str, Any], where: Mapping[str, Any] | None) -> bool:
    """Whether `metadata` has every entry of `where`; a missing key equals None. No `where` matches everything."""
    return all(metadata.get(key) == value for key, value in (where or {}).items())


@runtime_checkable
class Store(Protocol):
    """An append-only trace store. See the module's text for what holds of every method."""

    def append(self, record: Record) -> None:
        """Commit one record and set its `seq`. Records without a stream go to one of this store object's own."""

    def get_engagement(self, engagement_id: str) -> Engagement:
        """The engagement's tree. Raises UnknownEngagementError."""

    def list_engagements(
        self, where: Mapping[str, Any] | None = None, *, limit: int | None = None, newest: bool = False
    ) -> list[EngagementSummary]:
        """Summaries, oldest first (`newest=True`: newest first), of the engagements whose metadata equals `where`."""

    def purge(self, engagement_id: str) -> bool:
        """Erase every copy of an engagement, whatever its status. False when there was none."""

    def subscribe(self) -> AsyncIterator[Record]:
        """Every record committed after this call, once each, in order."""


@runtime_checkable
class LogStore(Store, Protocol):
    """A store in log format v1, as all of ours are: what recorders, frames and exports use beyond `Store`."""

    url: str
    """Names the store in this process; two store objects of one URL share their data."""

    def append_drafts(self, drafts: Sequence[Draft]) -> None:
        """Commit `drafts` in order, in one transaction; when it fails, their streams are as they were before."""

    def encode(self, drafts: Sequence[Draft]) -> Batch:
        """Give `drafts` their places in their streams, and encode them for `commit`."""

    def commit(self, batch: Batch) -> None:
        """Write a batch, all of it or nothing. Committing a batch again writes nothing twice. Raises StoreError."""

    def abandon(self, batch: Batch) -> None:
        """Give up on a batch that `commit` could not write."""

    def append_entry(self, kind: str, fields: Mapping[str, Any]) -> None:
        """Add an entry to the store's own log (gaps that belong to no known engagement); never an engagement."""

    def read(self, engagement_id: str) -> list[BaseRecord]:
        """The engagement's records in order; empty when there are none. Raises nothing for what cannot be read: a bad
        row becomes a gap record."""

    def scan(
        self,
        columns: Sequence[str],
        *,
        types: Sequence[str] = (),
        engagement_id: str | None = None,
        after: int = 0,
        containing: Sequence[bytes] = (),
    ) -> pa.Table:
        """Columns of the log (`leaf.NAMES` and `seq`) as Arrow, ordered by seq.

        `types` keeps only records of those types, `after` only those with a greater seq, `containing` only those whose
        body contains any of these byte strings. Integers are int64, text is string, bytes are binary.
        """

    def scan_blobs(self) -> pa.Table:
        """The blob table as Arrow, without `dedup`, ordered by engagement and id."""

    def scan_streams(self) -> pa.Table:
        """The stream table as Arrow: stream_id, engagement_id, turn, size, frontier."""

    def revision(self) -> tuple[int, int]:
        """(last seq, a count): the first grows with records, the second changes when anything was purged or redacted;
        cheap."""

    def blob(self, engagement_id: str, blob_id: str) -> bytes | None:
        """The data of a blob; None when it is not there."""

    def blobs_of(self, engagement_id: str) -> dict[str, bytes]:
        """Every blob of an engagement, by id; empty when it has none, or is unknown."""

    def subscribe(self, *, after: int | None = None) -> AsyncIterator[Record]:
        """As `Store.subscribe`; with `after`, everything with a greater seq, what is there already first."""

    def tail(self, *, timeout: float | None = None, after: int | None = None) -> Iterator[Record]:
        """The synchronous twin of `subscribe`; ends when nothing came for `timeout` seconds (None: never)."""

    def store_entries(self, *types: str) -> list[dict[str, Any]]:
        """The store's own log (gaps, seals, receipts …): dicts with seq, at, type and what was given, oldest first;
        `types` keeps only those."""

    def close(self) -> None:
        """Release the backend. Closing twice is fine."""
