"""What every engagement of a store is doing: counters kept record by record, for the monitor and for alerts."""

from __future__ import annotations

import time
from collections import deque
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from ..core.model import EngagementStatus, StepStatus
from ..store.records import (
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

_RATE_SECONDS = 10.0
SPARK_SECONDS = 2.0
SPARK_BARS = 30
"""The sparkline shows this many stretches of `SPARK_SECONDS`, the last one now."""


@dataclass
class StepActivity:
    """One step."""

    id: str
    name: str
    ns: str = ""
    visit: int = 1
    attempt: int = 1
    status: str = "running"
    duration_ms: float = 0.0
    tokens: int = 0
    n_failed_events: int = 0

    def values(self) -> dict[str, Any]:
        """As alerts know it."""
        known = ("name", "ns", "status", "duration_ms", "tokens", "visit", "attempt")
        return {**{f"step.{key}": getattr(self, key) for key in known}, "step.failed": self.status == "failed"}


@dataclass
class Activity:
    """One engagement, counted."""

    id: str
    name: str = "(unknown)"
    status: str = "active"
    started_at: datetime = field(default_factory=lambda: datetime.now(UTC))
    last_at: datetime = field(default_factory=lambda: datetime.now(UTC))
    ended_at: datetime | None = None
    metadata: dict[Any, Any] = field(default_factory=dict)
    turns: int = 1
    n_steps: int = 0
    tokens: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    errors: int = 0
    llm_calls: int = 0
    tool_calls: int = 0
    dropped: int = 0
    error: str | None = None
    last_step: str = ""
    seen: int = 0
    """The last seq that is counted."""
    open_steps: dict[str, StepActivity] = field(default_factory=dict)
    _visits: dict[tuple[str, str], int] = field(default_factory=dict)
    _recent: deque[tuple[float, int]] = field(default_factory=lambda: deque(maxlen=10_000))
    """When tokens came (monotonic), and how many."""
    _bars: deque[tuple[int, int]] = field(default_factory=lambda: deque(maxlen=SPARK_BARS))
    """Records by stretch of time."""

    def take(self, record: BaseRecord, *, is_live: bool = True) -> StepActivity | None:
        """Count one record; returns the step that it is about. Without `is_live`, no rate is touched."""
        self.last_at = max(self.last_at, record.ts) if is_live else record.ts
        self.turns = max(self.turns, record.turn or 1)
        if is_live:
            self._bar()
        if isinstance(record, StepStarted):
            return self._start(record)
        if isinstance(record, EventRecorded):
            return self._event(record, is_live)
        if isinstance(record, StepEnded):
            return self._end(record)
        if isinstance(record, EngagementStarted):
            self.name, self.metadata, self.started_at = record.name, dict(record.metadata), record.ts
        elif isinstance(record, EngagementLabelled):
            self.name = record.name or self.name
            self.metadata.update(record.metadata)
        elif isinstance(record, EngagementEnded):
            self.status, self.ended_at, self.error = record.status.value, record.ended_at, record.error
            self.open_steps.clear()
        elif isinstance(record, EngagementStatusChanged):
            self.status, self.ended_at = record.status.value, None
        elif isinstance(record, GapRecorded):
            self.dropped += record.count
        return None

    def _start(self, record: StepStarted) -> StepActivity:
        self.n_steps += 1
        if self.status != EngagementStatus.ACTIVE.value:
            self.status, self.ended_at, self.error = "active", None, None
        place = (record.ns, record.name)
        self._visits[place] = record.visit or self._visits.get(place, 0) + 1
        step = StepActivity(record.step_id, record.name, record.ns, self._visits[place], record.attempt)
        self.open_steps[step.id] = step
        self.last_step = step.name
        return step

    def _event(self, record: EventRecorded, is_live: bool) -> StepActivity | None:
        event = record.event
        step = self.open_steps.get(event.step_id)
        self.llm_calls += event.kind.value == "llm_call"
        self.tool_calls += event.kind.value == "tool_call"
        if event.error is not None:
            self.errors += 1
            if step is not None:
                step.n_failed_events += 1
        if event.tokens is not None:
            self.tokens += event.tokens.total
            self.prompt_tokens += event.tokens.prompt
            self.completion_tokens += event.tokens.completion
            if step is not None:
                step.tokens += event.tokens.total
            if is_live:
                self._recent.append((time.monotonic(), event.tokens.total))
        return step

    def _end(self, record: StepEnded) -> StepActivity:
        step = self.open_steps.pop(record.step_id, None) or StepActivity(record.step_id, record.name)
        step.status, step.duration_ms = record.status.value, record.duration_ms or 0.0
        if record.status is StepStatus.FAILED and not step.n_failed_events:
            self.errors += 1
        if record.status is StepStatus.WAITING:
            self.tokens -= step.tokens  # the resume does this work again, and counts it
        return step

    def _bar(self) -> None:
        now = int(time.monotonic() / SPARK_SECONDS)
        if self._bars and self._bars[-1][0] == now:
            self._bars[-1] = (now, self._bars[-1][1] + 1)
        else:
            self._bars.append((now, 1))

    def spark(self) -> list[int]:
        """Records in each of the last stretches of time, oldest first."""
        now = int(time.monotonic() / SPARK_SECONDS)
        counts = dict(self._bars)
        return [counts.get(now - ago, 0) for ago in range(SPARK_BARS - 1, -1, -1)]

    @property
    def tokens_per_s(self) -> float:
        """Over the last ten seconds."""
        since = time.monotonic() - _RATE_SECONDS
        return round(sum(n for at, n in list(self._recent) if at >= since) / _RATE_SECONDS, 2)

    @property
    def duration_ms(self) -> float:
        """From the start to the end, or until now."""
        until = self.ended_at or (self.last_at if self.status == "paused" else datetime.now(UTC))
        return max((until - self.started_at).total_seconds() * 1000, 0.0)

    def values(self) -> dict[str, Any]:
        """As alerts know it."""
        same = ("id", "name", "status", "tokens", "prompt_tokens", "completion_tokens", "errors", "llm_calls")
        more = ("tool_calls", "turns", "duration_ms", "dropped", "metadata", "tokens_per_s")
        idle = (datetime.now(UTC) - self.last_at).total_seconds() * 1000 if self.status == "active" else 0.0
        counted = {"steps": self.n_steps, "running": len(self.open_steps), "idle_ms": max(idle, 0.0)}
        return {**{key: getattr(self, key) for key in (*same, *more)}, **counted}


def event_values(record: EventRecorded) -> dict[str, Any]:
    """An event as alerts know it."""
    event = record.event
    return {
        "event.kind": event.kind.value,
        "event.name": event.name,
        "event.model": event.model,
        "event.duration_ms": event.duration_ms or 0.0,
        "event.tokens": event.tokens.total if event.tokens else 0,
        "event.failed": event.error is not None,
    }
