"""Freezing a payload on the agent's thread: cheap, and good enough that later mutation does not rewrite history."""

from __future__ import annotations

from typing import Any

MAX_DEPTH = 4
MAX_NODES = 256
_CONTAINERS = frozenset((dict, list, tuple, set))


def freeze(value: Any) -> tuple[Any, bool]:
    """A copy of the containers in `value`, 4 levels and 256 nodes deep, and whether anything deeper stayed shared.

    Only plain dicts, lists, tuples and sets are copied; objects are taken as they are (messages are treated as values).
    """
    if type(value) not in _CONTAINERS:
        return value, False
    if not value:
        return value.copy() if type(value) is not tuple else value, False
    budget = [MAX_NODES, False]
    return _copy(value, 0, budget), bool(budget[1])


def _copy(value: Any, depth: int, budget: list[Any]) -> Any:
    kind = type(value)
    if kind not in _CONTAINERS:
        return value
    if depth >= MAX_DEPTH or budget[0] <= 0:
        budget[1] = budget[1] or len(value) > 0
        # The container itself is still copied: what was appended or added later stays out of the record.
        return kind(value) if kind is not tuple else value
    budget[0] -= len(value)
    # Leaves are told apart here: a call for each would be most of the cost of a list of messages.
    inner, below = _CONTAINERS, depth + 1
    if kind is dict:
        return {key: _copy(item, below, budget) if type(item) in inner else item for key, item in value.items()}
    if kind is set:
        return value.copy()
    if kind is list:
        return [_copy(item, below, budget) if type(item) in inner else item for item in value]
    return tuple([_copy(item, below, budget) if type(item) in inner else item for item in value])
