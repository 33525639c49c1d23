"""Events that a node reports itself, in conventional keys of its update (`state.TraceState` describes them).

A user's own `events` or `tool_calls` of another shape is left alone, item by item.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from pydantic import ValidationError

from ..core.model import EventKind, Extraction, TokenUsage
from ..store.draft import Tokens, micros, tokens_of

_KINDS = {kind.value: kind for kind in EventKind}
_KEYS = {"tool_calls", "llm_calls", "events"}
_FOREIGN_TOOL_KEYS = {"args", "arguments", "function", "type", "id"}
"""A message's own tool call looks like ours but for these."""


@dataclass(slots=True)
class Reported:
    """One event that a node reports."""

    kind: EventKind
    name: str
    payload: dict[str, Any] = field(default_factory=dict)
    duration_us: int | None = None
    model: str | None = None
    tokens: Tokens | None = None
    error: str | None = None


def reported(update: Any) -> Iterator[Reported]:
    """The events in a node's update, in the order in which they are recorded."""
    if not isinstance(update, Mapping) or _KEYS.isdisjoint(update):
        return
    for item in _items(update, "tool_calls"):
        if not _FOREIGN_TOOL_KEYS & item.keys():
            yield _event(item, EventKind.TOOL_CALL)
    for item in _items(update, "llm_calls"):
        model = item.get("model")
        event = _event({**item, "payload": {"model": model} if model else {}}, EventKind.LLM_CALL)
        event.model = model if isinstance(model, str) else None
        counts = {key: value for key, value in item.items() if key.endswith("_tokens")}
        event.tokens = _tokens({key.removesuffix("_tokens"): value for key, value in counts.items()})
        yield event
    for item in _items(update, "events"):
        kind = _KINDS.get(item["kind"]) if isinstance(item.get("kind"), str) else None
        if kind is not None:
            event = _event(item, kind)
            event.tokens = _tokens(item["tokens"]) if isinstance(item.get("tokens"), Mapping) else None
            yield event


def extraction_of(update: Any) -> dict[str, Any] | None:
    """The fields of the extraction in a node's update; None when there is none of our shape."""
    value = update.get("extraction") if isinstance(update, Mapping) else None
    if not isinstance(value, Mapping) or not isinstance(value.get("schema_name"), str):
        return None
    if not isinstance(value.get("values", {}), Mapping):
        return None
    try:
        return Extraction.model_validate(dict(value)).model_dump()
    except ValidationError:
        return None


def _items(update: Mapping[str, Any], key: str) -> Iterator[Mapping[str, Any]]:
    value = update.get(key)
    if not isinstance(value, (list, tuple)):
        return
    for item in value:
        if not isinstance(item, Mapping) or not isinstance(item.get("name"), str):
            continue
        if isinstance(item.get("payload", {}), Mapping):
            yield item


def _event(item: Mapping[str, Any], kind: EventKind) -> Reported:
    duration, error = item.get("duration_ms"), item.get("error")
    return Reported(
        kind,
        item["name"],
        dict(item.get("payload") or {}),
        duration_us=micros(duration) if isinstance(duration, (int, float)) else None,
        error=None if error is None else str(error),
    )


def _tokens(counts: Mapping[str, Any]) -> Tokens | None:
    try:
        usage = TokenUsage.model_validate(dict(counts))
    except ValidationError:
        return None
    return tokens_of(usage)
