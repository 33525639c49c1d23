"""One engagement as lanes over time: a lane a step, a mark an event. Pure; knows no store and draws nothing."""

from __future__ import annotations

from datetime import datetime, timedelta

from pydantic import BaseModel, Field

from .core.model import Engagement, IntentSwitch, Step, StepEvent

_MS = timedelta(milliseconds=1)


class TimelineMark(BaseModel):
    """A point or a short stretch of time: an event inside a step, or an intent switch."""

    kind: str
    """An event kind (`llm_call`, `tool_call` ...), or `intent_switch`."""
    name: str
    offset_ms: float
    """From the engagement's start; negative when the clock said that it came before."""
    duration_ms: float = 0.0
    """0 when it was not measured."""
    event_id: str | None = None
    """The event or intent switch behind it."""
    error: str | None = None
    ttft_ms: float | None = None
    """From the mark's own start to the first streamed token."""
    discarded: bool = False


class TimelineLane(BaseModel):
    """One step."""

    step_id: str
    name: str
    is_global: bool = False
    status: str
    offset_ms: float
    """From the engagement's start."""
    duration_ms: float
    """0 for a step that has no measured duration and no end."""
    total_tokens: int = 0
    events: list[TimelineMark] = Field(default_factory=list)
    visit: int = 1
    attempt: int = 1
    turn: int = 1
    error: str | None = None


class TimelineView(BaseModel):
    """All lanes of an engagement, earliest first."""

    engagement_id: str
    total_ms: float
    """From the engagement's start to the last thing known to have happened in it."""
    total_tokens: int = 0
    lanes: list[TimelineLane] = Field(default_factory=list)
    intent_switches: list[TimelineMark] = Field(default_factory=list)


def build_timeline(engagement: Engagement) -> TimelineView:
    """The timeline of `engagement`; lanes that start together keep the order in which they were recorded."""
    start = engagement.started_at
    lanes = sorted((_lane(step, start) for step in engagement.steps), key=lambda lane: lane.offset_ms)
    switches = [_switch_mark(switch, start) for switch in engagement.intent_switches]
    return TimelineView(
        engagement_id=engagement.id,
        total_ms=span_ms(engagement),
        total_tokens=engagement.total_tokens,
        lanes=lanes,
        intent_switches=sorted(switches, key=lambda mark: mark.offset_ms),
    )


def _lane(step: Step, start: datetime) -> TimelineLane:
    return TimelineLane(
        step_id=step.id,
        name=step.name,
        is_global=step.is_global,
        status=step.status.value,
        offset_ms=offset_ms(step.started_at, start),
        duration_ms=step_duration_ms(step),
        total_tokens=step.total_tokens,
        events=[_event_mark(event, start) for event in step.events],
        visit=step.visit,
        attempt=step.attempt,
        turn=step.turn,
        error=step.error,
    )


def _event_mark(event: StepEvent, start: datetime) -> TimelineMark:
    return TimelineMark(
        kind=event.kind.value,
        name=event.name,
        offset_ms=offset_ms(event.ts, start),
        duration_ms=event.duration_ms or 0.0,
        event_id=event.id,
        error=event.error,
        ttft_ms=event.ttft_ms,
        discarded=event.discarded,
    )


def _switch_mark(switch: IntentSwitch, start: datetime) -> TimelineMark:
    name = f"{switch.from_step} → {switch.to_step}" if switch.from_step else f"→ {switch.to_step}"
    return TimelineMark(kind="intent_switch", name=name, offset_ms=offset_ms(switch.ts, start), event_id=switch.id)


def step_duration_ms(step: Step) -> float:
    """Measured, or by the clock; 0 for a step whose end is not known."""
    if step.duration_ms is not None:
        return step.duration_ms
    return max(offset_ms(step.ended_at, step.started_at), 0.0) if step.ended_at else 0.0


def span_ms(engagement: Engagement) -> float:
    """From the engagement's start to the last thing known to have happened in it."""
    start = engagement.started_at
    ends = [0.0]
    if engagement.ended_at:
        ends.append(offset_ms(engagement.ended_at, start))
    for step in engagement.steps:
        ends.append(offset_ms(step.started_at, start) + step_duration_ms(step))
        ends.extend(offset_ms(event.ts, start) + (event.duration_ms or 0.0) for event in step.events)
    ends.extend(offset_ms(switch.ts, start) for switch in engagement.intent_switches)
    return max(ends)


def offset_ms(moment: datetime, start: datetime) -> float:
    """Milliseconds from `start` to `moment`."""
    # A foreign trace may mix naive and aware times; a naive one is taken as UTC, as everywhere.
    if (moment.tzinfo is None) != (start.tzinfo is None):
        moment, start = moment.replace(tzinfo=None), start.replace(tzinfo=None)
    return (moment - start) / _MS
