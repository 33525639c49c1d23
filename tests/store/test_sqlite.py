"""The default store: what is appended is there, whole, in order, and found again."""

from __future__ import annotations

import asyncio
import random
import sqlite3
import threading
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest

from ftnb.core.errors import NotOurFileError, SchemaVersionError, StoreError, UnknownEngagementError
from ftnb.core.ids import new_id
from ftnb.core.model import Engagement, EngagementStatus, EventKind, StepEvent, StepStatus, TokenUsage
from ftnb.recorder import Recorder
from ftnb.store import _sqlite_schema
from ftnb.store._sqlite_write import SQLiteWriter
from ftnb.store.base import LogStore
from ftnb.store.build import event, step_started
from ftnb.store.draft import Stream
from ftnb.store.leaf import NAMES, Tree, leaf_hash
from ftnb.store.records import EngagementEnded, EngagementLabelled, EngagementStarted, EventRecorded, StepStarted
from ftnb.store.sqlite import SQLiteStore


@pytest.fixture(params=["memory", "file"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Any:
    made = SQLiteStore() if request.param == "memory" else SQLiteStore(tmp_path / "t.db")
    yield made
    made.close()


def _record(store: SQLiteStore, n_steps: int = 2, **metadata: Any) -> str:
    rec = Recorder(store)
    eid = rec.start_engagement("chat", metadata=metadata)
    for i in range(n_steps):
        sid = rec.start_step(eid, f"step{i}")
        rec.record_llm_call(sid, "m", prompt=10, completion=5, model="gpt")
        rec.end_step(sid, duration_ms=2.5)
    rec.end_engagement(eid)
    return eid


def test_it_is_a_log_store(store: SQLiteStore) -> None:
    assert isinstance(store, LogStore)


def test_every_field_of_an_event_survives(store: SQLiteStore) -> None:
    tokens = TokenUsage(prompt=5, completion=4, total=11, cache_read=3, cache_write=2, reasoning=1)
    given_event = StepEvent(
        step_id="s", kind=EventKind.LLM_CALL, name="n", duration_ms=1.5, payload={"q": [1]}, error="no", tokens=tokens,
        model="m", ttft_ms=0.25, error_type="ValueError", subtype="x", discarded=True,
    )  # fmt: skip
    store.append(EngagementStarted(engagement_id="e", name="e"))
    store.append(StepStarted(engagement_id="e", step_id="s", name="n"))
    store.append(EventRecorded(engagement_id="e", event=given_event))
    assert store.get_engagement("e").steps[0].events == [given_event]


def test_records_get_their_place(store: SQLiteStore) -> None:
    first, second = EngagementStarted(engagement_id="e", name="a"), EngagementEnded(engagement_id="e")
    store.append(first)
    store.append(second)
    assert first.seq is not None
    assert second.seq == first.seq + 1
    assert (first.n, second.n, first.turn) == (0, 1, 1)
    assert first.stream_id == second.stream_id
    assert [r.seq for r in store.read("e")] == [first.seq, second.seq]


def test_long_and_odd_names_survive_and_ids_are_opaque(store: SQLiteStore) -> None:
    name, eid = "n" * 500 + "\x00\ud800", "id\x00 'quoted\" \ud800 ü"
    store.append(EngagementStarted(engagement_id=eid, name=name))
    store.append(StepStarted(engagement_id=eid, step_id="s", name=name))
    eng = store.get_engagement(eid)
    assert eng.name == name
    assert eng.steps[0].name == name
    assert store.list_engagements()[0].name == name
    assert store.purge(eid)


def test_summaries_agree_with_the_fold(store: SQLiteStore) -> None:
    rec = Recorder(store)
    paused = rec.start_engagement("p", metadata={"k": 1})
    waiting = rec.start_step(paused, "ask")
    rec.record_llm_call(waiting, "m", prompt=100)
    rec.end_step(waiting, StepStatus.WAITING)
    rec.set_engagement_status(paused, EngagementStatus.PAUSED)
    dropped = rec.start_engagement("d")
    rec.end_step(rec.start_step(dropped, "ask"))
    rec.end_engagement(dropped, EngagementStatus.ABANDONED, dropped_at="ask")
    reopened = rec.start_engagement("r")
    rec.end_engagement(reopened)
    rec.set_engagement_status(reopened, EngagementStatus.ACTIVE)
    rec.start_step(reopened, "more")
    rec.label_engagement(reopened, name="renamed", metadata={"x": [1, {"y": None}]})
    store.append(EngagementEnded(engagement_id="startless", status=EngagementStatus.FAILED))
    for summary in store.list_engagements():
        eng = store.get_engagement(summary.id)
        assert summary == type(summary).from_engagement(eng)
    assert {s.id: s.status.value for s in store.list_engagements()} == {
        paused: "paused",
        dropped: "abandoned",
        reopened: "active",
        "startless": "failed",
    }
    assert store.get_engagement(reopened).n_turns == 2


def test_pages_of_the_newest(store: SQLiteStore) -> None:
    ids = [_record(store, 1, i=i) for i in range(5)]
    assert [s.id for s in store.list_engagements()] == ids
    assert [s.id for s in store.list_engagements(newest=True, limit=2)] == [ids[4], ids[3]]


def test_where_is_equality_on_metadata(store: SQLiteStore) -> None:
    odd = "a\"b'c;--"
    ids = [
        _record(store, 0, **m)
        for m in ({"u": 1}, {"u": 1.0, odd: "x"}, {"u": "1"}, {"u": None}, {"u": [1, {"a": 2}]}, {})
    ]
    found = lambda where: [ids.index(s.id) for s in store.list_engagements(where)]  # noqa: E731
    assert found({"u": 1}) == [0, 1]
    assert found({"u": True}) == [0, 1]
    assert found({"u": "1"}) == [2]
    assert found({"u": None}) == [3, 5]
    assert found({"u": [1, {"a": 2}]}) == [4]
    assert found({odd: "x", "u": 1}) == [1]
    assert found({"nothing": 1}) == []
    store.append(EngagementLabelled(engagement_id=ids[0], metadata={"u": "changed"}))
    assert found({"u": 1}) == [1]
    assert found({"u": "changed"}) == [0]


def test_an_unknown_engagement_is_named_with_what_exists(store: SQLiteStore) -> None:
    with pytest.raises(UnknownEngagementError, match="holds none yet"):
        store.get_engagement("nope")
    eid = _record(store)
    with pytest.raises(UnknownEngagementError, match=f"Did you mean '{eid}'"):
        store.get_engagement(eid[:-1] + "z")
    with pytest.raises(KeyError):
        store.get_engagement("nope")


def test_purge_leaves_nothing_and_counts_what_comes_late(store: SQLiteStore) -> None:
    rec = Recorder(store)
    eid, kept = _record(store, user="secret-canary"), _record(store)
    sid = rec.start_step(eid, "later")
    assert store.purge(eid) is True
    assert store.purge(eid) is False
    rec.record_event(sid, EventKind.LOG, "late", payload={"x": "secret-canary"})
    rec.flush()
    assert store.read(eid) == []
    assert [s.id for s in store.list_engagements()] == [kept]
    assert store.list_engagements({"user": "secret-canary"}) == []
    dump = "\n".join(store._write.iterdump())
    assert "secret-canary" not in dump


def test_streams_are_dense_and_their_trees_match_the_rows(store: SQLiteStore) -> None:
    _record(store, 5)
    _record(store, 3)
    rows = store.scan(NAMES).to_pylist()
    for stream in store.scan_streams().to_pylist():
        mine = [tuple(row.values()) for row in rows if row["stream_id"] == stream["stream_id"]]
        assert [row[2] for row in mine] == list(range(len(mine)))
        tree = Tree()
        for row in mine:
            tree.append(leaf_hash(row))
        assert (tree.size, tree.to_bytes()) == (stream["size"], stream["frontier"])


def test_all_or_nothing(store: SQLiteStore, monkeypatch: pytest.MonkeyPatch) -> None:
    stream = Stream(new_id(), "e", turn=1)
    drafts = [step_started(stream, 1, f"s{i}", "n") for i in range(3)]
    with monkeypatch.context() as m:
        m.setattr(
            SQLiteWriter, "_write_side_tables", lambda *a: (_ for _ in ()).throw(sqlite3.OperationalError("full"))
        )
        with pytest.raises(StoreError, match="cannot write"):
            store.append_drafts(drafts)
    assert store.read("e") == []
    store.append_drafts(drafts)
    assert len(store.read("e")) == 3
    assert store.get_engagement("e").gaps[0].reason == "missing_start"


def test_committing_a_batch_twice_writes_it_once(store: SQLiteStore) -> None:
    stream = Stream(new_id(), "e", turn=1)
    batch = store.encode([event(stream, 1, "s", EventKind.LOG, "x", payload={"big": "y" * 2000})])
    store.commit(batch)
    store.commit(batch)
    assert len(store.read("e")) == 1
    assert store.scan_blobs().num_rows == 1


def test_state_is_kept_by_reference_and_read_back(store: SQLiteStore) -> None:
    from ftnb.store.blobs import Resolver

    rec = Recorder(store)
    eid = rec.start_engagement("e")
    state = {"messages": ["m" * 900, "short"], "budget": 5}
    sid = rec.start_step(eid, "s", state=state)
    rec.end_step(sid, update={"messages": ["m" * 900]})
    step = store.get_engagement(eid).steps[0]
    assert "m" * 900 not in str(step.state_ref)
    resolve = Resolver(lambda blob_id: store.blob(eid, blob_id))
    assert resolve(step.state_ref) == state
    assert resolve(step.update_ref) == {"messages": ["m" * 900]}
    assert store.scan_blobs().num_rows == 1


def test_many_threads_lose_nothing(store: SQLiteStore) -> None:
    def work() -> None:
        for _ in range(20):
            _record(store, 2)

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    summaries = store.list_engagements()
    assert len(summaries) == 160
    assert all(s.step_count == 2 and s.status is EngagementStatus.COMPLETED for s in summaries)
    assert all(store.get_engagement(s.id).gaps == [] for s in summaries[:20])


async def test_subscribers_see_everything_after_they_came(store: SQLiteStore) -> None:
    _record(store, 1)
    tail = store.subscribe()
    thread = threading.Thread(target=_record, args=(store, 3))
    thread.start()
    seen = [await asyncio.wait_for(anext(tail), 5) for _ in range(11)]
    thread.join()
    assert [r.type for r in seen[:2]] == ["engagement_started", "step_started"]
    assert seen[-1].type == "engagement_ended"
    assert [r.seq for r in seen] == sorted({r.seq for r in seen if r.seq})


def test_tail_is_the_plain_twin(store: SQLiteStore) -> None:
    tail = store.tail(timeout=0.5)
    first = threading.Timer(0.05, _record, args=(store, 1))
    first.start()
    assert [r.type for r in tail][-1] == "engagement_ended"
    first.join()


def test_two_store_objects_on_one_file_share_the_trace(tmp_path: Path) -> None:
    writer, reader = SQLiteStore(tmp_path / "t.db"), SQLiteStore(tmp_path / "t.db")
    eid = _record(writer)  # still on the recorder's queue, perhaps
    assert len(reader.get_engagement(eid).steps) == 2
    Recorder(reader).set_engagement_status(eid, EngagementStatus.ACTIVE)
    assert writer.get_engagement(eid).n_turns == 2
    writer.close()
    reader.close()


def test_a_damaged_row_is_one_gap(tmp_path: Path) -> None:
    path = tmp_path / "t.db"
    store = SQLiteStore(path)
    eid = _record(store)
    store.close()
    with sqlite3.connect(path) as raw:
        raw.execute("UPDATE log SET body = x'ff00' WHERE type = 'engagement_started'")
    raw.close()
    store = SQLiteStore(path)
    eng = store.get_engagement(eid)
    assert [gap.reason for gap in eng.gaps] == ["bad_record", "missing_start"]
    assert len(eng.steps) == 2
    assert len(store.list_engagements()) == 1
    store.close()


def test_paths_that_cannot_be_opened(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="there is no folder"):
        SQLiteStore(tmp_path / "missing" / "t.db")
    with pytest.raises(OSError, match="cannot open"):
        SQLiteStore(tmp_path)


def test_files_that_are_not_ours_are_left_as_they_are(tmp_path: Path) -> None:
    text = tmp_path / "notes.txt"
    text.write_text("these are my notes, and they are longer than a header of SQLite would be" * 20)
    with pytest.raises(NotOurFileError, match="not an SQLite file"):
        SQLiteStore(text)
    assert text.read_text().startswith("these are my notes")

    other = tmp_path / "other.db"
    with sqlite3.connect(other) as raw:
        raw.execute("CREATE TABLE customers (id)")
    raw.close()
    before = other.read_bytes()
    with pytest.raises(NotOurFileError, match="customers"):
        SQLiteStore(other)
    assert sqlite3.connect(other).execute("SELECT name FROM sqlite_master").fetchall() == [("customers",)]
    assert len(other.read_bytes()) == len(before)


def test_a_newer_format_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "t.db"
    SQLiteStore(path).close()
    with sqlite3.connect(path) as raw:
        raw.execute("PRAGMA user_version=99")
    raw.close()
    with pytest.raises(SchemaVersionError, match="upgrade ftnb"):
        SQLiteStore(path)


def test_scan_gives_columns_in_order_and_only_what_was_asked(store: SQLiteStore) -> None:
    eid = _record(store)
    table = store.scan(["seq", "name", "tok_total"], types=["event_recorded"])
    assert table.column_names == ["seq", "name", "tok_total"]
    assert table["tok_total"].to_pylist() == [15, 15]
    assert store.scan(["name"], engagement_id="other").num_rows == 0
    last = store.scan(["seq"])["seq"].to_pylist()[-1]
    assert store.scan(["seq"], after=last).num_rows == 0
    assert store.scan(["type"], engagement_id=eid)["type"].to_pylist()[0] == "engagement_started"
    with pytest.raises(ValueError, match="no column 'nope'"):
        store.scan(["nope"])


def test_engagement_trees_are_equal_after_reopening(tmp_path: Path) -> None:
    store = SQLiteStore(tmp_path / "t.db")
    before: Engagement = store.get_engagement(_record(store, 3, user="u"))
    store.close()
    again = SQLiteStore(tmp_path / "t.db")
    assert again.get_engagement(before.id) == before
    again.close()


def test_read_only_changes_nothing(tmp_path: Path) -> None:
    path = tmp_path / "t.db"
    store = SQLiteStore(path)
    eid = _record(store)
    before = store.get_engagement(eid)
    store.close()
    content = path.read_bytes()
    reader = SQLiteStore(path, read_only=True)
    assert reader.get_engagement(eid) == before
    assert reader.scan(["seq"]).num_rows == 8
    for change in (lambda: reader.append(EngagementStarted(engagement_id="x", name="x")), lambda: reader.purge(eid)):
        with pytest.raises(StoreError, match="readonly"):
            change()
    reader.close()
    assert path.read_bytes() == content


def test_read_only_follows_a_writer(tmp_path: Path) -> None:
    path = tmp_path / "t.db"
    store = SQLiteStore(path)
    reader = SQLiteStore(path, read_only=True)
    tail = reader.tail(timeout=2)
    store.append(EngagementStarted(engagement_id="e", name="x"))
    assert next(tail).engagement_id == "e"
    reader.close()
    store.close()


def test_read_only_never_creates(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="cannot read"):
        SQLiteStore(tmp_path / "t.db", read_only=True)
    (tmp_path / "empty.db").touch()
    with pytest.raises(NotOurFileError, match="empty"):
        SQLiteStore(tmp_path / "empty.db", read_only=True)
    assert [found.name for found in tmp_path.iterdir()] == ["empty.db"]


def _edited(path: Path, statement: str) -> SQLiteStore:
    with sqlite3.connect(path) as raw:
        raw.execute(statement)
    raw.close()
    return SQLiteStore(path)


@pytest.mark.parametrize(
    ("edit", "reason"),
    [
        ("at_us = 9000000000000000000", "bad_record"),
        ("v = 99", "newer_format"),
        ("body = NULL", "bad_record"),
        ("kind = 'no such kind'", "bad_record"),
    ],
)
def test_any_damage_to_a_row_is_a_gap_and_never_a_crash(tmp_path: Path, edit: str, reason: str) -> None:
    path = tmp_path / "t.db"
    store = SQLiteStore(path)
    rec = Recorder(store)
    eid = rec.start_engagement("e")
    sid = rec.start_step(eid, "s")
    rec.record_event(sid, EventKind.LOG, "x", payload={"a": 1})
    rec.end_step(sid)
    store.close()
    store = _edited(path, f"UPDATE log SET {edit} WHERE type = 'event_recorded'")
    eng = store.get_engagement(eid)
    assert [gap.reason for gap in eng.gaps] == [reason]
    assert eng.gaps[0].detail
    assert [s.name for s in eng.steps] == ["s"]
    assert [s.id for s in store.list_engagements()] == [eid]
    store.close()


def test_a_damaged_header_does_not_take_the_listing_with_it(tmp_path: Path) -> None:
    path = tmp_path / "t.db"
    store = SQLiteStore(path)
    hurt, fine = _record(store), _record(store)
    store.close()
    damage = "at_us = 9000000000000000000, status = 'nonsense'"
    store = _edited(
        path, f"UPDATE log SET {damage} WHERE seq IN (SELECT seq FROM record WHERE engagement_id = '{hurt}')"
    )
    assert {s.id for s in store.list_engagements()} == {hurt, fine}
    assert store.get_engagement(hurt).gaps
    assert store.get_engagement(fine).gaps == []
    store.close()


def test_a_damaged_blob_says_so_where_it_is_used(tmp_path: Path) -> None:
    path = tmp_path / "t.db"
    store = SQLiteStore(path)
    rec = Recorder(store)
    eid = rec.start_engagement("e")
    sid = rec.start_step(eid, "s")
    rec.record_event(sid, EventKind.LOG, "x", payload={"kept": 1, "long": "y" * 2000, "list": ["z" * 600] * 9})
    store.close()
    store = _edited(path, "UPDATE blob SET data = x'ff00'")
    payload = store.get_engagement(eid).steps[0].events[0].payload
    assert payload["kept"] == 1
    assert payload["long"]["$ftnb"] == "damaged"
    assert payload["list"][0]["$ftnb"] == "damaged"
    store.close()


def test_a_file_with_flipped_bits_gives_a_store_error_or_an_answer(tmp_path: Path) -> None:
    path = tmp_path / "t.db"
    store = SQLiteStore(path)
    ids = [_record(store, 3, user=i) for i in range(30)]
    store.revision()  # when everything is written
    store._write.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    store.close()
    whole, rng = path.read_bytes(), random.Random(7)
    told = 0
    for number in range(25):
        data = bytearray(whole)
        for _ in range(20):
            data[rng.randrange(4096, len(data))] ^= 1 << rng.randrange(8)
        hurt = tmp_path / f"hurt{number}.db"
        hurt.write_bytes(data)
        try:
            store = SQLiteStore(hurt)
        except StoreError:
            told += 1
            continue
        for ask in (store.list_engagements, lambda s=store: s.scan(NAMES), lambda s=store: s.scan(["name", "at_us"])):
            try:
                ask()
            except StoreError:
                told += 1
        for eid in ids:
            try:
                store.get_engagement(eid)
            except (StoreError, UnknownEngagementError):
                told += 1
        store.close()
    assert told


def test_checkpoints_of_langgraph_may_be_in_the_file_first(tmp_path: Path) -> None:
    from langgraph.checkpoint.sqlite import SqliteSaver

    path = tmp_path / "both.db"
    with SqliteSaver.from_conn_string(str(path)) as saver:
        saver.setup()
    store = SQLiteStore(path)
    assert len(store.get_engagement(_record(store)).steps) == 2
    store.close()


def test_a_file_of_an_older_layout_is_migrated_when_it_may_be_written(tmp_path: Path) -> None:
    path = tmp_path / "t.db"
    store = SQLiteStore(path)
    store.append(EngagementStarted(engagement_id="e", name="x"))
    store.close()
    newer = (*_sqlite_schema.MIGRATIONS, "CREATE TABLE added (a INTEGER) STRICT;\nINSERT INTO added VALUES (7);\n")
    with patch.object(_sqlite_schema, "MIGRATIONS", newer):
        with pytest.raises(SchemaVersionError, match="older ftnb"):
            SQLiteStore(path, read_only=True)
        for _ in range(2):
            store = SQLiteStore(path)
            assert [s.id for s in store.list_engagements()] == ["e"]
            assert store._write.execute("SELECT a FROM added").fetchall() == [(7,)]
            store.close()
    with pytest.raises(SchemaVersionError, match="upgrade ftnb"):
        SQLiteStore(path)


def test_a_migration_that_fails_changes_nothing(tmp_path: Path) -> None:
    path = tmp_path / "t.db"
    SQLiteStore(path).close()
    broken = (*_sqlite_schema.MIGRATIONS, "CREATE TABLE added (a INTEGER) STRICT;\nINSERT INTO nowhere VALUES (7);\n")
    with patch.object(_sqlite_schema, "MIGRATIONS", broken), pytest.raises(StoreError, match="nowhere"):
        SQLiteStore(path)
    store = SQLiteStore(path)
    assert store._write.execute("SELECT count(*) FROM sqlite_master WHERE name = 'added'").fetchone() == (0,)
    store.close()
