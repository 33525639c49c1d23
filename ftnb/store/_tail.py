"""The tail of a Parquet store: a SQLite store's tables, and beside them the catalogue of what was published.

Rows and values move from the tail into segments; engagements, streams, labels, tombstones and the store's own log stay.
What is published is decided by one transaction here: it takes the files into the catalogue and the rows out of the log,
so that a crash before it leaves files that nobody lists, and a crash after it leaves nothing to do. `_tail_write`
writes it.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, cast

from ..core.canonical import dumps, loads
from ._entries import LogHead
from ._parquet_file import BLOBS, RECORDS, SCHEMAS
from ._sqlite_read import SQLiteReader
from ._sqlite_schema import transaction
from ._summary import Summary
from .base import EngagementSummary
from .leaf import COLUMNS

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
