"""Clocks that are wrong: nothing goes early, order is by position, durations are measured without them."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

import ftnb
from ftnb.core.errors import InvalidArgumentError
from ftnb.core.model import EventKind
from ftnb.recorder import Recorder
from ftnb.store.sqlite import SQLiteStore

HOUR_NS = 3_600_000_000_000
JUMPS = {"an hour back": -HOUR_NS, "ten years ahead": 87_660 * HOUR_NS, "summer time ends": -HOUR_NS, "frozen": None}


@pytest.mark.parametrize("how", JUMPS)
def test_a_clock_that_jumps_while_an_agent_records(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, how: str) -> None:
    real, jump, begun = time.time_ns, JUMPS[how], time.time_ns()
    store = SQLiteStore(tmp_path / "t.db")
    recorder = Recorder(store)
    engagement = recorder.start_engagement("chat")
    for i in range(6):
        if i == 3:
            monkeypatch.setattr(time, "time_ns", lambda: begun if jump is None else real() + jump)
        step = recorder.start_step(engagement, f"step {i}")
        recorder.record_event(step, EventKind.LOG, f"event {i}")
        recorder.end_step(step)
    recorder.end_engagement(engagement)
    assert recorder.flush()
    recorder.close()
    monkeypatch.undo()
    tr = ftnb.open(store)
    steps = tr.engagement(engagement).model.steps
    assert [step.name for step in steps] == [f"step {i}" for i in range(6)]
    assert all(step.duration_ms is None or 0 <= step.duration_ms < 60_000 for step in steps)
    assert tr.audit.verify().ok
    later = datetime.now(UTC) + timedelta(hours=20)
    assert tr.retention("1d").plan(now=later).n == {"keep": 1}, "not a day old, whatever the clock said"
    store.close()


@pytest.mark.parametrize("days", [-1, 3_650])
def test_a_clock_that_is_wrong_when_a_policy_is_applied(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, days: int
) -> None:
    store = SQLiteStore(tmp_path / "t.db")
    recorder = Recorder(store)
    recorder.end_engagement(recorder.start_engagement("chat"))
    assert recorder.flush()
    recorder.close()
    wrong = datetime.now(UTC) + timedelta(days=days)

    class Clock(datetime):
        @classmethod
        def now(cls, tz: object = None) -> datetime:  # type: ignore[override]
            return wrong

    monkeypatch.setattr("ftnb.retention._retention.datetime", Clock)
    with pytest.raises(InvalidArgumentError, match="now="):
        ftnb.open(store).retention("90d").apply(progress=False)
    assert len(store.list_engagements()) == 1
    store.close()
