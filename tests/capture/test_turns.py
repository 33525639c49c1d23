"""Which runs are one engagement, and how it ends."""

from __future__ import annotations

import asyncio
import gc
from typing import Any

import pytest
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.types import Command, interrupt

import ftnb
from ftnb.core.model import Engagement
from tests.capture.shapes import Path, Seen, events, graph_of, named, tree

pytestmark = pytest.mark.usefixtures("eyes")
EMPTY: dict[str, list[str]] = {"path": []}


def thread(name: str, **more: Any) -> Any:
    return {"configurable": {"thread_id": name, **more}}


def ask(state: Path) -> dict[str, list[str]]:
    return {"path": [interrupt("which one?")]}


def turns(engagement: Engagement) -> list[tuple[int, str]]:
    return [(step.turn, step.name) for step in engagement.steps]


def asking(saver: Any = None) -> Any:
    return graph_of("^>a", "a>ask", "ask>b", ask=ask).compile(checkpointer=saver or InMemorySaver())


def test_an_interrupt_pauses_and_a_resume_goes_on(seen: Seen) -> None:
    app = asking()
    app.invoke(EMPTY, thread("1"))
    paused = seen.one()
    assert tree(paused) == ["a", "ask waiting < a:static"]
    assert (paused.status, paused.ended_at, paused.error) == ("paused", None, None)
    (event,) = events(named(paused, "ask"))
    assert (event.name, event.payload["value"], event.error) == ("interrupt", "which one?", None)

    assert app.invoke(Command(resume="this"), thread("1")) == {"path": ["a", "this", "b"]}
    done = seen.one()
    assert tree(done) == ["a", "ask waiting < a:static", "ask@1.2 < ask:resume", "b < ask:static"]
    assert (done.status, done.n_turns) == ("completed", 2)
    assert turns(done) == [(1, "a"), (1, "ask"), (2, "ask"), (2, "b")]
    answers = [event.payload for event in events(done.steps[2]) if event.subtype == "resume"]
    assert answers == [{"value": "this"}]
    assert len({step.id for step in done.steps}) == 4


def test_a_join_across_a_pause_knows_both_its_causes(seen: Seen) -> None:
    app = graph_of("^>a", "a>ask", "a>b", "ask+b>c", ask=ask).compile(checkpointer=InMemorySaver())
    app.invoke(EMPTY, thread("1"))
    app.invoke(Command(resume="x"), thread("1"))
    lines = tree(seen.one())
    assert sorted(lines[:3]) == ["a", "ask waiting < a:static", "b < a:static"]
    assert lines[3:] == ["ask@1.2 < ask:resume", "c < ask:join, b:join"]


def test_an_interrupt_in_a_subgraph_waits_at_every_level(seen: Seen) -> None:
    inner = graph_of("^>x", "x>ask", ask=ask).compile()
    app = graph_of("^>sub", "sub>b", sub=inner).compile(checkpointer=InMemorySaver())
    app.invoke(EMPTY, thread("1"))
    paused = seen.one()
    assert tree(paused) == ["sub waiting", "sub/x", "sub/ask waiting < x:static"]
    assert sum(event.subtype == "interrupt" for step in paused.steps for event in step.events) == 1
    app.invoke(Command(resume="x"), thread("1"))
    assert tree(seen.one())[3:] == ["sub@1.2 < sub:resume", "sub/ask@1.2 < ask:resume", "b < sub:static"]


@pytest.mark.parametrize("where", ["interrupt_before", "interrupt_after"])
def test_a_stop_set_by_the_caller_is_a_pause(seen: Seen, where: str) -> None:
    stop = {where: ["b"] if where == "interrupt_before" else ["a"]}
    app = graph_of("^>a", "a>b").compile(checkpointer=InMemorySaver(), **stop)  # type: ignore[arg-type]
    app.invoke(EMPTY, thread("1"))
    assert seen.one().status == "paused"
    app.invoke(None, thread("1"))
    done = seen.one()
    assert tree(done) == ["a", "b < a:static"]
    assert (done.status, turns(done)) == ("completed", [(1, "a"), (2, "b")])


def test_a_stop_set_by_the_caller_is_a_pause_when_async(seen: Seen) -> None:
    async def run() -> None:
        app = graph_of("^>a", "a>b").compile(checkpointer=InMemorySaver(), interrupt_before=["b"])
        await app.ainvoke(EMPTY, thread("1"))

    asyncio.run(run())
    assert seen.one().status == "paused"


def test_new_input_on_a_thread_is_the_next_turn(seen: Seen) -> None:
    app = graph_of("^>a", "a>b").compile(checkpointer=InMemorySaver())
    app.invoke(EMPTY, thread("1"))
    app.invoke(EMPTY, thread("1"))
    engagement = seen.one()
    assert tree(engagement) == ["a", "b < a:static", "a@2.1", "b@2.1 < a:static"]
    assert (engagement.n_turns, engagement.status) == (2, "completed")


def test_two_threads_are_two_engagements(seen: Seen) -> None:
    app = asking()
    app.invoke(EMPTY, thread("1"))
    app.invoke(EMPTY, thread("2"))
    app.invoke(Command(resume="two"), thread("2"))
    first, second = seen.all()
    assert (first.status, second.status) == ("paused", "completed")
    assert [len(first.steps), len(second.steps)] == [2, 4]


def test_the_same_thread_id_in_another_saver_is_a_stranger(seen: Seen) -> None:
    for _ in range(2):
        graph_of("^>a").compile(checkpointer=InMemorySaver()).invoke(EMPTY, thread("1"))
    assert [tree(engagement) for engagement in seen.all()] == [["a"], ["a"]]


def test_a_thread_that_was_deleted_begins_anew(seen: Seen) -> None:
    saver = InMemorySaver()
    app = graph_of("^>a").compile(checkpointer=saver)
    app.invoke(EMPTY, thread("1"))
    saver.delete_thread("1")
    app.invoke(EMPTY, thread("1"))
    assert len(seen.all()) == 2


def test_an_older_checkpoint_is_a_fork(seen: Seen) -> None:
    app = graph_of("^>a", "a>b").compile(checkpointer=InMemorySaver())
    app.invoke(EMPTY, thread("1"))
    (before_b,) = [state.config for state in app.get_state_history(thread("1")) if state.next == ("b",)]
    app.invoke(None, before_b)
    origin, fork = seen.all()
    assert fork.parent_id == origin.id
    assert (tree(origin), tree(fork)) == (["a", "b < a:static"], ["b"])


def test_resuming_with_the_config_of_the_latest_state_is_no_fork(seen: Seen) -> None:
    app = asking()
    app.invoke(EMPTY, thread("1"))
    app.invoke(Command(resume="x"), app.get_state(thread("1")).config)
    assert seen.one().status == "completed"


def test_without_a_checkpointer_each_run_is_one_engagement(seen: Seen) -> None:
    app = graph_of("^>a").compile()
    app.invoke(EMPTY, thread("1"))
    app.invoke(EMPTY, thread("1"))
    assert len(seen.all()) == 2


def test_batch_and_gather_give_an_engagement_each(seen: Seen) -> None:
    app = graph_of("^>a", "a>b", "a>c", "b+c>d").compile()
    app.batch([EMPTY] * 4)

    async def several() -> None:
        await asyncio.gather(*[app.ainvoke(EMPTY) for _ in range(4)])

    asyncio.run(several())
    engagements = seen.all()
    assert len(engagements) == 8
    for engagement in engagements:
        assert tree(engagement) == ["a", "b < a:static", "c < a:static", "d < b:join, c:join"]


def test_the_users_metadata_and_run_name(seen: Seen) -> None:
    config = {**thread("7", secret_key="s"), "metadata": {"user_id": "u", "n": 3}, "run_name": "shop", "tags": ["t"]}
    graph_of("^>a").compile(checkpointer=InMemorySaver()).invoke(EMPTY, config)  # type: ignore[arg-type]
    engagement = seen.one()
    assert engagement.metadata == {"user_id": "u", "n": 3}
    assert engagement.name == "shop"


def test_a_graphs_own_name_is_the_engagements(seen: Seen) -> None:
    graph_of("^>a").compile(name="house").invoke(EMPTY)
    assert seen.one().name == "house"


# --- ends ---


def test_a_goal_that_is_missed_is_an_abandoned_engagement(seen: Seen) -> None:
    app = graph_of("^>a", "a>b", nodes=["submitted"]).compile()
    with ftnb.record("shop", goal_nodes={"submitted"}):
        app.invoke(EMPTY)
    engagement = seen.one()
    assert (engagement.status, engagement.dropped_at) == ("abandoned", "b")
    assert engagement.goal_nodes == ["submitted"]


def test_goals_are_judged_over_all_turns(seen: Seen) -> None:
    app = graph_of("^>a").compile()
    with ftnb.record("shop", goal_nodes={"x"}):
        graph_of("^>x").compile().invoke(EMPTY)
        app.invoke(EMPTY)
    engagement = seen.one()
    assert (engagement.status, engagement.dropped_at, engagement.n_turns) == ("completed", None, 2)
    assert [node.name for node in engagement.topology.nodes] == ["x", "a"]


def test_a_failed_thread_that_is_retried_goes_on(seen: Seen) -> None:
    fails = [True]

    def flaky(state: Path) -> dict[str, list[str]]:
        if fails.pop():
            raise ConnectionError("down")
        return {"path": ["flaky"]}

    app = graph_of("^>a", "a>flaky", flaky=flaky).compile(checkpointer=InMemorySaver())
    with pytest.raises(ConnectionError):
        app.invoke(EMPTY, thread("1"))
    assert seen.one().dropped_at == "a"
    fails.append(False)
    app.invoke(None, thread("1"))
    engagement = seen.one()
    assert tree(engagement) == ["a", "flaky failed < a:static", "flaky@1.2 < a:static"]
    assert (engagement.status, engagement.dropped_at, engagement.error) == ("completed", None, None)


def test_an_interrupt_from_the_keyboard_is_no_error_of_the_step(seen: Seen) -> None:
    def stop(state: Path) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        graph_of("^>a", "a>stop", stop=stop).compile().invoke(EMPTY)
    engagement = seen.one()
    assert tree(engagement) == ["a", "stop cancelled < a:static"]
    assert (engagement.status, engagement.dropped_at, engagement.error) == ("failed", "a", "KeyboardInterrupt")


def test_a_run_that_is_cancelled(seen: Seen) -> None:
    async def slow(state: Path) -> None:
        await asyncio.sleep(30)

    async def run() -> None:
        task = asyncio.create_task(graph_of("^>a", "a>slow", slow=slow).compile().ainvoke(EMPTY))
        await asyncio.sleep(0.1)
        task.cancel()
        await task

    with pytest.raises(asyncio.CancelledError):
        asyncio.run(run())
    engagement = seen.one()
    assert tree(engagement) == ["a", "slow cancelled < a:static"]
    assert (engagement.status, engagement.dropped_at) == ("failed", "a")


def test_a_stream_that_is_left_early_is_abandoned(seen: Seen) -> None:
    for _ in graph_of("^>a", "a>b", "b>c").compile().stream(EMPTY):
        break
    gc.collect()
    engagement = seen.one()
    assert (engagement.status, engagement.dropped_at) == ("abandoned", "a")
    assert engagement.error == "the stream was closed before the run ended"


def test_too_many_steps_fail_the_engagement(seen: Seen) -> None:
    app = graph_of("^>a", "a>b", "b>a").compile()
    with pytest.raises(Exception, match="ecursion"):
        app.invoke(EMPTY, {"recursion_limit": 4})
    engagement = seen.one()
    assert engagement.status == "failed"
    assert (engagement.error or "").startswith("GraphRecursionError")


def test_an_input_that_is_refused_is_a_failed_engagement(seen: Seen) -> None:
    with pytest.raises(Exception, match="no input"):
        graph_of("^>a").compile().invoke(None)
    assert seen.one().status == "failed"


# --- blocks ---


def test_a_block_is_one_engagement_and_its_runs_are_turns(seen: Seen) -> None:
    app = graph_of("^>a", "a>b").compile()
    with ftnb.record("visit", metadata={"user_id": "u"}) as recording:
        app.invoke(EMPTY)
        app.invoke(EMPTY)
    engagement = seen.one()
    assert engagement.id == recording.engagement_id == ftnb.last().model.id
    assert (engagement.name, engagement.metadata, engagement.status) == ("visit", {"user_id": "u"}, "completed")
    assert turns(engagement) == [(1, "a"), (1, "b"), (2, "a"), (2, "b")]
    assert tree(engagement) == ["a", "b < a:static", "a@2.1", "b@2.1 < a:static"]


def test_an_async_block(seen: Seen) -> None:
    async def run() -> None:
        async with ftnb.record("visit"):
            await asyncio.gather(*[graph_of("^>a").compile().ainvoke(EMPTY) for _ in range(3)])
        await graph_of("^>b").compile().ainvoke(EMPTY)

    asyncio.run(run())
    block, after = seen.all()
    assert sorted(turns(block)) == [(1, "a"), (2, "a"), (3, "a")]
    assert tree(after) == ["b"]


def test_a_block_that_raises_is_a_failed_engagement(seen: Seen) -> None:
    def visit() -> None:
        with ftnb.record("visit"):
            graph_of("^>a").compile().invoke(EMPTY)
            raise RuntimeError("after the run")

    with pytest.raises(RuntimeError):
        visit()
    engagement = seen.one()
    assert (engagement.status, engagement.error) == ("failed", "RuntimeError: after the run")


def test_a_block_that_catches_its_runs_error_stays_failed(seen: Seen) -> None:
    def bad(state: Path) -> None:
        raise ValueError("no")

    with ftnb.record("visit"):
        try:
            graph_of("^>bad", bad=bad).compile().invoke(EMPTY)
        except ValueError:
            pass
    assert seen.one().status == "failed"


def test_a_block_in_which_nothing_runs_is_an_engagement_without_steps(seen: Seen) -> None:
    with ftnb.record("visit"):
        pass
    engagement = seen.one()
    assert (engagement.steps, engagement.status) == ([], "completed")


def test_a_block_that_pauses_stays_paused(seen: Seen) -> None:
    app = asking()
    with ftnb.record("visit"):
        app.invoke(EMPTY, thread("1"))
    assert seen.one().status == "paused"
    app.invoke(Command(resume="x"), thread("1"))
    engagement = seen.one()
    assert (engagement.name, engagement.status, engagement.n_turns) == ("visit", "completed", 2)


def test_an_agent_inside_a_tool_is_a_child_step(seen: Seen) -> None:
    from langchain_core.tools import tool

    inner = graph_of("^>x").compile(name="researcher")

    @tool
    def research(topic: str) -> str:
        """Look it up."""
        inner.invoke(EMPTY)
        return topic

    def node(state: Path) -> dict[str, list[str]]:
        return {"path": [research.invoke({"topic": "t"})]}

    graph_of("^>node", node=node).compile().invoke(EMPTY)
    engagement = seen.one()
    assert tree(engagement) == ["node", "node/x"]
    assert [event.name for event in events(named(engagement, "node"))] == ["research"]
