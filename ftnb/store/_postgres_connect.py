"""Connections to PostgreSQL that come back after the server was gone."""

from __future__ import annotations

import os
import threading
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

_MAX_READERS = 4
"""Reads at the same time; one more waits."""


class Pool:
    """A few connections, each used by one thread at a time, opened when they are needed.

    Idle ones are looked at before they are used: one that the server has ended meanwhile is left out.
    """

    def __init__(self, psycopg: Any, dsn: str | None, given: Any = None, size: int = _MAX_READERS) -> None:
        """`given` is a connection of the caller's, which is neither opened again nor closed here."""
        self._psycopg, self._dsn, self._given = psycopg, dsn, given
        self._size = size
        self._in_use = threading.BoundedSemaphore(size)
        self._given_lock = threading.RLock()
        self._idle: list[Any] = []
        self._mine = threading.local()

    @contextmanager
    def use(self) -> Iterator[Any]:
        """A connection, for this thread alone; the one that it has already, if it has one."""
        if self._given is not None:
            with self._given_lock:
                yield self._given
            return
        held = getattr(self._mine, "connection", None)
        if held is not None:
            yield held
            return
        with self._in_use:
            connection = self._mine.connection = self._take()
            try:
                yield connection
            finally:
                self._mine.connection = None
                if connection.broken or connection.closed:
                    connection.close()
                else:
                    self._idle.append(connection)

    def _take(self) -> Any:
        while self._idle:
            connection = self._idle.pop()  # the list's own methods are atomic
            if _is_alive(connection):
                return connection
            connection.close()
        return _connect(self, self._psycopg, self._dsn)

    def leave(self) -> None:
        """In a forked child: the connections are the parent's. Nothing may be sent on them, not even a farewell."""
        if self._given is None:
            self._abandoned, self._idle = self._idle, []
            self._in_use = threading.BoundedSemaphore(self._size)
            self._mine = threading.local()

    def close(self) -> None:
        """Close what is idle, unless it was given."""
        while self._idle:
            self._idle.pop().close()


class Listener:
    """Waits for notifications on a connection of its own."""

    def __init__(self, psycopg: Any, dsn: str | None, channel: str) -> None:
        self._psycopg, self._dsn, self._channel = psycopg, dsn, channel
        self._connection: Any = None

    def wait(self, seconds: float) -> None:
        """Wait for a notification, at most `seconds`. The first call only begins to listen: what was committed before
        it has to be read without being told."""
        if self._connection is None:
            self._connection = _connect(self, self._psycopg, self._dsn)
            self._connection.execute(f"LISTEN {self._channel}")
            return
        try:
            for _ in self._connection.notifies(timeout=seconds, stop_after=1):
                return
        except self._psycopg.Error:
            self.close()
            raise

    def leave(self) -> None:
        """In a forked child: the connection is the parent's."""
        self._abandoned, self._connection = self._connection, None

    def close(self) -> None:
        """Stop listening."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()


def _connect(owner: object, psycopg: Any, dsn: str | None) -> Any:
    """A new connection, which is closed when `owner` is collected."""
    connection = psycopg.connect(dsn or "", autocommit=True, connect_timeout=10)
    # On small reads of a table without statistics yet, these cost a second and gain nothing.
    connection.execute("SET jit = off; SET max_parallel_workers_per_gather = 0")
    weakref.finalize(owner, _close, connection, os.getpid())
    return connection


def _close(connection: Any, pid: int) -> None:
    """Close, unless this is a forked child, whose farewell would end the parent's session."""
    if os.getpid() == pid:
        connection.close()


def _is_alive(connection: Any) -> bool:
    """Whether the server has said nothing since; an end of the session, or of the server, is something."""
    if connection.closed or connection.broken:
        return False
    try:
        connection.pgconn.consume_input()  # never waits
    except Exception:
        return False
    return not connection.broken
