"""Turns that tell what happens while it happens: `python -m ftnb.examples.streaming_turn`.

Two cards in a row, then an answer that streams. Each event becomes one line of JSON, as a web endpoint would send it.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from operator import add
from typing import Annotated, Any

from ..langgraph_adapter import TraceState
from ..orchestration import ResumeError, StepContext, StreamEvent, Workflow
from ..recorder import Recorder
from ..store.sqlite import SQLiteStore
from .scripted_client import ScriptedLLM


class State(TraceState):
    """What the steps share."""

    messages: Annotated[list[str], add]


def build_workflow() -> Workflow:
    """budget ─▶ area ─▶ answer"""
    wf = Workflow("streaming", state_schema=State)

    @wf.step
    async def budget(state: State, ctx: StepContext) -> dict[str, Any]:
        reply = await ctx.pause(awaiting="budget", payload={"question": "How much a month?"})
        return {"messages": [f"budget {reply['budget']}"]}

    @wf.step
    async def area(state: State, ctx: StepContext) -> dict[str, Any]:
        reply = await ctx.pause(awaiting="area", payload={"question": "Which area?"})
        return {"messages": [f"area {reply['area']}"]}

    @wf.step
    async def answer(state: State, ctx: StepContext) -> dict[str, Any]:
        ctx.emit({"flats": ["Mill Lane 3", "Quay 12"]})
        return {"messages": [await ctx.llm(" ".join(state["messages"]), stream=True)]}

    wf.entry("budget")
    wf.edge("budget", "area")
    wf.edge("area", "answer")
    wf.finish("answer")
    return wf


async def handle(wf: Workflow, recorder: Recorder, thread_id: str, reply: Any, llm: ScriptedLLM) -> AsyncIterator[str]:
    """One request: go on with the conversation if it waits, begin it otherwise; gives lines of JSON."""
    try:
        async for event in wf.stream_resume(thread_id, recorder, input=reply, llm=llm):
            yield line(event)
    except ResumeError as error:
        if error.reason != "no_resumable_engagement":
            raise
        async for event in wf.stream({"messages": [str(reply)]}, recorder, thread_id=thread_id, llm=llm):
            yield line(event)


def line(event: StreamEvent) -> str:
    """An event as a client is told of it."""
    if event.turn is None:
        return json.dumps({"type": event.kind, **event.data})
    turn = event.turn
    return json.dumps({"type": event.kind, "card": turn.interrupt, "tokens": turn.token_usage.total})


async def main() -> None:
    """Three requests of one conversation."""
    wf, store = build_workflow(), SQLiteStore()
    recorder, llm = Recorder(store), ScriptedLLM("Mill Lane is quieter, Quay is cheaper.")
    for reply in ("I need a flat.", {"budget": 1300}, {"area": "Old Town"}):
        print(f"> {reply}")
        async for one in handle(wf, recorder, "chat-1", reply, llm):
            print(f"  {one}")
    recorder.close()
    store.close()


if __name__ == "__main__":
    asyncio.run(main())
