"""Reading from Redis. The engagements' own streams are the truth; the tail only says where to look."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import chain
from operator import itemgetter
from typing import Any

import orjson

from ._redis_codec import Keys, as_text, field, load_blob, load_rows, pick_columns
from ._tables import summarise
from ._writer import label_key, label_value
from .base import EngagementSummary
from .leaf import Row

_PAGE = 500
_FEW = 5_000
"""Engagements that are sorted rather than searched for."""
_TAIL_BATCHES = 32


class RedisReader:
    """Reads through one client, which may be used from any thread."""

    def __init__(self, client: Any, keys: Keys) -> None:
        self._client = client
        self._keys = keys

    # --- records ---

    def rows(
        self, engagement_ids: Sequence[str], after: int = 0, last: int | None = None
    ) -> dict[str, list[tuple[int, Row]]]:
        """Rows of each engagement by seq, those after a seq; `last`: no later than the batch that ends with it."""
        found: dict[str, list[tuple[int, Row]]] = {}
        for engagement_id, texts in self._texts(engagement_ids, after, last):
            parts = (load_rows(engagement_id, text) for text in texts)
            found[engagement_id] = [item for part in parts for item in part if item[0] > after]
        return found

    def _texts(
        self, engagement_ids: Sequence[str], after: int, last: int | None = None
    ) -> Iterator[tuple[str, list[Any]]]:
        """What is written of each engagement's rows, from the entry on that holds the first after a seq."""
        least, most = f"({after}-0" if after else "-", "+" if last is None else str(last)
        for begin in range(0, len(engagement_ids), _PAGE):
            page = engagement_ids[begin : begin + _PAGE]
            with self._client.pipeline(transaction=False) as pipe:
                for engagement_id in page:
                    pipe.xrange(self._keys.records(engagement_id), min=least, max=most)
                answers = pipe.execute()
            for engagement_id, entries in zip(page, answers, strict=True):
                yield engagement_id, [field(fields, "r") for _, fields in entries]

    def columns(self, columns: Sequence[str], engagement_id: str | None, after: int) -> list[tuple[Any, ...]]:
        """These columns, seq before them, of every row after a seq, by seq."""
        ids = self._changed(after) if engagement_id is None else [engagement_id]
        wanted, found = ["seq", *columns], list[tuple[Any, ...]]()
        for key, texts in self._texts(ids, after):
            for text in texts:
                found += pick_columns(key, text, wanted, after)
        found.sort(key=itemgetter(0))
        return found

    def _changed(self, after: int) -> list[str]:
        """Engagements with rows after a seq."""
        return [as_text(key) for key in self._client.zrange(self._keys.latest, f"({after}", "+inf", byscore=True)]

    def all_rows(self, after: int) -> list[tuple[int, Row]]:
        """Every row after a seq, by seq."""
        rows = self.rows(self._changed(after), after)
        return sorted(chain.from_iterable(rows.values()), key=itemgetter(0))

    def rows_after(self, after: int) -> list[tuple[int, Row]]:
        """The rows of the next batches after a seq that hold any; all of them when the tail was trimmed past it."""
        while True:
            batches = self._client.xrange(self._keys.tail, min=f"({after}-0", count=_TAIL_BATCHES)
            if not batches or int(field(batches[0][1], "f")) > after + 1:
                return self.all_rows(after) if self.revision()[0] > after else []
            last = seq_of(batches[-1][0])
            touched = dict.fromkeys(key for _, fields in batches for key in orjson.loads(field(fields, "e")))
            rows = chain.from_iterable(self.rows(list(touched), after, last).values())
            found = sorted((item for item in rows if item[0] <= last), key=itemgetter(0))
            if found:
                return found
            after = last  # all of it was purged

    def revision(self) -> tuple[int, int]:
        """The last seq, and how many engagements were purged."""
        seq, purges = self._client.hmget(self._keys.meta, ["seq", "purges"])
        return int(seq or 0), int(purges or 0)

    def blob(self, engagement_id: str, blob_id: str) -> bytes | None:
        """The data of a blob."""
        kept = self._client.hget(self._keys.blobs(engagement_id), blob_id)
        return None if kept is None else load_blob(kept)[2]

    def blobs_of(self, engagement_id: str) -> dict[str, bytes]:
        """Every blob of an engagement, by id."""
        found: Any = self._client.hgetall(self._keys.blobs(engagement_id))
        return {as_text(blob_id): load_blob(kept)[2] for blob_id, kept in found.items()}

    def kept_blobs(self, engagement_id: str) -> list[tuple[str, bytes, str, bytes]]:
        """(blob_id, salt, media, data) of an engagement's blobs."""
        found: Any = self._client.hgetall(self._keys.blobs(engagement_id))
        return [(as_text(blob_id), *load_blob(kept)) for blob_id, kept in found.items()]

    def blob_ids(self, engagement_id: str) -> dict[bytes, str]:
        """Dedup hash to blob id."""
        found = self._client.hgetall(self._keys.dedup(engagement_id))
        return {bytes.fromhex(as_text(dedup)): as_text(blob_id) for dedup, blob_id in found.items()}

    def latest_turn(self, engagement_id: str) -> int:
        """The engagement's highest turn; 0 when it is unknown."""
        kept = self._client.hvals(self._keys.streams(engagement_id))
        return max((int(orjson.loads(head)[0]) for head in kept), default=0)

    def entries(self) -> list[tuple[int, int, str, bytes]]:
        """The store's own log."""
        kept = (orjson.loads(text) for text in self._client.lrange(self._keys.entries, 0, -1))
        return [(place, at, kind, body.encode()) for place, (at, kind, body) in enumerate(kept, 1)]

    # --- tables ---

    def _hashes(self, key_of: Any) -> Iterator[tuple[str, str, Any]]:
        """(engagement id, field, value) of one hash of each engagement."""
        ids = sorted(as_text(key) for key in self._client.zrange(self._keys.engagements, 0, -1))
        for begin in range(0, len(ids), _PAGE):
            page = ids[begin : begin + _PAGE]
            with self._client.pipeline(transaction=False) as pipe:
                for engagement_id in page:
                    pipe.hgetall(key_of(engagement_id))
                answers = pipe.execute()
            for engagement_id, kept in zip(page, answers, strict=True):
                for name in sorted(kept, key=as_text):
                    yield engagement_id, as_text(name), kept[name]

    def blobs(self) -> list[tuple[Any, ...]]:
        """Every blob, by engagement and id."""
        return [(key, blob_id, *load_blob(kept)) for key, blob_id, kept in self._hashes(self._keys.blobs)]

    def streams(self) -> list[tuple[Any, ...]]:
        """Every log stream, by id."""
        heads = []
        for engagement_id, stream_id, kept in self._hashes(self._keys.streams):
            turn, size, frontier = orjson.loads(kept)
            heads.append((stream_id, engagement_id, turn, size, bytes.fromhex(frontier)))
        return sorted(heads)

    # --- summaries ---

    def summaries(self, where: Mapping[str, Any], limit: int | None, newest: bool) -> list[EngagementSummary]:
        """A page of summaries."""
        if limit is not None and limit <= 0:
            return []
        ids = list(self._find(where, limit, newest))
        pages = (ids[begin : begin + _PAGE] for begin in range(0, len(ids), _PAGE))
        return [summarise(key, rows) for page in pages for key, rows in self.rows(page).items() if rows]

    def _find(self, where: Mapping[str, Any], limit: int | None, newest: bool) -> list[str]:
        keys = self._keys
        if not where:
            last = -1 if limit is None else limit - 1
            return [as_text(key) for key in self._client.zrange(keys.engagements, 0, last, desc=newest)]
        equal = [keys.equal(label_key(k), label_value(v)) for k, v in where.items() if v is not None]
        having = [keys.having(label_key(k)) for k, v in where.items() if v is None]
        if equal and min(map(self._client.scard, equal)) <= _FEW:
            found = [as_text(key) for key in self._client.sinter(equal)]
            scores = self._client.zmscore(keys.engagements, found) if found else []
            ordered = [key for _, key in sorted(zip(scores, found, strict=True), reverse=newest)]
            return self._only(ordered, [], having)[:limit]
        return self._walk(equal, having, limit, newest)

    def _walk(self, equal: list[str], having: list[str], limit: int | None, newest: bool) -> list[str]:
        """Go through the engagements in order until a page is full."""
        found: list[str] = []
        begin = 0
        while page := self._client.zrange(self._keys.engagements, begin, begin + 2 * _PAGE - 1, desc=newest):
            found += self._only([as_text(key) for key in page], equal, having)
            if limit is not None and len(found) >= limit:
                return found[:limit]
            begin += len(page)
        return found

    def _only(self, ids: list[str], equal: list[str], having: list[str]) -> list[str]:
        """Those of `ids` that are in all sets of `equal` and in none of `having`."""
        if not ids:
            return []
        kept = ids
        for key, wanted in [*((key, 1) for key in equal), *((key, 0) for key in having)]:
            inside = self._client.smismember(key, kept) if kept else []
            kept = [engagement_id for engagement_id, there in zip(kept, inside, strict=True) if int(there) == wanted]
        return kept


def seq_of(entry_id: Any) -> int:
    """The seq that a stream entry's id stands for."""
    return int(as_text(entry_id).partition("-")[0])
