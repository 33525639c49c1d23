"""A folder of Parquet to record into.

What is recorded is committed to a small SQLite file in the folder, as `store.sqlite` does it. When turns are over,
their records and values are published as Parquet segments, which are never changed; a manifest lists them, and small
ones are merged. Whoever reads sees both as one log, each record once, at any moment of this.
"""

from __future__ import annotations

import logging
import random
import sqlite3
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from ..core.errors import FtnbError, NotOurFileError, SchemaVersionError, StoreError
from . import _barrier, _drives, _entries
from ._entries import Entry
from ._parquet_file import BLOBS, ENTRIES, RECORDS, SCHEMAS, STREAMS
from ._published import SUMMARISED, any_of, by_seq, merged, summaries_of
from ._segments import MANIFEST, SORTED_BY, TAIL, Folder, SegmentGone, is_store, read_manifest
from ._sqlite_columns import told
from ._tables import summarise
from ._tail import Outdated, Ready, Segment, TailReader, TailWriter, Without, ensure_tables, kept_summary
from ._writer import Batch, StreamHead
from .base import EngagementSummary
from .leaf import NAMES, Row
from .sqlite import SQLiteStore

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pyarrow as pa

logger = logging.getLogger("ftnb")
T = TypeVar("T")
P = TypeVar("P")

PUBLISH_ROWS, PUBLISH_BYTES = 50_000, 64 << 20
"""What one segment holds, about; one engagement is never divided."""
PUBLISH_SECONDS = 60.0
"""After which ended turns are published although there are few."""
MERGE_FROM = 16
"""So many small segments are merged into one."""
SMALL_ROWS, SMALL_BYTES = 100_000, 16 << 20
MERGED_ROWS, MERGED_BYTES = 500_000, 128 << 20
_KEPT_BLOBS = 8
_PAGE_PUBLISHED = 50_000
_TRIES = 20


class ParquetStore(SQLiteStore):
    """A trace store in a folder of Parquet segments; see `store.base` for what every store promises.

    Any number of processes may record into one folder on a local disk. `read_only` changes nothing in it.

    Raises StoreError when `folder` cannot be made or opened, NotOurFileError when something else is in it,
    SchemaVersionError when a newer ftnb wrote it.
    """

    def __init__(self, folder: str | Path, *, read_only: bool = False) -> None:
        self.folder = Path(folder).expanduser()
        self._prepare(read_only=read_only)
        self._files = Folder(self.folder)
        self._published_blobs: OrderedDict[str, tuple[int, dict[str, bytes]]] = OrderedDict()
        self._n_waiting, self._published_at = 0, time.monotonic()
        self._publishing = threading.Lock()
        self._said_why_not = False
        super().__init__(self.folder / TAIL, read_only=read_only, shared_drive=False)
        self.url, self.place = f"parquet://{self.folder.resolve()}", f"the store {self.folder}"
        self._feed = self._new_feed()
        if not read_only:
            self._repair()

    def __repr__(self) -> str:
        return f"ParquetStore({str(self.folder)!r})"

    # --- opening ---

    def _prepare(self, *, read_only: bool) -> None:
        folder = self.folder
        if not read_only and _drives.is_shared(folder):
            raise StoreError(
                f"cannot record into {str(folder)!r}: it is on a drive that several machines share, where the locks of "
                "its tail do not work. Record into a folder of this machine, or into an SQLite file there, and copy it"
            )
        if not folder.exists() and not read_only:
            if not folder.resolve().parent.is_dir():
                parent = str(folder.resolve().parent)
                raise StoreError(
                    f"cannot make the store {str(folder)!r}: there is no folder {parent!r}; create it first"
                )
            try:
                folder.mkdir(exist_ok=True)
            except OSError as error:
                raise StoreError(f"cannot make the store {str(folder)!r}: {error.strerror or error}") from error
        _ensure_ours(folder, read_only=read_only)

    def _open(self) -> sqlite3.Connection:
        if not self.read_only and not Path(self.path).parent.is_dir():
            self._prepare(read_only=False)  # the whole folder was deleted under us
        connection = super()._open()
        if not self.read_only:
            try:
                ensure_tables(connection, self.path)
            except BaseException:
                connection.close()
                raise
        return connection

    def _connect(self) -> None:
        super()._connect()
        self._writer = TailWriter(self._write, self.path, self._seqs_of)

    def _new_reader(self) -> TailReader:
        plain = super()._new_reader()
        return TailReader(plain.connection, plain.lock, self.path, self._summary)

    @property
    def _tail(self) -> TailWriter:
        assert isinstance(self._writer, TailWriter)
        return self._writer

    @property
    def _catalogue(self) -> TailReader:
        assert isinstance(self._reader, TailReader)
        return self._reader

    def _repair(self) -> None:
        """What a crash left undone."""
        try:
            manifest = read_manifest((self.folder / MANIFEST).read_bytes(), str(self.folder / MANIFEST))
            is_old = manifest.get("generation") != self._catalogue.generation()
        except (OSError, NotOurFileError):
            is_old = True
        if self._files.strays(self._listed()):
            self._tail.outdate()  # if another process is at it, it makes them again
            is_old = True
        if is_old:
            self._write_manifest()
            self._clean()

    # --- publishing ---

    def publish(self, *, everything: bool = False) -> int:
        """Publish what is over now, not when it is much enough; how many records that were. `everything`: also turns
        that go on. Raises StoreError."""
        self._ensure_writable("publish")
        _barrier.wait(self.url)
        with self._publishing:
            n = 0
            while (some := self._publish_some(everything=everything)) is not None:
                n += some
            self._merge()
            self._write_manifest()
            self._clean()
        return n

    def _publish(self, batch: Batch, seqs: dict[int, int]) -> None:
        super()._publish(batch, seqs)
        self._n_waiting += len(seqs)
        if self._n_waiting >= PUBLISH_ROWS or time.monotonic() - self._published_at >= PUBLISH_SECONDS:
            self._publish_if_it_can()

    def _publish_if_it_can(self) -> None:
        """What cannot be published now stays where it is, and is tried again."""
        self._n_waiting, self._published_at = 0, time.monotonic()
        try:
            self.publish()
        except FtnbError as error:
            if not self._said_why_not:
                self._said_why_not = True
                logger.warning("ftnb: %s: what is over stays in its tail for now: %s", self.place, error)

    def _publish_some(self, *, everything: bool = False, entries: bool = False) -> int | None:
        """Publish one segment; None: there is nothing to publish. With `entries`, also only what the store's own log
        has to say."""
        for attempt in range(_TRIES):
            try:
                with self._snapshot():
                    ready = self._catalogue.ready(PUBLISH_ROWS, PUBLISH_BYTES, everything=everything)
                    if not ready.eids and not (entries and ready.tables[ENTRIES].num_rows):
                        return None
                    self._add_summaries(ready)
            except SegmentGone:
                continue
            made = {
                table: self._files.write(table, data, ready.generation)
                for table, data in ready.tables.items()
                if data.num_rows
            }
            size = sum(self._files.size_of(*place) for place in made.items())
            with self._write_lock:
                if self._tail.take_in(ready, made, size):
                    return int(ready.tables[RECORDS].num_rows)
            self._files.discard(made.items())
            _step_aside(attempt)
        raise StoreError(f"{self.place} is being changed by others all the time; nothing was published")

    def _add_summaries(self, ready: Ready) -> None:
        eids = self._catalogue.eids_of(map(str, ready.tables[RECORDS]["engagement_id"].unique().to_pylist()))
        known = self._catalogue.partly_published(list(eids.values()))
        again = [engagement_id for engagement_id, eid in eids.items() if eid in known]
        parts = [ready.tables[RECORDS].select(list(SUMMARISED))]
        if again:
            names = {
                one.files[RECORDS] for key in again for one in self._catalogue.segments(key) if RECORDS in one.files
            }
            parts.append(self._files.read(RECORDS, sorted(names), SUMMARISED, engagement_ids=again))
        ready.summaries = {eids[one.id]: kept_summary(one) for one in summaries_of(parts)}

    def _merge(self) -> None:
        """Merge small segments, when there are many."""
        for attempt in range(_TRIES):
            with self._snapshot():
                generation = self._catalogue.generation()
                chosen = _to_merge(self._catalogue.segments())
            if not chosen:
                return
            made = {}
            for table in (RECORDS, BLOBS, STREAMS, ENTRIES):
                names = [one.files[table] for one in chosen if table in one.files]
                data = self._files.read(table, names, SCHEMAS[table].names)
                if data.num_rows:
                    made[table] = self._files.write(table, merged(table, data), generation)
            size = sum(self._files.size_of(*place) for place in made.items())
            with self._write_lock:
                done = self._tail.merge(generation, chosen, made, size)
            if done:
                self._files.retire([place for one in chosen for place in one.places])
            else:
                self._files.discard(made.items())
                _step_aside(attempt)

    def _write_manifest(self) -> None:
        """Until the manifest says what the catalogue says: another process may have been in between."""
        while True:
            with self._snapshot():
                said = self._catalogue.manifest()
            self._files.write_manifest(said)
            if self._catalogue.generation() == said["generation"]:
                return

    def _clean(self, *, everything: bool = False) -> None:
        with self._snapshot():
            generation, listed = self._catalogue.generation(), self._listed()
        self._files.clean(generation, listed, everything=everything)

    def _listed(self) -> set[tuple[str, str]]:
        return {place for one in self._catalogue.segments() for place in one.places}

    # --- erasing ---

    def _purge(
        self,
        engagement_id: str,
        receipt: Callable[[Sequence[StreamHead]], Entry],
        unless: Callable[[int, int], bool],
    ) -> bool:
        return bool(self._purge_all({engagement_id: receipt}, lambda _, last, size: unless(last, size)))

    def _purge_many(self, whys: Mapping[str, Mapping[str, Any]], unless: Callable[[str, int, int], bool]) -> list[str]:
        receipts = {key: partial(_entries.receipt, key, fields=dict(why)) for key, why in whys.items()}
        return self._purge_all(receipts, unless)

    def _purge_all(self, receipts: Mapping[str, Any], unless: Callable[[str, int, int], bool]) -> list[str]:
        self._ensure_writable("purge")
        asked = dict(receipts)

        def change(without: Without) -> list[str]:
            return self._tail.purge_published(asked, unless, self.signer, without)

        while True:
            try:
                return self._changed(list(asked), change)
            except Outdated as refused:
                asked = {key: receipt for key, receipt in asked.items() if key in (refused.only or ())}

    def _redact(
        self,
        engagement_id: str,
        records: Sequence[tuple[Any, ...]],
        blobs: Sequence[str],
        said: Entry,
        unless: Callable[[int], bool],
    ) -> int:
        self._ensure_writable("redact")

        def change(without: Without) -> int:
            return self._tail.redact_published(engagement_id, records, blobs, said, self.signer, without, unless)

        try:
            return self._changed([engagement_id], change)
        except Outdated:
            return 0

    def _changed(self, engagement_ids: Sequence[str], change: Callable[[Without], T]) -> T:
        """Do something that takes engagements out of the segments: these are written anew, and the old ones go at once.

        Raises Outdated when it was not done."""
        for attempt in range(_TRIES):
            without = self._without(engagement_ids)
            try:
                done = change(without)
            except Outdated as outdated:
                self._files.discard(without.made)
                if outdated.only is not None:
                    raise
                _step_aside(attempt)
                continue
            except BaseException:
                self._files.discard(without.made)
                raise
            self._published_blobs.clear()
            self._files.discard(without.replaced)
            self._publish_some_entries()
            self._write_manifest()
            self._clean(everything=True)
            return done
        raise StoreError(f"{self.place} is being changed by others all the time; nothing was erased")

    def _publish_some_entries(self) -> None:
        if self._catalogue.segments():
            self._publish_some(entries=True)

    def _without(self, engagement_ids: Sequence[str]) -> Without:
        """Files like those that hold something of the engagements, without it."""
        import pyarrow as pa
        import pyarrow.compute as pc

        with self._snapshot():
            generation = self._catalogue.generation()
            found = {one.id: one for key in engagement_ids for one in self._catalogue.segments(key)}
        without = Without(generation, frozenset())
        ids, taken = pa.array(list(engagement_ids), pa.string()), dict[str, list[pa.Table]]()
        try:
            for segment in found.values():
                files, n = dict(segment.files), segment.n_records
                for table in (RECORDS, BLOBS, STREAMS):
                    if table not in files:
                        continue
                    data = self._files.read(table, [files[table]], SCHEMAS[table].names)
                    is_gone: Any = pc.is_in(data["engagement_id"], value_set=ids)
                    gone, kept = data.filter(is_gone), data.filter(pc.invert(is_gone))
                    if not gone.num_rows:
                        continue
                    taken.setdefault(table, []).append(gone)
                    without.replaced.add((table, files.pop(table)))
                    if kept.num_rows:
                        files[table] = self._files.write(table, kept, generation)
                        without.made.add((table, files[table]))
                    n -= gone.num_rows if table == RECORDS else 0
                without.changed[segment.id] = (files, n)
        except BaseException:
            self._files.discard(without.made)
            raise
        tables = {
            table: pa.concat_tables(taken[table]) if table in taken else SCHEMAS[table].empty_table()
            for table in (RECORDS, BLOBS)
        }
        without.records, without.blobs = tables[RECORDS], tables[BLOBS]
        without.engagement_ids = frozenset(map(str, without.records["engagement_id"].unique().to_pylist()))
        return without

    def vacuum(self) -> None:
        """Merge what is small, and write the tail anew, without the remains of what was purged or published."""
        self._ensure_writable("vacuum")
        with self._publishing:
            self._merge()
            self._write_manifest()
            self._clean()
        with self._write_lock:
            self._write_anew()

    def advice(self) -> list[tuple[bool | None, str]]:
        """How much of it is published."""
        segments = self._catalogue.segments()
        n = sum(one.n_records for one in segments)
        return [(None, f"{n:,} records in {len(segments)} segments, {self._n_records() - n:,} in the tail")]

    # --- reading ---

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

    # --- the end ---

    def _ensure_writable(self, what: str) -> None:
        if self.read_only:
            raise StoreError(f"cannot {what}: {self.place} was opened for reading only")

    def _close(self) -> None:
        if self._n_waiting and not self.read_only:
            self._publish_if_it_can()
        super()._close()


def _ensure_ours(folder: Path, *, read_only: bool) -> None:
    """Raises what the constructor says."""
    if not folder.is_dir():
        what = "it is no folder" if folder.exists() else "there is no such folder"
        raise StoreError(f"cannot open the Parquet store {str(folder)!r}: {what}")
    if not is_store(folder):
        found = sorted(entry.name for entry in folder.iterdir())
        if f"{RECORDS}.parquet" in found:
            raise NotOurFileError(
                f"{str(folder)!r} is an export, which does not change; open it with ftnb.open(), record into another "
                "folder"
            )
        if found or read_only:
            shown = ", ".join(found[:5]) or "nothing"
            raise NotOurFileError(f"{str(folder)!r} is no Parquet store (found: {shown}), and was left as it is")
        return
    manifest = folder / MANIFEST
    try:
        said = read_manifest(manifest.read_bytes(), str(manifest))
    except FileNotFoundError:
        return  # a crash right after it was made
    except SchemaVersionError:
        raise
    except NotOurFileError:
        if not (folder / TAIL).is_file():
            raise
        return  # it is written again from the catalogue
    except OSError as error:
        raise StoreError(f"cannot read {str(manifest)!r}: {error.strerror or error}") from error
    if said["segments"] and not (folder / TAIL).is_file():
        raise StoreError(
            f"the store {str(folder)!r} has lost its {TAIL}: what was published can be read with ftnb.open(), and "
            f"ftnb.copy({str(folder)!r}, 'parquet:///another/folder') makes a store of it that can be recorded into"
        )


def _to_merge(segments: Sequence[Segment]) -> list[Segment]:
    """Small segments that make one, when there are many; else none."""
    small = [one for one in segments if one.n_records < SMALL_ROWS and one.n_bytes < SMALL_BYTES]
    chosen, rows, size = list[Segment](), 0, 0
    for one in small if len(small) >= MERGE_FROM else ():
        if chosen and (rows + one.n_records > MERGED_ROWS or size + one.n_bytes > MERGED_BYTES):
            break
        chosen.append(one)
        rows, size = rows + one.n_records, size + one.n_bytes
    return chosen if len(chosen) > 1 else []


def _step_aside(attempt: int) -> None:
    """Let whoever changes the same files be done first."""
    time.sleep(random.uniform(0, min(0.01 * 2**attempt, 1.0)))


def _names(segments: Sequence[Segment], table: str) -> list[str]:
    return [one.files[table] for one in segments if table in one.files]


def _by_seq(row: tuple[int, Row]) -> int:
    return row[0]
