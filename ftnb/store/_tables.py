"""Rows that a backend has in memory, as Arrow tables and as summaries."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from ._log_store import DTYPES
from ._summary import HEADER_TYPES, Summary
from .base import EngagementSummary
from .leaf import INDEX, Row

if TYPE_CHECKING:
    import pyarrow as pa

_TYPE, _AT, _TURN, _STATUS, _NAME, _BODY = (INDEX[c] for c in ("type", "at_us", "turn", "status", "name", "body"))
_STEP, _TOKENS = INDEX["step_id"], INDEX["tok_total"]
_HEADERS = frozenset({*HEADER_TYPES, "step_started"})

BLOB_DTYPES = {"engagement_id": "text", "blob_id": "text", "salt": "bytes", "media": "text", "data": "bytes"}
STREAM_DTYPES = {"stream_id": "text", "engagement_id": "text", "turn": "int", "size": "int", "frontier": "bytes"}


def schema_of(dtypes: dict[str, str]) -> pa.Schema:
    """The Arrow schema of columns of the log's three types."""
    import pyarrow as pa

    kinds: dict[str, Any] = {"int": pa.int64(), "text": pa.string(), "bytes": pa.binary()}
    return pa.schema([pa.field(name, kinds[dtype]) for name, dtype in dtypes.items()])


def table_of(dtypes: dict[str, str], rows: Sequence[Sequence[Any]]) -> pa.Table:
    """`rows`, each with a value for each of `dtypes`, as an Arrow table."""
    import pyarrow as pa

    schema = schema_of(dtypes)
    if not rows:
        return schema.empty_table()
    columns = zip(*rows, strict=True)
    arrays = [pa.array(values, field.type) for values, field in zip(columns, schema, strict=True)]
    return pa.Table.from_arrays(arrays, schema=schema)


def scan_rows(
    rows: Iterable[tuple[int, Row]], columns: Sequence[str], types: Sequence[str], containing: Sequence[bytes]
) -> pa.Table:
    """What `LogStore.scan` gives, from rows in order of seq, of which it takes `types` and `containing`."""
    places = [-1 if name == "seq" else INDEX[name] for name in columns]
    wanted = frozenset(types)
    found = [
        [seq if place < 0 else row[place] for place in places]
        for seq, row in rows
        if (not wanted or row[_TYPE] in wanted)
        and (not containing or (row[_BODY] is not None and any(part in row[_BODY] for part in containing)))
    ]
    return table_of({name: DTYPES[name] for name in columns}, found)


def summarise(engagement_id: str, rows: Sequence[tuple[int, Row]]) -> EngagementSummary:
    """The summary of an engagement from all of its rows."""
    summary = Summary(engagement_id)
    for _, row in sorted(((seq, row) for seq, row in rows if row[_TYPE] in _HEADERS), key=_by_turn):
        summary.take(row[_TYPE], row[_STATUS], row[_AT], row[_NAME], row[_TURN], row[_BODY])
    waiting = {row[_STEP] for _, row in rows if row[_TYPE] == "step_ended" and row[_STATUS] == "waiting"}
    summary.tokens = sum(row[_TOKENS] or 0 for _, row in rows if row[_STEP] is None or row[_STEP] not in waiting)
    summary.first_us = min(row[_AT] for _, row in rows)
    return summary.build()


def _by_turn(item: tuple[int, Row]) -> tuple[int, int]:
    return item[1][_TURN], item[0]
