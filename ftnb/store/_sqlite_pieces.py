"""Reading one state of a SQLite file through several connections, a piece of the log each."""

from __future__ import annotations

import os
import sqlite3
import threading
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from queue import SimpleQueue
from typing import Any, Protocol
from urllib.parse import quote

from ._sqlite_schema import file_of

_CONNECTIONS = 4
"""At most; more than one for each processor is no quicker."""
_TRIES = 3


class Reader(Protocol):
    """What is needed of a reader."""

    connection: sqlite3.Connection
    lock: threading.RLock
    path: str
    file: tuple[int, int] | None
    """The file that the connection has open; None: none that another could open."""


@contextmanager
def same_state(reader: Reader, after: int, piece: int) -> Iterator[tuple[list[sqlite3.Connection], int]]:
    """Connections that all see one state of the file, the reader's own first, and the last seq in it.

    SQLite works without holding the interpreter's lock, so pieces of a long log are read at once. There is only one
    connection when little is to be read, when no other can be opened, or when others write all the while.
    """
    own = reader.connection
    if own.in_transaction:
        yield [own], _last(own)
        return
    n_pieces = (_last(own) - after) // piece
    others = _opened(reader, min(_CONNECTIONS, os.cpu_count() or 1, n_pieces) - 1)
    try:
        last = _begin(own, others)
        yield [own, *others], last
    finally:
        own.rollback()  # nothing was written; and SQLite may have ended it itself, on damage
        _close(others)


def _begin(own: sqlite3.Connection, others: list[sqlite3.Connection]) -> int:
    """Let all begin to read one state, in which this is the last seq; drops the others when that cannot be."""
    tries = _TRIES
    while True:
        seen = [_version(other) for other in others]
        own.execute("BEGIN")
        last = _last(own)
        # What another sees as unchanged since before our state began is that state.
        if _joined(others, seen):
            return last
        tries -= 1
        if not tries:
            _close(others)
            return last
        own.rollback()


def _joined(others: Sequence[sqlite3.Connection], seen: Sequence[int | None]) -> bool:
    """Let each begin to read; True when none sees a change. When one does, none is left reading."""
    for other in others:
        with suppress(sqlite3.Error):
            other.execute("BEGIN")
    if all(version is not None and _version(one) == version for one, version in zip(others, seen, strict=True)):
        return True
    for other in others:
        other.rollback()
    return False


def _opened(reader: Reader, n: int) -> list[sqlite3.Connection]:
    """`n` further connections to the reader's file, for reading; none when that fails."""
    found: list[sqlite3.Connection] = []
    if n <= 0 or reader.file is None:
        return found
    uri = f"file:{quote(str(Path(reader.path).resolve()))}?mode=ro"
    with suppress(sqlite3.Error, OSError):
        for _ in range(n):
            # No waiting: a writer that waits for us would keep them waiting for it.
            options: dict[str, Any] = {"timeout": 0, "isolation_level": None, "check_same_thread": False}
            found.append(sqlite3.connect(uri, uri=True, **options))
            found[-1].execute("SELECT 1 FROM sqlite_master")
        if file_of(reader.path) == reader.file:
            return found
    _close(found)
    return found


def _close(connections: list[sqlite3.Connection]) -> None:
    while connections:
        connections.pop().close()


def _last(connection: sqlite3.Connection) -> int:
    return int(connection.execute("SELECT max(seq) FROM log").fetchone()[0] or 0)


def _version(connection: sqlite3.Connection) -> int | None:
    """Changes when another connection has written; None: it could not be told."""
    with suppress(sqlite3.Error):
        return int(connection.execute("PRAGMA data_version").fetchone()[0])
    return None


def in_pieces(
    connections: Sequence[sqlite3.Connection], sql: str, parameters: Sequence[Any], pieces: range
) -> Iterator[list[Any]]:
    """The rows of each piece (seq above its start, up to the next start), in order; `sql` takes these two first."""
    yield from in_pieces_of(connections, [(sql, parameters)], pieces)


def in_pieces_of(
    connections: Sequence[sqlite3.Connection], queries: Sequence[tuple[str, Sequence[Any]]], pieces: range
) -> Iterator[list[Any]]:
    """As `in_pieces`, for one query after the other."""
    free = SimpleQueue[sqlite3.Connection]()
    for connection in connections:
        free.put(connection)

    def rows(sql: str, parameters: Sequence[Any], start: int) -> list[Any]:
        connection = free.get()
        try:
            with closing(connection.execute(sql, [start, start + pieces.step, *parameters])) as cursor:
                return cursor.fetchall()
        finally:
            free.put(connection)

    waiting = deque[Future[list[Any]]]()
    with ThreadPoolExecutor(len(connections), "ftnb-scan") as pool:
        for sql, parameters in queries:
            for start in pieces:
                waiting.append(pool.submit(rows, sql, parameters, start))
                if len(waiting) > len(connections):
                    yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
