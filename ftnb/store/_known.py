"""Objects that come again and again: a conversation carries its messages from step to step.

Making JSON of a message costs some 50 µs, and a chat of 400 steps shows 80,000 of them. So what was made of an object
is kept while the object is, and used again when it shows that nothing in it has changed since: the fields are compared
with a copy of what they were, not taken on trust.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import Any
from weakref import ref

from ..core.canonical import Json, Made

MIN_ITEMS = 16
"""Items of a list from which on it is looked for known ones. So many objects are never stored in place."""
MAX_BYTES = 16_000_000
"""Of the copies; what was used longest ago is forgotten first."""
MAX_OBJECTS = 20_000
_OBJECT_BYTES = 1_000
"""What is kept of an object beside its texts, about."""
_LEAVES = frozenset((str, int, float, bool, type(None)))
_PLAIN = _LEAVES | {list, dict, tuple, bytes}
_Made = tuple[ref[Any], dict[str, Any], int, Made]


class Known:
    """What was made of the objects in the values of one writer. Not thread-safe."""

    def __init__(self) -> None:
        self._made: OrderedDict[tuple[str, int], _Made] = OrderedDict()
        self._n_bytes = 0

    def put_in(self, engagement_id: str, value: Any, to_json: Callable[[Any], Json]) -> Any:
        """`value` with the objects in its long lists replaced by what was made of them; itself where it has none.

        What is not known yet is made by `to_json`.
        """
        if type(value) is not dict:
            return value
        replaced = None
        for key, items in list(value.items()):
            if type(items) is list and len(items) >= MIN_ITEMS and not _PLAIN.issuperset(map(type, items)):
                replaced = replaced or dict(value)
                replaced[key] = [
                    item if type(item) in _PLAIN else self._of(engagement_id, item, to_json) for item in list(items)
                ]
        return value if replaced is None else replaced

    def forget(self, engagement_id: str | None = None) -> None:
        """Forget what was made for an engagement; None: for any."""
        for key in [key for key in self._made if engagement_id in (None, key[0])]:
            self._n_bytes -= self._made.pop(key)[2]

    def _of(self, engagement_id: str, item: Any, to_json: Callable[[Any], Json]) -> Any:
        key = engagement_id, id(item)
        found = self._made.get(key)
        if found is not None and found[0]() is item and _is_same(found[1], item):
            self._made.move_to_end(key)
            return found[3]
        copy = _copy(item)
        if copy is None:
            return item
        fields, n_bytes = copy
        made = Made(to_json(item))
        if not _is_same(fields, item):  # changed while we looked
            return made
        if found is not None:
            self._n_bytes -= found[2]
        self._made[key] = ref(item), fields, n_bytes, made
        self._n_bytes += n_bytes
        while self._n_bytes > MAX_BYTES or len(self._made) > MAX_OBJECTS:
            self._n_bytes -= self._made.popitem(last=False)[1][2]
        return made


def _fields(item: Any) -> dict[str, Any]:
    """What a pydantic model is made of, but for its class."""
    fields: dict[str, Any] = item.__dict__
    if item.__pydantic_extra__ or item.__pydantic_private__:
        return {**fields, "\x00extra": item.__pydantic_extra__, "\x00private": item.__pydantic_private__}
    return fields


def _is_same(fields: dict[str, Any], item: Any) -> bool:
    try:
        return bool(fields == _fields(item))
    except Exception:  # what took a field's place cannot be compared, or another thread is at it
        return False


def _copy(item: Any) -> tuple[dict[str, Any], int] | None:
    """A copy of the fields of a model, and their size; None: it is no model, or has fields that cannot be compared."""
    try:
        ref(item)
        if not hasattr(type(item), "__pydantic_fields__"):
            return None
        size = [_OBJECT_BYTES]
        return {key: _copied(field, size, 0) for key, field in _fields(item).items()}, size[0]
    except Exception:  # an object of somebody's own
        return None


def _copied(value: Any, size: list[int], depth: int) -> Any:
    kind = type(value)
    if kind in _LEAVES:
        size[0] += len(value) if kind is str else 8
        return value
    size[0] += 64
    if depth > 20:
        raise ValueError("too deep")
    if kind is list:
        return [_copied(item, size, depth + 1) for item in value]
    if kind is dict:
        return {key: _copied(item, size, depth + 1) for key, item in value.items() if type(key) is str or _no(key)}
    raise TypeError(f"{kind.__name__} cannot be compared")


def _no(key: Any) -> bool:
    raise TypeError(f"a key {key!r}")
