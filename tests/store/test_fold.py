"""A trace folds to the same tree whatever is missing, and says what was."""

from __future__ import annotations

import pytest

from ftnb.core.model import EngagementStatus, EventKind, StepEvent, StepStatus, TokenUsage, Topology
from ftnb.store.reconstruct import fold
from ftnb.store.records import (
    BaseRecord,
    EngagementEnded,
    EngagementLabelled,
    EngagementStarted,
    EngagementStatusChanged,
    EventRecorded,
    GapRecorded,
    StepEnded,
    StepStarted,
)


def _whole() -> list[BaseRecord]:
    event = StepEvent(step_id="s1", kind=EventKind.LLM_CALL, name="m", tokens=TokenUsage(prompt=3, completion=2))
    records: list[BaseRecord] = [
        EngagementStarted(engagement_id="e", name="chat", metadata={"user_id": "u"}),
        StepStarted(engagement_id="e", step_id="s1", name="plan"),
        EventRecorded(engagement_id="e", event=event),
        StepEnded(engagement_id="e", step_id="s1", name="plan", duration_ms=5),
        EngagementEnded(engagement_id="e"),
    ]
    for n, record in enumerate(records):
        record.stream_id, record.n, record.turn = "s", n, 1
    return records


def test_a_whole_trace_has_no_gaps() -> None:
    assert fold(_whole()).gaps == []


@pytest.mark.parametrize("lost", range(4))
def test_any_lost_record_is_told_and_the_rest_is_kept(lost: int) -> None:
    records = _whole()
    del records[lost]
    eng = fold(records)
    reasons = {gap.reason for gap in eng.gaps}
    assert "missing_records" in reasons
    assert ("missing_start" in reasons) == (lost == 0)
    assert ("missing_step" in reasons) == (lost == 1)
    assert eng.id == "e"
    assert [step.name for step in eng.steps] == ["plan"]
    assert eng.total_tokens == (0 if lost == 2 else 5)
    assert eng.status is EngagementStatus.COMPLETED


def test_a_step_known_only_by_its_event_gets_its_name_later() -> None:
    event = EventRecorded(engagement_id="e", event=StepEvent(step_id="s1", kind=EventKind.LOG, name="x"))
    alone = fold([event])
    assert alone.steps[0].name == "(unknown)"
    assert alone.steps[0].events[0].name == "x"
    assert fold([event, StepEnded(engagement_id="e", step_id="s1", name="plan")]).steps[0].name == "plan"


def test_no_records_is_an_error() -> None:
    with pytest.raises(ValueError, match="no records"):
        fold([])


def test_recorded_losses_are_shown() -> None:
    eng = fold([*_whole(), GapRecorded(engagement_id="e", reason="queue_full", count=7)])
    assert [(gap.reason, gap.count) for gap in eng.gaps] == [("queue_full", 7)]


def test_visits_are_counted_by_name_and_namespace() -> None:
    starts = [("a", ""), ("b", ""), ("a", ""), ("a", "sub")]
    eng = fold(StepStarted(engagement_id="e", step_id=str(i), name=n, ns=ns) for i, (n, ns) in enumerate(starts))
    assert [(step.name, step.ns, step.visit) for step in eng.steps] == [
        ("a", "", 1),
        ("b", "", 1),
        ("a", "", 2),
        ("a", "sub", 1),
    ]


def test_a_later_turn_reopens_an_ended_engagement() -> None:
    ended = [*_whole()[:-1], EngagementEnded(engagement_id="e", status=EngagementStatus.ABANDONED, dropped_at="plan")]
    ended[-1].stream_id, ended[-1].n, ended[-1].turn = "s", 4, 1
    assert fold(ended).dropped_at == "plan"
    again = fold([*ended, StepStarted(engagement_id="e", step_id="s2", name="plan", stream_id="t", n=0, turn=2)])
    assert again.status is EngagementStatus.ACTIVE
    assert again.ended_at is None
    assert again.dropped_at is None
    assert again.n_turns == 2
    assert [step.turn for step in again.steps] == [1, 2]


def test_order_is_turn_then_stream_whatever_the_order_of_arrival() -> None:
    def start(step_id: str, turn: int, stream: str, n: int) -> BaseRecord:
        return StepStarted(engagement_id="e", step_id=step_id, name="x", turn=turn, stream_id=stream, n=n)

    mixed = [start("c", 2, "t2", 0), start("a", 1, "t1", 0), start("d", 2, "t2", 1), start("b", 1, "t1", 1)]
    assert [step.id for step in fold(mixed).steps] == ["a", "b", "c", "d"]


def test_work_before_a_pause_is_kept_and_left_out_of_totals() -> None:
    records = _whole()[:-2]
    records.append(StepEnded(engagement_id="e", step_id="s1", name="plan", status=StepStatus.WAITING))
    records.append(EngagementStatusChanged(engagement_id="e", status=EngagementStatus.PAUSED))
    given = records[2]
    eng = fold(records)
    assert eng.status is EngagementStatus.PAUSED
    assert eng.total_tokens == 0
    assert eng.steps[0].discarded_tokens == 5
    assert isinstance(given, EventRecorded)
    assert not given.event.discarded  # the caller's records are not changed


def test_labels_merge() -> None:
    label = EngagementLabelled(engagement_id="e", name="better", metadata={"b": 2}, goal_nodes=["done"])
    eng = fold([*_whole(), label, EngagementLabelled(engagement_id="e", metadata={"c": 3}, topology=Topology())])
    assert eng.name == "better"
    assert eng.metadata == {"user_id": "u", "b": 2, "c": 3}
    assert eng.goal_nodes == ["done"]
