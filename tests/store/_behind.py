"""What is behind a store's back: its bytes, and ways to harm them."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch

from ftnb.store._sqlite_write import SQLiteWriter


class BehindSQLite:
    """Of a store that commits to an SQLite file."""

    writer: type[SQLiteWriter] = SQLiteWriter

    def __init__(self, store: Any) -> None:
        self.store = store

    def everything(self) -> bytes:
        write = self.store._write
        parts = ["\n".join(write.iterdump()).encode("utf-8", "surrogateescape")]
        parts += [row[0] or b"" for row in write.execute("SELECT body FROM log")]
        parts += [row[0] or b"" for row in write.execute("SELECT data FROM blob")]
        return b"\n".join(parts)

    def damage(self, engagement_id: str, type_: str) -> None:
        find = "type = ? AND eid = (SELECT eid FROM engagement WHERE engagement_id = ?)"
        self.store._write.execute(f"UPDATE log SET body = x'ff00' WHERE {find}", (type_, engagement_id))

    def lose(self, engagement_id: str, type_: str) -> None:
        find = "type = ? AND eid = (SELECT eid FROM engagement WHERE engagement_id = ?)"
        self.store._write.execute(f"DELETE FROM log WHERE {find}", (type_, engagement_id))

    @contextmanager
    def failing(self) -> Iterator[None]:
        full = sqlite3.OperationalError("database or disk is full")
        with patch.object(self.writer, "_write_side_tables", side_effect=full):
            yield
