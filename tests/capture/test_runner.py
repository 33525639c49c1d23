"""`run_instrumented`: a recorder of one's own."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest
from langchain_core.tracers import context
from langgraph.checkpoint.memory import InMemorySaver

import ftnb
from ftnb.langgraph_adapter import run_instrumented
from ftnb.recorder import Recorder
from ftnb.store.sqlite import SQLiteStore
from tests.capture.models import parrot
from tests.capture.shapes import Path, Seen, graph_of, tree

EMPTY: dict[str, list[str]] = {"path": []}


def own_store() -> tuple[Seen, Recorder]:
    store = SQLiteStore()
    return Seen(store), Recorder(store)


async def test_one_engagement_with_what_was_said() -> None:
    own, recorder = own_store()
    app = graph_of("^>a", "a>b").compile()
    engagement_id = await run_instrumented(
        app,
        EMPTY,
        recorder,
        name="house",
        metadata={"u": 1},
        goal_nodes={"b"},
        global_nodes={"b"},
        node_tools={"a": ["t"]},
    )
    engagement = own.one()
    assert engagement.id == engagement_id
    assert (engagement.name, engagement.metadata, engagement.goal_nodes) == ("house", {"u": 1}, ["b"])
    assert (engagement.status, engagement.n_turns) == ("completed", 1)
    assert tree(engagement) == ["a", "b < a:static"]
    assert engagement.steps[0].tools_available == ["t"]
    assert [switch.to_step for switch in engagement.intent_switches] == ["b"]


async def test_the_hook_is_taken_out_again() -> None:
    before = list(context._configure_hooks)
    _, recorder = own_store()
    await run_instrumented(graph_of("^>a").compile(), EMPTY, recorder)
    assert context._configure_hooks == before


async def test_the_session_beside_it_stays_silent(seen: Seen) -> None:
    own, recorder = own_store()
    app = graph_of("^>a").compile()
    await asyncio.gather(run_instrumented(app, EMPTY, recorder, name="mine"), app.ainvoke(EMPTY))
    await app.ainvoke(EMPTY)
    assert [engagement.name for engagement in own.all()] == ["mine"]
    assert [engagement.name for engagement in seen.all()] == ["LangGraph", "LangGraph"]


async def test_an_explicit_recorder_outranks_a_block(seen: Seen) -> None:
    own, recorder = own_store()
    with ftnb.record("block"):
        await run_instrumented(graph_of("^>a").compile(), EMPTY, recorder)
    assert tree(own.one()) == ["a"]
    assert tree(seen.one()) == []


async def test_what_the_agent_raises_is_passed_on() -> None:
    own, recorder = own_store()

    def bad(state: Path) -> None:
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        await run_instrumented(graph_of("^>a", "a>bad", bad=bad).compile(), EMPTY, recorder)
    engagement = own.one()
    assert (engagement.status, engagement.dropped_at, engagement.error) == ("failed", "a", "ValueError: no")


async def test_a_run_that_never_begins_is_a_failed_engagement() -> None:
    own, recorder = own_store()
    app = graph_of("^>a").compile(checkpointer=InMemorySaver())
    with pytest.raises(Exception, match="thread_id"):
        await run_instrumented(app, EMPTY, recorder)
    assert own.one().status == "failed"


class Foreign:
    """A store with nothing but `append`, which takes its time."""

    def __init__(self) -> None:
        self.records: list[Any] = []

    def append(self, record: Any) -> None:
        """Keep a record."""
        time.sleep(0.001)
        self.records.append(record)


async def test_a_store_that_only_appends_may_be_called_back_from_many_threads() -> None:
    model = parrot("x")

    def node(state: Path) -> dict[str, list[str]]:
        for _ in range(5):
            model.invoke("hi")
        return {"path": []}

    names = "abcdefgh"
    foreign = Foreign()
    app = graph_of(*[f"^>{name}" for name in names], **dict.fromkeys(names, node)).compile()
    await run_instrumented(app, EMPTY, Recorder(foreign))  # type: ignore[arg-type]
    kinds = [record.type for record in foreign.records]
    assert kinds.count("event_recorded") == 40
    assert kinds.count("step_started") == kinds.count("step_ended") == 8


async def test_a_store_that_only_appends() -> None:
    foreign = Foreign()
    await run_instrumented(graph_of("^>a", "a>b", "a>c").compile(), EMPTY, Recorder(foreign))  # type: ignore[arg-type]
    kinds = [record.type for record in foreign.records]
    assert kinds[0] == "engagement_started"
    assert kinds[-1] == "engagement_ended"
    assert kinds.count("step_started") == kinds.count("step_ended") == 3
