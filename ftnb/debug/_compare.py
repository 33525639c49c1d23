"""Whether two recorded or live values are the same, as far as a run can be repeated at all.

Messages are compared by what they say: their ids, and what a provider reports beside them (usage, latency), are new
each time.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..core.canonical import MARK, encode_json, to_json
from ..core.marked import Marked

_SAID = ("content", "tool_calls", "name", "tool_call_id", "status", "role", "artifact")
_ABSENT = "(absent)"


def same(then: Any, now: Any) -> bool:
    """Whether both say the same."""
    try:
        if type(then) is type(now) and not isinstance(then, Marked) and then == now:
            return True
    except Exception:  # values whose comparison raises, or gives an array
        pass
    return plain(then) == plain(now)


def plain(value: Any) -> bytes:
    """A value as bytes that are equal for values that say the same."""
    return encode_json(_said(to_json(value)))


def changed(then: Any, now: Any) -> dict[str, tuple[Any, Any]]:
    """The keys that differ: {key: (then, now)}; for values that are no mappings, one entry `(output)`."""
    if same(then, now):
        return {}
    one, other = _fields(then), _fields(now)
    if one is None or other is None:
        return {"(output)": (then, now)}
    keys = dict.fromkeys([*one, *other])
    pairs = {str(key): (one.get(key, _ABSENT), other.get(key, _ABSENT)) for key in keys}
    return {key: pair for key, pair in pairs.items() if not same(*pair)}


def _fields(value: Any) -> Mapping[Any, Any] | None:
    if isinstance(value, Marked):
        return None
    if value is None:
        return {}
    return value if isinstance(value, Mapping) else None


def _said(value: Any) -> Any:
    if isinstance(value, list):
        return [_said(item) for item in value]
    if not isinstance(value, dict):
        return value
    kind = value.get(MARK)
    if kind == "object" and isinstance(value.get("data"), dict):
        name, data = str(value.get("type")), value["data"]
        if name.endswith(("Message", "MessageChunk")) and "content" in data:
            said = {key: _said(data[key]) for key in _SAID if data.get(key)}
            return {"message": name.removesuffix("Chunk"), **said}
    return {key: _said(item) for key, item in value.items()}
