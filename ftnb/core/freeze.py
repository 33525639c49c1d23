"""Freezing a payload on the agent's thread: cheap, and good enough that later mutation does not rewrite history."""

from __future__ import annotations

from typing import Any

MAX_DEPTH = 4
MAX_NODES = 256
_CONTAINERS = frozenset((dict, list, tuple, set))


_is_flat = _CONTAINERS.isdisjoint
"""Of the types of a container's items: whether none of them is a container. One pass in C."""


def freeze(value: Any) -> tuple[Any, bool]:
    """A copy of the containers in `value`, 4 levels and 256 nodes deep, and whether anything deeper stayed shared.

    Only plain dicts, lists, tuples and sets are copied; objects are taken as they are (messages are treated as values).
    """
    kind = type(value)
    # Each container is copied as a whole first: another thread may be changing it, and a copy in C cannot be torn.
    if kind is dict:
        copy: Any = value.copy()
        if _is_flat(map(type, copy.values())):
            return copy, False
    elif kind is list or kind is tuple:
        copy = value[:]
        if _is_flat(map(type, copy)):
            return copy, False
    elif kind is set:
        return value.copy(), False
    else:
        return value, False
    budget = [MAX_NODES, False]
    return _deepen(copy, kind, 0, budget), bool(budget[1])


def _copy(value: Any, depth: int, budget: list[Any]) -> Any:
    """A copy of a container that lies in another one."""
    kind = type(value)
    # Even where it goes no deeper, the container itself is copied: what was appended or added later stays out.
    copy = value if kind is tuple else value.copy()
    if kind is set or _is_flat(map(type, copy.values() if kind is dict else copy)):
        budget[0] -= len(copy)
        return copy
    if depth >= MAX_DEPTH or budget[0] <= 0:
        budget[1] = True
        return copy
    return _deepen(copy, kind, depth, budget)


def _deepen(copy: Any, kind: type, depth: int, budget: list[Any]) -> Any:
    """Copy what `copy`, which is ours already, contains."""
    budget[0] -= len(copy)
    inner, below = _CONTAINERS, depth + 1
    if kind is dict:
        for key, item in copy.items():
            if type(item) in inner:
                copy[key] = _copy(item, below, budget)
        return copy
    if kind is list:
        for index, item in enumerate(copy):
            if type(item) in inner:
                copy[index] = _copy(item, below, budget)
        return copy
    return tuple([_copy(item, below, budget) if type(item) in inner else item for item in copy])
