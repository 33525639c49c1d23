"""One way to write any Python value as JSON bytes, and to read it back.

JSON values are written as they are: UTF-8, sorted keys, no spaces. What JSON cannot hold is never dropped: it becomes a
*marker*, a JSON object whose key `$ftnb` names what it stands for.

    {"$ftnb": "int", "value": "123…"}          an integer beyond 64 bits
    {"$ftnb": "float", "value": "nan"}         nan, inf, -inf
    {"$ftnb": "str", "ascii": "\\\\ud800"}       text with lone surrogates, JSON-escaped
    {"$ftnb": "bytes", "base64": "…"}
    {"$ftnb": "tuple" | "set" | "frozenset", "items": […]}
    {"$ftnb": "dict", "items": [[k, v], …]}    keys that are no strings, or a key `$ftnb` in the user's own data
    {"$ftnb": "datetime" | "date" | "time" | "timedelta" | "uuid" | "decimal", "value": "…"}
    {"$ftnb": "object", "type": "…", "data" | "text": …}      anything else: what could be said about it
    {"$ftnb": "cut", "why": "depth" | "cycle" | "width", …}   a part that was left out, and why
    {"$ftnb": "redacted", "why": "…"}          what a rule of `redact` took out

All but the last three come back equal to what was given (`loads`); those come back as `Marked`, the marker with its
fields as attributes. Cycles, depth and hostile objects are bounded, so `dumps` never raises.
"""

from __future__ import annotations

import base64
import datetime as dt
import json
import math
from collections.abc import Callable, Iterable, Mapping
from decimal import Decimal
from enum import Enum
from typing import Any
from uuid import UUID

import orjson

from ._describe import MAX_TEXT, as_data, plain, safe_repr, type_name
from ._lasting import Lasting
from .marked import MARK as MARK
from .marked import Marked

MAX_DEPTH = 100
"""Levels of JSON past which containers are cut; orjson itself stops at 254."""
MAX_NODES = 1_000_000
"""Values in one document; the rest is cut. A small structure that shares its parts can stand for billions."""
MAX_QUICK_NODES = 100_000

_INT64 = 1 << 63
_OPTIONS = orjson.OPT_SORT_KEYS | orjson.OPT_PASSTHROUGH_DATACLASS | orjson.OPT_PASSTHROUGH_SUBCLASS
_OPTIONS |= orjson.OPT_PASSTHROUGH_DATETIME

Json = Any
"""A value made of None, bool, int, float, str, list and dict with text keys."""


class Made:
    """A part of a value that is canonical JSON already, and that nobody looks into again."""

    __slots__ = ("json", "stored")

    def __init__(self, json: Json) -> None:
        self.json = json
        self.stored: Any = None
        """What `store.blobs` made of it."""


def dumps(value: Any) -> bytes:
    """`value` as canonical JSON bytes. Never raises."""
    return encode_json(to_json(value))


def loads(data: bytes | str) -> Any:
    """The value that `dumps` was given: markers of plain Python types are turned back, others stay dicts."""
    return from_json(orjson.loads(data))


def encode_json(value: Json) -> bytes:
    """JSON bytes of a value that already is JSON (see `to_json`)."""
    return orjson.dumps(value, _lasting_json, _OPTIONS)


def _lasting_json(value: Any) -> orjson.Fragment:
    """What orjson asks for where it finds no plain JSON."""
    if type(value) is not Lasting:
        raise TypeError(f"no JSON: {type_name(value)}")
    if value.data is None:
        value.data = encode_json(dict(value))
    return orjson.Fragment(value.data)


def to_json(value: Any) -> Json:
    """`value` with everything that JSON cannot hold replaced by markers; `value` itself where nothing has to be.

    Never raises, and does not change `value`.
    """
    try:
        if _is_json(value):
            return value
    except RuntimeError:  # another thread changes it while we look; the walk below copies first
        pass
    return _Walker().walk(value, 0)


def _is_json(value: Any) -> bool:
    """Whether `value` is plain JSON already: the common case, and several times cheaper to see than to walk."""
    todo: list[tuple[Iterable[Any], int]] = [((value,), 0)]
    """Values, and how many containers they are in."""
    n_nodes = 0
    lasting: list[Lasting] = []
    while todo:
        items, depth = todo.pop()
        if depth > MAX_DEPTH or n_nodes > MAX_QUICK_NODES:
            return False
        for item in items:
            kind = type(item)
            if kind is str:
                if not (item.isascii() or is_clean(item)):
                    return False
                continue
            n_nodes += 1
            if kind is int:
                if not -_INT64 <= item < _INT64:
                    return False
            elif kind is float:
                if not math.isfinite(item):
                    return False
            elif kind is dict:
                for key in item:
                    if type(key) is not str or key == MARK or not (key.isascii() or is_clean(key)):
                        return False
                todo.append((item.values(), depth + 1))
            elif kind is list:
                todo.append((item, depth + 1))
            elif kind is Lasting:
                if not item.is_json:
                    lasting.append(item)
                    todo.append(((dict(item),), depth))
            elif item is not None and kind is not bool and kind is not Made:
                return False
    for item in lasting:
        item.is_json = True
    return True


def from_json(value: Json, resolve: Callable[[dict[str, Json]], Any] | None = None) -> Any:
    """Turn markers of plain Python types back into those types; other markers become `Marked`.

    `resolve` is given each `ref`, `list` and `media` marker (see `store.blobs`) and returns what it stands for.
    """
    if isinstance(value, list):
        return [from_json(item, resolve) for item in value]
    if not isinstance(value, dict):
        return value
    kind = value.get(MARK)
    if kind is None:
        return {key: from_json(item, resolve) for key, item in value.items()}
    if kind in ("ref", "list", "media") and resolve is not None:
        return resolve(value)
    restored = {key: from_json(item, resolve) if key != MARK else item for key, item in value.items()}
    restore = _RESTORE.get(kind) if isinstance(kind, str) else None
    if restore is None:
        return Marked(restored) if kind in _LASTING else restored
    try:
        return restore(restored)
    except (KeyError, ValueError, TypeError, ArithmeticError):  # damaged, or a set of what cannot be in one
        return Marked(restored)


def marker(kind: str, **fields: Json) -> dict[str, Json]:
    """A marker of `kind`; `fields` must be JSON."""
    return {MARK: kind, **fields}


class _Walker:
    """One walk over one value; remembers the containers on the way down, to see cycles."""

    def __init__(self) -> None:
        self._open: set[int] = set()
        self._n_nodes = 0

    def walk(self, value: Any, depth: int) -> Json:
        """`value` as JSON, at `depth` levels below the top."""
        kind = type(value)
        self._n_nodes += 1
        if value is None or kind is bool or kind is Made:
            return value
        if kind is Lasting:
            return value if value.is_json else self.walk(dict(value), depth)
        if kind is str:
            return _text(value)
        if kind is int:
            return value if -_INT64 <= value < _INT64 else marker("int", value=_digits(value))
        if kind is float:
            return value if math.isfinite(value) else marker("float", value=repr(value))
        try:
            if kind in _CONTAINERS:
                return self._container(value, depth)
            return self._other(value, depth)
        except Exception:  # hostile, or changed by another thread while we look
            return _opaque(value)

    def _other(self, value: Any, depth: int) -> Json:
        if type(value) is Marked:
            return self._inside(value, depth, lambda: {key: self.walk(item, depth + 1) for key, item in value.items()})
        if isinstance(value, Enum) and not isinstance(value, (str, int)):
            return marker("object", type=type_name(value), text=_text(str(value)), data=self._enum(value, depth))
        for known, convert in _CONVERT:
            if isinstance(value, known):
                return convert(value)
        twin = plain(value)
        if twin is not value:
            return self.walk(twin, depth)
        return self._inside(value, depth, lambda: self._object(value, depth))

    def _enum(self, value: Enum, depth: int) -> Json:
        return {"name": _text(value.name), "value": self.walk(value.value, depth + 2)}

    def _container(self, value: Any, depth: int) -> Json:
        kind = type(value)
        if kind is dict:
            return self._inside(value, depth, lambda: self._dict(value, depth))
        below = depth + (1 if kind is list else 2)
        items = self._inside(value, depth, lambda: [self.walk(item, below) for item in _ordered(value)])
        return items if kind is list or isinstance(items, dict) else marker(kind.__name__, items=items)

    def _inside(self, value: Any, depth: int, look: Callable[[], Json]) -> Json:
        """What `look` makes of the parts of `value`, unless it is too deep, too much, or part of itself."""
        why = "depth" if depth >= MAX_DEPTH else "width" if self._n_nodes > MAX_NODES else None
        if id(value) in self._open:
            why = why or "cycle"
        if why is not None:
            n = {"n": len(value)} if type(value) in _CONTAINERS else {}
            return marker("cut", why=why, type=type_name(value), **n)
        self._open.add(id(value))
        try:
            return look()
        finally:
            self._open.discard(id(value))

    def _dict(self, value: Mapping[Any, Any], depth: int) -> Json:
        # list(): another thread may be adding keys while we look.
        pairs = list(value.items())
        if all(type(key) is str and is_clean(key) for key, _ in pairs) and MARK not in value:
            return {key: self.walk(item, depth + 1) for key, item in pairs}
        return marker("dict", items=[[self.walk(key, depth + 3), self.walk(item, depth + 3)] for key, item in pairs])

    def _object(self, value: Any, depth: int) -> Json:
        """Objects that know how to become data, then a description of those that do not."""
        data = as_data(value)
        if data is None:
            return _opaque(value)
        return marker("object", type=type_name(value), data=self.walk(data, depth + 1))


def _ordered(value: Any) -> Any:
    if not isinstance(value, (set, frozenset)):
        return list(value)
    try:
        return sorted(value)
    except Exception:  # parts that cannot be compared
        return sorted(value, key=safe_repr)


def _opaque(value: Any) -> Json:
    return marker("object", type=type_name(value), text=_text(safe_repr(value)))


def _error(value: BaseException) -> Json:
    return marker("object", type=type_name(value), text=_text(f"{type(value).__name__}: {value}"[:MAX_TEXT]))


def _digits(value: int) -> str:
    try:
        return str(value)
    except ValueError:  # beyond sys.int_info's digit limit
        return hex(value)


def is_clean(text: str) -> bool:
    """Whether UTF-8 can hold `text`: it has no lone surrogates."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _text(value: str) -> Json:
    return value if value.isascii() or is_clean(value) else marker("str", ascii=json.dumps(value)[1:-1])


_CONTAINERS = frozenset((dict, list, tuple, set, frozenset))
_LASTING = frozenset(("object", "cut", "redacted", "withheld", "media"))
"""Markers that no plain Python value stands behind."""
_CONVERT: list[tuple[type | tuple[type, ...], Callable[[Any], Json]]] = [
    (Enum, lambda v: to_json(v.value)),  # of text or numbers: as these they are used
    (dt.datetime, lambda v: marker("datetime", value=v.isoformat())),
    (dt.date, lambda v: marker("date", value=v.isoformat())),
    (dt.time, lambda v: marker("time", value=v.isoformat())),
    (dt.timedelta, lambda v: marker("timedelta", value=[v.days, v.seconds, v.microseconds])),
    (UUID, lambda v: marker("uuid", value=str(v))),
    (Decimal, lambda v: marker("decimal", value=str(v))),
    ((bytes, bytearray, memoryview), lambda v: marker("bytes", base64=base64.b64encode(bytes(v)).decode())),
    (BaseException, _error),
]

# Each takes a marker whose fields are restored already.
_RESTORE: dict[str, Callable[[dict[str, Any]], Any]] = {
    "int": lambda m: int(m["value"], 0) if "x" in m["value"] else int(m["value"]),
    "float": lambda m: float(m["value"]),
    "str": lambda m: json.loads(f'"{m["ascii"]}"'),
    "bytes": lambda m: base64.b64decode(m["base64"]),
    "tuple": lambda m: tuple(m["items"]),
    "set": lambda m: set(m["items"]),
    "frozenset": lambda m: frozenset(m["items"]),
    "dict": lambda m: dict(m["items"]),
    "datetime": lambda m: dt.datetime.fromisoformat(m["value"]),
    "date": lambda m: dt.date.fromisoformat(m["value"]),
    "time": lambda m: dt.time.fromisoformat(m["value"]),
    "timedelta": lambda m: dt.timedelta(*m["value"]),
    "uuid": lambda m: UUID(m["value"]),
    "decimal": lambda m: Decimal(m["value"]),
}
