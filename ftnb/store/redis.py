"""The store for live monitoring between processes: Redis Streams, in log format v1.

Each engagement has a stream of its own, which is the truth and is never trimmed; one more stream, the tail, says after
each commit where new records are, and is trimmed to the last batches. A subscriber that fell behind the tail reads the
engagements' streams instead, so it misses nothing. Purging deletes every key of an engagement.

Redis keeps what it was configured to keep: with `appendonly yes` and `appendfsync everysec` a power cut loses up to one
second of committed records, with no persistence a restart loses all. Needs Redis 6.2, and no scripting.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import orjson

from ..core._optional import require
from ..core.errors import InvalidArgumentError, NotOurFileError, SchemaVersionError
from ..core.ids import now_us
from . import _explain
from ._advice import Advice, of_redis
from ._entries import Entry, EntryRow, LogHead
from ._log_store import DTYPES, LogStoreBase, told
from ._redis_codec import Keys
from ._redis_read import RedisReader, seq_of
from ._redis_write import TAIL_LENGTH, RedisWriter
from ._tables import BLOB_DTYPES, STREAM_DTYPES, table_of
from ._writer import Batch, StreamHead
from .base import EngagementSummary
from .leaf import Row
from .records import SCHEMA_VERSION

if TYPE_CHECKING:
    import pyarrow as pa

_REWRITE_SECONDS = 60.0
_REWRITE_POLL = 0.05


class RedisStore(LogStoreBase):
    """A trace store in Redis; see `store.base` for what every store promises.

    Raises StoreError when the server cannot be reached or refuses the password, SchemaVersionError when a newer ftnb
    wrote the store, NotOurFileError when another program has the prefix, MissingPackageError without the package
    `redis`.
    """

    has_proofs = False
    explain = staticmethod(_explain.of_redis)

    def __init__(
        self, url: str | None = None, *, client: Any = None, async_client: Any = None, key_prefix: str = "ftnb"
    ) -> None:
        """`url` is what redis-py takes (`redis://`, `rediss://`, `unix://`); or give a `client` of its kind, which then
        stays open on `close`. `async_client` is not needed: subscribing uses threads. Two stores in one database need
        different prefixes."""
        redis = require("redis", feature="RedisStore", extra="redis")
        if client is None and url is None:
            raise InvalidArgumentError("a RedisStore needs a url, as redis://localhost:6379/0, or a client")
        self.client_error = redis.RedisError
        self._owns_client = client is None
        try:
            self._client = redis.Redis.from_url(url, decode_responses=True) if client is None else client
        except ValueError as error:
            raise InvalidArgumentError(f"cannot open {url!r}: {error}") from error
        self.key_prefix = key_prefix
        self._keys = Keys(key_prefix)
        self._writer = RedisWriter(self._client, self._keys, redis.WatchError)
        self._reader = RedisReader(self._client, self._keys)
        self._seen: str | None = None
        name = _name_of(self._client, key_prefix)
        super().__init__(name, f"the store {name}", shared=True)
        self._check_version()

    def __repr__(self) -> str:
        return f"RedisStore({self.url!r})"

    @told
    def _check_version(self) -> None:
        said = {_text(key): _text(value) for key, value in self._client.hgetall(self._keys.meta).items()}
        version = said.get("v", "0")
        if said.keys() - {"v", "seq", "purges"} or not (version.isascii() and version.isdigit()):
            raise NotOurFileError(
                f"{self.place}: the key {self._keys.meta!r} is another program's, and was left as it is; choose "
                "another prefix, as in redis://host:6379/0#mine"
            )
        if int(version) > SCHEMA_VERSION:
            raise SchemaVersionError(
                f"{self.place} has log format {int(version)}, this ftnb reads up to {SCHEMA_VERSION}; upgrade ftnb"
            )

    def _reconnect_in_child(self) -> None:
        """The client's pool knows forks, and makes new connections."""

    # --- writing ---

    @told
    def _commit(self, batch: Batch, entries: Sequence[Entry]) -> dict[int, int]:
        return self._writer.commit(batch)

    @told
    def _purge(
        self,
        engagement_id: str,
        receipt: Callable[[Sequence[StreamHead]], Entry],
        unless: Callable[[int, int], bool],
    ) -> bool:
        last = max((seq for seq, _ in self._reader.rows([engagement_id])[engagement_id]), default=0)
        done = not unless(last, int(self._client.llen(self._keys.entries))) and self._writer.purge(engagement_id)
        if done:
            self._add_entries([receipt([])])
        return done

    @told
    def latest_turn(self, engagement_id: str) -> int:
        """The engagement's highest turn; 0 when it is unknown."""
        return self._reader.latest_turn(engagement_id)

    @told
    def blob_ids(self, engagement_id: str) -> dict[bytes, str]:
        """Dedup hash to blob id of the engagement's blobs."""
        return self._reader.blob_ids(engagement_id)

    @told
    def _add_entries(self, entries: Sequence[Entry]) -> None:
        at_us = now_us()
        said = [orjson.dumps([at_us, entry.kind, entry.body.decode()]) for entry in entries]
        self._client.rpush(self._keys.entries, *said)

    def _head(self) -> LogHead:
        return LogHead()

    @told
    def vacuum(self) -> None:
        """Have the server rewrite its append-only file, in which purged records stay until then.

        One that goes on already may have begun before the purge, and is waited for. Raises StoreError when it goes on
        for longer than a minute.
        """
        until = time.monotonic() + _REWRITE_SECONDS
        while True:
            try:
                self._client.bgrewriteaof()
                return
            except self.client_error as error:
                if "in progress" not in str(error) or time.monotonic() > until:
                    raise
            time.sleep(_REWRITE_POLL)

    def advice(self) -> list[Advice]:
        """How durable the server is, and what it trims: (whether it is as it should be, what to know)."""
        return of_redis(self._client, TAIL_LENGTH)

    # --- reading ---

    @told
    def _rows(self, engagement_id: str) -> list[tuple[int, Row]]:
        return self._reader.rows([engagement_id])[engagement_id]

    @told
    def _rows_after(self, after: int, limit: int) -> list[tuple[int, Row]]:
        return self._reader.rows_after(after)

    def _position(self) -> int:
        return self._revision()[0]

    @told
    def _revision(self) -> tuple[int, int]:
        return self._reader.revision()

    @told
    def _summaries(self, where: Mapping[str, Any], limit: int | None, newest: bool) -> list[EngagementSummary]:
        return self._reader.summaries(where, limit, newest)

    @told
    def _blob(self, engagement_id: str, blob_id: str) -> bytes | None:
        return self._reader.blob(engagement_id, blob_id)

    @told
    def _scan(
        self,
        columns: Sequence[str],
        types: Sequence[str],
        engagement_id: str | None,
        after: int,
        containing: Sequence[bytes],
    ) -> pa.Table:
        needed = list(dict.fromkeys([*columns, *(["type"] if types else []), *(["body"] if containing else [])]))
        rows = self._reader.columns(needed, engagement_id, after)
        if types:
            place, wanted = needed.index("type") + 1, frozenset(types)
            rows = [row for row in rows if row[place] in wanted]
        if containing:
            place = needed.index("body") + 1
            rows = [row for row in rows if row[place] is not None and any(part in row[place] for part in containing)]
        names = {"_seq": "int", **{name: DTYPES[name] for name in needed}}
        return table_of(names, rows).select(list(columns))

    @told
    def _blobs_of(self, engagement_id: str) -> dict[str, bytes]:
        return self._reader.blobs_of(engagement_id)

    @told
    def kept_blobs(self, engagement_id: str) -> list[tuple[str, bytes, str, bytes]]:
        """(blob_id, salt, media, data) of an engagement's blobs, as they are kept."""
        return self._reader.kept_blobs(engagement_id)

    @told
    def _scan_blobs(self) -> pa.Table:
        return table_of(BLOB_DTYPES, self._reader.blobs())

    @told
    def _scan_streams(self) -> pa.Table:
        return table_of(STREAM_DTYPES, self._reader.streams())

    @told
    def _entries(self, after: int = 0, n: int = -1) -> Iterable[EntryRow]:
        return self._reader.entries()[after : None if n < 0 else after + n]

    @told
    def _wait_for_others(self, seconds: float) -> None:
        if self._seen is None:  # what came before this thread ran is read at once
            self._seen = f"{self._position()}-0"
            return
        answer = self._client.xread({self._keys.tail: self._seen}, block=max(1, int(seconds * 1000)))
        for _, batches in answer.items() if isinstance(answer, dict) else answer or ():
            self._seen = f"{seq_of(batches[-1][0])}-0"
        if not answer and self._position() < seq_of(self._seen):
            # The server was emptied, or came back without its memory: seqs have begun anew.
            self._seen = "0-0"
            self._feed.restart(0)

    def _close(self) -> None:
        if self._owns_client:
            self._client.close()


def _text(value: str | bytes) -> str:
    """What a client of either kind gives."""
    return value if isinstance(value, str) else value.decode(errors="replace")


def _name_of(client: Any, prefix: str) -> str:
    """A URL for this store without its password, the same for every object on it."""
    pool = getattr(client, "connection_pool", None)
    where = getattr(pool, "connection_kwargs", {})
    inside = f"-{id(where['server'])}" if where.get("server") is not None else ""  # an in-process fake
    if where.get("path"):
        return f"unix://{where['path']}?db={where.get('db') or 0}#{prefix}"
    return f"redis://{where.get('host', 'localhost')}{inside}:{where.get('port', 6379)}/{where.get('db') or 0}#{prefix}"
