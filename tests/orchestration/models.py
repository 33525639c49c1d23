"""Language models that say what a script says, and a small state."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from operator import add
from typing import Annotated, Any

from ftnb.core.model import Engagement, EventKind, StepEvent, TokenUsage
from ftnb.langgraph_adapter import TraceState
from ftnb.llm import LLMResult, ToolRequest
from ftnb.orchestration import StreamEvent, Workflow

COST = TokenUsage(prompt=4, completion=3)


class State(TraceState):
    messages: Annotated[list[Any], add]


class Scripted:
    """Answers with the entries of its script, in turn: a text, a list of tool requests, an exception, or None."""

    def __init__(self, *script: Any, chunks: int = 3) -> None:
        self.model = "scripted"
        self.script = list(script)
        self.seen: list[Any] = []
        self.overrides: list[dict[str, Any]] = []
        self.chunks = chunks

    async def acomplete(self, messages: Any, **overrides: Any) -> Any:
        self.seen.append(messages)
        self.overrides.append(overrides)
        said = self.script.pop(0) if len(self.script) > 1 else self.script[0]
        if isinstance(said, BaseException):
            raise said
        if said is None:
            return None
        if isinstance(said, list):
            return LLMResult("", COST, self.model, tool_calls=said)
        return LLMResult(said, COST, self.model)

    async def astream(self, messages: Any, **overrides: Any) -> AsyncIterator[str | LLMResult]:
        result = await self.acomplete(messages, **overrides)
        size = -(-len(result.text) // self.chunks) or 1
        for start in range(0, len(result.text), size):
            yield result.text[start : start + size]
        yield result


def want(name: str, **args: Any) -> list[ToolRequest]:
    """One round in which the model wants one tool."""
    return [ToolRequest(name, args, f"id-{name}")]


def one_step(function: Callable[..., Any], **options: Any) -> Workflow:
    """A workflow of this step alone."""
    wf = Workflow("one", state_schema=State, **options)
    wf.step(function)
    wf.entry(function.__name__)
    wf.finish(function.__name__)
    return wf


def asking(**options: Any) -> Workflow:
    """A workflow that asks for a name and then greets."""
    wf = Workflow("asking", state_schema=State, **options)

    @wf.step
    async def ask(state: State, ctx: Any) -> dict[str, Any]:
        reply = await ctx.pause(awaiting="name", payload={"card": "who are you?"})
        return {"messages": [f"name={reply}"]}

    @wf.step
    async def greet(state: State, ctx: Any) -> dict[str, Any]:
        return {"messages": [await ctx.llm("greet", stream=True)]}

    wf.entry("ask")
    wf.edge("ask", "greet")
    wf.finish("greet")
    return wf


def events_of(engagement: Engagement, kind: EventKind) -> list[StepEvent]:
    """All events of a kind, in order."""
    return [event for step in engagement.steps for event in step.events if event.kind is kind]


async def collect(stream: AsyncIterator[StreamEvent]) -> list[StreamEvent]:
    """Everything that a stream gives."""
    return [event async for event in stream]
