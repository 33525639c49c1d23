"""The same faults on every backend: one clear error, nothing lost, nothing twice, nothing half."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from unittest.mock import patch

import psycopg
import pytest
import redis

import ftnb
from ftnb.core.errors import InvalidArgumentError, NotOurFileError, SchemaVersionError, StoreError
from ftnb.core.ids import new_id
from ftnb.core.model import EventKind
from ftnb.recorder import Recorder
from ftnb.store._postgres_write import PostgresWriter
from ftnb.store.build import event
from ftnb.store.draft import Stream
from ftnb.store.memory import MemoryStore
from ftnb.store.parquet import ParquetStore
from ftnb.store.postgres import PostgresStore
from ftnb.store.records import EngagementStarted
from ftnb.store.redis import RedisStore
from ftnb.store.sqlite import SQLiteStore

Fault = tuple[Any, Callable[[], Any], Callable[[], Any]]
"""A store, what breaks it, what mends it."""


def _full_sqlite(request: pytest.FixtureRequest) -> Fault:
    store = SQLiteStore(request.getfixturevalue("tmp_path") / "t.db")
    limit = "PRAGMA max_page_count={}"
    return store, lambda: store._write.execute(limit.format(1)), lambda: store._write.execute(limit.format(1_000_000))


def _full_parquet(request: pytest.FixtureRequest) -> Fault:
    store = ParquetStore(request.getfixturevalue("tmp_path") / "traces")
    limit = "PRAGMA max_page_count={}"
    return store, lambda: store._write.execute(limit.format(1)), lambda: store._write.execute(limit.format(1_000_000))


def _full_redis(request: pytest.FixtureRequest) -> Fault:
    url = request.getfixturevalue("redis_url")
    store, admin = RedisStore(url, key_prefix=new_id()), redis.Redis.from_url(url)
    return store, lambda: admin.config_set("maxmemory", 1), lambda: admin.config_set("maxmemory", 0)


def _full_postgres(request: pytest.FixtureRequest) -> Fault:
    store, admin = _postgres(request)
    full = f"""CREATE FUNCTION {store.table}_full() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
        RAISE EXCEPTION 'could not extend file: No space left on device' USING ERRCODE = '53100'; END $$;
        CREATE TRIGGER f AFTER INSERT ON {store.table}_log FOR EACH ROW EXECUTE FUNCTION {store.table}_full()"""
    return store, lambda: admin.execute(full), lambda: admin.execute(f"DROP TRIGGER f ON {store.table}_log")


def _writers_postgres(request: pytest.FixtureRequest) -> tuple[PostgresStore, Any]:
    """The store as a role sees it that may only record, and a connection that may do everything."""
    store, admin = _postgres(request)
    admin.execute(f"CREATE ROLE {store.table}_w LOGIN")
    store.grant(f"{store.table}_w", "record")
    narrow = PostgresStore(f"{request.getfixturevalue('postgres_dsn')} user={store.table}_w", table=store.table)
    store.close()
    return narrow, admin


def _locked_postgres(request: pytest.FixtureRequest) -> Fault:
    store, admin = _writers_postgres(request)
    revoke = f"REVOKE INSERT ON {store.table}_log FROM {store.table}_w"
    again = f"GRANT INSERT ON {store.table}_log TO {store.table}_w"
    return store, lambda: admin.execute(revoke), lambda: admin.execute(again)


def _ended_postgres(request: pytest.FixtureRequest) -> Fault:
    store, admin = _writers_postgres(request)

    def fail() -> None:
        admin.execute(f"ALTER ROLE {store.table}_w NOLOGIN")
        end = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = %s"
        admin.execute(end, (f"{store.table}_w",))

    return store, fail, lambda: admin.execute(f"ALTER ROLE {store.table}_w LOGIN")


def _renamed_postgres(request: pytest.FixtureRequest) -> Fault:
    store, admin = _postgres(request)
    log, away = f"{store.table}_log", f"{store.table}_away"
    rename = "ALTER TABLE {} RENAME TO {}"
    return store, lambda: admin.execute(rename.format(log, away)), lambda: admin.execute(rename.format(away, log))


def _renamed_sqlite(request: pytest.FixtureRequest) -> Fault:
    store = SQLiteStore(request.getfixturevalue("tmp_path") / "t.db")
    # The views of the file must not follow it.
    run = store._write.execute
    run("PRAGMA legacy_alter_table=ON")
    return store, lambda: run("ALTER TABLE log RENAME TO away"), lambda: run("ALTER TABLE away RENAME TO log")


def _renamed_parquet(request: pytest.FixtureRequest) -> Fault:
    store = ParquetStore(request.getfixturevalue("tmp_path") / "traces")
    run = store._write.execute
    run("PRAGMA legacy_alter_table=ON")
    return store, lambda: run("ALTER TABLE log RENAME TO away"), lambda: run("ALTER TABLE away RENAME TO log")


def _replica_redis(request: pytest.FixtureRequest) -> Fault:
    url = request.getfixturevalue("redis_url")
    store, admin = RedisStore(url, key_prefix=new_id()), redis.Redis.from_url(url)
    name = "min-replicas-to-write"
    return store, lambda: admin.config_set(name, 1), lambda: admin.config_set(name, 0)


def _postgres(request: pytest.FixtureRequest) -> tuple[Any, Any]:
    dsn = request.getfixturevalue("postgres_dsn")
    admin = psycopg.connect(dsn, autocommit=True)
    request.addfinalizer(admin.close)
    return PostgresStore(dsn, table=f"m_{new_id()[-12:]}"), admin


_FAULTS: dict[str, tuple[Callable[[pytest.FixtureRequest], Fault], str]] = {
    "a full disk: sqlite": (_full_sqlite, "make room"),
    "a full disk: parquet": (_full_parquet, "make room"),
    "no memory left: redis": (_full_redis, "give the server more memory"),
    "a full disk: postgres": (_full_postgres, "No space left.*make room"),
    "a permission taken away: postgres": (_locked_postgres, "permission denied.*ftnb grant"),
    "connections ended, and refused: postgres": (_ended_postgres, "terminat|closed|not permitted"),
    "a missing table: postgres": (_renamed_postgres, "does not exist; a table"),
    "a missing table: sqlite": (_renamed_sqlite, "no such table.*a copy"),
    "a missing table: parquet": (_renamed_parquet, "no such table.*a copy"),
    "a server that may not be written: redis": (_replica_redis, "waits for its replicas"),
}


@pytest.fixture(params=_FAULTS.values(), ids=_FAULTS)
def fault(request: pytest.FixtureRequest) -> Iterator[tuple[Fault, str]]:
    make, words = request.param
    store, fail, mend = make(request)
    mended = []
    try:
        yield (store, fail, lambda: mended.append(mend())), words
    finally:
        if not mended:
            mend()
        store.close()


def test_a_recorder_outlives_it_and_keeps_everything(fault: tuple[Fault, str]) -> None:
    (store, fail, mend), words = fault
    recorder = Recorder(store)
    engagement_id = recorder.start_engagement("e")
    step_id = recorder.start_step(engagement_id, "s")
    assert recorder.flush(20)
    fail()
    for i in range(30):
        recorder.record_event(step_id, EventKind.LOG, str(i), payload={"text": "x" * 3_000 + str(i)})
    assert recorder.flush(0.4) is False
    stats = recorder.stats()
    assert stats.write_errors > 0
    assert stats.pending == 30
    assert re.search(words, str(stats.last_error)), stats.last_error
    mend()
    assert recorder.flush(20)
    recorder.close()
    stats = recorder.stats()
    assert stats.dropped == {}
    (step,) = store.get_engagement(engagement_id).steps
    assert [e.name for e in step.events] == [str(i) for i in range(30)]
    assert [e.payload["text"][-2:] for e in step.events[-2:]] == ["28", "29"]
    assert [r.n for r in store.read(engagement_id)] == list(range(32))


def test_who_writes_directly_is_told_and_nothing_is_half(fault: tuple[Fault, str]) -> None:
    (store, fail, mend), words = fault
    store.append(EngagementStarted(engagement_id="e", name="x"))
    fail()
    stream = Stream(new_id(), "f", turn=1)
    drafts = [event(stream, 1, "s", EventKind.LOG, str(i), payload={"t": "x" * 40_000 + str(i)}) for i in range(3)]
    with pytest.raises(StoreError, match=words) as caught:
        store.append_drafts(drafts)
    assert len(str(caught.value)) < 600
    mend()
    assert store.read("f") == []
    assert [s.id for s in store.list_engagements()] == ["e"]
    store.append_drafts(drafts)
    assert [r.n for r in store.read("f")] == [0, 1, 2]
    assert store.scan_blobs().num_rows >= 3


@pytest.mark.parametrize("when", ["before the commit", "after the commit"])
def test_a_connection_that_breaks_in_the_middle_of_a_commit(request: pytest.FixtureRequest, when: str) -> None:
    store, admin = _postgres(request)
    stream = Stream(new_id(), "e", turn=1)
    batch = store.encode([event(stream, 1, "s", EventKind.LOG, f"x{i}") for i in range(5)])
    write, commit = PostgresWriter._write_sides, PostgresWriter.commit

    def break_before(self: Any, connection: Any, *rest: Any) -> None:
        admin.execute("SELECT pg_terminate_backend(%s)", (connection.info.backend_pid,))
        write(self, connection, *rest)

    def break_after(self: Any, *given: Any) -> Any:
        commit(self, *given)
        raise psycopg.OperationalError("the answer to COMMIT was lost")

    patched = ("_write_sides", break_before) if when == "before the commit" else ("commit", break_after)
    with patch.object(PostgresWriter, *patched), pytest.raises(StoreError):
        store.commit(batch)
    assert len(store.read("e")) == (0 if when == "before the commit" else 5)
    store.commit(batch)
    assert [r.n for r in store.read("e")] == [0, 1, 2, 3, 4]
    assert store.revision()[0] == 5
    store.close()


_ODD_PATHS = ['it\'s "quoted".db', "a#b?c=d%20&e.db", "ü \u2028 line.db", "-rf.db", "'; DROP TABLE log;--.db"]


@pytest.mark.parametrize("name", _ODD_PATHS)
def test_odd_paths(name: str, tmp_path: Path) -> None:
    store = SQLiteStore(tmp_path / name)
    store.append(EngagementStarted(engagement_id='it\'s "e"', name="'; DROP TABLE log;--"))
    assert [s.id for s in ftnb.open(tmp_path / name).store.list_engagements()] == ['it\'s "e"']
    store.close()
    assert [p.name for p in tmp_path.iterdir() if not p.name.endswith(("-wal", "-shm"))] == [name]


@pytest.mark.parametrize("name", _ODD_PATHS)
def test_odd_folders(name: str, tmp_path: Path) -> None:
    store = ParquetStore(tmp_path / name)
    store.append(EngagementStarted(engagement_id='it\'s "e"', name="'; DROP TABLE log;--"))
    store.publish(everything=True)
    for place in (tmp_path / name, ftnb.open(store).to_parquet(tmp_path / f"{name}.share")):
        assert [s.id for s in ftnb.open(place).store.list_engagements()] == ['it\'s "e"']
    store.close()
    assert sorted(p.name for p in tmp_path.iterdir()) == sorted([name, f"{name}.share"])


def test_names_with_nuls_are_refused_in_words(tmp_path: Path, redis_url: str) -> None:
    for make in (
        lambda: SQLiteStore(f"{tmp_path}/a\x00b.db"),
        lambda: ParquetStore(f"{tmp_path}/a\x00b"),
        lambda: ftnb.open(f"{tmp_path}/a\x00b.db"),
        lambda: ftnb.open(MemoryStore()).to_parquet(f"{tmp_path}/a\x00b"),
        lambda: PostgresStore("host=/nowhere dbname=a\x00b"),
        lambda: PostgresStore("host=/nowhere", table="a\x00b"),
    ):
        with pytest.raises(InvalidArgumentError, match=r"NUL|\\x00"):
            make()
    store = RedisStore(redis_url, key_prefix=(prefix := f'it\'s "odd" \x00 {{x}} * [a] {new_id()}'))
    store.append(EngagementStarted(engagement_id="a*b:c\x00d", name="x"))
    other = RedisStore(redis_url, key_prefix=prefix)
    assert len(other.list_engagements()) == 1
    assert other.purge("a*b:c\x00d")
    store.close()
    other.close()


def test_a_folder_that_may_not_be_written(tmp_path: Path) -> None:
    if os.getuid() != 0:
        pytest.skip("needs root, who becomes nobody")
    folder = tmp_path / "locked"
    folder.mkdir()
    store = SQLiteStore(folder / "t.db")
    published = ParquetStore(folder / "traces")
    for one in (store, published):
        one.append(EngagementStarted(engagement_id="e", name="x"))
    published.publish(everything=True)
    published.close()
    store.close()
    folder.chmod(0o555)
    for part in (folder, folder / "traces", *folder.parents):
        if part.stat().st_uid == 0 and part != Path("/tmp"):
            part.chmod(part.stat().st_mode | 0o055)
    program = """
import os, sys
from ftnb.core.errors import StoreError
from ftnb.store.parquet import ParquetStore
from ftnb.store.sqlite import SQLiteStore
from ftnb.store._url import open_store
from ftnb.traces import Traces
folder = sys.argv[1]
for name in ("t.db", "traces"):  # nobody may not be allowed to read Python's own files
    Traces(open_store(folder + "/" + name)).to_parquet(folder + "/.." + "/warm-" + name)
os.setgid(65534); os.setuid(65534)
for name in ("t.db", "traces"):
    store = open_store(folder + "/" + name)
    assert [s.id for s in store.list_engagements()] == ["e"]
    assert store.scan(["seq"]).num_rows == 1
for make in (
    lambda: SQLiteStore(folder + "/new.db"), lambda: SQLiteStore(folder + "/t.db"),
    lambda: ParquetStore(folder + "/new"), lambda: ParquetStore(folder + "/traces"),
    lambda: Traces(store).to_parquet(folder + "/share"),
):
    try:
        make()
    except StoreError as error:
        print(error)
    else:
        raise AssertionError("opened")
"""
    root = Path(ftnb.__file__).parents[1]
    done = subprocess.run([sys.executable, "-c", program, str(folder)], env={**os.environ, "PYTHONPATH": str(root)},
                          capture_output=True, text=True, check=False)  # fmt: skip
    assert done.returncode == 0, done.stderr
    said = done.stdout.splitlines()
    assert all(str(folder) in line for line in said), said
    assert len(said) == 5


def test_newer_schemas_are_refused_by_every_backend(tmp_path: Path, redis_url: str, postgres_dsn: str) -> None:
    sqlite = SQLiteStore(tmp_path / "t.db")
    sqlite._write.execute("PRAGMA user_version=99")
    sqlite.close()
    prefix, table = new_id(), f"m_{new_id()[-12:]}"
    redis.Redis.from_url(redis_url).hset(f"{prefix}:meta", "v", 99)
    PostgresStore(postgres_dsn, table=table).close()
    with psycopg.connect(postgres_dsn) as admin:
        admin.execute(f"INSERT INTO {table}_migration (version) VALUES (99)")
    for make in (
        lambda: SQLiteStore(tmp_path / "t.db"),
        lambda: SQLiteStore(tmp_path / "t.db", read_only=True),
        lambda: RedisStore(redis_url, key_prefix=prefix),
        lambda: PostgresStore(postgres_dsn, table=table),
        lambda: PostgresStore(postgres_dsn, table=table, create=False),
    ):
        with pytest.raises(SchemaVersionError, match="upgrade ftnb"):
            make()


def test_a_place_that_two_stores_want(postgres_dsn: str) -> None:
    table = f"m_{new_id()[-12:]}"
    PostgresStore(postgres_dsn, table=table).close()
    with pytest.raises(NotOurFileError, match="another program"):
        PostgresStore(postgres_dsn, table=f"{table}_log")
    with pytest.raises(InvalidArgumentError):
        PostgresStore(postgres_dsn, table=f"{table}; DROP TABLE x")


def test_what_a_store_cannot_be_made_of(tmp_path: Path, redis_url: str) -> None:
    whole = tmp_path / "t.db"
    store = SQLiteStore(whole)
    store.append_drafts([event(Stream(new_id(), "e", turn=1), 1, "s", EventKind.LOG, "x" * 9_000) for _ in range(9)])
    store.close()
    half = tmp_path / "half.db"
    shutil.copy(whole, half)
    os.truncate(half, half.stat().st_size // 2)
    (tmp_path / "text.db").write_text("dear diary")
    for make in (lambda: SQLiteStore(half), lambda: ftnb.open(half)):
        with pytest.raises(NotOurFileError, match=r"damaged.*\.recover"):
            make()
    with pytest.raises(NotOurFileError, match=r"ftnb\.read"):
        SQLiteStore(tmp_path / "text.db")
    with pytest.raises(StoreError, match="no folder"):
        ParquetStore(whole)
    with pytest.raises(StoreError, match="is a folder"):
        SQLiteStore(tmp_path)
    client = redis.Redis.from_url(redis_url)
    prefixes = [new_id() for _ in range(3)]
    client.set(f"{prefixes[0]}:meta", "theirs")
    client.hset(f"{prefixes[1]}:meta", "name", "theirs")
    client.hset(f"{prefixes[2]}:meta", "v", "theirs")
    for prefix in prefixes:
        with pytest.raises(StoreError, match="another program"):
            RedisStore(redis_url, key_prefix=prefix)
    client.close()


@pytest.mark.parametrize("kind", ["memory", "sqlite", "parquet", "redis", "postgres"])
def test_a_store_that_was_closed_says_so(kind: str, request: pytest.FixtureRequest, tmp_path: Path) -> None:
    if kind == "redis":
        store: Any = RedisStore(request.getfixturevalue("redis_url"), key_prefix=new_id())
    elif kind == "postgres":
        store = PostgresStore(request.getfixturevalue("postgres_dsn"), table=f"m_{new_id()[-12:]}")
    else:
        store = {"memory": MemoryStore, "sqlite": SQLiteStore, "parquet": lambda: ParquetStore(tmp_path / "p")}[kind]()
    store.close()
    with pytest.raises(StoreError, match="was closed"):
        store.append(EngagementStarted(engagement_id="e", name="x"))


def test_a_connection_string_that_cannot_be_read_is_not_repeated() -> None:
    with pytest.raises(StoreError, match="cannot open") as caught:
        PostgresStore("postgresql://me:secret@[::/db")
    assert "secret" not in str(caught.value)
