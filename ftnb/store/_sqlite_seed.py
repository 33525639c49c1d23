"""Databases of flowtraicer become ours: its records are written again as a log, beside a kept copy of the file."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

from ..core.errors import StoreError
from ..core.ids import new_id
from ._sqlite_schema import open_database
from ._sqlite_write import SQLiteWriter
from ._writer import LogWriter
from .draft import Draft, Stream, of_record
from .records import GapRecorded, Record, RecordAdapter

_COLUMNS = {"seq", "engagement_id", "type", "ts", "data"}
_BATCH = 1_000


def is_seed_database(path: str) -> bool:
    """Whether it is an SQLite database with flowtraicer's one table."""
    try:
        with closing(sqlite3.connect(path)) as connection:
            columns = {row[1] for row in connection.execute("PRAGMA table_info(records)")}
            tables = {row[0] for row in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    except sqlite3.Error:
        return False
    return columns == _COLUMNS and tables <= {"records", "sqlite_sequence"}


def migrate(path: str) -> Path:
    """Put a store in place of a flowtraicer database; where the database is kept. Raises StoreError.

    A record that cannot be read is a gap of its engagement.
    """
    kept = _kept_path(Path(path))
    fresh = Path(f"{path}.migrating-{os.getpid()}")
    try:
        with closing(sqlite3.connect(path)) as old, closing(sqlite3.connect(kept)) as copy:
            old.backup(copy)
        with closing(sqlite3.connect(kept)) as source:
            _write(str(fresh), _records(source))
        for side in ("-wal", "-shm", "-journal"):
            Path(f"{path}{side}").unlink(missing_ok=True)
        os.replace(fresh, path)
    except (sqlite3.Error, OSError) as error:
        fresh.unlink(missing_ok=True)
        raise StoreError(f"cannot take over the flowtraicer database {path!r}: {error}") from error
    return kept


def _kept_path(path: Path) -> Path:
    """A name for the copy that is not taken yet."""
    kept, number = path.with_name(f"{path.stem}.flowtraicer{path.suffix}"), 1
    while kept.exists():
        number += 1
        kept = path.with_name(f"{path.stem}.flowtraicer-{number}{path.suffix}")
    return kept


def _records(source: sqlite3.Connection) -> Iterator[Record]:
    for seq, engagement_id, data in source.execute("SELECT seq, engagement_id, data FROM records ORDER BY seq"):
        try:
            record = RecordAdapter.validate_json(data)
        except ValueError as error:
            detail = f"record {seq}: {error}"[:300]
            record = GapRecorded(engagement_id=str(engagement_id), reason="bad_record", detail=detail)
        record.seq = record.stream_id = record.n = record.turn = None
        yield record


def _write(path: str, records: Iterator[Record]) -> None:
    with closing(open_database(path)) as connection:
        writer = SQLiteWriter(connection, path)
        log = LogWriter(writer)
        streams: dict[str, Stream] = {}
        drafts: list[Draft] = []
        for record in records:
            key = record.engagement_id
            drafts.append(of_record(record, streams.setdefault(key, Stream(new_id(), key, turn=1))))
            if len(drafts) >= _BATCH:
                writer.commit(log.encode(drafts))
                drafts = []
        writer.commit(log.encode(drafts))
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
