"""The agents that the capture benchmarks run. Imports nothing of ftnb: peers run them in environments of their own."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from operator import add
from typing import Annotated, Any, TypedDict

from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, BaseMessage
from langchain_core.outputs import ChatGeneration, ChatResult
from langchain_core.tools import tool
from langgraph.graph import END, START, StateGraph
from langgraph.graph.message import add_messages


class State(TypedDict):
    """A small state."""

    path: Annotated[list[str], add]


class Chat(TypedDict):
    """A conversation."""

    messages: Annotated[list[Any], add_messages]


class Model(BaseChatModel):
    """Answers at once."""

    @property
    def _llm_type(self) -> str:
        return "bench"

    def _generate(self, messages: list[BaseMessage], stop: Any = None, run_manager: Any = None, **_: Any) -> ChatResult:
        usage: Any = {"input_tokens": 11, "output_tokens": 5, "total_tokens": 16}
        return ChatResult(generations=[ChatGeneration(message=AIMessage("sunny", usage_metadata=usage))])

    async def _agenerate(self, messages: list[BaseMessage], *_: Any, **__: Any) -> ChatResult:
        return self._generate(messages)


@tool
def search(query: str) -> str:
    """Search for something."""
    return "three results for " + query


@tool
async def search_async(query: str) -> str:
    """Search for something."""
    return "three results for " + query


def chain(n: int, is_async: bool) -> Any:
    """n nodes in a row that do next to nothing."""

    def node(state: State) -> dict[str, list[str]]:
        return {}

    async def node_async(state: State) -> dict[str, list[str]]:
        return {}

    builder = StateGraph(State)
    for i in range(n):
        builder.add_node(f"n{i}", node_async if is_async else node)
        builder.add_edge(f"n{i - 1}" if i else START, f"n{i}")
    builder.add_edge(f"n{n - 1}", END)
    return builder.compile()


def agent(is_async: bool) -> Any:
    """5 nodes, each of which calls a model twice and a tool three times."""
    model = Model()

    def node(state: State) -> dict[str, list[str]]:
        for _ in range(2):
            model.invoke("what is the weather in Lisbon?")
        for _ in range(3):
            search.invoke({"query": "weather"})
        return {"path": ["x"]}

    async def node_async(state: State) -> dict[str, list[str]]:
        for _ in range(2):
            await model.ainvoke("what is the weather in Lisbon?")
        for _ in range(3):
            await search_async.ainvoke({"query": "weather"})
        return {"path": ["x"]}

    builder = StateGraph(State)
    for i in range(5):
        builder.add_node(f"n{i}", node_async if is_async else node)
        builder.add_edge(f"n{i - 1}" if i else START, f"n{i}")
    builder.add_edge("n4", END)
    return builder.compile()


def conversation(steps: int) -> Any:
    """A chat that grows by a message of 1 kB a step."""

    def talk(state: Chat) -> dict[str, list[Any]]:
        n = len(state["messages"])
        return {"messages": [AIMessage(f"{n:04d} " + "x" * 995, id=f"m{n}")]}

    builder = StateGraph(Chat)
    builder.add_node("talk", talk)
    builder.add_edge(START, "talk")
    builder.add_conditional_edges("talk", lambda state: END if len(state["messages"]) > steps else "talk")
    return builder.compile()


def timed(app: Any, runs: int, is_async: bool) -> tuple[float, float]:
    """Seconds of so many runs: on the clock, and of this thread's processor time."""
    return asyncio.run(_arun(app.ainvoke, runs)) if is_async else _run(app.invoke, runs)


def _run(invoke: Callable[[Any], Any], runs: int) -> tuple[float, float]:
    begun, cpu = time.perf_counter(), time.thread_time()
    for _ in range(runs):
        invoke({"path": []})
    return time.perf_counter() - begun, time.thread_time() - cpu


async def _arun(invoke: Callable[[Any], Any], runs: int) -> tuple[float, float]:
    begun, cpu = time.perf_counter(), time.thread_time()
    for _ in range(runs):
        await invoke({"path": []})
    return time.perf_counter() - begun, time.thread_time() - cpu
