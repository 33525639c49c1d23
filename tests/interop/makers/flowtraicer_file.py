"""flowtraicer: the SQLite file of its recorder."""

from __future__ import annotations

import sys
from pathlib import Path

from ft.core.model import TokenUsage
from ft.recorder import Recorder
from ft.store.sqlite import SQLiteStore

recorder = Recorder(SQLiteStore(str(Path(sys.argv[1]) / "flowtraicer.db")))
engagement = recorder.start_engagement("planner", metadata={"user_id": "u1", "session_id": "talk-1", "color": "red"})
step = recorder.start_step(engagement, "planner", tools=["search"])
asked, answered = [{"role": "user", "content": "hi"}], {"role": "assistant", "content": "yo"}
recorder.record_event(step, "llm_call", "m-1", payload={"messages": asked, "response": answered, "model": "m-1"},
                      tokens=TokenUsage(prompt=10, completion=5, total=15))  # fmt: skip
recorder.record_event(step, "tool_call", "search", payload={"args": {"q": 1}}, error="no such place")
recorder.end_step(step, "completed")
recorder.end_engagement(engagement, "completed")
