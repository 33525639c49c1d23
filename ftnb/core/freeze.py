"""Freezing a payload on the agent's thread: cheap, and good enough that later mutation does not rewrite history."""

from __future__ import annotations

import sys
import weakref
from collections import Counter, OrderedDict, defaultdict, deque
from collections.abc import Callable
from dataclasses import fields, is_dataclass
from typing import Any

MAX_DEPTH = 4
MAX_NODES = 256
_CONTAINERS = frozenset((dict, list, tuple, set))
_SHALLOW = frozenset((OrderedDict, defaultdict, Counter, deque))
_MAX_TYPES = 1_000
_MESSAGE_NODES = 64
_FEW = 8
"""Values that Python looks through itself sooner than C does for it."""
_settled: set[type] = {str, int, float, bool, type(None), bytes}
"""Types whose values are taken as they are."""
_is_flat = _settled.issuperset
"""Of the types of a container's items: whether none of them is copied. One pass in C."""
_copiers: dict[type, Callable[[Any, int, list[Any]], Any]] = {}
"""How values of a type are copied, apart from containers."""
_messages: dict[int, tuple[Callable[[], Any], Any, bool]] = {}
"""By the identity of a message: the message, held weakly, its copy, and whether the copy shares what lies deep."""


def freeze(value: Any) -> tuple[Any, bool]:
    """A copy of the containers in `value`, 4 levels and 256 nodes deep, and whether anything deeper stayed shared.

    Copied are dicts, lists, tuples, sets, dataclasses, and objects of pydantic and attrs. A message of LangChain's is
    copied once, and again only when it has changed; so the same copy stands for it in every state. Other objects are
    taken as they are.
    """
    kind = type(value)
    if kind in _settled:
        return value, False
    # Each container is copied as a whole first: another thread may be changing it, and a copy in C cannot be torn.
    if kind is dict:
        return _freeze_dict(value) if value else ({}, False)
    if kind is list or kind is tuple:
        copy: Any = value[:]
        if _is_flat(map(type, copy)):
            return copy, False
    elif kind is set:
        return value.copy(), False
    else:
        budget: list[Any] = [MAX_NODES, False]
        return _copy_object(value, kind, 0, budget), budget[1]
    budget = [MAX_NODES, False]
    return _deepen(copy, kind, 0, budget), budget[1]


def _freeze_dict(value: dict[Any, Any]) -> tuple[dict[Any, Any], bool]:
    """What most states are: a few plain values and lists of them."""
    copy = value.copy()
    if len(copy) > _FEW and _is_flat(map(type, copy.values())):
        return copy, False
    settled = _settled
    for key in copy:
        item = copy[key]
        kind = type(item)
        if kind is list:
            item = item.copy()
            if item and not _is_flat(map(type, item)):
                break
            copy[key] = item
        elif kind not in settled:
            break
    else:
        return copy, False
    budget: list[Any] = [MAX_NODES, False]
    return _own(copy, 0, budget), budget[1]


def _copy(value: Any, depth: int, budget: list[Any]) -> Any:
    """A copy of a value that lies in another one."""
    kind = type(value)
    if kind not in _CONTAINERS:
        return value if kind in _settled else _copy_object(value, kind, depth, budget)
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
    if kind is dict:
        return _own(copy, depth, budget)
    budget[0] -= len(copy)
    settled, below = _settled, depth + 1
    if kind is list:
        for index, item in enumerate(copy):
            if type(item) not in settled:
                # Messages make up most of what agents keep: a call less for each.
                take = _message if _copiers.get(type(item)) is _message else _copy
                copy[index] = take(item, below, budget)
        return copy
    return tuple([item if type(item) in settled else _copy(item, below, budget) for item in copy])


def _own(copy: dict[Any, Any], depth: int, budget: list[Any]) -> dict[Any, Any]:
    """Copy what a dict that is ours already contains."""
    budget[0] -= len(copy)
    settled = _settled
    for key in copy:
        item = copy[key]
        kind = type(item)
        if kind in settled:
            continue
        if kind is list:
            item = item.copy()
            if not item or _is_flat(map(type, item)):
                copy[key] = item
                budget[0] -= len(item)
            elif depth + 1 >= MAX_DEPTH or budget[0] <= 0:
                copy[key], budget[1] = item, True
            else:
                copy[key] = _deepen(item, list, depth + 1, budget)
        elif kind is dict and not item:
            copy[key] = {}
        else:
            copy[key] = _copy(item, depth + 1, budget)
    return copy


# --- objects ---


def _copy_object(value: Any, kind: type, depth: int, budget: list[Any]) -> Any:
    """A copy of an object, or the object itself: by its type."""
    copier = _copiers.get(kind)
    if copier is None:
        copier = _copier_of(kind)
        if copier is None:
            if len(_settled) > _MAX_TYPES:  # classes that are made at run time are not to be kept alive by us
                _settled.intersection_update((str, int, float, bool, type(None), bytes))
            _settled.add(kind)
            return value
        if len(_copiers) > _MAX_TYPES:
            _copiers.clear()
        _copiers[kind] = copier
    try:
        return copier(value, depth, budget)
    except Exception:
        budget[1] = True  # an object that cannot be copied is shared
        return value


def _copier_of(kind: type) -> Callable[[Any, int, list[Any]], Any] | None:
    if kind in _SHALLOW:
        return _shallow
    model = getattr(sys.modules.get("pydantic"), "BaseModel", None)
    if model is not None and issubclass(kind, model):
        message = getattr(sys.modules.get("langchain_core.messages.base"), "BaseMessage", None)
        return _message if message is not None and issubclass(kind, message) else _model
    has_fields = is_dataclass(kind) or hasattr(kind, "__attrs_attrs__")
    return _with_fields if has_fields and not issubclass(kind, BaseException) else None


def _shallow(value: Any, depth: int, budget: list[Any]) -> Any:
    copy = value.copy()
    budget[0] -= len(copy)
    budget[1] = budget[1] or not _is_flat(map(type, copy.values() if isinstance(copy, dict) else copy))
    return copy


def _model(value: Any, depth: int, budget: list[Any]) -> Any:
    """A copy of a pydantic model. Nothing of the class's own runs."""
    made = object.__new__(type(value))
    put = object.__setattr__
    extra = value.__pydantic_extra__
    put(made, "__pydantic_fields_set__", value.__pydantic_fields_set__)
    put(made, "__pydantic_extra__", extra if not extra else _attributes(extra, depth, budget))
    put(made, "__pydantic_private__", value.__pydantic_private__)
    put(made, "__dict__", _attributes(value.__dict__, depth, budget))
    return made


def _with_fields(value: Any, depth: int, budget: list[Any]) -> Any:
    """A copy of a dataclass or a class of attrs."""
    made = object.__new__(type(value))
    own = getattr(value, "__dict__", None) or {}
    names = [field.name for field in (fields(value) if is_dataclass(value) else value.__attrs_attrs__)]
    slots = {name: getattr(value, name) for name in names if name not in own and hasattr(value, name)}
    if own:
        vars(made).update(_attributes(own, depth, budget))
    for name, item in _attributes(slots, depth, budget).items():
        object.__setattr__(made, name, item)
    return made


def _attributes(given: dict[str, Any], depth: int, budget: list[Any]) -> dict[str, Any]:
    copy = given.copy()
    if (depth < MAX_DEPTH and budget[0] > 0) or _is_flat(map(type, copy.values())):
        return _own(copy, depth, budget)
    budget[1] = True
    return copy


def _message(value: Any, _: int, budget: list[Any]) -> Any:
    """A copy of a message: the one that was made before, as long as it says the same."""
    key = id(value)
    known = _messages.get(key)
    if known is not None and known[0]() is value:
        try:
            is_same = bool(known[1].__dict__ == value.__dict__)
        except Exception:  # something in it cannot be compared
            is_same = False
        if is_same:
            budget[1] = budget[1] or known[2]
            return known[1]
    own = [_MESSAGE_NODES, False]
    try:
        made = _model(value, 1, own)
        alive = weakref.ref(value, lambda _: _messages.pop(key, None))
    except Exception:
        budget[1] = True  # it cannot be copied, and is shared
        return value
    budget[1] = budget[1] or own[1]
    _messages[key] = alive, made, bool(own[1])
    return made
