"""Reading a folder of Parquet: the tail and the segments as one log, of one moment."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeVar

from ..core.errors import StoreError
from ._parquet_file import BLOBS, RECORDS, SCHEMAS
from ._published import any_of, by_seq
from ._segments import SORTED_BY, Folder, SegmentGone
from ._sqlite_columns import told
from ._sqlite_read import RECORD_BYTES
from ._tables import summarise
from ._tail import Segment, TailReader
from .base import EngagementSummary
from .leaf import NAMES, Row
from .sqlite import SQLiteStore

if TYPE_CHECKING:
    import pyarrow as pa

T = TypeVar("T")
P = TypeVar("P")

_KEPT_BLOBS = 8
"""Engagements whose published values are kept in memory."""
_PAGE_PUBLISHED = 50_000
"""Published rows that a follower is given at once."""


class ParquetReads(SQLiteStore):
    """The reading half of `parquet.ParquetStore`."""

    scan_parts: Any = None
    """What SQLite packs is only the tail: `scan` reads both."""
    _files: Folder
    _published_blobs: OrderedDict[str, tuple[int, dict[str, bytes]]]

    @property
    def _catalogue(self) -> TailReader:
        assert isinstance(self._reader, TailReader)
        return self._reader

    @contextmanager
    def _snapshot(self, reader: TailReader | None = None) -> Iterator[None]:
        """Several reads of one state of tail and catalogue."""
        reader = reader or self._catalogue
        with reader.lock, told(self.path):
            if reader.connection.in_transaction:
                yield
                return
            reader.connection.execute("BEGIN")
            try:
                yield
            finally:
                reader.connection.rollback()

    def _seen(
        self,
        look: Callable[[], tuple[T, list[Segment]]],
        read: Callable[[list[Segment]], P],
        reader: TailReader | None = None,
    ) -> tuple[T, P]:
        """What is in the tail, and what is in the segments, of one moment; segments that were replaced while they were
        read are looked up anew."""
        reader, seen = reader or self._catalogue, None
        while True:
            with self._snapshot(reader):
                generation = reader.generation()
                tail, segments = look()
            try:
                return tail, read(segments)
            except SegmentGone:
                if generation == seen or reader.connection.in_transaction:
                    raise
                seen = generation

    def _rows(self, engagement_id: str) -> list[tuple[int, Row]]:
        reader = self._catalogue
        tail, published = self._seen(
            lambda: (reader.rows(engagement_id), reader.segments(engagement_id)),
            lambda segments: self._read(segments, engagement_ids=[engagement_id]),
        )
        return sorted([*published, *tail], key=_by_seq)

    def _read(self, segments: Sequence[Segment], **which: Any) -> list[tuple[int, Row]]:
        if not segments:
            return []
        table = self._files.read(RECORDS, _names(segments, RECORDS), ["seq", *NAMES], **which)
        return [(seq, tuple(row)) for seq, *row in zip(*(column.to_pylist() for column in table.columns), strict=True)]

    def _rows_after(self, after: int, limit: int) -> list[tuple[int, Row]]:
        reader = self._tail_reader
        assert isinstance(reader, TailReader)
        tail, published = self._seen(
            lambda: (reader.rows_after(after, limit), reader.segments(after=after)),
            lambda segments: self._page(segments, after),
            reader,
        )
        if not published:
            return tail
        # A page of either ends somewhere: what is behind the end of one may be missing from the other.
        ends = [rows[-1][0] for rows, size in ((tail, limit), (published, _PAGE_PUBLISHED)) if len(rows) >= size]
        until = min(ends, default=max(rows[-1][0] for rows in (tail, published) if rows))
        return [one for one in sorted([*published, *tail], key=_by_seq) if one[0] <= until]

    def _page(self, segments: Sequence[Segment], after: int) -> list[tuple[int, Row]]:
        """The next published rows after a seq, so many that reading the segments again for the next pays."""
        import pyarrow.compute as pc

        if not segments:
            return []
        names = _names(segments, RECORDS)
        seqs: Any = self._files.read(RECORDS, names, ["seq"], after=after)["seq"]
        if len(seqs) > _PAGE_PUBLISHED:
            seqs = seqs.take(pc.sort_indices(seqs)[:_PAGE_PUBLISHED])
        if not len(seqs):
            return []
        until = int(pc.max(seqs).as_py())
        return sorted(self._read(segments, after=after, until=until), key=_by_seq)

    def _seqs_of(self, engagement_id: str, rows: Sequence[Row]) -> dict[tuple[str, int], int]:
        """The seqs of rows that were published, by stream and position."""
        with self._snapshot():
            names = _names(self._catalogue.segments(engagement_id), RECORDS)
        table = self._files.read(RECORDS, names, ["stream_id", "n", "seq"], engagement_ids=[engagement_id])
        columns: Any = [column.to_pylist() for column in table.columns]
        return {(stream, n): seq for stream, n, seq in zip(*columns, strict=True)}

    def _summaries(self, where: Mapping[str, Any], limit: int | None, newest: bool) -> list[EngagementSummary]:
        while True:
            with self._snapshot():
                generation = self._catalogue.generation()
                try:
                    return self._catalogue.summaries(where, limit=limit, newest=newest)
                except SegmentGone:
                    pass
            if self._catalogue.generation() == generation:
                raise StoreError(f"{self.place} misses a segment; read engagements that are whole one by one")

    def _summary(self, engagement_id: str) -> EngagementSummary:
        return summarise(engagement_id, self._rows(engagement_id))

    def _blob(self, engagement_id: str, blob_id: str) -> bytes | None:
        found = self._catalogue.blob(engagement_id, blob_id)
        return self._published_of(engagement_id).get(blob_id) if found is None else found

    def _blobs_of(self, engagement_id: str) -> dict[str, bytes]:
        tail = self._catalogue.blobs_of(engagement_id)
        return {**self._published_of(engagement_id), **tail}

    def kept_blobs(self, engagement_id: str) -> list[Row]:
        """(blob_id, salt, media, data) of an engagement's blobs, as they are kept."""
        columns = ["blob_id", "salt", "media", "data"]
        tail, table = self._seen(
            lambda: (SQLiteStore.kept_blobs(self, engagement_id), self._catalogue.segments(engagement_id)),
            lambda parts: self._files.read(BLOBS, _names(parts, BLOBS), columns, engagement_ids=[engagement_id]),
        )
        return [*tail, *zip(*(column.to_pylist() for column in table.columns), strict=True)]

    def _published_of(self, engagement_id: str) -> dict[str, bytes]:
        """The published values of an engagement."""
        generation = self._catalogue.generation()
        kept = self._published_blobs.get(engagement_id)
        if kept is None or kept[0] != generation:
            columns = ["blob_id", "data"]
            _, table = self._seen(
                lambda: (None, self._catalogue.segments(engagement_id)),
                lambda parts: self._files.read(BLOBS, _names(parts, BLOBS), columns, engagement_ids=[engagement_id]),
            )
            values: Any = [table[name].to_pylist() for name in columns]
            kept = (generation, dict(zip(*values, strict=True)))
            self._published_blobs[engagement_id] = kept
            while len(self._published_blobs) > _KEPT_BLOBS:
                self._published_blobs.pop(next(iter(self._published_blobs)), None)
        return kept[1]

    def _scan(
        self,
        columns: Sequence[str],
        types: Sequence[str],
        engagement_id: str | None,
        after: int,
        containing: Sequence[bytes],
    ) -> pa.Table:
        import pyarrow as pa

        reader, only = self._catalogue, None if engagement_id is None else [engagement_id]
        wanted = list(dict.fromkeys([*columns, "seq"]))

        def tail() -> tuple[pa.Table, list[Segment]]:
            found = reader.scan(wanted, types=types, engagement_id=engagement_id, after=after, containing=containing)
            return found, reader.segments(engagement_id, after)

        def published(segments: list[Segment]) -> pa.Table:
            needed = [*wanted, "body"] if containing and "body" not in wanted else wanted
            names = _names(segments, RECORDS)
            table = self._files.read(RECORDS, names, needed, engagement_ids=only, types=types, after=after)
            return (table.filter(any_of(table["body"], containing)) if containing else table).select(wanted)

        mine, theirs = self._seen(tail, published)
        if not theirs.num_rows:
            return mine.select(list(columns))
        return by_seq(pa.concat_tables([theirs, mine])).select(list(columns))

    def engagement_sizes(self) -> list[tuple[str, int]]:
        """The id of each engagement, and about how many bytes its records are."""
        streams: Any = self.scan_streams().group_by("engagement_id").aggregate([("size", "sum")])
        records = zip(streams["engagement_id"].to_pylist(), streams["size_sum"].to_pylist(), strict=True)
        return [(engagement_id, RECORD_BYTES * n) for engagement_id, n in records]

    def scan_engagements(self, engagement_ids: Sequence[str]) -> tuple[pa.Table, pa.Table]:
        """The records (`seq` and all columns) and blobs of these engagements, as they are kept."""
        import pyarrow as pa

        mine, theirs = self._seen(
            lambda: (self._catalogue.scan_engagements(engagement_ids), self._catalogue.segments()),
            lambda segments: [
                self._files.read(table, _names(segments, table), SCHEMAS[table].names, engagement_ids=engagement_ids)
                for table in (RECORDS, BLOBS)
            ],
        )
        records, blobs = (pa.concat_tables(parts) for parts in zip(theirs, mine, strict=True))
        return records, blobs

    def _scan_blobs(self) -> pa.Table:
        return self._whole(BLOBS, self._catalogue.scan_blobs)

    def _whole(self, table: str, tail: Callable[[], pa.Table]) -> pa.Table:
        import pyarrow as pa

        mine, theirs = self._seen(
            lambda: (tail(), self._catalogue.segments()),
            lambda segments: self._files.read(table, _names(segments, table), SCHEMAS[table].names),
        )
        order: Any = SORTED_BY[table]
        return pa.concat_tables([theirs, mine]).sort_by(order) if theirs.num_rows else mine


def _names(segments: Sequence[Segment], table: str) -> list[str]:
    return [one.files[table] for one in segments if table in one.files]


def _by_seq(row: tuple[int, Row]) -> int:
    return row[0]
