"""The recorder never troubles the agent, and never loses silently."""

from __future__ import annotations

import gc
import logging
import threading
import time
from typing import Any

import pytest

from ftnb.core.errors import StoreError
from ftnb.core.model import EngagementStatus, EventKind, Extraction, StepStatus
from ftnb.recorder import Recorder
from ftnb.store import _pipeline
from ftnb.store._writer import Batch
from ftnb.store.records import Record
from ftnb.store.sqlite import SQLiteStore


@pytest.fixture
def store() -> Any:
    made = SQLiteStore()
    yield made
    made.close()


def test_what_was_recorded_is_read_at_once(store: SQLiteStore) -> None:
    rec = Recorder(store)
    for i in range(50):
        eid = rec.start_engagement(f"e{i}")
        assert store.get_engagement(eid).name == f"e{i}"


def test_a_recorder_that_is_gone_has_still_recorded(store: SQLiteStore) -> None:
    ids = [Recorder(store).start_engagement("e") for _ in range(20)]
    gc.collect()
    assert {s.id for s in store.list_engagements()} == set(ids)


class _Foreign:
    """A store of somebody else's: `append`, and nothing more."""

    def __init__(self) -> None:
        self.records: list[Record] = []

    def append(self, record: Record) -> None:
        self.records.append(record)


def test_a_foreign_store_gets_records_at_once() -> None:
    foreign = _Foreign()
    rec = Recorder(foreign)  # type: ignore[arg-type]
    sid = rec.start_step(rec.start_engagement("e", metadata={"a": (1, 2)}), "s")
    rec.record_event(sid, EventKind.LOG, "x", payload={"p": 1})
    assert [r.type for r in foreign.records] == ["engagement_started", "step_started", "event_recorded"]
    assert foreign.records[0].metadata == {"a": (1, 2)}  # type: ignore[union-attr]
    assert foreign.records[2].event.payload == {"p": 1}  # type: ignore[union-attr]
    assert rec.stats().committed == 3


class _Broken:
    def append(self, record: Record) -> None:
        raise RuntimeError("disk on fire")


def test_a_broken_foreign_store_is_told_of_once_and_counted(caplog: pytest.LogCaptureFixture) -> None:
    rec = Recorder(_Broken())  # type: ignore[arg-type]
    with caplog.at_level(logging.WARNING):
        eid = rec.start_engagement("e")
        sid = rec.start_step(eid, "s")
        rec.record_extraction(sid, Extraction(schema_name="S"))
        rec.end_step(sid)
        rec.end_engagement(eid)
    assert rec.stats().dropped == {"write_error": 6}
    told = [r.message for r in caplog.records if r.name == "ftnb"]
    log = logging.getLogger("ftnb")
    assert len(told) == 1, (log.disabled, log.propagate, log.level, logging.root.manager.disable, caplog.records)
    assert "disk on fire" in told[0]


def test_one_lost_record_does_not_poison_the_rest(store: SQLiteStore, monkeypatch: pytest.MonkeyPatch) -> None:
    rec = Recorder(store)
    encode = store.encode

    def lose_starts(drafts: Any) -> Batch:
        if any(d.type == "engagement_started" for d in drafts):
            raise TypeError("cannot encode this")
        return encode(drafts)

    monkeypatch.setattr(store, "encode", lose_starts)
    lost = rec.start_engagement("lost")
    rec.end_step(rec.start_step(lost, "kept"))
    rec.flush()
    monkeypatch.undo()
    fine = rec.start_engagement("fine")
    assert {s.id for s in store.list_engagements()} == {lost, fine}
    eng = store.get_engagement(lost)
    assert [s.name for s in eng.steps] == ["kept"]
    assert "missing_start" in {gap.reason for gap in eng.gaps}
    assert rec.stats().dropped == {"encode_error": 1}


def test_a_store_that_fails_for_a_while_gets_everything_once(
    store: SQLiteStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    rec, commit, failures = Recorder(store), store.commit, [3]

    def flaky(batch: Batch) -> None:
        if failures[0]:
            failures[0] -= 1
            raise StoreError("locked")
        commit(batch)

    monkeypatch.setattr(store, "commit", flaky)
    eid = rec.start_engagement("e")
    for i in range(10):
        rec.start_step(eid, f"s{i}")
    assert rec.flush(5)
    eng = store.get_engagement(eid)
    assert [s.name for s in eng.steps] == [f"s{i}" for i in range(10)]
    assert eng.gaps == []
    assert rec.stats().write_errors == 3
    assert rec.stats().dropped == {}


def test_the_caller_never_waits_for_a_store_that_hangs(store: SQLiteStore, monkeypatch: pytest.MonkeyPatch) -> None:
    rec, commit, go = Recorder(store), store.commit, threading.Event()
    monkeypatch.setattr(store, "commit", lambda batch: (go.wait(10), commit(batch)))
    eid = rec.start_engagement("e")
    begun = time.monotonic()
    for i in range(1_000):
        rec.start_step(eid, f"s{i}")
    assert rec.flush(0.2) is False
    assert time.monotonic() - begun < 5
    go.set()
    assert rec.flush(10) is True
    assert len(store.get_engagement(eid).steps) == 1_000


def test_a_full_queue_gives_up_payloads_first_then_counts(store: SQLiteStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_pipeline, "MAX_FULL", 20)
    monkeypatch.setattr(_pipeline, "MAX_ANY", 40)
    rec, commit, go = Recorder(store), store.commit, threading.Event()
    monkeypatch.setattr(store, "commit", lambda batch: (go.wait(10), commit(batch)))
    eid = rec.start_engagement("e")
    sid = rec.start_step(eid, "s")
    until = time.monotonic() + 5
    while rec.backlog() and time.monotonic() < until:  # the writer takes the first records, and hangs
        time.sleep(0.01)
    for i in range(60):
        rec.record_event(sid, EventKind.LOG, f"x{i}", payload={"i": i})
    go.set()
    rec.flush(10)
    rec.flush(10)
    eng = store.get_engagement(eid)
    events = eng.steps[0].events
    assert [bool(e.payload) for e in events] == [True] * 20 + [False] * 20
    assert [(gap.reason, gap.count) for gap in eng.gaps] == [("queue_full", 20)]
    stats = rec.stats()
    assert stats.dropped == {"payload": 20, "queue_full": 20}
    assert stats.n_dropped == 20
    assert len(events) + stats.n_dropped == 60


def test_an_event_for_a_step_that_nobody_started_is_counted(store: SQLiteStore) -> None:
    rec = Recorder(store)
    rec.record_event("nope", EventKind.LOG, "x")
    rec.end_step("nope")
    rec.flush()
    assert rec.stats().dropped == {"unknown_step": 2}
    assert store.list_engagements() == []
    assert sum(entry["count"] for entry in store.store_entries("gap")) == 2


class _Bomb(dict):  # type: ignore[type-arg]
    def items(self) -> Any:
        raise RuntimeError("boom")


@pytest.mark.parametrize(
    "payload", [{"x": _Bomb(a=1)}, ["a", "list"], "text", {"f": lambda: 1}, {1: {2: 3}}, _Bomb(a=1)]
)
def test_any_payload_is_kept_somehow(store: SQLiteStore, payload: Any) -> None:
    rec = Recorder(store)
    sid = rec.start_step(rec.start_engagement("e"), "s")
    rec.record_event(sid, EventKind.LOG, "x", payload=payload)
    rec.end_step(sid)
    step = store.get_engagement(store.list_engagements()[0].id).steps[0]
    assert len(step.events) == 1
    assert step.events[0].payload
    assert step.status is StepStatus.COMPLETED


def test_history_is_not_rewritten_by_later_changes(store: SQLiteStore) -> None:
    rec = Recorder(store)
    payload = {"messages": ["a"]}
    sid = rec.start_step(rec.start_engagement("e"), "s", state=payload)
    rec.record_event(sid, EventKind.LOG, "x", payload=payload)
    payload["messages"].append("b")
    step = store.get_engagement(store.list_engagements()[0].id).steps[0]
    assert step.events[0].payload == {"messages": ["a"]}
    assert step.state_ref == {"messages": ["a"]}


def test_turns_of_one_conversation(store: SQLiteStore) -> None:
    rec = Recorder(store)
    eid = rec.start_engagement("chat")
    rec.end_step(rec.start_step(eid, "ask"), StepStatus.WAITING)
    rec.set_engagement_status(eid, EngagementStatus.PAUSED)
    assert store.get_engagement(eid).status is EngagementStatus.PAUSED
    other = Recorder(store)  # as another process would
    other.set_engagement_status(eid, EngagementStatus.ACTIVE)
    other.end_step(other.start_step(eid, "answer"))
    other.end_engagement(eid)
    assert other.flush()
    rec.start_step(eid, "again")
    eng = store.get_engagement(eid)
    assert [(s.name, s.turn) for s in eng.steps] == [("ask", 1), ("answer", 2), ("again", 3)]


def test_closing_flushes_and_then_counts(store: SQLiteStore) -> None:
    rec = Recorder(store)
    eid = rec.start_engagement("e")
    assert rec.close() is True
    rec.start_step(eid, "late")
    assert store.get_engagement(eid).steps == []
    assert rec.stats().dropped == {"closed": 1}
