"""Reading: equal values, listings, pages, columns, reopening, and what is damaged."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings

from ..core.errors import UnknownEngagementError
from ..core.model import EngagementStatus, EventKind, StepEvent, StepStatus, TokenUsage
from ..recorder import Recorder
from ..store.base import EngagementSummary, LogStore
from ..store.blobs import Resolver
from ..store.records import (
    EngagementEnded,
    EngagementLabelled,
    EngagementStarted,
    EventRecorded,
    StepStarted,
)
from . import strategies
from ._case import StoreCase, all_seqs, record_run

# Every example adds an engagement to one store, and each store's test class runs the test.
_SHARED = [HealthCheck.function_scoped_fixture, HealthCheck.differing_executors]
_ODD = "id\x00 'quoted\" \ud800 ü;--"


class ReadingTests(StoreCase):
    """What holds of everything that is read."""

    @settings(suppress_health_check=_SHARED, max_examples=25, deadline=None)
    @given(strategies.payloads())
    def test_metadata_and_payload_come_back_equal(self, store: LogStore, given_: dict[str, Any]) -> None:
        recorder = Recorder(store)
        engagement_id = recorder.start_engagement("e", metadata=given_)
        step_id = recorder.start_step(engagement_id, "s")
        recorder.record_event(step_id, EventKind.LOG, "x", payload=given_)
        engagement = store.get_engagement(engagement_id)
        assert engagement.metadata == given_
        assert engagement.steps[0].events[0].payload == given_
        assert store.list_engagements(newest=True, limit=1)[0].metadata == given_
        recorder.close()

    def test_every_field_of_an_event_survives(self, store: LogStore) -> None:
        tokens = TokenUsage(prompt=5, completion=4, total=11, cache_read=3, cache_write=2, reasoning=1)
        given_event = StepEvent(
            step_id="s", kind=EventKind.LLM_CALL, name="n", duration_ms=1.5, payload={"q": [1]}, error="no",
            tokens=tokens, model="m", ttft_ms=0.25, error_type="ValueError", subtype="x", discarded=True,
        )  # fmt: skip
        store.append(EngagementStarted(engagement_id="e", name="e"))
        store.append(StepStarted(engagement_id="e", step_id="s", name="n"))
        store.append(EventRecorded(engagement_id="e", event=given_event))
        assert store.get_engagement("e").steps[0].events == [given_event]

    def test_state_is_kept_by_reference_and_read_back(self, store: LogStore) -> None:
        recorder = Recorder(store)
        engagement_id = recorder.start_engagement("e")
        state = {"messages": ["m" * 900, "short"], "budget": 5}
        step_id = recorder.start_step(engagement_id, "s", state=state)
        recorder.end_step(step_id, update={"messages": ["m" * 900]})
        step = store.get_engagement(engagement_id).steps[0]
        assert "m" * 900 not in str(step.state_ref)
        resolve = Resolver(lambda blob_id: store.blob(engagement_id, blob_id))
        assert resolve(step.state_ref) == state
        assert resolve(step.update_ref) == {"messages": ["m" * 900]}
        assert store.scan_blobs().num_rows == 1
        assert store.blob(engagement_id, "nope") is None
        blob_id = str(store.scan_blobs()["blob_id"][0].as_py())
        assert store.blobs_of(engagement_id) == {blob_id: store.blob(engagement_id, blob_id)}
        assert store.blobs_of("nope") == {}
        recorder.close()

    def test_long_and_odd_names_survive_and_ids_are_opaque(self, store: LogStore) -> None:
        name = "n" * 500 + "\x00\ud800"
        store.append(EngagementStarted(engagement_id=_ODD, name=name, metadata={_ODD: _ODD, "long": "v" * 5_000}))
        store.append(StepStarted(engagement_id=_ODD, step_id=_ODD, name=name))
        engagement = store.get_engagement(_ODD)
        assert engagement.name == engagement.steps[0].name == name
        assert [s.name for s in store.list_engagements({_ODD: _ODD, "long": "v" * 5_000})] == [name]
        assert store.list_engagements({_ODD: "other"}) == []
        assert store.scan(["name"], engagement_id=_ODD).num_rows == 2
        assert store.purge(_ODD)
        assert store.list_engagements() == []

    def test_summaries_agree_with_the_fold(self, store: LogStore) -> None:
        _record_every_status(store)
        summaries = store.list_engagements()
        assert [s.status.value for s in summaries] == ["paused", "abandoned", "active", "failed"]
        for summary in summaries:
            assert summary == EngagementSummary.from_engagement(store.get_engagement(summary.id))

    def test_pages(self, store: LogStore) -> None:
        ids = [record_run(store, 1, i=i) for i in range(5)]
        assert [s.id for s in store.list_engagements()] == ids
        assert [s.id for s in store.list_engagements(limit=2)] == ids[:2]
        assert [s.id for s in store.list_engagements(newest=True, limit=2)] == [ids[4], ids[3]]
        assert store.list_engagements(limit=0) == []

    def test_where_is_equality_on_metadata(self, store: LogStore) -> None:
        odd = "a\"b'c;--"
        given_: list[dict[str, Any]] = [
            {"u": 1}, {"u": 1.0, odd: "x"}, {"u": "1"}, {"u": None}, {"u": [1, {"a": 2}]}, {}
        ]  # fmt: skip
        ids = [record_run(store, 0, **metadata) for metadata in given_]

        def found(where: dict[str, Any], **page: Any) -> list[int]:
            return [ids.index(s.id) for s in store.list_engagements(where, **page)]

        assert found({"u": 1}) == found({"u": True}) == [0, 1]
        assert found({"u": 1}, newest=True, limit=1) == [1]
        assert found({"u": "1"}) == [2]
        assert found({"u": None}) == [3, 5]
        assert found({"u": None}, newest=True, limit=1) == [5]
        assert found({"u": [1, {"a": 2}]}) == [4]
        assert found({odd: "x", "u": 1}) == [1]
        assert found({"nothing": 1}) == []
        store.append(EngagementLabelled(engagement_id=ids[0], metadata={"u": "changed"}))
        assert found({"u": 1}) == [1]
        assert found({"u": "changed"}) == [0]

    def test_an_unknown_engagement_is_named_with_what_exists(self, store: LogStore) -> None:
        with pytest.raises(UnknownEngagementError, match="holds none yet"):
            store.get_engagement("nope")
        engagement_id = record_run(store)
        with pytest.raises(UnknownEngagementError, match=f"Did you mean '{engagement_id}'"):
            store.get_engagement(engagement_id[:-1] + "z")
        with pytest.raises(KeyError):
            store.get_engagement("nope")
        assert store.read("nope") == []

    def test_scan_gives_columns_in_order_and_only_what_was_asked(self, store: LogStore) -> None:
        engagement_id, other = record_run(store), record_run(store, 1)
        table = store.scan(["seq", "name", "tok_total", "body"], types=["event_recorded"])
        assert table.column_names == ["seq", "name", "tok_total", "body"]
        assert [str(field.type) for field in table.schema] == ["int64", "string", "int64", "binary"]
        assert table["tok_total"].to_pylist() == [None, 15, None, 15, None, 15]
        assert store.scan(["name"], engagement_id="other").num_rows == 0
        mine = store.scan(["type", "engagement_id"], engagement_id=engagement_id).to_pylist()
        assert mine[0]["type"] == "engagement_started"
        assert {row["engagement_id"] for row in mine} == {engagement_id}
        found = store.scan(["engagement_id"], types=["engagement_started", "step_started"], containing=[b'"goals":'])
        assert found["engagement_id"].to_pylist() == [engagement_id, other]
        with pytest.raises(ValueError, match="no column 'nope'"):
            store.scan(["nope"])

    def test_scanning_on_gives_what_came_since(self, store: LogStore) -> None:
        record_run(store)
        revision, seqs = store.revision(), all_seqs(store)
        assert store.scan(["seq"], after=seqs[-1]).num_rows == 0
        assert store.scan(["seq"], after=seqs[3])["seq"].to_pylist() == seqs[4:]
        engagement_id = record_run(store, 1)
        assert store.revision() != revision
        table = store.scan(["seq", "engagement_id"], after=seqs[-1])
        assert set(table["engagement_id"].to_pylist()) == {engagement_id}
        assert table["seq"].to_pylist() == all_seqs(store)[len(seqs) :]
        revision = store.revision()
        store.purge(engagement_id)
        assert store.revision() != revision

    def test_trees_are_equal_after_reopening(self, store: LogStore) -> None:
        before = store.get_engagement(record_run(store, 3, user="u"))
        other = self.second(store)
        assert other.get_engagement(before.id) == before
        assert other.list_engagements({"user": "u"})[0].id == before.id
        other.close()

    def test_entries_of_the_store_are_no_engagements(self, store: LogStore) -> None:
        store.append_entry("gap", {"reason": "queue_full", "count": 3, "detail": "\x00\ud800"})
        recorder = Recorder(store)
        recorder.end_step("nobody began this")
        recorder.flush()
        assert store.list_engagements() == []
        assert store.scan(["seq"]).num_rows == 0
        entries: list[dict[str, Any]] = store.store_entries()
        assert [(entry["type"], entry["count"]) for entry in entries] == [("gap", 3), ("gap", 1)]
        assert entries[0]["seq"] < entries[1]["seq"]
        recorder.close()

    def test_a_damaged_row_is_one_gap(self, store: LogStore) -> None:
        engagement_id = record_run(store)
        assert store.read(engagement_id) != []
        self.back_door(store).damage(engagement_id, "engagement_started")
        engagement = store.get_engagement(engagement_id)
        assert [gap.reason for gap in engagement.gaps] == ["bad_record", "missing_start"]
        assert len(engagement.steps) == 2
        assert len(store.list_engagements()) == 1

    def test_a_lost_row_is_seen(self, store: LogStore) -> None:
        engagement_id = record_run(store)
        assert store.read(engagement_id) != []
        self.back_door(store).lose(engagement_id, "engagement_started")
        engagement = store.get_engagement(engagement_id)
        assert {gap.reason: gap.count for gap in engagement.gaps} == {"missing_start": 1, "missing_records": 1}
        assert len(engagement.steps) == 2


def _record_every_status(store: LogStore) -> None:
    """Four engagements: paused, abandoned, reopened, and one whose start was lost."""
    recorder = Recorder(store)
    paused = recorder.start_engagement("p", metadata={"k": 1})
    waiting = recorder.start_step(paused, "ask")
    recorder.record_llm_call(waiting, "m", prompt=100)
    recorder.end_step(waiting, StepStatus.WAITING)
    answered = recorder.start_step(paused, "more")
    recorder.record_llm_call(answered, "m", prompt=7)
    recorder.set_engagement_status(paused, EngagementStatus.PAUSED)
    dropped = recorder.start_engagement("d")
    recorder.end_step(recorder.start_step(dropped, "ask"))
    recorder.end_engagement(dropped, EngagementStatus.ABANDONED, dropped_at="ask")
    reopened = recorder.start_engagement("r")
    recorder.end_engagement(reopened)
    recorder.set_engagement_status(reopened, EngagementStatus.ACTIVE)
    recorder.start_step(reopened, "more")
    recorder.label_engagement(reopened, name="renamed", metadata={"x": [1, {"y": None}]})
    recorder.close()
    store.append(EngagementEnded(engagement_id="startless", status=EngagementStatus.FAILED))
