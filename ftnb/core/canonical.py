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
    {"$ftnb": "object", "type": "…", …}        anything else: what could be said about it
    {"$ftnb": "cut", "why": "depth" | "cycle" | "width", …}   a part that was left out, and why

All but the last two come back equal to what was given (`loads`). Cycles, depth and hostile `__repr__`s are bounded, so
`dumps` never raises.
"""

from __future__ import annotations

import base64
import datetime as dt
import json
import math
from collections.abc import Callable, Mapping
from decimal import Decimal
from enum import Enum
from typing import Any
from uuid import UUID

import orjson

MARK = "$ftnb"
MAX_DEPTH = 100
"""Containers nested deeper than this are cut; orjson itself stops at 254."""
MAX_NODES = 1_000_000
"""Values in one document; the rest is cut. A small structure that shares its parts can stand for billions."""
MAX_TEXT_OF_OBJECT = 2_000
"""Characters kept of the text form of an object that is no data."""

_PLAIN_TYPES: tuple[type[Any], ...] = (dict, list, set, frozenset, str, int, float)
_MAX_QUICK_NODES = 100_000
_INT64 = 1 << 63
_OPTIONS = orjson.OPT_SORT_KEYS | orjson.OPT_PASSTHROUGH_DATACLASS | orjson.OPT_PASSTHROUGH_SUBCLASS
_OPTIONS |= orjson.OPT_PASSTHROUGH_DATETIME

Json = Any
"""A value made of None, bool, int, float, str, list and dict with text keys."""


def dumps(value: Any) -> bytes:
    """`value` as canonical JSON bytes. Never raises."""
    return encode_json(to_json(value))


def loads(data: bytes | str) -> Any:
    """The value that `dumps` was given: markers of plain Python types are turned back, others stay dicts."""
    return from_json(orjson.loads(data))


def encode_json(value: Json) -> bytes:
    """JSON bytes of a value that already is JSON (see `to_json`)."""
    return orjson.dumps(value, option=_OPTIONS)


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
    todo: list[tuple[Any, int]] = [(value, 0)]
    n_nodes = 0
    while todo:
        item, depth = todo.pop()
        n_nodes += 1
        kind = type(item)
        if kind is str:
            if not (item.isascii() or _is_clean(item)):
                return False
        elif kind is int:
            if not -_INT64 <= item < _INT64:
                return False
        elif kind is float:
            if not math.isfinite(item):
                return False
        elif kind is dict or kind is list:
            if depth >= MAX_DEPTH or n_nodes > _MAX_QUICK_NODES:
                return False
            inner = item
            if kind is dict:
                if not all(type(key) is str and key != MARK and (key.isascii() or _is_clean(key)) for key in item):
                    return False
                inner = item.values()
            todo += [(part, depth + 1) for part in inner if not (type(part) is str and part.isascii())]
        elif item is not None and kind is not bool:
            return False
    return True


def from_json(value: Json, resolve: Callable[[dict[str, Json]], Any] | None = None) -> Any:
    """Turn markers of plain Python types back into those types; other markers stay as they are.

    `resolve` is given each `ref` and `list` marker (see `store.blobs`) and returns what it stands for.
    """
    if isinstance(value, list):
        return [from_json(item, resolve) for item in value]
    if not isinstance(value, dict):
        return value
    kind = value.get(MARK)
    if kind is None:
        return {key: from_json(item, resolve) for key, item in value.items()}
    if kind in ("ref", "list") and resolve is not None:
        return resolve(value)
    restored = {key: from_json(item, resolve) if key != MARK else item for key, item in value.items()}
    restore = _RESTORE.get(kind) if isinstance(kind, str) else None
    if restore is None:
        return restored
    try:
        return restore(restored)
    except (KeyError, ValueError, TypeError, ArithmeticError):
        return restored


def marker(kind: str, **fields: Json) -> dict[str, Json]:
    """A marker of `kind`; `fields` must be JSON."""
    return {MARK: kind, **fields}


class _Walker:
    """One walk over one value; remembers the containers on the way down, to see cycles."""

    def __init__(self) -> None:
        self._open: set[int] = set()
        self._n_nodes = 0

    def walk(self, value: Any, depth: int) -> Json:
        kind = type(value)
        self._n_nodes += 1
        if value is None or kind is bool:
            return value
        if kind is str:
            return _text(value)
        if kind is int:
            return value if -_INT64 <= value < _INT64 else marker("int", value=_digits(value))
        if kind is float:
            return value if math.isfinite(value) else marker("float", value=repr(value))
        if kind in (dict, list, tuple, set, frozenset):
            return self._container(value, depth)
        for known, convert in _CONVERT:
            if isinstance(value, known):
                try:
                    return convert(value)
                except Exception:
                    return _opaque(value)
        plain = _plain(value)
        return self.walk(plain, depth) if plain is not value else self._object(value, depth)

    def _container(self, value: Any, depth: int) -> Json:
        if depth >= MAX_DEPTH or self._n_nodes > MAX_NODES:
            why = "depth" if depth >= MAX_DEPTH else "width"
            return marker("cut", why=why, type=type(value).__name__, n=len(value))
        if id(value) in self._open:
            return marker("cut", why="cycle", type=type(value).__name__, n=len(value))
        self._open.add(id(value))
        try:
            if isinstance(value, dict):
                return self._dict(value, depth)
            items = [self.walk(item, depth + 1) for item in _ordered(value)]
            return items if isinstance(value, list) else marker(type(value).__name__, items=items)
        finally:
            self._open.discard(id(value))

    def _dict(self, value: Mapping[Any, Any], depth: int) -> Json:
        # list(): another thread may be adding keys while we look.
        pairs = list(value.items())
        if all(type(key) is str and _is_clean(key) for key, _ in pairs) and MARK not in value:
            return {key: self.walk(item, depth + 1) for key, item in pairs}
        return marker("dict", items=[[self.walk(key, depth + 1), self.walk(item, depth + 1)] for key, item in pairs])

    def _object(self, value: Any, depth: int) -> Json:
        """Objects that know how to become data, then a description of those that do not."""
        if depth >= MAX_DEPTH or id(value) in self._open:
            return marker("cut", why="depth" if depth >= MAX_DEPTH else "cycle", type=_type_name(value))
        self._open.add(id(value))
        try:
            data = _as_data(value)
            if data is not None:
                return marker("object", type=_type_name(value), data=self.walk(data, depth + 1))
            return _opaque(value)
        except Exception:
            return _opaque(value)
        finally:
            self._open.discard(id(value))


def _ordered(value: Any) -> Any:
    if not isinstance(value, (set, frozenset)):
        return list(value)
    try:
        return sorted(value)
    except TypeError:
        return sorted(value, key=_safe_repr)


def _as_data(value: Any) -> Any:
    """The data inside `value`, for types that publish it; None for the others. May raise."""
    if isinstance(value, type) or (callable(value) and not hasattr(value, "model_dump")):
        return None
    frame = _frame_summary(value)
    if frame is not None:
        return frame
    if hasattr(value, "model_dump"):
        # mode="python" keeps SecretStr masked by its own str and leaves the rest to this walk.
        return value.model_dump()
    fields = getattr(type(value), "__dataclass_fields__", None)
    if fields is not None:
        return {name: getattr(value, name, None) for name in fields}
    if isinstance(value, tuple) and hasattr(value, "_asdict"):
        return value._asdict()
    if isinstance(value, Mapping):
        return dict(value)
    if hasattr(value, "tolist") and hasattr(value, "dtype") and getattr(value, "size", 0) <= 4096:
        return value.tolist()
    return None


def _plain(value: Any) -> Any:
    """The plain twin of an instance of a subclass (defaultdict, numpy.float64); `value` itself if there is none."""
    try:
        for base in _PLAIN_TYPES:
            if isinstance(value, base):
                return base(value)
        if isinstance(value, tuple) and not hasattr(value, "_asdict"):
            return tuple(value)
        if hasattr(value, "dtype") and getattr(value, "shape", None) == () and hasattr(value, "item"):
            item = value.item()
            return item if type(item) in (bool, int, float, str) else value
    except Exception:
        return value
    return value


def _frame_summary(value: Any) -> Any:
    """Shape, dtypes and head of a dataframe; None when `value` is none. A whole frame does not belong in a log."""
    if type(value).__name__ not in ("DataFrame", "LazyFrame", "Series") or not hasattr(value, "shape"):
        return None
    head = value.head(5)
    rows = head.to_dicts() if hasattr(head, "to_dicts") else head.to_dict()
    dtypes: Any = getattr(value, "schema", None) or getattr(value, "dtypes", None)
    named = {str(k): str(v) for k, v in dtypes.items()} if hasattr(dtypes, "items") else str(dtypes)
    return {"shape": list(value.shape), "dtypes": named, "head": rows}


def _opaque(value: Any) -> Json:
    return marker("object", type=_type_name(value), text=_text(_safe_repr(value)))


def _safe_repr(value: Any) -> str:
    try:
        text = repr(value)
    except Exception as error:
        return f"<its repr raised {type(error).__name__}>"
    return text if len(text) <= MAX_TEXT_OF_OBJECT else text[:MAX_TEXT_OF_OBJECT] + f"… ({len(text)} characters)"


def _type_name(value: Any) -> str:
    kind = type(value)
    return str(getattr(kind, "__qualname__", kind))


def _digits(value: int) -> str:
    try:
        return str(value)
    except ValueError:  # beyond sys.int_info's digit limit
        return hex(value)


def _is_clean(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _text(value: str) -> Json:
    return value if value.isascii() or _is_clean(value) else marker("str", ascii=json.dumps(value)[1:-1])


_CONVERT: list[tuple[type | tuple[type, ...], Callable[[Any], Json]]] = [
    (Enum, lambda v: to_json(v.value)),
    (dt.datetime, lambda v: marker("datetime", value=v.isoformat())),
    (dt.date, lambda v: marker("date", value=v.isoformat())),
    (dt.time, lambda v: marker("time", value=v.isoformat())),
    (dt.timedelta, lambda v: marker("timedelta", value=[v.days, v.seconds, v.microseconds])),
    (UUID, lambda v: marker("uuid", value=str(v))),
    (Decimal, lambda v: marker("decimal", value=str(v))),
    ((bytes, bytearray, memoryview), lambda v: marker("bytes", base64=base64.b64encode(bytes(v)).decode())),
    (
        BaseException,
        lambda v: marker("object", type=_type_name(v), text=_text(f"{type(v).__name__}: {v}"[:MAX_TEXT_OF_OBJECT])),
    ),
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
