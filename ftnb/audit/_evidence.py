"""Parquet exports as evidence: what is left out of them, and their views as the fold of what is in them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..core.errors import InvalidArgumentError
from ..frames import Frames
from ..store._tables import BLOB_DTYPES, table_of
from ..store.leaf import COLUMNS, INDEX, NAMES, Row, closed, without_group
from ._select import Item, Selection, select, with_children

if TYPE_CHECKING:
    import pyarrow as pa

Tables = dict[str, "pa.Table"]
VIEWS = ("engagements", "steps", "events")
EVIDENCE = ("records", "blobs", "streams", "entries")
_STREAM, _N, _SALT, _BODY, _COMMITMENT = (INDEX[name] for name in ("stream_id", "n", "salt", "body", "commitment"))
_HIDEABLE = ("names", "usage")
"""Groups of the header without which an export can still be folded."""


def export_parquet(store: Any, path: Path, withhold: Sequence[Item]) -> Path:
    """Write an export; see `Traces.to_parquet`."""
    from ..store._parquet_write import write_parquet
    from ..store.parquet_export import ParquetExport

    def views(tables: Tables) -> Tables:
        return views_of(Frames(ParquetExport.of_tables(tables)))

    if not withhold:
        return write_parquet(store, path, views)
    without = Without(withhold)
    return write_parquet(store, path, views, without, finish=without.finish)


def views_of(frames: Frames) -> Tables:
    """The views of an export, as Arrow tables."""
    import polars as pl

    found = {"engagements": frames.engagements(), "steps": frames.steps, "events": frames.events()}
    return {name: frame.to_arrow(compat_level=pl.CompatLevel.oldest()) for name, frame in found.items()}


class Without:
    """Takes what `items` name out of the evidence of some engagements after the other."""

    def __init__(self, items: Sequence[Item]) -> None:
        self._items = [items] if isinstance(items, str) else list(items)
        self._found: set[int] = set()
        self._refused: dict[int, InvalidArgumentError] = {}

    def __call__(self, tables: Tables) -> Tables:
        """The evidence without it."""
        rows, blobs = _by_engagement(tables)
        selected: dict[str, Selection] = {key: Selection() for key in rows}
        for place, item in enumerate(self._items):
            for key, mine in rows.items():
                try:
                    _add(selected[key], select([item], [row for _, row in mine], blobs.get(key, {})))
                    self._found.add(place)
                except InvalidArgumentError as error:
                    self._refused[place] = error
        out: list[tuple[Any, ...]] = []
        gone: set[tuple[str, str]] = set()
        for key, mine in rows.items():
            selection = with_children(selected[key], [row for _, row in mine], blobs.get(key, {}))
            gone |= {(key, blob_id) for blob_id in selection.blobs}
            out += [(seq, *_reduced(row, selection)) for seq, row in mine]
        dtypes: dict[str, str] = {"seq": "int", **{column.name: column.dtype for column in COLUMNS}}
        kept = [row for row in _rows(tables["blobs"], list(BLOB_DTYPES)) if (row[0], row[1]) not in gone]
        return {**tables, "records": table_of(dtypes, out), "blobs": table_of(BLOB_DTYPES, kept)}

    def finish(self) -> None:
        """Raises InvalidArgumentError for an item that was in no engagement."""
        for place, item in enumerate(self._items):
            if place not in self._found:
                nothing = InvalidArgumentError(f"nothing here is {item!r}: there are no records")
                raise self._refused.get(place, nothing)


def _add(whole: Selection, part: Selection) -> None:
    unfit = sorted(part.groups - set(_HIDEABLE))
    if unfit:
        raise InvalidArgumentError(
            f"a Parquet export cannot be read without its {unfit[0]}; it can hide {', '.join(_HIDEABLE)}, a bundle "
            "(tr.audit.export) all of them"
        )
    whole.records |= part.records
    whole.blobs |= part.blobs
    whole.groups |= part.groups
    for place, paths in part.fields.items():
        whole.fields.setdefault(place, set()).update(paths)


def _reduced(row: Row, selection: Selection) -> Row:
    place = (row[_STREAM], row[_N])
    if row[_BODY] is not None and place in selection.records:
        row = (*row[:_SALT], *closed(row[_SALT], row[_BODY], row[_COMMITMENT]))
    elif row[_BODY] is not None and (paths := selection.fields.get(place)):
        row = (*row[:_SALT], *closed(row[_SALT], row[_BODY], row[_COMMITMENT], paths))
    for group in selection.groups:
        row = without_group(row, group)
    return row


def _by_engagement(tables: Tables) -> tuple[dict[str, list[tuple[int, Row]]], dict[str, dict[str, bytes]]]:
    rows: dict[str, list[tuple[int, Row]]] = {}
    for seq, *row in _rows(tables["records"], ["seq", *NAMES]):
        rows.setdefault(row[0], []).append((seq, tuple(row)))
    blobs: dict[str, dict[str, bytes]] = {}
    for engagement_id, blob_id, data in _rows(tables["blobs"], ["engagement_id", "blob_id", "data"]):
        blobs.setdefault(engagement_id, {})[blob_id] = data
    return rows, blobs


def _rows(table: pa.Table, columns: list[str]) -> Any:
    return zip(*(table[name].to_pylist() for name in columns), strict=True)
