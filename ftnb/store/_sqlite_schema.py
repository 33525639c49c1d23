"""Opening SQLite files, and what is in them."""

from __future__ import annotations

import os
import random
import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

from ..core.errors import NotOurFileError, SchemaVersionError, StoreError
from ._explain import of_sqlite
from .leaf import COLUMNS

APPLICATION_ID = 0x66746E62  # "ftnb", in the file header where file(1) looks
BUSY_SECONDS = 5.0
_TYPES = {"int": "INTEGER", "text": "TEXT", "bytes": "BLOB"}
_COLUMNS_SQL = ", ".join(f"{c.name} {_TYPES[c.dtype]}{' NOT NULL' if c.required else ''}" for c in COLUMNS[2:])
_VIEW_SQL = ", ".join(f"log.{c.name}" for c in COLUMNS[2:])

# Ids are long and repeat in every record: the log holds small local keys for them, and the view `record` puts them
# back. Keys are never given twice (AUTOINCREMENT), so a writer that still holds a purged one cannot hit another.
SCHEMA = f"""
CREATE TABLE log (seq INTEGER PRIMARY KEY AUTOINCREMENT, eid INTEGER NOT NULL, sid INTEGER NOT NULL, {_COLUMNS_SQL},
    UNIQUE (sid, n)) STRICT;
CREATE INDEX log_engagement ON log (eid, seq);
CREATE TABLE engagement (eid INTEGER PRIMARY KEY AUTOINCREMENT, engagement_id TEXT NOT NULL UNIQUE) STRICT;
CREATE TABLE stream (sid INTEGER PRIMARY KEY AUTOINCREMENT, stream_id TEXT NOT NULL UNIQUE, eid INTEGER NOT NULL,
    turn INTEGER NOT NULL, size INTEGER NOT NULL, frontier BLOB NOT NULL) STRICT;
CREATE INDEX stream_engagement ON stream (eid, turn);
CREATE VIEW record AS SELECT log.seq, engagement.engagement_id, stream.stream_id, {_VIEW_SQL} FROM log
    JOIN engagement ON engagement.eid = log.eid JOIN stream ON stream.sid = log.sid;
CREATE TABLE blob (eid INTEGER NOT NULL, blob_id TEXT NOT NULL, dedup BLOB, salt BLOB NOT NULL,
    media TEXT NOT NULL, data BLOB NOT NULL, PRIMARY KEY (eid, blob_id)) STRICT;
CREATE TABLE label (eid INTEGER NOT NULL, key TEXT NOT NULL, value TEXT NOT NULL, PRIMARY KEY (eid, key)) STRICT;
CREATE INDEX label_value ON label (key, value, eid);
CREATE TABLE tombstone (engagement_id TEXT PRIMARY KEY, at_us INTEGER NOT NULL, n_late INTEGER NOT NULL) STRICT;
CREATE TABLE store_log (seq INTEGER PRIMARY KEY, at_us INTEGER NOT NULL, type TEXT NOT NULL,
    body BLOB NOT NULL) STRICT;
CREATE INDEX store_log_redaction ON store_log (seq) WHERE type = 'redaction';
CREATE TABLE store_head (id INTEGER PRIMARY KEY CHECK (id = 1), size INTEGER NOT NULL, frontier BLOB NOT NULL,
    note TEXT) STRICT;
INSERT INTO store_head VALUES (1, 0, x'', NULL);
"""
MIGRATIONS: tuple[str, ...] = (SCHEMA,)
"""The n-th makes layout n (the file's user_version) out of layout n - 1, which other programs of ftnb may have open."""


def connect(path: str, *, read_only: bool = False) -> sqlite3.Connection:
    """A connection to a database that may be used from any thread, in autocommit mode. Raises StoreError."""
    if read_only:
        return _connect_for_reading(path)
    if path != ":memory:" and not Path(path).resolve().parent.is_dir():
        folder = Path(path).resolve().parent
        raise StoreError(f"cannot open the store {path!r}: there is no folder {str(folder)!r}; create it first")
    if Path(path).is_dir():
        raise StoreError(f"cannot open {path!r} as an SQLite file: it is a folder; one of Parquet is `{path}/`")
    try:
        return sqlite3.connect(path, timeout=5.0, isolation_level=None, check_same_thread=False)
    except sqlite3.Error as error:
        raise StoreError(f"cannot open the store {path!r}: {error}") from error


def _connect_for_reading(path: str) -> sqlite3.Connection:
    """A connection that changes nothing in the file. Raises StoreError."""
    uri = f"file:{quote(str(Path(path).resolve()))}?mode=ro"
    connection = None
    try:
        connection = sqlite3.connect(uri, uri=True, timeout=5.0, isolation_level=None, check_same_thread=False)
        connection.execute("PRAGMA user_version")
        connection.execute("SELECT 1 FROM sqlite_master")
        return connection
    except sqlite3.Error as error:
        if connection is not None:
            connection.close()
        wal = Path(f"{path}-wal")
        if not Path(path).is_file() or (wal.exists() and wal.stat().st_size):
            raise StoreError(f"cannot read the store {path!r}: {error}") from error
    # A folder that may not be written: without shared memory beside it, SQLite must be told that nobody writes.
    uri = f"{uri}&immutable=1"
    return sqlite3.connect(uri, uri=True, timeout=5.0, isolation_level=None, check_same_thread=False)


def check_database(path: str) -> sqlite3.Connection:
    """Open a store's database for reading only. Raises StoreError, NotOurFileError, SchemaVersionError."""
    connection = connect(path, read_only=True)
    try:
        layout = _layout(connection, path)
        if not layout:
            raise NotOurFileError(f"{path!r} is an empty SQLite file, so there are no traces to read in it")
        if layout < len(MIGRATIONS):
            raise SchemaVersionError(
                f"{path!r} was made by an older ftnb (layout {layout}, now {len(MIGRATIONS)}) and may only be read; "
                "open it once where it may be written, or a copy of it, and it is migrated"
            )
    except sqlite3.DatabaseError as error:
        connection.close()
        raise _open_error(path, error) from error
    except BaseException:
        connection.close()
        raise
    return connection


def file_of(path: str) -> tuple[int, int] | None:
    """Which file is at `path` now: device and inode; None: none is."""
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_dev, found.st_ino


def open_database(path: str) -> sqlite3.Connection:
    """Open or create a store's database for writing. Raises StoreError, NotOurFileError, SchemaVersionError."""
    if os.path.exists(path) and not os.access(path, os.W_OK):  # SQLite would open it, and say so at the first record
        raise StoreError(
            f"cannot open the store {path!r} for writing: you may not write that file; read it with ftnb.open(), or "
            "record into another"
        )
    connection = connect(path)
    try:
        connection.execute("PRAGMA synchronous=FULL")
        _ensure_schema(connection, path)
        # Only now: it is kept in the file, and a file of another program must be left as it is.
        if path != ":memory:":
            connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA journal_size_limit=67108864")
        # Pages that change with every batch (indexes, heads) are copied into the file once for many batches.
        connection.execute("PRAGMA wal_autocheckpoint=4000")
        connection.execute("PRAGMA busy_timeout=1")  # `_begin` waits, and more fairly
    except sqlite3.DatabaseError as error:
        connection.close()
        raise _open_error(path, error) from error
    except BaseException:
        connection.close()
        raise
    return connection


def _open_error(path: str, error: sqlite3.DatabaseError) -> StoreError:
    if "not a database" in str(error):
        return NotOurFileError(
            f"{path!r} is not an SQLite file, and was left as it is; choose another path, or read what another tool "
            "wrote there with ftnb.read()"
        )
    if "malformed" in str(error):
        return NotOurFileError(
            f"the SQLite file {path!r} is damaged ({error}); copy what is left with `sqlite3 {path} .recover`"
        )
    return StoreError(f"cannot open the store {path!r}: {of_sqlite(error)}")


def _ensure_schema(connection: sqlite3.Connection, path: str) -> None:
    """Create the tables in an empty file, complete those of an older ftnb; refuse files that are not ours."""
    with transaction(connection, path):
        layout = _layout(connection, path)
        if layout == len(MIGRATIONS):
            return
        for script in MIGRATIONS[layout:]:
            for statement in script.split(";\n"):
                if statement.strip():
                    connection.execute(statement)
        connection.execute(f"PRAGMA application_id={APPLICATION_ID}")
        connection.execute(f"PRAGMA user_version={len(MIGRATIONS)}")


_GUESTS = frozenset({"checkpoints", "writes", "checkpoint_blobs", "checkpoint_writes", "checkpoint_migrations"})
"""LangGraph's checkpoint tables: a file may hold them and a store side by side, whichever came first."""


def _layout(connection: sqlite3.Connection, path: str) -> int:
    """The layout of the store in it; 0 when it is empty. Raises NotOurFileError, SchemaVersionError."""
    application = connection.execute("PRAGMA application_id").fetchone()[0]
    version = connection.execute("PRAGMA user_version").fetchone()[0]
    tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    if application == APPLICATION_ID:
        if version > len(MIGRATIONS):
            raise SchemaVersionError(
                f"{path!r} has log format {version}, this ftnb reads up to {len(MIGRATIONS)}; upgrade ftnb"
            )
        return int(version)
    if tables - _GUESTS:
        shown = ", ".join(sorted(tables)[:5])
        raise NotOurFileError(
            f"{path!r} is an SQLite database of another program (tables: {shown}), and was left as it is; "
            "choose another path for the store"
        )
    return 0


def _begin(connection: sqlite3.Connection) -> None:
    """Begin to write, after whoever writes now. Raises sqlite3.Error when it takes more than BUSY_SECONDS.

    SQLite's own waiting sleeps longer and longer, up to a tenth of a second: among processes that write all the time,
    one that waits so finds the lock taken again and again, and starves.
    """
    until = time.monotonic() + BUSY_SECONDS
    while True:
        try:
            connection.execute("BEGIN IMMEDIATE")
            return
        except sqlite3.OperationalError as error:
            if "locked" not in str(error) or time.monotonic() > until:
                raise
            time.sleep(random.uniform(0.0005, 0.003))


@contextmanager
def transaction(connection: sqlite3.Connection, path: str) -> Iterator[None]:
    """One write transaction: commits, or rolls back and raises StoreError."""
    try:
        _begin(connection)
    except sqlite3.DatabaseError as error:
        if "not a database" in str(error) or "malformed" in str(error):
            raise _open_error(path, error) from error
        raise StoreError(f"cannot write to the store {path!r}: {of_sqlite(error)}") from error
    except sqlite3.Error as error:
        raise StoreError(f"cannot write to the store {path!r}: {of_sqlite(error)}") from error
    try:
        yield
        connection.execute("COMMIT")
    except BaseException as error:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        if isinstance(error, sqlite3.Error):
            raise StoreError(f"cannot write to the store {path!r}: {of_sqlite(error)}") from error
        raise
