"""Masked copies: what readers see in the place of content that a pattern took out.

The content itself is gone, with only its commitment left; the copy is a record of its own (`content_masked`), sealed
like any other. Its body is

    {"masked": {"records": [[stream, position, path, value], …], "blobs": {id: value}}}

with the JSON that stands for a field (path "": for a whole body), or for a value that was stored by itself.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import orjson

from ..core.canonical import encode_json
from ._fields import key_of
from .leaf import INDEX, Row

if TYPE_CHECKING:
    import pyarrow as pa

TYPE = "content_masked"
_TYPE, _STREAM, _N, _BODY = (INDEX[name] for name in ("type", "stream_id", "n", "body"))


@dataclass(slots=True)
class Masks:
    """The masked copies of one engagement, or of several: streams and values have ids of their own."""

    records: dict[tuple[str, int], dict[str, Any]] = field(default_factory=dict)
    """By stream and position: value by path."""
    blobs: dict[str, Any] = field(default_factory=dict)

    def __bool__(self) -> bool:
        return bool(self.records or self.blobs)

    def take(self, body: bytes | None) -> None:
        """Add what one record says; nothing where it was taken out itself, or cannot be read."""
        try:
            said = {} if body is None else orjson.loads(body)["masked"]
            for stream, n, path, value in said.get("records", ()):
                self.records.setdefault((stream, n), {})[path] = value
            self.blobs.update(said.get("blobs", {}))
        except (ValueError, KeyError, TypeError, AttributeError):
            return

    def said(self) -> dict[str, Any]:
        """The body's entry `masked`."""
        rows = [
            [*at, path, value] for at, paths in sorted(self.records.items()) for path, value in sorted(paths.items())
        ]
        return {"records": rows, "blobs": dict(sorted(self.blobs.items()))}

    def body(self, stream: str, n: int, body: bytes | None) -> bytes | None:
        """The body that readers see of a record."""
        paths = self.records.get((stream, n))
        if paths is None:
            return body
        if "" in paths:
            return encode_json(paths[""]) if body is None else body
        if body is None:
            return None
        shown = orjson.loads(body)
        for path, value in paths.items():
            _put(shown, path, value)
        return encode_json(shown)

    def data(self, blob_id: str) -> bytes | None:
        """The data that readers see of a value."""
        return encode_json(self.blobs[blob_id]) if blob_id in self.blobs else None

    def rows(self, rows: Iterable[tuple[int, Row]]) -> list[tuple[int, Row]]:
        """Rows as readers see them, without the copies themselves."""
        if not self.records:
            return [(seq, row) for seq, row in rows if row[_TYPE] != TYPE]
        return [
            (seq, (*row[:_BODY], self.body(row[_STREAM], row[_N], row[_BODY]), *row[_BODY + 1 :]))
            for seq, row in rows
            if row[_TYPE] != TYPE
        ]


def _put(body: Any, path: str, value: Any) -> None:
    for under in ("metadata", "@payload"):
        key = key_of(path, under)
        if key is not None:
            if isinstance(body.get(under), dict) and key in body[under]:
                body[under][key] = value
            return
    key = orjson.loads(path)
    if key in body:
        body[key] = value


def masks_of(bodies: Iterable[bytes | None]) -> Masks:
    """The copies in the bodies of `content_masked` records, oldest first."""
    masks = Masks()
    for body in bodies:
        masks.take(body)
    return masks


def masks_in(rows: Iterable[tuple[int, Row]]) -> Masks:
    """The copies among rows."""
    return masks_of(row[_BODY] for _, row in rows if row[_TYPE] == TYPE)


def shown(table: pa.Table, masks: Masks, columns: Sequence[str], containing: Sequence[bytes]) -> pa.Table:
    """A scan with masked copies in the place of closed bodies; `table` has `stream_id`, `n` and `body`."""
    import pyarrow as pa

    places: Any = zip(table["stream_id"].to_pylist(), table["n"].to_pylist(), table["body"].to_pylist(), strict=True)
    bodies = [masks.body(*place) if place[:2] in masks.records else place[2] for place in places]
    at = table.schema.get_field_index("body")
    table = table.set_column(at, table.schema.field(at), pa.array(bodies, table.schema.field(at).type))
    if containing:
        found = [body is not None and any(part in body for part in containing) for body in bodies]
        table = table.filter(pa.array(found, pa.bool_()))
    return table.select(list(columns))


def overlay(blobs: Mapping[str, bytes], masks: Masks) -> dict[str, bytes]:
    """Values as readers see them."""
    return {**{blob_id: encode_json(value) for blob_id, value in masks.blobs.items()}, **blobs}
