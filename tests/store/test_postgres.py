"""The PostgreSQL store on a real server: the contract, any history, and what only PostgreSQL can do."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest.mock import patch
from uuid import uuid4

import psycopg
import pytest
from hypothesis import settings

from ftnb.store._postgres_write import PostgresWriter
from ftnb.store.base import LogStore
from ftnb.store.postgres import PostgresStore
from ftnb.testing import Behind, StoreMachine, StoreTests


def _table() -> str:
    return f"t_{uuid4().hex[:12]}"


class _BehindPostgres:
    def __init__(self, store: Any, dsn: str) -> None:
        self.t, self.connection = store.table, psycopg.connect(dsn, autocommit=True)

    def everything(self) -> bytes:
        kept = []
        for name in ("log", "engagement", "stream", "blob", "label", "tombstone", "entry"):
            kept += self.connection.execute(f"SELECT * FROM {self.t}_{name}").fetchall()
        return repr(kept).encode()

    def damage(self, engagement_id: str, type_: str) -> None:
        self._where(f"UPDATE {self.t}_log SET body = '\\xff00'::bytea", engagement_id, type_)

    def lose(self, engagement_id: str, type_: str) -> None:
        self._where(f"DELETE FROM {self.t}_log", engagement_id, type_)

    def _where(self, change: str, engagement_id: str, type_: str) -> None:
        find = f"type = %s AND eid = (SELECT eid FROM {self.t}_engagement WHERE engagement_id = %s)"
        self.connection.execute(f"{change} WHERE {find}", (type_, engagement_id))

    @contextmanager
    def failing(self) -> Iterator[None]:
        with patch.object(PostgresWriter, "_write_sides", side_effect=psycopg.OperationalError("disk full")):
            yield


class TestPostgresStore(StoreTests):
    @pytest.fixture(autouse=True)
    def server(self, postgres_dsn: str) -> Iterator[None]:
        self.dsn = postgres_dsn
        self.behinds: list[_BehindPostgres] = []
        yield
        for behind in self.behinds:
            behind.connection.close()

    def make_store(self, place: Path) -> LogStore:
        return PostgresStore(self.dsn, table=_table())

    def reopen(self, store: Any) -> LogStore:
        return PostgresStore(self.dsn, table=store.table)

    def behind(self, store: LogStore) -> Behind:
        self.behinds.append(_BehindPostgres(store, self.dsn))
        return self.behinds[-1]


class TestGivenConnection(StoreTests):
    """A connection of the caller's, in a transaction by default as psycopg's are."""

    @pytest.fixture(autouse=True)
    def server(self, postgres_dsn: str) -> Iterator[None]:
        self.connection = psycopg.connect(postgres_dsn)
        yield
        self.connection.close()

    def make_store(self, place: Path) -> LogStore:
        return PostgresStore(conn=self.connection, table=_table())


def test_any_history(postgres_dsn: str) -> None:
    class Machine(StoreMachine):
        def make_store(self, place: Path) -> LogStore:
            return PostgresStore(postgres_dsn, table=_table())

        def reopen(self, store: Any) -> LogStore:
            return PostgresStore(postgres_dsn, table=store.table)

    case = Machine.TestCase
    case.settings = settings(max_examples=15, stateful_step_count=20, deadline=None)
    case().runTest()
