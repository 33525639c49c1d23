"""A saver in memory that keeps values as they are: a replay needs no state that can be serialised."""

from __future__ import annotations

from typing import Any

from langgraph.checkpoint.memory import InMemorySaver


class _AsIs:
    """LangGraph's serializer protocol, without serialising."""

    def dumps_typed(self, value: Any) -> tuple[str, Any]:
        return "live", _apart(value)

    def loads_typed(self, data: tuple[str, Any]) -> Any:
        return _apart(data[1])


def _apart(value: Any) -> Any:
    """A checkpoint apart from the one that a loop goes on changing; anything else as it is."""
    if not isinstance(value, dict) or "versions_seen" not in value:
        return value
    seen = {node: dict(versions) for node, versions in value["versions_seen"].items()}
    return {**value, "versions_seen": seen, "channel_versions": dict(value["channel_versions"])}


def live_saver() -> InMemorySaver:
    """A saver of our own, for one replay."""
    return InMemorySaver(serde=_AsIs())
