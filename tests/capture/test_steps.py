"""Every step once, with the right cause and parent."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from inspect import signature
from typing import Any

import pytest
from langgraph.graph import END, START, StateGraph
from langgraph.types import Command, RetryPolicy, Send

from ftnb.core.model import StepStatus
from tests.capture.shapes import Path, Seen, events, graph_of, named, tree, visit

EMPTY: dict[str, list[str]] = {"path": []}


pytestmark = [
    pytest.mark.usefixtures("eyes"),
    pytest.mark.filterwarnings("ignore:The v3 streaming protocol"),
]


def test_linear(seen: Seen, run: Callable[..., Any]) -> None:
    result = run(graph_of("^>a", "a>b", "b>c", "c>$").compile(), EMPTY)
    engagement = seen.one()
    assert result == {"path": ["a", "b", "c"]}
    assert tree(engagement) == ["a", "b < a:static", "c < b:static"]
    assert engagement.status == "completed"
    assert engagement.name == "LangGraph"
    assert engagement.gaps == []
    for step in engagement.steps:
        assert step.ended_at is not None
        assert step.duration_ms is not None
        assert engagement.started_at <= step.started_at <= step.ended_at <= (engagement.ended_at or step.ended_at)


def test_parallel_branches_and_their_join(seen: Seen, run: Callable[..., Any]) -> None:
    run(graph_of("^>a", "a>b", "a>c", "b+c>d", "d>$").compile(), EMPTY)
    assert tree(seen.one()) == ["a", "b < a:static", "c < a:static", "d < b:join, c:join"]


def test_a_join_of_unequal_length_waits_for_both(seen: Seen, run: Callable[..., Any]) -> None:
    run(graph_of("^>a", "a>b", "a>c", "c>c2", "b+c2>d").compile(), EMPTY)
    assert tree(seen.one()) == ["a", "b < a:static", "c < a:static", "c2 < c:static", "d < b:join, c2:join"]


def test_branches_that_meet_without_a_join(seen: Seen, run: Callable[..., Any]) -> None:
    run(graph_of("^>a", "a>b", "a>c", "b>d", "c>d").compile(), EMPTY)
    assert tree(seen.one()) == ["a", "b < a:static", "c < a:static", "d < b:static, c:static"]


def test_a_loop_counts_visits(seen: Seen, run: Callable[..., Any]) -> None:
    def again(state: Path) -> str:
        return "more" if len(state["path"]) < 5 else "done"

    graph = graph_of("^>a", "a>b")
    graph.add_conditional_edges("b", again, {"more": "a", "done": END})
    run(graph.compile(), EMPTY)
    assert tree(seen.one()) == [
        "a",
        "b < a:static",
        "a@2.1 < b:conditional",
        "b@2.1 < a:static",
        "a@3.1 < b:conditional",
        "b@3.1 < a:static",
    ]


@pytest.mark.parametrize("path_map", [["b", "c"], None], ids=["declared", "undeclared"])
def test_a_router_without_a_name(seen: Seen, run: Callable[..., Any], path_map: Any) -> None:
    graph = graph_of("^>a", nodes=["b", "c"])
    graph.add_conditional_edges("a", lambda state: ["b", "c"], path_map)
    run(graph.compile(), EMPTY)
    assert tree(seen.one()) == ["a", "b < a:conditional", "c < a:conditional"]


def test_two_routers_on_one_node(seen: Seen, run: Callable[..., Any]) -> None:
    def first(state: Path) -> str:
        return "b"

    def second(state: Path) -> str:
        return "yes"

    graph = graph_of("^>a", nodes=["b", "c", "d"])
    graph.add_conditional_edges("a", first, ["b", "d"])
    graph.add_conditional_edges("a", second, {"yes": "c", "no": "d"})
    run(graph.compile(), EMPTY)
    assert tree(seen.one()) == ["a", "b < a:conditional", "c < a:conditional"]


def test_a_conditional_entry(seen: Seen, run: Callable[..., Any]) -> None:
    def choose(state: Path) -> str:
        return "b"

    graph = graph_of("b>c", nodes=["a"])
    graph.add_conditional_edges(START, choose, ["a", "b"])
    run(graph.compile(), EMPTY)
    engagement = seen.one()
    assert tree(engagement) == ["b", "c < b:static"]
    assert engagement.topology.entry == ["a", "b"]


def test_send_fans_out_from_its_sender(seen: Seen, run: Callable[..., Any]) -> None:
    def deal(state: Path) -> list[Send]:
        return [Send("work", {"path": [str(n)]}) for n in range(3)]

    graph = graph_of("^>a", "^>other", "work>join")
    graph.add_conditional_edges("a", deal, ["work"])
    run(graph.compile(), EMPTY)
    engagement = seen.one()
    assert sorted(tree(engagement)[:2]) == ["a", "other"]
    assert tree(engagement)[2:] == [
        "work < a:send",
        "work@2.1 < a:send",
        "work@3.1 < a:send",
        "join < work:static, work:static, work:static",
    ]
    states = [seen.state(step)["path"] for step in engagement.steps if step.name == "work"]
    assert sorted(states) == [["0"], ["1"], ["2"]]


def test_two_senders_are_told_apart(seen: Seen, run: Callable[..., Any]) -> None:
    def deal(count: int) -> Callable[[Path], list[Send]]:
        return lambda state: [Send("work", {"path": []})] * count

    graph = graph_of("^>a", "^>b", nodes=["work"])
    graph.add_conditional_edges("a", deal(2), ["work"])
    graph.add_conditional_edges("b", deal(1), ["work"])
    run(graph.compile(), EMPTY)
    lines = tree(seen.one())[2:]
    assert sorted(one.partition(" < ")[2] for one in lines) == ["a:send", "a:send", "b:send"]


def test_command_goto_and_update(seen: Seen, run: Callable[..., Any]) -> None:
    def a(state: Path) -> Command[Any]:
        return Command(goto=["b", Send("c", {"path": ["sent"]})], update={"path": ["a"]})

    graph = graph_of("^>a", nodes=["c"], b=visit("b"))
    graph.nodes.pop("a", None)
    graph.add_node("a", a, destinations=("b", "c"))
    run(graph.compile(), EMPTY)
    engagement = seen.one()
    assert sorted(tree(engagement)) == ["a", "b < a:goto", "c < a:send"]
    assert seen.update(named(engagement, "a")) == {"path": ["a"]}


def test_a_deferred_node_waits_for_everything(seen: Seen, run: Callable[..., Any]) -> None:
    graph = graph_of("^>a", "a>b", "b>c")
    graph.add_node("late", visit("late"), defer=True)
    graph.add_edge("a", "late")
    run(graph.compile(), EMPTY)
    assert tree(seen.one()) == ["a", "b < a:static", "c < b:static", "late < a:static"]


def test_a_subgraph_lies_in_its_step(seen: Seen, run: Callable[..., Any]) -> None:
    inmost = graph_of("^>x", "x>y").compile()
    inner = graph_of("^>deep", "deep>z", deep=inmost).compile()
    run(graph_of("^>a", "a>sub", "sub>b", sub=inner).compile(), EMPTY)
    engagement = seen.one()
    assert tree(engagement) == [
        "a",
        "sub < a:static",
        "sub/deep",
        "sub/deep/x",
        "sub/deep/y < x:static",
        "sub/z < deep:static",
        "b < sub:static",
    ]
    assert [node.name for node in engagement.topology.nodes] == [
        "a",
        "sub",
        "sub/deep",
        "sub/deep/x",
        "sub/deep/y",
        "sub/z",
        "b",
    ]


def test_a_graph_called_twice_by_a_node(seen: Seen, run: Callable[..., Any]) -> None:
    inner = graph_of("^>x", "x>y").compile()

    def call(state: Path) -> Any:
        inner.invoke({"path": []})
        return inner.invoke({"path": []})

    run(graph_of("^>call", call=call).compile(), EMPTY)
    assert tree(seen.one()) == ["call", "call/x", "call/y < x:static", "call/x@2.1", "call/y@2.1 < x:static"]


def test_a_command_to_the_parent_graph(seen: Seen, run: Callable[..., Any]) -> None:
    def leave(state: Path) -> Command[Any]:
        return Command(graph=Command.PARENT, goto="z", update={"path": ["left"]})

    inner = graph_of("^>leave", "leave>never", leave=leave).compile()
    graph = graph_of("^>sub", nodes=["z"], never=visit("never"))
    graph.nodes.pop("sub")
    graph.add_node("sub", inner, destinations=("z",))
    result = run(graph.compile(), EMPTY)
    engagement = seen.one()
    assert tree(engagement) == ["sub", "sub/leave", "z < sub:goto"]
    assert result == {"path": ["left", "z"]}
    assert engagement.status == "completed"
    assert [step.error for step in engagement.steps] == [None] * 3


def fail(state: Path) -> None:
    raise ValueError("no good")


def test_an_error_fails_the_step_and_the_engagement(seen: Seen, run: Callable[..., Any]) -> None:
    app = graph_of("^>a", "a>bad", "bad>c", bad=fail).compile()
    with pytest.raises(ValueError, match="no good"):
        run(app, EMPTY)
    engagement = seen.one()
    assert tree(engagement) == ["a", "bad failed < a:static"]
    assert (engagement.status, engagement.dropped_at) == ("failed", "a")
    assert engagement.error == "ValueError: no good"
    bad = named(engagement, "bad")
    assert (bad.error, bad.error_type) == ("no good", "ValueError")
    assert [(event.kind, event.name, event.error) for event in bad.events] == [("error", "node_error", "no good")]


def test_an_error_inside_a_subgraph_is_told_once(seen: Seen, run: Callable[..., Any]) -> None:
    inner = graph_of("^>bad", bad=fail).compile()
    with pytest.raises(ValueError, match="no good"):
        run(graph_of("^>sub", sub=inner).compile(), EMPTY)
    engagement = seen.one()
    assert tree(engagement) == ["sub failed", "sub/bad failed"]
    assert [len(events(step, "error")) for step in engagement.steps] == [0, 1]


def test_each_retry_is_an_attempt_of_one_visit(seen: Seen, run: Callable[..., Any]) -> None:
    tries = []

    def flaky(state: Path) -> dict[str, list[str]]:
        tries.append(1)
        if len(tries) < 3:
            raise ConnectionError("try again")
        return {"path": ["flaky"]}

    graph = graph_of("^>a", "a>c")
    graph.add_node("flaky", flaky, retry_policy=RetryPolicy(initial_interval=0.001, jitter=False))
    graph.add_edge("a", "flaky")
    graph.add_node("d", visit("d"))
    graph.add_edge(["flaky", "c"], "d")
    run(graph.compile(), EMPTY)
    engagement = seen.one()
    flaky_lines = [one for one in tree(engagement) if one.startswith("flaky")]
    assert flaky_lines == ["flaky failed < a:static", "flaky@1.2 failed < a:static", "flaky@1.3 < a:static"]
    assert engagement.status == "completed"
    # The join is with the attempt that came through.
    (last,) = [step for step in engagement.steps if step.name == "flaky" and step.status is StepStatus.COMPLETED]
    assert last.id in named(engagement, "d").triggers


def test_a_cancelled_sibling_is_no_failure(seen: Seen) -> None:
    async def slow(state: Path) -> None:
        await asyncio.sleep(30)

    async def bad(state: Path) -> None:
        await asyncio.sleep(0.02)
        raise KeyError("bad")

    app = graph_of("^>slow", "^>bad", slow=slow, bad=bad).compile()
    with pytest.raises(KeyError):
        asyncio.run(app.ainvoke(EMPTY))
    assert sorted(tree(seen.one())) == ["bad failed", "slow cancelled"]


@pytest.mark.skipif("error_handler" not in signature(StateGraph.add_node).parameters, reason="from LangGraph 1.2 on")
def test_an_error_handler_is_caused_by_the_failure(seen: Seen, run: Callable[..., Any]) -> None:
    graph = graph_of("^>a", nodes=["c"])

    def rescue(state: Path) -> dict[str, list[str]]:
        return {"path": ["rescued"]}

    graph.add_node("bad", fail, error_handler=rescue)
    graph.add_edge("a", "bad")
    graph.add_edge("bad", "c")
    run(graph.compile(), EMPTY)
    engagement = seen.one()
    assert tree(engagement)[:3] == ["a", "bad failed < a:static", "__error_handler__bad < bad:error"]
    assert engagement.status == "completed"


def test_tasks_of_the_functional_api(seen: Seen) -> None:
    from langgraph.func import entrypoint, task

    @task
    def plus_one(x: int) -> int:
        return x + 1

    @entrypoint()
    def flow(x: int) -> int:
        first = [plus_one(x), plus_one(x)]
        return plus_one(sum(one.result() for one in first)).result()

    assert flow.invoke(1) == 5
    engagement = seen.one()
    assert tree(engagement) == ["flow", "flow/plus_one", "flow/plus_one@2.1", "flow/plus_one@3.1"]
    assert [seen.update(step) for step in engagement.steps] == [5, 2, 2, 5]


def test_a_global_step_is_an_intent_switch(seen: Seen) -> None:
    from ftnb import record

    graph = graph_of("^>greet", "greet>qualify", nodes=["escalate", "search"])
    graph.add_conditional_edges("qualify", lambda state: "escalate", ["escalate", "search"])
    with record("house", global_nodes={"escalate"}, node_tools={"search": ["find"]}):
        graph.compile().invoke(EMPTY)
    engagement = seen.one()
    (switch,) = engagement.intent_switches
    assert (switch.from_step, switch.to_step) == ("qualify", "escalate")
    assert [step.name for step in engagement.steps if step.is_global] == ["escalate"]
    declared = {node.name: node for node in engagement.topology.nodes}
    assert declared["escalate"].is_global
    assert declared["search"].tools == ["find"]


def test_state_and_update_are_kept_as_they_were(seen: Seen) -> None:
    def spoil(state: Path) -> dict[str, list[str]]:
        state["path"].append("spoilt later")
        return {"path": ["b"]}

    graph_of("^>a", "a>b", b=spoil).compile().invoke({"path": ["given"]})
    engagement = seen.one()
    assert seen.state(named(engagement, "a")) == {"path": ["given"]}
    assert seen.update(named(engagement, "a")) == {"path": ["a"]}
    assert seen.state(named(engagement, "b")) == {"path": ["given", "a"]}
    assert seen.update(named(engagement, "b")) == {"path": ["b"]}
