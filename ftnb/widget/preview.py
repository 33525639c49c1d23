"""Values cut to a size, always saying what was left out."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from ..core.canonical import MARK, Json, encode_json, marker, to_json
from .protocol import Preview

PREVIEW_BYTES = 4096
"""Size to which each value is cut before it is sent; the whole is fetched when the user asks for it."""

Resolve = Callable[[Any], Any]
"""Turns a value held by reference (`Step.state_ref`) into the plain value."""

_JS_SAFE_INT = 2**53
_LASTING = ("object", "cut", "ref", "list")
"""Markers that stay what they are when a value is read back from a store."""


class _Limits(NamedTuple):
    """How much of one value is kept at one level of detail."""

    chars: int
    items: int
    keys: int
    depth: int


_LEVELS = (
    _Limits(2000, 40, 80, 20),
    _Limits(1200, 16, 60, 12),
    _Limits(600, 10, 40, 10),
    _Limits(300, 6, 30, 8),
    _Limits(120, 4, 20, 6),
    _Limits(60, 4, 12, 5),
    _Limits(40, 2, 8, 4),
    _Limits(40, 2, 4, 2),
)


def preview(value: Any, *, limit: int | None = PREVIEW_BYTES) -> Preview:
    """`value` as JSON of about `limit` bytes; None keeps all of it. Never raises."""
    return preview_json(_keep_markers(to_json(value)), limit=limit)


def preview_ref(ref: Any, *, resolve: Resolve | None = None, limit: int | None = PREVIEW_BYTES) -> Preview | None:
    """Preview of a value held by reference; None when there is none.

    Without `resolve`, what is stored elsewhere stays a reference. An error in `resolve` becomes part of the preview.
    """
    if ref is None:
        return None
    if resolve is None:
        return preview_json(ref, limit=limit)
    try:
        value = resolve(ref)
    except Exception as error:  # the store may be closed, or the blob redacted: the rest of the view must still show
        reason = f"could not be read: {type(error).__name__}: {error}"
        return Preview(value=marker("cut", why=reason[:500], type="value", n=1), cut=True, n_bytes=0)
    return preview(value, limit=limit)


def preview_json(value: Json, *, limit: int | None = PREVIEW_BYTES) -> Preview:
    """`preview` for a value that already is canonical JSON."""
    value = _for_browser(value)
    here = len(encode_json(value))
    n_bytes = here + _bytes_apart(value)
    if limit is None or here <= limit:
        return Preview(value=value, cut=_is_partial(value), n_bytes=n_bytes)
    for level in _LEVELS:
        short = _shorten(value, level, 0)
        if len(encode_json(short)) <= limit:
            return Preview(value=short, cut=True, n_bytes=n_bytes)
    return Preview(value=_cut_text(encode_json(value).decode(), limit), cut=True, n_bytes=n_bytes)


def _shorten(value: Json, limits: _Limits, depth: int) -> Json:
    if isinstance(value, str):
        return value if len(value) <= limits.chars else _cut_text(value, limits.chars)
    if isinstance(value, list):
        return _shorten_list(value, limits, depth)
    if isinstance(value, dict):
        return _shorten_dict(value, limits, depth)
    return value


def _shorten_list(items: list[Json], limits: _Limits, depth: int) -> Json:
    if items and depth >= limits.depth:
        return _cut("list", len(items))
    # The last items of a conversation matter most, the first ones say what it is: keep both ends.
    tail = max(limits.items - 1, 1)
    if len(items) <= tail + 1:
        return [_shorten(item, limits, depth + 1) for item in items]
    ends = [_shorten(item, limits, depth + 1) for item in (items[0], *items[-tail:])]
    return [ends[0], _cut("items", len(items) - tail - 1), *ends[1:]]


def _shorten_dict(value: dict[str, Json], limits: _Limits, depth: int) -> Json:
    if MARK in value:
        # A marker keeps its shape; a part of it may still be long.
        return {key: _shorten(item, limits, depth) if key != MARK else item for key, item in value.items()}
    if value and depth >= limits.depth:
        return _cut("dict", len(value))
    kept = {key: _shorten(value[key], limits, depth + 1) for key in list(value)[: limits.keys]}
    left_out = len(value) - len(kept)
    return _cut("keys", left_out, head=kept) if left_out else kept


def _cut(kind: str, n: int, **more: Json) -> Json:
    return marker("cut", why="size", type=kind, n=n, **more)


def _cut_text(text: str, keep: int) -> Json:
    return _cut("chars", len(text) - keep, head=text[:keep])


def _keep_markers(value: Json) -> Json:
    """Undo the escaping of markers that were in the value: what a store gives back of an object that is no data."""
    if isinstance(value, list):
        return [_keep_markers(item) for item in value]
    if not isinstance(value, dict):
        return value
    if value.get(MARK) == "dict":
        pairs = value["items"]
        own = dict(pairs) if all(isinstance(key, str) for key, _ in pairs) else {}
        if own.get(MARK) in _LASTING:
            return {key: _keep_markers(item) for key, item in own.items()}
    return {key: _keep_markers(item) for key, item in value.items()}


def _for_browser(value: Json) -> Json:
    """Integers that a JavaScript number cannot hold become markers."""
    if isinstance(value, dict):
        return {key: _for_browser(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_for_browser(item) for item in value]
    if type(value) is int and abs(value) > _JS_SAFE_INT:
        return marker("int", value=str(value))
    return value


def _bytes_apart(value: Json) -> int:
    """Bytes of what `value` holds by reference only."""
    if isinstance(value, dict):
        if value.get(MARK) == "ref" and isinstance(value.get("n_bytes"), int):
            return int(value["n_bytes"])
        return sum(_bytes_apart(item) for item in value.values())
    return sum(_bytes_apart(item) for item in value) if isinstance(value, list) else 0


def _is_partial(value: Json) -> bool:
    if isinstance(value, dict):
        return value.get(MARK) in ("cut", "ref", "list") or any(_is_partial(item) for item in value.values())
    return isinstance(value, list) and any(_is_partial(item) for item in value)
