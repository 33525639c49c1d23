"""Writing to a SQLite store: one batch, one transaction."""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ..core.ids import now_us
from . import _sqlite_insert, _sqlite_schema
from ._entries import Entry, LogHead, Signer, extended
from ._writer import Batch, StreamHead, label_keys
from .leaf import Profile, Row, closed

_MAX_KNOWN = 10_000
Receipt = Callable[[Sequence[StreamHead]], Entry]
"""Makes the receipt of a purge over the streams that there were."""


class SQLiteWriter:
    """Writes through one connection; the caller holds the store's write lock."""

    profile: Profile = "hash"

    def __init__(self, connection: sqlite3.Connection, path: str) -> None:
        self._connection = connection
        self._path = path
        self._stream_keys: dict[str, int] = {}

    def commit(self, batch: Batch, entries: Sequence[Entry] = (), signer: Signer | None = None) -> dict[int, int]:
        """Write a batch, all of it or nothing; the seq of each row that is there now, by its place in the batch.

        Rows of purged engagements are counted and not written; rows that are there already are left as they are.
        `entries` go into the store's own log, unless no row was new.
        """
        with _sqlite_schema.transaction(self._connection, self._path):
            buried = self._buried(batch)
            engagement_keys = self._engagement_keys(batch, buried)
            stream_keys = self._stream_keys_of(batch, engagement_keys)
            places: Sequence[int] = range(len(batch.rows))
            if buried:
                places = [place for place, row in enumerate(batch.rows) if row[0] not in buried]
            written = [batch.rows[place] for place in places] if buried else batch.rows
            before = self._connection.total_changes
            seqs = self._insert(written, engagement_keys, stream_keys)
            is_new = self._connection.total_changes > before
            self._write_side_tables(batch, engagement_keys, stream_keys)
            if is_new and entries:
                self._extend([entry for entry in entries if entry.engagement_id not in buried], signer)
        if len(self._stream_keys) > _MAX_KNOWN:
            self._stream_keys.clear()
        self._stream_keys.update(stream_keys)
        return dict(zip(places, seqs, strict=True))

    def _buried(self, batch: Batch) -> set[str]:
        """Engagements of the batch that were purged."""
        if self._connection.execute("SELECT 1 FROM tombstone LIMIT 1").fetchone() is None:
            return set()
        late = Counter(row[0] for row in batch.rows)
        count = "UPDATE tombstone SET n_late = n_late + ? WHERE engagement_id = ?"
        return {key for key, n in late.items() if self._connection.execute(count, (n, key)).rowcount}

    def _engagement_keys(self, batch: Batch, buried: set[str]) -> dict[str, int]:
        """The local key of each engagement in the batch, given now where it is new, in order of appearance."""
        keys: dict[str, int] = {}
        for engagement_id in dict.fromkeys(row[0] for row in batch.rows):
            if engagement_id not in buried:
                find = "SELECT eid FROM engagement WHERE engagement_id = ?"
                found = self._connection.execute(find, (engagement_id,)).fetchone()
                if found is None:
                    add = "INSERT INTO engagement (engagement_id) VALUES (?)"
                    found = (self._connection.execute(add, (engagement_id,)).lastrowid,)
                keys[engagement_id] = int(found[0])
        return keys

    def _stream_keys_of(self, batch: Batch, engagement_keys: dict[str, int]) -> dict[str, int]:
        """The local key of each stream in the batch."""
        keys: dict[str, int] = {}
        for head in batch.heads:
            eid = engagement_keys.get(head.engagement_id)
            if eid is None:
                continue
            key = self._stream_keys.get(head.stream_id)
            if key is None:
                self._connection.execute(
                    "INSERT INTO stream (stream_id, eid, turn, size, frontier) VALUES (?, ?, ?, 0, x'')"
                    " ON CONFLICT DO NOTHING",
                    (head.stream_id, eid, head.turn),
                )
                find = "SELECT sid FROM stream WHERE stream_id = ?"
                key = int(self._connection.execute(find, (head.stream_id,)).fetchone()[0])
            keys[head.stream_id] = key
        return keys

    def _insert(self, rows: list[Row], engagements: dict[str, int], streams: dict[str, int]) -> list[int]:
        """Insert rows that are not there yet; the seq of each."""
        before = self._connection.total_changes
        _sqlite_insert.insert(self._connection, rows, engagements, streams)
        if self._connection.total_changes - before == len(rows):
            last = int(self._connection.execute("SELECT last_insert_rowid()").fetchone()[0])
            return list(range(last - len(rows) + 1, last + 1))
        find = "SELECT seq FROM log WHERE sid = ? AND n = ?"
        return [int(self._connection.execute(find, (streams[row[1]], row[2])).fetchone()[0]) for row in rows]

    def _write_side_tables(self, batch: Batch, engagements: dict[str, int], streams: dict[str, int]) -> None:
        blobs = [(engagements[b.engagement_id], *b[1:]) for b in batch.blobs if b.engagement_id in engagements]
        self._connection.executemany("INSERT OR IGNORE INTO blob VALUES (?, ?, ?, ?, ?, ?)", blobs)
        # A batch that is written again must not turn the tree back.
        heads = [(h.size, h.frontier, streams[h.stream_id], h.size) for h in batch.heads if h.stream_id in streams]
        self._connection.executemany("UPDATE stream SET size = ?, frontier = ? WHERE sid = ? AND size < ?", heads)
        labels = [(engagements[e], key, value) for e, key, value in batch.labels if e in engagements]
        self._connection.executemany("INSERT OR REPLACE INTO label VALUES (?, ?, ?)", labels)

    def add_entries(self, entries: Sequence[Entry], signer: Signer | None) -> None:
        """Add to the store's own log."""
        with _sqlite_schema.transaction(self._connection, self._path):
            self._extend(entries, signer)

    def _extend(self, entries: Sequence[Entry], signer: Signer | None) -> None:
        rows, head = extended(self.head(), now_us(), entries, signer)
        self._connection.executemany("INSERT INTO store_log VALUES (?, ?, ?, ?)", rows)
        move = "UPDATE store_head SET size = ?, frontier = ?, note = ?"
        self._connection.execute(move, (head.size, head.frontier, head.note))

    def head(self) -> LogHead:
        """Where the store's own log stands."""
        return LogHead(*self._connection.execute("SELECT size, frontier, note FROM store_head").fetchone())

    def redact(
        self,
        engagement_id: str,
        records: Sequence[tuple[Any, ...]],
        blobs: Sequence[str],
        said: Entry,
        signer: Signer | None,
        unless: Callable[[int], bool],
    ) -> int:
        """Take out bodies and blobs, leave commitments and the entry; how many there were."""
        with _sqlite_schema.transaction(self._connection, self._path):
            if unless(self.head().size):
                return 0
            n = self._take_out(engagement_id, records, blobs)
            if n:
                self._extend([said], signer)
        return n

    def _take_out(self, engagement_id: str, records: Sequence[tuple[Any, ...]], blobs: Sequence[str]) -> int:
        n = 0
        find = """SELECT salt, body, commitment, seq, type FROM record
            WHERE engagement_id = ? AND stream_id = ? AND n = ?"""
        close = "UPDATE log SET salt = ?, body = ?, commitment = ? WHERE seq = ?"
        unlabel = "DELETE FROM label WHERE key = ? AND eid = (SELECT eid FROM engagement WHERE engagement_id = ?)"
        drop = "DELETE FROM blob WHERE blob_id = ? AND eid = (SELECT eid FROM engagement WHERE engagement_id = ?)"
        for stream_id, position, *paths in records:
            found = self._connection.execute(find, (engagement_id, stream_id, position)).fetchone()
            if found is None or found[1] is None or (after := closed(*found[:3], *paths)) == found[:3]:
                continue
            self._connection.execute(close, (*after, found[3]))
            n += 1
            if after[1] is not None and found[4] in ("engagement_started", "engagement_labelled"):
                for key in label_keys(*paths):
                    self._connection.execute(unlabel, (key, engagement_id))
        for blob_id in blobs:
            n += self._connection.execute(drop, (blob_id, engagement_id)).rowcount
        if n:
            forget = """DELETE FROM label WHERE eid = (SELECT eid FROM record JOIN engagement USING (engagement_id)
                WHERE engagement_id = ? AND type IN ('engagement_started', 'engagement_labelled')
                AND body IS NULL AND commitment NOT NULL LIMIT 1)"""
            self._connection.execute(forget, (engagement_id,))
        return n

    def purge(
        self,
        receipts: Mapping[str, Receipt],
        unless: Callable[[str, int, int], bool],
        signer: Signer | None,
    ) -> list[str]:
        """Erase engagements from every table, leave tombstones and receipts; the ids of those that there were."""
        gone = []
        with _sqlite_schema.transaction(self._connection, self._path):
            for engagement_id, receipt in receipts.items():
                if self._purge_one(engagement_id, receipt, unless, signer):
                    gone.append(engagement_id)
        self._stream_keys.clear()
        return gone

    def _purge_one(
        self,
        engagement_id: str,
        receipt: Receipt,
        unless: Callable[[str, int, int], bool],
        signer: Signer | None,
    ) -> bool:
        find = "SELECT eid FROM engagement WHERE engagement_id = ?"
        found = self._connection.execute(find, (engagement_id,)).fetchone()
        if found is None:
            return False
        if unless(engagement_id, self._last_seq(found[0]), self.head().size):
            return False
        heads = "SELECT stream_id, ?, turn, size, frontier FROM stream WHERE eid = ? ORDER BY stream_id"
        streams = self._connection.execute(heads, (engagement_id, *found)).fetchall()
        self._extend([receipt([StreamHead(*row) for row in streams])], signer)
        self._erase(found[0])
        bury = "INSERT OR IGNORE INTO tombstone VALUES (?, ?, 0)"
        self._connection.execute(bury, (engagement_id, now_us()))
        return True

    def _last_seq(self, eid: int) -> int:
        found = self._connection.execute("SELECT max(seq) FROM log WHERE eid = ?", (eid,)).fetchone()
        return int(found[0] or 0)

    def _erase(self, eid: int) -> None:
        for table in ("log", "blob", "stream", "label", "engagement"):
            self._connection.execute(f"DELETE FROM {table} WHERE eid = ?", (eid,))

    # --- what a LogWriter must ask ---

    def latest_turn(self, engagement_id: str) -> int:
        """The engagement's highest turn; 0 when it is unknown."""
        query = "SELECT max(turn) FROM stream JOIN engagement USING (eid) WHERE engagement_id = ?"
        return int(self._connection.execute(query, (engagement_id,)).fetchone()[0] or 0)

    def blob_ids(self, engagement_id: str) -> dict[bytes, str]:
        """Dedup hash to blob id of the engagement's blobs."""
        query = "SELECT dedup, blob_id FROM blob JOIN engagement USING (eid) WHERE engagement_id = ? AND dedup NOT NULL"
        return dict(self._connection.execute(query, (engagement_id,)).fetchall())
