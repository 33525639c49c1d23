"""`with ftnb.record(…) as run:` and `with run.step(…) as s:` in code that is no graph."""

from __future__ import annotations

import asyncio
import contextvars
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel

import ftnb
from ftnb.core.errors import FtnbError, InvalidArgumentError, UnknownEngagementError
from ftnb.store.sqlite import SQLiteStore
from tests.capture.models import parrot
from tests.capture.shapes import Seen, graph_of, named, tree


def test_steps_one_after_the_other(seen: Seen) -> None:
    with ftnb.record("house_search", metadata={"user_id": "u"}) as run:
        with run.step("intake", tools=["portal"], input={"q": 1}) as s:
            s.output = {"budget": 5}
        with run.step("search") as s:
            s.input = {"late": True}
        with run.step("search"):
            pass
    engagement = seen.one()
    assert (engagement.id, engagement.name, engagement.status.value) == (run.engagement_id, "house_search", "completed")
    assert engagement.metadata == {"user_id": "u"}
    assert tree(engagement) == ["intake", "search < intake:static", "search@2.1 < search:static"]
    intake, search, _ = engagement.steps
    assert (seen.state(intake), seen.update(intake), seen.state(search)) == ({"q": 1}, {"budget": 5}, {"late": True})
    assert intake.tools_available == ["portal"]
    assert intake.duration_ms is not None


def test_what_is_told_is_frozen(seen: Seen) -> None:
    with ftnb.record("e") as run, run.step("a", input=(given := {"n": [1]})) as s:
        s.output = made = [1]
        given["n"].append(2)
        made.append(2)
    (step,) = seen.one().steps
    assert (seen.state(step), seen.update(step)) == ({"n": [1]}, [1])


def test_steps_inside_steps_have_their_parent(seen: Seen) -> None:
    with ftnb.record("e") as run:
        with run.step("a"):
            with run.step("b"):
                pass
            with run.step("c"), ftnb.step("d"):
                pass
        with run.step("e"):
            pass
    assert tree(seen.one()) == ["a", "a/b", "a/c < b:static", "a/c/d", "e < a:static"]


def test_the_topology_is_what_was_seen(seen: Seen) -> None:
    with ftnb.record("e") as run:
        for _ in range(2):
            with run.step("a", tools=["t"]), run.step("inner"):
                pass
        with run.step("b"):
            pass
    topology = seen.one().topology
    assert [(node.name, node.parent, node.tools) for node in topology.nodes] == [
        ("a", None, ["t"]),
        ("a/inner", "a", []),
        ("b", None, []),
    ]
    assert [(edge.source, edge.target) for edge in topology.edges] == [("a", "a"), ("a", "b")]
    assert (topology.entry, topology.finish) == (["a"], ["b"])


def test_a_topology_may_be_declared(seen: Seen) -> None:
    with ftnb.record("e", global_nodes={"escalate"}) as run:
        run.topology([("intake", "search"), ("search", "submit")], nodes=["escalate"])
        with run.step("intake"):
            pass
        with run.step("escalate"):
            pass
    engagement = seen.one()
    assert [node.name for node in engagement.topology.nodes] == ["intake", "search", "submit", "escalate"]
    assert [(edge.source, edge.target) for edge in engagement.topology.edges] == [
        ("intake", "search"),
        ("search", "submit"),
    ]
    assert engagement.topology.entry == ["intake", "escalate"]
    assert [(switch.to_step, switch.from_step) for switch in engagement.intent_switches] == [("escalate", "intake")]
    assert engagement.steps[1].is_global


def test_tasks_side_by_side_and_what_follows_them(seen: Seen) -> None:
    async def work(run: Any, name: str) -> None:
        with run.step(name):
            await asyncio.sleep(0.01)
        with run.step(name + "2"):
            await asyncio.sleep(0.01)

    async def main() -> None:
        async with ftnb.record("e") as run:
            async with run.step("plan"):
                pass
            await asyncio.gather(work(run, "b"), work(run, "c"))
            with run.step("merge"):
                pass

    asyncio.run(main())
    assert sorted(tree(seen.one())) == [
        "b < plan:static",
        "b2 < b:static",
        "c < plan:static",
        "c2 < c:static",
        "merge < b2:join, c2:join",
        "plan",
    ]


def test_tasks_of_a_loop_that_has_had_no_step_yet(seen: Seen) -> None:
    async def work(run: Any, name: str) -> None:
        with run.step(name):
            await asyncio.sleep(0.01)

    async def main(run: Any) -> None:
        await asyncio.gather(work(run, "b"), work(run, "c"))
        with run.step("merge"):
            pass

    with ftnb.record("e") as run:
        asyncio.run(main(run))
        with run.step("last"):
            pass
    assert tree(seen.one()) == ["b", "c", "merge < b:join, c:join", "last < merge:static"]


def test_a_pool_keeps_the_step(seen: Seen) -> None:
    def work(name: str) -> None:
        with ftnb.step(name):
            ftnb.current_step().log("hello")

    with ftnb.record("e") as run:
        with run.step("a"), ThreadPoolExecutor(2) as pool:
            list(pool.map(work, ["x", "y"]))
        with run.step("b"):
            pass
    lines = tree(seen.one())
    assert (lines[0], lines[-1], sorted(lines[1:-1])) == ("a", "b < a:static", ["a/x", "a/y"])


def test_threads_started_by_hand(seen: Seen) -> None:
    def named_parent(run: Any, parent: Any) -> None:
        for name in ("x", "y"):
            with run.step(name, parent=parent):
                pass

    def with_context(run: Any) -> None:
        with run.step("z"):
            pass

    def bare(run: Any) -> None:
        with run.step("top"):
            pass

    with ftnb.record("e") as run:
        with run.step("a") as a:
            threads = [
                threading.Thread(target=named_parent, args=(run, a)),
                threading.Thread(target=contextvars.copy_context().run, args=(with_context, run)),
            ]
            for thread in threads:
                thread.start()
                thread.join()
        thread = threading.Thread(target=bare, args=(run,))
        thread.start()
        thread.join()
        with run.step("b"):
            pass
    assert tree(seen.one()) == ["a", "a/x", "a/y < x:static", "a/z", "top < a:static", "b < top:static"]


def test_an_exception_fails_its_steps_and_is_the_same(seen: Seen) -> None:
    error = KeyError("lost")

    def agent() -> None:
        with ftnb.record("e") as run:
            with run.step("a"):
                pass
            with run.step("b"), run.step("c"):
                raise error

    with pytest.raises(KeyError) as caught:
        agent()
    assert caught.value is error
    engagement = seen.one()
    assert (engagement.status.value, engagement.dropped_at) == ("failed", "a")
    assert tree(engagement) == ["a", "b failed < a:static", "b/c failed"]
    assert [(step.error, step.error_type) for step in engagement.steps[1:]] == [("'lost'", "KeyError")] * 2
    assert [(event.kind.value, event.error_type) for event in engagement.steps[2].events] == [("error", "KeyError")]
    assert engagement.steps[1].events == []


def test_an_exception_that_is_handled_does_not_fail_the_engagement(seen: Seen) -> None:
    with ftnb.record("e") as run:
        with pytest.raises(ValueError), run.step("a"):  # noqa: PT011
            raise ValueError
        with run.step("b"):
            pass
    assert (seen.one().status.value, tree(seen.one())) == ("completed", ["a failed", "b < a:static"])


def test_a_cancelled_task_has_a_cancelled_step(seen: Seen) -> None:
    async def main(run: Any) -> None:
        async def wait() -> None:
            with run.step("wait"):
                await asyncio.sleep(30)

        task = asyncio.create_task(wait())
        await asyncio.sleep(0.01)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    with ftnb.record("e") as run:
        asyncio.run(main(run))
    assert (seen.one().status.value, tree(seen.one())) == ("completed", ["wait cancelled"])


def test_what_is_under_way_when_the_block_ends_is_cancelled(seen: Seen) -> None:
    with ftnb.record("e") as run:
        step = run.step("a").begin()
        call = step.llm_call("m")
    call.answered("late")
    step.end()
    engagement = seen.one()
    assert tree(engagement) == ["a cancelled"]
    assert [event.duration_ms for event in engagement.steps[0].events] == [None]


def test_goals(seen: Seen) -> None:
    for last in ("submit", "search"):
        with ftnb.record("e", goal_nodes={"submit"}) as run, run.step(last):
            pass
    assert [(one.status.value, one.dropped_at) for one in seen.all()] == [("completed", None), ("abandoned", "search")]


def test_the_user_may_give_up(seen: Seen) -> None:
    with ftnb.record("e") as run:
        with run.step("a"):
            pass
        run.abandon("no answer")
    engagement = seen.one()
    assert (engagement.status.value, engagement.dropped_at, engagement.error) == ("abandoned", "a", "no answer")


# --- pauses and turns ---


def test_a_pause_and_the_next_turn_in_another_block(seen: Seen) -> None:
    with ftnb.record("e", goal_nodes={"book"}, metadata={"user_id": "u"}) as run:
        with run.step("offer"):
            pass
        with run.step("confirm") as s:
            s.llm_call("m", prompt_tokens=3)
            run.pause("Book it?")
    paused = seen.one()
    assert (paused.status.value, tree(paused)) == ("paused", ["offer", "confirm waiting < offer:static"])
    assert [event.payload for event in paused.steps[1].events if event.subtype == "interrupt"] == [
        {"value": "Book it?"}
    ]
    assert paused.total_tokens == 0
    with ftnb.record(continue_=run.engagement_id) as again:
        with again.step("confirm") as s:
            s.output = "yes"
        with again.step("book"):
            pass
    engagement = seen.one()
    assert (engagement.id, engagement.name, engagement.metadata) == (paused.id, "e", {"user_id": "u"})
    assert (engagement.status.value, engagement.n_turns) == ("completed", 2)
    assert [step.turn for step in engagement.steps] == [1, 1, 2, 2]
    assert tree(engagement)[2:] == ["confirm@1.2 < confirm:resume", "book < confirm:static"]


def test_a_pause_and_the_next_turn_in_the_same_block(seen: Seen) -> None:
    with ftnb.record("chat") as run:
        for said in ("hello", "bye"):
            with run.step("answer", input=said):
                pass
            run.pause()
    engagement = seen.one()
    assert (engagement.status.value, engagement.n_turns) == ("paused", 2)
    assert tree(engagement) == ["answer", "answer@2.1 < answer:static"]
    assert [step.turn for step in engagement.steps] == [1, 2]


def test_a_conversation_that_was_completed_goes_on(seen: Seen) -> None:
    with ftnb.record("chat") as run, run.step("answer"):
        pass
    with ftnb.record("chat", continue_=run.engagement_id) as again, again.step("answer"):
        pass
    engagement = seen.one()
    assert (engagement.n_turns, [step.visit for step in engagement.steps]) == (2, [1, 2])


def test_going_on_with_what_is_not_there(seen: Seen) -> None:
    with pytest.raises(UnknownEngagementError, match="no engagement 'x'"):
        ftnb.record(continue_="x")


# --- what is told inside ---


class Wish(BaseModel):
    """What somebody looks for."""

    rooms: int


def test_calls_notes_and_extractions(seen: Seen) -> None:
    with ftnb.record("e") as run, run.step("a") as s:
        s.llm_call(
            "gpt", messages="hi", response="hello", prompt_tokens=3, completion_tokens=2, provider="openai",
            parameters={"temperature": 0}, duration_ms=250, ttft_ms=100,
        )  # fmt: skip
        s.llm_call("gpt", messages=[{"role": "user", "content": "x"}], error=TimeoutError("slow"))
        s.tool_call("portal", args={"rooms": 2}, result=["flat"], call_id="c1")
        s.tool_call("portal", args={}, error="no such city")
        s.log("seen", {"n": 3}, more=True)
        s.log("plain")
        s.extraction(Wish(rooms=2), confidence=0.5)
        s.extraction({"rooms": 3}, schema_name="Wish", valid=False)
    (step,) = seen.one().steps
    answered, failed, called, refused, seen_note, plain, *_ = step.events
    assert answered.tokens is not None
    assert (answered.model, answered.tokens.total, answered.duration_ms, answered.ttft_ms) == ("gpt", 5, 250, 100)
    assert answered.payload == {
        "messages": [{"role": "user", "content": "hi"}],
        "parameters": {"temperature": 0},
        "provider": "openai",
        "response": {"role": "assistant", "content": "hello"},
    }
    assert (failed.error, failed.error_type) == ("slow", "TimeoutError")
    assert called.payload == {"args": {"rooms": 2}, "call_id": "c1", "result": ["flat"]}
    assert (refused.error, refused.error_type) == ("no such city", None)
    assert (seen_note.payload, plain.payload) == ({"n": 3, "more": True}, {})
    assert step.extraction is not None
    assert (step.extraction.schema_name, step.extraction.values, step.extraction.valid) == ("Wish", {"rooms": 3}, False)
    assert [event.kind.value for event in step.events].count("extraction") == 2


def test_a_call_as_a_block_is_timed(seen: Seen) -> None:
    with ftnb.record("e") as run, run.step("a") as s:
        with s.llm_call("gpt", messages="hi") as call:
            call.token()
            call.answered({"role": "assistant", "content": "x"}, tokens={"prompt": 4, "reasoning": 0}, model="gpt-2026")
        with pytest.raises(ValueError, match="no"), s.tool_call("t"):
            raise ValueError("no")
    llm, tool = seen.one().steps[0].events
    assert (llm.name, llm.model, llm.tokens and llm.tokens.prompt) == ("gpt-2026", "gpt-2026", 4)
    assert llm.duration_ms is not None
    assert llm.ttft_ms is not None
    assert (tool.error, tool.error_type) == ("no", "ValueError")


def test_a_call_nobody_ended_ends_with_its_step(seen: Seen) -> None:
    with ftnb.record("e") as run, run.step("a") as s:
        s.tool_call("t", args=1)
    (event,) = seen.one().steps[0].events
    assert (event.name, event.duration_ms, event.payload) == ("t", None, {"args": 1})


def test_a_model_of_langchain_inside_a_call_is_one_event(seen: Seen) -> None:
    with ftnb.record("e") as run, run.step("a") as s, s.llm_call("mine") as call:
        parrot("hello").invoke("hi")
        call.answered("hello")
    (event,) = seen.one().steps[0].events
    assert event.tokens is not None
    assert event.model == "parrot-1-2026"


def test_late_news_of_a_step_is_kept(seen: Seen) -> None:
    with ftnb.record("e") as run:
        with run.step("a") as s:
            pass
        s.log("late")
        with run.step("b"):
            pass
    assert [event.name for event in seen.one().steps[0].events] == ["late"]


# --- together with graphs ---


def test_steps_inside_a_node_are_its_children(seen: Seen) -> None:
    def node(state: Any) -> Any:
        with ftnb.step("look"), ftnb.step("closer"):
            parrot("hello").invoke("hi")
        with ftnb.step("think"):
            ftnb.current_step().log("hm")
        ftnb.current_step().log("in the node")
        return {"path": ["a"]}

    graph_of("^>a", "a>b", a=node).compile().invoke({"path": []})
    engagement = seen.one()
    assert tree(engagement) == ["a", "a/look", "a/look/closer", "a/think < look:static", "b < a:static"]
    kinds = {step.name: [event.kind.value for event in step.events] for step in engagement.steps}
    assert kinds == {"a": ["log"], "look": [], "closer": ["llm_call"], "think": ["log"], "b": []}


def test_the_run_s_steps_inside_a_node_of_its_graph(seen: Seen) -> None:
    with ftnb.record("e") as run:

        def node(state: Any) -> Any:
            with run.step("look"):
                return {"path": ["a"]}

        with run.step("before"):
            pass
        graph_of("^>a", a=node).compile().invoke({"path": []})
    assert tree(seen.one()) == ["before", "a", "a/look"]


def test_a_graph_inside_a_step_lies_in_it(seen: Seen) -> None:
    with ftnb.record("e") as run:
        with run.step("agent"):
            graph_of("^>a", "a>b").compile().invoke({"path": []})
        with run.step("after"):
            pass
    engagement = seen.one()
    assert tree(engagement) == ["agent", "agent/a", "agent/b < a:static", "after < agent:static"]
    assert [node.name for node in engagement.topology.nodes] == ["agent", "after", "agent/a", "agent/b"]
    assert engagement.n_turns == 1


def test_a_graph_that_asks_inside_a_step_pauses_the_engagement(seen: Seen) -> None:
    from langgraph.checkpoint.memory import InMemorySaver
    from langgraph.types import Command, interrupt

    graph = graph_of("^>ask", ask=lambda state: {"path": [interrupt("sure?")]}).compile(checkpointer=InMemorySaver())
    config: Any = {"configurable": {"thread_id": "t"}}
    with ftnb.record("e") as run, run.step("agent"):
        graph.invoke({"path": []}, config)
    assert seen.one().status.value == "paused"
    with ftnb.record(continue_=run.engagement_id) as again, again.step("agent"):
        graph.invoke(Command(resume="yes"), config)
    assert seen.one().status.value == "completed"


def test_a_model_in_a_step_is_its_event_and_outside_a_step_of_its_own(seen: Seen) -> None:
    with ftnb.record("e") as run:
        with run.step("a"):
            parrot("hello").invoke("hi")
        parrot("hello").invoke("hi")
    assert [(step.name, [event.kind.value for event in step.events]) for step in seen.one().steps] == [
        ("a", ["llm_call"]),
        ("Parrot", ["llm_call"]),
    ]


def test_a_block_inside_a_block_is_an_engagement_of_its_own(seen: Seen) -> None:
    with ftnb.record("outer") as outer, outer.step("a"):
        with ftnb.record("inner") as inner, inner.step("x"), outer.step("b"):
            pass
        with outer.step("c"), ftnb.step("d"):
            pass
    assert {one.name: tree(one) for one in seen.all()} == {
        "outer": ["a", "b", "a/c", "a/c/d"],
        "inner": ["x"],
    }


# --- where nothing is recorded ---


def test_switched_off_in_between(seen: Seen) -> None:
    session = ftnb.start(seen.store)
    with ftnb.record("e") as run:
        with run.step("a"):
            pass
        session.pause()
        with run.step("b") as s:
            s.llm_call("m", response="x")
            s.output = 1
        session.resume()
        with run.step("c"):
            pass
    assert {step.name for one in seen.all() for step in one.steps} == {"a", "c"}


def test_without_langchain_and_in_a_foreign_store() -> None:
    from tests.plain.foreign import Lines

    lines = Lines()
    ftnb.start(lines)
    with ftnb.record("e") as run, run.step("a") as s:
        s.log("x")
    ftnb.stop()
    assert [record.type for record in lines.records] == [
        "engagement_started",
        "step_started",
        "event_recorded",
        "step_ended",
        "engagement_labelled",
        "engagement_ended",
    ]


# --- wrong use ---


def test_wrong_use_says_what_to_do(seen: Seen) -> None:
    run = ftnb.record("e")
    with pytest.raises(FtnbError, match=r"with ftnb.record\(…\) as run"):
        run.step("a")
    with pytest.raises(InvalidArgumentError, match="an engagement needs a name"):
        ftnb.record()
    with run, run.step("a") as s:
        for call, match in (
            (lambda: run.step(""), "a step's name"),
            (lambda: run.step(3), "a step's name"),
            (lambda: run.step("b", tools="portal"), r"tools=\['portal'\]"),
            (lambda: run.step("b", tools=[3]), "list of names"),
            (lambda: run.step("b", parent="a"), "parent is a step"),
            (lambda: run.step("b", parent=run.step("c")), "not begun yet"),
            (lambda: run.topology(["ab"]), "pairs of step names"),
            (lambda: run.topology(nodes="ab"), "lists of step names"),
            (lambda: s.llm_call(""), "a model's name"),
            (lambda: s.llm_call("m", tokens={"promt": 1}), "promt"),
            (lambda: s.llm_call("m", tokens=5), "mapping"),
            (lambda: s.llm_call("m", duration_ms=-1), "duration_ms"),
            (lambda: s.tool_call(None), "a tool's name"),
            (lambda: s.extraction({"a": 1}), "schema_name"),
            (lambda: s.extraction({"a": 1}, schema_name="S", confidence=2), "between 0 and 1"),
            (lambda: ftnb.step(3), "ftnb.step is for functions"),
            (lambda: ftnb.step(int), "ftnb.step is for functions"),
            (lambda: ftnb.step().__enter__(), "needs a name"),
        ):
            with pytest.raises(InvalidArgumentError, match=match):
                call()  # type: ignore[no-untyped-call]
        with pytest.raises(FtnbError, match="begun already"), s:
            pass
        with pytest.raises(FtnbError, match="not begun"):
            run.step("b").end()
    with pytest.raises(FtnbError, match="is over"):
        run.__enter__()
    assert tree(seen.one()) == ["a"]


def test_a_step_after_the_block_is_counted_and_harms_nobody() -> None:
    session = ftnb.start(":memory:")
    with ftnb.record("e") as run:
        pass
    with run.step("late") as s:
        s.log("x")
    assert session.stats().dropped == {"late": 1}
    ftnb.stop()


def test_a_parent_of_another_engagement_is_refused(seen: Seen) -> None:
    with ftnb.record("one") as one, one.step("a") as a, ftnb.record("two") as two:
        step = two.step("b", parent=a)
        with pytest.raises(InvalidArgumentError, match="another engagement"):
            step.begin()


# --- any shape ---

SHAPES = st.recursive(st.just([]), lambda inner: st.lists(inner, max_size=3), max_leaves=12)


@settings(max_examples=30)
@given(SHAPES)
def test_any_nesting_comes_back_as_it_was(shape: list[Any]) -> None:
    expected: list[str] = []

    def go(run: Any, steps: list[Any], path: str) -> None:
        for place, inner in enumerate(steps):
            name = f"{path}{place}"
            expected.append(name)
            with run.step(name):
                go(run, inner, name)

    store = SQLiteStore()
    ftnb.start(store)
    with ftnb.record("e") as run:
        go(run, shape, "s")
    ftnb.stop()
    engagement = store.get_engagement(run.engagement_id)
    store.close()
    steps = {step.id: step for step in engagement.steps}
    assert [step.name for step in engagement.steps] == expected
    for step in engagement.steps:
        parent = steps[step.parent_step_id].name if step.parent_step_id else "s"
        place = int(step.name.removeprefix(parent))
        assert [steps[cause].name for cause in step.triggers] == ([f"{parent}{place - 1}"] if place else [])


def test_names_are_looked_at_where_they_were_begun(seen: Seen) -> None:
    with ftnb.record("e", goal_nodes="b") as run, run.step("a"), run.step("b"):
        pass
    assert seen.one().status.value == "abandoned"  # a bare goal means a step at the top
    assert named(seen.one(), "b").ns == "a"
