"""Copying a store into another, of whatever backend, with every hash as it was.

Rows, values and tree heads are written as they are, never encoded anew, so what was proved of the source holds of the
copy. What is there already is left alone: a copy that was interrupted, or whose source has grown, is taken up where it
stands. The positions (`seq`) are the target's own, and so is its log of seals and receipts; legal holds come along.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

import orjson

from ..core.canonical import from_json
from ..core.errors import InvalidArgumentError, StoreError
from ._writer import Batch, StreamHead, label_key, label_value
from .base import LogStore
from .blobs import Blob
from .draft import Draft, Stream
from .leaf import INDEX, NAMES, Row

if TYPE_CHECKING:
    import pyarrow as pa

_ROWS = 5_000
"""Records in one transaction, about."""
_BYTES = 16 << 20
_LABELLING = ("engagement_started", "engagement_labelled")


@dataclass(frozen=True)
class Copied:
    """What a copy did."""

    engagements: int
    """Engagements of which something was written."""
    records: int
    """Records that the target has now and had not."""
    blobs: int
    """Values that came with them."""
    unchanged: int
    """Engagements that were there already, whole."""
    purged: int
    """Engagements that were left out, because the target purged them."""


def copy_store(source: LogStore, target: LogStore, *, at: Callable[[int, int], Any] | None = None) -> Copied:
    """Copy everything in `source` into `target`; `at(done, total)` is told of engagements.

    Raises StoreError where the target has other records in a stream of the same id, or cannot be written;
    InvalidArgumentError where both are the same store.
    """
    if source.url == target.url:
        raise InvalidArgumentError(f"cannot copy {source.url} into itself")
    # Streams first: what is recorded while we read is left for the next copy, so that every head fits its records.
    heads = _heads(source)
    there = {head.stream_id: head for of_one in _heads(target).values() for head in of_one}
    blobs = _BlobRows(source.scan_blobs())
    buried = _purged(target)
    counts: Counter[str] = Counter()
    waiting, size = Batch(), 0
    for done, (engagement_id, streams) in enumerate(heads.items(), start=1):
        for head in streams:
            _ensure_same(head, there.get(head.stream_id))
        known = {head.stream_id: there[head.stream_id].size for head in streams if head.stream_id in there}
        if engagement_id in buried:
            counts["purged"] += 1
        elif all(known.get(head.stream_id, -1) >= head.size for head in streams):
            counts["unchanged"] += 1
        else:
            counts["engagements"] += 1
            size += _add(source, engagement_id, streams, known, blobs.of(engagement_id), waiting, counts)
        if len(waiting.rows) >= _ROWS or size >= _BYTES:
            target.commit(waiting)
            waiting, size = Batch(), 0
        if at is not None:
            at(done, len(heads))
    if waiting.rows:
        target.commit(waiting)
    _copy_holds(source, target)
    _check(heads, target, buried)
    return Copied(counts["engagements"], counts["records"], counts["blobs"], counts["unchanged"], counts["purged"])


def _heads(store: LogStore) -> dict[str, list[StreamHead]]:
    """The tree heads of each engagement."""
    found: dict[str, list[StreamHead]] = {}
    for row in store.scan_streams().to_pylist():
        found.setdefault(row["engagement_id"], []).append(StreamHead(**row))
    # In the order in which they began: so they are listed in the copy.
    order = store.scan(["engagement_id"], types=("engagement_started",))["engagement_id"].unique().to_pylist()
    ordered = {one: found.pop(one) for one in order if one in found}
    return {**ordered, **found}


def _purged(store: LogStore) -> set[str]:
    return {str(entry["engagement"]) for entry in store.store_entries("purge") if "engagement" in entry}


def _ensure_same(ours: StreamHead, theirs: StreamHead | None) -> None:
    if theirs is not None and theirs.size == ours.size and theirs.frontier != ours.frontier:
        raise StoreError(
            f"stream {ours.stream_id} of engagement {ours.engagement_id} holds other records in the target: one of the "
            "two was altered. Nothing of it was copied; verify both"
        )


def _add(
    source: LogStore,
    engagement_id: str,
    streams: list[StreamHead],
    known: dict[str, int],
    blobs: list[Blob],
    to: Batch,
    counts: Counter[str],
) -> int:
    """Put what the target lacks of an engagement into a batch; about how many bytes that is."""
    sizes = {head.stream_id: head.size for head in streams}
    size = 0
    for row in _rows_of(source, engagement_id):
        stream_id, n = row[INDEX["stream_id"]], row[INDEX["n"]]
        if known.get(stream_id, 0) <= n < sizes.get(stream_id, 0):
            to.rows.append(row)
            to.drafts.append(Draft(Stream(stream_id, engagement_id), row[INDEX["type"]], row[INDEX["at_us"]]))
            to.labels += _labels(engagement_id, row)
            size += len(row[INDEX["body"]] or b"")
            counts["records"] += 1
    to.heads += streams
    to.blobs += blobs
    counts["blobs"] += len(blobs)
    return size + sum(len(blob.data) for blob in blobs)


def _rows_of(store: LogStore, engagement_id: str) -> Iterator[Row]:
    rows: Any = getattr(store, "_rows", None)
    if rows is not None:
        yield from (row for _, row in rows(engagement_id))
        return
    table = store.scan(["seq", *NAMES], engagement_id=engagement_id)
    for one in zip(*(table[name].to_pylist() for name in NAMES), strict=True):
        yield cast(Row, one)


def _labels(engagement_id: str, row: Row) -> list[tuple[str, str, str]]:
    """What the target's index of metadata needs of a record, as its writer would have told it."""
    body: bytes | None = row[INDEX["body"]]
    if not body or (row[INDEX["type"]] not in _LABELLING and b'"head"' not in body):
        return []
    try:
        said = orjson.loads(body)
    except ValueError:
        return []
    labels = []
    if row[INDEX["type"]] in _LABELLING:
        metadata = from_json(said.get("metadata", {}))
        if isinstance(metadata, dict):
            labels += [(engagement_id, label_key(key), label_value(value)) for key, value in metadata.items()]
    head = from_json(said.get("head"))
    if isinstance(head, list | tuple) and len(head) == 2:
        told = (("ftnb.thread", 1), ("ftnb.checkpoint", head[1]))
        labels += [(engagement_id, label_key((label, head[0])), label_value(value)) for label, value in told]
    return labels


class _BlobRows:
    """The blobs of one engagement after the other, out of a table that is ordered by engagement."""

    def __init__(self, table: pa.Table) -> None:
        self._table = table
        self._place: dict[str, tuple[int, int]] = {}
        owners: Any = table["engagement_id"].to_pylist()
        for number, owner in enumerate(owners):
            first, n = self._place.get(owner, (number, 0))
            self._place[owner] = (first, n + 1)

    def of(self, engagement_id: str) -> list[Blob]:
        first, n = self._place.get(engagement_id, (0, 0))
        rows = self._table.slice(first, n).to_pylist()
        return [
            Blob(engagement_id, row["blob_id"], None, row["salt"], row["media"], row["data"])
            for row in rows
            if row["data"] is not None
        ]


def _copy_holds(source: LogStore, target: LogStore) -> None:
    """A block on erasing must not be lost on the way."""
    there = {(entry["type"], entry.get("hold")) for entry in target.store_entries("hold", "release")}
    for entry in source.store_entries("hold", "release"):
        if (entry["type"], entry.get("hold")) not in there:
            fields = {key: value for key, value in entry.items() if key not in ("seq", "type", "at")}
            target.append_entry(entry["type"], fields)


def _check(heads: dict[str, list[StreamHead]], target: LogStore, buried: set[str]) -> None:
    """Every stream's tree in the target is, or has grown from, the one that was copied. Raises StoreError."""
    there = {head.stream_id: head for of_one in _heads(target).values() for head in of_one}
    for engagement_id, streams in heads.items():
        for head in streams:
            copy = there.get(head.stream_id)
            if engagement_id not in buried and head.size and (copy is None or copy.size < head.size):
                raise StoreError(f"stream {head.stream_id} of engagement {engagement_id} did not arrive whole")
            _ensure_same(head, copy)
