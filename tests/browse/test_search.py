from __future__ import annotations

from pathlib import Path

import pytest

import ftnb
from ftnb.core.errors import InvalidArgumentError
from ftnb.core.model import EngagementStatus, StepStatus
from ftnb.recorder import Recorder
from ftnb.store.sqlite import SQLiteStore
from ftnb.traces import Traces

LONG = "Nothing to see. " * 60
"""Longer than what stays in a record: it is stored as a blob."""


@pytest.fixture
def traces() -> Traces:
    """Two engagements of a support agent; a long conversation is handed from step to step."""
    store = SQLiteStore()
    recorder = Recorder(store)
    for number in (1, 2):
        engagement = recorder.start_engagement("support", metadata={"user": f"Zoë-{number}"})
        talk = [{"role": "user", "content": f"{LONG} My PARCEL {number} is lost. {LONG}"}]
        first = recorder.start_step(engagement, "listen", state={"messages": talk})
        said = {"messages": talk, "response": "I look it up."}
        recorder.record_event(first, "llm_call", "chat", payload=said)
        talk = [*talk, {"role": "assistant", "content": "I look it up."}]
        recorder.end_step(first, update={"messages": talk})
        second = recorder.start_step(engagement, "lookup", state={"messages": talk})
        recorder.record_event(
            second, "tool_call", "find", payload={"args": {"parcel": number}, "result": f"{LONG} parcel in Gdańsk"}
        )
        recorder.end_step(second, StepStatus.FAILED, error="TimeoutError: parcel service")
        recorder.end_engagement(engagement, EngagementStatus.FAILED, error="TimeoutError: parcel service")
        recorder.record_event(second, "log", "late", payload={"text": 'said "quoted"\nand more'})
    recorder.close()
    return ftnb.open(store)


def test_a_value_is_told_where_it_came_first_and_not_where_it_was_handed_on(traces: Traces) -> None:
    frame = traces.search("my parcel").frame()
    assert frame.select("step_name", "where", "path").rows() == [("listen", "input", "messages[0].content")] * 2
    assert "My PARCEL 2 is lost." in frame["excerpt"][0]
    assert frame["engagement_id"].to_list() == traces.engagements()["engagement_id"].to_list()[::-1]


def test_every_place_is_searched_and_can_be_chosen(traces: Traces) -> None:
    assert sorted(set(traces.search("parcel").frame()["where"])) == ["error", "input", "tool_result"]
    assert set(traces.search("parcel", in_="error").frame()["where"]) == {"error"}
    assert traces.search("2", in_=["tool_args"]).frame()["step_name"].to_list() == ["lookup"]
    assert len(traces.search("gdańsk", in_="tool_result")) == 2
    assert traces.search("zoë-1", in_="metadata").frame()["step_id"].to_list() == [None]
    assert len(traces.search('"quoted"\nand')) == 2
    assert set(traces.search("look it", in_="output").frame()["where"]) == {"output"}


def test_case_matters_when_asked(traces: Traces) -> None:
    assert len(traces.search("MY PARCEL", case=True)) == 0
    assert len(traces.search("My PARCEL", case=True)) == 2
    assert len(traces.search("GDAŃSK", case=True)) == 0


def test_it_ends_at_the_limit_and_says_so(traces: Traces) -> None:
    found = traces.search("parcel", limit=1)
    assert (found.complete, found.n_searched, found.n_engagements) == (False, 1, 2)
    assert "1 older ones were not looked through" in repr(found)
    assert traces.search("parcel").complete


def test_progress_is_told(traces: Traces) -> None:
    seen: list[tuple[int, int]] = []
    traces.search("parcel", progress=lambda done, of: seen.append((done, of)))
    assert seen[-1] == (2, 2)


def test_an_interrupt_keeps_what_was_found(traces: Traces) -> None:
    def stop(done: int, of: int) -> None:
        raise KeyboardInterrupt

    found = traces.search("parcel", progress=stop)
    assert not found.complete
    assert len(found) > 0


def test_an_exported_file_and_a_part_of_the_traces_give_the_same(traces: Traces, tmp_path: Path) -> None:
    rows = traces.search("parcel").frame().drop("at").rows()
    exported = ftnb.open(traces.to_parquet(tmp_path / "share"))
    assert exported.search("parcel").frame().drop("at").rows() == rows
    part = traces.where(user="Zoë-2").search("parcel")
    assert part.frame().drop("at").rows() == [row for row in rows if row[0] == rows[0][0]]
    assert part.n_engagements == 1


def test_what_was_erased_is_not_found(traces: Traces) -> None:
    for engagement_id in traces.engagements()["engagement_id"]:
        traces.store.purge(engagement_id)
    assert len(traces.search("parcel")) == 0


@pytest.mark.parametrize("text", ["", "  \n"])
def test_an_empty_text_is_refused(traces: Traces, text: str) -> None:
    with pytest.raises(InvalidArgumentError, match="a text that is not empty"):
        traces.search(text)


def test_an_unknown_place_and_a_senseless_limit_are_refused(traces: Traces) -> None:
    with pytest.raises(InvalidArgumentError, match="no place 'outputs' to search in; places: input, output"):
        traces.search("x", in_="outputs")
    with pytest.raises(InvalidArgumentError, match="limit is a whole number"):
        traces.search("x", limit=0)


def test_the_view_lists_them_and_opens_the_run_at_the_step(traces: Traces) -> None:
    found = traces.search("gdańsk")
    data, _ = found._repr_mimebundle_()
    assert "application/vnd.jupyter.widget-view+json" in data
    assert "<b>Gdańsk</b>" in data["text/html"]
    view = found.widget()
    hit = view.payload["hits"][0]
    assert (hit["engagement_name"], hit["status"], hit["match"]) == ("support", "failed", "Gdańsk")
    opened = view.open_run(hit["engagement"], step=hit["step"])
    assert [step.name for step in opened.engagement.steps if step.id in opened.selection] == ["lookup"]
    view.close()
