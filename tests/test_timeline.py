from __future__ import annotations

from datetime import timedelta

import pytest

from ftnb.core.model import Engagement, EventKind, Step, StepEvent
from ftnb.timeline import build_timeline
from tests.widget import traces
from tests.widget.traces import T0, at


def test_lanes_keep_visit_attempt_and_turn() -> None:
    lanes = build_timeline(traces.paused()).lanes
    assert [(lane.name, lane.visit, lane.attempt, lane.turn) for lane in lanes] == [
        ("greet", 1, 1, 1),
        ("qualify", 1, 1, 1),
        ("qualify", 1, 2, 2),
        ("escalate", 1, 1, 2),
    ]


def test_parallel_steps_overlap_and_simultaneous_ones_keep_their_order() -> None:
    engagement = Engagement(name="e", started_at=T0)
    for name in ("b", "a", "c"):
        engagement.steps.append(Step(engagement_id=engagement.id, name=name, started_at=at(5), duration_ms=10))
    lanes = build_timeline(engagement).lanes
    assert [(lane.name, lane.offset_ms) for lane in lanes] == [("b", 5), ("a", 5), ("c", 5)]


def test_marks_point_at_their_events_and_carry_errors() -> None:
    engagement = traces.house(fail=True)
    marks = build_timeline(engagement).lanes[-1].events
    assert [mark.event_id for mark in marks] == [event.id for event in engagement.steps[-1].events]
    assert [mark.error for mark in marks] == [None, "listing 2 has no price"]
    assert marks[0].ttft_ms == 37.5


def test_the_span_covers_what_lies_after_the_last_step() -> None:
    engagement = Engagement(name="e", started_at=T0, ended_at=at(40))
    step = Step(engagement_id=engagement.id, name="s", started_at=T0, duration_ms=10)
    engagement.steps.append(step)
    assert build_timeline(engagement).total_ms == 40
    step.events.append(StepEvent(step_id=step.id, kind=EventKind.LOG, name="late", ts=at(90), duration_ms=5))
    assert build_timeline(engagement).total_ms == 95


def test_a_naive_time_counts_as_utc() -> None:
    engagement = Engagement(name="e", started_at=T0.replace(tzinfo=None))
    engagement.steps.append(Step(engagement_id=engagement.id, name="s", started_at=T0 + timedelta(seconds=1)))
    assert build_timeline(engagement).lanes[0].offset_ms == pytest.approx(1000)


def test_an_end_before_the_start_is_no_negative_duration() -> None:
    engagement = Engagement(name="e", started_at=T0)
    engagement.steps.append(Step(engagement_id=engagement.id, name="s", started_at=at(9), ended_at=at(2)))
    assert build_timeline(engagement).lanes[0].duration_ms == 0
