"""Writing to Redis: one batch, one MULTI.

`meta` holds the last seq. It is watched, and every transaction changes it, so of two writers at once one starts again;
a lock that expires by itself spares them that. So commits happen one after the other, in the order of seq, and nothing
has to run inside the server. What a batch wrote is known by how far its streams are: writing it again writes nothing.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

import orjson

from ..core.errors import StoreError
from ._redis_codec import Keys, as_text, dump_blob, dump_rows, field, load_rows
from ._writer import Batch
from .leaf import Row
from .records import SCHEMA_VERSION

B = TypeVar("B")
T = TypeVar("T")

_LOCK_MS = 2_000
_LOCK_LOOK_SECONDS = 0.001
_ATTEMPTS = 50
_ENTRY_ROWS = 250
TAIL_LENGTH = 10_000
"""Batches that the tail remembers; a subscriber that is further behind reads the engagements' own streams."""


@dataclass
class _Before:
    """What a batch must know of the store."""

    seq: int
    buried: set[str]
    sizes: dict[str, int]
    """Records of each stream that are there."""
    labels: dict[tuple[str, str], str]


class RedisWriter:
    """Writes through one client; the caller holds the store's write lock."""

    def __init__(self, client: Any, keys: Keys, watch_error: type[Exception]) -> None:
        self._client = client
        self._keys = keys
        self._watch_error = watch_error

    def commit(self, batch: Batch) -> dict[int, int]:
        """Write a batch, all of it or nothing; the seq of each row that is there now, by its place in the batch."""
        return self._transact(lambda: self._look(batch), lambda pipe, before: self._write(pipe, batch, before))

    def _transact(self, look: Callable[[], B], write: Callable[[Any, B], T]) -> T:
        """Run `write(pipe, look())` in a MULTI, again whenever somebody else wrote meanwhile."""
        for attempt in range(_ATTEMPTS):
            self._lock()
            with self._client.pipeline(transaction=True) as pipe:
                try:
                    pipe.watch(self._keys.meta)
                    before = look()  # through another connection, all of it in one round trip
                    pipe.multi()
                    result = write(pipe, before)
                    pipe.delete(self._keys.lock)
                    pipe.execute()
                    return result
                except self._watch_error:
                    time.sleep(0.001 * min(attempt, 20))
                except BaseException:
                    self._unlock()
                    raise
        raise StoreError(f"cannot write to {self._keys.prefix!r} in Redis: other writers came first {_ATTEMPTS} times")

    def _lock(self) -> None:
        """Wait for the other writers; past the time that a dead one's lock lives, go on without: meta is watched."""
        until = time.monotonic() + _LOCK_MS / 1000
        while not self._client.set(self._keys.lock, "1", nx=True, px=_LOCK_MS) and time.monotonic() < until:
            time.sleep(_LOCK_LOOK_SECONDS)

    def _unlock(self) -> None:
        """Let others write after a failure; where even that fails, the lock expires."""
        try:
            self._client.delete(self._keys.lock)
        except Exception:
            return

    def _look(self, batch: Batch) -> _Before:
        keys, engagements = self._keys, list(dict.fromkeys(row[0] for row in batch.rows))
        with self._client.pipeline(transaction=False) as pipe:
            pipe.hget(keys.meta, "seq")
            pipe.hlen(keys.tombstones)
            for head in batch.heads:
                pipe.hget(keys.streams(head.engagement_id), head.stream_id)
            for engagement_id, key, _ in batch.labels:
                pipe.hget(keys.labels(engagement_id), key)
            seq, n_buried, *found = pipe.execute()
        sizes = {h.stream_id: orjson.loads(v)[1] for h, v in zip(batch.heads, found, strict=False) if v is not None}
        old = zip(batch.labels, found[len(batch.heads) :], strict=True)
        labels = {(label[0], label[1]): as_text(value) for label, value in old if value is not None}
        buried = self._client.hmget(keys.tombstones, engagements) if n_buried and engagements else []
        gone = {key for key, value in zip(engagements, buried, strict=False) if value is not None}
        return _Before(int(seq or 0), gone, sizes, labels)

    def _write(self, pipe: Any, batch: Batch, before: _Before) -> dict[int, int]:
        keys, seq = self._keys, before.seq
        fresh: dict[str, list[tuple[int, Row]]] = {}
        seqs: dict[int, int] = {}
        again: list[int] = []
        for place, row in enumerate(batch.rows):
            if row[0] in before.buried:
                continue
            if row[2] < before.sizes.get(row[1], 0):
                again.append(place)
                continue
            seq += 1
            seqs[place] = seq
            fresh.setdefault(row[0], []).append((seq, row))
        for engagement_id, rows in fresh.items():
            for begin in range(0, len(rows), _ENTRY_ROWS):
                part = rows[begin : begin + _ENTRY_ROWS]
                pipe.xadd(keys.records(engagement_id), {"r": dump_rows(part)}, id=f"{part[-1][0]}-0")
        late = Counter(row[0] for row in batch.rows if row[0] in before.buried)
        for engagement_id, count in late.items():
            pipe.hincrby(keys.tombstones, engagement_id, count)
        if fresh:
            pipe.zadd(keys.engagements, {key: rows[0][0] for key, rows in fresh.items()}, nx=True)
            pipe.zadd(keys.latest, {key: rows[-1][0] for key, rows in fresh.items()})
            told = {"f": before.seq + 1, "e": orjson.dumps(list(fresh))}
            pipe.xadd(keys.tail, told, id=f"{seq}-0", maxlen=TAIL_LENGTH, approximate=True)
        pipe.hset(keys.meta, mapping={"seq": seq, "v": SCHEMA_VERSION})
        self._write_sides(pipe, batch, before)
        return seqs if not again else dict(sorted({**seqs, **self._known_seqs(batch, again)}.items()))

    def _write_sides(self, pipe: Any, batch: Batch, before: _Before) -> None:
        keys = self._keys
        for head in batch.heads:
            # A batch that is written again must not turn the tree back.
            if head.engagement_id not in before.buried and head.size > before.sizes.get(head.stream_id, 0):
                told = orjson.dumps([head.turn, head.size, head.frontier.hex()])
                pipe.hset(keys.streams(head.engagement_id), head.stream_id, told)
        for blob in batch.blobs:
            if blob.engagement_id not in before.buried:
                pipe.hset(keys.blobs(blob.engagement_id), blob.blob_id, dump_blob(blob))
                if blob.dedup is not None:
                    pipe.hset(keys.dedup(blob.engagement_id), blob.dedup.hex(), blob.blob_id)
        labels = dict(before.labels)
        for engagement_id, key, value in batch.labels:
            if engagement_id not in before.buried:
                self._relabel(pipe, engagement_id, key, labels.get((engagement_id, key)), value)
                labels[engagement_id, key] = value

    def _relabel(self, pipe: Any, engagement_id: str, key: str, old: str | None, value: str) -> None:
        keys = self._keys
        if old is not None:
            pipe.srem(keys.equal(key, old), engagement_id)
        pipe.hset(keys.labels(engagement_id), key, value)
        pipe.sadd(keys.equal(key, value), engagement_id)
        if value == "null":
            pipe.srem(keys.having(key), engagement_id)
        else:
            pipe.sadd(keys.having(key), engagement_id)

    def _known_seqs(self, batch: Batch, places: list[int]) -> dict[int, int]:
        """The seqs of rows that were there already."""
        wanted = {(batch.rows[place][1], batch.rows[place][2]): place for place in places}
        found: dict[int, int] = {}
        for engagement_id in {batch.rows[place][0] for place in places}:
            for _, fields in self._client.xrange(self._keys.records(engagement_id)):
                for seq, row in load_rows(engagement_id, field(fields, "r")):
                    place = wanted.get((row[1], row[2]))
                    if place is not None:
                        found[place] = seq
        return found

    def purge(self, engagement_id: str) -> bool:
        """Erase every key of an engagement and leave its tombstone; False when there was none."""
        keys = self._keys

        def look() -> tuple[bool, dict[Any, Any]]:
            with self._client.pipeline(transaction=False) as pipe:
                pipe.zscore(keys.engagements, engagement_id)
                pipe.hgetall(keys.labels(engagement_id))
                score, labels = pipe.execute()
            return score is not None, labels

        def write(pipe: Any, before: tuple[bool, dict[Any, Any]]) -> bool:
            there, labels = before
            if there:
                for key, value in labels.items():
                    pipe.srem(keys.equal(as_text(key), as_text(value)), engagement_id)
                    pipe.srem(keys.having(as_text(key)), engagement_id)
                pipe.delete(*keys.of(engagement_id))
                pipe.zrem(keys.engagements, engagement_id)
                pipe.zrem(keys.latest, engagement_id)
                pipe.hset(keys.tombstones, engagement_id, 0)
                pipe.hincrby(keys.meta, "purges", 1)
            return there

        return self._transact(look, write)
