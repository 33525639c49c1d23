"""The log as JSON lines, and back, exactly: ids, times, references, salts and so the hashes too.

A line is one row of the log, `{"ftnb": 1, "engagement_id": …, "stream_id": …, "n": …, "type": …, "body": {…}}` with
what is null left out, or one of the values that they refer to, `{"ftnb": 1, "blob_id": …}`.
"""

from __future__ import annotations

import base64
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson

from ..store._writer import Batch, StreamHead, label_key, label_value
from ..store.base import LogStore
from ..store.blobs import Blob, blob_id_of
from ..store.draft import Draft, Stream
from ..store.leaf import COLUMNS, INDEX, Row, leaf_hash
from ..store.records import SCHEMA_VERSION
from ._forms import BadItem
from ._into import Sink
from ._out import writing
from ._report import Report
from ._source import Source

_INT64 = 1 << 63
_BATCH = 2_000


def write(store: LogStore, path: Path, engagement_id: str | None = None) -> Report:
    """Every record of the store, or of one engagement, and what they refer to."""
    report = Report("NDJSON", path.name)
    names = [column.name for column in COLUMNS]
    table = store.scan([*names, "seq"], engagement_id=engagement_id)
    blobs = store.scan_blobs()
    with writing(path) as file:
        for batch in table.select(names).to_batches(max_chunksize=1_000):
            for row in batch.to_pylist():
                file.write(_line(row))
                report.counts["records"] += 1
        for batch in blobs.to_batches(max_chunksize=100):
            for row in batch.to_pylist():
                if engagement_id is None or row["engagement_id"] == engagement_id:
                    file.write(_line({key: row[key] for key in ("engagement_id", "blob_id", "salt", "media", "data")}))
                    report.counts["values"] += 1
    report.add("left out", "(the store's own log)", "seals and receipts are of the store; to_parquet takes them along")
    return report


def _line(row: dict[str, Any]) -> bytes:
    shown: dict[str, Any] = {"ftnb": SCHEMA_VERSION}
    for key, value in row.items():
        if isinstance(value, bytes):
            shown[key] = orjson.Fragment(value) if key == "body" else base64.b64encode(value).decode()
        elif value is not None:
            shown[key] = value
    return orjson.dumps(shown, option=orjson.OPT_APPEND_NEWLINE)


def load(source: Source, sink: Sink) -> None:
    """Every record of the file, as it was. A stream of which records are missing ends before them."""
    streams: dict[str, Stream] = {}
    batch = Batch()
    for line, value in source.json_lines():
        source.guarded(line, value, lambda v=value, b=batch: _take(v, streams, b, sink))  # type: ignore[misc]
        if len(batch.rows) + len(batch.blobs) >= _BATCH:
            _commit(batch, streams, sink)
            batch = Batch()
    _commit(batch, streams, sink)
    source.report.counts["records"] = sum(stream.tree.size for stream in streams.values())


def _commit(batch: Batch, streams: dict[str, Stream], sink: Sink) -> None:
    for stream_id in {row[INDEX["stream_id"]] for row in batch.rows}:
        s = streams[stream_id]
        batch.heads.append(StreamHead(stream_id, s.engagement_id, s.turn or 1, s.tree.size, s.tree.to_bytes()))
    if batch.rows or batch.blobs:
        sink.commit(batch)


def _take(value: Any, streams: dict[str, Stream], batch: Batch, sink: Sink) -> None:
    if not isinstance(value, dict) or not isinstance(value.get("engagement_id"), str):
        raise BadItem("it is no record of ftnb")
    if value.get("ftnb", 0) != SCHEMA_VERSION:
        raise BadItem(f"it has log format {value.get('ftnb')!r}; this ftnb reads {SCHEMA_VERSION}")
    if "blob_id" in value:
        salt, data = _bytes(value, "salt") or b"", _bytes(value, "data") or b""
        media = str(value.get("media", ""))
        if blob_id_of(salt, media, data) != value["blob_id"]:
            raise BadItem("the value is not the one that its id stands for")
        batch.blobs.append(Blob(value["engagement_id"], value["blob_id"], None, salt, media, data))
        return
    row = _row(value)
    key, turn = row[INDEX["stream_id"]], row[INDEX["turn"]]
    stream = streams.get(key) or Stream(key, row[0], turn=turn)
    if row[INDEX["n"]] != stream.tree.size or stream.engagement_id != row[0] or stream.turn != turn:
        raise BadItem(f"record {row[INDEX['n']]} of a stream of which {stream.tree.size} have been read")
    stream.tree.append(leaf_hash(row))
    streams[key] = stream
    sink.engagements.add(row[0])
    batch.rows.append(row)
    batch.drafts.append(Draft(stream, row[INDEX["type"]], row[INDEX["at_us"]]))
    batch.labels += _labels(value, row[0])


def _row(value: dict[str, Any]) -> Row:
    found: list[Any] = []
    for column in COLUMNS:
        given = value.get(column.name)
        if column.name == "body":
            given = None if given is None else orjson.dumps(given, option=orjson.OPT_SORT_KEYS)
        elif column.dtype == "bytes":
            given = _bytes(value, column.name)
        elif given is not None and (
            (column.dtype == "int" and (type(given) is not int or not -_INT64 <= given < _INT64))
            or (column.dtype == "text" and not isinstance(given, str))
        ):
            raise BadItem(f"{column.name} is {given!r}")
        if given is None and column.required:
            raise BadItem(f"it has no {column.name}")
        found.append(given)
    return tuple(found)


def _bytes(value: dict[str, Any], key: str) -> bytes | None:
    given = value.get(key)
    if given is None:
        return None
    try:
        return base64.b64decode(given, validate=True)
    except (ValueError, TypeError):
        raise BadItem(f"{key} is no base64") from None


def _labels(value: dict[str, Any], engagement_id: str) -> Iterator[tuple[str, str, str]]:
    body = value.get("body")
    metadata = body.get("metadata") if isinstance(body, dict) else None
    if value.get("type") in ("engagement_started", "engagement_labelled") and isinstance(metadata, dict):
        for key, held in metadata.items():
            yield engagement_id, label_key(key), label_value(held)
