"""What the attributes of spans mean: OpenTelemetry's GenAI conventions, those before them, and OpenInference.

Pure: attributes in, our fields out. What SDKs name otherwise comes here in these names (`_vendor.in_common_names`).
Sources: open-telemetry/semantic-conventions-genai (current names), semantic-conventions 1.27 to 1.36 and OpenLLMetry
(legacy names), and Arize's OpenInference specification.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from . import _span_messages
from ._span_messages import loaded, nested
from ._span_tokens import Tokens, tokens

Attributes = Mapping[str, Any]
Kind = Literal["workflow", "agent", "chain", "llm", "embedding", "tool", "retriever", "reranker", "check", "other"]
"""`check`: a guardrail or an evaluation."""

_OPENINFERENCE: dict[str, Kind] = {
    "LLM": "llm",
    "EMBEDDING": "embedding",
    "CHAIN": "chain",
    "RETRIEVER": "retriever",
    "RERANKER": "reranker",
    "TOOL": "tool",
    "AGENT": "agent",
    "GUARDRAIL": "check",
    "EVALUATOR": "check",
    "PROMPT": "other",
}
_OPERATIONS: dict[str, Kind] = {
    "chat": "llm",
    "text_completion": "llm",
    "completion": "llm",
    "generate_content": "llm",
    "embeddings": "embedding",
    "execute_tool": "tool",
    "create_agent": "other",
    "invoke_agent": "agent",
    "invoke_workflow": "workflow",
    "retrieval": "retriever",
    "rerank": "reranker",
}
_TRACELOOP: dict[str, Kind] = {"workflow": "workflow", "agent": "agent", "task": "chain", "tool": "tool"}
_NUMBERED = re.compile(r"Step \d+")
STEPS = frozenset(("workflow", "agent", "chain"))
"""Kinds that are steps; the others are events, or nothing of ours."""


@dataclass(frozen=True, slots=True)
class Reading:
    """One span in our words."""

    kind: Kind
    name: str
    node: str | None = None
    """The node of the workflow that it ran."""
    node_parent: str | None = None
    """The node before that one."""
    model: str | None = None
    provider: str | None = None
    tokens: Tokens | None = None
    ttft_s: float | None = None
    parameters: dict[str, Any] = field(default_factory=dict)
    messages: list[Any] | None = None
    response: dict[str, Any] | None = None
    input: Any = None
    output: Any = None
    call_id: str | None = None
    tools: tuple[str, ...] = ()


def kind_of(attributes: Attributes) -> Kind | None:
    """What a span is; None when its attributes do not tell (yet)."""
    told = attributes.get("openinference.span.kind")
    if told is not None:
        return _OPENINFERENCE.get(str(told).upper(), "other")
    operation = attributes.get("gen_ai.operation.name")
    if operation is not None:
        return _OPERATIONS.get(str(operation), "other")
    told = attributes.get("traceloop.span.kind")
    if told is not None:
        return _TRACELOOP.get(str(told), "other")
    if attributes.get("llm.request.type") is not None:
        return "embedding" if attributes["llm.request.type"] == "embedding" else "llm"
    if "gen_ai.tool.name" in attributes:
        return "tool"
    if "gen_ai.workflow.name" in attributes:
        return "workflow"
    if "gen_ai.request.model" in attributes:
        return "llm"
    return "agent" if "gen_ai.agent.name" in attributes else None


def read(name: str, attributes: Attributes, kind: Kind | None = None) -> Reading:
    """A span that has ended, or as much as is known of one that runs. `name` is the span's."""
    a, kind = attributes, kind or kind_of(attributes) or "other"
    common: dict[str, Any] = {
        "kind": kind,
        "name": _name(kind, name, a),
        "node": _text(a, "graph.node.name", "graph.node.id"),
    }
    common["node_parent"] = _text(a, "graph.node.parent_id")
    given, made = _given(a), _made(a)
    if kind in ("llm", "embedding"):
        messages, response = _span_messages.asked(a), _span_messages.answered(a)
        return Reading(
            **common,
            model=_text(a, "gen_ai.response.model", "llm.model_name", "embedding.model_name", "gen_ai.request.model"),
            provider=_text(a, "gen_ai.provider.name", "llm.provider", "llm.system", "gen_ai.system"),
            tokens=tokens(a),
            ttft_s=_number(a, "gen_ai.response.time_to_first_chunk", "gen_ai.server.time_to_first_token"),
            parameters=_parameters(a),
            messages=messages,
            response=response,
            input=given,
            output=made,
        )
    if kind == "tool":
        arguments = loaded(a.get("gen_ai.tool.call.arguments", a.get("tool_arguments", given)))
        result = loaded(a.get("gen_ai.tool.call.result", a.get("tool_response", made)))
        call_id = _text(a, "gen_ai.tool.call.id", "tool_call.id", "tool.id")
        return Reading(**common, input=_arguments(arguments), output=result, call_id=call_id)
    if kind in ("retriever", "reranker"):
        query = a.get("reranker.query", a.get("gen_ai.retrieval.query.text", given))
        found = _documents(a, "retrieval.documents", "reranker.output_documents")
        return Reading(**common, input=query, output=made if found is None else found)
    return Reading(**common, input=given, output=made, tools=_tools(a))


def conversation(attributes: Attributes) -> str | None:
    """Id of the conversation of which a trace is one turn."""
    return _text(attributes, "gen_ai.conversation.id", "session.id")


def metadata(attributes: Attributes) -> dict[str, Any]:
    """What spans say about the engagement as a whole."""
    said: dict[str, Any] = {}
    given = loaded(attributes.get("metadata"))
    if isinstance(given, Mapping):
        said.update(given)
    for key, value in attributes.items():  # as Phoenix's server gives back what it got as one object
        if key.startswith("metadata."):
            said[key.removeprefix("metadata.")] = value
    for key, ours in (("user.id", "user_id"), ("session.id", "session_id"), ("gen_ai.conversation.id", "session_id")):
        if attributes.get(key) is not None:
            said.setdefault(ours, attributes[key])
    if attributes.get("tag.tags"):
        said["tags"] = list(attributes["tag.tags"])
    return said


def _name(kind: Kind, name: str, a: Attributes) -> str:
    if kind == "tool":
        return _text(a, "gen_ai.tool.name", "tool.name") or name
    if kind == "agent":
        return _text(a, "gen_ai.agent.name", "graph.node.name", "graph.node.id", "agent.name") or name
    if kind == "workflow":
        return _text(a, "gen_ai.workflow.name", "traceloop.entity.name") or name
    if kind == "chain" and _NUMBERED.fullmatch(name):
        return "Step"  # smolagents numbers the turns of its loop: visits of one node
    if kind == "chain":
        return _text(a, "graph.node.name", "graph.node.id", "traceloop.entity.name") or name
    return name


def _arguments(given: Any) -> Any:
    """Named arguments alone, where an instrumentation tells of a call as {"args": [], "kwargs": {…}}."""
    if isinstance(given, Mapping) and isinstance(given.get("kwargs"), Mapping) and not given.get("args"):
        return given["kwargs"]
    return given


def _given(a: Attributes) -> Any:
    for key in ("input.value", "gen_ai.input.messages", "traceloop.entity.input"):
        if key in a:
            return loaded(a[key])
    return None


def _made(a: Attributes) -> Any:
    for key in ("output.value", "gen_ai.output.messages", "final_result", "traceloop.entity.output"):
        if key in a:
            return loaded(a[key])
    return None


def _parameters(a: Attributes) -> dict[str, Any]:
    told = loaded(a.get("llm.invocation_parameters"))
    found = dict(told) if isinstance(told, Mapping) else {}
    prefix = "gen_ai.request."
    for key, value in a.items():
        if key.startswith(prefix):
            found[key.removeprefix(prefix)] = value
    tools = nested(a, "llm.tools") or loaded(a.get("gen_ai.tool.definitions"))
    if tools:
        found["tools"] = tools
    return {key: value for key, value in found.items() if value is not None}


def _documents(a: Attributes, *prefixes: str) -> list[Any] | None:
    for prefix in prefixes:
        found = nested(a, prefix)
        if found:
            each = [one.get("document", one) if isinstance(one, Mapping) else one for one in found]
            return [_document(one) for one in each]
    return None


def _document(one: Any) -> Any:
    if not isinstance(one, Mapping):
        return one
    about = {key: value for key, value in one.items() if key != "content"}
    about["metadata"] = loaded(about["metadata"]) if "metadata" in about else {}
    return {"content": one.get("content"), **about}


def _tools(a: Attributes) -> tuple[str, ...]:
    named = a.get("smolagents.tools_names")
    if isinstance(named, (list, tuple)):
        return tuple(map(str, named))
    defined = loaded(a.get("gen_ai.tool.definitions"))
    if isinstance(defined, list):
        return tuple(str(one["name"]) for one in defined if isinstance(one, Mapping) and one.get("name"))
    return ()


def _text(a: Attributes, *keys: str) -> str | None:
    for key in keys:
        value = a.get(key)
        if value is not None and value != "":
            return str(value)
    return None


def _number(a: Attributes, *keys: str) -> float | None:
    for key in keys:
        if isinstance(a.get(key), (int, float)):
            return float(a[key])
    return None
