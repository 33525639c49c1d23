"""The default store: one SQLite file (or memory), in log format v1.

WAL with synchronous=FULL: a committed record survives a crash and a power cut, and because recorders commit in batches
it costs no more than less. One connection writes, under a lock; another reads, so that a long read does not hold up
recording; a third looks for what other processes wrote. A database in memory has one connection for all of it, shared
by every thread of the store object.
"""

from __future__ import annotations

import logging
import sqlite3
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from ..core.errors import InvalidArgumentError, NotOurFileError, StoreError
from . import _barrier, _drives, _entries, _sqlite_follow, _sqlite_schema
from ._entries import Entry, EntryRow, LogHead
from ._log_store import LogStoreBase
from ._sqlite_columns import Parts
from ._sqlite_publish import Published
from ._sqlite_read import SQLiteReader
from ._sqlite_seed import is_seed_database, migrate
from ._sqlite_write import SQLiteWriter
from ._writer import Batch, LogWriter, StreamHead
from .base import EngagementSummary
from .leaf import Row

if TYPE_CHECKING:
    import pyarrow as pa

logger = logging.getLogger("ftnb")

_LOOK_SECONDS = 0.01
"""How often a subscriber looks for records of other processes."""


class SQLiteStore(LogStoreBase):
    """A trace store in one SQLite database; see `store.base` for what every store promises.

    A database of flowtraicer is taken over when it is opened for writing, and kept as a copy beside it.

    Raises StoreError when `path` cannot be opened (a missing folder, no permission), NotOurFileError when it is no
    trace of ours, SchemaVersionError when a newer ftnb wrote it.
    """

    def __init__(
        self, path: str | Path = ":memory:", *, read_only: bool = False, shared_drive: bool | None = None
    ) -> None:
        """`path` is a file, made when missing; `:memory:` is one database for all threads of this object. `read_only`
        opens what is there and changes nothing in it; appending then raises StoreError. On a `shared_drive` (None: as
        the file system says, see `_drives`) recording goes to a file on this machine, `self.path`, of which whole
        copies are put at `path`: every few seconds while it changes, when something is erased, and on `close`."""
        self.path = str(path)
        if "\x00" in self.path:
            raise InvalidArgumentError(f"no file can be called {self.path!r}: it holds a NUL")
        in_memory = self.path == ":memory:"
        url = f"sqlite:memory/{uuid4().hex}" if in_memory else f"sqlite:///{Path(self.path).resolve()}"
        self._seen_version = -1
        super().__init__(url, f"the store {self.path}", shared=not in_memory)
        self.read_only = read_only
        self._published: Published | None = None
        if not (in_memory or read_only) and (_drives.is_shared(path) if shared_drive is None else shared_drive):
            self._published = Published(Path(path))
            self.path = str(self._published.local)
        self._connect()
        if self._published is not None and not self._published.target.exists():
            self.publish()  # whoever looks for the file finds it

    def _connect(self) -> None:
        write = self._open()
        self._write, self._file = write, _sqlite_schema.file_of(self.path)
        self._wal: tuple[int, int] | None = None
        self._writer = SQLiteWriter(self._write, self.path)
        if self._shared:
            self._reader, self._tail_reader = self._new_reader(), self._new_reader()
        else:
            self._reader = self._tail_reader = SQLiteReader(self._write, self._write_lock, self.path)

    def _open(self) -> sqlite3.Connection:
        if self.read_only:
            return _sqlite_schema.check_database(self.path)
        try:
            return _sqlite_schema.open_database(self.path)
        except NotOurFileError:
            if not is_seed_database(self.path):
                raise
        kept = migrate(self.path)
        logger.info("ftnb: %s was a flowtraicer database; it is kept as %s", self.path, kept)
        return _sqlite_schema.open_database(self.path)

    def _new_reader(self) -> SQLiteReader:
        connection = _sqlite_schema.connect(self.path, read_only=self.read_only)
        return SQLiteReader(connection, threading.RLock(), self.path)

    def __repr__(self) -> str:
        return f"SQLiteStore({self.path!r})"

    # --- writing ---

    def _commit(self, batch: Batch, entries: Sequence[Entry]) -> dict[int, int]:
        seqs = self._writer.commit(batch, entries, self.signer)
        if self._published is not None:
            self._published.changed()
        return seqs

    def publish(self) -> int:
        """Put what is committed on the shared drive now; 0: the file is not on one, else 1. Raises StoreError."""
        if self._published is None:
            return 0
        self._published.publish()
        return 1

    def _purge(
        self,
        engagement_id: str,
        receipt: Callable[[Sequence[StreamHead]], Entry],
        unless: Callable[[int, int], bool],
    ) -> bool:
        done = self._writer.purge({engagement_id: receipt}, lambda _, last, size: unless(last, size), self.signer)
        self.publish()
        return bool(done)

    def _purge_many(self, whys: Mapping[str, Mapping[str, Any]], unless: Callable[[str, int, int], bool]) -> list[str]:
        receipts = {key: partial(_entries.receipt, key, fields=dict(why)) for key, why in whys.items()}
        gone = self._writer.purge(receipts, unless, self.signer)
        self.publish()
        return gone

    def _redact(
        self,
        engagement_id: str,
        records: Sequence[tuple[Any, ...]],
        blobs: Sequence[str],
        said: Entry,
        unless: Callable[[int], bool],
    ) -> int:
        n = self._writer.redact(engagement_id, records, blobs, said, self.signer, unless)
        self.publish()
        return n

    def latest_turn(self, engagement_id: str) -> int:
        """The engagement's highest turn; 0 when it is unknown."""
        return self._writer.latest_turn(engagement_id)

    def blob_ids(self, engagement_id: str) -> dict[bytes, str]:
        """Dedup hash to blob id of the engagement's blobs."""
        return self._writer.blob_ids(engagement_id)

    def _add_entries(self, entries: Sequence[Entry]) -> None:
        self._writer.add_entries(entries, self.signer)
        if self._published is not None:
            self._published.changed()

    def vacuum(self) -> None:
        """Write the file anew, without the remains of what was purged. Needs as much space again for a moment."""
        with self._write_lock:
            self._write_anew()
            self.publish()

    def _write_anew(self) -> None:
        try:
            self._write.execute("VACUUM")
            self._write.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        except sqlite3.Error as error:
            raise StoreError(f"cannot vacuum the store {self.path!r}: {error}") from error

    def advice(self) -> list[tuple[bool | None, str]]:
        """Where the file lies, as far as it matters: (whether it is as it should be, what to know)."""
        if self._published is None:
            return []
        return [(None, f"on a shared drive: recorded into {self.path}, and published every few seconds and on closing")]

    # --- reading ---

    def _rows(self, engagement_id: str) -> list[tuple[int, Row]]:
        return self._reader.rows(engagement_id)

    def _rows_after(self, after: int, limit: int) -> list[tuple[int, Row]]:
        return self._tail_reader.rows_after(after, limit)

    def _position(self) -> int:
        return self._tail_reader.revision()[0]

    def _revision(self) -> tuple[int, int]:
        return self._reader.revision()

    def _summaries(self, where: Mapping[str, Any], limit: int | None, newest: bool) -> list[EngagementSummary]:
        return self._reader.summaries(where, limit=limit, newest=newest)

    def _blob(self, engagement_id: str, blob_id: str) -> bytes | None:
        return self._reader.blob(engagement_id, blob_id)

    def _scan(
        self,
        columns: Sequence[str],
        types: Sequence[str],
        engagement_id: str | None,
        after: int,
        containing: Sequence[bytes],
    ) -> pa.Table:
        return self._reader.scan(columns, types=types, engagement_id=engagement_id, after=after, containing=containing)

    def scan_parts(self, parts: Sequence[tuple[Sequence[str], Sequence[str]]]) -> Parts:
        """For each part (columns, types of records) what `scan` gives, all of one state, as frames of polars.

        The ids of engagements and streams are small integers in them, which `ids` of the answer resolves.
        """
        _barrier.wait(self.url)
        return self._reader.parts(parts)

    def _blobs_of(self, engagement_id: str) -> dict[str, bytes]:
        return self._reader.blobs_of(engagement_id)

    def kept_blobs(self, engagement_id: str) -> list[Row]:
        """(blob_id, salt, media, data) of an engagement's blobs, as they are kept."""
        find = "SELECT blob_id, salt, media, data FROM blob JOIN engagement USING (eid) WHERE engagement_id = ?"
        return self._reader._rows(find, (engagement_id,))

    def _scan_blobs(self) -> pa.Table:
        return self._reader.scan_blobs()

    def _scan_streams(self) -> pa.Table:
        return self._reader.scan_streams()

    def engagement_sizes(self) -> list[tuple[str, int]]:
        """The id of each engagement, and about how many bytes its records and blobs are."""
        _barrier.wait(self.url)
        return self._reader.engagement_sizes()

    def scan_engagements(self, engagement_ids: Sequence[str]) -> tuple[pa.Table, pa.Table]:
        """The records (`seq` and all columns) and blobs of these engagements, as they are kept."""
        return self._reader.scan_engagements(engagement_ids)

    def _n_records(self) -> int:
        return self._reader.n_records()

    def _entries(self, after: int = 0, n: int = -1) -> Iterable[EntryRow]:
        return self._reader.entries(after, n)

    def _head(self) -> LogHead:
        return self._reader.head()

    # --- other processes ---

    def _wait_for_others(self, seconds: float) -> None:
        """Wait until another connection has written, as SQLite's own counter of changes tells."""
        until = time.monotonic() + seconds
        version = self._tail_reader.data_version()
        while not self._closed and version == self._seen_version and time.monotonic() < until:
            time.sleep(_LOOK_SECONDS)
            version = self._tail_reader.data_version()
        self._seen_version = version

    # --- forks, and files that go away ---

    def _locks(self) -> list[threading.RLock]:
        return [self._write_lock, self._reader.lock, self._tail_reader.lock]

    def _reconnect_in_child(self) -> None:
        if not self._shared:
            self._reader.lock = self._write_lock
            return  # a copy of the parent's memory, and nobody else's
        # Closed, not forgotten: SQLite would go on counting the parent's locks on the file as this process's own.
        for connection in (self._write, self._reader.connection, self._tail_reader.connection):
            connection.close()
        self._connect()

    def has_moved(self) -> bool:
        """Whether another file than ours, or none, is at the path now."""
        if not self._shared:
            return False
        self._wal = self._wal or _sqlite_schema.file_of(f"{self.path}-wal")
        return _sqlite_schema.file_of(self.path) != self._file

    def follow(self, batch: Batch) -> None:
        """Open what is at the path now, or make it, and bring the engagements along that are being recorded."""
        with ExitStack() as held:
            for lock in self._locks():
                held.enter_context(lock)
            carried = _sqlite_follow.being_recorded(self._write, self._writer._stream_keys, batch)
            readers = self._reader, self._tail_reader
            _sqlite_follow.take_away_log(self.path, self._wal)
            before = [self._write, *(reader.connection for reader in readers)]
            self._connect()
            for old, new in zip(readers, (self._reader, self._tail_reader), strict=True):
                old.connection = new.connection  # threads may be waiting for the old one's lock
            self._reader, self._tail_reader = readers
            self._log = LogWriter(self)
            if carried.rows:
                self._writer.commit(carried)
            self._seen_version = -1
            for connection in before:
                connection.close()
        self._feed.restart()

    def _close(self) -> None:
        self._tail_reader.close()
        self._reader.close()
        self._write.close()
        if self._published is not None:
            self._published.close()
