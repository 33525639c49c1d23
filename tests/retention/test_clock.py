"""Clocks that are wrong: nothing goes early, order is by position, durations are measured without them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
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
JUMPS = {"an hour back": -HOUR_NS, "ten years ahead": 87_660 * HOUR_NS, "frozen": None}


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


CHANGE = """
import json, sys, time
from datetime import UTC, datetime, timedelta
import ftnb
from ftnb.recorder import Recorder
from ftnb.store.sqlite import SQLiteStore

begin, path = datetime.fromisoformat(sys.argv[1]), sys.argv[2]
clock = [int(begin.timestamp()) * 10**9]
time.time_ns = lambda: clock[0]
local = set()
recorder = Recorder(SQLiteStore(path))
engagement = recorder.start_engagement("chat")
for i in range(6):  # every half hour, from an hour before the change to one and a half after it
    step = recorder.start_step(engagement, f"step {i}")
    recorder.end_step(step)
    local.add(time.strftime("%z %Z", time.localtime(clock[0] / 1e9)))
    clock[0] += 1800 * 10**9
recorder.end_engagement(engagement)
recorder.flush()
recorder.close()
ftnb.start(path)
with ftnb.record("timed") as run, run.step("across"):
    clock[0] -= 3600 * 10**9  # as a clock that is set by the wall's time
(timed,) = ftnb.open(path).engagement(run.engagement_id).model.steps
ftnb.stop()
tr = ftnb.open(path)
steps = tr.engagement(engagement).model.steps
end = begin + timedelta(hours=3)
plans = [tr.retention("1h").plan(now=end + timedelta(minutes=m)).acts[0].action for m in (-60, 0, 59, 61)]
print(json.dumps({
    "zones": sorted(local),
    "order": [step.name for step in steps],
    "apart": [(b.started_at - a.started_at).total_seconds() for a, b in zip(steps, steps[1:])],
    "duration": timed.duration_ms,
    "plans": plans,
    "ok": tr.audit.verify().ok,
}))
"""


@pytest.mark.parametrize("begin", ["2025-10-26T00:00:00+00:00", "2026-03-29T00:00:00+00:00"])
def test_summer_time_ends_and_begins_where_the_agent_runs(tmp_path: Path, begin: str) -> None:
    """In Berlin clocks are changed at 01:00 UTC on both of these days."""
    command = [sys.executable, "-c", CHANGE, begin, str(tmp_path / "t.db")]
    environment = {**os.environ, "TZ": "Europe/Berlin"}
    ended = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
    said = json.loads(ended.stdout)
    assert said["zones"] == ["+0100 CET", "+0200 CEST"], "the clocks on the wall did change meanwhile"
    assert said["order"] == [f"step {i}" for i in range(6)]
    assert said["apart"] == [1800.0] * 5
    assert 0 <= said["duration"] < 60_000
    assert said["plans"] == ["keep", "keep", "keep", "purge"]
    assert said["ok"]
