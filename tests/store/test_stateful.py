"""Any history gives what the memory store gives."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from hypothesis import settings

from ftnb.store.base import LogStore
from ftnb.store.sqlite import SQLiteStore
from ftnb.testing import StoreMachine


class SQLiteMachine(StoreMachine):
    def make_store(self, place: Path) -> LogStore:
        return SQLiteStore(place / "t.db")

    def reopen(self, store: Any) -> LogStore:
        return SQLiteStore(store.path)


TestSQLite = SQLiteMachine.TestCase
TestSQLite.settings = settings(max_examples=25, stateful_step_count=20, deadline=None)
