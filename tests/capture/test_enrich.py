"""What a node reports itself, in conventional state keys."""

from __future__ import annotations

from typing import Any

import pytest
from langgraph.graph import StateGraph
from langgraph.types import Command

from ftnb.langgraph_adapter import TraceState
from tests.capture.models import TOKENS, parrot
from tests.capture.shapes import Seen, events, named


def run(update: Any, node: Any = None) -> None:
    builder = StateGraph(TraceState)
    builder.add_node("node", node or (lambda state: update))
    builder.add_edge("__start__", "node")
    builder.compile().invoke({})


def reported(seen: Seen) -> list[tuple[Any, ...]]:
    return [(event.kind.value, event.name, event.payload) for event in named(seen.one(), "node").events]


@pytest.mark.parametrize(
    "wrap", [lambda update: update, lambda update: Command(update=update)], ids=["dict", "Command"]
)
def test_every_key(seen: Seen, wrap: Any) -> None:
    update = {
        "tool_calls": [{"name": "lookup", "payload": {"area": "Shibuya"}}, {"name": "bare"}],
        "llm_calls": [
            {"name": "gpt", "prompt_tokens": 64, "completion_tokens": 20, "model": "gpt-x", "duration_ms": 5}
        ],
        "events": [
            {"kind": "log", "name": "hit", "payload": {"key": 1}},
            {"kind": "llm_call", "name": "other", "tokens": {"prompt": 3, "completion": 1}},
            {"kind": "error", "name": "soft", "error": "no luck"},
        ],
        "extraction": {"schema_name": "Budget", "values": {"budget": 1}, "confidence": 0.5},
    }
    run(wrap(update))
    assert reported(seen) == [
        ("tool_call", "lookup", {"area": "Shibuya"}),
        ("tool_call", "bare", {}),
        ("llm_call", "gpt", {"model": "gpt-x"}),
        ("log", "hit", {"key": 1}),
        ("llm_call", "other", {}),
        ("error", "soft", {}),
        ("extraction", "Budget", {"budget": 1}),
    ]
    step = named(seen.one(), "node")
    assert step.total_tokens == 84 + 4
    assert (step.events[2].duration_ms, step.events[2].model) == (5, "gpt-x")
    assert step.events[5].error == "no luck"
    assert step.extraction is not None
    assert (step.extraction.schema_name, step.extraction.confidence) == ("Budget", 0.5)


@pytest.mark.parametrize(
    "update",
    [
        {"tool_calls": [{"name": "area", "args": {}, "id": "c1", "type": "tool_call"}]},
        {"tool_calls": [{"function": {"name": "area"}}]},
        {"tool_calls": ["area"]},
        {"events": [{"name": "Concert", "date": "2026-05-01"}]},
        {"events": [{"kind": "concert", "name": "x"}]},
        {"events": "none today"},
        {"llm_calls": [7]},
        {"extraction": {"text": "x"}},
        {"extraction": {"schema_name": "S", "values": [1]}},
    ],
    ids=str,
)
def test_a_users_own_shape_is_left_alone(seen: Seen, update: Any) -> None:
    builder = StateGraph(dict)
    builder.add_node("node", lambda state: update)
    builder.add_edge("__start__", "node")
    builder.compile().invoke({})
    step = named(seen.one(), "node")
    assert step.events == []
    assert seen.update(step) == update


def test_a_call_seen_and_reported_is_one_event(seen: Seen) -> None:
    from langchain_core.tools import tool

    @tool
    def lookup(area: str) -> str:
        """Look it up."""
        return area

    model = parrot("x")

    def node(state: TraceState) -> Any:
        model.invoke("hi")
        lookup.invoke({"area": "a"})
        return {
            "llm_calls": [
                {"name": "my name for it", "prompt_tokens": 11, "completion_tokens": 5},
                {"name": "another", "prompt_tokens": 2, "completion_tokens": 1},
            ],
            "tool_calls": [{"name": "lookup", "payload": {"area": "a"}}, {"name": "unseen"}],
        }

    run(None, node)
    step = named(seen.one(), "node")
    assert [(event.kind.value, event.name) for event in step.events] == [
        ("llm_call", "parrot-1"),
        ("tool_call", "lookup"),
        ("tool_call", "unseen"),
        ("llm_call", "another"),
    ]
    assert step.total_tokens == TOKENS["total"] + 3


def test_what_only_the_report_knows_is_added_to_the_call(seen: Seen) -> None:
    model = parrot("x", usage=None)

    def node(state: TraceState) -> Any:
        model.invoke("hi")
        return {"llm_calls": [{"name": "parrot-1", "prompt_tokens": 9, "completion_tokens": 1}]}

    run(None, node)
    (event,) = events(named(seen.one(), "node"))
    assert event.tokens is not None
    assert event.tokens.total == 10
    assert event.payload["messages"] == [{"role": "user", "content": "hi"}]
