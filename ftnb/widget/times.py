"""When the steps of one engagement ran, as numbers for drawing. Pure.

Times are milliseconds since the first step: what went before it (imports, a queue) is no part of the picture.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from ..core.model import Engagement, EngagementStatus, Step
from ..timeline import offset_ms, span_ms, step_duration_ms

_IDLE_MIN_MS = 1_000.0
_IDLE_SHARE = 0.25
"""A pause is drawn short when it is longer than this share of all the time in which steps ran."""


@dataclass(frozen=True)
class Times:
    """Per step of the engagement, in recorded order."""

    start: datetime
    """The moment from which everything counts."""
    offsets: list[float]
    durations: list[float]
    order: list[int]
    """Steps by their start; equal starts keep the recorded order."""
    total_ms: float
    """From the first step to the last thing known to have happened."""
    whole_ms: float
    """The same from the start of the engagement."""

    def at(self, moment: datetime) -> float:
        """Milliseconds since the first step."""
        return round(offset_ms(moment, self.start), 3)


def times_of(engagement: Engagement) -> Times:
    """The times of `engagement`."""
    steps = engagement.steps
    start = engagement.started_at
    raw = [offset_ms(step.started_at, start) for step in steps]
    first = min(range(len(raw)), key=raw.__getitem__) if raw else None
    origin = raw[first] if first is not None else 0.0
    whole = span_ms(engagement)
    offsets = [round(offset - origin, 3) for offset in raw]
    return Times(
        start=start if first is None else steps[first].started_at,
        offsets=offsets,
        durations=[round(step_duration_ms(step), 3) for step in steps],
        order=sorted(range(len(steps)), key=offsets.__getitem__),
        total_ms=round(max(whole - origin, 0.0), 3),
        whole_ms=round(whole, 3),
    )


def find_idle(spans: Iterable[tuple[float, float]]) -> list[list[float]]:
    """Stretches `[from, to]` in ms between the spans `(from, to)` that are long beside the work."""
    gaps, busy, reach = [], 0.0, None
    for start, end in sorted(spans):
        if reach is None:
            reach = start
        elif start > reach:
            gaps.append([reach, start])
        busy += max(end - max(start, reach), 0.0)
        reach = max(reach, end)
    least = max(_IDLE_MIN_MS, busy * _IDLE_SHARE)
    return [[round(start, 3), round(end, 3)] for start, end in gaps if end - start > least]


def find_waits(engagement: Engagement, times: Times) -> list[list[float]]:
    """Stretches `[from, to]` in ms between the last step of a turn and the first of the next: it was a human's move."""
    first: dict[int, float] = {}
    last: dict[int, float] = {}
    for step, offset, duration in zip(engagement.steps, times.offsets, times.durations, strict=True):
        first[step.turn] = min(first.get(step.turn, offset), offset)
        last[step.turn] = max(last.get(step.turn, offset), offset + duration)
    waits, reach = [], None
    for turn in sorted(first):
        if reach is not None and first[turn] > reach:
            waits.append([round(reach, 3), first[turn]])
        reach = last[turn] if reach is None else max(reach, last[turn])
    return waits


def idle_of(engagement: Engagement, times: Times) -> list[list[float]]:
    """What of `engagement` is drawn short."""
    if engagement.status is EngagementStatus.ACTIVE and len(engagement.steps) < 2:
        return []
    spans = [(a, a + d) for a, d in zip(times.offsets, times.durations, strict=True)]
    # The time after the last step (a kernel that was left open) is idle too; a run that goes on has no end yet.
    end = [] if engagement.status is EngagementStatus.ACTIVE or not spans else [(times.total_ms, times.total_ms)]
    return find_idle([*spans, *end])


def is_open(step: Step) -> bool:
    """Its end is not known."""
    return step.status.value == "running" and step.ended_at is None and step.duration_ms is None


def n_events(steps: Sequence[Step]) -> int:
    """Events of all steps."""
    return sum(len(step.events) for step in steps)
