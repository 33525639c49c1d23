"""The reference store: plain lists and dicts, so simple that it is obviously right.

Every other backend is tested against it. It is also the store to use where nothing should outlive the process.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import islice
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from ..core.ids import now_us
from ._entries import Entry, EntryRow, LogHead, extended
from ._log_store import LogStoreBase
from ._tables import BLOB_DTYPES, STREAM_DTYPES, scan_rows, summarise, table_of
from ._writer import Batch, StreamHead, label_key, label_keys, label_value
from .base import EngagementSummary
from .blobs import Blob
from .leaf import INDEX, Row, closed

if TYPE_CHECKING:
    import pyarrow as pa


_TYPE, _SALT, _BODY = INDEX["type"], INDEX["salt"], INDEX["body"]


class MemoryStore(LogStoreBase):
    """A trace store in this process's memory; see `store.base` for what every store promises."""

    def __init__(self) -> None:
        """An empty store of its own."""
        self._log_rows: list[tuple[int, Row]] = []
        self._seq = 0
        self._places: dict[tuple[str, int], int] = {}
        self._streams: dict[str, StreamHead] = {}
        self._blobs: dict[tuple[str, str], Blob] = {}
        self._labels: dict[str, dict[str, str]] = {}
        self._buried: dict[str, int] = {}
        self._entry_log: list[EntryRow] = []
        self._entry_head = LogHead()
        self._n_redactions = 0
        super().__init__(f"memory:{uuid4().hex}", "the store in memory", shared=False)

    def __repr__(self) -> str:
        return "MemoryStore()"

    def _reconnect_in_child(self) -> None:
        """A forked child has a copy of its own."""

    # --- writing ---

    def _commit(self, batch: Batch, entries: Sequence[Entry]) -> dict[int, int]:
        seqs: dict[int, int] = {}
        before = self._seq
        for place, row in enumerate(batch.rows):
            if row[0] in self._buried:
                self._buried[row[0]] += 1
                continue
            key = (row[1], row[2])
            if key not in self._places:
                self._seq += 1
                self._places[key] = self._seq
                self._log_rows.append((self._seq, row))
            seqs[place] = self._places[key]
        for head in batch.heads:
            known = self._streams.get(head.stream_id)
            if head.engagement_id not in self._buried and (known is None or known.size < head.size):
                self._streams[head.stream_id] = head
        for blob in batch.blobs:
            if blob.engagement_id not in self._buried:
                self._blobs[blob.engagement_id, blob.blob_id] = blob
        for engagement_id, key_, value in batch.labels:
            if engagement_id not in self._buried:
                self._labels.setdefault(engagement_id, {})[key_] = value
        if self._seq > before:
            self._add_entries([entry for entry in entries if entry.engagement_id not in self._buried])
        return seqs

    def _redact(
        self,
        engagement_id: str,
        records: Sequence[tuple[Any, ...]],
        blobs: Sequence[str],
        said: Entry,
        unless: Callable[[int], bool],
    ) -> int:
        if unless(len(self._entry_log)):
            return 0
        wanted, n, rows = {(one[0], one[1]): one[2:] for one in records}, 0, []
        for seq, row in self._log_rows:
            if row[0] == engagement_id and (row[1], row[2]) in wanted and row[_BODY] is not None:
                after = (*row[:_SALT], *closed(*row[_SALT:], *wanted[row[1], row[2]]))
                if after == row:
                    rows.append((seq, row))
                    continue
                row = after
                n += 1
                if row[_TYPE] in ("engagement_started", "engagement_labelled"):
                    labels = self._labels.get(engagement_id, {})
                    for key in list(labels) if row[_BODY] is None else label_keys(*wanted[row[1], row[2]]):
                        labels.pop(key, None)
            rows.append((seq, row))
        self._log_rows = rows
        n += sum(self._blobs.pop((engagement_id, blob_id), None) is not None for blob_id in blobs)
        if n:
            self._n_redactions += 1
            self._add_entries([said])
        return n

    def _purge(
        self,
        engagement_id: str,
        receipt: Callable[[Sequence[StreamHead]], Entry],
        unless: Callable[[int, int], bool],
    ) -> bool:
        last = max((seq for seq, row in self._log_rows if row[0] == engagement_id), default=0)
        if unless(last, self._entry_head.size):
            return False
        before = len(self._log_rows)
        self._log_rows = [(seq, row) for seq, row in self._log_rows if row[0] != engagement_id]
        if len(self._log_rows) == before:
            return False
        self._add_entries([receipt([s for _, s in sorted(self._streams.items()) if s.engagement_id == engagement_id])])
        for stream_id in [s.stream_id for s in self._streams.values() if s.engagement_id == engagement_id]:
            del self._streams[stream_id]
        for key in [key for key in self._blobs if key[0] == engagement_id]:
            del self._blobs[key]
        self._labels.pop(engagement_id, None)
        self._buried[engagement_id] = 0
        return True

    def latest_turn(self, engagement_id: str) -> int:
        """The engagement's highest turn; 0 when it is unknown."""
        return max((s.turn for s in self._streams.values() if s.engagement_id == engagement_id), default=0)

    def blob_ids(self, engagement_id: str) -> dict[bytes, str]:
        """Dedup hash to blob id of the engagement's blobs."""
        mine = (blob for blob in self._blobs.values() if blob.engagement_id == engagement_id)
        return {blob.dedup: blob.blob_id for blob in mine if blob.dedup is not None}

    def _add_entries(self, entries: Sequence[Entry]) -> None:
        if entries:
            rows, self._entry_head = extended(self._entry_head, now_us(), entries, self.signer)
            self._entry_log += rows

    def _head(self) -> LogHead:
        return self._entry_head

    # --- reading ---

    def _all(self) -> list[tuple[int, Row]]:
        with self._write_lock:
            return list(self._log_rows)

    def _rows(self, engagement_id: str) -> list[tuple[int, Row]]:
        return [(seq, row) for seq, row in self._all() if row[0] == engagement_id]

    def _rows_after(self, after: int, limit: int) -> list[tuple[int, Row]]:
        return list(islice(((seq, row) for seq, row in self._all() if seq > after), limit))

    def _position(self) -> int:
        return self._seq

    def _revision(self) -> tuple[int, int]:
        return self._seq, len(self._buried) + self._n_redactions

    def _summaries(self, where: Mapping[str, Any], limit: int | None, newest: bool) -> list[EngagementSummary]:
        by_engagement: dict[str, list[tuple[int, Row]]] = {}
        for seq, row in self._all():
            by_engagement.setdefault(row[0], []).append((seq, row))
        found = [key for key in by_engagement if self._matches(key, where)]
        if newest:
            found.reverse()
        return [summarise(key, by_engagement[key]) for key in found[:limit]]

    def _matches(self, engagement_id: str, where: Mapping[str, Any]) -> bool:
        labels = self._labels.get(engagement_id, {})
        return all(labels.get(label_key(key), "null") == label_value(value) for key, value in where.items())

    def _blob(self, engagement_id: str, blob_id: str) -> bytes | None:
        blob = self._blobs.get((engagement_id, blob_id))
        return None if blob is None else blob.data

    def _blobs_of(self, engagement_id: str) -> dict[str, bytes]:
        return {b.blob_id: b.data for (owner, _), b in list(self._blobs.items()) if owner == engagement_id}

    def kept_blobs(self, engagement_id: str) -> list[tuple[str, bytes, str, bytes]]:
        """(blob_id, salt, media, data) of an engagement's blobs."""
        mine = (b for (owner, _), b in list(self._blobs.items()) if owner == engagement_id)
        return [(b.blob_id, b.salt, b.media, b.data) for b in mine]

    def _scan(
        self,
        columns: Sequence[str],
        types: Sequence[str],
        engagement_id: str | None,
        after: int,
        containing: Sequence[bytes],
    ) -> pa.Table:
        rows = self._all() if engagement_id is None else self._rows(engagement_id)
        return scan_rows([(seq, row) for seq, row in rows if seq > after], columns, types, containing)

    def _scan_blobs(self) -> pa.Table:
        rows = [(b.engagement_id, b.blob_id, b.salt, b.media, b.data) for _, b in sorted(self._blobs.items())]
        return table_of(BLOB_DTYPES, rows)

    def _scan_streams(self) -> pa.Table:
        heads = [head for _, head in sorted(self._streams.items())]
        return table_of(STREAM_DTYPES, [(h.stream_id, h.engagement_id, h.turn, h.size, h.frontier) for h in heads])

    def _n_records(self) -> int:
        return len(self._log_rows)

    def _entries(self, after: int = 0, n: int = -1) -> Iterable[EntryRow]:
        return list(self._entry_log[after : None if n < 0 else after + n])

    def _close(self) -> None:
        """Nothing to release: what is in memory goes with the object."""
