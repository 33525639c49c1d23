"""Attributes of spans in our words: current and legacy GenAI names, and OpenInference."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ftnb.interop._semconv import conversation, kind_of, metadata, read


@pytest.mark.parametrize(
    ("attributes", "kind"),
    [
        ({"openinference.span.kind": "LLM"}, "llm"),
        ({"openinference.span.kind": "llm"}, "llm"),
        ({"openinference.span.kind": "AGENT"}, "agent"),
        ({"openinference.span.kind": "GUARDRAIL"}, "check"),
        ({"openinference.span.kind": "NEW_KIND"}, "other"),
        ({"gen_ai.operation.name": "chat"}, "llm"),
        ({"gen_ai.operation.name": "invoke_workflow"}, "workflow"),
        ({"gen_ai.operation.name": "execute_tool", "gen_ai.agent.name": "x"}, "tool"),
        ({"gen_ai.system": "openai", "gen_ai.request.model": "m"}, "llm"),
        ({"traceloop.span.kind": "task"}, "chain"),
        ({"llm.request.type": "chat"}, "llm"),
        ({"http.method": "GET"}, None),
        ({}, None),
    ],
)
def test_kinds(attributes: dict[str, Any], kind: str | None) -> None:
    assert kind_of(attributes) == kind


USAGE = "gen_ai.usage."
COUNT = "llm.token_count."


@pytest.mark.parametrize(
    ("attributes", "tokens"),
    [
        ({f"{USAGE}input_tokens": 10, f"{USAGE}output_tokens": 5}, (10, 5, 15, 0, 0, 0)),
        ({f"{USAGE}prompt_tokens": 10, f"{USAGE}completion_tokens": 5}, (10, 5, 15, 0, 0, 0)),
        # Parts of the whole.
        (
            {
                f"{USAGE}input_tokens": 100,
                f"{USAGE}output_tokens": 50,
                f"{USAGE}cache_read.input_tokens": 80,
                f"{USAGE}cache_creation.input_tokens": 10,
                f"{USAGE}reasoning.output_tokens": 30,
            },
            (100, 50, 150, 80, 10, 30),
        ),
        # Beside the whole: more of them than of the whole.
        (
            {f"{USAGE}input_tokens": 5, f"{USAGE}output_tokens": 2, f"{USAGE}cache_read_tokens": 80},
            (85, 2, 87, 80, 0, 0),
        ),
        ({f"{USAGE}input_tokens": 5, f"{USAGE}output_tokens": 2, f"{USAGE}reasoning_tokens": 9}, (5, 11, 16, 0, 0, 9)),
        # Beside the whole: the total tells.
        (
            {
                f"{COUNT}prompt": 100,
                f"{COUNT}completion": 10,
                f"{COUNT}total": 190,
                f"{COUNT}prompt_details.cache_read": 80,
            },
            (180, 10, 190, 80, 0, 0),
        ),
        (
            {
                f"{COUNT}prompt": 100,
                f"{COUNT}completion": 10,
                f"{COUNT}total": 110,
                f"{COUNT}prompt_details.cache_read": 80,
            },
            (100, 10, 110, 80, 0, 0),
        ),
        ({f"{COUNT}total": 7}, (0, 0, 7, 0, 0, 0)),
        ({f"{USAGE}input_tokens": "many"}, None),
        ({}, None),
    ],
)
def test_tokens_are_counted_once(attributes: dict[str, Any], tokens: Any) -> None:
    assert read("chat", {"gen_ai.operation.name": "chat", **attributes}).tokens == tokens


def test_messages_of_openinference() -> None:
    reading = read(
        "ChatCompletion",
        {
            "openinference.span.kind": "LLM",
            "llm.model_name": "m",
            "llm.provider": "openai",
            "llm.invocation_parameters": '{"temperature": 0}',
            "llm.input_messages.0.message.role": "system",
            "llm.input_messages.0.message.content": "Be brief.",
            "llm.input_messages.1.message.role": "user",
            "llm.input_messages.1.message.contents.0.message_content.type": "text",
            "llm.input_messages.1.message.contents.0.message_content.text": "hi",
            "llm.output_messages.0.message.role": "assistant",
            "llm.output_messages.0.message.tool_calls.0.tool_call.id": "c1",
            "llm.output_messages.0.message.tool_calls.0.tool_call.function.name": "f",
            "llm.output_messages.0.message.tool_calls.0.tool_call.function.arguments": '{"x": 1}',
        },
    )
    assert reading.messages == [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "hi"}]
    assert reading.response == {
        "role": "assistant",
        "content": "",
        "tool_calls": [{"name": "f", "args": {"x": 1}, "id": "c1"}],
    }
    assert (reading.model, reading.provider, reading.parameters) == ("m", "openai", {"temperature": 0})


def test_messages_of_genai() -> None:
    parts = [{"type": "text", "content": "It is "}, {"type": "text", "content": "sunny."}]
    call = {"type": "tool_call", "id": "c1", "name": "f", "arguments": {"x": 1}}
    reading = read(
        "chat m",
        {
            "gen_ai.operation.name": "chat",
            "gen_ai.provider.name": "anthropic",
            "gen_ai.request.model": "m",
            "gen_ai.response.model": "m-2026",
            "gen_ai.request.temperature": 0.5,
            "gen_ai.system_instructions": json.dumps([{"type": "text", "content": "Be brief."}]),
            "gen_ai.input.messages": json.dumps([{"role": "user", "parts": [{"type": "text", "content": "hi"}]}]),
            "gen_ai.output.messages": json.dumps([{"role": "assistant", "parts": [*parts, call]}]),
            "gen_ai.response.finish_reasons": ("stop",),
            "gen_ai.response.time_to_first_chunk": 0.5,
        },
    )
    assert reading.messages == [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "hi"}]
    assert reading.response == {
        "role": "assistant",
        "content": "It is sunny.",
        "tool_calls": [{"name": "f", "args": {"x": 1}, "id": "c1"}],
        "finish_reason": "stop",
    }
    assert (reading.model, reading.ttft_s, reading.parameters["temperature"]) == ("m-2026", 0.5, 0.5)


def test_messages_of_legacy_names() -> None:
    flat = read(
        "openai.chat",
        {
            "llm.request.type": "chat",
            "gen_ai.prompt.0.role": "user",
            "gen_ai.prompt.0.content": "hi",
            "gen_ai.completion.0.role": "assistant",
            "gen_ai.completion.0.content": "hello",
            "gen_ai.completion.0.finish_reason": "stop",
        },
    )
    assert flat.messages == [{"role": "user", "content": "hi"}]
    assert flat.response == {"role": "assistant", "content": "hello", "finish_reason": "stop"}
    logged = [
        {"event.name": "gen_ai.user.message", "role": "user", "content": "hi"},
        {"event.name": "gen_ai.choice", "message": {"role": "assistant", "content": "hello"}},
    ]
    told = read("chat", {"gen_ai.operation.name": "chat", "events": json.dumps(logged)})
    assert (told.messages, told.response) == (flat.messages, {"role": "assistant", "content": "hello"})


def test_tools_and_retrievers() -> None:
    tool = read(
        "execute_tool f",
        {
            "gen_ai.operation.name": "execute_tool",
            "gen_ai.tool.name": "f",
            "gen_ai.tool.call.id": "c1",
            "gen_ai.tool.call.arguments": '{"x": 1}',
            "gen_ai.tool.call.result": "ok",
        },
    )
    assert (tool.name, tool.input, tool.output, tool.call_id) == ("f", {"x": 1}, "ok", "c1")
    found = read(
        "retrieve",
        {
            "openinference.span.kind": "RETRIEVER",
            "input.value": "flats",
            "retrieval.documents.0.document.content": "a flat",
            "retrieval.documents.0.document.metadata": '{"page": 3}',
        },
    )
    assert (found.input, found.output) == ("flats", [{"content": "a flat", "metadata": {"page": 3}}])


def test_what_spans_say_about_the_engagement() -> None:
    said = {"session.id": "s", "user.id": "u", "metadata": '{"cohort": "b"}', "tag.tags": ("x",)}
    assert conversation(said) == "s"
    assert metadata(said) == {"session_id": "s", "user_id": "u", "cohort": "b", "tags": ["x"]}


NAMES = st.sampled_from(
    [
        "openinference.span.kind", "gen_ai.operation.name", "llm.input_messages.0.message.role", "llm.input_messages",
        "llm.input_messages.0", "llm.input_messages.x.y", "gen_ai.input.messages", "gen_ai.output.messages", "events",
        "gen_ai.usage.input_tokens", "llm.token_count.total", "llm.invocation_parameters", "input.value",
        "output.value",
        "gen_ai.prompt", "gen_ai.completion.0", "gen_ai.tool.definitions", "retrieval.documents.0.document", "metadata",
        "gen_ai.system_instructions", "llm.prompts", "gen_ai.response.finish_reasons", "embedding.embeddings.0",
    ]
)  # fmt: skip
VALUES = st.one_of(
    st.sampled_from(
        ["LLM", "TOOL", "RETRIEVER", "EMBEDDING", "chat", "execute_tool", "[", "{}", "[1]", '[{"parts": 3}]']
    ),
    st.text(max_size=8),
    st.integers(),
    st.floats(),
    st.booleans(),
    st.lists(st.text(max_size=3), max_size=3).map(tuple),
)


@settings(max_examples=300)
@given(st.dictionaries(NAMES, VALUES, max_size=8))
def test_any_attributes_can_be_read(attributes: dict[str, Any]) -> None:
    for kind in (None, "llm", "tool", "retriever", "agent"):
        reading = read("span", attributes, kind)  # type: ignore[arg-type]
        assert isinstance(reading.name, str)
        assert reading.tokens is None or min(reading.tokens) >= 0
    metadata(attributes)
