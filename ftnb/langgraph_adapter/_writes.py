"""What tasks wrote to LangGraph's channels, in few bytes: enough to apply a superstep again without running a node.

Nearly all of it is in the node's update already. A write is kept as

    "path"                the channel's value is the update's entry of that name
    ["branch:to:b"]       the value is None
    ["path", value]       the value itself (large ones are stored by reference, as any)
    ["__pregel_tasks", {"send": "work", "arg": …}]
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

from ._routing import TASKS

_CONTROL = ("branch:", "join:", "__")
_NO_RESULT = frozenset(("__error__", "__error_source_node__", "__interrupt__", "__resume__"))


def compact(writes: Iterable[tuple[str, Any]], update: Any) -> list[Any]:
    """The writes of one task; `update` is what its node returned."""
    writes = list(writes)
    times = Counter(channel for channel, _ in writes) if len(writes) > 1 else {}
    known = update if isinstance(update, Mapping) else {}
    kept: list[Any] = []
    for channel, value in writes:
        if channel in known and times.get(channel, 1) == 1:
            kept.append(channel)
        elif value is None:
            kept.append([channel])
        else:
            kept.append([channel, _value(channel, value)])
    return kept


def of_task(writes: tuple[tuple[str, Any], ...]) -> tuple[tuple[str, Any], ...]:
    """The writes of a task that ended well as LangGraph keeps them: one without any is marked."""
    return writes if any(channel not in _NO_RESULT for channel, _ in writes) else (*writes, ("__no_writes__", None))


def _value(channel: str, value: Any) -> Any:
    if channel == TASKS and hasattr(value, "node"):
        return {"send": value.node, "arg": value.arg}
    return value


def update_of(writes: Iterable[tuple[str, Any]] | None) -> Any:
    """The update that gave these writes; None when there was none."""
    update = {channel: value for channel, value in writes or () if not str(channel).startswith(_CONTROL)}
    return update or None


def plain(path: tuple[Any, ...]) -> list[Any]:
    """A task's path as JSON has it."""
    return [plain(part) if isinstance(part, tuple) else part for part in path]


def decision(result: Any) -> Any:
    """What a router said, without the states that its sends carry."""
    if isinstance(result, (list, tuple)):
        return [decision(one) for one in result]
    if hasattr(result, "node") and hasattr(result, "arg"):
        return f"Send({result.node})"
    return result if isinstance(result, (str, int, bool)) or result is None else str(result)
