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
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from ..core.errors import FtnbError, InvalidArgumentError, NotOurFileError, StoreError
from . import _barrier, _drives, _entries
from ._entries import Entry
from ._parquet_file import BLOBS, ENTRIES, RECORDS, SCHEMAS, STREAMS
from ._parquet_reads import ParquetReads
from ._published import SUMMARISED, merged, summaries_of
from ._segments import MANIFEST, TAIL, Folder, SegmentGone, ensure_ours, read_manifest
from ._tail import Outdated, Ready, Segment, TailReader, Without, ensure_tables, kept_summary
from ._tail_write import TailWriter
from ._writer import Batch, StreamHead

if TYPE_CHECKING:
    pass

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
_TRIES = 20


class ParquetStore(ParquetReads):
    """A trace store in a folder of Parquet segments; see `store.base` for what every store promises.

    Any number of processes may record into one folder on a local disk. `read_only` changes nothing in it.

    Raises StoreError when `folder` cannot be made or opened, NotOurFileError when something else is in it,
    SchemaVersionError when a newer ftnb wrote it.
    """

    def __init__(self, folder: str | Path, *, read_only: bool = False) -> None:
        if "\x00" in str(folder):
            raise InvalidArgumentError(f"no folder can be called {str(folder)!r}: it holds a NUL")
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
        ensure_ours(folder, read_only=read_only)

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

    # --- the end ---

    def _ensure_writable(self, what: str) -> None:
        if self.read_only:
            raise StoreError(f"cannot {what}: {self.place} was opened for reading only")

    def _close(self) -> None:
        if self._n_waiting and not self.read_only:
            self._publish_if_it_can()
        super()._close()


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
