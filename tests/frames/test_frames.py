"""What frames say about runs that a recorder wrote: columns, order, turns, transitions, payloads."""

from __future__ import annotations

import json
import sqlite3
import time
from datetime import timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest

import ftnb
from ftnb.core.errors import InvalidArgumentError
from ftnb.core.model import EngagementStatus, EventKind, Extraction, StepStatus
from ftnb.frames import TABLES, Frames, data_dictionary
from ftnb.frames.schema import polars_schema
from ftnb.recorder import Recorder
from ftnb.store import build
from ftnb.store.draft import Stream
from ftnb.store.sqlite import SQLiteStore

LEADING = {
    "engagements": "engagement_id name status started_at ended_at duration_ms wait_ms n_turns n_steps n_errors"
    " total_tokens dropped_at parent_id metadata",
    "steps": "engagement_id step_id name ns visit attempt turn status is_global parent_step_id triggers"
    " tools_available started_at ended_at duration_ms total_tokens error",
    "events": "engagement_id step_id event_id kind name at duration_ms ttft_ms model prompt_tokens completion_tokens"
    " total_tokens error n_bytes",
    "transitions": "engagement_id from_step_id to_step_id from_name to_name kind at",
}


@pytest.fixture
def store() -> SQLiteStore:
    return SQLiteStore()


@pytest.fixture
def recorder(store: SQLiteStore) -> Recorder:
    return Recorder(store)


def frame_of(frames: Frames, table: str) -> pl.DataFrame:
    found = getattr(frames, table)
    return found() if callable(found) else found


@pytest.mark.parametrize("table", TABLES)
def test_frames_have_the_declared_columns_even_when_empty(store: SQLiteStore, recorder: Recorder, table: Any) -> None:
    declared = polars_schema(TABLES[table])
    assert dict(frame_of(Frames(store), table).schema) == declared
    engagement = recorder.start_engagement("w")
    step = recorder.start_step(engagement, "a", tools=["t"])
    recorder.record_event(step, EventKind.LOG, "note")
    recorder.record_extraction(step, Extraction(schema_name="S"))
    recorder.record_intent_switch(engagement, to_step="a", reason="asked")
    ftnb.open(store).engagement(engagement).annotate("tone")
    frame = frame_of(Frames(store), table)
    assert dict(frame.schema) == declared
    assert frame.height > 0
    for column in TABLES[table]:
        if not column.nullable:
            assert frame[column.name].null_count() == 0, column.name


@pytest.mark.parametrize("table", LEADING)
def test_frames_begin_with_the_promised_columns(table: Any) -> None:
    promised = LEADING[table].split()
    assert [column.name for column in TABLES[table]][: len(promised)] == promised


def test_the_data_dictionary_names_every_column_with_its_unit_and_meaning() -> None:
    text = data_dictionary()
    for table, columns in TABLES.items():
        assert f"### {table}" in text
        for column in columns:
            assert f"| {column.name} | {column.dtype} | {column.unit} |" in text
            assert column.doc
            assert column.unit == "ms" or not column.name.endswith("_ms")
    assert "### steps" not in data_dictionary("events")
    with pytest.raises(InvalidArgumentError, match="no table 'event'; tables: engagements, steps, events"):
        data_dictionary("event")  # type: ignore[arg-type]


def test_times_are_utc_and_durations_milliseconds(store: SQLiteStore, recorder: Recorder) -> None:
    step = recorder.start_step(recorder.start_engagement("w"), "a")
    recorder.end_step(step, duration_ms=1234.5)
    row = Frames(store).steps.row(0, named=True)
    assert row["started_at"].utcoffset() == timedelta(0)
    assert row["started_at"] == store.get_engagement(row["engagement_id"]).steps[0].started_at
    assert row["duration_ms"] == 1234.5


def test_metadata_keys_become_columns_of_their_type(store: SQLiteStore, recorder: Recorder) -> None:
    for n, user in enumerate(["u1", None, "u3"]):
        metadata: dict[str, Any] = {"n": n, "score": 0.1 * n, "vip": n > 0, "mixed": [n] if n else "x", "a.b'c": n}
        if user:
            metadata["user_id"] = user
        recorder.start_engagement("w", metadata=metadata)
    frame = Frames(store).engagements(meta=["user_id", "n", "score", "vip", "mixed", "a.b'c", "nobody"])
    assert frame["user_id"].to_list() == ["u1", None, "u3"]
    assert frame["n"].to_list() == [0, 1, 2]
    assert frame["score"].to_list() == [0.0, 0.1, 0.2]
    assert frame["vip"].to_list() == [False, True, True]
    assert frame["mixed"].to_list() == ["x", "[1]", "[2]"]
    assert frame["a.b'c"].to_list() == [0, 1, 2]
    assert frame["nobody"].to_list() == [None] * 3
    assert json.loads(frame["metadata"][1]) == {"n": 1, "score": 0.1, "vip": True, "mixed": [1], "a.b'c": 1}


def test_metadata_never_takes_the_place_of_a_column(store: SQLiteStore, recorder: Recorder) -> None:
    recorder.start_engagement("w", metadata={"name": "ada", "status": 7, "big": -(1 << 70)})
    frame = Frames(store).engagements(meta=["name", "status", "big"])
    assert frame.select("name", "status").row(0) == ("w", "active")
    assert frame.select("metadata.name", "metadata.status").row(0) == ("ada", 7)
    assert str(-(1 << 70)) in frame["big"][0]


@pytest.mark.parametrize("meta", ["user_id", ["user_id", 1]])
def test_metadata_keys_that_are_no_list_of_texts(store: SQLiteStore, recorder: Recorder, meta: Any) -> None:
    recorder.start_engagement("w")
    with pytest.raises(InvalidArgumentError, match=r"meta is a list of metadata keys, as meta=\['user_id'\]; got"):
        Frames(store).engagements(meta=meta)


def test_a_label_changes_name_and_merges_metadata(store: SQLiteStore, recorder: Recorder) -> None:
    engagement = recorder.start_engagement("w", metadata={"user_id": "u1", "x": 1})
    recorder.label_engagement(engagement, name="house_search", metadata={"x": 2, "y": 0.1 + 0.2})
    frame = Frames(store).engagements(meta=["user_id", "x", "y"])
    assert frame.select("name", "user_id", "x", "y").row(0) == ("house_search", "u1", 2, 0.1 + 0.2)


def _turns(store: SQLiteStore, *ends: tuple[str, int, int]) -> str:
    """An engagement whose turns run one step each: (how it ended, began at, ended at), in seconds."""
    for turn, (status, began, ended) in enumerate(ends, start=1):
        stream = Stream(f"stream{turn}", "e", turn=turn)
        drafts = [build.engagement_started(stream, began * 1_000_000, "w")] if turn == 1 else []
        step = f"s{turn}"
        drafts += [
            build.step_started(stream, began * 1_000_000, step, f"node{turn}"),
            build.step_ended(stream, ended * 1_000_000, step, f"node{turn}", StepStatus.COMPLETED),
        ]
        if status == "paused":
            drafts.append(build.engagement_status(stream, ended * 1_000_000, EngagementStatus.PAUSED))
        elif status != "active":
            drafts.append(build.engagement_ended(stream, ended * 1_000_000, EngagementStatus(status), dropped_at="x"))
        store.append_drafts(drafts)
    return "e"


def test_wait_is_the_time_between_a_pause_and_the_next_turn(store: SQLiteStore) -> None:
    _turns(store, ("paused", 0, 10), ("paused", 70, 80), ("completed", 81, 90))
    row = Frames(store).engagements().row(0, named=True)
    assert (row["status"], row["n_turns"], row["wait_ms"], row["duration_ms"]) == ("completed", 3, 61_000.0, 90_000.0)


def test_a_pause_that_lasts_is_no_end_and_no_wait_yet(store: SQLiteStore) -> None:
    _turns(store, ("paused", 0, 10))
    row = Frames(store).engagements().row(0, named=True)
    assert (row["status"], row["ended_at"], row["duration_ms"], row["wait_ms"]) == ("paused", None, None, 0.0)


def test_a_later_turn_reopens_what_had_ended(store: SQLiteStore) -> None:
    _turns(store, ("abandoned", 0, 10), ("active", 20, 30))
    row = Frames(store).engagements().row(0, named=True)
    assert (row["status"], row["ended_at"], row["dropped_at"]) == ("active", None, None)


def test_a_clock_that_was_set_back_gives_no_negative_time(store: SQLiteStore) -> None:
    _turns(store, ("paused", 100, 110), ("completed", 50, 60))
    row = Frames(store).engagements().row(0, named=True)
    assert (row["duration_ms"], row["wait_ms"]) == (0.0, 0.0)
    assert Frames(store).steps["name"].to_list() == ["node1", "node2"]


def test_tokens_before_a_pause_are_discarded(store: SQLiteStore, recorder: Recorder) -> None:
    engagement = recorder.start_engagement("w")
    for attempt, status in ((1, StepStatus.WAITING), (2, StepStatus.COMPLETED)):
        step = recorder.start_step(engagement, "ask", attempt=attempt)
        recorder.record_llm_call(step, "gpt", prompt=10, completion=5)
        recorder.end_step(step, status)
    frames = Frames(store)
    assert frames.steps["total_tokens"].to_list() == [0, 15]
    assert frames.steps["discarded_tokens"].to_list() == [15, 0]
    assert frames.events()["discarded"].to_list() == [True, False]
    assert frames.engagements()["total_tokens"].to_list() == [15]


def test_one_exception_counts_once(store: SQLiteStore, recorder: Recorder) -> None:
    engagement = recorder.start_engagement("w")
    with_event = recorder.start_step(engagement, "a")
    recorder.record_event(with_event, EventKind.TOOL_CALL, "search", error="no network", error_type="OSError")
    recorder.end_step(with_event, StepStatus.FAILED, error="no network", error_type="OSError")
    alone = recorder.start_step(engagement, "b")
    recorder.end_step(alone, StepStatus.FAILED, error="boom")
    fine = recorder.start_step(engagement, "c")
    recorder.record_event(fine, EventKind.ERROR, "handled")
    recorder.end_step(fine)
    frames = Frames(store)
    assert frames.engagements()["n_errors"].to_list() == [3]
    assert frames.steps["error"].to_list() == ["no network", "boom", None]
    assert frames.events()["error"].to_list() == ["no network", None]


def test_payloads_come_on_request_whole_and_equal(store: SQLiteStore, recorder: Recorder) -> None:
    step = recorder.start_step(recorder.start_engagement("w"), "a")
    payloads: list[dict[str, Any]] = [
        {"small": 0.1 + 0.2, "error": "not one"},
        {"large": "x" * 5_000, "list": [{"i": i, "text": "y" * 200} for i in range(50)]},
        {"deep": {"error": {"name": [1e-320, 1 << 60]}}},
    ]
    for payload in payloads:
        recorder.record_event(step, EventKind.TOOL_CALL, "t", payload=payload, error="e" if "deep" in payload else None)
    recorder.record_event(step, EventKind.LOG, "empty")
    frames = Frames(store)
    assert "payload" not in frames.events().columns
    found = frames.events(payload=True)
    assert [json.loads(text) for text in found["payload"].drop_nulls()] == payloads
    assert found["payload"][3] is None
    assert found["n_bytes"][1] > 15_000


def test_a_payload_shared_by_thousands_of_events_is_read_back(store: SQLiteStore, recorder: Recorder) -> None:
    step = recorder.start_step(recorder.start_engagement("w"), "a")
    for i in range(2_100):
        recorder.record_event(step, EventKind.LOG, "l", payload={"i": i, "text": "z" * 600})
    assert recorder.flush(10)
    texts = Frames(store).events(payload=True)["payload"]
    assert [json.loads(text)["i"] for text in texts] == list(range(2_100))
    assert json.loads(texts[-1])["text"] == "z" * 600


def test_a_payload_ends_where_it_ends_whatever_else_its_record_holds(store: SQLiteStore) -> None:
    stream = Stream("st", "e", turn=1)
    draft = build.event(stream, 1, "s", EventKind.LOG, "l", payload={"a": {"b": [1.5]}})
    draft.body.update({"zz_added_by_a_later_version": {"c": "}"}})
    store.append_drafts([draft])
    assert Frames(store).events(payload=True)["payload"].to_list() == ['{"a":{"b":[1.5]}}']


def test_an_extraction_is_a_row_with_exact_values(store: SQLiteStore, recorder: Recorder) -> None:
    step = recorder.start_step(recorder.start_engagement("w"), "qualify")
    schema = {"properties": {"values": {"type": "x" * 700}}}
    values = {"budget": 0.1 + 0.2, "cities": ["Ålesund"]}
    extraction = Extraction(schema_name="Need", json_schema=schema, values=values, confidence=0.1 + 0.7, valid=False)
    recorder.record_extraction(step, extraction)
    (row,) = Frames(store).extractions.to_dicts()
    assert (row["step_id"], row["schema_name"], row["confidence"], row["valid"]) == (step, "Need", 0.1 + 0.7, False)
    assert json.loads(row["values"]) == values


def test_usage_with_only_parts_counts_as_their_sum(store: SQLiteStore) -> None:
    stream = Stream("st", "e", turn=1)
    store.append_drafts(
        [
            build.step_started(stream, 1, "s", "a"),
            build.event(stream, 2, "s", EventKind.LLM_CALL, "gpt", tokens=(7, 3, 0, 1, 2, 3)),
        ]
    )
    (row,) = Frames(store).events().to_dicts()
    assert (row["prompt_tokens"], row["completion_tokens"], row["total_tokens"]) == (7, 3, 10)
    assert (row["cache_read_tokens"], row["cache_write_tokens"], row["reasoning_tokens"]) == (1, 2, 3)


def test_an_unreadable_body_does_not_take_the_others_with_it(tmp_path: Path) -> None:
    path = tmp_path / "t.db"
    store = SQLiteStore(path)
    recorder = Recorder(store)
    step = recorder.start_step(recorder.start_engagement("w"), "a")
    for payload in ({"a": 1}, {"b": 2}):
        recorder.record_event(step, EventKind.LOG, "l", payload=payload, error="boom")
    assert recorder.flush()
    damaged = b'{"@payload":{"a":1},"error":"\xff\xfe'
    with sqlite3.connect(path) as connection:
        tables = [name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        (log,) = [name for name in tables if name in ("record", "log")]
        connection.execute(f"UPDATE {log} SET body = ? WHERE seq = 3", (damaged,))
    connection.close()
    frame = Frames(store).events(payload=True)
    assert frame["payload"].to_list() == [None, '{"b":2}']
    assert frame["error"].to_list() == [None, "boom"]


# --- transitions ---


def moves(store: SQLiteStore) -> list[tuple[str | None, str | None, str]]:
    return list(Frames(store).transitions.select("from_name", "to_name", "kind").iter_rows())


def test_transitions_follow_what_caused_each_step(store: SQLiteStore, recorder: Recorder) -> None:
    engagement = recorder.start_engagement("w")
    a = recorder.start_step(engagement, "a")
    b = recorder.start_step(engagement, "b", triggers=[a], routes={a: "send"})
    c = recorder.start_step(engagement, "c", triggers=[a], routes={a: "conditional"})
    d = recorder.start_step(engagement, "d", triggers=[b, c], routes={b: "join", c: "join"})
    recorder.start_step(engagement, "a", triggers=[d])
    recorder.end_engagement(engagement)
    assert moves(store) == [
        (None, "a", "static"),
        ("a", "b", "send"),
        ("a", "c", "conditional"),
        ("b", "d", "join"),
        ("c", "d", "join"),
        ("d", "a", "static"),
        ("a", None, "static"),
    ]


def test_steps_without_causes_follow_their_order(store: SQLiteStore, recorder: Recorder) -> None:
    for names in ("abca", "b"):
        engagement = recorder.start_engagement("w")
        for name in names:
            step = recorder.start_step(engagement, name)
            recorder.start_step(engagement, "inner", parent=step)
        recorder.end_engagement(engagement)
    assert moves(store) == [
        (None, "a", "static"),
        ("a", "b", "static"),
        ("b", "c", "static"),
        ("c", "a", "static"),
        ("a", None, "static"),
        (None, "b", "static"),
        ("b", None, "static"),
    ]


def test_the_same_step_ids_in_two_engagements_are_not_mixed(store: SQLiteStore) -> None:
    for engagement, (first, second) in {"e1": ("a", "b"), "e2": ("c", "d")}.items():
        stream = Stream(f"st-{engagement}", engagement, turn=1)
        store.append_drafts(
            [
                build.step_started(stream, 1, "s1", first),
                build.step_started(stream, 2, "s2", second, triggers=["s1"]),
                build.engagement_ended(stream, 3, EngagementStatus.COMPLETED),
            ]
        )
    assert [pair[:2] for pair in moves(store)] == [
        (None, "a"),
        ("a", "b"),
        ("b", None),
        (None, "c"),
        ("c", "d"),
        ("d", None),
    ]


def test_a_resume_is_neither_rework_nor_a_new_start(store: SQLiteStore, recorder: Recorder) -> None:
    engagement = recorder.start_engagement("w")
    a = recorder.start_step(engagement, "a")
    ask = recorder.start_step(engagement, "ask", triggers=[a])
    recorder.end_step(ask, StepStatus.WAITING)
    recorder.set_engagement_status(engagement, EngagementStatus.PAUSED)
    recorder.set_engagement_status(engagement, EngagementStatus.ACTIVE)
    again = recorder.start_step(engagement, "ask", attempt=2, triggers=[a], routes={ask: "resume"})
    recorder.start_step(engagement, "b", triggers=[again])
    recorder.end_engagement(engagement)
    assert moves(store) == [
        (None, "a", "static"),
        ("a", "ask", "static"),
        ("ask", "ask", "resume"),
        ("ask", "b", "static"),
        ("b", None, "static"),
    ]


def test_a_new_turn_goes_on_from_the_turn_before(store: SQLiteStore, recorder: Recorder) -> None:
    engagement = recorder.start_engagement("w")
    a = recorder.start_step(engagement, "a")
    recorder.start_step(engagement, "b", triggers=[a])
    recorder.end_engagement(engagement)
    recorder.start_step(engagement, "a")
    recorder.end_engagement(engagement)
    assert moves(store) == [
        (None, "a", "static"),
        ("a", "b", "static"),
        ("b", "a", "resume"),
        ("a", None, "static"),
    ]


def test_an_engagement_that_runs_has_no_end_yet(store: SQLiteStore, recorder: Recorder) -> None:
    recorder.start_step(recorder.start_engagement("w"), "a")
    assert moves(store) == [(None, "a", "static")]


def test_a_cause_that_was_lost_is_kept_without_its_name(store: SQLiteStore, recorder: Recorder) -> None:
    engagement = recorder.start_engagement("w")
    recorder.start_step(engagement, "b", triggers=['lost "id\\'])
    row = Frames(store).transitions.row(0, named=True)
    assert (row["from_step_id"], row["from_name"], row["to_name"]) == ('lost "id\\', "(unknown)", "b")


def test_kinds_are_found_for_ids_that_need_escaping(store: SQLiteStore) -> None:
    stream = Stream("st", "e", turn=1)
    odd = 'a":"send","b\\'
    store.append_drafts(
        [
            build.step_started(stream, 1, odd, "a"),
            build.step_started(stream, 2, "s2", "b", triggers=[odd], routes={odd: "goto", "x": "send"}),
        ]
    )
    assert ("a", "b", "goto") in moves(store)


def test_frames_of_a_thousand_engagements_take_no_time_worth_a_loop(store: SQLiteStore) -> None:
    """Two seconds are far more than it takes, also on a busy machine; folding them one by one takes longer."""
    drafts = []
    for i in range(1_000):
        stream = Stream(f"st{i}", f"e{i}", turn=1)
        drafts.append(build.engagement_started(stream, i, "w", metadata={"user_id": f"u{i}"}))
        for k in range(5):
            drafts.append(build.step_started(stream, i + k, f"s{k}", f"node{k}"))
            drafts.append(build.event(stream, i + k, f"s{k}", EventKind.LLM_CALL, "m", tokens=(1, 1, 2, 0, 0, 0)))
    store.append_drafts(drafts)
    began = time.process_time()
    frames = Frames(store)
    heights = (frames.engagements().height, frames.steps.height, frames.events().height, frames.transitions.height)
    assert heights == (1_000, 5_000, 5_000, 5_000)
    assert time.process_time() - began < 2.0


def test_pandas_on_request(store: SQLiteStore, recorder: Recorder) -> None:
    recorder.start_step(recorder.start_engagement("w"), "a")
    frame: Any = ftnb.open(store, frames="pandas").steps()
    assert type(frame).__module__.startswith("pandas")
    assert list(frame["name"]) == ["a"]
    assert str(frame["started_at"].dt.tz) == "UTC"
