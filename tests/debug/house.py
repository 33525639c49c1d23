"""One graph with every way to lead on, for the questions of debugging: fan-out, join, loop, subgraph, Send, Command."""

from __future__ import annotations

from operator import add
from typing import Annotated, Any

from langgraph.graph import START, MessagesState, StateGraph
from langgraph.types import Command, Send


class House(MessagesState):
    path: Annotated[list[str], add]
    budget: int
    plan: dict[str, Any]


def plan(state: House) -> dict[str, Any]:
    return {"path": ["plan"], "budget": 100, "plan": {"title": "a", "n": 0}, "messages": [("user", "hello " * 100)]}


def left(state: House) -> dict[str, Any]:
    return {"path": ["left"], "budget": state["budget"] - 10}


def right(state: House) -> dict[str, Any]:
    return {"path": ["right"], "messages": [("ai", "ok")]}


def gather(state: House) -> dict[str, Any]:
    return {"path": ["gather"], "plan": {**state["plan"], "n": state["plan"]["n"] + 1}}


def again(state: House) -> str:
    return "more" if state["plan"]["n"] < 2 else "done"


def fan(state: House) -> list[Send]:
    return [Send("work", {"item": item}) for item in ("x", "y", "z")]


def work(state: dict[str, Any]) -> dict[str, Any]:
    return {"path": [f"work {state['item']}"]}


def spend(state: House) -> Command[Any]:
    return Command(goto="fin", update={"budget": 0})


def fin(state: House) -> dict[str, Any]:
    return {"path": ["fin"]}


def raise_budget(state: House) -> dict[str, Any]:
    return {"budget": state["budget"] + 1}


def inner() -> Any:
    builder = StateGraph(House)
    builder.add_node("first", raise_budget)
    builder.add_node("second", lambda state: {"path": ["second"]})
    builder.add_edge(START, "first")
    builder.add_edge("first", "second")
    return builder.compile()


def house() -> Any:
    """plan → {left, right} → gather → (again: left, then gather; done: sub) → 3 × work → spend → fin."""
    builder = StateGraph(House)
    for node in (plan, left, right, gather, work, fin):
        builder.add_node(node.__name__, node)
    builder.add_node("spend", spend, destinations=("fin",))
    builder.add_node("sub", inner())
    builder.add_edge(START, "plan")
    builder.add_edge("plan", "left")
    builder.add_edge("plan", "right")
    builder.add_edge(["left", "right"], "gather")
    builder.add_conditional_edges("left", lambda state: "gather" if state["plan"]["n"] else "__end__")
    builder.add_conditional_edges("gather", again, {"more": "left", "done": "sub"})
    builder.add_conditional_edges("sub", fan, ["work"])
    builder.add_edge("work", "spend")
    return builder.compile()


GIVEN: dict[str, Any] = {"path": [], "messages": []}
