"""A step in which the model uses tools until it has an answer: `python -m ftnb.examples.agentic_step`.

One tool is a plain function, one is an `AgentTool` that reaches a service of the run; one call goes wrong, and the
model reads why.
"""

from __future__ import annotations

import asyncio
from operator import add
from typing import Annotated, Any

from ..agent import AgentTool
from ..langgraph_adapter import TraceState
from ..llm import ToolRequest
from ..orchestration import StepContext, Workflow
from ..recorder import Recorder
from ..store.sqlite import SQLiteStore
from .scripted_client import ScriptedLLM

RENTS = {"Mill Lane 3": 1250, "Quay 12": 1100}


class State(TraceState):
    """What the steps share."""

    messages: Annotated[list[str], add]


def search_flats(area: str, max_rent: int = 2000) -> dict[str, Any]:
    """Search flats to let in an area, up to a monthly rent."""
    return {"area": area, "flats": [name for name, rent in RENTS.items() if rent <= max_rent]}


async def book_viewing(args: dict[str, Any], ctx: StepContext) -> dict[str, Any]:
    """Book with the agency that this run was given."""
    ctx.emit({"type": "viewing", "flat": args["flat"]})
    return {"booked": ctx.deps["agency"].book(args["flat"])}


BOOK = AgentTool(
    name="book_viewing",
    description="Book a viewing of a flat.",
    parameters={"type": "object", "properties": {"flat": {"type": "string"}}, "required": ["flat"]},
    handler=book_viewing,
    timeout=10,
)


class Agency:
    """A service of the application."""

    def book(self, flat: str) -> str:
        """When the viewing is. Raises LookupError for a flat that is not to let."""
        if flat not in RENTS:
            raise LookupError(f"{flat} is not to let")
        return "Friday, 17:00"


def build_workflow() -> Workflow:
    """One step."""
    wf = Workflow("flat_agent", state_schema=State)

    @wf.agent_step(tools=[search_flats, BOOK], max_iterations=8)
    async def assist(state: State, ctx: StepContext) -> dict[str, Any]:
        return {"messages": [await ctx.run_tools(state["messages"])]}

    wf.entry("assist")
    wf.finish("assist")
    return wf


def script() -> ScriptedLLM:
    """Searches, books a flat that is not there, books another, answers."""
    return ScriptedLLM(
        [ToolRequest("search_flats", {"area": "Old Town", "max_rent": 1300}, "1")],
        [ToolRequest("book_viewing", {"flat": "Mill Lane 4"}, "2")],
        [ToolRequest("book_viewing", {"flat": "Mill Lane 3"}, "3")],
        "You can view Mill Lane 3 on Friday at 17:00.",
    )


async def main() -> None:
    """One run."""
    wf, store = build_workflow(), SQLiteStore()
    recorder = Recorder(store)
    question = {"messages": ["A flat in Old Town, at most 1300."]}
    engagement_id = await wf.run(question, recorder, llm=script(), deps={"agency": Agency()})
    (step,) = store.get_engagement(engagement_id).steps
    print(f"step {step.name}: {step.status.value}, {step.total_tokens} tokens")
    for event in step.events:
        print(f"  {event.kind.value:<10} {event.name:<14} {event.error or ''}".rstrip())
    print(step.events[-1].payload["response"]["content"])
    recorder.close()
    store.close()


if __name__ == "__main__":
    asyncio.run(main())
