"""An exported trace, read back: a folder or file that `Traces.to_parquet` wrote, here or in an object store. Read-only.

So is read what was published of a Parquet store (`store.parquet`) that is out of reach for SQLite, by its manifest.

Everything is computed from the evidence in it (records, blobs, streams), never from the views beside them.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, cast

import orjson
import polars as pl
import pyarrow as pa
import pyarrow.compute

from ..core.errors import InvalidArgumentError, NotOurFileError, StoreError, UnknownEngagementError
from ..core.ids import from_us
from ..core.model import Engagement
from ._entries import EntryRow, LogHead
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
    Evidence,
    EvidenceFile,
    Held,
)
from ._parquet_published import published
from ._published import SUMMARISED, any_of, summaries_of
from ._read_only import ReadOnly
from ._remote import AnyPath, is_remote, remote
from ._writer import clean_id
from .base import EngagementSummary, matches
from .blobs import Resolver
from .leaf import NAMES
from .reconstruct import fold
from .records import BaseRecord
from .rows import record_or_gap

pc: Any = pyarrow.compute  # its stubs know neither bytes patterns nor chunked tables
MANIFEST = "manifest.json"
_KEPT_BLOBS = 8
"""Engagements whose blobs are kept in memory."""


class ParquetExport(ReadOnly):
    """A read-only trace store over an exported folder or file; see `store.base` for what every store promises.

    Raises StoreError when nothing is there, NotOurFileError when it is no export of ours or damaged, SchemaVersionError
    when a newer ftnb wrote it. Damage that shows only on reading is raised then, as NotOurFileError.
    """

    def __init__(self, path: str | AnyPath) -> None:
        self.path: Any = place_of(path)
        if not self.path.exists():
            raise StoreError(f"nothing to open at {str(path)!r}: there is no such file or folder")
        self.url = f"parquet://{self.path.resolve()}" if isinstance(self.path, Path) else str(self.path)
        self._blobs: OrderedDict[str, dict[str, bytes]] = OrderedDict()
        self._files: dict[str, Evidence]
        manifest = self.path / MANIFEST
        self.is_published = False
        """Whether it is what was published of a store, by its manifest: no export with views and checksums."""
        if not self.path.is_file() and not (self.path / f"{RECORDS}.parquet").is_file() and manifest.is_file():
            self._files, self._marks = published(self.path, manifest)
            self.is_published = True
        else:
            self._files = {name: EvidenceFile(self._place(name), name) for name in EVIDENCE}
            self._marks = self._files[RECORDS].marks
        self.has_proofs = LOG_SIZE in self._marks
        self.is_partial = PARTIAL in self._marks
        if self.has_proofs and ENTRIES not in self._files:
            self._files[ENTRIES] = EvidenceFile(self._place(ENTRIES), ENTRIES)

    is_export = True
    """Content may be left out of it, its commitments may not."""

    @classmethod
    def of_tables(cls, tables: Mapping[str, pa.Table]) -> ParquetExport:
        """An export that is not written yet."""
        store = cls.__new__(cls)
        store.path, store.url = Path(), f"tables:{id(tables)}"
        store._files = {name: Held(table) for name, table in tables.items()}
        store._blobs, store._marks, store.has_proofs, store.is_partial = OrderedDict(), {}, False, False
        store.is_published = False
        return store

    def __repr__(self) -> str:
        return f"ParquetExport({str(self.path)!r})"

    def _place(self, table: str) -> AnyPath:
        if self.path.is_file():
            return cast("AnyPath", self.path)
        if not (self.path / f"{RECORDS}.parquet").is_file():
            found = ", ".join(sorted(entry.name for entry in self.path.iterdir())[:5]) or "nothing"
            raise NotOurFileError(
                f"the folder {str(self.path)!r} is no export of ftnb: it has no {RECORDS}.parquet (found: {found})"
            )
        return cast("AnyPath", self.path / f"{table}.parquet")

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
        table = self._files[RECORDS].read(SUMMARISED, only)
        rows = table.filter(pc.is_in(table["engagement_id"], pa.array(ids.to_list(), pa.string())))
        found = {one.id: one for one in summaries_of([rows])}
        return (found[engagement_id].build() for engagement_id in ids)

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
            table = table.filter(any_of(table["body"], containing))
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

    def kept_blobs(self, engagement_id: str) -> list[tuple[str, bytes, str, bytes]]:
        """(blob_id, salt, media, data) of an engagement's blobs, as they are kept.

        Meant for one engagement after the other, in the order of their ids: a part of the file is read once for all.
        """
        table = self._files[BLOBS].read_next(clean_id(engagement_id))
        columns = (table[name].to_pylist() for name in ("blob_id", "salt", "media", "data"))
        return list(zip(*columns, strict=True))

    def revision(self) -> tuple[int, int]:
        """Always the same: an export does not change."""
        return 0, 0

    def store_entries(self, *types: str) -> list[dict[str, Any]]:
        """The log of the store that was exported; empty where it gave no proofs."""
        if not self.has_proofs:
            return []
        return [
            {**orjson.loads(body), "seq": seq, "at": from_us(at), "type": kind}
            for seq, at, kind, body in self.entry_rows()
            if not types or kind in types
        ]

    def entry_rows(self, *, wait: bool = True, after: int = 0, n: int = -1) -> list[EntryRow]:
        """The log of the store that was exported, as it is hashed; see `LogStoreBase.entry_rows`."""
        table = self._files[ENTRIES].read(SCHEMAS[ENTRIES].names).sort_by("seq")
        table = table.slice(after, None if n < 0 else n)
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


def place_of(path: str | AnyPath) -> AnyPath:
    """The file or folder at a path or URL. Raises MissingPackageError, InvalidArgumentError, StoreError."""
    if isinstance(path, str) and is_remote(path):
        return remote(path)
    return Path(path).expanduser() if isinstance(path, str | Path) else path
