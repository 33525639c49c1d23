"""A database of flowtraicer, opened as a store: everything is there, and the original is kept."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path
from typing import Any

import pytest

from ftnb.core.errors import NotOurFileError
from ftnb.core.model import EngagementStatus, EventKind
from ftnb.recorder import Recorder
from ftnb.store.sqlite import SQLiteStore

_AT = "2026-01-02T03:04:05.000006Z"


def _records() -> list[dict[str, Any]]:
    event = {
        "id": "ev", "step_id": "s1", "kind": "llm_call", "name": "m", "ts": _AT, "duration_ms": 12.5,
        "payload": {"model": "gpt"}, "error": None, "tokens": {"prompt": 3, "completion": 4, "total": 7},
    }  # fmt: skip
    start = {"name": "house_search", "metadata": {"user_id": "u1"}, "topology": {}, "parent_id": None}
    return [
        {"type": "engagement_started", **start, "goal_nodes": ["done"]},
        {"type": "step_started", "step_id": "s1", "name": "qualify", "tools": ["t"], "is_global": False},
        {"type": "event_recorded", "event": event},
        {"type": "step_ended", "step_id": "s1", "status": "completed", "ended_at": _AT, "duration_ms": 20.0},
        {"type": "engagement_ended", "status": "abandoned", "ended_at": _AT, "dropped_at": "qualify"},
    ]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A database as flowtraicer writes it."""
    path = tmp_path / "traces.db"
    with sqlite3.connect(path) as raw:
        raw.execute(
            "CREATE TABLE records (seq INTEGER PRIMARY KEY AUTOINCREMENT, engagement_id TEXT NOT NULL,"
            " type TEXT NOT NULL, ts TEXT NOT NULL, data TEXT NOT NULL)"
        )
        raw.execute("CREATE INDEX idx_records_engagement ON records (engagement_id, seq)")
        for engagement_id in ("e1", "e2"):
            for record in _records():
                data = json.dumps({"engagement_id": engagement_id, "ts": _AT, "seq": None, **record})
                raw.execute(
                    "INSERT INTO records (engagement_id, type, ts, data) VALUES (?, ?, ?, ?)",
                    (engagement_id, record["type"], _AT, data),
                )
    raw.close()
    return path


def test_it_is_taken_over_and_kept(path: Path) -> None:
    original = path.read_bytes()
    store = SQLiteStore(path)
    assert [s.id for s in store.list_engagements({"user_id": "u1"})] == ["e1", "e2"]
    eng = store.get_engagement("e1")
    assert (eng.name, eng.status, eng.dropped_at) == ("house_search", EngagementStatus.ABANDONED, "qualify")
    assert eng.goal_nodes == ["done"]
    assert eng.gaps == []
    event = eng.steps[0].events[0]
    assert (event.id, event.kind, event.duration_ms) == ("ev", EventKind.LLM_CALL, 12.5)
    assert event.tokens is not None
    assert event.tokens.total == 7
    assert event.ts.microsecond == 6
    recorder = Recorder(store)
    recorder.start_engagement("new")
    recorder.close()
    store.close()
    again = SQLiteStore(path)
    assert len(again.list_engagements()) == 3
    again.close()
    kept = path.with_name("traces.flowtraicer.db")
    assert len(kept.read_bytes()) == len(original)
    raw = sqlite3.connect(kept)
    assert raw.execute("SELECT count(*) FROM records").fetchone() == (10,)
    raw.close()
    assert sorted(found.name for found in path.parent.iterdir()) == ["traces.db", "traces.flowtraicer.db"]


def test_a_record_that_cannot_be_read_is_a_gap(path: Path) -> None:
    with sqlite3.connect(path) as raw:
        raw.execute("UPDATE records SET data = '{' WHERE seq = 2")
    raw.close()
    store = SQLiteStore(path)
    eng = store.get_engagement("e1")
    assert "bad_record" in {gap.reason for gap in eng.gaps}
    assert eng.status is EngagementStatus.ABANDONED
    assert store.get_engagement("e2").gaps == []
    store.close()


def test_for_reading_only_it_stays_what_it_is(path: Path) -> None:
    with pytest.raises(NotOurFileError):
        SQLiteStore(path, read_only=True)
    assert [found.name for found in path.parent.iterdir()] == ["traces.db"]
