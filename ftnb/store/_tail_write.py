"""Writing the tail of a Parquet store: records, and what moves between it and the segments; see `_tail`."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ._entries import Entry, Signer
from ._parquet_file import RECORDS
from ._sqlite_schema import transaction
from ._sqlite_write import Receipt, SQLiteWriter
from ._tail import Outdated, Ready, Segment, Without
from ._writer import Batch
from .leaf import COLUMNS, NAMES, Row


class TailWriter(SQLiteWriter):
    """Writes the tail, and the catalogue. What was published is not written again."""

    def __init__(
        self,
        connection: sqlite3.Connection,
        path: str,
        seqs: Callable[[str, Sequence[Row]], dict[tuple[str, int], int]],
    ) -> None:
        """`seqs` finds the seqs of published rows of an engagement by stream and position."""
        super().__init__(connection, path)
        self._seqs = seqs

    def _insert(self, rows: list[Row], engagements: dict[str, int], streams: dict[str, int]) -> list[int]:
        find = "SELECT n FROM published WHERE sid = ?"
        ids = {row[1] for row in rows}
        limits = {one: self._connection.execute(find, (streams[one],)).fetchone() for one in ids}
        if not any(limits.values()):
            return super()._insert(rows, engagements, streams)
        is_new = [limits[row[1]] is None or row[2] >= limits[row[1]][0] for row in rows]
        fresh = [row for row, new in zip(rows, is_new, strict=True) if new]
        given = iter(super()._insert(fresh, engagements, streams))
        known = self._known([row for row, new in zip(rows, is_new, strict=True) if not new])
        return [next(given) if new else known.get(row[1:3], 0) for row, new in zip(rows, is_new, strict=True)]

    def _known(self, rows: Sequence[Row]) -> dict[Any, int]:
        """The seqs of rows that were published before they were written again."""
        found: dict[Any, int] = {}
        for engagement_id, stream_id in {row[:2] for row in rows}:
            seqs = self._seqs(engagement_id, [row for row in rows if row[1] == stream_id])
            found |= {place: seq for place, seq in seqs.items() if place[0] == stream_id}
        return found

    def _write_side_tables(self, batch: Batch, engagements: dict[str, int], streams: dict[str, int]) -> None:
        super()._write_side_tables(batch, engagements, streams)
        drop = """DELETE FROM blob WHERE eid = ? AND blob_id = ? AND EXISTS (
            SELECT 1 FROM published_blob there WHERE there.eid = blob.eid AND there.blob_id = blob.blob_id)"""
        mine = [(engagements[b.engagement_id], b.blob_id) for b in batch.blobs if b.engagement_id in engagements]
        self._connection.executemany(drop, mine)

    def blob_ids(self, engagement_id: str) -> dict[bytes, str]:
        """Dedup hash to blob id of the engagement's blobs, published or not."""
        query = """SELECT dedup, blob_id FROM published_blob JOIN engagement USING (eid)
            WHERE engagement_id = ? AND dedup NOT NULL"""
        published = dict(self._connection.execute(query, (engagement_id,)).fetchall())
        return {**published, **super().blob_ids(engagement_id)}

    def _last_seq(self, eid: int) -> int:
        find = "SELECT max(last_seq) FROM segment_engagement WHERE eid = ?"
        return max(super()._last_seq(eid), int(self._connection.execute(find, (eid,)).fetchone()[0] or 0))

    def _erase(self, eid: int) -> None:
        self._forget(eid)
        super()._erase(eid)

    def _forget(self, eid: int) -> None:
        """Take an engagement out of the catalogue; its files must have been replaced."""
        self._connection.execute("DELETE FROM published WHERE sid IN (SELECT sid FROM stream WHERE eid = ?)", (eid,))
        for table in ("segment_engagement", "published_blob", "published_summary"):
            self._connection.execute(f"DELETE FROM {table} WHERE eid = ?", (eid,))

    # --- changing what is published ---

    def generation(self) -> int:
        """Grows whenever the files that there are change."""
        return int(self._connection.execute("SELECT generation FROM publication").fetchone()[0])

    def outdate(self) -> None:
        """Let nothing that is being made now be taken in: it is made again."""
        with transaction(self._connection, self._path):
            self._advance()

    def _advance(self) -> None:
        """From here on, files that were made before do not fit any more."""
        self._connection.execute("UPDATE publication SET generation = generation + 1")

    def take_in(self, ready: Ready, files: Mapping[str, str], n_bytes: int) -> bool:
        """Publish; False: what there is has changed since it was read."""
        execute, many = self._connection.execute, self._connection.executemany
        with transaction(self._connection, self._path):
            if self.generation() != ready.generation:
                return False
            self._advance()
            n = ready.tables[RECORDS].num_rows
            segment = self._add_segment(files, n, ready.until if n else 0, n_bytes)
            head = ready.head
            move = "UPDATE publication SET n_entries = ?, frontier = ?, note = ?"
            execute(move, (head.size, head.frontier, head.note))
            given = (json.dumps(ready.eids), ready.until)
            rows = "eid IN (SELECT value FROM json_each(?)) AND seq <= ?"
            execute(
                f"""INSERT INTO published SELECT sid, max(n) + 1 FROM log WHERE {rows} GROUP BY sid
                ON CONFLICT (sid) DO UPDATE SET n = max(n, excluded.n)""",
                given,
            )
            execute(
                f"INSERT INTO segment_engagement SELECT eid, {segment}, max(seq) FROM log WHERE {rows} GROUP BY eid",
                given,
            )
            execute(f"DELETE FROM log WHERE {rows}", given)
            many("INSERT OR REPLACE INTO published_blob VALUES (?, ?, ?)", ready.blobs)
            many("DELETE FROM blob WHERE eid = ? AND blob_id = ?", [blob[:2] for blob in ready.blobs])
            many("INSERT OR REPLACE INTO published_summary VALUES (?, ?)", list(ready.summaries.items()))
        return True

    def merge(self, generation: int, old: Sequence[Segment], files: Mapping[str, str], n_bytes: int) -> bool:
        """One segment in the place of several; False: what there is has changed since they were read."""
        execute = self._connection.execute
        with transaction(self._connection, self._path):
            if self.generation() != generation:
                return False
            self._advance()
            last, n = max(one.last_seq for one in old), sum(one.n_records for one in old)
            segment = self._add_segment(files, n, last, n_bytes)
            given = json.dumps([one.id for one in old])
            execute(
                f"""INSERT INTO segment_engagement SELECT eid, {segment}, max(last_seq) FROM segment_engagement
                WHERE segment IN (SELECT value FROM json_each(?)) GROUP BY eid""",
                (given,),
            )
            execute("DELETE FROM segment_engagement WHERE segment IN (SELECT value FROM json_each(?))", (given,))
            execute("DELETE FROM segment WHERE id IN (SELECT value FROM json_each(?))", (given,))
        return True

    def _add_segment(self, files: Mapping[str, str], n: int, last_seq: int, n_bytes: int) -> int:
        add = "INSERT INTO segment (files, n_records, last_seq, n_bytes) VALUES (?, ?, ?, ?)"
        return int(self._connection.execute(add, (json.dumps(files), n, last_seq, n_bytes)).lastrowid or 0)

    def purge_published(
        self,
        receipts: Mapping[str, Receipt],
        unless: Callable[[str, int, int], bool],
        signer: Signer | None,
        without: Without,
    ) -> list[str]:
        """`purge`, with files in which they are not any more. Raises Outdated."""
        with transaction(self._connection, self._path):
            self._ensure_current(without)
            gone = [key for key, receipt in receipts.items() if self._purge_one(key, receipt, unless, signer)]
            if without.engagement_ids - set(gone):
                raise Outdated(frozenset(gone))
            if gone:
                self._replace(without)
        self._stream_keys.clear()
        return gone

    def redact_published(
        self,
        engagement_id: str,
        records: Sequence[tuple[Any, ...]],
        blobs: Sequence[str],
        said: Entry,
        signer: Signer | None,
        without: Without,
        unless: Callable[[int], bool],
    ) -> int:
        """`redact`: what was published of the engagement comes back into the tail first. Raises Outdated."""
        with transaction(self._connection, self._path):
            if unless(self.head().size):
                raise Outdated(frozenset())
            self._ensure_current(without)
            self._put_back(engagement_id, without)
            n = self._take_out(engagement_id, records, blobs)
            if not n:
                raise Outdated(frozenset())
            self._extend([said], signer)
            self._replace(without)
        return n

    def _ensure_current(self, without: Without) -> None:
        if self.generation() != without.generation:
            raise Outdated(None)

    def _replace(self, without: Without) -> None:
        self._advance()
        for segment, (files, n) in without.changed.items():
            if files:
                self._connection.execute(
                    "UPDATE segment SET files = ?, n_records = ? WHERE id = ?", (json.dumps(files), n, segment)
                )
            else:
                self._connection.execute("DELETE FROM segment WHERE id = ?", (segment,))

    def _put_back(self, engagement_id: str, without: Without) -> None:
        """Make published rows and values of an engagement a part of the tail again, each with the seq that it had."""
        records, blobs = without.records, without.blobs
        if records is None or blobs is None:
            return
        find = "SELECT eid FROM engagement WHERE engagement_id = ?"
        (eid,) = self._connection.execute(find, (engagement_id,)).fetchone()
        keys = "SELECT stream_id, sid FROM stream WHERE eid = ?"
        sids = dict(self._connection.execute(keys, (eid,)).fetchall())
        dedup = "SELECT blob_id, dedup FROM published_blob WHERE eid = ?"
        hashes = dict(self._connection.execute(dedup, (eid,)).fetchall())
        columns = [records[name].to_pylist() for name in ("seq", "stream_id", *NAMES[2:])]
        rows = [(seq, eid, sids[stream], *rest) for seq, stream, *rest in zip(*columns, strict=True)]
        names = ", ".join(column.name for column in COLUMNS[2:])
        self._connection.executemany(
            f"INSERT INTO log (seq, eid, sid, {names}) VALUES ({', '.join('?' * (len(NAMES) + 1))})", rows
        )
        values = zip(*(blobs[name].to_pylist() for name in ("blob_id", "salt", "media", "data")), strict=True)
        self._connection.executemany(
            "INSERT OR IGNORE INTO blob VALUES (?, ?, ?, ?, ?, ?)",
            [(eid, blob_id, hashes.get(blob_id), *rest) for blob_id, *rest in values],
        )
        self._forget(eid)
