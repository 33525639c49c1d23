"""What only PostgreSQL can do, on a real server: partitions, roles, migration, JSONB as an index, a tail that skips
nothing."""

from __future__ import annotations

import threading
import time
from typing import Any
from unittest.mock import patch
from urllib.parse import quote

import psycopg
import pytest
from click.testing import CliRunner

from ftnb.cli._main import command
from ftnb.core.errors import InvalidArgumentError, SchemaVersionError, StoreError
from ftnb.core.ids import new_id, now_us
from ftnb.core.model import EngagementStatus, EventKind
from ftnb.store import _postgres_schema
from ftnb.store._postgres_roles import grants
from ftnb.store._postgres_schema import EID_BITS
from ftnb.store._postgres_write import PostgresWriter
from ftnb.store.build import engagement_started, event
from ftnb.store.draft import Stream
from ftnb.store.postgres import PostgresStore
from ftnb.store.records import EngagementEnded, EngagementLabelled, EngagementStarted
from ftnb.traces import Traces


@pytest.fixture
def table() -> str:
    return f"p_{new_id()[-12:]}"


@pytest.fixture
def admin(postgres_dsn: str) -> Any:
    with psycopg.connect(postgres_dsn, autocommit=True) as connection:
        yield connection


def _partitions(admin: Any, table: str) -> set[int]:
    """Periods of which there is a partition."""
    find = "SELECT inhrelid::regclass::text FROM pg_inherits WHERE inhparent = %s::regclass"
    names = [row[0] for row in admin.execute(find, (f"{table}_log",)).fetchall()]
    assert len(admin.execute(find, (f"{table}_blob",)).fetchall()) == len(names)
    return {int(name.rpartition("_p")[2]) for name in names}


def _record(store: PostgresStore, engagement_id: str, n: int = 3, payload: str = "short") -> None:
    stream = Stream(new_id(), engagement_id, turn=1)
    drafts = [engagement_started(stream, now_us(), "chat", metadata={"user": engagement_id})]
    drafts += [event(stream, now_us(), "s", EventKind.LOG, "x", payload={"i": i, "text": payload}) for i in range(n)]
    store.append_drafts(drafts)


def _in_period(admin: Any, table: str, days: int) -> None:
    """As if the last period had been so many days ago: the next engagement begins a new one."""
    admin.execute(f"SELECT {table}_roll(0)")
    admin.execute(f"UPDATE {table}_meta SET eid = 5, period_us = %s", (days * 86_400_000_000,))


def test_an_engagement_lies_in_one_partition_and_the_next_period_in_another(
    postgres_dsn: str, admin: Any, table: str
) -> None:
    store = PostgresStore(postgres_dsn, table=table)
    assert _partitions(admin, table) == set()
    _in_period(admin, table, 7)
    with patch.object(PostgresWriter, "_look", _as_of_period(0)):
        _record(store, "old")
    _record(store, "new")
    week = now_us() // (7 * 86_400_000_000)
    assert _partitions(admin, table) == {0, week}
    store.append(EngagementLabelled(engagement_id="old", metadata={"late": 1}))
    where = "SELECT DISTINCT eid >> %s FROM {t}_log JOIN {t}_engagement USING (eid) WHERE engagement_id = %s"
    assert admin.execute(where.format(t=table), (EID_BITS, "old")).fetchall() == [(0,)]
    assert admin.execute(where.format(t=table), (EID_BITS, "new")).fetchall() == [(week,)]
    assert [s.id for s in store.list_engagements()] == ["old", "new"]
    assert store.scan(["seq"])["seq"].to_pylist() == list(range(1, 10))
    store.close()


def _as_of_period(part: int) -> Any:
    look = PostgresWriter._look

    def as_of(self: PostgresWriter, connection: Any, batch: Any) -> Any:
        state = look(self, connection, batch)
        state.part = part
        return state

    return as_of


def test_the_last_of_a_period_takes_its_partition_with_it(postgres_dsn: str, admin: Any, table: str) -> None:
    store = PostgresStore(postgres_dsn, table=table)
    _in_period(admin, table, 1)
    with patch.object(PostgresWriter, "_look", _as_of_period(0)):
        for i in range(6):
            _record(store, f"old{i}", payload="long " * 500)
    _record(store, "new")
    ((pages,),) = admin.execute("SELECT pg_relation_filenode(%s::regclass)", (f"{table}_log_p0",)).fetchall()
    assert store.purge("old0")
    assert store.purge_many({"old1": {}, "nobody": {}}) == ["old1"]
    assert 0 in _partitions(admin, table)
    ((after,),) = admin.execute("SELECT pg_relation_filenode(%s::regclass)", (f"{table}_log_p0",)).fetchall()
    assert pages == after  # rows were deleted, one by one
    why = {"policy": "90 days"}
    assert store.purge_many({f"old{i}": why for i in range(2, 6)}) == [f"old{i}" for i in range(2, 6)]
    assert 0 not in _partitions(admin, table)
    assert [s.id for s in store.list_engagements()] == ["new"]
    assert len(store.read("new")) == 4
    receipts = store.store_entries("purge")
    assert [r["engagement"] for r in receipts] == [f"old{i}" for i in range(6)]
    assert receipts[-1]["policy"] == "90 days"
    assert receipts[-1]["streams"][0][1] == 4
    _record(store, "old2")  # late
    assert store.read("old2") == []
    assert store.purge("new")
    assert _partitions(admin, table) != set(), "the present period's partition stays"
    store.close()


def test_a_partition_that_somebody_reads_is_emptied_instead(postgres_dsn: str, admin: Any, table: str) -> None:
    store = PostgresStore(postgres_dsn, table=table)
    _in_period(admin, table, 7)
    with patch.object(PostgresWriter, "_look", _as_of_period(0)):
        _record(store, "old")
    _record(store, "new")
    with psycopg.connect(postgres_dsn) as reading:
        assert reading.execute(f"SELECT count(*) FROM {table}_log").fetchone() == (8,)
        assert store.purge("old")
        assert reading.execute(f"SELECT count(*) FROM {table}_log").fetchone() == (4,)
    assert _partitions(admin, table) >= {0}
    assert store.read("old") == []
    store.vacuum()
    assert 0 not in _partitions(admin, table)
    assert len(store.read("new")) == 4
    store.close()


def test_retention_drops_whole_partitions_and_deletes_no_rows_of_theirs(
    postgres_dsn: str, admin: Any, table: str
) -> None:
    store = PostgresStore(postgres_dsn, table=table)
    _in_period(admin, table, 1)
    with patch.object(PostgresWriter, "_look", _as_of_period(0)):
        for i in range(150):
            _record(store, f"old{i}")
    with patch.object(PostgresWriter, "_look", _as_of_period(1)):
        for i in range(3):
            _record(store, f"newer{i}")
    for i in range(3):
        store.append(EngagementEnded(engagement_id=f"newer{i}", status=EngagementStatus.COMPLETED))
    for i in range(150):
        store.append(EngagementEnded(engagement_id=f"old{i}", status=EngagementStatus.COMPLETED))
    _record(store, "running")
    deny = f"""CREATE FUNCTION {table}_deny() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
        RAISE EXCEPTION 'a row was deleted'; END $$;
        CREATE TRIGGER d BEFORE DELETE ON {table}_log FOR EACH ROW EXECUTE FUNCTION {table}_deny()"""
    admin.execute(deny)
    retention = Traces(store).retention(max_age="0d")
    receipts = retention.apply(retention.plan(), progress=False)
    assert len(receipts.ids) == 153
    assert _partitions(admin, table) & {0, 1} == set()
    assert [s.id for s in store.list_engagements()] == ["running"]
    store.close()


@pytest.fixture
def roles(admin: Any, table: str) -> Any:
    names = {may: f"{table}_{may}" for may in ("read", "record", "purge")}
    for name in names.values():
        admin.execute(f"CREATE ROLE {name} LOGIN")
    yield names
    for name in names.values():
        admin.execute(f"DROP OWNED BY {name}; DROP ROLE {name}")


def test_a_writer_cannot_erase_and_retention_can(
    postgres_dsn: str, admin: Any, table: str, roles: dict[Any, str]
) -> None:
    owner = PostgresStore(postgres_dsn, table=table)
    for may, role in roles.items():
        owner.grant(role, may)
    writer, retention, reader = (
        PostgresStore(f"{postgres_dsn} user={roles[may]}", table=table) for may in ("record", "purge", "read")
    )
    _record(writer, "a", payload="large " * 500)  # its first record makes the partition
    _record(writer, "b")
    writer.append(EngagementLabelled(engagement_id="a", metadata={"user": "z"}))
    assert [s.id for s in reader.list_engagements({"user": "z"})] == ["a"]
    assert len(reader.read("a")) == 5
    row = owner.scan(["stream_id", "n"], engagement_id="b").to_pylist()[1]
    for forbidden in (
        lambda: writer.purge("a"),
        lambda: writer.redact("b", [(row["stream_id"], row["n"])]),
        lambda: reader.purge("a"),
        lambda: reader.append(EngagementStarted(engagement_id="c", name="x")),
        lambda: retention.append(EngagementStarted(engagement_id="c", name="x")),
        lambda: writer.grant(roles["read"], "purge"),
    ):
        with pytest.raises(StoreError, match="permission denied"):
            forbidden()
    with psycopg.connect(f"{postgres_dsn} user={roles['record']}", autocommit=True) as raw:
        for statement in (
            f"DELETE FROM {table}_log",
            f"UPDATE {table}_log SET body = NULL",
            f"DELETE FROM {table}_entry",
            f"TRUNCATE {table}_log",
            f"DROP TABLE {table}_log",
            f"SELECT {table}_drop(0)",
            f"DELETE FROM {table}_tombstone",
        ):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                raw.execute(statement)
    assert retention.redact("b", [(row["stream_id"], row["n"])]) == 1
    assert retention.purge("a", policy="asked for")
    assert {s.id for s in writer.list_engagements()} == {"b"}
    writer.append(EngagementLabelled(engagement_id="a", metadata={"late": 1}))
    assert admin.execute(f"SELECT n_late FROM {table}_tombstone").fetchone() == (1,)
    for store in (owner, writer, retention, reader):
        store.close()


def test_the_roles_make_and_drop_partitions_they_do_not_own(
    postgres_dsn: str, admin: Any, table: str, roles: dict[Any, str]
) -> None:
    owner = PostgresStore(postgres_dsn, table=table, partition_days=1)
    for may, role in roles.items():
        owner.grant(role, may)
    _in_period(admin, table, 1)
    writer, retention = (PostgresStore(f"{postgres_dsn} user={roles[m]}", table=table) for m in ("record", "purge"))
    with patch.object(PostgresWriter, "_look", _as_of_period(3)):
        _record(writer, "old", payload="large " * 500)
    _record(writer, "new")
    assert 3 in _partitions(admin, table)
    assert retention.purge("old")
    assert 3 not in _partitions(admin, table)
    assert len(writer.read("new")) == 4
    retention.vacuum()
    for store in (owner, writer, retention):
        store.close()


@pytest.mark.parametrize(("role", "may"), [("", "read"), ("x", "everything"), ("a\x00b", "read")])
def test_grants_that_cannot_be(role: str, may: Any) -> None:
    with pytest.raises(InvalidArgumentError):
        grants("t", role, may)


def test_a_role_with_a_strange_name_is_granted_no_more(postgres_dsn: str, admin: Any, table: str) -> None:
    name = f'o"brien {{t}}; DROP TABLE {table}_log'
    quoted = '"' + name.replace('"', '""') + '"'
    admin.execute(f"CREATE ROLE {quoted}")
    store = PostgresStore(postgres_dsn, table=table)
    store.grant(name, "read")
    assert admin.execute("SELECT has_table_privilege(%s, %s, 'SELECT')", (name, f"{table}_log")).fetchone() == (True,)
    assert admin.execute("SELECT has_table_privilege(%s, %s, 'DELETE')", (name, f"{table}_log")).fetchone() == (False,)
    admin.execute(f"DROP OWNED BY {quoted}; DROP ROLE {quoted}")
    store.close()


def test_tables_of_the_first_layout_are_migrated_with_what_they_hold(postgres_dsn: str, admin: Any, table: str) -> None:
    with patch.object(_postgres_schema, "_MIGRATIONS", _postgres_schema._MIGRATIONS[:1]):
        _postgres_schema.migrate(admin, table, create=True)
    modern = PostgresStore(postgres_dsn, table=f"{table}_n")
    for i in range(3):
        _record(modern, f"e{i}", payload="large " * 500)
    before = {f"e{i}": modern.get_engagement(f"e{i}") for i in range(3)}
    heads = modern.scan_streams().to_pylist()
    _copy_into_first_layout(admin, f"{table}_n", table)
    store = PostgresStore(postgres_dsn, table=table)
    assert {key: store.get_engagement(key) for key in before} == before
    assert store.scan_streams().to_pylist() == heads
    assert [s.id for s in store.list_engagements({"user": "e1"})] == ["e1"]
    _record(store, "after")
    store.append(EngagementLabelled(engagement_id="e0", metadata={"more": 1}))
    assert len(store.read("e0")) == 5
    assert len(_partitions(admin, table)) == 2
    assert store.purge_many({key: {} for key in before}) == list(before)
    assert 0 not in _partitions(admin, table)
    store.close()
    PostgresStore(postgres_dsn, table=table).close()  # nothing left to migrate
    modern.close()


def _copy_into_first_layout(admin: Any, source: str, t: str) -> None:
    small = f"(SELECT row_number() OVER (ORDER BY eid) k, eid FROM {source}_engagement)"
    admin.execute(
        f"INSERT INTO {t}_engagement (engagement_id) SELECT engagement_id FROM {source}_engagement ORDER BY eid"
    )
    admin.execute(f"""INSERT INTO {t}_stream (stream_id, eid, turn, size, frontier)
        SELECT stream_id, k, turn, size, frontier FROM {source}_stream JOIN {small} e USING (eid) ORDER BY sid""")
    columns = ", ".join(_postgres_schema.STORED)
    admin.execute(f"""INSERT INTO {t}_log (seq, eid, sid, {columns})
        SELECT seq, k, sid, {columns} FROM {source}_log JOIN {small} e USING (eid)""")
    admin.execute(f"""INSERT INTO {t}_blob SELECT k, blob_id, dedup, salt, media, data
        FROM {source}_blob JOIN {small} e USING (eid)""")
    admin.execute(f"INSERT INTO {t}_label SELECT k, key, value FROM {source}_label JOIN {small} e USING (eid)")
    admin.execute(f"UPDATE {t}_meta SET seq = (SELECT max(seq) FROM {t}_log)")


def test_a_newer_layout_is_refused(postgres_dsn: str, admin: Any, table: str) -> None:
    PostgresStore(postgres_dsn, table=table).close()
    admin.execute(f"INSERT INTO {table}_migration (version) VALUES (3)")
    with pytest.raises(SchemaVersionError, match="upgrade ftnb"):
        PostgresStore(postgres_dsn, table=table)


def test_a_role_that_may_not_migrate_is_told_so_and_changes_nothing(
    postgres_dsn: str, admin: Any, table: str, roles: dict[Any, str]
) -> None:
    with patch.object(_postgres_schema, "_MIGRATIONS", _postgres_schema._MIGRATIONS[:1]):
        _postgres_schema.migrate(admin, table, create=True)
    admin.execute(f"GRANT SELECT ON ALL TABLES IN SCHEMA public TO {roles['read']}")
    with pytest.raises(StoreError, match=r"permission denied|must be owner"):
        PostgresStore(f"{postgres_dsn} user={roles['read']}", table=table)
    assert admin.execute(f"SELECT max(version) FROM {table}_migration").fetchone() == (1,)


def test_jsonb_finds_metadata_and_the_bytes_stay_as_they_are(postgres_dsn: str, admin: Any, table: str) -> None:
    store = PostgresStore(postgres_dsn, table=table)
    metadata = {"user": "u-42", "cart": {"items": [1.0, 10**400, "é\u2028"]}, "z": 1, "a": 2}
    store.append(EngagementStarted(engagement_id="plain", name="x", metadata=metadata))
    hostile = {"user": "u-42", "nul": "a\x00b", "quote": "'\"\\", "inf": float("inf")}
    store.append(EngagementStarted(engagement_id="hostile", name="x", metadata=hostile))
    find = f"""SELECT engagement_id FROM {table} WHERE type IN ('engagement_started', 'engagement_labelled')
        AND {table}_json(body) -> 'metadata' @> '{{"user": "u-42"}}'"""
    assert admin.execute(find).fetchall() == [("plain",)]
    admin.execute(f"ANALYZE {table}_log; SET enable_seqscan = off; SET enable_indexscan = off")
    plan = "\n".join(row[0] for row in admin.execute(f"EXPLAIN {find}").fetchall())
    assert "Bitmap Index Scan" in plan, plan
    assert store.get_engagement("plain").metadata == metadata
    assert store.get_engagement("hostile").metadata == hostile
    bodies = dict(admin.execute(f"SELECT engagement_id, body FROM {table}").fetchall())
    assert b'"a":2' in bytes(bodies["plain"]).replace(b" ", b"")
    assert bytes(bodies["plain"]).index(b'"a"') < bytes(bodies["plain"]).index(b'"z"')
    store.close()


def test_a_transaction_in_flight_holds_back_those_after_it_and_none_is_skipped(
    postgres_dsn: str, admin: Any, table: str
) -> None:
    store = PostgresStore(postgres_dsn, table=table)
    tail = store.tail(timeout=5)
    slow = PostgresStore(conn=(held := psycopg.connect(postgres_dsn)), table=table)
    held.commit()
    slow.append(EngagementStarted(engagement_id="slow", name="x"))  # in the caller's transaction: not committed
    fast = PostgresStore(postgres_dsn, table=table)
    thread = threading.Thread(target=lambda: fast.append(EngagementStarted(engagement_id="fast", name="x")))
    thread.start()
    deadline = time.monotonic() + 20
    while not admin.execute("SELECT 1 FROM pg_locks WHERE NOT granted").fetchone() and time.monotonic() < deadline:
        time.sleep(0.02)
    assert thread.is_alive()
    assert store.revision()[0] == 0
    held.commit()
    thread.join()
    assert [next(tail).engagement_id for _ in range(2)] == ["slow", "fast"]
    fast.close()
    slow.close()
    held.close()
    store.close()


def test_a_rolled_back_batch_leaves_no_hole(postgres_dsn: str, table: str) -> None:
    store = PostgresStore(postgres_dsn, table=table)
    with psycopg.connect(postgres_dsn) as held:
        other = PostgresStore(conn=held, table=table)
        held.commit()
        other.append(EngagementStarted(engagement_id="never", name="x"))
        held.rollback()
    _record(store, "e")
    assert store.scan(["seq"])["seq"].to_pylist() == [1, 2, 3, 4]
    assert [s.id for s in store.list_engagements()] == ["e"]
    store.close()


def test_a_tail_whose_connections_are_ended_misses_nothing(
    postgres_dsn: str, admin: Any, table: str, caplog: pytest.LogCaptureFixture
) -> None:
    store = PostgresStore(f"{postgres_dsn} application_name={table}", table=table)
    other = PostgresStore(postgres_dsn, table=table)
    tail = store.tail(timeout=8)
    for i in range(9):
        other.append(EngagementStarted(engagement_id="e", name=str(i)))
        if i % 3 == 1:
            admin.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = %s", (table,)
            )
    assert [next(tail).name for _ in range(9)] == [str(i) for i in range(9)]  # type: ignore[union-attr]
    other.append(EngagementStarted(engagement_id="e", name="last"))
    assert next(tail).name == "last"  # type: ignore[union-attr]
    assert len(store.read("e")) == 10  # and reading goes on, too
    other.close()
    store.close()


def test_upper_case_names_are_folded_as_postgresql_does(postgres_dsn: str, table: str) -> None:
    store = PostgresStore(postgres_dsn, table=table.upper())
    tail = store.tail(timeout=5)
    other = PostgresStore(postgres_dsn, table=table)
    assert other.url == store.url
    other.append(EngagementStarted(engagement_id="e", name="x"))
    assert next(tail).engagement_id == "e"
    other.close()
    store.close()


def test_a_long_read_holds_up_no_other(postgres_dsn: str, table: str) -> None:
    store = PostgresStore(postgres_dsn, table=table)
    _record(store, "e")
    reading, done = threading.Event(), threading.Event()

    def read() -> None:
        with store._read.use() as connection:
            connection.execute("SELECT 1")
            reading.set()
            done.wait(10)

    thread = threading.Thread(target=read)
    thread.start()
    assert reading.wait(5)
    assert len(store.read("e")) == 4
    done.set()
    thread.join()
    store.close()


def test_a_partition_holds_a_day_at_least(postgres_dsn: str) -> None:
    with pytest.raises(InvalidArgumentError, match="at least one day"):
        PostgresStore(postgres_dsn, partition_days=0)


def test_the_command_that_grants(postgres_dsn: str, admin: Any, table: str, roles: dict[Any, str]) -> None:
    PostgresStore(postgres_dsn, table=table).close()
    folder = postgres_dsn.split()[0].partition("=")[2]
    url = f"postgresql://postgres@/postgres?host={quote(folder)}#{table}"
    said = CliRunner().invoke(command, ["grant", url, roles["record"], "--may", "record", "--sql"])
    assert said.exit_code == 0
    assert "DELETE" not in said.output
    assert admin.execute(
        "SELECT has_table_privilege(%s, %s, 'INSERT')", (roles["record"], f"{table}_log")
    ).fetchone() == (False,)
    for statement in said.output.strip().split(";\n"):
        admin.execute(statement)
    store = PostgresStore(f"{postgres_dsn} user={roles['record']}", table=table)
    _record(store, "e")
    assert CliRunner().invoke(command, ["grant", url, roles["purge"], "--may", "purge"]).exit_code == 0
    keeper = PostgresStore(f"{postgres_dsn} user={roles['purge']}", table=table)
    assert keeper.purge("e")
    keeper.close()
    store.close()
