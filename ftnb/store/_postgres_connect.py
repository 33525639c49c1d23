"""Connections to PostgreSQL that come back after the server was gone."""

from __future__ import annotations

import threading
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


class Connection:
    """One connection, used by one thread at a time, and opened again when it broke."""

    def __init__(self, psycopg: Any, dsn: str | None, given: Any = None, lock: threading.RLock | None = None) -> None:
        """`given` is a connection of the caller's, which is neither opened again nor closed here."""
        self._psycopg, self._dsn, self._given = psycopg, dsn, given
        self._lock = lock or threading.RLock()
        self._own: Any = None

    @contextmanager
    def use(self) -> Iterator[Any]:
        """The connection, for this thread alone."""
        with self._lock:
            if self._given is not None:
                yield self._given
                return
            if self._own is None or self._own.closed:
                self._own = _connect(self, self._psycopg, self._dsn)
            try:
                yield self._own
            except self._psycopg.OperationalError:
                if self._own.broken or self._own.closed:
                    self._own.close()
                    self._own = None
                raise

    def close(self) -> None:
        """Close it, unless it was given."""
        with self._lock:
            if self._own is not None:
                self._own.close()
                self._own = None


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
    weakref.finalize(owner, connection.close)
    return connection
