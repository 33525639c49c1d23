"""Servers that go away, refuse, or hold something strange: one clear error, nothing lost, nothing twice."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterator
from typing import Any
from unittest.mock import patch

import psycopg
import pytest
import redis

from ftnb.core.errors import InvalidArgumentError, MissingPackageError, NotOurFileError, SchemaVersionError, StoreError
from ftnb.core.ids import new_id
from ftnb.core.model import EventKind
from ftnb.recorder import Recorder
from ftnb.store import _redis_write
from ftnb.store.base import LogStore
from ftnb.store.build import event
from ftnb.store.draft import Stream
from ftnb.store.postgres import PostgresStore
from ftnb.store.records import EngagementStarted
from ftnb.store.redis import RedisStore
from tests.servers import PostgresServer, RedisServer, postgres_server, redis_server


@pytest.fixture(params=["redis", "postgres"])
def mortal(request: pytest.FixtureRequest) -> Iterator[tuple[Any, LogStore]]:
    """A server that may be stopped, and a store on it."""
    context: Any = redis_server() if request.param == "redis" else postgres_server()
    with context as server:
        store = _store_on(server)
        yield server, store
        store.close()


def _store_on(server: RedisServer | PostgresServer) -> Any:
    return RedisStore(server.url) if isinstance(server, RedisServer) else PostgresStore(server.dsn)


def _names(store: LogStore, engagement_id: str) -> list[str]:
    return [step.name for step in store.get_engagement(engagement_id).steps]


def test_a_server_that_is_gone_for_a_while_gets_everything_once(mortal: tuple[Any, LogStore]) -> None:
    server, store = mortal
    recorder = Recorder(store)
    engagement_id = recorder.start_engagement("e")
    for i in range(20):
        recorder.start_step(engagement_id, f"s{i}")
    assert recorder.flush(10)
    server.stop()
    begun = time.monotonic()
    for i in range(20, 60):
        recorder.start_step(engagement_id, f"s{i}")
    assert time.monotonic() - begun < 1  # the agent does not notice
    assert recorder.flush(0.3) is False
    assert recorder.stats().write_errors > 0
    server.start()
    assert recorder.flush(20)
    assert _names(store, engagement_id) == [f"s{i}" for i in range(60)]
    assert store.get_engagement(engagement_id).gaps == []
    assert recorder.stats().dropped == {}
    recorder.close()


def test_without_its_server_a_store_says_so(mortal: tuple[Any, LogStore]) -> None:
    server, store = mortal
    store.append(EngagementStarted(engagement_id="e", name="x"))
    server.stop()
    for call in (
        lambda: store.append(EngagementStarted(engagement_id="f", name="x")),
        lambda: store.read("e"),
        lambda: store.list_engagements(),
        lambda: store.purge("e"),
        lambda: _store_on(server),
    ):
        with pytest.raises(StoreError, match=r"(?i)redis|postgresql"):
            call()
    server.start()
    store.append(EngagementStarted(engagement_id="g", name="x"))
    assert {s.id for s in store.list_engagements()} == {"e", "g"}
    assert store.get_engagement("g").gaps == []


def test_a_subscriber_outlives_its_server(mortal: tuple[Any, LogStore], caplog: pytest.LogCaptureFixture) -> None:
    server, store = mortal
    tail = store.tail(timeout=6)
    store.append(EngagementStarted(engagement_id="before", name="x"))
    assert next(tail).engagement_id == "before"
    with caplog.at_level(logging.WARNING):
        server.stop()
        time.sleep(0.6)
        server.start()
    other = _store_on(server)  # so that only the tail can bring it
    other.append(EngagementStarted(engagement_id="after", name="x"))
    assert next(tail).engagement_id == "after"
    assert len([r for r in caplog.records if "tries again" in r.message]) == 1
    other.close()


@pytest.fixture
def table(postgres_dsn: str) -> str:
    return f"f_{new_id()[-12:]}"


def test_a_lost_answer_is_no_second_record(redis_url: str) -> None:
    store = RedisStore(redis_url, key_prefix=new_id())
    stream = Stream(new_id(), "e", turn=1)
    batch = store.encode([event(stream, 1, "s", EventKind.LOG, f"x{i}") for i in range(3)])
    execute = redis.client.Pipeline.execute

    def lose_answer(pipe: Any, *a: Any, **k: Any) -> Any:
        writes = pipe.watching or pipe.explicit_transaction
        answer = execute(pipe, *a, **k)
        if writes:
            raise redis.ConnectionError("connection lost after the server had it all")
        return answer

    with patch.object(redis.client.Pipeline, "execute", lose_answer), pytest.raises(StoreError, match="lost after"):
        store.commit(batch)
    store.commit(batch)
    assert [r.n for r in store.read("e")] == [0, 1, 2]
    store.close()


def test_a_subscriber_that_fell_behind_the_tail_misses_nothing(redis_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_redis_write, "TAIL_LENGTH", 1)
    store = RedisStore(redis_url, key_prefix=new_id())
    for i in range(600):
        store.append(EngagementStarted(engagement_id=f"e{i % 7}", name=str(i)))
    assert store._client.xlen(store._keys.tail) < 300
    assert [r.name for r in store.tail(timeout=0, after=0)] == [str(i) for i in range(600)]  # type: ignore[union-attr]
    assert [r.name for r in store.tail(timeout=0, after=590)] == [str(i) for i in range(590, 600)]  # type: ignore[union-attr]
    store.close()


def test_a_redis_that_lost_its_memory_is_followed_anew(redis_url: str) -> None:
    store = RedisStore(redis_url, key_prefix=(prefix := new_id()))
    tail = store.tail(timeout=5)
    other = RedisStore(redis_url, key_prefix=prefix)
    for i in range(3):
        other.append(EngagementStarted(engagement_id="e", name=str(i)))
    assert [next(tail).name for _ in range(3)] == ["0", "1", "2"]  # type: ignore[union-attr]
    store._client.delete(*store._client.keys(f"{prefix}:*"))
    deadline = time.monotonic() + 20
    while store._feed._cursor and time.monotonic() < deadline:  # until the tail has seen it
        time.sleep(0.02)
    other.append(EngagementStarted(engagement_id="f", name="after"))
    assert next(tail).name == "after"  # type: ignore[union-attr]
    assert [s.id for s in store.list_engagements()] == ["f"]
    store.close()
    other.close()


def test_writers_at_once_do_not_starve_each_other(redis_url: str) -> None:
    prefix = new_id()

    def work(k: int) -> None:
        store = RedisStore(redis_url, key_prefix=prefix)
        for i in range(50):
            store.append(EngagementStarted(engagement_id=f"{k}", name=str(i)))
        store.close()

    threads = [threading.Thread(target=work, args=(k,)) for k in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    store = RedisStore(redis_url, key_prefix=prefix)
    assert store.scan(["seq"])["seq"].to_pylist() == list(range(1, 301))
    store.close()


def test_a_dead_writers_lock_does_not_hold_up_others_for_ever(redis_url: str) -> None:
    store = RedisStore(redis_url, key_prefix=new_id())
    store._client.set(store._keys.lock, "somebody who died", px=300)
    begun = time.monotonic()
    store.append(EngagementStarted(engagement_id="e", name="x"))
    assert time.monotonic() - begun < 2
    store.close()


def test_redis_that_wants_a_password() -> None:
    with redis_server("--requirepass", "correct horse") as server:
        with pytest.raises(StoreError, match="wants one"):
            RedisStore(server.url)
        with pytest.raises(StoreError, match="refuses the password") as caught:
            RedisStore(f"unix://:wrong-secret@{server.socket}?db=0")
        assert "wrong-secret" not in str(caught.value)
        store = RedisStore(f"unix://:correct%20horse@{server.socket}?db=0")
        store.append(EngagementStarted(engagement_id="e", name="x"))
        assert "horse" not in store.url + repr(store)
        store.close()


def test_redis_that_is_full_keeps_nothing_half() -> None:
    with redis_server("--maxmemory", "3mb", "--maxmemory-policy", "noeviction") as server:
        store = RedisStore(server.url)
        n_kept = 0

        def fill() -> None:
            nonlocal n_kept
            for i in range(500):
                stream = Stream(new_id(), f"e{i}", turn=1)
                payload = {"x": "y" * 20_000}
                store.append_drafts([event(stream, 1, "s", EventKind.LOG, "x", payload=payload) for _ in range(2)])
                n_kept += 1

        with pytest.raises(StoreError, match=r"(?i)memory"):
            fill()
        assert 0 < n_kept < 500
        summaries = store.list_engagements()
        assert len(summaries) == n_kept
        assert all(len(store.read(s.id)) == 2 for s in summaries)
        store.close()


def test_postgres_that_refuses_the_password(postgres_dsn: str) -> None:
    with postgres_server() as server:
        with psycopg.connect(server.dsn, autocommit=True) as admin:
            admin.execute("CREATE ROLE guest LOGIN PASSWORD 'correct horse'")
        server.require_password("guest")
        with pytest.raises(StoreError, match="password authentication failed") as caught:
            PostgresStore(f"{server.dsn} user=guest password=wrong-secret")
        assert "wrong-secret" not in str(caught.value)


def test_a_role_without_permission_is_told_so(postgres_dsn: str, table: str) -> None:
    with psycopg.connect(postgres_dsn, autocommit=True) as admin:
        admin.execute(f"CREATE ROLE {table}_r LOGIN")
        with pytest.raises(StoreError, match="permission denied"):
            PostgresStore(f"{postgres_dsn} user={table}_r", table=table)
        admin.execute(f"DROP ROLE {table}_r")


def test_a_table_that_vanished(postgres_dsn: str, table: str) -> None:
    store = PostgresStore(postgres_dsn, table=table)
    store.append(EngagementStarted(engagement_id="e", name="x"))
    with psycopg.connect(postgres_dsn, autocommit=True) as admin:
        admin.execute(f"DROP TABLE {table}_log CASCADE")
    for call in (
        lambda: store.append(EngagementStarted(engagement_id="e", name="x")),
        lambda: store.read("e"),
        lambda: store.scan(["seq"]),
    ):
        with pytest.raises(StoreError, match=f"{table}.* does not exist"):
            call()
    store.close()


def test_a_table_of_somebody_else_is_left_alone(postgres_dsn: str, table: str) -> None:
    with psycopg.connect(postgres_dsn, autocommit=True) as admin:
        admin.execute(f"CREATE TABLE {table} (customer text)")
        with pytest.raises(NotOurFileError, match="another program"):
            PostgresStore(postgres_dsn, table=table)
        assert admin.execute(f"SELECT count(*) FROM {table}").fetchone() == (0,)


@pytest.mark.parametrize("name", ["", "1a", "a-b", "a; DROP TABLE x", "a" * 46, 'a"b', "ü"])
def test_table_names_that_cannot_be(name: str) -> None:
    with pytest.raises(InvalidArgumentError, match="invalid table name"):
        PostgresStore("host=/nowhere", table=name)


def test_newer_formats_are_refused(postgres_dsn: str, redis_url: str, table: str) -> None:
    PostgresStore(postgres_dsn, table=table).close()
    with psycopg.connect(postgres_dsn, autocommit=True) as admin:
        admin.execute(f"INSERT INTO {table}_migration (version) VALUES (99)")
    with pytest.raises(SchemaVersionError, match="upgrade ftnb"):
        PostgresStore(postgres_dsn, table=table)
    prefix = new_id()
    redis.Redis.from_url(redis_url).hset(f"{prefix}:meta", "v", 99)
    with pytest.raises(SchemaVersionError, match="upgrade ftnb"):
        RedisStore(redis_url, key_prefix=prefix)


def test_redis_needs_to_be_told_where() -> None:
    with pytest.raises(InvalidArgumentError, match="redis://"):
        RedisStore()
    with pytest.raises(InvalidArgumentError, match="http://x"):
        RedisStore("http://x")


@pytest.mark.parametrize(("module", "make"), [("redis", RedisStore), ("psycopg", PostgresStore)])
def test_a_missing_package_is_named_with_the_command(module: str, make: Any) -> None:
    extra = {"redis": "redis", "psycopg": "postgres"}[module]
    with (
        patch.dict("sys.modules", {module: None}),
        pytest.raises(MissingPackageError, match=rf"pip install 'ftnb\[{extra}\]'"),
    ):
        make("redis://localhost")
