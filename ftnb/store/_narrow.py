"""A store seen through a choice of its engagements: what is not chosen is not there."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ..core.errors import StoreError, UnknownEngagementError
from ..core.model import Engagement
from ._writer import Batch
from .base import EngagementSummary, LogStore
from .draft import Draft
from .records import BaseRecord, Record

if TYPE_CHECKING:
    import pyarrow as pa


class NarrowStore:
    """Reads of a store, restricted to some engagements. Nothing is written or erased through it."""

    def __init__(self, store: LogStore, choose: Callable[[], frozenset[str]], what: str) -> None:
        """`choose` gives the ids as of now; it is asked again when the store has changed. `what` names the choice."""
        self.url = store.url
        self._store, self._choose, self._what = store, choose, what
        self._chosen: tuple[tuple[int, int], frozenset[str]] | None = None

    def __repr__(self) -> str:
        return f"{self._store!r} where {self._what}"

    @property
    def whole(self) -> LogStore:
        """The store that this is a part of."""
        return self._store

    @property
    def ids(self) -> frozenset[str]:
        """The engagements that are chosen."""
        revision = self._store.revision()
        if self._chosen is None or self._chosen[0] != revision:
            self._chosen = (revision, self._choose())
        return self._chosen[1]

    # --- reads ---

    def get_engagement(self, engagement_id: str) -> Engagement:
        """The engagement's tree. Raises UnknownEngagementError."""
        if engagement_id not in self.ids:
            raise UnknownEngagementError.of(engagement_id, sorted(self.ids, reverse=True)[:5], repr(self))
        return self._store.get_engagement(engagement_id)

    def list_engagements(
        self, where: Mapping[str, Any] | None = None, *, limit: int | None = None, newest: bool = False
    ) -> list[EngagementSummary]:
        """Summaries of the chosen ones."""
        chosen = self.ids
        found = [one for one in self._store.list_engagements(where, newest=newest) if one.id in chosen]
        return found[:limit]

    def read(self, engagement_id: str) -> list[BaseRecord]:
        """The engagement's records; none of one that is not chosen."""
        return self._store.read(engagement_id) if engagement_id in self.ids else []

    def scan(
        self,
        columns: Sequence[str],
        *,
        types: Sequence[str] = (),
        engagement_id: str | None = None,
        after: int = 0,
        containing: Sequence[bytes] = (),
    ) -> pa.Table:
        """Columns of the log as Arrow; see `LogStore.scan`."""
        needed = list(dict.fromkeys([*columns, "engagement_id"]))
        table = self._store.scan(needed, types=types, engagement_id=engagement_id, after=after, containing=containing)
        return self._kept(table).select(list(columns))

    def scan_blobs(self) -> pa.Table:
        """The blob table of the chosen."""
        return self._kept(self._store.scan_blobs())

    def scan_streams(self) -> pa.Table:
        """The stream table of the chosen."""
        return self._kept(self._store.scan_streams())

    def _kept(self, table: pa.Table) -> pa.Table:
        import pyarrow as pa
        import pyarrow.compute as pc

        return table.filter(pc.is_in(table["engagement_id"], pa.array(sorted(self.ids), pa.string())))

    def blob(self, engagement_id: str, blob_id: str) -> bytes | None:
        """The data of a blob; None when it is not there."""
        return self._store.blob(engagement_id, blob_id) if engagement_id in self.ids else None

    def blobs_of(self, engagement_id: str) -> dict[str, bytes]:
        """Every blob of an engagement, by id."""
        return self._store.blobs_of(engagement_id) if engagement_id in self.ids else {}

    def revision(self) -> tuple[int, int]:
        """As the store's own."""
        return self._store.revision()

    def store_entries(self, *types: str) -> list[dict[str, Any]]:
        """The store's own log."""
        return self._store.store_entries(*types)

    def subscribe(self, *, after: int | None = None) -> AsyncIterator[Record]:
        """As the store's own: whatever is recorded, chosen or not."""
        return self._store.subscribe(after=after)

    def tail(self, *, timeout: float | None = None, after: int | None = None) -> Iterator[Record]:
        """As the store's own."""
        return self._store.tail(timeout=timeout, after=after)

    def close(self) -> None:
        """Nothing: the store is closed by who opened it."""

    # --- what it refuses ---

    def _refuse(self, what: str) -> StoreError:
        return StoreError(
            f"cannot {what} through {self!r}, which is a view for reading; use the traces it is a view of"
        )

    def append(self, record: Record) -> None:
        """Add to an engagement that is chosen, as annotations do. Raises StoreError for another."""
        if record.engagement_id not in self.ids:
            raise self._refuse("append a record")
        self._store.append(record)

    def append_drafts(self, drafts: Sequence[Draft]) -> None:
        """Add to engagements that are chosen, as annotations do. Raises StoreError for others."""
        if any(draft.stream.engagement_id not in self.ids for draft in drafts):
            raise self._refuse("append records")
        self._store.append_drafts(drafts)

    def encode(self, drafts: Sequence[Draft]) -> Batch:
        """Raises StoreError."""
        raise self._refuse("append records")

    def commit(self, batch: Batch) -> None:
        """Raises StoreError."""
        raise self._refuse("append records")

    def abandon(self, batch: Batch) -> None:
        """Nothing was begun."""

    def append_entry(self, kind: str, fields: Mapping[str, Any]) -> None:
        """Raises StoreError."""
        raise self._refuse("add an entry")

    def purge(self, engagement_id: str) -> bool:
        """Raises StoreError."""
        raise self._refuse(f"purge engagement {engagement_id!r}")
