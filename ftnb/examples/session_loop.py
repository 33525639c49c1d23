"""A whole chat as one engagement: `python -m ftnb.examples.session_loop`.

After each answer the workflow waits for the next message, without a card, and then answers again. It never ends by
itself, so its engagement stays paused between turns; each turn tells what it cost.
"""

from __future__ import annotations

import asyncio
from operator import add
from typing import Annotated, Any

from ..langgraph_adapter import TraceState
from ..orchestration import StepContext, Workflow
from ..recorder import Recorder
from ..store.sqlite import SQLiteStore
from .scripted_client import ScriptedLLM


class State(TraceState):
    """What the steps share."""

    messages: Annotated[list[str], add]


def build_workflow() -> Workflow:
    """answer ─▶ listen ─▶ answer ─▶ …"""
    wf = Workflow("session", state_schema=State)

    @wf.step
    async def answer(state: State, ctx: StepContext) -> dict[str, Any]:
        # After the pause, never before it: what precedes a pause runs, streams and costs once more on resume.
        return {"messages": [await ctx.llm(state["messages"][-1], stream=True)]}

    @wf.step
    async def listen(state: State, ctx: StepContext) -> dict[str, Any]:
        reply = await ctx.pause(awaiting="user")
        return {"messages": [reply["text"]]}

    wf.entry("answer")
    wf.edge("answer", "listen")
    wf.edge("listen", "answer")
    return wf


async def main() -> None:
    """Four turns."""
    wf, store = build_workflow(), SQLiteStore()
    recorder = Recorder(store)
    llm = ScriptedLLM("Which area?", "How much a month?", "There are three flats.", "The first one is the quietest.")
    questions = ["I need a flat.", "Old Town.", "At most 1300.", "Which is quiet?"]
    turn = None
    for number, text in enumerate(questions, start=1):
        if turn is None:
            events = wf.stream({"messages": [text]}, recorder, thread_id="chat-1", llm=llm)
        else:
            events = wf.stream_resume("chat-1", recorder, input={"text": text}, llm=llm)
        said = ""
        async for event in events:
            said += event.data["text"] if event.kind == "token" else ""
            turn = event.turn or turn
        assert turn is not None
        print(f"turn {number}: {text!r} -> {said.strip()!r} ({turn.status}, {turn.token_usage.total} tokens)")
    assert turn is not None
    engagement = store.get_engagement(turn.engagement_id)
    print(f"one engagement, {engagement.status.value}: {engagement.n_turns} turns, {engagement.total_tokens} tokens")
    recorder.close()
    store.close()


if __name__ == "__main__":
    asyncio.run(main())
