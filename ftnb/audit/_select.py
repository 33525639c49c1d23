"""What somebody asks to withhold or redact, as the commitments and values that hold it.

An item is

    "email", "metadata.email"       an entry of the metadata
    "payload.answer.text"           a part of the payload of events; also of state, update and extraction
    "error"                         an entry of a body
    "step:search"                   all content of the steps of that name, or of that step id
    "header:names"                  a group of header columns: identity, names, timing, usage (profile `audit`)
    a blob id                       a value that is stored by itself
    (stream id, position)           the body of one record
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import orjson

from ..core.canonical import MARK
from ..core.errors import InvalidArgumentError
from ..store._fields import fields_of, path_of
from ..store.leaf import GROUPS, INDEX, Row, is_audit
from ._needed import needed

_STREAM, _N, _STEP, _NAME, _SALT, _BODY = (
    INDEX[name] for name in ("stream_id", "n", "step_id", "name", "salt", "body")
)
_PARTS = {
    "metadata": ("metadata",),
    "payload": ("@payload",),
    "state": ("@state", "state"),
    "update": ("@update", "update"),
    "extraction": ("@extraction",),
}
Place = tuple[str, int]
"""Stream and position of a record."""
Item = str | tuple[str, int]


@dataclass(slots=True)
class Selection:
    """Commitments of one engagement, or of several."""

    records: set[Place] = field(default_factory=set)
    """Of which the whole body is meant."""
    fields: dict[Place, set[str]] = field(default_factory=dict)
    """Paths of fields, of records of profile `audit`."""
    blobs: set[str] = field(default_factory=set)
    groups: set[str] = field(default_factory=set)
    """Groups of the header, of every record."""

    def add_field(self, row: Row, *keys: str) -> bool:
        """Add the field that these keys lead to, or the body that holds it; False: it is not there."""
        place = (row[_STREAM], row[_N])
        if not is_audit(row[_SALT]):
            self.records.add(place)
            return True
        there = {path for path, _ in fields_of(row[_BODY])}
        path = path_of(*keys[:2]) if path_of(*keys[:2]) in there else path_of(keys[0])
        if path in there:
            self.fields.setdefault(place, set()).add(path)
        return path in there

    def tuples(self) -> list[tuple[Any, ...]]:
        """The records and fields, as `store.redact` takes them."""
        whole: list[tuple[Any, ...]] = sorted(self.records)
        return whole + [(*place, sorted(paths)) for place, paths in sorted(self.fields.items())]

    def __bool__(self) -> bool:
        return bool(self.records or self.fields or self.blobs or self.groups)


def select(items: Iterable[Item], rows: Sequence[Row], blobs: Mapping[str, bytes]) -> Selection:
    """What `items` mean among these records and values. Raises InvalidArgumentError for one that means nothing."""
    if isinstance(items, str):
        items = [items]
    selection, bodies = Selection(), [(row, _body(row)) for row in rows if row[_BODY] is not None]
    for item in items:
        if not _select_one(item, selection, rows, bodies, blobs):
            raise InvalidArgumentError(f"nothing here is {item!r}; {_known(bodies)}")
    return selection


def _select_one(
    item: Any, selection: Selection, rows: Sequence[Row], bodies: Sequence[tuple[Row, Any]], blobs: Mapping[str, bytes]
) -> bool:
    if isinstance(item, (tuple, list)) and len(item) == 2:
        if any((row[_STREAM], row[_N]) == tuple(item) for row in rows):
            selection.records.add((item[0], item[1]))
            return True
        return False
    if not isinstance(item, str) or not item:
        return False
    if item in blobs:
        selection.blobs.add(item)
        return True
    kind, separator, rest = item.partition(":")
    if separator and kind == "header" and rest in GROUPS:
        if not all(is_audit(row[_SALT]) for row in rows):
            raise InvalidArgumentError(f"{item!r}: only records of profile audit can hide parts of their header")
        selection.groups.add(rest)
        return True
    if separator and kind == "step":
        return _select_step(rest, selection, rows)
    found = [_select_path(item, row, body, selection, blobs) for row, body in bodies]
    return any(found)


def _select_step(step: str, selection: Selection, rows: Sequence[Row]) -> bool:
    ids = {row[_STEP] for row in rows if row[_STEP] is not None and step in (row[_STEP], row[_NAME])}
    found = {(row[_STREAM], row[_N]) for row in rows if row[_STEP] in ids and row[_BODY] is not None}
    selection.records |= found
    return bool(found)


def _select_path(item: str, row: Row, body: Any, selection: Selection, blobs: Mapping[str, bytes]) -> bool:
    metadata = body.get("metadata")
    if isinstance(metadata, dict) and item in metadata:
        return selection.add_field(row, "metadata", item)
    if item in body:
        return selection.add_field(row, item)
    first, *keys = item.split(".")
    found = False
    for key in _PARTS.get(first, ()):
        if key in body:
            found = _walk(row, [key], body[key], keys, selection, blobs) or found
    return found


def _walk(
    row: Row, at: list[str], node: Any, keys: Sequence[str], selection: Selection, blobs: Mapping[str, bytes]
) -> bool:
    """Follow `keys` from `node`, through values stored by themselves; the innermost one that holds the end is meant."""
    holder: str | None = None
    left = list(keys)
    while True:
        if isinstance(node, dict) and node.get(MARK) == "ref" and node.get("id") in blobs:
            holder = str(node["id"])
            node = orjson.loads(blobs[holder])
            continue
        if isinstance(node, dict) and node.get(MARK) in ("list", "media"):
            chunks = {*map(str, node.get("chunks", ())), *([str(node["id"])] if "id" in node else ())}
            selection.blobs |= chunks & blobs.keys()
            break
        if not left:
            break
        if not isinstance(node, dict) or left[0] not in node:
            return False
        if holder is None:
            at = [*at, left[0]]
        node = node[left.pop(0)]
    if holder is not None:
        selection.blobs.add(holder)
        return True
    return selection.add_field(row, *at)


def with_children(selection: Selection, rows: Sequence[Row], blobs: Mapping[str, bytes]) -> Selection:
    """`selection`, with the values that nothing needs any more once it is gone."""
    left = {blob_id: data for blob_id, data in blobs.items() if blob_id not in selection.blobs}
    texts = [text.encode() for row in rows for text in _left_of(row, selection)]
    selection.blobs |= set(left) - needed(texts, left)
    return selection


def _left_of(row: Row, selection: Selection) -> Iterator[str]:
    """What stays of a body, as JSON texts."""
    place = (row[_STREAM], row[_N])
    if row[_BODY] is None or place in selection.records:
        return
    paths = selection.fields.get(place)
    if paths is None:
        yield row[_BODY].decode("utf-8", "replace")
    else:
        yield from (value for path, value in fields_of(row[_BODY]) if path not in paths)


def _body(row: Row) -> Any:
    try:
        body = orjson.loads(row[_BODY])
    except ValueError:
        body = {}
    return body if isinstance(body, dict) else {}


def _known(bodies: Sequence[tuple[Row, Any]]) -> str:
    keys = sorted({key for _, body in bodies for key in body.get("metadata") or ()})[:10]
    there = f"metadata here: {', '.join(keys)}" if keys else "there is no metadata"
    return f"{there}; else 'payload.KEY', 'step:NAME', 'header:GROUP', a blob id, or (stream id, position)"
