"""A workflow that asks a human and goes on with the answer: `python -m ftnb.examples.hitl_resume`.

The first step shows a card and waits. In an application each turn is a request of its own, often in another process:
all that they share is the id of the conversation, the store, and the checkpointer.
"""

from __future__ import annotations

import asyncio
from operator import add
from typing import Annotated, Any

from ..langgraph_adapter import TraceState
from ..orchestration import StepContext, Workflow
from ..recorder import Recorder
from ..store.sqlite import SQLiteStore


class State(TraceState):
    """What the steps share."""

    messages: Annotated[list[str], add]


def build_workflow() -> Workflow:
    """confirm ─▶ book"""
    wf = Workflow("viewing", state_schema=State, goal_nodes={"book"})

    @wf.step
    async def confirm(state: State, ctx: StepContext) -> dict[str, Any]:
        card = {"title": "View the flat in Old Town on Friday?", "rent_eur": 1250}
        reply = await ctx.pause(awaiting="viewing_confirm", payload=card)
        # By a button, or in words: a chat delivers either.
        agreed = bool(reply.get("confirm")) or str(reply.get("text", "")).lower() in {"yes", "y"}
        return {"messages": [f"agreed: {agreed}"]}

    @wf.step
    async def book(state: State) -> dict[str, Any]:
        return {"messages": ["The viewing is booked."]}

    wf.entry("confirm")
    wf.edge("confirm", "book")
    wf.finish("book")
    return wf


async def main() -> None:
    """Two turns of one conversation."""
    wf, store = build_workflow(), SQLiteStore()
    recorder = Recorder(store)

    turn = await wf.start({"messages": []}, recorder, thread_id="chat-1")
    print(f"turn 1: {turn.status}, awaiting {turn.awaiting}, card {turn.interrupt}")

    turn = await wf.resume("chat-1", recorder, input={"confirm": True}, expect_awaiting="viewing_confirm")
    print(f"turn 2: {turn.status}")

    engagement = store.get_engagement(turn.engagement_id)
    print(f"one engagement, {engagement.status.value}, in {engagement.n_turns} turns")
    for step in engagement.steps:
        print(f"  turn {step.turn}: {step.name} (attempt {step.attempt}) {step.status.value}")
    recorder.close()
    store.close()


if __name__ == "__main__":
    asyncio.run(main())
