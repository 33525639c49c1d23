"""Faults of our own, and runs that nobody ends."""

from __future__ import annotations

import gc
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import ftnb
from ftnb.langgraph_adapter import _steps, handler
from ftnb.session import Session
from tests.capture.shapes import graph_of, tree
from tests.faults.parts import whole

EMPTY: dict[str, list[str]] = {"path": []}


@pytest.fixture
def session(tmp_path: Path) -> Iterator[Session]:
    yield ftnb.start(tmp_path / "t.db")
    ftnb.stop()


def broken(*_: Any, **__: Any) -> Any:
    raise RuntimeError("a fault of ours")


@pytest.mark.parametrize("entry", ["invoke", "stream", "batch"])
def test_a_fault_in_the_handler_is_counted_and_nothing_else(
    session: Session, entry: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    app = graph_of("^>a", "a>b").compile()
    given: Any = [EMPTY] if entry == "batch" else EMPTY
    ftnb.stop()
    expected = getattr(app, entry)(given)
    expected = list(expected) if entry == "stream" else expected
    session = ftnb.start(session.where)
    monkeypatch.setattr(handler, "freeze", broken)
    with caplog.at_level(logging.WARNING):
        got = getattr(app, entry)(given)
        assert (list(got) if entry == "stream" else got) == expected
        assert session.recorder.flush()
    assert session.stats().dropped["capture_error"] > 0
    assert [record.name for record in caplog.records] == ["ftnb"], "one warning, and none of LangChain's"
    monkeypatch.undo()
    app.invoke(EMPTY)
    assert tree(ftnb.last().model) == ["a", "b < a:static"]


def test_a_fault_on_the_writers_thread_costs_one_event(
    session: Session, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    app = graph_of("^>a", "a>b").compile()
    with caplog.at_level(logging.WARNING), monkeypatch.context() as patch:
        patch.setattr(_steps.Steps, "end", broken)
        assert app.invoke(EMPTY) == {"path": ["a", "b"]}
        assert session.recorder.flush()
    assert session.stats().dropped == {"capture_error": 2}
    assert len([record for record in caplog.records if record.name == "ftnb"]) == 1
    gaps = [entry for entry in session.store.store_entries() if entry["type"] == "gap"]  # type: ignore[attr-defined]
    assert sum(gap["count"] for gap in gaps) in (0, 2)  # counted by stats; a gap where it is put on record
    whole(session.store)


def test_an_abandoned_generator(session: Session) -> None:
    app = graph_of("^>a", "a>b", "b>c").compile()
    stream = app.stream(EMPTY)
    assert next(stream) == {"a": {"path": ["a"]}}
    assert ftnb.last().status == "active"
    del stream
    gc.collect()
    last = ftnb.last()
    assert last.status in ("abandoned", "failed")
    assert last.steps[0].name == "a"
    assert all(step.status != "running" for step in last.steps)
    assert session.stats().dropped == {}


def test_a_generator_that_is_kept_and_forgotten(session: Session) -> None:
    app = graph_of("^>a", "a>b").compile()
    kept = app.stream(EMPTY)
    next(kept)
    app.invoke(EMPTY)
    assert tree(ftnb.last().model) == ["a", "b < a:static"]
    ftnb.stop()
    tr = ftnb.open(session.where)
    assert sorted(tr.engagements()["status"].to_list()) == ["abandoned", "completed"]
    assert list(kept) == [{"b": {"path": ["b"]}}]
    kept.close()
