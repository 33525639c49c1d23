"""The loop in which a model uses tools."""

from __future__ import annotations

import asyncio
import re
import time
from typing import Any

import pytest
from langchain_core.messages import AIMessage, HumanMessage
from langchain_core.tools import tool

from ftnb.agent import AgentTool
from ftnb.core.model import EngagementStatus, EventKind, StepStatus
from ftnb.llm import ToolRequest
from ftnb.orchestration import Workflow
from ftnb.recorder import Recorder
from ftnb.store.sqlite import SQLiteStore
from tests.orchestration.models import Scripted, State, collect, events_of, want


def agent(tools: Any, **options: Any) -> Workflow:
    wf = Workflow("agent", state_schema=State)

    @wf.agent_step(tools=tools, **options)
    async def qa(state: State, ctx: Any) -> dict[str, Any]:
        return {"messages": [await ctx.run_tools(state["messages"])]}

    wf.entry("qa")
    wf.finish("qa")
    return wf


def search(area: str, limit: int = 3) -> dict[str, Any]:
    """Search rooms in an area."""
    return {"area": area, "rooms": limit}


async def test_each_round_and_each_tool_is_one_event(recorder: Recorder, store: SQLiteStore) -> None:
    model = Scripted(want("search", area="Nakano"), "There are three.")
    engagement_id = await agent([search]).run({"messages": ["rooms?"]}, recorder, llm=model)
    engagement = store.get_engagement(engagement_id)
    (step,) = engagement.steps
    assert [event.kind for event in step.events] == [EventKind.LLM_CALL, EventKind.TOOL_CALL, EventKind.LLM_CALL]
    call = step.events[1]
    assert (call.name, call.error) == ("search", None)
    assert call.payload == {
        "args": {"area": "Nakano"},
        "call_id": "id-search",
        "result": {"area": "Nakano", "rooms": 3},
    }
    assert step.events[0].payload["response"]["tool_calls"] == [
        {"name": "search", "args": {"area": "Nakano"}, "id": "id-search"}
    ]
    assert (step.tools_available, engagement.total_tokens) == (["search"], 14)


async def test_the_model_reads_what_the_tool_gave(recorder: Recorder) -> None:
    model = Scripted(want("search", area="Nakano", limit=1), "one")
    await agent([search]).run({"messages": ["rooms?"]}, recorder, llm=model)
    asked, told = model.seen[1][1:]
    assert asked["tool_calls"] == [{"name": "search", "args": {"area": "Nakano", "limit": 1}, "id": "id-search"}]
    assert told == {
        "role": "tool",
        "name": "search",
        "tool_call_id": "id-search",
        "content": {"area": "Nakano", "rooms": 1},
    }
    assert model.overrides[0]["tools"][0]["name"] == "search"


async def test_messages_of_every_kind_are_understood(recorder: Recorder) -> None:
    model = Scripted("ok")
    given = ["hi", {"role": "assistant", "content": "hello"}, HumanMessage("again"), AIMessage("yes"), ("user", "so?")]
    await agent([search]).run({"messages": given}, recorder, llm=model)
    assert [(m["role"], m["content"]) for m in model.seen[0]] == [
        ("user", "hi"),
        ("assistant", "hello"),
        ("user", "again"),
        ("assistant", "yes"),
        ("user", "so?"),
    ]


@pytest.mark.parametrize(
    ("request_", "said"),
    [
        (ToolRequest("serach", {"area": "x"}), "no tool 'serach'; the tools: search"),
        (ToolRequest("search", {}), "area: Field required|'area' is missing"),
        (ToolRequest("search", {"area": "x", "limit": "many"}), "limit.*not of type integer"),
        (ToolRequest("search", {"area": "x", "color": "red"}), "color: Extra inputs are not permitted"),
        (ToolRequest("search", {}, error="the arguments are no JSON: {area"), "are no JSON"),
        (ToolRequest("search", ["x"]), "must be a JSON object"),  # type: ignore[arg-type]
    ],
)
async def test_a_wrong_call_is_told_to_the_model_and_recorded(
    recorder: Recorder, store: SQLiteStore, request_: ToolRequest, said: str
) -> None:
    model = Scripted([request_], "sorry")
    engagement_id = await agent([search]).run({"messages": ["x"]}, recorder, llm=model)
    engagement = store.get_engagement(engagement_id)
    assert engagement.status is EngagementStatus.COMPLETED
    (call,) = events_of(engagement, EventKind.TOOL_CALL)
    assert call.error is not None
    assert call.error_type == "InvalidArgumentError"
    assert re.search(said, model.seen[1][-1]["content"]["error"])


async def test_a_tool_that_raises_does_not_end_the_loop(recorder: Recorder, store: SQLiteStore) -> None:
    async def book(room: str) -> str:
        raise ConnectionError("the booking service is down")

    model = Scripted(want("book", room="7"), "try later")
    engagement_id = await agent([book]).run({"messages": ["x"]}, recorder, llm=model)
    engagement = store.get_engagement(engagement_id)
    (call,) = events_of(engagement, EventKind.TOOL_CALL)
    assert (call.error, call.error_type) == ("the booking service is down", "ConnectionError")
    assert model.seen[1][-1]["content"] == {"error": "ConnectionError: the booking service is down"}
    assert engagement.steps[0].status is StepStatus.COMPLETED


@pytest.mark.parametrize("is_async", [True, False])
async def test_a_tool_that_hangs_is_given_up(recorder: Recorder, store: SQLiteStore, is_async: bool) -> None:
    async def slow(args: dict[str, Any], ctx: Any) -> None:
        await asyncio.sleep(30)

    def blocking(args: dict[str, Any], ctx: Any) -> None:
        time.sleep(0.5)

    hanging = AgentTool("wait", "Waits.", {}, slow if is_async else blocking, timeout=0.1)
    model = Scripted(want("wait"), "it does not answer")
    began = time.perf_counter()
    engagement_id = await agent([hanging]).run({"messages": ["x"]}, recorder, llm=model)
    assert time.perf_counter() - began < 5
    (call,) = events_of(store.get_engagement(engagement_id), EventKind.TOOL_CALL)
    assert (call.error, call.error_type) == ("tool 'wait' gave no result within 0.1 s", "TimeoutError")


async def test_the_bound_is_recorded_and_the_model_asked_once_more_without_tools(
    recorder: Recorder, store: SQLiteStore
) -> None:
    model = Scripted(*[want("search", area="x")] * 3, "enough")
    engagement_id = await agent([search], max_iterations=3).run({"messages": ["x"]}, recorder, llm=model)
    (step,) = store.get_engagement(engagement_id).steps
    kinds = [event.kind for event in step.events]
    assert (kinds.count(EventKind.LLM_CALL), kinds.count(EventKind.TOOL_CALL)) == (4, 3)
    (limit,) = [event for event in step.events if event.kind is EventKind.LOG]
    assert (limit.name, limit.payload) == ("max_iterations", {"max_iterations": 3})
    assert "tools" not in model.overrides[-1]
    assert all("tools" in given for given in model.overrides[:-1])


async def test_a_langchain_tool_is_one_event(recorder: Recorder, store: SQLiteStore) -> None:
    @tool
    def add(a: int, b: int) -> int:
        """Add two numbers."""
        return a + b

    model = Scripted(want("add", a=1, b=2), "3")
    engagement_id = await agent([add]).run({"messages": ["1+2?"]}, recorder, llm=model)
    (call,) = events_of(store.get_engagement(engagement_id), EventKind.TOOL_CALL)
    assert (call.name, call.payload["result"]) == ("add", 3)
    assert model.overrides[0]["tools"][0]["parameters"]["required"] == ["a", "b"]


async def test_a_tool_reaches_the_deps_and_the_stream(recorder: Recorder) -> None:
    def compare(a: str, ctx: Any) -> str:
        ctx.emit({"card": a})
        return str(ctx.deps["service"][a])

    model = Scripted(want("compare", a="x"), "done")
    stream = agent([compare]).stream(
        {"messages": ["?"]}, recorder, thread_id="t", llm=model, deps={"service": {"x": "good"}}
    )
    events = await collect(stream)
    assert [e.data for e in events if e.kind == "emit"] == [{"card": "x"}]
    assert model.seen[1][-1]["content"] == "good"


async def test_a_model_called_inside_a_tool_is_recorded_too(recorder: Recorder, store: SQLiteStore) -> None:
    async def summarise(text: str, ctx: Any) -> str:
        return str(await ctx.llm(f"Summarise: {text}"))

    model = Scripted(want("summarise", text="long"), "short", "done")
    engagement_id = await agent([summarise]).run({"messages": ["?"]}, recorder, llm=model)
    (step,) = store.get_engagement(engagement_id).steps
    assert [event.kind for event in step.events].count(EventKind.LLM_CALL) == 3
    assert step.total_tokens == 21


async def test_a_tool_may_ask_a_human(recorder: Recorder, store: SQLiteStore) -> None:
    async def book(args: dict[str, Any], ctx: Any) -> Any:
        return await ctx.pause(awaiting="approval", payload=args)

    tools = [AgentTool("book", "Books a room.", {"type": "object", "properties": {}}, book)]
    wf = agent(tools)
    turn = await wf.start({"messages": ["x"]}, recorder, thread_id="t", llm=Scripted(want("book", room=7), "booked"))
    assert (turn.awaiting, turn.interrupt) == ("approval", {"room": 7})
    model = Scripted(want("book", room=7), "booked")
    turn = await wf.resume("t", recorder, input="yes", llm=model)
    assert turn.status == "completed"
    assert model.seen[1][-1]["content"] == "yes"
    calls = events_of(store.get_engagement(turn.engagement_id), EventKind.TOOL_CALL)
    assert [(call.discarded, call.error) for call in calls] == [(True, None), (False, None)]


async def test_tools_of_one_call_come_before_those_of_the_step(recorder: Recorder) -> None:
    wf = Workflow("w", state_schema=State)

    @wf.step
    async def qa(state: State, ctx: Any) -> dict[str, Any]:
        return {"messages": [await ctx.run_tools("rooms?", tools=[search], temperature=0)]}

    wf.entry("qa")
    wf.finish("qa")
    model = Scripted(want("search", area="x"), "ok")
    await wf.run({"messages": []}, recorder, llm=model)
    assert model.overrides[0]["temperature"] == 0
    assert [one["name"] for one in model.overrides[0]["tools"]] == ["search"]
