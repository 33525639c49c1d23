"""Copying a store into another, of whatever backend, with every hash as it was.

Rows, values and tree heads are written as they are, never encoded anew, so what was proved of the source holds of the
copy. Each batch is read back, and the roots of its streams, computed from its rows there, must be those of the rows
that were read here. What is there already is left alone: a copy that was interrupted, or whose source has grown, is
taken up where it stands. The positions (`seq`) are the target's own, and so is its log of seals and receipts; legal
holds come along.

In memory is one batch at a time, which is at least one engagement.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from hashlib import sha256
from typing import Any, cast

import orjson

from ..core.canonical import from_json
from ..core.errors import InvalidArgumentError, StoreError
from ._writer import Batch, StreamHead, label_key, label_value
from .base import LogStore
from .blobs import Blob
from .draft import Draft, Stream
from .leaf import INDEX, NAMES, Row, Tree, leaf_hash

_ROWS = 5_000
"""Records in one transaction, about."""
_BYTES = 16 << 20
_STREAM, _N = INDEX["stream_id"], INDEX["n"]
_EMPTY = Tree().root()
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
    """Engagements that were left out, because the target purged them, or the source did meanwhile."""
    damaged: tuple[str, ...] = ()
    """Engagements whose records were not what their tree says before they were copied: `verify` the source."""


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
    copy = _Copy(source, target, _purged(target))
    for done, (engagement_id, streams) in enumerate(heads.items(), start=1):
        for head in streams:
            _ensure_same(head, there.get(head.stream_id))
        known = {head.stream_id: there[head.stream_id].size for head in streams if head.stream_id in there}
        copy.take(engagement_id, streams, known)
        if at is not None:
            at(done, len(heads))
    copy.write()
    _copy_holds(source, target)
    _check({key: streams for key, streams in heads.items() if key not in copy.left_out}, target)
    n = copy.counts
    return Copied(n["engagements"], n["records"], n["blobs"], n["unchanged"], len(copy.left_out), tuple(copy.damaged))


class _Copy:
    """A copy on its way: what waits to be written, and what was."""

    def __init__(self, source: LogStore, target: LogStore, buried: set[str]) -> None:
        self._source, self._target, self._buried = source, target, buried
        self._blobs = _Blobs(source)
        self._waiting, self._size = Batch(), 0
        self._roots: dict[str, dict[str, bytes]] = {}
        """Of the engagements that wait: the roots of their streams, computed from their rows."""
        self.counts: Counter[str] = Counter()
        self.left_out: set[str] = set()
        self.damaged: list[str] = []

    def take(self, engagement_id: str, streams: list[StreamHead], known: dict[str, int]) -> None:
        """Add what the target lacks of an engagement, of whose streams it has the first `known` records."""
        if engagement_id in self._buried:
            self.left_out.add(engagement_id)
        elif all(known.get(head.stream_id, -1) >= head.size for head in streams):
            self.counts["unchanged"] += 1
        else:
            self._add(engagement_id, streams, known)
            if len(self._waiting.rows) >= _ROWS or self._size >= _BYTES:
                self.write()

    def _add(self, engagement_id: str, streams: list[StreamHead], known: dict[str, int]) -> None:
        sizes = {head.stream_id: head.size for head in streams}
        rows = [r for r in _rows_of(self._source, engagement_id) if r[_N] < sizes.get(r[_STREAM], 0)]
        if not rows and any(sizes.values()):  # purged since its streams were read
            self.left_out.add(engagement_id)
            return
        self.counts["engagements"] += 1
        roots = self._roots[engagement_id] = _roots(rows)
        if any(roots.get(h.stream_id, _EMPTY) != Tree.from_bytes(h.size, h.frontier).root() for h in streams):
            self.damaged.append(engagement_id)
        to = self._waiting
        for row in rows:
            if row[_N] >= known.get(row[_STREAM], 0):
                to.rows.append(row)
                to.drafts.append(Draft(Stream(row[_STREAM], engagement_id), row[INDEX["type"]], row[INDEX["at_us"]]))
                to.labels += _labels(engagement_id, row)
                self._size += len(row[INDEX["body"]] or b"")
        blobs = self._blobs.of(engagement_id)
        to.heads += streams
        to.blobs += blobs
        self.counts["blobs"] += len(blobs)
        self._size += sum(len(blob.data) for blob in blobs)

    def write(self) -> None:
        """Write what waits, and read it back. Raises StoreError."""
        batch, roots = self._waiting, self._roots
        self._waiting, self._roots, self._size = Batch(), {}, 0
        if not roots:
            return
        self._target.commit(batch)
        self.counts["records"] += len(batch.rows)
        sizes = {head.stream_id: head.size for head in batch.heads}
        for engagement_id, wanted in roots.items():
            rows = (row for row in _rows_of(self._target, engagement_id) if row[_N] < sizes.get(row[_STREAM], 0))
            found = _roots(rows)
            if found != wanted and engagement_id not in _purged(self._target):
                raise StoreError(f"engagement {engagement_id} is not in the target as it was read; verify both")


def _roots(rows: Iterable[Row]) -> dict[str, bytes]:
    """The root of each stream, computed from its rows."""
    trees: dict[str, Tree] = {}
    for row in sorted(rows, key=_by_place):
        trees.setdefault(row[_STREAM], Tree()).append(_hash(row))
    return {stream_id: tree.root() for stream_id, tree in trees.items()}


def _by_place(row: Row) -> tuple[str, int]:
    return row[_STREAM], row[_N]


def _hash(row: Row) -> bytes:
    try:
        return leaf_hash(row)
    except ValueError:  # nobody wrote it so; it is still to arrive as it is
        return sha256(repr(row).encode("utf-8", "surrogatepass")).digest()


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


class _Blobs:
    """The blobs of one engagement after the other; from a store that gives only all of them, out of that table."""

    def __init__(self, source: LogStore) -> None:
        self._kept: Any = getattr(source, "kept_blobs", None)
        self._table = None if self._kept is not None else source.scan_blobs()
        self._place: dict[str, tuple[int, int]] = {}
        if self._table is not None:
            owners: Any = self._table["engagement_id"].to_pylist()
            for number, owner in enumerate(owners):
                first, n = self._place.get(owner, (number, 0))
                self._place[owner] = (first, n + 1)

    def of(self, engagement_id: str) -> list[Blob]:
        rows: Iterable[tuple[str, bytes, str, bytes | None]]
        if self._table is None:
            rows = self._kept(engagement_id)
        else:
            table: Any = self._table.slice(*self._place.get(engagement_id, (0, 0)))
            columns = (table[name].to_pylist() for name in ("blob_id", "salt", "media", "data"))
            rows = zip(*columns, strict=True)
        return [
            Blob(engagement_id, key, None, salt, media, data) for key, salt, media, data in rows if data is not None
        ]


def _copy_holds(source: LogStore, target: LogStore) -> None:
    """A block on erasing must not be lost on the way."""
    there = {(entry["type"], entry.get("hold")) for entry in target.store_entries("hold", "release")}
    for entry in source.store_entries("hold", "release"):
        if (entry["type"], entry.get("hold")) not in there:
            fields = {key: value for key, value in entry.items() if key not in ("seq", "type", "at")}
            target.append_entry(entry["type"], fields)


def _check(heads: dict[str, list[StreamHead]], target: LogStore) -> None:
    """Every stream's tree in the target is, or has grown from, the one that was copied. Raises StoreError."""
    there = {head.stream_id: head for of_one in _heads(target).values() for head in of_one}
    for engagement_id, streams in heads.items():
        for head in streams:
            copy = there.get(head.stream_id)
            if head.size and (copy is None or copy.size < head.size) and engagement_id not in _purged(target):
                raise StoreError(f"stream {head.stream_id} of engagement {engagement_id} did not arrive whole")
            _ensure_same(head, copy)
