"""State keys by which a node can tell more about itself than LangGraph's callbacks do."""

from __future__ import annotations

from operator import add
from typing import Annotated, Any, TypedDict


class TraceState(TypedDict, total=False):
    """Base for a graph's state that declares the keys which capture turns into events; none needs a first value.

    `messages` is not among them: it is yours. Values of another shape than described here are left alone.
    """

    tool_calls: Annotated[list[dict[str, Any]], add]
    """`{"name": str, "payload"?: dict, "duration_ms"?: float, "error"?: str}` each: a tool that the node called."""
    llm_calls: Annotated[list[dict[str, Any]], add]
    """`{"name": str, "prompt_tokens"?: int, "completion_tokens"?: int, "total_tokens"?: int, "model"?: str,
    "duration_ms"?: float}` each: a model that the node called."""
    events: Annotated[list[dict[str, Any]], add]
    """`{"kind": str, "name": str, "payload"?: dict, "duration_ms"?: float, "tokens"?: dict, "error"?: str}` each;
    `kind` is one of `core.model.EventKind`."""
    extraction: dict[str, Any]
    """`{"schema_name": str, "values": dict, "json_schema"?: dict, "confidence"?: float, "valid"?: bool}`."""
