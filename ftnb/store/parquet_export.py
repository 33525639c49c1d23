"""An exported trace, read back: a folder or file that `Traces.to_parquet` wrote. Read-only.

Everything is computed from the evidence in it (records, blobs, streams), never from the views beside them.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, NoReturn

import orjson
import polars as pl
import pyarrow as pa
import pyarrow.compute

from ..core.errors import InvalidArgumentError, NotOurFileError, StoreError, UnknownEngagementError
from ..core.ids import from_us
from ..core.model import Engagement
from ._entries import EntryRow, LogHead
from ._live import Subscription
from ._masked import TYPE as MASKED
from ._masked import Masks, masks_in, masks_of, overlay, shown
from ._parquet_file import (
    BLOBS,
    ENTRIES,
    EVIDENCE,
    LOG_FRONTIER,
    LOG_NOTE,
    LOG_SIZE,
    PARTIAL,
    RECORDS,
    SCHEMAS,
    STREAMS,
    EvidenceFile,
)
from ._summary import HEADER_TYPES, Summary
from ._writer import Batch, clean_id
from .base import EngagementSummary, matches
from .blobs import Resolver
from .draft import Draft
from .leaf import NAMES
from .reconstruct import fold
from .records import BaseRecord, Record
from .rows import record_or_gap

pc: Any = pyarrow.compute  # its stubs know neither bytes patterns nor chunked tables
_KEPT_BLOBS = 8
"""Engagements whose blobs are kept in memory."""


class ParquetExport:
    """A read-only trace store over an exported folder or file; see `store.base` for what every store promises.

    Raises StoreError when nothing is there, NotOurFileError when it is no export of ours or damaged, SchemaVersionError
    when a newer ftnb wrote it. Damage that shows only on reading is raised then, as NotOurFileError.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path).expanduser()
        if not self.path.exists():
            raise StoreError(f"nothing to open at {str(path)!r}: there is no such file or folder")
        self.url = f"parquet://{self.path.resolve()}"
        self._files = {name: EvidenceFile(self._place(name), name) for name in EVIDENCE}
        self._blobs: OrderedDict[str, dict[str, bytes]] = OrderedDict()
        self._marks = self._files[RECORDS].marks
        self.has_proofs = LOG_SIZE in self._marks
        self.is_partial = PARTIAL in self._marks
        if self.has_proofs:
            self._files[ENTRIES] = EvidenceFile(self._place(ENTRIES), ENTRIES)

    read_only = True
    is_export = True
    """Content may be left out of it, its commitments may not."""
    signer: Any = None
    """Nobody signs an export: its head is that of the store, with the signature that this had."""

    @classmethod
    def of_tables(cls, tables: Mapping[str, pa.Table]) -> ParquetExport:
        """An export that is not written yet."""
        store = cls.__new__(cls)
        store.path, store.url = Path(), f"tables:{id(tables)}"
        store._files = {name: _Held(table) for name, table in tables.items()}  # type: ignore[misc]
        store._blobs, store._marks, store.has_proofs, store.is_partial = OrderedDict(), {}, False, False
        return store

    def __repr__(self) -> str:
        return f"ParquetExport({str(self.path)!r})"

    def _place(self, table: str) -> Path:
        if self.path.is_file():
            return self.path
        if not (self.path / f"{RECORDS}.parquet").is_file():
            found = ", ".join(sorted(entry.name for entry in self.path.iterdir())[:5]) or "nothing"
            raise NotOurFileError(
                f"the folder {str(self.path)!r} is no export of ftnb: it has no {RECORDS}.parquet (found: {found})"
            )
        return self.path / f"{table}.parquet"

    # --- reading ---

    def get_engagement(self, engagement_id: str) -> Engagement:
        """The engagement's tree. Raises UnknownEngagementError."""
        records = self.read(engagement_id)
        if not records:
            newest = self._ids["engagement_id"].reverse().head(20).to_list()
            raise UnknownEngagementError.of(engagement_id, newest, f"the export {self.path}")
        return fold(records)

    def read(self, engagement_id: str) -> list[BaseRecord]:
        """The engagement's records in order of seq; empty when there are none."""
        key = clean_id(engagement_id)
        rows = self._files[RECORDS].read(["seq", *NAMES], key).sort_by("seq")
        resolve = Resolver(lambda blob_id: self.blob(key, blob_id))
        columns = [column.to_pylist() for column in rows.columns]
        found = [(seq, tuple(row)) for seq, *row in zip(*columns, strict=True)]
        masks = masks_in(found)
        return [record_or_gap(row, seq, resolve) for seq, row in (masks.rows(found) if masks else found)]

    @cached_property
    def _masks(self) -> Masks:
        """The masked copies that stand for content which was taken out."""
        table = self._files[RECORDS].read(["type", "body"])
        return masks_of(table.filter(pc.equal(table["type"], MASKED))["body"].to_pylist())

    @cached_property
    def _ids(self) -> pl.DataFrame:
        """Engagement ids in the order in which they began."""
        table = pl.DataFrame(self._files[RECORDS].read(["engagement_id", "seq"]))
        return table.group_by("engagement_id").agg(pl.col("seq").min()).sort("seq")

    def list_engagements(
        self, where: Mapping[str, Any] | None = None, *, limit: int | None = None, newest: bool = False
    ) -> list[EngagementSummary]:
        """Summaries, oldest first (`newest=True`: newest first), of the engagements whose metadata equals `where`."""
        ids = self._ids["engagement_id"]
        ids = ids.reverse() if newest else ids
        if limit is not None and not where:
            ids = ids.head(max(limit, 0))
        summaries = [summary for summary in self._summaries(ids) if matches(summary.metadata, where)]
        return summaries if limit is None else summaries[: max(limit, 0)]

    def _summaries(self, ids: pl.Series) -> Iterator[EngagementSummary]:
        only = str(ids[0]) if len(ids) == 1 else None
        columns = ["seq", "engagement_id", "type", "status", "at_us", "name", "turn", "step_id", "tok_total", "body"]
        table = self._files[RECORDS].read(columns, only)
        rows = pl.DataFrame(table.filter(pc.is_in(table["engagement_id"], pa.array(ids.to_list(), pa.string()))))
        building = {engagement_id: Summary(engagement_id) for engagement_id in ids}
        headers = rows.filter(pl.col("type").is_in([*HEADER_TYPES, "step_started"])).sort("turn", "seq")
        for engagement_id, *header in headers.select("engagement_id", *columns[2:7], "body").iter_rows():
            building[engagement_id].take(*header)
        waiting = rows.filter((pl.col("type") == "step_ended") & (pl.col("status") == "waiting"))
        counted = rows.join(waiting, on=["engagement_id", "step_id"], how="anti")
        spent = dict(counted.group_by("engagement_id").agg(pl.col("tok_total").sum()).iter_rows())
        first = rows.group_by("engagement_id").agg(pl.col("at_us").min())
        for engagement_id, first_us in first.iter_rows():
            building[engagement_id].tokens, building[engagement_id].first_us = spent.get(engagement_id, 0), first_us
        return (building[engagement_id].build() for engagement_id in ids)

    def scan(
        self,
        columns: Sequence[str],
        *,
        types: Sequence[str] = (),
        engagement_id: str | None = None,
        after: int = 0,
        containing: Sequence[bytes] = (),
    ) -> pa.Table:
        """Columns of the log as Arrow, ordered by seq; see `LogStore.scan`."""
        known = SCHEMAS[RECORDS].names
        unknown = [name for name in columns if name not in known]
        if unknown:
            raise InvalidArgumentError(f"no column {unknown[0]!r} in the log; columns: {', '.join(known)}")
        needed = ["seq", *(["type"] if types else []), *(["body"] if containing else [])]
        key = None if engagement_id is None else clean_id(engagement_id)
        masks = self._masks if "body" in columns and "commitment" not in columns else Masks()
        needed += ["stream_id", "n"] if masks else []
        table = self._files[RECORDS].read(list(dict.fromkeys([*columns, *needed])), key)
        if after:
            table = table.filter(pc.greater(table["seq"], after))
        if types:
            table = table.filter(pc.is_in(table["type"], pa.array(types, pa.string())))
        if masks:
            return shown(table.sort_by("seq"), masks, columns, containing)
        if containing:
            found = [pc.fill_null(pc.match_substring(table["body"], part), False) for part in containing]
            table = table.filter(_any_of(found))
        return table.sort_by("seq").select(list(columns))

    def scan_blobs(self) -> pa.Table:
        """The blob table as Arrow, without `dedup`, ordered by engagement and id."""
        table = self._files[BLOBS].read(SCHEMAS[BLOBS].names)
        return table.sort_by([("engagement_id", "ascending"), ("blob_id", "ascending")])

    def scan_streams(self) -> pa.Table:
        """The stream table as Arrow: stream_id, engagement_id, turn, size, frontier."""
        return self._files[STREAMS].read(SCHEMAS[STREAMS].names).sort_by("stream_id")

    def n_records(self) -> int:
        """How many records there are."""
        return int(self._files[RECORDS].read(["n"]).num_rows)

    def blob(self, engagement_id: str, blob_id: str) -> bytes | None:
        """The data of a blob; None when it is not there."""
        key = clean_id(engagement_id)
        if key not in self._blobs:
            table = self._files[BLOBS].read(["blob_id", "data"], key)
            rows = self._files[RECORDS].read(["type", "body"], key)
            masks = masks_of(rows.filter(pc.equal(rows["type"], MASKED))["body"].to_pylist())
            self._blobs[key] = overlay(dict(pl.DataFrame(table).iter_rows()), masks)
            while len(self._blobs) > _KEPT_BLOBS:
                self._blobs.popitem(last=False)
        return self._blobs[key].get(blob_id)

    def blobs_of(self, engagement_id: str) -> dict[str, bytes]:
        """Every blob of an engagement, by id."""
        self.blob(engagement_id, "")
        return dict(self._blobs[clean_id(engagement_id)])

    def revision(self) -> tuple[int, int]:
        """Always the same: an export does not change."""
        return 0, 0

    def subscribe(self, *, after: int | None = None) -> AsyncIterator[Record]:
        """Ends at once: nothing is ever added."""
        subscription = Subscription()
        subscription.end()
        return subscription

    def tail(self, *, timeout: float | None = None, after: int | None = None) -> Iterator[Record]:
        """Ends at once: nothing is ever added."""
        return iter(())

    def store_entries(self, *types: str) -> list[dict[str, Any]]:
        """The log of the store that was exported; empty where it gave no proofs."""
        if not self.has_proofs:
            return []
        return [
            {**orjson.loads(body), "seq": seq, "at": from_us(at), "type": kind}
            for seq, at, kind, body in self.entry_rows()
            if not types or kind in types
        ]

    def entry_rows(self, *, wait: bool = True) -> list[EntryRow]:
        """The log of the store that was exported, as it is hashed; see `LogStoreBase.entry_rows`."""
        table = self._files[ENTRIES].read(SCHEMAS[ENTRIES].names).sort_by("seq")
        return list(zip(*(column.to_pylist() for column in table.columns), strict=True))

    def log_head(self) -> LogHead:
        """The head of that log. Raises StoreError where there is none, NotOurFileError for a damaged one."""
        if not self.has_proofs:
            raise StoreError(
                f"{self!r} holds no proofs: it was exported from a store that gives none, or by an older ftnb"
            )
        try:
            size, frontier = int(self._marks[LOG_SIZE]), bytes.fromhex(self._marks[LOG_FRONTIER])
        except (KeyError, ValueError) as error:
            raise NotOurFileError(f"{str(self.path)!r} has a damaged head ({error}); get the export again") from error
        return LogHead(size, frontier, self._marks.get(LOG_NOTE))

    def close(self) -> None:
        """Forget what was read. Closing twice is fine."""
        self._blobs.clear()

    # --- what a read-only store refuses ---

    def _refuse(self, what: str) -> NoReturn:
        raise StoreError(f"cannot {what}: {self!r} is an export and read-only; record into an SQLite store instead")

    def append(self, record: Record) -> None:
        """Raises StoreError."""
        self._refuse("append a record")

    def append_drafts(self, drafts: Sequence[Draft]) -> None:
        """Raises StoreError."""
        self._refuse("append records")

    def encode(self, drafts: Sequence[Draft]) -> Batch:
        """Raises StoreError."""
        self._refuse("append records")

    def commit(self, batch: Batch) -> None:
        """Raises StoreError."""
        self._refuse("append records")

    def abandon(self, batch: Batch) -> None:
        """Nothing was begun."""

    def append_entry(self, kind: str, fields: Mapping[str, Any]) -> None:
        """Raises StoreError."""
        self._refuse("add an entry")

    def purge(self, engagement_id: str) -> bool:
        """Raises StoreError."""
        self._refuse(f"purge engagement {engagement_id!r}")


class _Held:
    """A table of the evidence that is in memory."""

    marks: dict[str, str] = {}  # noqa: RUF012  (never written to)

    def __init__(self, table: pa.Table) -> None:
        self._table = table

    def read(self, columns: Sequence[str], engagement_id: str | None = None) -> pa.Table:
        """These columns, of all engagements or of one."""
        table = self._table
        if engagement_id:
            table = table.filter(pc.equal(table["engagement_id"], engagement_id))
        return table.select(list(columns))


def _any_of(masks: list[Any]) -> Any:
    mask = masks[0]
    for other in masks[1:]:
        mask = pc.or_(mask, other)
    return mask
