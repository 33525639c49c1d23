"""What a step was given, what it returned, and the state before and after it, on real graphs."""

from __future__ import annotations

import pickle
from collections.abc import Iterator
from itertools import pairwise
from operator import add
from typing import Annotated, Any, TypedDict

import polars as pl
import pytest
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.func import entrypoint, task
from langgraph.graph import START, StateGraph
from langgraph.types import Command, RetryPolicy, interrupt
from pydantic import BaseModel

import ftnb
from ftnb.core.canonical import to_json
from ftnb.core.marked import Marked
from ftnb.debug._patch import apply_patch
from ftnb.langgraph_adapter import tap
from ftnb.recorder import Recorder
from ftnb.store.sqlite import SQLiteStore
from tests.debug.house import GIVEN, house


@pytest.fixture(params=["tap", "callbacks"])
def eyes(request: pytest.FixtureRequest) -> Iterator[None]:
    tap.disable(request.param == "callbacks")
    yield
    tap.disable(False)


def run(graph: Any, given: Any, *config: Any) -> Any:
    graph.invoke(given, *config)
    return ftnb.last()


def paths(state: dict[str, Any]) -> str:
    return " ".join(part.replace("work ", "") for part in state["path"])


def test_states_of_parallel_steps_joins_loops_and_sends_are_what_the_graph_had(eyes: None, store: SQLiteStore) -> None:
    result = house().invoke(GIVEN)
    eng = ftnb.last()
    left = eng.step("left", visit=1)
    assert paths(left.state_before) == "plan"
    assert paths(left.state_after) == "plan left right"
    assert (left.state_before["budget"], left.state_after["budget"]) == (100, 90)
    assert len(left.state_after["messages"]) == 2
    work = eng.step("work", visit=2)
    assert work.input == {"item": "y"}
    assert paths(work.state_before).endswith("second")
    assert paths(work.state_after).endswith("second x y z")
    assert eng.step("gather", visit=2).state_after["plan"] == {"title": "a", "n": 2}
    final = eng.step("fin").state_after
    assert {key: final[key] for key in ("path", "budget", "plan")} == {
        key: result[key] for key in ("path", "budget", "plan")
    }
    assert [m.content for m in final["messages"]] == [m.content for m in result["messages"]]


def test_each_superstep_begins_with_what_the_one_before_it_left(eyes: None, store: SQLiteStore) -> None:
    eng = run(house(), GIVEN)
    runs = list(eng.look().states.runs())
    assert [len(one) for one in runs] == [9, 2]
    for supersteps in runs:
        for earlier, later in pairwise(supersteps):
            assert eng.look().states.resolved(earlier.after) == eng.look().states.resolved(later.before)


def test_a_step_inside_a_subgraph_has_the_state_of_that_graph(eyes: None, store: SQLiteStore) -> None:
    eng = run(house(), GIVEN)
    first = eng.step("first")
    assert (first.ns, first.state_before["budget"], first.state_after["budget"]) == ("sub", 80, 81)
    assert eng.step("sub").state_after["budget"] == 81


def test_diff_is_what_the_step_alone_changed(eyes: None, store: SQLiteStore) -> None:
    eng = run(house(), GIVEN)
    left, right = eng.step("left", visit=1).diff(), eng.step("right").diff()
    assert dict(left) == {"path": (["plan"], ["plan", "left"]), "budget": (100, 90)}
    assert set(right) == {"path", "messages"}
    assert left.patch == [
        {"op": "replace", "path": "/budget", "value": 90},
        {"op": "add", "path": "/path/1", "value": "left"},
    ]
    assert sorted(repr(right).splitlines()[1:]) == ["  + messages[1]: assistant: 'ok'", "  + path[1]: 'right'"]
    assert eng.step("gather", visit=1).diff().patch[1] == {"op": "replace", "path": "/plan/n", "value": 1}


def test_a_patch_leads_from_the_state_before_to_the_state_after(eyes: None, store: SQLiteStore) -> None:
    eng = run(house(), GIVEN)
    for step in eng.steps:
        if step.name not in ("left", "right", "work"):  # alone in its superstep
            before, after = to_json(dict(step.state_before)), to_json(dict(step.state_after))
            assert apply_patch(before, step.diff().patch) == after, step.name


def test_a_diff_is_a_frame_and_html(store: SQLiteStore) -> None:
    diff = run(house(), GIVEN).step("plan").diff()
    frame = diff.frame()
    assert frame.columns == ["op", "path", "key", "where", "before", "after"]
    assert frame.filter(pl.col("key") == "budget").row(0) == ("add", "/budget", "budget", "budget", None, "100")
    assert "<code>budget</code>" in diff._repr_html_()
    with pytest.raises(KeyError):
        diff["nothing"]


class Paused(TypedDict):
    path: Annotated[list[str], add]
    x: int


def paused_graph() -> Any:
    builder = StateGraph(Paused)
    builder.add_node("a", lambda state: {"path": ["a"]})
    builder.add_node("ask", lambda state: {"x": interrupt("how many?"), "path": ["ask"]})
    builder.add_node("beside", lambda state: {"path": ["beside"]})
    builder.add_node("z", lambda state: {"path": ["z"]})
    builder.add_edge(START, "a")
    builder.add_edge("a", "ask")
    builder.add_edge("a", "beside")
    builder.add_edge(["ask", "beside"], "z")
    return builder.compile(checkpointer=InMemorySaver())


def test_a_pause_in_a_superstep_and_the_turn_after_it(eyes: None, store: SQLiteStore) -> None:
    graph, config = paused_graph(), {"configurable": {"thread_id": "1"}}
    graph.invoke({"path": []}, config)
    waiting = ftnb.last().step("ask")
    assert (waiting.status, waiting.state_before, waiting.state_after) == ("waiting", {"path": ["a"]}, {"path": ["a"]})
    graph.invoke(Command(resume=7), config)
    graph.update_state(config, {"x": 99})
    graph.invoke({"path": ["again"]}, config)
    eng = ftnb.last()
    assert eng.step("ask", visit=1).state_after == {"path": ["a", "ask", "beside"], "x": 7}
    assert eng.step("z").state_after == {"path": ["a", "ask", "beside", "z"], "x": 7}
    assert eng.step("a", visit=2).state_before == {"path": ["a", "ask", "beside", "z", "again"], "x": 99}


class Tries(BaseModel):
    n: int = 0
    names: Annotated[list[str], add] = []


def test_retries_failures_and_pydantic_states(eyes: None, store: SQLiteStore) -> None:
    tries = []

    def flaky(state: Tries) -> dict[str, Any]:
        tries.append(1)
        if len(tries) < 3:
            raise ValueError("no luck")
        return {"n": state.n + 1}

    def boom(state: Tries) -> dict[str, Any]:
        raise RuntimeError("boom")

    builder = StateGraph(Tries)
    builder.add_node("flaky", flaky, retry_policy=RetryPolicy(initial_interval=0.001, retry_on=ValueError))
    builder.add_node("boom", boom)
    builder.add_edge(START, "flaky")
    builder.add_edge("flaky", "boom")
    with pytest.raises(RuntimeError):
        builder.compile().invoke({"names": ["q"]})
    eng = ftnb.last()
    third = eng.step("flaky", attempt=3)
    assert dict(third.diff()) == {"n": (0, 1)}
    failed = eng.step("boom")
    assert failed.state_before == failed.state_after == {"names": ["q"], "n": 1}
    assert failed.output is None
    assert dict(failed.diff()) == {}


def test_the_functional_api_has_no_graph_state_and_says_so(eyes: None, store: SQLiteStore) -> None:
    @task
    def double(x: int) -> int:
        return 2 * x

    @entrypoint()
    def main(x: int) -> int:
        return double(x).result() + double(x + 1).result()

    eng = run(main, 3)
    assert (eng.step("main").input, eng.step("main").output) == (3, 14)
    assert eng.step("double", visit=2).output == 8
    assert eng.step("main").diff().patch == [{"op": "replace", "path": "", "value": 14}]
    with pytest.raises(ftnb.NotRecordedError, match=r"has no state with keys; .input is what it was given"):
        _ = eng.step("main").state_before
    with pytest.raises(ftnb.NotRecordedError, match=r"a task that its entrypoint called: it has no graph state"):
        _ = eng.step("double").state_after


def merged(old: dict[str, int] | None, new: dict[str, int]) -> dict[str, int]:
    return {**(old or {}), **new}


class Merged(TypedDict):
    found: Annotated[dict[str, int], merged]


def test_a_reducer_of_the_users_own_is_asked_while_its_graph_lives_and_else_left_open(
    store: SQLiteStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    builder = StateGraph(Merged)
    builder.add_node("a", lambda state: {"found": {"a": 1}})
    builder.add_node("b", lambda state: {"found": {"b": 2}})
    builder.add_edge(START, "a")
    builder.add_edge("a", "b")
    graph = builder.compile()
    eng = run(graph, {})
    assert eng.step("a").state_after == {"found": {"a": 1}}
    assert eng.step("b").state_after == {"found": {"a": 1, "b": 2}}
    monkeypatch.setattr("ftnb.debug._look.live_graphs", lambda version: [])
    again = ftnb.open(store).engagement(eng.id)
    assert again.step("a").state_after == {"found": {"a": 1}}
    assert "a reducer of the graph's own made it" in repr(again.step("b").state_after["found"])
    assert again.step("b").diff().unknown == ("found",)


# --- display ---


def test_large_values_show_a_part_and_say_how_much_more(store: SQLiteStore) -> None:
    recorder = Recorder(store)
    engagement_id = recorder.start_engagement("big")
    rows = [{"id": number, "text": "t" * 3_000} for number in range(300)]
    recorder.end_step(recorder.start_step(engagement_id, "big", state={"rows": rows, "note": "n" * 9_000}))
    recorder.close()
    given = ftnb.open(store).engagement(engagement_id).step("big").input
    assert isinstance(given, dict)
    assert given.value == {"rows": rows, "note": "n" * 9_000}
    assert type(given.value) is dict
    assert len(repr(given)) < 6_000
    assert "more)" in repr(given)
    assert len(given._repr_html_()) < 80_000
    assert "… 7,500 characters more" in given._repr_html_()
    page = given.show("rows", start=290, n=5)
    assert page.value == rows
    assert repr(page).endswith("… 5 more: .show('rows', start=295)")
    assert repr(given.show("rows[299].id")) == "299"
    with pytest.raises(ftnb.InvalidArgumentError, match=r"no part 'row' in this value; it has: note, rows"):
        given.show("row")
    assert pickle.loads(pickle.dumps(given)) == given


def test_messages_read_as_a_conversation_and_markup_stays_text(store: SQLiteStore) -> None:
    from langchain_core.messages import AIMessage, HumanMessage, ToolMessage

    def talk(state: Any) -> dict[str, Any]:
        call = {"name": "find", "args": {"q": "<b>"}, "id": "1"}
        return {
            "messages": [
                HumanMessage("<script>alert(1)</script>"),
                AIMessage("", tool_calls=[call]),
                ToolMessage("3 houses", tool_call_id="1", name="find"),
            ]
        }

    from langgraph.graph import MessagesState

    builder = StateGraph(MessagesState)
    builder.add_node("talk", talk)
    builder.add_edge(START, "talk")
    output = run(builder.compile(), {"messages": []}).step("talk").output
    assert repr(output.show("messages")).splitlines() == [
        "user: <script>alert(1)</script>",
        "assistant: ",
        "  → find({'q': '<b>'})",
        "tool find: 3 houses",
    ]
    html = output._repr_html_()
    assert "<script>" not in html
    assert "&lt;script&gt;" in html
    assert "→ find({&#x27;q&#x27;: &#x27;&lt;b&gt;&#x27;})" in html


# --- what cannot be read ---


def test_a_masked_value_says_which_rule_masked_it(store: SQLiteStore) -> None:
    recorder = Recorder(store)
    engagement_id = recorder.start_engagement("masked")
    recorder.start_step(engagement_id, "diary", state=Marked({"$ftnb": "redacted", "why": "my diary"}))
    recorder.close()
    with pytest.raises(ftnb.NotRecordedError, match=r"the input of step 'diary' .* was masked .*'my diary'"):
        _ = ftnb.open(store).engagement(engagement_id).step("diary").input


def test_an_erased_body_and_a_missing_blob_are_told_apart(store: SQLiteStore) -> None:
    eng = run(house(), GIVEN)
    eng_id, left = eng.id, eng.step("left", visit=1).id
    commit = store._reader.connection.execute
    commit("UPDATE log SET body = NULL, commitment = x'00' WHERE step_id = ? AND type = 'step_started'", (left,))
    again = ftnb.open(store).engagement(eng_id)
    with pytest.raises(ftnb.NotRecordedError, match=r"cannot be read: it was redacted after it was written"):
        _ = again.step(left).input
    commit("DELETE FROM blob")
    plan = ftnb.open(store).engagement(eng_id).step("gather", visit=1)
    withheld = plan.state_before["messages"][0]
    assert "withheld" in repr(withheld)
    assert store.purge(eng_id)
    with pytest.raises(ftnb.UnknownEngagementError):
        eng.step("plan")
