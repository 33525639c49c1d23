"""Frames are computed by columns and engagements by folding records: both must tell the same story."""

from __future__ import annotations

import json
from collections import Counter
from datetime import timedelta
from typing import Any

import polars as pl
from hypothesis import given, settings
from hypothesis import strategies as st

from ftnb.core.canonical import from_json
from ftnb.core.ids import from_us
from ftnb.core.model import (
    Annotation,
    Engagement,
    EngagementStatus,
    EventKind,
    Extraction,
    IntentSwitch,
    StepEvent,
    StepStatus,
    TokenUsage,
)
from ftnb.frames import Frames
from ftnb.store.records import (
    AnnotationRecorded,
    EngagementEnded,
    EngagementLabelled,
    EngagementStarted,
    EngagementStatusChanged,
    EventRecorded,
    ExtractionRecorded,
    GapRecorded,
    IntentSwitched,
    Record,
    StepEnded,
    StepStarted,
)
from ftnb.store.sqlite import SQLiteStore

MS = timedelta(milliseconds=1)
T0 = 1_700_000_000_000_000

times = st.integers(0, 5_000_000).map(lambda us: from_us(T0 + us))
names = st.sampled_from(["greet", "search", "naïve \U0001f600", 'quote"\\', "n" * 250, "error", ""])
texts = st.none() | st.sampled_from(["boom", '{"error": 1}', "null", "ünï\ncode", "x" * 700])
durations = st.none() | st.sampled_from([0.0, 1.5, 12.345])
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20) | st.just("y" * 600),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
objects = st.dictionaries(
    st.sampled_from(["error", "name", "user_id", "a.b", "metadata", "values"]), values, max_size=4
)
step_ids = st.sampled_from(["s1", "s2", "s3", "s4", "s5"])
tokens = st.none() | st.builds(
    TokenUsage,
    prompt=st.integers(0, 50),
    completion=st.integers(0, 50),
    total=st.integers(0, 99),
    cache_read=st.integers(0, 9),
)
common: dict[str, Any] = {
    # The same step ids in two engagements: a join on step_id alone would mix them.
    "engagement_id": st.sampled_from(["e1", "e2"]),
    "ts": times,
    "turn": st.sampled_from([None, 1, 1, 2, 3]),
}
records: st.SearchStrategy[Record] = st.one_of(
    st.builds(EngagementStarted, **common, name=names, metadata=objects, parent_id=st.sampled_from([None, "p"])),
    st.builds(EngagementLabelled, **common, name=st.none() | names, metadata=objects),
    st.builds(
        StepStarted,
        **common,
        step_id=step_ids,
        name=names,
        ns=st.sampled_from(["", "", "sub"]),
        visit=st.sampled_from([None, None, 1, 2, 7]),
        attempt=st.sampled_from([1, 1, 2]),
        is_global=st.booleans(),
        parent_step_id=st.none() | step_ids,
        tools=st.lists(st.sampled_from(["t1", 'to"ol']), max_size=2),
        triggers=st.lists(step_ids, max_size=2, unique=True),
    ),
    st.builds(
        EventRecorded,
        **common,
        event=st.builds(
            StepEvent,
            step_id=step_ids,
            kind=st.sampled_from(EventKind),
            name=names,
            ts=times,
            duration_ms=durations,
            ttft_ms=durations,
            payload=objects,
            error=texts,
            tokens=tokens,
            model=st.none() | st.just("gpt"),
            subtype=st.none() | st.just("retriever"),
            error_type=st.none() | st.just("ValueError"),
            discarded=st.sampled_from([False, False, True]),
        ),
    ),
    st.builds(
        StepEnded,
        **common,
        step_id=step_ids,
        status=st.sampled_from(StepStatus),
        ended_at=times,
        duration_ms=durations,
        name=names,
        error=texts,
        error_type=st.none() | st.just("KeyError"),
    ),
    st.builds(EngagementStatusChanged, **common, status=st.sampled_from(["paused", "active", "paused", "completed"])),
    st.builds(
        EngagementEnded,
        **common,
        status=st.sampled_from([s for s in EngagementStatus if s != "active"]),
        ended_at=times,
        dropped_at=st.none() | names,
        error=texts,
    ),
    st.builds(
        ExtractionRecorded,
        **common,
        step_id=step_ids,
        extraction=st.builds(
            Extraction,
            schema_name=names,
            json_schema=objects,
            values=objects,
            confidence=st.none() | st.floats(0, 1),
            valid=st.booleans(),
        ),
    ),
    st.builds(
        AnnotationRecorded,
        **common,
        annotation=st.builds(
            Annotation,
            label=names.filter(bool),
            value=st.booleans() | st.integers(-5, 5) | st.floats(allow_nan=False, allow_infinity=False) | names,
            by=st.none() | names,
            note=texts,
            step_id=st.none() | step_ids,
            ts=times,
        ),
    ),
    st.builds(
        IntentSwitched,
        **common,
        intent_switch=st.builds(
            IntentSwitch, to_step=names, reason=st.sampled_from(["", "why"]), from_step=st.none() | names, ts=times
        ),
    ),
    st.builds(GapRecorded, **common, reason=st.just("queue_full")),
)


@given(log=st.lists(records, max_size=25), purged=st.booleans())
@settings(max_examples=200)
def test_random_logs_give_frames_equal_to_the_fold(log: list[Record], purged: bool) -> None:
    store = SQLiteStore()
    for record in log:
        store.append(record)
    if purged:
        store.purge("e1")
    frames = Frames(store)
    folded = [store.get_engagement(summary.id) for summary in store.list_engagements()]
    assert frames.engagements()["engagement_id"].to_list() == [engagement.id for engagement in folded]
    for engagement in folded:
        _check_engagement(frames.engagements(), engagement)
        _check_steps(frames.steps, engagement)
        _check_events(frames.events(payload=True), engagement)
        _check_switches(frames.intent_switches, engagement)
        _check_annotations(frames.annotations, engagement)
        # One engagement's frames are the same as its part of all.
        alone = Frames(store, engagement.id)
        assert alone.steps.equals(_of(frames.steps, engagement.id))
        assert alone.transitions.equals(_of(frames.transitions, engagement.id))
    store.close()


@given(
    moves=st.lists(
        st.tuples(st.sampled_from(["e1", "e2", "e3"]), st.sampled_from("steve"), st.integers(0, 4)), max_size=30
    )
)
@settings(max_examples=60)
def test_steps_that_run_at_once_in_engagements_that_run_at_once(moves: list[tuple[str, str, int]]) -> None:
    """Every step has one start, before all else of it, as recorders write; most logs are so, and are read quicker."""
    store = SQLiteStore()
    begun: dict[str, list[str]] = {}
    for at, (engagement, move, which) in enumerate(moves):
        known = begun.setdefault(engagement, [])
        told: dict[str, Any] = {"engagement_id": engagement, "ts": from_us(T0 + at)}
        if move == "s" or not known:
            known.append(f"{engagement}-{len(known)}")
            store.append(StepStarted(**told, step_id=known[-1], name="search"))
            continue
        step_id = known[-1 - which % len(known)]
        if move == "e":
            ended = {"ended_at": from_us(T0 + at), "duration_ms": float(at)}
            store.append(StepEnded(**told, step_id=step_id, status=StepStatus.COMPLETED, **ended))
        elif move == "t":
            store.append(EngagementStatusChanged(**told, status="paused"))
        else:
            usage = TokenUsage(prompt=which, completion=1, total=which + 1)
            event = StepEvent(step_id=step_id, kind=EventKind.LLM_CALL, name="m", ts=from_us(T0 + at), tokens=usage)
            store.append(EventRecorded(**told, event=event))
    frames = Frames(store)
    for summary in store.list_engagements():
        folded = store.get_engagement(summary.id)
        _check_engagement(frames.engagements(), folded)
        _check_steps(frames.steps, folded)
        _check_events(frames.events(payload=True), folded)
    store.close()


def _of(frame: pl.DataFrame, engagement_id: str) -> pl.DataFrame:
    return frame.filter(pl.col("engagement_id") == engagement_id)


def _check_engagement(frame: pl.DataFrame, engagement: Engagement) -> None:
    (row,) = _of(frame, engagement.id).to_dicts()
    ended = engagement.ended_at
    expected = {
        "name": engagement.name,
        "status": engagement.status.value,
        "started_at": engagement.started_at,
        "ended_at": ended,
        "duration_ms": None if ended is None else max((ended - engagement.started_at) / MS, 0.0),
        "n_turns": engagement.n_turns,
        "n_steps": len(engagement.steps),
        "total_tokens": engagement.total_tokens,
        "dropped_at": engagement.dropped_at,
        "parent_id": engagement.parent_id,
        "error": engagement.error,
    }
    assert {name: row[name] for name in expected} == expected
    assert from_json(json.loads(row["metadata"])) == engagement.metadata


def _check_steps(frame: pl.DataFrame, engagement: Engagement) -> None:
    expected = [
        {
            "step_id": step.id,
            "name": step.name,
            "ns": step.ns,
            "visit": step.visit,
            "attempt": step.attempt,
            "turn": step.turn,
            "status": step.status.value,
            "is_global": step.is_global,
            "parent_step_id": step.parent_step_id,
            "triggers": step.triggers,
            "tools_available": step.tools_available,
            "started_at": step.started_at,
            "ended_at": step.ended_at,
            "duration_ms": step.duration_ms,
            "total_tokens": step.total_tokens,
            "discarded_tokens": step.discarded_tokens,
            "n_events": len(step.events),
            "error": step.error,
            "error_type": step.error_type,
        }
        for step in engagement.steps
    ]
    rows = _of(frame, engagement.id).to_dicts()
    assert [{name: row[name] for name in row if name != "engagement_id"} for row in rows] == [
        {name: step[name] for name in frame.columns if name != "engagement_id"} for step in expected
    ]


def _check_events(frame: pl.DataFrame, engagement: Engagement) -> None:
    # Steps that share an id (a doubled start) cannot be told apart in events: compare as a whole.
    rows = _of(frame, engagement.id).to_dicts()
    found = {row["event_id"]: row for row in rows}
    events = [event for step in engagement.steps for event in step.events]
    assert Counter(row["event_id"] for row in rows) == Counter(event.id for event in events)
    for event in events:
        row = found[event.id]
        usage = event.tokens
        expected = {
            "step_id": event.step_id,
            "kind": event.kind.value,
            "name": event.name,
            "at": event.ts,
            "duration_ms": event.duration_ms,
            "ttft_ms": event.ttft_ms,
            "model": event.model,
            "prompt_tokens": usage and usage.prompt,
            "completion_tokens": usage and usage.completion,
            "total_tokens": usage and usage.total,
            "cache_read_tokens": usage and usage.cache_read,
            "error": event.error,
            "error_type": event.error_type,
            "subtype": event.subtype,
            "discarded": event.discarded,
        }
        assert {name: row[name] for name in expected} == expected
        assert (from_json(json.loads(row["payload"])) if row["payload"] else {}) == event.payload


def _check_switches(frame: pl.DataFrame, engagement: Engagement) -> None:
    rows = _of(frame, engagement.id).to_dicts()
    assert [(row["from_step"], row["to_step"], row["reason"], row["at"]) for row in rows] == [
        (switch.from_step, switch.to_step, switch.reason, switch.ts) for switch in engagement.intent_switches
    ]


def _check_annotations(frame: pl.DataFrame, engagement: Engagement) -> None:
    rows = frame.filter(pl.col("engagement_id") == engagement.id).select(
        "step_id", "label", "value", "text", "by", "note", "at"
    )
    expected = [
        (
            made.step_id, made.label, None if isinstance(made.value, str) else float(made.value),
            made.value if isinstance(made.value, str) else None, made.by, made.note, made.ts,
        )
        for made in engagement.annotations
    ]  # fmt: skip
    assert rows.rows() == expected
