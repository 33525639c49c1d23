"""The Redis store on a real server: the contract, any history, and what only Redis can do."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest.mock import patch
from uuid import uuid4

import pytest
import redis
from hypothesis import settings

from ftnb.core.ids import new_id
from ftnb.core.model import EngagementStatus
from ftnb.store import build
from ftnb.store._redis_codec import dump_rows, field, load_rows
from ftnb.store.base import LogStore
from ftnb.store.draft import Stream
from ftnb.store.leaf import INDEX
from ftnb.store.redis import RedisStore
from ftnb.testing import Behind, StoreMachine, StoreTests

_TYPE, _BODY = INDEX["type"], INDEX["body"]


def _prefix() -> str:
    return f"t-{uuid4().hex[:12]}"


class _BehindRedis:
    def __init__(self, store: Any) -> None:
        self.client, self.keys, self.store = store._client, store._keys, store

    def everything(self) -> bytes:
        kept = []
        for key in self.client.scan_iter(f"{self.keys.prefix}:*"):
            read = {
                "string": self.client.get, "hash": self.client.hgetall, "set": self.client.smembers,
                "zset": lambda k: self.client.zrange(k, 0, -1), "list": lambda k: self.client.lrange(k, 0, -1),
                "stream": self.client.xrange,
            }[self.client.type(key)]  # fmt: skip
            kept.append((key, read(key)))
        return repr(kept).encode()

    def damage(self, engagement_id: str, type_: str) -> None:
        self._rewrite(engagement_id, type_, lambda seq, row: [(seq, (*row[:_BODY], b"\xff\x00", *row[_BODY + 1 :]))])

    def lose(self, engagement_id: str, type_: str) -> None:
        self._rewrite(engagement_id, type_, lambda seq, row: [])

    def _rewrite(self, engagement_id: str, type_: str, change: Any) -> None:
        key = self.keys.records(engagement_id)
        entries = self.client.xrange(key)
        self.client.delete(key)
        for entry_id, fields in entries:
            rows = load_rows(engagement_id, field(fields, "r"))
            kept = [new for seq, row in rows for new in (change(seq, row) if row[_TYPE] == type_ else [(seq, row)])]
            self.client.xadd(key, {"r": dump_rows(kept)}, id=entry_id)

    @contextmanager
    def failing(self) -> Iterator[None]:
        with patch.object(redis.client.Pipeline, "execute", side_effect=redis.ConnectionError("connection lost")):
            yield


class TestRedisStore(StoreTests):
    @pytest.fixture(autouse=True)
    def server(self, redis_url: str) -> None:
        self.url = redis_url

    def make_store(self, place: Path) -> LogStore:
        return RedisStore(self.url, key_prefix=_prefix())

    def reopen(self, store: Any) -> LogStore:
        return RedisStore(self.url, key_prefix=store.key_prefix)

    def behind(self, store: LogStore) -> Behind:
        return _BehindRedis(store)


class TestRedisStoreWithBytes(TestRedisStore):
    """An injected client that does not decode, as redis-py's is by default."""

    def make_store(self, place: Path) -> LogStore:
        return RedisStore(client=redis.Redis.from_url(self.url), key_prefix=_prefix())

    def behind(self, store: Any) -> Any:
        return None


def test_any_history(redis_url: str) -> None:
    class Machine(StoreMachine):
        def make_store(self, place: Path) -> LogStore:
            return RedisStore(redis_url, key_prefix=_prefix())

        def reopen(self, store: Any) -> LogStore:
            return RedisStore(redis_url, key_prefix=store.key_prefix)

    case = Machine.TestCase
    case.settings = settings(max_examples=15, stateful_step_count=20, deadline=None)
    case().runTest()


def test_a_rewrite_that_goes_on_already_is_waited_for(redis_url: str) -> None:
    """It may have begun before the purge: what was purged would be in the file that it makes."""
    store = RedisStore(redis_url, key_prefix=_prefix())
    for _ in range(3):
        store.vacuum()
    store.close()


def test_who_is_behind_reads_each_row_once(redis_url: str) -> None:
    store = RedisStore(redis_url, key_prefix=_prefix())
    stream = Stream(new_id(), new_id(), turn=1)
    for i in range(200):
        store.append_drafts([build.engagement_status(stream, i, EngagementStatus.ACTIVE) for _ in range(5)])
    seen, loaded, last = [], 0, 0

    def counted(engagement_id: str, text: Any) -> Any:
        nonlocal loaded
        rows = load_rows(engagement_id, text)
        loaded += len(rows)
        return rows

    with patch("ftnb.store._redis_read.load_rows", counted):
        while page := store._reader.rows_after(last):
            seen += [seq for seq, _ in page]
            last = seen[-1]
    assert seen == list(range(1, 1001))
    assert loaded == 1000
    store.close()
