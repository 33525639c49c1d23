"""Attributes that Langfuse's and MLflow's SDKs put on OpenTelemetry spans, in the names of the conventions.

Sources: https://langfuse.com/integrations/native/opentelemetry (langfuse.* attributes) and MLflow's `SpanAttributeKey`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ._span_messages import loaded
from ._usage import attributes_of_usage

_LANGFUSE = "langfuse.observation."
_LANGFUSE_KIND = "langfuse.observation.type"
_MLFLOW = "mlflow."
_KINDS = {
    "SPAN": "CHAIN", "GENERATION": "LLM", "EVENT": "PROMPT", "CHAT_MODEL": "LLM", "WORKFLOW": "AGENT", "TASK": "CHAIN",
    "PARSER": "PROMPT", "MEMORY": "PROMPT", "UNKNOWN": "CHAIN",
}  # fmt: skip
"""Their kinds that OpenInference has not."""


def in_common_names(a: dict[str, Any]) -> dict[str, Any]:
    """`a` itself where it has none of theirs; else a copy in which theirs have the names of the conventions."""
    if _LANGFUSE_KIND in a or "langfuse.trace.tags" in a:
        return _langfuse(a)
    return _mlflow(a) if "mlflow.spanType" in a else a


def _langfuse(a: dict[str, Any]) -> dict[str, Any]:
    found = {
        "openinference.span.kind": _kind(a.get(_LANGFUSE_KIND, "SPAN")),
        "gen_ai.request.model": a.get(f"{_LANGFUSE}model.name"),
        "llm.invocation_parameters": a.get(f"{_LANGFUSE}model.parameters"),
        "tag.tags": a.get("langfuse.trace.tags"),
        **_values(a.get(f"{_LANGFUSE}input"), a.get(f"{_LANGFUSE}output")),
        **attributes_of_usage(loaded(a.get(f"{_LANGFUSE}usage_details"))),
    }
    about = loaded(a.get("metadata"))
    metadata = dict(about) if isinstance(about, Mapping) else {}
    prefix = "langfuse.trace.metadata."
    metadata.update({key.removeprefix(prefix): loaded(a[key]) for key in a if key.startswith(prefix)})
    node = a.get(f"{_LANGFUSE}metadata.langgraph_node")
    if node is not None:
        metadata["langgraph_node"] = node
    return {**found, **a, **({"metadata": metadata} if metadata else {})}


def _mlflow(a: dict[str, Any]) -> dict[str, Any]:
    """MLflow writes each attribute as JSON text, a text with its quotes."""
    kind, model, provider = (_unquoted(a.get(f"{_MLFLOW}{name}")) for name in ("spanType", "llm.model", "llm.provider"))
    found = {
        "openinference.span.kind": _kind(kind),
        "gen_ai.request.model": model,
        "gen_ai.provider.name": provider,
        "session.id": _unquoted(a.get("mlflow.trace.session")),
        "user.id": _unquoted(a.get("mlflow.trace.user")),
        **_values(a.get(f"{_MLFLOW}spanInputs"), a.get(f"{_MLFLOW}spanOutputs")),
        **attributes_of_usage(loaded(a.get(f"{_MLFLOW}chat.tokenUsage"))),
    }
    return {**found, **a}


def _kind(told: Any) -> str:
    name = str(told or "UNKNOWN").upper()
    return _KINDS.get(name, name)


def _unquoted(value: Any) -> Any:
    return value[1:-1] if isinstance(value, str) and value[:1] == value[-1:] == '"' else value


def _values(given: Any, made: Any) -> dict[str, Any]:
    """What went in and came out, as OpenInference has them, and messages as the GenAI conventions have them."""
    given, made = loaded(given), loaded(made)
    found: dict[str, Any] = {"input.value": _unquoted(given), "output.value": _unquoted(made)}
    asked = given.get("messages") if isinstance(given, Mapping) else given
    if isinstance(asked, list) and asked and all(isinstance(one, Mapping) and "role" in one for one in asked):
        found["gen_ai.input.messages"] = asked
    choices = made.get("choices") if isinstance(made, Mapping) else None
    answered = choices if isinstance(choices, list) else [made]
    if all(isinstance(one, Mapping) and ("role" in one or "message" in one) for one in answered):
        found["gen_ai.output.messages"] = answered
    return {key: value for key, value in found.items() if value is not None}
