"""The smallest agent that shows every part of a trace, without a model and without a network.

    greet ─▶ qualify ─┬▶ search      somebody looks for a flat
                      └▶ escalate    somebody wants a human: a global step, so entering it is an intent switch

Its nodes report their calls in the state keys of `TraceState`. `house_search` is the richer example.
"""

from __future__ import annotations

from operator import add
from typing import Annotated, Any, TypedDict

from langgraph.graph import END, START, StateGraph
from langgraph.graph.state import CompiledStateGraph
from pydantic import BaseModel

from ..extraction import Extractor
from ..langgraph_adapter import run_instrumented
from ..recorder import Recorder

__all__ = ["GLOBAL_NODES", "NODE_TOOLS", "BudgetInfo", "DemoState", "build_demo_graph", "run_demo"]

GLOBAL_NODES = {"escalate"}
NODE_TOOLS = {"qualify": ["lookup_area"], "search": ["search_properties"]}

_MODEL = "lodge-small-2"
_QUESTION = "Somewhere in Shibuya, please, for at most 95000 yen a month."
_WISHES = {"budget": 95_000, "area": "Shibuya"}


class BudgetInfo(BaseModel):
    """What somebody can spend, and where."""

    budget: int
    """Yen a month."""
    area: str


class DemoState(TypedDict):
    """State of the graph; all keys but `messages` and `route` are read by ftnb."""

    messages: Annotated[list[str], add]
    tool_calls: Annotated[list[dict[str, Any]], add]
    llm_calls: Annotated[list[dict[str, Any]], add]
    extraction: dict[str, Any]
    route: str


def _llm_call(prompt_tokens: int, completion_tokens: int) -> dict[str, Any]:
    return {"name": _MODEL, "prompt_tokens": prompt_tokens, "completion_tokens": completion_tokens}


class _Client:
    """Stands in for Instructor's client of a real model: it always understands the same."""

    def create(self, *, response_model: type[BudgetInfo], messages: list[dict[str, Any]], **_: Any) -> BudgetInfo:
        text = messages[-1]["content"]
        return response_model.model_validate({key: value for key, value in _WISHES.items() if str(value) in text})


_extractor = Extractor(_Client())
"""With a model behind it: `Extractor.from_provider("openai/gpt-4o-mini")`."""


def _greet(state: DemoState) -> dict[str, Any]:
    return {"messages": ["Hello! What kind of flat would you like?"], "llm_calls": [_llm_call(31, 11)]}


def _qualify(state: DemoState) -> dict[str, Any]:
    found = _extractor.extract(BudgetInfo, _QUESTION)
    wishes = found.value
    return {
        "messages": [_QUESTION, f"Up to {wishes.budget:,} yen in {wishes.area}, then."],
        "llm_calls": [_llm_call(58, 17)],
        "tool_calls": [{"name": "lookup_area", "payload": {"area": wishes.area}}],
        "extraction": found.as_record().model_dump(),
    }


def _search(state: DemoState) -> dict[str, Any]:
    return {
        "messages": ["Three flats fit."],
        "llm_calls": [_llm_call(83, 29)],
        "tool_calls": [{"name": "search_properties", "payload": {"results": 3}}],
    }


def _escalate(state: DemoState) -> dict[str, Any]:
    return {"messages": ["A colleague will call you."]}


def _next(state: DemoState) -> str:
    return "escalate" if state.get("route") == "escalate" else "search"


def build_demo_graph() -> CompiledStateGraph[Any, Any, Any, Any]:
    """The compiled graph."""
    graph = StateGraph(DemoState)
    graph.add_node("greet", _greet)
    graph.add_node("qualify", _qualify)
    graph.add_node("search", _search)
    graph.add_node("escalate", _escalate)
    graph.add_edge(START, "greet")
    graph.add_edge("greet", "qualify")
    graph.add_conditional_edges("qualify", _next, {"search": "search", "escalate": "escalate"})
    graph.add_edge("search", END)
    graph.add_edge("escalate", END)
    return graph.compile()


async def run_demo(recorder: Recorder, *, route: str = "search") -> str:
    """Run the agent once and return the engagement's id; `route="escalate"` asks for a human."""
    return await run_instrumented(
        build_demo_graph(),
        {"messages": [], "tool_calls": [], "llm_calls": [], "route": route},
        recorder,
        name=f"demo:{route}",
        metadata={"demo": True, "route": route},
        global_nodes=GLOBAL_NODES,
        node_tools=NODE_TOOLS,
    )
