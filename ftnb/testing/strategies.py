"""Hypothesis strategies: any value that can be recorded, records of every type, and whole runs."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import strategies as st

from ..core.model import (
    Annotation,
    EngagementStatus,
    EventKind,
    Extraction,
    IntentSwitch,
    StepEvent,
    StepStatus,
    TokenUsage,
)
from ..store.records import (
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

_LEAVES = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.text(st.characters(), max_size=20)  # lone surrogates and NUL included
    | st.integers(600, 700).map(lambda n: "ab" * n)  # large enough to be stored by reference
    | st.binary(max_size=40)
    | st.datetimes()
    | st.uuids()
)
_KEYS = st.text(st.characters(), max_size=8) | st.just("$ftnb")


def values() -> st.SearchStrategy[Any]:
    """Any value that comes back from a store equal to what was given."""
    return st.recursive(
        _LEAVES,
        lambda inner: st.lists(inner, max_size=6) | st.dictionaries(_KEYS, inner, max_size=4) | st.tuples(inner, inner),
        max_leaves=12,
    )


def payloads() -> st.SearchStrategy[dict[str, Any]]:
    """What an event carries."""
    return st.dictionaries(_KEYS, values(), max_size=3)


def names() -> st.SearchStrategy[str]:
    """Names of engagements, steps and tools: plain, long and odd ones."""
    return st.sampled_from(["search", "qualify", "it's", 'say "hi"', "n" * 300]) | st.text(st.characters(), max_size=12)


def metadata() -> st.SearchStrategy[dict[str, Any]]:
    """Engagement metadata, with keys that repeat, so that `where` finds something."""
    return st.dictionaries(
        st.sampled_from(["user", "k", "a'b"]), st.sampled_from([None, 1, True, "1", [1, 2]]), max_size=3
    )


def times() -> st.SearchStrategy[datetime]:
    """Times of one day, in microseconds, UTC; in no order, as clocks are."""
    begin = datetime(2026, 1, 2, tzinfo=UTC)
    return st.integers(0, 86_400_000_000).map(lambda us: begin + timedelta(microseconds=us))


def milliseconds() -> st.SearchStrategy[float | None]:
    """Durations that whole microseconds can hold."""
    return st.none() | st.integers(0, 10**9).map(lambda us: us / 1000)


def tokens() -> st.SearchStrategy[TokenUsage | None]:
    """Token counts, or none."""
    count = st.integers(0, 10**6)
    return st.none() | st.builds(TokenUsage, prompt=count, completion=count, total=st.integers(1, 10**6))


@st.composite
def records(draw: st.DrawFn, engagement_ids: st.SearchStrategy[str], step_ids: st.SearchStrategy[str]) -> Record:
    """A record of any type, on its own: its engagement or step may never have begun."""
    kind = draw(st.sampled_from(list(_FIELDS)))
    base: dict[str, Any] = {"engagement_id": draw(engagement_ids), "ts": draw(times())}
    record: Record = kind(**base, **_FIELDS[kind](draw, draw(step_ids), base["ts"]))
    return record


@st.composite
def events(draw: st.DrawFn, step_id: str, at: datetime) -> StepEvent:
    """An event of any kind."""
    return StepEvent(
        step_id=step_id,
        kind=draw(st.sampled_from(list(EventKind))),
        name=draw(names()),
        ts=at,
        duration_ms=draw(milliseconds()),
        payload=draw(payloads()),
        error=draw(st.none() | names()),
        tokens=draw(tokens()),
        model=draw(st.sampled_from([None, "m-1", "m-2"])),
        ttft_ms=draw(milliseconds()),
    )


@st.composite
def judgements(draw: st.DrawFn, step_id: str, at: datetime) -> Annotation:
    """A judgement of any kind, of the engagement or of that step."""
    return Annotation(
        label=draw(names()),
        value=draw(st.booleans() | st.integers(-9, 9) | st.floats(allow_nan=False) | names()),
        by=draw(st.none() | names()),
        note=draw(st.none() | names()),
        step_id=draw(st.sampled_from([None, step_id])),
        ts=at,
    )


_ENDS = [EngagementStatus.COMPLETED, EngagementStatus.FAILED, EngagementStatus.ABANDONED]
_FIELDS: dict[type[Any], Callable[[st.DrawFn, str, datetime], dict[str, Any]]] = {
    EngagementStarted: lambda draw, step, at: {
        "name": draw(names()), "metadata": draw(metadata()), "goal_nodes": draw(st.lists(names(), max_size=2))
    },
    EngagementLabelled: lambda draw, step, at: {
        "name": draw(st.none() | names().filter(bool)), "metadata": draw(metadata())
    },
    EngagementStatusChanged: lambda draw, step, at: {
        "status": draw(st.sampled_from([EngagementStatus.PAUSED, EngagementStatus.ACTIVE]))
    },
    EngagementEnded: lambda draw, step, at: {
        "ended_at": at, "status": draw(st.sampled_from(_ENDS)), "error": draw(st.none() | names())
    },
    StepStarted: lambda draw, step, at: {
        "step_id": step, "name": draw(names()), "tools": draw(st.lists(names(), max_size=2))
    },
    StepEnded: lambda draw, step, at: {
        "step_id": step, "ended_at": at, "status": draw(st.sampled_from(list(StepStatus)[1:])),
        "duration_ms": draw(milliseconds()),
    },
    EventRecorded: lambda draw, step, at: {"event": draw(events(step, at))},
    ExtractionRecorded: lambda draw, step, at: {
        "step_id": step, "extraction": Extraction(schema_name="S", values=draw(payloads()))
    },
    IntentSwitched: lambda draw, step, at: {
        "intent_switch": IntentSwitch(to_step=draw(names()), reason="r", ts=at)
    },
    AnnotationRecorded: lambda draw, step, at: {"annotation": draw(judgements(step, at))},
    GapRecorded: lambda draw, step, at: {"reason": "queue_full", "count": draw(st.integers(1, 9))},
}  # fmt: skip


@st.composite
def runs(draw: st.DrawFn, engagement_id: str) -> list[Record]:
    """The records of one whole engagement, in order."""
    made: list[Record] = [EngagementStarted(engagement_id=engagement_id, name=draw(names()), metadata=draw(metadata()))]
    for place in range(draw(st.integers(0, 4))):
        step = f"{engagement_id}-{place}"
        at = draw(times())
        made.append(StepStarted(engagement_id=engagement_id, step_id=step, name=draw(names()), ts=at))
        n_events = draw(st.integers(0, 2))
        made += [EventRecorded(engagement_id=engagement_id, event=draw(events(step, at))) for _ in range(n_events)]
        made.append(StepEnded(engagement_id=engagement_id, step_id=step, ended_at=at))
    made.append(EngagementEnded(engagement_id=engagement_id))
    return made
