"""What can be said of an object that is no JSON, without running more of its code than must be.

Nothing here iterates what may be consumed, collects what is lazy, or calls `repr` on what is large.
"""

from __future__ import annotations

import io
import math
import re
from collections import OrderedDict, deque
from collections.abc import Callable, Mapping
from hashlib import blake2b
from itertools import islice
from typing import Any

MAX_TEXT = 2_000
"""Characters kept of the text form of an object that is no data."""
MAX_ARRAY = 4_096
"""Elements of an array that is kept whole; of a larger one, shape, dtype and the first elements are."""
MAX_ENTRIES = 10_000
"""Entries taken from an object that only says that it is a mapping or a sequence: it may have no end."""
MAX_COLUMNS = 100
MAX_PIXELS = 8_000_000
"""Pixels of an image that is kept whole; of a larger one, a thumbnail is."""
_HEAD = 5
_ARRAY_HEAD = 20
_ADDRESS = re.compile(r" at 0x[0-9A-Fa-f]+")


def type_name(value: Any) -> str:
    """The qualified name of its class, without the module."""
    kind = type(value)
    try:
        return str(kind.__qualname__)
    except Exception:  # a metaclass of somebody's own
        return "object"


def safe_repr(value: Any) -> str:
    """`repr(value)` without addresses, which say nothing later and differ each time; cut when long."""
    try:
        text = _ADDRESS.sub("", repr(value))
    except Exception as error:
        return f"<its repr raised {type(error).__name__}>"
    return text if len(text) <= MAX_TEXT else text[:MAX_TEXT] + f"… ({len(text)} characters)"


def plain(value: Any) -> Any:
    """The plain twin of an instance of a subclass of a plain type, and of a numpy scalar; `value` if there is none.

    The base class does the work: a subclass may override what iterates, and never end.
    """
    for base, convert in _PLAIN:
        if isinstance(value, base):
            return convert(value)
    kind = type(value)
    if hasattr(kind, "dtype") and hasattr(kind, "item") and getattr(value, "shape", None) == ():
        item = value.item()
        return item if type(item) in (bool, int, float, str) else value
    return value


def as_data(value: Any) -> Any:
    """The data inside `value`, for types that publish it; None for the others. May raise."""
    kind = type(value)
    if isinstance(value, type):
        return None
    known = _library(kind)
    if known is not None:
        return known(value)
    if hasattr(kind, "model_dump"):
        data = _dumped(value)
        return None if type(data) is kind else data
    for names in ("__dataclass_fields__", "__fields__"):
        if isinstance(fields := getattr(kind, names, None), Mapping):
            return {name: getattr(value, name, None) for name in fields}
    if isinstance(attrs := getattr(kind, "__attrs_attrs__", None), tuple):
        return {field.name: getattr(value, field.name, None) for field in attrs}
    if isinstance(value, tuple):
        return dict(zip(kind._fields, value, strict=False)) if hasattr(kind, "_fields") else tuple(value)
    if isinstance(value, deque):
        return list(islice(deque.__iter__(value), MAX_ENTRIES))
    if isinstance(value, Mapping):
        return {key: value[key] for key in islice(value, MAX_ENTRIES)}
    if hasattr(kind, "tolist") and hasattr(kind, "dtype"):
        return _array(value)
    return None


def _dumped(value: Any) -> Any:
    try:
        # A dump that warns would warn on the screen of somebody who did not ask for it.
        return value.model_dump(warnings=False)
    except TypeError:
        return value.model_dump()


def _library(kind: type) -> Callable[[Any], Any] | None:
    """What describes a dataframe, by the library that its class, or a base of it, comes from."""
    for base in kind.__mro__:
        found = _LIBRARIES.get((base.__module__.partition(".")[0], base.__name__))
        if found is not None:
            return found
    return None


def _pandas(frame: Any) -> dict[str, Any]:
    some = frame.iloc[:_HEAD, :MAX_COLUMNS]
    names = [str(name) for name in some.columns]
    return _frame(frame.shape, dict(zip(names, map(str, some.dtypes), strict=False)), some.to_dict("records"))


def _pandas_series(series: Any) -> dict[str, Any]:
    return {"name": series.name, **_frame(series.shape, str(series.dtype), series.iloc[:_HEAD].tolist())}


def _polars(frame: Any) -> dict[str, Any]:
    some = frame[:_HEAD, :MAX_COLUMNS]
    return _frame(frame.shape, {name: str(dtype) for name, dtype in some.schema.items()}, some.to_dicts())


def _polars_series(series: Any) -> dict[str, Any]:
    return {"name": series.name, **_frame((len(series),), str(series.dtype), series.head(_HEAD).to_list())}


def _arrow(table: Any) -> dict[str, Any]:
    some = table.slice(0, _HEAD).select(list(range(min(table.num_columns, MAX_COLUMNS))))
    dtypes = {field.name: str(field.type) for field in some.schema}
    return _frame((table.num_rows, table.num_columns), dtypes, some.to_pylist())


def _frame(shape: Any, dtypes: Any, head: Any) -> dict[str, Any]:
    return {"shape": list(shape), "dtypes": dtypes, "head": head}


def _lazy(_: Any) -> dict[str, Any]:
    return {"lazy": True, "note": "not collected"}


def _array(value: Any) -> Any:
    shape = tuple(value.shape)
    if math.prod(shape) <= MAX_ARRAY:
        return value.tolist()
    flat = getattr(value, "flat", None)
    head = (flat[:_ARRAY_HEAD] if flat is not None else value.reshape(-1)[:_ARRAY_HEAD]).tolist()
    return {"shape": list(shape), "dtype": str(value.dtype), "head": head}


def _image(image: Any) -> dict[str, Any]:
    """A PIL image as PNG. The same pixels are packed once: a state carries its images from step to step."""
    width, height = image.size
    about = {"mode": image.mode, "size": [width, height]}
    kept, key = image, "image"
    if width * height > MAX_PIXELS:
        kept, key = image.copy(), "thumbnail"
        kept.thumbnail((1024, 1024))
    pixels = kept.tobytes()
    digest = blake2b(repr((kept.mode, kept.size)).encode() + pixels, digest_size=16).digest()
    data = _packed.get(digest)
    if data is None:
        file = io.BytesIO()
        (kept if kept.mode in _PNG_MODES else kept.convert("RGB")).save(file, "PNG", compress_level=1)
        data = _packed[digest] = file.getvalue()
        while len(_packed) > 1 and (len(_packed) > 16 or sum(map(len, list(_packed.values()))) > 32_000_000):
            _packed.popitem(last=False)
    return {**about, key: data}


_PNG_MODES = {"1", "L", "LA", "I", "P", "RGB", "RGBA"}
_packed: OrderedDict[bytes, bytes] = OrderedDict()
_LIBRARIES: dict[tuple[str, str], Callable[[Any], Any]] = {
    ("pandas", "DataFrame"): _pandas,
    ("pandas", "Series"): _pandas_series,
    ("polars", "DataFrame"): _polars,
    ("polars", "Series"): _polars_series,
    ("polars", "LazyFrame"): _lazy,
    ("pyarrow", "Table"): _arrow,
    ("pyarrow", "RecordBatch"): _arrow,
    ("PIL", "Image"): _image,
}
_PLAIN: tuple[tuple[type, Callable[[Any], Any]], ...] = (
    (dict, lambda v: dict(dict.items(v))),
    (list, lambda v: [*list.__iter__(v)]),
    (set, set.copy),
    (frozenset, lambda v: frozenset(frozenset.__iter__(v))),
    (str, str.__str__),
    (int, int.__int__),
    (float, float.__float__),
    (tuple, lambda v: v if hasattr(type(v), "_fields") else (*tuple.__iter__(v),)),
)
