"""Leaving a database file that was deleted or replaced: what comes along to the one that takes its place."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from ._sqlite_schema import file_of
from ._writer import Batch, StreamHead
from .blobs import Blob
from .leaf import NAMES


def being_recorded(connection: sqlite3.Connection, stream_ids: Iterable[str], batch: Batch) -> Batch:
    """Everything of the engagements in `batch`, and of those with a stream in `stream_ids` that have not ended.

    Whoever deletes the file wants to be rid of what ended; what goes on must not lose its beginning.
    """
    open_now = """SELECT DISTINCT engagement_id FROM stream JOIN engagement USING (eid)
        WHERE stream_id IN (SELECT value FROM json_each(?)) AND NOT EXISTS (
            SELECT 1 FROM log WHERE log.eid = stream.eid AND type = 'engagement_ended')"""
    going_on = connection.execute(open_now, (json.dumps(list(stream_ids)),)).fetchall()
    ids = {row[0] for row in batch.rows} | {engagement_id for (engagement_id,) in going_on}
    carried = Batch()
    for engagement_id in sorted(ids):
        _add(connection, engagement_id, carried)
    return carried


def take_away_log(path: str, ours: tuple[int, int] | None) -> None:
    """Unlink a write-ahead log that was left beside the path: SQLite would write it into whatever is there now."""
    if ours is not None and file_of(f"{path}-wal") == ours:
        for suffix in ("-wal", "-shm"):
            Path(path + suffix).unlink(missing_ok=True)


def _add(connection: sqlite3.Connection, engagement_id: str, to: Batch) -> None:
    def rows(columns: str, table: str) -> list[tuple[Any, ...]]:
        sql = f"SELECT {columns} FROM {table} WHERE engagement_id = ?"
        return connection.execute(sql, (engagement_id,)).fetchall()

    to.rows += rows(", ".join(NAMES), "record")
    heads = rows("stream_id, turn, size, frontier", "stream JOIN engagement USING (eid)")
    to.heads += [StreamHead(row[0], engagement_id, *row[1:]) for row in heads]
    blobs = rows("blob_id, dedup, salt, media, data", "blob JOIN engagement USING (eid)")
    to.blobs += [Blob(engagement_id, *row) for row in blobs]
    to.labels += [(engagement_id, *row) for row in rows("key, value", "label JOIN engagement USING (eid)")]
