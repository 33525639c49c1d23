"""Text in recorded values, one engagement after another: nothing but the engagement at hand is in memory.

Values are held by reference (`store.blobs`), and one message stands in the state of every step after it. So a value is
told once, where it came first: at the step that wrote it, not at all those that had it in their state.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, Literal, get_args

import orjson

from ..core.canonical import MARK
from ..core.errors import InvalidArgumentError
from ..core.ids import from_us
from ..store.base import LogStore
from ..store.parquet_export import ParquetExport

if TYPE_CHECKING:
    import pyarrow as pa

Where = Literal[
    "input", "output", "messages", "tool_args", "tool_result", "error", "extraction", "log", "metadata", "note"
]
WHERE: tuple[Where, ...] = get_args(Where)
_TYPES = (
    "engagement_started", "engagement_labelled", "step_started", "event_recorded", "extraction_recorded", "step_ended",
    "engagement_ended", "annotation_recorded",
)  # fmt: skip
_COLUMNS = ("seq", "type", "step_id", "kind", "name", "at_us", "body")
_AROUND = 60
_BLOB_ID = re.compile(rb"[A-Za-z0-9_-]{43}")
_ARGS = frozenset({"args", "arguments", "input", "kwargs", "tool_input"})
_REPEATED = frozenset({"input", "messages"})
"""What is handed on from step to step: a text that stood elsewhere before is no news there."""


@dataclass(frozen=True, slots=True)
class Hit:
    """One value that holds the text."""

    engagement_id: str
    step_id: str | None
    """None: it belongs to the engagement as a whole."""
    step_name: str | None
    where: Where
    path: str
    """Where in the value, as `messages[3].content`."""
    before: str
    match: str
    after: str
    at: datetime

    @property
    def excerpt(self) -> str:
        """The text with what stands around it, on one line."""
        return f"{self.before}{self.match}{self.after}"


class Needle:
    """What is looked for. Upper and lower case are the same unless `case`."""

    def __init__(self, text: str, *, case: bool = False) -> None:
        """Raises InvalidArgumentError for an empty text."""
        if not text.strip():
            raise InvalidArgumentError(f"search looks for a text that is not empty; got {text!r}")
        self.text, self._case = text, case
        self._pattern = re.compile(re.escape(text), 0 if case else re.IGNORECASE)
        written = orjson.dumps(text)[1:-1].decode()
        self._ascii = text.isascii()
        self._raw = (written if case else written.lower()).encode()

    def maybe_in(self, data: bytes) -> bool:
        """Whether JSON text may hold it; cheap."""
        if self._case:
            return self._raw in data
        if self._ascii:
            return self._raw in data.lower()
        return self._raw.decode() in data.decode(errors="replace").lower()

    def find(self, text: str) -> tuple[str, str, str] | None:
        """What stands before it, itself, and what follows; on one line. None: it is not there."""
        found = self._pattern.search(text)
        if found is None:
            return None
        begin, end = max(found.start() - _AROUND, 0), found.end() + _AROUND
        before, after = _line(text[begin : found.start()]), _line(text[found.end() : end])
        return ("…" if begin else "") + before, _line(found[0]), after + ("…" if end < len(text) else "")


def checked_where(in_: str | Iterable[str] | None) -> frozenset[str]:
    """Raises InvalidArgumentError for a place that is none of `WHERE`."""
    asked = WHERE if in_ is None else (in_,) if isinstance(in_, str) else tuple(in_)
    unknown = [one for one in asked if one not in WHERE]
    if unknown or not asked:
        what = f"no place {unknown[0]!r} to search in" if unknown else "no place to search in"
        raise InvalidArgumentError(f"{what}; places: {', '.join(WHERE)}")
    return frozenset(asked)


Read = Callable[[str], tuple["pa.Table", Mapping[str, bytes]]]
"""The searched columns of an engagement's records, and its blobs."""


def reader_of(store: LogStore) -> Read:
    """How engagements of `store` are read one by one: where they lie, or, of files without an index, all at once."""
    if isinstance(getattr(store, "whole", store), ParquetExport):
        return _read_whole(store)

    def read(engagement_id: str) -> tuple[pa.Table, Mapping[str, bytes]]:
        return store.scan(_COLUMNS, types=_TYPES, engagement_id=engagement_id), store.blobs_of(engagement_id)

    return read


def _read_whole(store: LogStore) -> Read:
    table = store.scan((*_COLUMNS, "engagement_id"), types=_TYPES)
    places: dict[str, list[int]] = {}
    for at, owner in enumerate(table["engagement_id"].to_pylist()):
        places.setdefault(str(owner), []).append(at)
    blobs: dict[str, dict[str, bytes]] = {}
    held = store.scan_blobs()
    names = ("engagement_id", "blob_id", "data")
    for owner, blob_id, data in zip(*(held[name].to_pylist() for name in names), strict=True):
        blobs.setdefault(owner, {})[blob_id] = data
    return lambda engagement_id: (table.take(places.get(engagement_id, [])), blobs.get(engagement_id, {}))


def search_engagement(read: Read, engagement_id: str, needle: Needle, places: frozenset[str]) -> Iterator[Hit]:
    """The values of one engagement that hold the text, in the order of the log."""
    table, blobs = read(engagement_id)
    bodies = [body or b"" for body in table["body"].to_pylist()]
    leading = _leading(blobs, needle)
    direct = [needle.maybe_in(body) for body in bodies]
    if not leading and not any(direct):
        return
    rows = table.drop_columns(["body"]).to_pylist()
    names = {row["step_id"]: row["name"] for row in rows if row["type"] == "step_started"}
    walk = _Walk(needle, blobs, leading)
    for row, body, is_direct in zip(rows, bodies, direct, strict=True):
        if not is_direct and not (leading and not leading.isdisjoint(_ids_in(body))):
            continue
        step_id, at = row["step_id"], from_us(row["at_us"])
        for where, key, value in _fields(row, body, blobs):
            if where in places:
                for path, found in walk.strings(value, key, where, step_id):
                    yield Hit(engagement_id, step_id, names.get(step_id), where, path, *found, at)


def _leading(blobs: Mapping[str, bytes], needle: Needle) -> set[str]:
    """Blobs that hold the text, and all that lead to one of them."""
    found = {blob_id for blob_id, data in blobs.items() if needle.maybe_in(data)}
    if not found:
        return found
    holders: dict[str, list[str]] = {}
    for blob_id, data in blobs.items():
        for inner in _ids_in(data):
            if inner in blobs:
                holders.setdefault(inner, []).append(blob_id)
    open_ = list(found)
    while open_:
        for holder in holders.get(open_.pop(), ()):
            if holder not in found:
                found.add(holder)
                open_.append(holder)
    return found


def _ids_in(data: bytes) -> Iterator[str]:
    return (one.decode() for one in _BLOB_ID.findall(data))


class _Walk:
    """Goes through the values of one engagement, and tells each text once."""

    def __init__(self, needle: Needle, blobs: Mapping[str, bytes], leading: set[str]) -> None:
        self._needle, self._blobs, self._leading = needle, blobs, leading
        self._walked: set[str] = set()
        self._told: set[Any] = set()
        self._texts: set[str] = set()

    def strings(
        self, value: Any, path: str, where: Where, step_id: str | None
    ) -> Iterator[tuple[str, tuple[str, str, str]]]:
        """Path and surroundings of each text in `value` that holds the needle."""
        stack: list[tuple[Any, str]] = [(value, path)]
        while stack:
            one, at = stack.pop()
            if isinstance(one, str) and one in self._leading:
                stack += self._opened(one, at)
            elif isinstance(one, str) or (isinstance(one, int | float) and not isinstance(one, bool)):
                text = str(one)
                found = self._needle.find(text)
                if found is not None and self._is_news(text, where, step_id):
                    yield at, found
            elif isinstance(one, dict):
                stack += self._entries(one, at)
            elif isinstance(one, list):
                stack += [(item, f"{at}[{n}]") for n, item in enumerate(one)][::-1]

    def _entries(self, value: dict[str, Any], at: str) -> list[tuple[Any, str]]:
        kind = value.get(MARK)
        if kind == "ref":
            return [(value.get("id"), at)]
        if kind == "list":
            return [([*value.get("chunks", []), *value.get("tail", [])], at)]
        if kind is not None:
            kept = [(value[key], at) for key in ("data", "text", "value", "items") if key in value]
            return kept[::-1]
        return [(item, f"{at}.{key}" if at else key) for key, item in value.items()][::-1]

    def _opened(self, blob_id: str, at: str) -> list[tuple[Any, str]]:
        if blob_id in self._walked:
            return []
        self._walked.add(blob_id)
        try:
            return [(orjson.loads(self._blobs[blob_id]), at)]
        except ValueError:  # bytes of a picture or a file
            return []

    def _is_news(self, text: str, where: Where, step_id: str | None) -> bool:
        # What a model just said is most often what its step returns.
        place = "messages" if where == "output" else where
        key = (place, step_id, text)
        if key in self._told or (where in _REPEATED and text in self._texts):
            return False
        self._told.add(key)
        self._texts.add(text)
        return True


def _fields(row: Mapping[str, Any], body: bytes, blobs: Mapping[str, bytes]) -> Iterator[tuple[Where, str, Any]]:
    """Where each searched entry of a body counts to, what its paths begin with, and its value."""
    try:
        parsed = orjson.loads(body)
    except ValueError:
        return
    if not isinstance(parsed, dict):
        return
    kind = row["kind"]
    for key, value in parsed.items():
        if key in ("@state", "state"):
            yield "input", "", value
        elif key in ("@update", "update"):
            yield "output", "", value
        elif key == "@extraction":
            yield "extraction", "", value.get("values") if isinstance(value, dict) and MARK not in value else value
        elif key in ("error", "metadata", "note"):
            yield key, "", value
        elif key == "@payload" and kind == "tool_call":
            whole = _tool_payload(value, blobs)
            for name, part in whole.items():
                yield ("tool_args" if name in _ARGS else "tool_result"), name, part
        elif key == "@payload" and kind != "extraction":
            yield _PAYLOADS.get(kind, "log"), "", value


_PAYLOADS: dict[str, Where] = {"llm_call": "messages", "error": "error"}


def _tool_payload(value: Any, blobs: Mapping[str, bytes]) -> dict[str, Any]:
    """Arguments and result apart, also where the whole of them is one blob."""
    if isinstance(value, dict) and value.get(MARK) == "ref":
        try:
            value = orjson.loads(blobs.get(str(value.get("id")), b"null"))
        except ValueError:
            value = None
    return value if isinstance(value, dict) and MARK not in value else {"": value}


def _line(text: str) -> str:
    return " ".join(f"|{text}|".split())[1:-1]
