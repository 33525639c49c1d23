"""A store's evidence, read some engagements at a time: what an export holds in memory does not grow with the store."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import Any, Literal, Protocol

import pyarrow as pa
import pyarrow.compute

from ._entries import LogHead
from ._parquet_file import BLOBS, ENTRIES, RECORDS, SCHEMAS, STREAMS
from ._sqlite_read import RECORD_BYTES
from .leaf import NAMES

pc: Any = pyarrow.compute  # its stubs do not know chunked columns
Tables = dict[str, pa.Table]
Order = list[tuple[str, Literal["ascending", "descending"]]]
SORT: dict[str, Order] = {
    RECORDS: [("engagement_id", "ascending"), ("seq", "ascending")],
    BLOBS: [("engagement_id", "ascending"), ("blob_id", "ascending")],
    STREAMS: [("engagement_id", "ascending"), ("stream_id", "ascending")],
    ENTRIES: [("seq", "ascending")],
}
_BATCH_BYTES = 12_000_000
_ENTRIES_AT_ONCE = 50_000


class Scanned(Protocol):
    """What an export reads of a store (a part of `base.LogStore`).

    One that also has `engagement_sizes` and `scan_engagements` (see `SQLiteStore`) is read a batch at a time; of others
    the tables are in memory while they are written.
    """

    def scan(self, columns: Sequence[str]) -> pa.Table: ...
    def scan_blobs(self) -> pa.Table: ...
    def scan_streams(self) -> pa.Table: ...
    def revision(self) -> tuple[int, int]: ...


class Batches:
    """The records, blobs and streams of a store as of now: what is recorded later is left for another time.

    Each batch has its engagements whole, sorted; batches come in the order of ids. There is always one at least.
    """

    def __init__(self, store: Scanned) -> None:
        # Heads first, records later: what comes in between is in no tree head, and is not taken.
        self._store = store
        self.streams = store.scan_streams().sort_by(SORT[STREAMS])

    @cached_property
    def _source(self) -> Any:
        whole = getattr(self._store, "whole", self._store)
        return whole if callable(getattr(whole, "scan_engagements", None)) else _Whole(self._store)

    @cached_property
    def plan(self) -> list[list[str]]:
        """The engagements of each batch."""
        ids: Any = self.streams["engagement_id"].to_pylist()
        sizes: dict[str, int] = dict.fromkeys(ids, 0)
        chosen: frozenset[str] | None = getattr(self._store, "ids", None)
        sizes |= {key: n for key, n in self._source.engagement_sizes() if chosen is None or key in chosen}
        found, room = list[list[str]]([[]]), _BATCH_BYTES
        for engagement_id in sorted(sizes):
            if sizes[engagement_id] > room and found[-1]:
                found.append([])
                room = _BATCH_BYTES
            found[-1].append(engagement_id)
            room -= sizes[engagement_id]
        return found

    def __iter__(self) -> Iterator[Tables]:
        for ids in self.plan:
            records, blobs = self._source.scan_engagements(ids)
            streams = self.streams.filter(pc.is_in(self.streams["engagement_id"], pa.array(ids, pa.string())))
            yield {
                STREAMS: streams,
                RECORDS: _known(records, streams).sort_by(SORT[RECORDS]),
                BLOBS: blobs.sort_by(SORT[BLOBS]),
            }


class _Whole:
    """A store that gives only all of it."""

    def __init__(self, store: Scanned) -> None:
        self._tables = [
            table.sort_by(SORT[name])
            for name, table in ((RECORDS, store.scan(["seq", *NAMES])), (BLOBS, store.scan_blobs()))
        ]

    def engagement_sizes(self) -> Iterator[tuple[str, int]]:
        weighed = pa.concat_tables(
            [
                pa.table([self._tables[0]["engagement_id"], pa.repeat(RECORD_BYTES, self._tables[0].num_rows)],
                         names=["id", "size"]),
                pa.table([self._tables[1]["engagement_id"],
                          pc.cast(pc.binary_length(self._tables[1]["data"]), pa.int64())], names=["id", "size"]),
            ]
        )  # fmt: skip
        sizes: Any = weighed.group_by("id").aggregate([("size", "sum")])
        return zip(sizes["id"].to_pylist(), (size or 0 for size in sizes["size_sum"].to_pylist()), strict=True)

    def scan_engagements(self, ids: Sequence[str]) -> tuple[pa.Table, pa.Table]:
        wanted = pa.array(ids, pa.string())
        records, blobs = (table.filter(pc.is_in(table["engagement_id"], wanted)) for table in self._tables)
        return records, blobs


def _known(records: pa.Table, streams: pa.Table) -> pa.Table:
    """The records that the tree heads of their streams cover."""
    import polars as pl

    heads: Any = pl.from_arrow(streams.select(["stream_id", "size"]))
    places: Any = pl.from_arrow(records.select(["stream_id", "n"]))
    is_known = places.join(heads, on="stream_id", how="left", maintain_order="left").select(
        (pl.col("n") < pl.col("size")).fill_null(False)
    )
    return records.filter(is_known.to_series().to_arrow())


def entries_of(whole: Any, head: LogHead) -> Iterator[pa.Table]:
    """The store's own log under its head; one table at least."""
    schema, done = SCHEMAS[ENTRIES], 0
    while True:
        rows = whole.entry_rows(after=done, n=min(_ENTRIES_AT_ONCE, head.size - done)) if done < head.size else []
        columns = list(zip(*(row for row in rows if row[0] <= head.size), strict=True)) or [()] * len(schema)
        if rows or not done:
            arrays = [pa.array(list(one), kind.type) for one, kind in zip(columns, schema, strict=True)]
            yield pa.Table.from_arrays(arrays, schema=schema)
        if not rows:
            return
        done = max(done + len(rows), rows[-1][0])  # a log that lost some goes on behind them
