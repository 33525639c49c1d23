"""Calls, pauses and the functional API are recorded alike whichever way a graph is run."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from langchain_core.callbacks import dispatch_custom_event
from langchain_core.documents import Document
from langchain_core.retrievers import BaseRetriever
from langchain_core.tools import tool
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.config import get_stream_writer
from langgraph.func import entrypoint, task
from langgraph.types import Command, interrupt

from tests.capture.entries import EVERY_WAY, FUNCTIONAL, Way
from tests.capture.models import TOKENS, parrot
from tests.capture.shapes import Path, Seen, events, graph_of, named, tree

pytestmark = pytest.mark.filterwarnings("ignore:The v3 streaming protocol")
EMPTY: dict[str, list[str]] = {"path": []}


@tool
def search(query: str) -> str:
    """Search."""
    if query == "nothing":
        raise ValueError("no such thing")
    return f"found {query}"


class Shelf(BaseRetriever):
    """Has one document."""

    def _get_relevant_documents(self, query: str, **_: Any) -> list[Document]:
        return [Document(f"about {query}")]


def busy() -> Any:
    """A graph whose nodes do everything that gives an event."""
    model, streaming = parrot("yes"), parrot("one two", streams=True)

    def talk(state: Path) -> dict[str, list[str]]:
        words = [str(chunk.content) for chunk in streaming.stream("say")]
        return {"path": [*words, str(model.invoke("again").content)]}

    def use(state: Path) -> dict[str, list[str]]:
        found = search.invoke({"query": "tea"})
        try:
            search.invoke({"query": "nothing"})
        except ValueError as error:
            found += f", {error}"
        return {"path": [found, Shelf().invoke("tea")[0].page_content]}

    def tell(state: Path) -> dict[str, list[str]]:
        get_stream_writer()({"half": True})
        dispatch_custom_event("done", {"n": 1})
        return {"path": ["told"]}

    return graph_of("^>talk", "talk>use", "use>tell", talk=talk, use=use, tell=tell).compile()


def facts(step: Any) -> list[tuple[str, str | None, str, str | None]]:
    return [(event.kind.value, event.subtype, event.name, event.error_type) for event in step.events]


@pytest.mark.parametrize("way", EVERY_WAY)
def test_calls_of_every_kind(way: Way, eyes: None, seen: Seen) -> None:
    way(busy(), EMPTY)
    engagement = seen.one()
    assert tree(engagement) == ["talk", "use < talk:static", "tell < use:static"]
    assert facts(named(engagement, "talk")) == [("llm_call", None, "parrot-1", None)] * 2
    streamed, whole = events(named(engagement, "talk"))
    assert streamed.tokens.model_dump() == whole.tokens.model_dump() == TOKENS
    assert streamed.payload["response"]["content"] == "onetwo"
    assert (streamed.ttft_ms is None, whole.payload["response"]["content"]) == (False, "yes")
    assert facts(named(engagement, "use")) == [
        ("tool_call", None, "search", None),
        ("tool_call", None, "search", "ValueError"),
        ("tool_call", "retriever", "Shelf", None),
    ]
    assert [event.payload.get("args") for event in events(named(engagement, "use"))[:2]] == [
        {"query": "tea"},
        {"query": "nothing"},
    ]
    told = {(event.subtype, event.name): event.payload for event in events(named(engagement, "tell"), "log")}
    assert told[("custom", "done")] == {"n": 1}
    assert engagement.total_tokens == 32


@pytest.mark.parametrize("way", EVERY_WAY)
def test_what_is_written_to_the_stream_is_on_record_by_the_tap(way: Way, seen: Seen) -> None:
    way(busy(), EMPTY)
    told = {(event.subtype, event.name): event.payload for event in events(named(seen.one(), "tell"), "log")}
    assert told[("stream", "stream")] == {"half": True}


@pytest.mark.parametrize("way", EVERY_WAY)
def test_a_pause_and_its_answer(way: Way, eyes: None, seen: Seen) -> None:
    def ask(state: Path) -> dict[str, list[str]]:
        return {"path": [str(interrupt("which?"))]}

    app = graph_of("^>greet", "greet>ask", "ask>bye", ask=ask).compile(checkpointer=InMemorySaver())
    config = {"configurable": {"thread_id": "t"}}
    way(app, EMPTY, config)
    assert seen.one().status.value == "paused"
    way(app, Command(resume="this"), config)
    engagement = seen.one()
    assert (engagement.status.value, engagement.n_turns) == ("completed", 2)
    assert [(step.name, step.visit, step.attempt, step.status.value) for step in engagement.steps] == [
        ("greet", 1, 1, "completed"),
        ("ask", 1, 1, "waiting"),
        ("ask", 1, 2, "completed"),
        ("bye", 1, 1, "completed"),
    ]
    assert app.get_state(config).values == {"path": ["greet", "this", "bye"]}


@pytest.mark.parametrize("way", FUNCTIONAL)
def test_the_functional_api(way: Way, eyes: None, seen: Seen) -> None:
    model = parrot("yes")

    @task
    def double(n: int) -> int:
        model.invoke("double it")
        return 2 * n

    @entrypoint()
    def flow(n: int) -> int:
        return sum(double(one).result() for one in range(n))

    way(flow, 2)
    engagement = seen.one()
    steps = sorted((step.name, step.visit, step.status.value, len(step.events)) for step in engagement.steps)
    assert steps == [("double", 1, "completed", 1), ("double", 2, "completed", 1), ("flow", 1, "completed", 0)]
    assert engagement.total_tokens == 32


FAULTS: dict[str, Callable[[], BaseException]] = {
    "an exception": lambda: ValueError("no"),
    "a timeout": lambda: TimeoutError("late"),
}


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("way", EVERY_WAY)
def test_an_error_is_the_steps_and_the_runs(way: Way, fault: str, eyes: None, seen: Seen) -> None:
    error = FAULTS[fault]()

    def fail(state: Path) -> dict[str, list[str]]:
        raise error

    with pytest.raises(type(error), match=str(error)):
        way(graph_of("^>a", "a>fail", fail=fail).compile(), EMPTY)
    engagement = seen.one()
    assert (engagement.status.value, engagement.dropped_at) == ("failed", "a")
    assert tree(engagement) == ["a", "fail failed < a:static"]
    assert named(engagement, "fail").error_type == type(error).__name__
