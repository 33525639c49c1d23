"""Why a step ran: the edge, the routing value and the steps before it, for every way that leads on."""

from __future__ import annotations

from operator import add
from typing import Annotated, Any, TypedDict

import pytest
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import START, StateGraph
from langgraph.types import Command, RetryPolicy, interrupt

import ftnb
from ftnb.store.sqlite import SQLiteStore
from tests.debug.house import GIVEN, house


class Path(TypedDict):
    path: Annotated[list[str], add]


def causes(step: Any) -> list[tuple[str, str, str | None, Any]]:
    return [(cause.cause, cause.kind, cause.router, cause.said) for cause in step.why().causes]


def test_each_way_that_leads_to_a_step_is_named(store: SQLiteStore) -> None:
    house().invoke(GIVEN)
    eng = ftnb.last()
    assert causes(eng.step("plan")) == [("start", "start", None, None)]
    assert causes(eng.step("left", visit=1)) == [("plan", "static", None, None)]
    assert causes(eng.step("gather", visit=1)) == [("left", "join", None, None), ("right", "join", None, None)]
    assert causes(eng.step("left", visit=2)) == [("gather", "conditional", "again", "more")]
    assert causes(eng.step("sub")) == [("gather visit 2", "conditional", "again", "done")]
    assert causes(eng.step("first")) == [("sub", "start", None, None)]
    assert causes(eng.step("work", visit=2)) == [("sub", "send", "fan", "Send(work)")]
    assert causes(eng.step("fin")) == [("spend", "goto", None, None)]


def test_the_text_says_it_with_the_routing_value_and_what_the_cause_changed(store: SQLiteStore) -> None:
    house().invoke(GIVEN)
    eng = ftnb.last()
    assert eng.step("left", visit=2).why().text.splitlines()[:4] == [
        "left visit 2 ran because",
        "  gather leads to it: its router 'again' said 'more'",
        "      gather changed + path[3]: 'gather'",
        "      gather changed ~ plan.n: 0 → 1",
    ]
    assert "sub sent it by its router 'fan', number 2 of 3, with {'item': 'y'}" in str(eng.step("work", visit=2).why())
    assert "spend returned Command(goto='fin')" in repr(eng.step("fin").why())
    assert "the graph inside sub begins with it" in repr(eng.step("first").why())


def test_the_chain_leads_back_to_the_start(store: SQLiteStore) -> None:
    house().invoke(GIVEN)
    frame = ftnb.last().step("fin").why().frame()
    assert frame.columns == ["depth", "step_id", "step", "cause_id", "cause", "kind", "router", "said", "text"]
    assert frame["depth"].to_list() == sorted(frame["depth"])
    assert frame.row(-1, named=True)["kind"] == "start"
    assert set(frame["cause"]) == {
        "spend", "work", "work visit 2", "work visit 3", "sub", "gather visit 2", "left visit 2", "gather", "left",
        "right", "plan", "start",
    }  # fmt: skip


def test_a_resumed_step_and_a_retried_one(store: SQLiteStore) -> None:
    tries: list[int] = []

    def flaky(state: Path) -> dict[str, Any]:
        tries.append(1)
        if len(tries) < 2:
            raise ValueError("no luck")
        return {"path": [interrupt("go on?")]}

    builder = StateGraph(Path)
    builder.add_node("flaky", flaky, retry_policy=RetryPolicy(initial_interval=0.001, retry_on=ValueError))
    builder.add_edge(START, "flaky")
    graph, config = builder.compile(checkpointer=InMemorySaver()), {"configurable": {"thread_id": "1"}}
    graph.invoke({"path": []}, config)
    assert "attempt 2, after attempt 1 failed: ValueError: no luck" in ftnb.last().step("flaky").why().text
    graph.invoke(Command(resume="yes"), config)
    resumed = ftnb.last().step("flaky").why()
    assert "it goes on where flaky attempt 2 stopped at an interrupt; the answer was 'yes'" in resumed.text
    assert resumed.title == "flaky attempt 3, turn 2 ran because"


def test_a_command_to_the_graph_around_and_an_error_that_a_node_handles(store: SQLiteStore) -> None:
    inner = StateGraph(Path)
    inner.add_node("leave", lambda state: Command(graph=Command.PARENT, goto="target", update={"path": ["left"]}))
    inner.add_edge(START, "leave")
    builder = StateGraph(Path)
    builder.add_node("sub", inner.compile(), destinations=("target",))
    builder.add_node("target", lambda state: {"path": ["target"]})
    builder.add_edge(START, "sub")
    builder.compile().invoke({"path": []})
    assert causes(ftnb.last().step("target")) == [("sub", "goto", None, None)]


def test_a_router_at_the_start_is_named(store: SQLiteStore) -> None:
    def gate(state: Path) -> str:
        return "a"

    builder = StateGraph(Path)
    builder.add_node("a", lambda state: {"path": ["a"]})
    builder.add_conditional_edges(START, gate, ["a"])
    builder.compile().invoke({"path": []})
    assert "the graph begins with it, as the router 'gate' after the start said" in ftnb.last().step("a").why().text


def test_recorded_text_stays_text_in_html(store: SQLiteStore) -> None:
    builder = StateGraph(Path)
    builder.add_node("a", lambda state: {"path": ["<img src=x>"]})
    builder.add_node("b", lambda state: {"path": []})
    builder.add_edge(START, "a")
    builder.add_edge("a", "b")
    builder.compile().invoke({"path": []})
    html = ftnb.last().step("b").why()._repr_html_()
    assert "<img" not in html
    assert "&lt;img src=x&gt;" in html


@pytest.mark.parametrize("n_loops", [300])
def test_a_long_chain_is_cut_in_the_text_and_whole_in_the_frame(store: SQLiteStore, n_loops: int) -> None:
    builder = StateGraph(Path)
    builder.add_node("loop", lambda state: {"path": ["x"]})
    builder.add_edge(START, "loop")
    builder.add_conditional_edges("loop", lambda s: "loop" if len(s["path"]) < n_loops else "__end__")
    builder.compile().invoke({"path": []}, {"recursion_limit": 1_000})
    why = ftnb.last().step("loop").why()
    assert why.frame().height == n_loops
    assert len(why.text) < 3_000
    assert "more; .frame() has all" in why.text
