"""A folder of Parquet that is recorded into keeps the contract, whatever is published, merged or taken away when."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pyarrow.parquet as pq
import pytest
from hypothesis import settings
from hypothesis.stateful import rule

from ftnb.store._tail_write import TailWriter
from ftnb.store.base import LogStore
from ftnb.store.parquet import ParquetStore
from ftnb.testing import Behind, StoreMachine, StoreTests
from tests.store._behind import BehindSQLite


@pytest.fixture(autouse=True, scope="module")
def no_waiting_for_the_disk() -> Iterator[None]:
    """Hundreds of segments are written here, and no power cut is tested."""
    with patch("ftnb.store._segments._sync"):
        yield


class _Behind(BehindSQLite):
    writer = TailWriter

    def everything(self) -> bytes:
        parts = [super().everything()]
        for path in self.store.folder.rglob("*.parquet"):
            for column in pq.read_table(path).columns:
                parts += [str(value).encode() for value in column.to_pylist()]
        return b"\n".join(parts)


class _Eager(ParquetStore):
    """Publishes with every commit whatever there is, so that everything that is read comes out of segments."""

    def _publish(self, batch: Any, seqs: dict[int, int]) -> None:
        super()._publish(batch, seqs)
        if seqs:
            self._publish_some(everything=True)


class TestParquetStore(StoreTests):
    def make_store(self, place: Path) -> LogStore:
        return ParquetStore(place / "traces")

    def reopen(self, store: Any) -> LogStore:
        return ParquetStore(store.folder)

    def behind(self, store: LogStore) -> Behind:
        return _Behind(store)


class TestPublishedAtOnce(StoreTests):
    def make_store(self, place: Path) -> LogStore:
        return _Eager(place / "traces")

    def reopen(self, store: Any) -> LogStore:
        return _Eager(store.folder)


class ParquetMachine(StoreMachine):
    def make_store(self, place: Path) -> LogStore:
        return ParquetStore(place / "traces")

    def reopen(self, store: Any) -> LogStore:
        return ParquetStore(store.folder)

    @rule()
    def publish(self) -> None:
        """What is over goes into segments."""
        store: Any = self.store
        store.publish()

    @rule()
    def publish_everything(self) -> None:
        """Also what is not."""
        store: Any = self.store
        store.publish(everything=True)

    @rule()
    def merge(self) -> None:
        """Two segments or more become one."""
        store: Any = self.store
        with patch("ftnb.store.parquet.MERGE_FROM", 2):
            store._merge()
            store._clean(everything=True)


TestMachine = ParquetMachine.TestCase
TestMachine.settings = settings(max_examples=15, stateful_step_count=20, deadline=None)
