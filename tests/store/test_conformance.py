"""Every store of ours keeps the contract."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest.mock import patch

from ftnb.core.errors import StoreError
from ftnb.store.base import LogStore
from ftnb.store.leaf import INDEX
from ftnb.store.memory import MemoryStore
from ftnb.store.sqlite import SQLiteStore
from ftnb.testing import Behind, StoreTests
from tests.store._behind import BehindSQLite

_TYPE, _BODY = INDEX["type"], INDEX["body"]


class _BehindMemory:
    def __init__(self, store: Any) -> None:
        self.store = store

    def everything(self) -> bytes:
        hidden = ("_log", "_feed", "_own_streams")  # what it knows as a writer, not what it holds
        return repr({k: v for k, v in vars(self.store).items() if k not in hidden}).encode()

    def damage(self, engagement_id: str, type_: str) -> None:
        for place, (seq, row) in enumerate(self.store._log_rows):
            if row[0] == engagement_id and row[_TYPE] == type_:
                self.store._log_rows[place] = (seq, (*row[:_BODY], b"\xff\x00", *row[_BODY + 1 :]))

    def lose(self, engagement_id: str, type_: str) -> None:
        rows = self.store._log_rows
        self.store._log_rows = [(s, r) for s, r in rows if not (r[0] == engagement_id and r[_TYPE] == type_)]

    @contextmanager
    def failing(self) -> Iterator[None]:
        with patch.object(self.store, "_commit", side_effect=StoreError("full")):
            yield


class TestMemoryStore(StoreTests):
    def make_store(self, place: Path) -> LogStore:
        return MemoryStore()

    def behind(self, store: LogStore) -> Behind:
        return _BehindMemory(store)


class TestSQLiteInMemory(StoreTests):
    def make_store(self, place: Path) -> LogStore:
        return SQLiteStore()

    def behind(self, store: LogStore) -> Behind:
        return BehindSQLite(store)


class TestSQLiteFile(StoreTests):
    def make_store(self, place: Path) -> LogStore:
        return SQLiteStore(place / "t.db")

    def reopen(self, store: Any) -> LogStore:
        return SQLiteStore(store.path)

    def behind(self, store: LogStore) -> Behind:
        return BehindSQLite(store)
