"""Opened traces: frames that follow the store, and handles on engagements and steps."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import polars as pl
import pytest

import ftnb
from ftnb.core.errors import InvalidArgumentError, NotRecordedError, UnknownEngagementError, UnknownStepError
from ftnb.core.ids import new_id
from ftnb.core.model import EngagementStatus, EventKind, Extraction
from ftnb.recorder import Recorder
from ftnb.store.records import EngagementStarted
from ftnb.store.sqlite import SQLiteStore
from ftnb.traces import Traces

STATE = {"query": "a flat", "results": [], "messages": [{"text": "hello " * 100} for _ in range(30)], "budget": 1000}
UPDATE = {"results": ["r1", "r2"], "budget": 1000, "note": "x" * 700}


@pytest.fixture
def store() -> SQLiteStore:
    return SQLiteStore()


@pytest.fixture
def recorder(store: SQLiteStore) -> Recorder:
    return Recorder(store)


@pytest.fixture
def engagement_id(recorder: Recorder) -> str:
    engagement = recorder.start_engagement("house_search", metadata={"user_id": "u1"})
    step = recorder.start_step(engagement, "greet")
    recorder.end_step(step)
    for visit in (1, 2):
        step = recorder.start_step(engagement, "search", state=STATE)
        recorder.record_llm_call(step, "gpt", prompt=10, completion=visit)
        recorder.record_event(step, EventKind.TOOL_CALL, "find", payload={"visit": visit, "text": "t" * 900})
        recorder.end_step(step, update=UPDATE)
    recorder.record_extraction(step, Extraction(schema_name="Need", values={"rooms": 2}))
    recorder.record_intent_switch(engagement, to_step="escalate", reason="angry", from_step="search")
    recorder.end_engagement(engagement, EngagementStatus.ABANDONED, dropped_at="search")
    return engagement


def test_frames_follow_the_store(store: SQLiteStore, recorder: Recorder, engagement_id: str) -> None:
    traces = ftnb.open(store)
    before = traces.steps()
    assert traces.steps() is before
    recorder.start_step(recorder.start_engagement("w"), "later")
    assert traces.steps()["name"].to_list() == ["greet", "search", "search", "later"]
    assert before.height == 3
    store.purge(engagement_id)
    assert traces.steps()["name"].to_list() == ["later"]
    assert traces.engagements().height == 1


def test_lazy_twins_equal_the_frames(store: SQLiteStore, engagement_id: str) -> None:
    traces = ftnb.open(store)
    assert traces.scan_engagements(meta=["user_id"]).collect().equals(traces.engagements(meta=["user_id"]))
    assert traces.scan_steps().collect().equals(traces.steps())
    assert traces.scan_events(payload=True).collect().equals(traces.events(payload=True))
    assert traces.scan_transitions().collect().equals(traces.transitions())
    assert isinstance(ftnb.open(store, frames="pandas").scan_steps(), pl.LazyFrame)


def test_an_engagement_by_id_or_by_a_beginning_of_it(store: SQLiteStore, engagement_id: str) -> None:
    traces = ftnb.open(store)
    assert traces.engagement(engagement_id).id == engagement_id
    store.append(EngagementStarted(engagement_id="session-1", name="w"))
    store.append(EngagementStarted(engagement_id="session-12", name="w"))
    assert traces.engagement("session-1").id == "session-1"
    assert traces.engagement(engagement_id[:20]).id == engagement_id
    with pytest.raises(UnknownEngagementError, match=r"2 engagements begin with 'session': session-12, session-1"):
        traces.engagement("session")
    with pytest.raises(UnknownEngagementError, match="no engagement 'sess'"):
        traces.engagement("sess")
    with pytest.raises(UnknownEngagementError, match="Did you mean"):
        traces.engagement("x" + engagement_id[1:])


def test_an_empty_store_has_no_last_engagement(store: SQLiteStore) -> None:
    with pytest.raises(UnknownEngagementError, match="holds no engagement yet"):
        ftnb.open(store).last()
    with pytest.raises(UnknownEngagementError, match="it holds none yet"):
        ftnb.open(store).engagement(new_id())


def test_last_is_the_engagement_that_began_last(store: SQLiteStore, recorder: Recorder, engagement_id: str) -> None:
    traces = ftnb.open(store)
    assert traces.last().id == engagement_id
    newer = recorder.start_engagement("w")
    recorder.label_engagement(engagement_id, name="renamed")
    assert traces.last().id == newer


def test_a_handle_sees_what_came_later(recorder: Recorder, store: SQLiteStore) -> None:
    running = recorder.start_engagement("w")
    handle = ftnb.open(store).engagement(running)
    assert (handle.name, handle.status, handle.steps) == ("w", "active", [])
    step = recorder.start_step(running, "a")
    assert [step.name for step in handle.steps] == ["a"]
    assert handle.steps[0].status == "running"
    recorder.end_step(step)
    recorder.end_engagement(running)
    assert handle.status == "completed"
    assert handle.model == store.get_engagement(running)
    assert handle.model is handle.model


def test_a_step_by_name_visit_and_attempt(store: SQLiteStore, recorder: Recorder) -> None:
    engagement = recorder.start_engagement("w")
    ids = [recorder.start_step(engagement, "a", attempt=attempt) for attempt in (1, 1)]
    handle = ftnb.open(store).engagement(engagement)
    assert handle.step("a").id == ids[1]
    assert handle.step("a", visit=1).id == ids[0]
    assert handle.step("a", 2).id == ids[1]
    assert handle.step(ids[0]).id == ids[0]
    assert handle.step("a", attempt=1).id == ids[1]
    with pytest.raises(UnknownStepError, match=r"no step 'b' in engagement .*; steps: a\."):
        handle.step("b")
    with pytest.raises(UnknownStepError, match="has no visit 3; it has: visit 1 attempt 1, visit 2 attempt 1"):
        handle.step("a", visit=3)


def test_a_step_gives_back_its_input_and_output(store: SQLiteStore, engagement_id: str) -> None:
    step = ftnb.open(store).engagement(engagement_id).step("search")
    assert step.input == STATE
    assert step.output == UPDATE
    assert step.diff() == {"results": ([], ["r1", "r2"]), "note": ("(absent)", "x" * 700)}
    assert step.tokens == 12
    assert [event.name for event in step.events] == ["gpt", "find", "Need"]
    assert repr(step) == "<Step 'search' visit 2: completed, 3 events>"


def test_a_step_without_captured_state_says_so(store: SQLiteStore, engagement_id: str) -> None:
    step = ftnb.open(store).engagement(engagement_id).step("greet")
    assert step.output is None
    for ask in (lambda: step.input, lambda: step.state_before, lambda: step.state_after, step.diff):
        with pytest.raises(NotRecordedError, match=r"of step 'greet' of engagement .* was not captured"):
            ask()


def test_an_engagement_has_its_own_events_with_payloads(
    store: SQLiteStore, recorder: Recorder, engagement_id: str
) -> None:
    other = recorder.start_step(recorder.start_engagement("w"), "x")
    recorder.record_event(other, EventKind.LOG, "other")
    traces = ftnb.open(store)
    events = traces.engagement(engagement_id).events
    assert events.equals(traces.events(payload=True).filter(pl.col("engagement_id") == engagement_id))
    assert events.height == 5


def test_an_engagement_has_a_timeline(store: SQLiteStore, engagement_id: str) -> None:
    timeline = ftnb.open(store).engagement(engagement_id).timeline()
    assert [lane.name for lane in timeline.lanes] == ["greet", "search", "search"]


def test_an_engagement_shows_itself(store: SQLiteStore, engagement_id: str) -> None:
    handle = ftnb.open(store).engagement(engagement_id)
    bundle: Any = handle._repr_mimebundle_()
    data = bundle[0] if isinstance(bundle, tuple) else bundle
    assert "text/plain" in data
    short = f"<Engagement {engagement_id} 'house_search': abandoned, 3 steps, 23 tokens, dropped at 'search', sealed>"
    assert repr(handle) == short


def test_an_engagement_is_text_where_its_widget_cannot_be(
    store: SQLiteStore, engagement_id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "ftnb.widget.view", None)
    handle = ftnb.open(store).engagement(engagement_id)
    assert handle._repr_mimebundle_() == {"text/plain": repr(handle)}


def test_traces_show_the_newest_engagements(store: SQLiteStore, recorder: Recorder) -> None:
    for n in range(30):
        recorder.start_engagement(f"<b>w{n}</b>")
    bundle, _ = ftnb.open(store)._repr_mimebundle_()
    assert "application/vnd.jupyter.widget-view+json" in bundle
    html = bundle["text/html"]
    assert html.count("<tr>") == 26
    assert "&lt;b&gt;w29&lt;/b&gt;" in html
    # Whole: ids of one millisecond begin alike, and what is shown is there to be copied.
    assert store.list_engagements(newest=True, limit=1)[0].id in html
    assert "<b>w" not in html
    assert "w4&lt;" not in html
    assert bundle["text/plain"] == f"Traces({store!r})"


@pytest.mark.parametrize("asked", [None, 3, b"01a2"])
def test_an_id_is_a_text(store: SQLiteStore, asked: Any) -> None:
    with pytest.raises(InvalidArgumentError, match="an engagement is asked for by its id"):
        ftnb.open(store).engagement(asked)


def test_what_is_no_store_is_refused() -> None:
    with pytest.raises(InvalidArgumentError, match="frames need a store of ftnb"):
        Traces(object())  # type: ignore[arg-type]
    with pytest.raises(InvalidArgumentError, match="no frames of kind 'arrow'; known: polars, pandas"):
        ftnb.open(SQLiteStore(), frames="arrow")  # type: ignore[arg-type]


def test_opening_and_reading_one_engagement_loads_no_dataframe_library(tmp_path: Path) -> None:
    path = tmp_path / "t.db"
    recorder = Recorder(SQLiteStore(path))
    recorder.start_step(recorder.start_engagement("w"), "a")
    assert recorder.flush()
    code = (
        "import sys, ftnb; e = ftnb.open(sys.argv[1]).last(); assert e.step('a').name == 'a';"
        "print(sorted({'polars', 'pandas', 'pyarrow', 'plotly', 'narwhals'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code, str(path)], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_handles_give_every_field_of_the_model(store: SQLiteStore, engagement_id: str) -> None:
    eng = Traces(store).engagement(engagement_id)
    assert eng.metadata == {"user_id": "u1"}
    assert eng.total_tokens == eng.model.total_tokens > 0
    step = eng.step("search", visit=2)
    assert (step.visit, step.attempt, step.turn, step.is_global) == (2, 1, 1, False)
    assert {"metadata", "gaps", "step", "widget"} <= set(dir(eng))
    assert {"visit", "error", "input", "diff"} <= set(dir(step))
    with pytest.raises(AttributeError, match="a step has no 'vist'"):
        _ = step.vist
    with pytest.raises(AttributeError, match="an engagement has no 'metdata'"):
        _ = eng.metdata
