"""The tail of a Parquet store: a SQLite store's tables, and beside them the catalogue of what was published.

Rows and values move from the tail into segments; engagements, streams, labels, tombstones and the store's own log stay.
What is published is decided by one transaction here: it takes the files into the catalogue and the rows out of the log,
so that a crash before it leaves files that nobody lists, and a crash after it leaves nothing to do.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, cast

from ..core.canonical import dumps, loads
from ._entries import Entry, LogHead, Signer
from ._parquet_file import BLOBS, RECORDS, SCHEMAS
from ._sqlite_read import SQLiteReader
from ._sqlite_schema import transaction
from ._sqlite_write import Receipt, SQLiteWriter
from ._summary import Summary
from ._writer import Batch
from .base import EngagementSummary
from .leaf import COLUMNS, NAMES, Row

if TYPE_CHECKING:
    import threading

    import pyarrow as pa

_ENDED = "(type = 'engagement_ended' OR (type = 'engagement_status_changed' AND status = 'paused'))"
SCHEMA = f"""
CREATE TABLE IF NOT EXISTS segment (id INTEGER PRIMARY KEY AUTOINCREMENT, files TEXT NOT NULL,
    n_records INTEGER NOT NULL, last_seq INTEGER NOT NULL, n_bytes INTEGER NOT NULL) STRICT;
CREATE TABLE IF NOT EXISTS segment_engagement (eid INTEGER NOT NULL, segment INTEGER NOT NULL,
    last_seq INTEGER NOT NULL, PRIMARY KEY (eid, segment)) STRICT;
CREATE INDEX IF NOT EXISTS segment_engagement_segment ON segment_engagement (segment);
CREATE TABLE IF NOT EXISTS published (sid INTEGER PRIMARY KEY, n INTEGER NOT NULL) STRICT;
CREATE TABLE IF NOT EXISTS published_blob (eid INTEGER NOT NULL, blob_id TEXT NOT NULL, dedup BLOB,
    PRIMARY KEY (eid, blob_id)) STRICT;
CREATE TABLE IF NOT EXISTS published_summary (eid INTEGER PRIMARY KEY, body BLOB NOT NULL) STRICT;
CREATE TABLE IF NOT EXISTS publication (id INTEGER PRIMARY KEY CHECK (id = 1), generation INTEGER NOT NULL,
    n_entries INTEGER NOT NULL, frontier BLOB NOT NULL, note TEXT) STRICT;
INSERT OR IGNORE INTO publication VALUES (1, 0, 0, x'', NULL);
CREATE INDEX IF NOT EXISTS log_ended ON log (eid, seq) WHERE {_ENDED}
"""
_LOG_COLUMNS = ", ".join(f"log.{column.name}" for column in COLUMNS[2:])
_OPENING = "('engagement_started', 'step_started', 'engagement_status_changed')"


@dataclass(frozen=True)
class Segment:
    """Files that were published together, or merged."""

    id: int
    files: dict[str, str]
    """Name by table."""
    n_records: int
    last_seq: int
    n_bytes: int

    @property
    def places(self) -> set[tuple[str, str]]:
        """Its files as (table, name)."""
        return set(self.files.items())


@dataclass
class Ready:
    """What is to be published: the rows of engagements up to a seq, and what belongs to them."""

    generation: int
    eids: list[int]
    until: int
    tables: dict[str, pa.Table]
    blobs: list[tuple[int, str, bytes | None]]
    """eid, blob id, dedup."""
    head: LogHead
    """Of the store's own log, up to the entries among the tables."""
    summaries: dict[int, bytes] = field(default_factory=dict)


@dataclass
class Without:
    """Files that are to take the place of others, without some engagements."""

    generation: int
    engagement_ids: frozenset[str]
    """Those of the engagements of which there was something."""
    changed: dict[int, tuple[dict[str, str], int]] = field(default_factory=dict)
    """Files and number of records by segment; no files: nothing is left of it."""
    made: set[tuple[str, str]] = field(default_factory=set)
    replaced: set[tuple[str, str]] = field(default_factory=set)
    records: pa.Table | None = None
    blobs: pa.Table | None = None
    """What was in them of the engagements."""


class Outdated(Exception):
    """What was prepared does not fit: the files have changed (`only` is None), or only these engagements can go."""

    def __init__(self, only: frozenset[str] | None) -> None:
        super().__init__()
        self.only = only


class TailReader(SQLiteReader):
    """Reads the tail, and the catalogue."""

    def __init__(
        self,
        connection: sqlite3.Connection,
        lock: threading.RLock,
        path: str,
        summarise: Callable[[str], EngagementSummary],
    ) -> None:
        """`summarise` makes the summary of an engagement of which a part is published."""
        super().__init__(connection, lock, path)
        self._summarise = summarise

    def generation(self) -> int:
        """Grows whenever the files that there are change."""
        return int(self._rows("SELECT generation FROM publication")[0][0])

    def segments(self, engagement_id: str | None = None, after: int = -1) -> list[Segment]:
        """Segments that may hold rows of an engagement (None: any) with a greater seq than `after`."""
        if engagement_id is None:
            rows = self._rows("SELECT * FROM segment WHERE last_seq > ? ORDER BY id", (after,))
        else:
            find = """SELECT segment.* FROM engagement JOIN segment_engagement part USING (eid)
                JOIN segment ON segment.id = part.segment
                WHERE engagement_id = ? AND part.last_seq > ? ORDER BY segment.id"""
            rows = self._rows(find, (engagement_id, after))
        return [_segment(row) for row in rows]

    def n_records(self) -> int:
        """How many rows there are, published or not."""
        return super().n_records() + int(self._rows("SELECT ifnull(sum(n_records), 0) FROM segment")[0][0])

    def _summaries_of(self, ids: list[str]) -> list[EngagementSummary]:
        marks = ", ".join("?" * len(ids))
        find = f"""SELECT DISTINCT engagement_id, body, EXISTS (SELECT 1 FROM log WHERE log.eid = engagement.eid)
            FROM engagement JOIN segment_engagement USING (eid) LEFT JOIN published_summary USING (eid)
            WHERE engagement_id IN ({marks})"""
        found: dict[str, EngagementSummary] = {}
        for engagement_id, body, has_more in self._rows(find, ids):
            whole = body is not None and not has_more
            found[engagement_id] = read_summary(engagement_id, body) if whole else self._summarise(engagement_id)
        rest = [engagement_id for engagement_id in ids if engagement_id not in found]
        found |= {one.id: one for one in super()._summaries_of(rest)} if rest else {}
        return [found[engagement_id] for engagement_id in ids]

    # --- what can be published ---

    def ready(self, max_rows: int, max_bytes: int, *, everything: bool) -> Ready:
        """The rows of engagements whose turn is over (`everything`: of any), some of them at once. In one snapshot."""
        eids = self._some(self._over() if not everything else self._all(), max_rows, max_bytes)
        given = json.dumps(eids)
        columns = f"log.seq, engagement.engagement_id, stream.stream_id, {_LOG_COLUMNS}"
        chosen = "json_each(?) chosen CROSS JOIN"
        by_id = "CROSS JOIN engagement ON engagement.eid = chosen.value"
        records = self._table(
            f"SELECT {columns} FROM {chosen} log ON log.eid = chosen.value {by_id} JOIN stream ON stream.sid = log.sid",
            [given],
            _dtypes(RECORDS),
        )
        blobs = self._table(
            f"SELECT engagement_id, blob_id, salt, media, data FROM {chosen} blob ON blob.eid = chosen.value {by_id}",
            [given],
            _dtypes(BLOBS),
        )
        keys = f"SELECT blob.eid, blob_id, dedup FROM {chosen} blob ON blob.eid = chosen.value"
        streams = self._table(
            f"""SELECT stream_id, engagement_id, turn, size, frontier FROM {chosen} stream
                ON stream.eid = chosen.value {by_id}""",
            [given],
            _dtypes("streams"),
        )
        n_entries = int(self._rows("SELECT n_entries FROM publication")[0][0])
        entries = self._table(
            "SELECT seq, at_us, type, body FROM store_log WHERE seq > ?", [n_entries], _dtypes("entries")
        )
        tables = {"records": records, "blobs": blobs, "streams": streams, "entries": entries}
        until = int(self._rows("SELECT ifnull(max(seq), 0) FROM log")[0][0])
        mine: Any = self._rows(keys, [given])
        return Ready(self.generation(), eids, until, tables, mine, self.head())

    def _over(self) -> list[int]:
        """Engagements of which nothing goes on: the last turn is over, or only a late record came."""
        ended = f"""SELECT eid FROM (SELECT eid, max(seq) AS last FROM log WHERE {_ENDED} GROUP BY eid) ended
            WHERE NOT EXISTS (SELECT 1 FROM log WHERE log.eid = ended.eid AND log.seq > ended.last
                AND log.type IN {_OPENING})"""
        late = f"""SELECT DISTINCT part.eid FROM segment_engagement part JOIN log ON log.eid = part.eid
            WHERE NOT EXISTS (SELECT 1 FROM log WHERE log.eid = part.eid AND log.type IN {_OPENING})
            AND NOT EXISTS (SELECT 1 FROM log WHERE log.eid = part.eid AND {_ENDED})"""
        return sorted({eid for (eid,) in (*self._rows(ended), *self._rows(late))})

    def _all(self) -> list[int]:
        return [eid for (eid,) in self._rows("SELECT DISTINCT eid FROM log ORDER BY eid")]

    def _some(self, eids: Sequence[int], max_rows: int, max_bytes: int) -> list[int]:
        """The first of them, as many as fit into one segment; one at least."""
        find = """SELECT chosen.value, (SELECT count(*) FROM log WHERE log.eid = chosen.value),
            (SELECT ifnull(sum(length(data)), 0) FROM blob WHERE blob.eid = chosen.value) FROM json_each(?) chosen"""
        taken, rows, size = list[int](), 0, 0
        for eid, n, n_bytes in self._rows(find, [json.dumps(list(eids))]):
            if taken and (rows + n > max_rows or size + n_bytes > max_bytes):
                break
            taken.append(eid)
            rows, size = rows + n, size + n_bytes
        return taken

    def eids_of(self, engagement_ids: Iterable[str]) -> dict[str, int]:
        """The key of each engagement that there is."""
        find = "SELECT engagement_id, eid FROM json_each(?) chosen JOIN engagement ON engagement_id = chosen.value"
        return dict(self._rows(find, [json.dumps(list(engagement_ids))]))

    def partly_published(self, eids: Sequence[int]) -> set[int]:
        """Those of which there is something in a segment."""
        find = "SELECT DISTINCT eid FROM segment_engagement WHERE eid IN (SELECT value FROM json_each(?))"
        return {eid for (eid,) in self._rows(find, [json.dumps(list(eids))])}

    def manifest(self) -> dict[str, Any]:
        """What the manifest says of the files that there are."""
        generation, *head = self._rows("SELECT generation, n_entries, frontier, note FROM publication")[0]
        segments = [{"files": one.files, "records": one.n_records, "last_seq": one.last_seq} for one in self.segments()]
        log = {"size": head[0], "frontier": head[1].hex(), "note": head[2]}
        return {"generation": generation, "log": log, "segments": segments}


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


def ensure_tables(connection: sqlite3.Connection, path: str) -> None:
    """Make the catalogue in a store's database. Raises StoreError."""
    with transaction(connection, path):
        for statement in SCHEMA.split(";\n"):
            connection.execute(statement)


def kept_summary(summary: Summary) -> bytes:
    """A summary as it is kept beside what was published."""
    said = {key: value for key, value in vars(summary).items() if key not in ("id", "status")}
    return dumps({**said, "status": summary.status.value})


def read_summary(engagement_id: str, body: bytes) -> EngagementSummary:
    """A summary that was kept."""
    summary = Summary(engagement_id)
    said = cast("dict[str, Any]", loads(body))
    vars(summary).update({**said, "status": type(summary.status)(said["status"])})
    return summary.build()


def _segment(row: Sequence[Any]) -> Segment:
    return Segment(row[0], json.loads(row[1]), *row[2:5])


def _dtypes(table: str) -> dict[str, str]:
    kinds = {"int64": "int", "string": "text", "binary": "bytes"}
    return {field_.name: kinds[str(field_.type)] for field_ in SCHEMAS[table]}
