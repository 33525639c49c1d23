"""Freezing a payload on the agent's thread: cheap, and good enough that later mutation does not rewrite history."""

from __future__ import annotations

from typing import Any

MAX_DEPTH = 4
MAX_NODES = 256


def freeze(value: Any) -> tuple[Any, bool]:
    """A copy of the containers in `value`, 4 levels and 256 nodes deep, and whether anything deeper stayed shared.

    Only plain dicts, lists, tuples and sets are copied; objects are taken as they are (messages are treated as values).
    """
    budget = [MAX_NODES, False]
    return _copy(value, 0, budget), bool(budget[1])


def _copy(value: Any, depth: int, budget: list[Any]) -> Any:
    kind = type(value)
    if kind not in (dict, list, tuple, set):
        return value
    if depth >= MAX_DEPTH or budget[0] <= 0:
        budget[1] = budget[1] or len(value) > 0
        # The container itself is still copied: what was appended or added later stays out of the record.
        return kind(value) if kind is not tuple else value
    budget[0] -= len(value)
    if kind is dict:
        return {key: _copy(item, depth + 1, budget) for key, item in value.items()}
    if kind is set:
        return set(value)
    return kind([_copy(item, depth + 1, budget) for item in value])
