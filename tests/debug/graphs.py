"""Graphs of every shape, each with a script of inputs; what ran is counted, so that a test can see what did not."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from operator import add
from typing import Annotated, Any, Literal, TypedDict

from langchain_core.messages import AIMessage, AnyMessage, HumanMessage, ToolMessage
from langchain_core.tools import tool
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.func import entrypoint, task
from langgraph.graph import END, START, StateGraph, add_messages
from langgraph.types import Command, Send, interrupt
from pydantic import BaseModel

from tests.capture.models import call, parrot

ran: Counter[str] = Counter()
"""How often each node function and router ran."""


class Notes(TypedDict, total=False):
    """A state that remembers what happened."""

    notes: Annotated[list[str], add]
    n: int


@dataclass
class Case:
    """A graph, and what it is given: each input is one run, on one thread where it has a saver."""

    name: str
    build: Callable[[], Any]
    inputs: list[Any] = field(default_factory=list)
    is_async: bool = False

    def run(self, graph: Any, thread: str = "t") -> Any:
        """Run every input; what the last run returned."""
        config = {"configurable": {"thread_id": thread}}
        output = None
        for given in self.inputs:
            if self.is_async:
                output = asyncio.run(graph.ainvoke(given, config))
            else:
                output = graph.invoke(given, config)
        return output


def note(name: str, **more: Any) -> Callable[[Notes], dict[str, Any]]:
    """A node that notes what it saw."""

    def node(state: Notes) -> dict[str, Any]:
        ran[name] += 1
        return {"notes": [f"{name}{len(state.get('notes', []))}"], **more}

    return node


def builder(*edges: tuple[Any, Any], state: Any = Notes, **nodes: Any) -> StateGraph[Any]:
    """A graph builder from edges; nodes without code of their own take notes."""
    made: StateGraph[Any] = StateGraph(state)
    named = [one for source, target in edges for one in (*([source] if isinstance(source, str) else source), target)]
    for name in dict.fromkeys([*named, *nodes]):
        if name not in (START, END):
            made.add_node(name, nodes.get(name) or note(name))
    for source, target in edges:
        made.add_edge(source if isinstance(source, str) else list(source), target)
    return made


def chain() -> Any:
    return builder((START, "a"), ("a", "b"), ("b", "c"), ("c", END)).compile()


def fan_out() -> Any:
    return builder((START, "a"), ("a", "b"), ("a", "c"), ("a", "d"), ("b", "e"), ("c", "e"), ("d", "e")).compile()


def join() -> Any:
    # b2 is one superstep later than c, so the join has to wait.
    return builder((START, "a"), ("a", "b"), ("a", "c"), ("b", "b2"), (("b2", "c"), "d"), ("d", END)).compile()


def loop() -> Any:
    def count(state: Notes) -> dict[str, Any]:
        ran["count"] += 1
        return {"n": state.get("n", 0) + 1, "notes": ["counted"]}

    def again(state: Notes) -> str:
        ran["again"] += 1
        return "count" if state["n"] < 4 else "done"

    made = builder((START, "count"), ("done", END), count=count)
    made.add_conditional_edges("count", again, ["count", "done"])
    return made.compile()


def conditional() -> Any:
    def pick(state: Notes) -> Literal["left", "right"]:
        ran["pick"] += 1
        return "left" if state.get("n", 0) > 3 else "right"

    made = builder((START, "a"), ("left", "z"), ("right", "z"), a=note("a", n=5))
    made.add_conditional_edges("a", pick)
    return made.compile()


def send() -> Any:
    def deal(state: Notes) -> list[Send]:
        ran["deal"] += 1
        return [Send("work", {"n": place, "who": {"name": f"w{place}"}}) for place in range(3)]

    def work(packet: Any) -> dict[str, Any]:
        ran["work"] += 1
        return {"notes": [f"{packet['who']['name']}:{packet['n'] * 2}"]}

    made = builder((START, "a"), ("work", "z"), ("z", END), work=work)
    made.add_conditional_edges("a", deal, ["work"])
    return made.compile()


def goto() -> Any:
    def router(state: Notes) -> Command[Literal["b", "c"]]:
        ran["router"] += 1
        return Command(goto="c" if "again" in state.get("notes", []) else "b", update={"notes": ["routed"]})

    def back(state: Notes) -> Command[Literal["router"]]:
        ran["b"] += 1
        return Command(goto="router", update={"notes": ["again"]})

    return builder((START, "router"), ("c", END), router=router, b=back).compile()


def subgraph() -> Any:
    inner = builder((START, "p"), ("p", "q"), ("p", "r"), ("q", "s"), ("r", "s")).compile()
    return builder((START, "a"), ("a", "sub"), ("a", "beside"), ("sub", "z"), ("beside", "z"), sub=inner).compile()


def nested() -> Any:
    deep = builder((START, "x"), ("x", "y")).compile()
    middle = builder((START, "m"), ("m", "deep"), ("deep", "then"), deep=deep).compile()
    return builder((START, "a"), ("a", "middle"), ("middle", "z"), middle=middle).compile()


def called_subgraph() -> Any:
    inner = builder((START, "p"), ("p", "q")).compile()

    def twice(state: Notes) -> dict[str, Any]:
        one = inner.invoke({"notes": ["one"]})
        other = inner.invoke({"notes": ["two"]})
        return {"notes": [*one["notes"], *other["notes"]]}

    return builder((START, "a"), ("a", "twice"), ("twice", "z"), twice=twice).compile()


def asking() -> Any:
    def ask(state: Notes) -> dict[str, Any]:
        ran["ask"] += 1
        colour = interrupt({"question": "which colour?"})
        size = interrupt({"question": "which size?"})
        return {"notes": [f"{colour} {size}"]}

    made = builder((START, "a"), ("a", "ask"), ("a", "beside"), ("ask", "z"), ("beside", "z"), ask=ask)
    return made.compile(checkpointer=InMemorySaver())


def asking_inside() -> Any:
    def ask(state: Notes) -> dict[str, Any]:
        ran["ask"] += 1
        return {"notes": [f"said {interrupt('really?')}"]}

    inner = builder((START, "p"), ("p", "ask"), ("ask", "q"), ask=ask).compile()
    return builder((START, "a"), ("a", "sub"), ("sub", "z"), sub=inner).compile(checkpointer=InMemorySaver())


def conversation() -> Any:
    return builder((START, "a"), ("a", "b"), ("b", END)).compile(checkpointer=InMemorySaver())


def functional() -> Any:
    @task
    def double(x: int, *more: int, k: int = 1) -> int:
        ran["double"] += 1
        return x * 2 * k + len(more)

    @task
    def outer(x: int) -> int:
        ran["outer"] += 1
        return int(double(x, k=3).result()) + 1

    @entrypoint()
    def flow(x: int) -> int:
        futures = [double(place, 1, 2) for place in range(x)]
        return int(outer(sum(future.result() for future in futures)).result())

    return flow


def functional_asking() -> Any:
    @task
    def draft(topic: str) -> str:
        ran["draft"] += 1
        return f"about {topic}"

    @entrypoint(checkpointer=InMemorySaver())
    def write(topic: str) -> str:
        text = draft(topic).result()
        verdict = interrupt({"review": text})
        return f"{draft(verdict).result()}, {text}"

    return write


@tool
def weather(city: str) -> str:
    """The weather in a city."""
    ran["weather"] += 1
    return f"sunny in {city}"


@tool
def book(city: str, nights: int = 1) -> str:
    """Book a room: nothing that one wants done twice."""
    ran["book"] += 1
    return f"booked {nights} in {city}"


class Chat(TypedDict):
    messages: Annotated[list[AnyMessage], add_messages]


MODEL = parrot(
    AIMessage(
        "",
        tool_calls=[
            {"name": "weather", "args": {"city": "Rome"}, "id": "c1", "type": "tool_call"},
            {"name": "weather", "args": {"city": "Oslo"}, "id": "c2", "type": "tool_call"},
        ],
    ),
    call("book", city="Rome", nights=2),
    "Done.",
)


def agent(model: Any = None) -> Any:
    """A chat agent whose tools run as they were asked for, in one node."""
    said = model or parrot(*MODEL.lines)
    tools = {"weather": weather, "book": book}

    def think(state: Chat) -> dict[str, Any]:
        ran["think"] += 1
        return {"messages": [said.invoke([("system", "You book rooms."), *state["messages"]])]}

    def act(state: Chat) -> dict[str, Any]:
        ran["act"] += 1
        asked = state["messages"][-1]
        assert isinstance(asked, AIMessage)
        return {"messages": [tools[one["name"]].invoke({**one, "type": "tool_call"}) for one in asked.tool_calls]}

    def after(state: Chat) -> str:
        ran["after"] += 1
        return "act" if getattr(state["messages"][-1], "tool_calls", None) else END

    made = builder((START, "think"), ("act", "think"), state=Chat, think=think, act=act)
    made.add_conditional_edges("think", after, ["act", END])
    return made.compile()


def parallel_tools() -> Any:
    """An agent that sends each tool call to a node of its own."""
    said = parrot(*MODEL.lines)

    def think(state: Chat) -> dict[str, Any]:
        ran["think"] += 1
        return {"messages": [said.invoke(state["messages"])]}

    def act(packet: Any) -> dict[str, Any]:
        ran["act"] += 1
        one = packet["call"]
        chosen = {"weather": weather, "book": book}[one["name"]]
        return {"messages": [chosen.invoke({**one, "type": "tool_call"})]}

    def after(state: Chat) -> Any:
        ran["after"] += 1
        calls = getattr(state["messages"][-1], "tool_calls", None)
        return [Send("act", {"call": one}) for one in calls] if calls else END

    made = builder((START, "think"), ("act", "think"), state=Chat, think=think, act=act)
    made.add_conditional_edges("think", after, ["act", END])
    return made.compile()


def asynchronous() -> Any:
    async def fetch(state: Notes) -> dict[str, Any]:
        ran["fetch"] += 1
        await asyncio.sleep(0)
        return {"notes": ["fetched"], "n": 7}

    async def route(state: Notes) -> str:
        ran["route"] += 1
        return "z"

    made = builder((START, "fetch"), fetch=fetch, z=note("z"))
    made.add_conditional_edges("fetch", route, ["z"])
    return made.compile()


class Trip(BaseModel):
    city: str
    nights: int = 1


class Plan(BaseModel):
    trip: Trip
    log: Annotated[list[str], add] = []


def pydantic_state() -> Any:
    def longer(state: Plan) -> dict[str, Any]:
        ran["longer"] += 1
        return {"trip": Trip(city=state.trip.city, nights=state.trip.nights + 1), "log": ["longer"]}

    def check(state: Plan) -> dict[str, Any]:
        ran["check"] += 1
        assert isinstance(state.trip, Trip)
        return {"log": [f"{state.trip.nights} in {state.trip.city}"]}

    return builder((START, "longer"), ("longer", "check"), state=Plan, longer=longer, check=check).compile()


def deferred() -> Any:
    made: StateGraph[Any] = StateGraph(Notes)
    for name in ("a", "b", "b2", "c"):
        made.add_node(name, note(name))
    made.add_node("last", note("last"), defer=True)
    for source, target in ((START, "a"), ("a", "b"), ("a", "c"), ("b", "b2"), ("b2", "last"), ("c", "last")):
        made.add_edge(source, target)
    return made.compile()


HELLO = {"notes": ["hello"]}
CHAT = {"messages": [HumanMessage("A room in Rome, if the sun shines.")]}

CASES = [
    Case("chain", chain, [HELLO]),
    Case("fan_out", fan_out, [HELLO]),
    Case("join", join, [HELLO]),
    Case("loop", loop, [HELLO]),
    Case("conditional", conditional, [HELLO]),
    Case("send", send, [HELLO]),
    Case("goto", goto, [HELLO]),
    Case("subgraph", subgraph, [HELLO]),
    Case("nested", nested, [HELLO]),
    Case("called_subgraph", called_subgraph, [HELLO]),
    Case("asking", asking, [HELLO, Command(resume="red"), Command(resume="large")]),
    Case("asking_inside", asking_inside, [HELLO, Command(resume="yes")]),
    Case("conversation", conversation, [HELLO, {"notes": ["more"]}, {"notes": ["bye"], "n": 2}]),
    Case("functional", functional, [3]),
    Case("functional_asking", functional_asking, ["cats", Command(resume="dogs")]),
    Case("agent", agent, [CHAT]),
    Case("parallel_tools", parallel_tools, [CHAT]),
    Case("asynchronous", asynchronous, [HELLO], is_async=True),
    Case("pydantic_state", pydantic_state, [{"trip": {"city": "Rome"}, "log": []}]),
    Case("deferred", deferred, [HELLO]),
]
BY_NAME = {case.name: case for case in CASES}


def said(values: Any) -> Any:
    """A final state without what is new each time: the ids of messages."""
    if isinstance(values, dict):
        return {key: said(value) for key, value in values.items() if key != "__interrupt__"}
    if isinstance(values, list):
        return [said(value) for value in values]
    if isinstance(values, (AIMessage, HumanMessage, ToolMessage)):
        return type(values).__name__, values.content, getattr(values, "tool_calls", None)
    return values
