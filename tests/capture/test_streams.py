"""Everything that a user's stream shows is the same, character for character and in order, with ftnb and without.

Ids and times are random; each id is replaced by the number of its first appearance, so that two that were the same must
be the same again. The graphs run one node at a time: what runs in parallel comes in any order without ftnb, too.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from langchain_core.tools import tool
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.config import get_stream_writer
from langgraph.types import Command, interrupt

import ftnb
from ftnb.store.memory import MemoryStore
from tests.capture.models import parrot
from tests.capture.shapes import Path, graph_of

pytestmark = pytest.mark.filterwarnings("ignore:The v3 streaming protocol")
_RANDOM = re.compile(
    r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"
    r"|\b[0-9a-f]{32}\b|\d{4}-\d\d-\d\dT[\d:.]+\+00:00|0x[0-9a-f]{6,}|\b0?\.\d{12,}\b|\d\.\d+e-\d+"
)
MODES: list[Any] = [
    "values", "updates", "custom", "messages", "tasks", "checkpoints", "debug",
    ["values", "updates", "custom", "messages", "tasks"],
]  # fmt: skip


@tool
def search(query: str) -> str:
    """Search."""
    return f"found {query}"


def app() -> Any:
    model = parrot("one two three", streams=True)

    def talk(state: Path) -> dict[str, list[str]]:
        get_stream_writer()({"progress": 0.5})
        return {"path": ["".join(str(chunk.content) for chunk in model.stream("go"))]}

    def ask(state: Path) -> dict[str, list[str]]:
        get_stream_writer()("asked")
        return {"path": [search.invoke({"query": "tea"}), str(interrupt({"which": 1}))]}

    def greet(state: Path) -> dict[str, list[str]]:
        return {"path": [str(model.invoke("hi").content)]}

    inner = graph_of("^>x", "x>talk", talk=talk).compile()
    builder = graph_of("^>a", "a>sub", "sub>ask", "ask>b", a=greet, sub=inner, ask=ask)
    return builder.compile(checkpointer=InMemorySaver())


@contextmanager
def recording(on: bool) -> Iterator[None]:
    if not on:
        yield
        return
    store = MemoryStore()
    session = ftnb.start(store)
    try:
        yield
        assert session.n_engagements() == 1
    finally:
        ftnb.stop()


def shown(chunks: list[Any]) -> list[str]:
    """Chunks as text, ids by the order in which they appear."""
    known: dict[str, str] = {}

    def numbered(found: re.Match[str]) -> str:
        text = found.group()
        return "<time>" if "T" in text or "." in text else known.setdefault(text, f"<{len(known)}>")

    return [_RANDOM.sub(numbered, repr(chunk)) for chunk in chunks]


def sync_chunks(modes: Any, subgraphs: bool) -> list[Any]:
    graph, config = app(), {"configurable": {"thread_id": "t"}}
    options: dict[str, Any] = {"stream_mode": modes, "subgraphs": subgraphs}
    first = list(graph.stream({"path": []}, config, **options))
    return first + list(graph.stream(Command(resume="this"), config, **options))


def async_chunks(modes: Any, subgraphs: bool) -> list[Any]:
    async def collect() -> list[Any]:
        graph, config = app(), {"configurable": {"thread_id": "t"}}
        options: dict[str, Any] = {"stream_mode": modes, "subgraphs": subgraphs}
        first = [chunk async for chunk in graph.astream({"path": []}, config, **options)]
        return first + [chunk async for chunk in graph.astream(Command(resume="this"), config, **options)]

    return asyncio.run(collect())


@pytest.mark.parametrize("subgraphs", [False, True], ids=["top", "subgraphs"])
@pytest.mark.parametrize("modes", MODES, ids=str)
@pytest.mark.parametrize("collect", [sync_chunks, async_chunks])
def test_streams_are_the_same_in_order(collect: Any, modes: Any, subgraphs: bool, eyes: None) -> None:
    with recording(False):
        without = shown(collect(modes, subgraphs))
    with recording(True):
        within = shown(collect(modes, subgraphs))
    assert within == without
    assert without != []


def test_events_are_the_same_in_order(eyes: None) -> None:
    async def collect() -> list[Any]:
        graph, config = app(), {"configurable": {"thread_id": "t"}}
        first = [event async for event in graph.astream_events({"path": []}, config, version="v2")]
        return first + [event async for event in graph.astream_events(Command(resume="x"), config, version="v2")]

    with recording(False):
        without = shown(asyncio.run(collect()))
    with recording(True):
        within = shown(asyncio.run(collect()))
    assert within == without
    assert len(without) > 20
