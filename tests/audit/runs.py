"""Engagements to audit."""

from __future__ import annotations

from typing import Any

from ftnb.core.model import EventKind
from ftnb.recorder import Recorder


def chat(store: Any, n_events: int = 1, *, text: str = "call ada", **metadata: Any) -> str:
    """One engagement with a step, events with large values, and an end; its id."""
    recorder = Recorder(store)
    engagement = recorder.start_engagement("chat", metadata=metadata or {"user": "u-1"})
    step = recorder.start_step(engagement, "ask")
    for i in range(n_events):
        payload = {"text": f"{text} {i}", "n": i, "long": f"{text} " * 400}
        recorder.record_event(step, EventKind.LOG, "said", payload=payload, duration_ms=1.5)
    recorder.end_step(step)
    recorder.end_engagement(engagement)
    recorder.close()
    return engagement
