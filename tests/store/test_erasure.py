"""After a purge, a purge of content and a redaction, what was recorded is nowhere: not in the files of a store or of
its server, not in what it keeps in memory, not in exports.

What PostgreSQL leaves to its operator is done here as `docs/threat-model.md` says it.
"""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest

import ftnb
from ftnb.core.errors import StoreError
from ftnb.core.model import EventKind
from ftnb.recorder import Recorder
from ftnb.store.memory import MemoryStore
from ftnb.store.parquet import ParquetStore
from ftnb.store.postgres import PostgresStore
from ftnb.store.redis import RedisStore
from ftnb.store.sqlite import SQLiteStore
from ftnb.traces import Traces
from tests.servers import PostgresServer, postgres_server, redis_server

CANARY = "canary-in-the-mine"
LATER = datetime.now(UTC) + timedelta(days=10)
WAYS: dict[str, Callable[[Traces], Any]] = {
    "purge": lambda tr: tr.retention("1d").apply(now=LATER, progress=False),
    "content": lambda tr: tr.retention("1d", content_only=True).apply(now=LATER, progress=False),
    "pattern": lambda tr: tr.redact(pattern=CANARY, reason="asked"),
    "all": lambda tr: tr.redact(all=True, reason="asked"),
}


def record(store: Any) -> None:
    """An engagement with the canary wherever content goes, one that is like it without, and a reader of both."""
    recorder = Recorder(store)
    for word in (CANARY, "another"):
        engagement_id = recorder.start_engagement("chat", metadata={"note": word})
        step_id = recorder.start_step(engagement_id, "s", state={"text": f"{word} " * 100})
        for i in range(150):
            recorder.record_event(step_id, EventKind.LOG, "x", payload={"i": i, "text": word})
        recorder.end_step(step_id, error=word)
        recorder.end_engagement(engagement_id)
    assert recorder.flush(10)
    recorder.close()
    tr = ftnb.open(store)
    tr.events(payload=True)
    assert tr.where(note=CANARY).engagements().height == 1


def in_files(folder: Path) -> list[str]:
    """Files with the canary in them."""
    files = (path for path in folder.rglob("*") if path.is_file() and not path.is_symlink())
    return [path.name for path in files if CANARY.encode() in path.read_bytes()]


def in_memory(root: Any) -> list[str]:
    """What a store holds in memory that has the canary in it, in as far as the garbage collector knows of it."""
    seen, todo, found = {id(root)}, [root], list[str]()
    while todo:
        for one in gc.get_referents(todo.pop()):
            if isinstance(one, (str, bytes)):
                found += [repr(one)[:80]] if CANARY in (one if isinstance(one, str) else one.decode("latin-1")) else []
            elif id(one) not in seen and not isinstance(one, (type, type(gc))) and not hasattr(one, "__globals__"):
                seen.add(id(one))
                todo.append(one)
    return found


def gone_soon(found: Callable[[], list[str]], seconds: float = 10) -> list[str]:
    """What is found when nothing is found, or the time is over."""
    until = time.monotonic() + seconds
    while (what := found()) and time.monotonic() < until:
        time.sleep(0.05)
    return what


@pytest.mark.parametrize("how", WAYS)
@pytest.mark.parametrize("kind", [SQLiteStore, ParquetStore])
def test_in_files(tmp_path: Path, kind: Any, how: str) -> None:
    with closing(kind(tmp_path / ("t.db" if kind is SQLiteStore else "folder"))) as store:
        record(store)
        if kind is ParquetStore:
            store.publish()
        assert in_files(tmp_path) != []
        WAYS[how](ftnb.open(store))
        assert in_files(tmp_path) == []
        assert ftnb.open(store).audit.verify().ok
    assert in_files(tmp_path) == []


@pytest.mark.parametrize("how", WAYS)
def test_in_memory(how: str) -> None:
    store = MemoryStore()
    record(store)
    assert in_memory(store) != []
    WAYS[how](ftnb.open(store))
    assert in_memory(store) == []


@pytest.mark.parametrize("name", ["share", "share.parquet"])
@pytest.mark.parametrize("how", WAYS)
def test_in_an_export_that_is_written_again(tmp_path: Path, how: str, name: str) -> None:
    store = MemoryStore()
    record(store)
    tr = ftnb.open(store)
    tr.to_parquet(tmp_path / name)
    WAYS[how](tr)
    tr.to_parquet(tmp_path / name)
    assert in_files(tmp_path) == []
    assert in_memory(ftnb.open(tmp_path / name).store) == []


def test_redis() -> None:
    with redis_server() as server, closing(RedisStore(server.url)) as store:
        record(store)
        assert gone_soon(lambda: [] if in_files(server.folder) else ["not written yet: once a second"]) == []
        with pytest.raises(StoreError, match="cannot take content out of a record"):
            WAYS["content"](ftnb.open(store))
        WAYS["purge"](ftnb.open(store))
        assert gone_soon(lambda: in_files(server.folder)) == []
        client: Any = store._client
        kept = [client.dump(key) for key in client.scan_iter("*")]
        assert kept
        assert not [one for one in kept if one and CANARY.encode() in one]


@pytest.fixture(scope="module")
def postgres() -> Iterator[PostgresServer]:
    with postgres_server() as server:
        yield server


@pytest.mark.parametrize("how", WAYS)
def test_postgres(postgres: PostgresServer, how: str) -> None:
    with closing(PostgresStore(postgres.dsn, table=f"erase_{how}")) as store:
        record(store)
        WAYS[how](ftnb.open(store))
        for table in ("log", "blob", "stream", "engagement", "label", "entry", "meta"):
            with psycopg.connect(postgres.dsn) as connection:
                rows = connection.execute(f"SELECT * FROM erase_{how}_{table}").fetchall()
            assert CANARY.encode() not in b"".join(
                bytes(c) if isinstance(c, bytes) else str(c).encode() for r in rows for c in r
            )
        store.vacuum(full=True)
        with psycopg.connect(postgres.dsn, autocommit=True) as operator:  # the log's segments, which its operator keeps
            operator.execute("ALTER SYSTEM SET wal_recycle = off")
            operator.execute("ALTER SYSTEM SET min_wal_size = '32MB'")
            operator.execute("SELECT pg_reload_conf()")
            for _ in range(2):
                operator.execute("SELECT pg_switch_wal()")
                operator.execute("CHECKPOINT")
        assert gone_soon(lambda: in_files(postgres.folder)) == []
        assert ftnb.open(store).audit.verify().ok
