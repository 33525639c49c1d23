"""The default store: one SQLite file (or memory), in log format v1.

WAL with synchronous=FULL: a committed record survives a crash and a power cut, and because recorders commit in batches
it costs no more than less. One connection writes, under a lock; another reads, so that a long read does not hold up
recording. A database in memory has one connection for both, shared by every thread of the store object.
"""

from __future__ import annotations

import threading
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from ..core.canonical import dumps
from ..core.errors import UnknownEngagementError
from ..core.ids import new_id, now_us
from ..core.model import Engagement
from . import _barrier, _sqlite_schema
from ._live import Broadcast
from ._sqlite_read import SQLiteReader
from ._sqlite_write import SQLiteWriter
from ._writer import Batch, LogWriter, clean_id
from .base import EngagementSummary
from .draft import Draft, Stream, of_record
from .reconstruct import fold
from .records import BaseRecord, Record

if TYPE_CHECKING:
    import pyarrow as pa

_MAX_OWN_STREAMS = 1_000


class SQLiteStore:
    """A trace store in one SQLite database; see `store.base` for what every store promises.

    Raises StoreError when `path` cannot be opened (a missing folder, no permission), NotOurFileError when it is no
    trace of ours, SchemaVersionError when a newer ftnb wrote it.
    """

    def __init__(self, path: str | Path = ":memory:") -> None:
        """`path` is a file, made when missing; `:memory:` is one database for all threads of this object."""
        self.path = str(path)
        in_memory = self.path == ":memory:"
        self.url = f"sqlite:memory/{uuid4().hex}" if in_memory else f"sqlite:///{Path(self.path).resolve()}"
        self._write = _sqlite_schema.open_database(self.path)
        self._read = self._write if in_memory else _sqlite_schema.connect(self.path)
        self._write_lock = threading.RLock()
        self._reader = SQLiteReader(self._read, self._write_lock if in_memory else threading.RLock(), self.path)
        self._live = Broadcast()
        self._writer = SQLiteWriter(self._write, self.path)
        self._log = LogWriter(self._writer)
        self._own_streams: dict[str, Stream] = {}
        self._closed = False

    def __repr__(self) -> str:
        return f"SQLiteStore({self.path!r})"

    # --- writing ---

    def append(self, record: Record) -> None:
        """Commit one record and set its `seq`; see `Store.append`."""
        with self._write_lock:
            self.append_drafts([of_record(record, self._own_stream(record))])

    def append_drafts(self, drafts: Sequence[Draft]) -> None:
        """Commit `drafts` in order, in one transaction; when it fails, their streams are as they were before."""
        with self._write_lock:
            before = {id(draft.stream): (draft.stream, draft.stream.tree.copy()) for draft in drafts}
            batch = self.encode(drafts)
            try:
                self.commit(batch)
            except BaseException:
                for stream, tree in before.values():
                    stream.tree = tree
                self.abandon(batch)
                raise

    def encode(self, drafts: Sequence[Draft]) -> Batch:
        """Give `drafts` their places in their streams, and encode them for `commit`."""
        with self._write_lock:
            return self._log.encode(drafts)

    def commit(self, batch: Batch) -> None:
        """Write a batch, all of it or nothing. Committing a batch again writes nothing twice. Raises StoreError."""
        with self._write_lock:
            self._publish(batch, self._writer.commit(batch))

    def abandon(self, batch: Batch) -> None:
        """Give up on a batch that `commit` could not write."""
        with self._write_lock:
            self._log.abandon(batch)

    def _publish(self, batch: Batch, seqs: dict[int, int]) -> None:
        records: list[BaseRecord] = []
        for place, seq in seqs.items():
            record, row = batch.drafts[place].record, batch.rows[place]
            if record is not None:
                record.seq, record.stream_id, record.n, record.turn = seq, row[1], row[2], row[6]
            if self._live:
                records.append(record or self._reader.record(row, seq))
        if records:
            self._live.publish(records)

    def _own_stream(self, record: Record) -> Stream:
        """The stream for a record that was appended without a recorder."""
        key = f"{record.engagement_id}\x00{record.turn or ''}"
        stream = self._own_streams.get(key)
        if stream is None:
            if len(self._own_streams) >= _MAX_OWN_STREAMS:
                self._own_streams.pop(next(iter(self._own_streams)))
            stream = self._own_streams[key] = Stream(new_id(), record.engagement_id, record.turn)
        return stream

    # --- reading ---

    def get_engagement(self, engagement_id: str) -> Engagement:
        """The engagement's tree. Raises UnknownEngagementError."""
        records = self.read(engagement_id)
        if not records:
            newest = [summary.id for summary in self.list_engagements(limit=20, newest=True)]
            raise UnknownEngagementError.of(engagement_id, newest, f"the store {self.path}")
        return fold(records)

    def read(self, engagement_id: str) -> list[BaseRecord]:
        """The engagement's records in order of seq; empty when there are none."""
        _barrier.wait(self.url)
        return self._reader.records(clean_id(engagement_id))

    def list_engagements(
        self, where: Mapping[str, Any] | None = None, *, limit: int | None = None, newest: bool = False
    ) -> list[EngagementSummary]:
        """Summaries, oldest first (`newest=True`: newest first), of the engagements whose metadata equals `where`."""
        _barrier.wait(self.url)
        return self._reader.summaries(where, limit=limit, newest=newest)

    def scan(
        self,
        columns: Sequence[str],
        *,
        types: Sequence[str] = (),
        engagement_id: str | None = None,
        after: int = 0,
        containing: Sequence[bytes] = (),
    ) -> pa.Table:
        """Columns of the log as Arrow, ordered by seq; see `LogStore.scan`."""
        _barrier.wait(self.url)
        return self._reader.scan(columns, types=types, engagement_id=engagement_id, after=after, containing=containing)

    def revision(self) -> tuple[int, int]:
        """Changes whenever what the store holds does; see `LogStore.revision`."""
        _barrier.wait(self.url)
        return self._reader.revision()

    def scan_blobs(self) -> pa.Table:
        """The blob table as Arrow, without `dedup`, ordered by engagement and id."""
        _barrier.wait(self.url)
        return self._reader.scan_blobs()

    def append_entry(self, kind: str, fields: Mapping[str, Any]) -> None:
        """Add an entry to the store's own log (gaps that belong to no known engagement); never an engagement."""
        with self._write_lock, _sqlite_schema.transaction(self._write, self.path):
            entry = (now_us(), kind, dumps(dict(fields)))
            self._write.execute("INSERT INTO store_log (at_us, type, body) VALUES (?, ?, ?)", entry)

    def store_entries(self) -> list[dict[str, Any]]:
        """The store's own log: dicts with seq, at, type and what was given, oldest first."""
        _barrier.wait(self.url)
        return self._reader.store_entries()

    def scan_streams(self) -> pa.Table:
        """The stream table as Arrow: stream_id, engagement_id, turn, size, frontier."""
        _barrier.wait(self.url)
        return self._reader.scan_streams()

    def blob(self, engagement_id: str, blob_id: str) -> bytes | None:
        """The data of a blob; None when it is not there."""
        return self._reader.blob(clean_id(engagement_id), blob_id)

    def subscribe(self) -> AsyncIterator[Record]:
        """Every record committed after this call, once each, in order. Use it with `async for`."""
        _barrier.wait(self.url)
        return self._live.subscribe()

    def tail(self, *, timeout: float | None = None) -> Iterator[Record]:
        """The synchronous twin of `subscribe`; ends when nothing came for `timeout` seconds (None: never)."""
        _barrier.wait(self.url)
        return self._live.subscribe().until(timeout)

    # --- erasing and closing ---

    def purge(self, engagement_id: str) -> bool:
        """Erase an engagement from every table; late records of it will be counted, not kept."""
        _barrier.wait(self.url)
        with self._write_lock:
            return self._writer.purge(clean_id(engagement_id))

    def close(self) -> None:
        """Close the database after waiting for what recorders have accepted. Closing twice is fine."""
        if self._closed:
            return
        _barrier.wait(self.url)
        self._closed = True
        self._live.close()
        with self._write_lock:
            self._read.close()
            self._write.close()
