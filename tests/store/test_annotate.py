"""Judging what was recorded: by whom, of which step, in every store, and what is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import ftnb
from ftnb.core.errors import InvalidArgumentError, StoreError, UnknownStepError
from ftnb.core.model import EngagementStatus
from ftnb.recorder import Recorder
from ftnb.store.memory import MemoryStore
from ftnb.store.sqlite import SQLiteStore


@pytest.fixture(params=[SQLiteStore, MemoryStore])
def traces(request: pytest.FixtureRequest) -> Any:
    store = request.param()
    recorder = Recorder(store)
    engagement = recorder.start_engagement("chat", metadata={"user": "u"})
    for name in ("ask", "answer", "answer"):
        recorder.end_step(recorder.start_step(engagement, name))
    recorder.end_engagement(engagement, EngagementStatus.ABANDONED, dropped_at="answer")
    return ftnb.open(store)


def test_a_judgement_is_kept_with_who_said_it_and_changes_nothing_else(traces: Any) -> None:
    before = traces.engagements()
    made = traces.last().annotate("correct", 0.0, by="judge", note="the wrong flat")
    model = traces.last().model
    assert model.annotations == [made]
    assert (made.label, made.value, made.by, made.note, made.step_id) == (
        "correct",
        0.0,
        "judge",
        "the wrong flat",
        None,
    )
    assert model.gaps == []
    assert model.status is EngagementStatus.ABANDONED
    assert traces.engagements().equals(before)


def test_a_step_is_judged_by_handle_name_or_id_and_shows_its_own(traces: Any) -> None:
    eng = traces.last()
    first = eng.step("answer", visit=1)
    first.annotate("tone", "rude")
    eng.annotate("tone", True, step="ask")
    assert [a.value for a in eng.step("answer", visit=1).annotations] == ["rude"]
    assert eng.step("answer", visit=2).annotations == []
    assert traces.annotations().select("step_id", "value", "text").rows() == [
        (first.id, None, "rude"),
        (eng.step("ask").id, 1.0, None),
    ]
    with pytest.raises(UnknownStepError, match="answer"):
        eng.annotate("tone", step="anwser")


@pytest.mark.parametrize(("label", "value"), [("", 1), (" ", 1), (3, 1), ("x", None), ("x", [1]), ("x", float("nan"))])
def test_what_is_no_judgement_is_refused(traces: Any, label: Any, value: Any) -> None:
    with pytest.raises(InvalidArgumentError, match="annotation"):
        traces.last().annotate(label, value)
    assert traces.annotations().is_empty()


def test_annotations_travel_with_an_export_which_takes_no_new_ones(traces: Any, tmp_path: Path) -> None:
    traces.last().annotate("rating", 4)
    copy = ftnb.open(traces.to_parquet(tmp_path / "share"))
    assert copy.annotations().equals(traces.annotations())
    with pytest.raises(StoreError):
        copy.last().annotate("rating", 5)
