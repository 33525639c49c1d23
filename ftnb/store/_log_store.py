"""What every store of ours does the same way: own streams, all or nothing, reading after writing, live records.

A backend says how rows are written and read (`_commit`, `_rows`, …); everything that `store.base` promises beyond that
is here, once.
"""

from __future__ import annotations

import functools
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec, TypeVar, cast

import orjson

from ..core import redact
from ..core.canonical import dumps
from ..core.errors import FtnbError, InvalidArgumentError, StoreError, UnknownEngagementError
from ..core.ids import from_us, new_id
from ..core.model import Engagement
from . import _barrier
from ._entries import SEAL_SECONDS, Entry, EntryRow, LogHead, Signer, receipt, seal, seals_of
from ._forks import acquire_all, release
from ._live import Feed, Subscription
from ._masked import TYPE as MASKED
from ._masked import Masks, masks_in, masks_of, overlay, shown
from ._writer import Batch, LogWriter, StreamHead, clean_id
from .base import EngagementSummary
from .blobs import Resolver
from .draft import Draft, Stream, of_record
from .leaf import COLUMNS, Profile, Row
from .reconstruct import fold
from .records import BaseRecord, Record
from .rows import record_or_gap

if TYPE_CHECKING:
    import pyarrow as pa

DTYPES: dict[str, str] = {"seq": "int", **{column.name: column.dtype for column in COLUMNS}}
"""The columns that a scan can give."""
_MAX_OWN_STREAMS = 1_000
_TAIL_PAGE = 1_000


class LogStoreBase(ABC):
    """The shared half of a store; see `store.base` for what it promises."""

    has_proofs = True
    """Whether the store's own log is a tree with a head, and turns are sealed."""
    client_error: type[Exception] = StoreError
    """What the backend's own client raises; `told` makes a StoreError of it."""
    explain: Callable[[Exception], str] = staticmethod(str)
    """What such an error says to a user."""

    def __init__(self, url: str, place: str, *, shared: bool) -> None:
        """`place` names the store in messages; `shared`: other processes may write to it too."""
        self.url = url
        self.place = place
        self._write_lock = threading.RLock()
        self._log = LogWriter(self)
        self._shared = shared
        self._feed = self._new_feed()
        self._own_streams: dict[str, Stream] = {}
        self._closed = False
        self._kept_masks: tuple[int, Masks] | None = None
        self._unsealed: dict[str, float] = {}
        """Since when (monotonic) streams have waited for a seal, as far as this process knows."""
        self.signer: Signer | None = None
        """Signs the head of the store's own log whenever that grows; None: it stays unsigned."""
        self.profile: Profile = "hash"
        """How new records are committed to; `audit`: field by field, see `leaf`."""

    def _new_feed(self) -> Feed:
        wait = self._wait_for_others if self._shared else None
        return Feed(self._position, self._since, wait, self.place)

    # --- what a backend says ---

    @abstractmethod
    def _commit(self, batch: Batch, entries: Sequence[Entry]) -> dict[int, int]:
        """Write a batch, all of it or nothing; the seq of each row that is there now, by its place in the batch.

        Rows of purged engagements are counted and not written, rows that are there already are left as they are.
        `entries` are seals of the batch's streams: they are added unless nothing else was new. Called under the write
        lock. Raises StoreError.
        """

    @abstractmethod
    def _purge(
        self,
        engagement_id: str,
        receipt: Callable[[Sequence[StreamHead]], Entry],
        unless: Callable[[int, int], bool],
    ) -> bool:
        """Erase an engagement, bury it, and add the receipt over its streams as they were, in one transaction. Nothing
        happens where `unless` says so of the engagement's last seq and the length of the store's own log. Called under
        the write lock."""

    def _purge_many(self, whys: Mapping[str, Mapping[str, Any]], unless: Callable[[str, int, int], bool]) -> list[str]:
        """Purge several, in order, each as `_purge` does; those that are gone. Called under the write lock."""
        return [
            key
            for key, why in whys.items()
            if self._purge(key, functools.partial(receipt, key, fields=dict(why)), functools.partial(unless, key))
        ]

    def _redact(
        self,
        engagement_id: str,
        records: Sequence[tuple[Any, ...]],
        blobs: Sequence[str],
        said: Entry,
        unless: Callable[[int], bool],
    ) -> int:
        """Take out bodies and blobs, leave commitments, and add the entry, in one transaction; how many there were.
        Nothing, where `unless(size)` of the store's own log is true there. Called under the write lock."""
        raise StoreError(f"{self.place} cannot take content out of a record; it can purge whole engagements")

    @abstractmethod
    def latest_turn(self, engagement_id: str) -> int:
        """The engagement's highest turn; 0 when it is unknown."""

    @abstractmethod
    def blob_ids(self, engagement_id: str) -> dict[bytes, str]:
        """Dedup hash to blob id of the engagement's blobs."""

    @abstractmethod
    def _rows(self, engagement_id: str) -> list[tuple[int, Row]]:
        """The engagement's rows by seq."""

    @abstractmethod
    def _rows_after(self, after: int, limit: int) -> list[tuple[int, Row]]:
        """At least the next row after the seq `after`, in order; about `limit` of them; empty when there is none."""

    @abstractmethod
    def _position(self) -> int:
        """The last seq that was given."""

    @abstractmethod
    def _summaries(self, where: Mapping[str, Any], limit: int | None, newest: bool) -> list[EngagementSummary]:
        """A page of summaries."""

    @abstractmethod
    def _blob(self, engagement_id: str, blob_id: str) -> bytes | None:
        """The data of a blob."""

    def _blobs_of(self, engagement_id: str) -> dict[str, bytes]:
        """The blobs of an engagement."""
        table = self._scan_blobs()
        rows = zip(*(table[name].to_pylist() for name in ("engagement_id", "blob_id", "data")), strict=True)
        return {blob_id: data for owner, blob_id, data in rows if owner == engagement_id}

    @abstractmethod
    def _scan(
        self,
        columns: Sequence[str],
        types: Sequence[str],
        engagement_id: str | None,
        after: int,
        containing: Sequence[bytes],
    ) -> pa.Table:
        """Columns of the log; the names are known to be right."""

    @abstractmethod
    def _scan_blobs(self) -> pa.Table: ...

    @abstractmethod
    def _scan_streams(self) -> pa.Table: ...

    def _n_records(self) -> int:
        """How many rows there are, in sight of a scan or not."""
        raise NotImplementedError

    @abstractmethod
    def _revision(self) -> tuple[int, int]: ...

    @abstractmethod
    def _add_entries(self, entries: Sequence[Entry]) -> None:
        """Add to the store's own log, in a transaction of its own. Called under the write lock."""

    @abstractmethod
    def _entries(self, after: int = 0, n: int = -1) -> Iterable[EntryRow]:
        """(seq, at_us, kind, body) of the store's own log, after so many; `n` at most, -1: all."""

    @abstractmethod
    def _head(self) -> LogHead:
        """Where the store's own log stands."""

    @abstractmethod
    def _close(self) -> None: ...

    def _wait_for_others(self, seconds: float) -> None:
        """Block for `seconds`, or less when another process may have written."""
        raise NotImplementedError

    # --- writing ---

    def append(self, record: Record) -> None:
        """Commit one record and set its `seq`; see `Store.append`."""
        with self._write_lock:
            batch, seqs = self._append([of_record(record, self._own_stream(record))])
        self._publish(batch, seqs)

    def append_drafts(self, drafts: Sequence[Draft]) -> None:
        """Commit `drafts` in order, in one transaction; when it fails, their streams are as they were before."""
        with self._write_lock:
            batch, seqs = self._append(drafts)
        self._publish(batch, seqs)

    def _append(self, drafts: Sequence[Draft]) -> tuple[Batch, dict[int, int]]:
        if self._closed:
            raise StoreError(f"{self.place} was closed, so nothing can be written into it; open it again")
        streams = {id(draft.stream): draft.stream for draft in drafts}
        before = [(stream, stream.tree.copy()) for stream in streams.values()]
        batch = Batch()
        try:
            batch = self._log.encode(drafts)
            return batch, self._commit(batch, self._seals(batch))
        except BaseException:
            for stream, tree in before:
                stream.tree = tree
            self._log.abandon(batch)
            raise

    def encode(self, drafts: Sequence[Draft]) -> Batch:
        """Give `drafts` their places in their streams, and encode them for `commit`."""
        with self._write_lock:
            return self._log.encode(drafts)

    def commit(self, batch: Batch) -> None:
        """Write a batch, all of it or nothing. Committing a batch again writes nothing twice. Raises StoreError."""
        with self._write_lock:
            seqs = self._commit(batch, self._seals(batch))
        self._publish(batch, seqs)

    def _seals(self, batch: Batch) -> list[Entry]:
        return seals_of(batch, self._long_unsealed(batch)) if self.has_proofs else []

    def _long_unsealed(self, batch: Batch) -> set[str]:
        """Streams of the batch of which something has waited too long for a seal: a turn that goes on and on."""
        now, found = time.monotonic(), set[str]()
        for head in batch.heads:
            since = self._unsealed.setdefault(head.stream_id, now)
            if now - since >= SEAL_SECONDS:
                found.add(head.stream_id)
                del self._unsealed[head.stream_id]
        while len(self._unsealed) > _MAX_OWN_STREAMS:
            self._unsealed.pop(next(iter(self._unsealed)))
        return found

    def abandon(self, batch: Batch) -> None:
        """Give up on a batch that `commit` could not write."""
        with self._write_lock:
            self._log.abandon(batch)

    def _publish(self, batch: Batch, seqs: dict[int, int]) -> None:
        for place, draft in enumerate(batch.drafts):
            if draft.record is not None and place in seqs:
                record, row = draft.record, batch.rows[place]
                record.seq, record.stream_id, record.n, record.turn = seqs[place], row[1], row[2], row[6]
        # Outside the write lock: a subscriber that comes now asks for the position while it holds the feed's.
        self._feed.committed(
            seqs.values(), lambda: [batch.drafts[p].record or self._record(batch.rows[p], s) for p, s in seqs.items()]
        )

    def _own_stream(self, record: Record) -> Stream:
        """The stream for a record that was appended without a recorder."""
        key = f"{record.engagement_id}\x00{record.turn or ''}"
        stream = self._own_streams.get(key)
        if stream is None:
            if len(self._own_streams) >= _MAX_OWN_STREAMS:
                self._own_streams.pop(next(iter(self._own_streams)))
            stream = self._own_streams[key] = Stream(new_id(), record.engagement_id, record.turn)
        return stream

    def append_entry(self, kind: str, fields: Mapping[str, Any]) -> None:
        """Add an entry to the store's own log (gaps that belong to no known engagement); never an engagement."""
        rules = redact.active()
        said = fields if rules is None else rules.value(dict(fields), "detail")
        with self._write_lock:
            self._add_entries([Entry(kind, dumps(dict(said)))])

    def purge(self, engagement_id: str, *, unless: Callable[[int, int], bool] | None = None, **why: Any) -> bool:
        """Erase every copy of an engagement; late records of it will be counted, not kept.

        A receipt stays in the store's own log: how many records there were, by which root hash, and `why`. `unless` is
        asked inside the transaction, with the engagement's last seq and the length of the store's own log: whoever
        decided by an older state of either can say no.
        """
        _barrier.wait(self.url)
        key = clean_id(engagement_id)
        with self._write_lock:
            gone = self._purge(key, lambda heads: receipt(key, heads, why), unless or (lambda seq, size: False))
        if gone:
            self._feed.forget({key, engagement_id})
        return gone

    def purge_many(
        self, whys: Mapping[str, Mapping[str, Any]], *, unless: Callable[[str, int, int], bool] | None = None
    ) -> list[str]:
        """Purge several engagements, each as `purge` does, with what its receipt says; the ids of those that went.

        Where the store can, it is one transaction, which costs less than many: all of them go, or none. `unless` gets
        the id first.
        """
        _barrier.wait(self.url)
        with self._write_lock:
            mine = {clean_id(key): why for key, why in whys.items()}
            gone = self._purge_many(mine, unless or (lambda key, seq, size: False))
        went = set(gone)
        self._feed.forget({*gone, *(key for key in whys if clean_id(key) in went)})
        return gone

    def redact(
        self,
        engagement_id: str,
        records: Sequence[tuple[Any, ...]],
        blobs: Sequence[str] = (),
        *,
        unless: Callable[[int], bool] | None = None,
        **why: Any,
    ) -> int:
        """Take the bodies of records (stream, position) and values out of an engagement, for good; how many there were.

        A third member of a record's tuple names fields of it (`_fields.path_of`): where they have commitments of their
        own (profile `audit`), they go alone, otherwise the whole body.

        Their commitments stay, so that what is left still verifies; the redaction is an entry of the store's own log,
        with `why`. `unless`, called inside the transaction with the length of the store's own log, can stop it: then
        nothing goes, and it is 0. Raises StoreError where a store cannot.
        """
        _barrier.wait(self.url)
        key = clean_id(engagement_id)
        said = {"engagement": key, "records": [list(one) for one in records], "blobs": list(blobs), **why}
        with self._write_lock:
            n = self._redact(key, records, blobs, Entry("redaction", dumps(said)), unless or (lambda size: False))
            self._log.forget(key)
        return n

    def seal(self, why: str = "asked", *, engagement_id: str | None = None) -> int:
        """Seal every stream (`engagement_id`: of this one) that has grown since its last seal; how many there were.

        Raises StoreError where a store gives no proofs."""
        if not self.has_proofs:
            raise StoreError(f"{self.place} gives no proofs; record into SQLite or PostgreSQL to have them")
        _barrier.wait(self.url)
        with self._write_lock:
            sealed = {(one["stream"], one["size"]) for one in self.store_entries() if one["type"] == "seal"}
            heads = [StreamHead(**row) for row in self._scan_streams().to_pylist()]
            heads = [head for head in heads if engagement_id is None or head.engagement_id == clean_id(engagement_id)]
            entries = [seal(head, why) for head in heads if (head.stream_id, head.size) not in sealed and head.size]
            if entries:
                self._add_entries(entries)
        return len(entries)

    # --- reading ---

    def get_engagement(self, engagement_id: str) -> Engagement:
        """The engagement's tree. Raises UnknownEngagementError."""
        records = self.read(engagement_id)
        if not records:
            newest = [summary.id for summary in self.list_engagements(limit=20, newest=True)]
            raise UnknownEngagementError.of(engagement_id, newest, self.place)
        return fold(records)

    def read(self, engagement_id: str) -> list[BaseRecord]:
        """The engagement's records in order of seq; empty when there are none."""
        _barrier.wait(self.url)
        key = clean_id(engagement_id)
        rows = self._rows(key)
        masks = masks_in(rows)
        resolve = Resolver(lambda blob_id: self._blob(key, blob_id) or masks.data(blob_id))
        return [record_or_gap(row, seq, resolve) for seq, row in (masks.rows(rows) if masks else rows)]

    def _record(self, row: Row, seq: int) -> BaseRecord:
        return record_or_gap(row, seq, Resolver(lambda blob_id: self._blob(row[0], blob_id)))

    def list_engagements(
        self, where: Mapping[str, Any] | None = None, *, limit: int | None = None, newest: bool = False
    ) -> list[EngagementSummary]:
        """Summaries, oldest first (`newest=True`: newest first), of the engagements whose metadata equals `where`."""
        _barrier.wait(self.url)
        return self._summaries(where or {}, limit, newest)

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
        unknown = [name for name in columns if name not in DTYPES]
        if unknown:
            raise InvalidArgumentError(f"no column {unknown[0]!r} in the log; columns: {', '.join(DTYPES)}")
        _barrier.wait(self.url)
        key = None if engagement_id is None else clean_id(engagement_id)
        masks = self._masks() if "body" in columns and "commitment" not in columns else None
        if not masks:
            return self._scan(columns, types, key, after, containing)
        table = self._scan(list(dict.fromkeys([*columns, "stream_id", "n"])), types, key, after, ())
        return shown(table, masks, columns, containing)

    def _masks(self) -> Masks:
        """The masked copies that stand for content which was taken out, of all engagements."""
        revision = self._revision()[1]  # changes with every redaction; most stores never have one
        if self._kept_masks is None or self._kept_masks[0] != revision:
            masks = Masks()
            if revision:
                masks = masks_of(self._scan(["body"], (MASKED,), None, 0, ())["body"].to_pylist())
            self._kept_masks = (revision, masks)
        return self._kept_masks[1]

    def scan_blobs(self) -> pa.Table:
        """The blob table as Arrow, without `dedup`, ordered by engagement and id."""
        _barrier.wait(self.url)
        return self._scan_blobs()

    def scan_streams(self) -> pa.Table:
        """The stream table as Arrow: stream_id, engagement_id, turn, size, frontier."""
        _barrier.wait(self.url)
        return self._scan_streams()

    def n_records(self) -> int:
        """How many records there are: a scan that gives fewer misses some. Raises StoreError where a store gives no
        proofs."""
        if not self.has_proofs:
            raise StoreError(f"{self.place} gives no proofs; record into SQLite or PostgreSQL to have them")
        _barrier.wait(self.url)
        return self._n_records()

    def revision(self) -> tuple[int, int]:
        """Changes whenever what the store holds does; see `LogStore.revision`."""
        _barrier.wait(self.url)
        return self._revision()

    def blob(self, engagement_id: str, blob_id: str) -> bytes | None:
        """The data of a blob; None when it is not there."""
        data = self._blob(clean_id(engagement_id), blob_id)
        return self._masks().data(blob_id) if data is None else data

    def blobs_of(self, engagement_id: str) -> dict[str, bytes]:
        """Every blob of an engagement, by id: for whoever reads all of its values."""
        key = clean_id(engagement_id)
        blobs = self._blobs_of(key)
        if not self._masks().blobs:
            return blobs
        mine = self._scan(["body"], (MASKED,), key, 0, ())
        return overlay(blobs, masks_of(mine["body"].to_pylist()))

    def store_entries(self, *types: str) -> list[dict[str, Any]]:
        """The store's own log: dicts with seq, at, type and what was given, oldest first; `types` keeps only those."""
        _barrier.wait(self.url)
        return [
            {**orjson.loads(body), "seq": seq, "at": from_us(at), "type": kind}
            for seq, at, kind, body in self._entries()
            if not types or kind in types
        ]

    def entry_rows(self, *, wait: bool = True, after: int = 0, n: int = -1) -> list[EntryRow]:
        """The store's own log as it is hashed: (position + 1, at_us, type, body), from the entry after the `after`th
        on, `n` of them at most (-1: all). `wait=False` for whoever is asked inside a transaction: what recorders still
        hold cannot come before it ends."""
        if wait:
            _barrier.wait(self.url)
        return list(self._entries(after, n))

    def log_head(self) -> LogHead:
        """Where the store's own log stands, signed where somebody signs. Raises StoreError where a store gives no
        proofs."""
        if not self.has_proofs:
            raise StoreError(f"{self.place} gives no proofs; record into SQLite or PostgreSQL to have them")
        _barrier.wait(self.url)
        return self._head()

    # --- live ---

    def subscribe(self, *, after: int | None = None) -> Subscription:
        """Every record committed after this call (`after`: after that seq), once each, in order, from whichever
        process. Use it with `async for`."""
        _barrier.wait(self.url)
        return self._feed.subscribe(after)

    def tail(self, *, timeout: float | None = None, after: int | None = None) -> Iterator[Record]:
        """The synchronous twin of `subscribe`; ends when nothing came for `timeout` seconds (None: never)."""
        return self.subscribe(after=after).until(timeout)

    def _since(self, after: int) -> list[BaseRecord]:
        """The next records after a seq."""
        resolvers: dict[str, Resolver] = {}
        records = []
        for seq, row in self._rows_after(after, _TAIL_PAGE):
            resolve = resolvers.get(row[0])
            if resolve is None:
                resolve = resolvers[row[0]] = Resolver(lambda blob_id, key=row[0]: self._blob(key, blob_id))  # type: ignore[misc]
            records.append(record_or_gap(row, seq, resolve))
        return records

    # --- forks, and files that go away ---

    def before_fork(self, until: float) -> bool:
        """Have the store at rest; False when it was not by the monotonic time `until`."""
        return acquire_all(self._locks(), until)

    def after_fork_in_parent(self) -> None:
        """Go on after a fork."""
        for lock in self._locks():
            release(lock)

    def after_fork(self) -> None:
        """In a forked child: leave to the parent what is the parent's, and open the store again. Raises StoreError."""
        self._write_lock = threading.RLock()
        self._reconnect_in_child()
        self._log = LogWriter(self)
        self._own_streams = {}
        self._feed = self._new_feed()  # the parent's subscribers and their thread are not here

    def _locks(self) -> list[threading.RLock]:
        """Every lock under which the backend is used."""
        return [self._write_lock]

    def _reconnect_in_child(self) -> None:
        """Leave connections that belong to the parent, without a word on them, and open new ones."""
        raise StoreError(f"{self.place} cannot be carried over a fork; open it in the child, and record into that")

    def has_moved(self) -> bool:
        """Whether what was written last is no longer where readers look: its file was deleted or replaced."""
        return False

    def follow(self, batch: Batch) -> None:
        """Go on where readers look, with the engagements that are being recorded. Raises StoreError."""
        raise NotImplementedError

    # --- closing ---

    def close(self) -> None:
        """Release the backend after waiting for what recorders have accepted. Closing twice is fine."""
        if self._closed:
            return
        _barrier.wait(self.url)
        self._closed = True
        self._feed.close()
        with self._write_lock:
            self._close()


P = ParamSpec("P")
T = TypeVar("T")
S = TypeVar("S", bound=LogStoreBase)


def told(method: Callable[Concatenate[S, P], T]) -> Callable[Concatenate[S, P], T]:
    """Let a method raise StoreError, with the store's name, where its client raises an error of its own."""

    @functools.wraps(method)
    def call(self: S, *args: P.args, **kwargs: P.kwargs) -> T:
        try:
            return method(self, *args, **kwargs)
        except FtnbError:
            raise
        except self.client_error as error:
            raise StoreError(f"{self.place}: {self.explain(error)}") from error

    return cast("Callable[Concatenate[S, P], T]", call)
