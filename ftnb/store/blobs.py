"""Values by reference: whatever is large is stored once per engagement.

A conversation's state grows with every step; writing it whole each time costs the square of its length. So a large part
of a value is replaced by a marker and its bytes go to the blob table:

    {"$ftnb": "ref", "id": "<43 characters>", "n_bytes": 1234}       a part stored as a blob
    {"$ftnb": "media", "media": "image/png", "id": …, …}             an image or other bytes, see `_media`
    {"$ftnb": "list", "n": 402, "chunks": [id, …], "tail": […]}      a long list: full chunks, and the items after them

A chunk of height 1 holds 4 items, one of height h holds the ids of 4 chunks of height h - 1. A list of n items is the
chunks that the digits of n in base 4 ask for, highest first (402 = 12102 in base 4: one chunk of height 4, two of 3,
one of 2, none of 1, and two items). So a message added to a list adds one message and O(log n) ids, and shares the
rest.

The id is SHA-256(salt ‖ media ‖ 0x00 ‖ data) in base64url: the salt makes the content of an erased blob unguessable.
`dedup`, the plain hash by which equal parts are found, is never exported and dies with the row.
"""

from __future__ import annotations

import os
from base64 import urlsafe_b64encode
from collections.abc import Callable
from hashlib import blake2b, sha256
from typing import Any, NamedTuple

import orjson

from ..core._lasting import Lasting
from ..core.canonical import MARK, Json, Made, encode_json, from_json, marker
from ..core.marked import Marked
from . import _media

JSON_MEDIA = "application/json"
PART_BYTES = 512
"""A part whose JSON is longer is stored as a blob."""
ITEM_BYTES = 128
"""An item of a long list whose JSON is longer is stored as a blob of its own."""
FANOUT = 4
"""Items per chunk of a long list: the smaller, the less is written again when a list grows."""
_MAX_CHUNKS = 10_000
_SALTS = 16
_ATOMS = frozenset((int, float, bool, type(None)))


class Blob(NamedTuple):
    """A row of the blob table."""

    engagement_id: str
    blob_id: str
    dedup: bytes | None
    salt: bytes
    media: str
    data: bytes


SALT_BYTES = 16


def blob_id_of(salt: bytes, media: str, data: bytes) -> str:
    """The id that commits to `data`; empty, so that of nothing, where bytes have moved from one part to another."""
    if len(salt) != SALT_BYTES or "\x00" in media:
        return ""
    digest = sha256(salt + media.encode() + b"\x00" + data).digest()
    return urlsafe_b64encode(digest).rstrip(b"=").decode()


class Interner:
    """Turns the values of one engagement into small JSON and the blobs that it refers to.

    Not thread-safe: it belongs to the one writer of a store.
    """

    def __init__(self, engagement_id: str, known: dict[bytes, str] | None = None) -> None:
        """`known` maps dedup hashes to ids of blobs that the store already has."""
        self.engagement_id = engagement_id
        self._known: dict[bytes, str] = dict(known or {})
        self._fresh: list[Blob] = []
        self._chunk_ids: dict[tuple[bool, tuple[str, ...]], str] = {}
        self._salts = b""
        self._epoch = object()
        """Under which parts that last know what was made of them here."""

    def take_fresh(self) -> list[Blob]:
        """Blobs made since the last call, for the same transaction as the records that refer to them."""
        fresh, self._fresh = self._fresh, []
        return fresh

    def forget(self, blobs: list[Blob]) -> None:
        """Take back blobs whose transaction failed for good."""
        self._chunk_ids.clear()
        self._epoch = object()
        for blob in blobs:
            if blob.dedup is not None:
                self._known.pop(blob.dedup, None)

    def intern(self, value: Json) -> Json:
        """`value` (JSON, see `canonical.to_json`) with its large parts replaced by references."""
        return self._shrink(value)[0]

    def whole(self, value: Json) -> Json:
        """`value` as one blob: for what is always read whole and comes again as it is, such as a topology."""
        return self._put(value)

    def _shrink(self, value: Json) -> tuple[Json, int]:
        """The small form of `value` and the size of that form in bytes, roughly."""
        kind = type(value)
        if kind is str:
            size = len(value) + 2
            if size <= PART_BYTES:
                return value, size
            found = _media.of_text(value)
            return self._cap(value, size, PART_BYTES) if found is None else self._put_media(found)
        if kind is dict:
            return self._shrink_dict(value)
        if kind is list:
            return self._shrink_list(value)
        if kind is Made:
            return self._made(value)[:2]
        if kind is Lasting:
            return self._lasting(value)[:2]
        return value, 8

    def _shrink_dict(self, value: dict[str, Json]) -> tuple[Json, int]:
        if value.get(MARK) == "bytes" and len(value.get("base64", "")) > PART_BYTES:
            found = _media.of_bytes(value)
            if found is not None:
                return self._put_media(found)
        small: dict[str, Json] | None = None
        size = 2
        for key, item in value.items():
            kind = type(item)
            if kind is str and len(item) < PART_BYTES - 1:
                size += len(item) + len(key) + 6
                continue
            if kind in _ATOMS:
                size += len(key) + 12
                continue
            shrunk, item_size = self._shrink(item)
            size += item_size + len(key) + 4
            if shrunk is not item:
                small = dict(value) if small is None else small
                small[key] = shrunk
        return self._cap(value if small is None else small, size, PART_BYTES)

    def _lasting(self, value: Lasting) -> tuple[Json, int, Json]:
        """The same as `_made`."""
        found: tuple[Json, int, Json] | None = value.stored.get(self._epoch)
        if found is None:
            small, size = self._shrink_dict(value)
            found = small, size, self._cap(small, size, ITEM_BYTES)[0]
            value.keep(self._epoch, found)
        return found

    def _made(self, value: Made) -> tuple[Json, int, Json]:
        """The small form and its size, as `_shrink` gives them, and the form as an item of a long list."""
        if value.stored is None:
            small, size = self._shrink(value.json)
            value.stored, value.json = (small, size, self._cap(small, size, ITEM_BYTES)[0]), None
        found: tuple[Json, int, Json] = value.stored
        return found

    def _shrink_list(self, value: list[Json]) -> tuple[Json, int]:
        shrunk: list[tuple[Any, ...]] = [
            self._lasting(item) if type(item) is Lasting else self._shrink(item) for item in value
        ]
        size = 2 + len(value) + sum([found[1] for found in shrunk])
        is_small = size <= PART_BYTES
        if is_small and all(found[0] is given for found, given in zip(shrunk, value, strict=True)):
            return value, size
        # A message that an update adds is an item of every state after it: it is stored once, for both.
        items = [
            given.stored[2] if type(given) is Made else
            found[2] if type(given) is Lasting else
            found[0] if is_small and type(found[0]) is not dict else self._cap(found[0], found[1], ITEM_BYTES)[0]
            for given, found in zip(value, shrunk, strict=True)
        ]  # fmt: skip
        if is_small:
            return items, size
        if len(items) <= FANOUT:
            return self._cap(items, 100 * len(items), PART_BYTES)
        chunks, tail = self._chunks(items)
        return marker("list", n=len(items), chunks=chunks, tail=tail), 50 * len(chunks) + 100 * len(tail)

    def _chunks(self, items: list[Json]) -> tuple[list[str], list[Json]]:
        """Ids of the full chunks, highest first, and the items that fill none."""
        left: list[list[Json]] = []
        level: list[Json] = items
        while len(level) >= FANOUT or not left:
            full = len(level) - len(level) % FANOUT
            left.append(level[full:])
            level = [self._chunk(level[i : i + FANOUT]) for i in range(0, full, FANOUT)]
        left.append(level)
        return [chunk for ids in reversed(left[1:]) for chunk in ids], left[0]

    def _chunk(self, part: list[Json]) -> str:
        """The id of a chunk; those of a list that grows are the same from step to step."""
        key: tuple[bool, tuple[str, ...]]
        if all(map(_is_ref, part)):
            key = True, tuple([item["id"] for item in part])
        elif all(type(item) is str for item in part):
            key = False, tuple(part)
        else:
            return str(self._put(part)["id"])
        found = self._chunk_ids.get(key)
        if found is None:
            found = str(self._put(part)["id"])
            if len(self._chunk_ids) > _MAX_CHUNKS:
                self._chunk_ids.clear()
            self._chunk_ids[key] = found
        return found

    def _cap(self, value: Json, size: int, limit: int) -> tuple[Json, int]:
        if size <= limit or (isinstance(value, dict) and value.get(MARK) in ("ref", "list", "media")):
            return value, size
        ref = self._put(value)
        return ref, 100

    def _put(self, value: Json) -> Json:
        data = (value.data if type(value) is Lasting else None) or encode_json(value)
        return marker("ref", id=self._blob(data, JSON_MEDIA, b""), n_bytes=len(data))

    def _put_media(self, found: _media.Found) -> tuple[Json, int]:
        # The media type counts: the id commits to it.
        blob_id = self._blob(found.data, found.media, found.media.encode() + b"\x00")
        return marker("media", media=found.media, n_bytes=len(found.data), id=blob_id, **found.about), 200

    def _salt(self) -> bytes:
        """Fresh random bytes. Many at once: asking the system lets go of the interpreter each time."""
        if not self._salts:
            self._salts = os.urandom(_SALTS * SALT_BYTES)
        salt, self._salts = self._salts[:SALT_BYTES], self._salts[SALT_BYTES:]
        return salt

    def _blob(self, data: bytes, media: str, key: bytes) -> str:
        """The id of the blob that holds `data`, made unless it is there; `key` sets equal bytes of two kinds apart."""
        dedup = blake2b(key + data if key else data, digest_size=16).digest()
        blob_id = self._known.get(dedup)
        if blob_id is None:
            salt = self._salt()
            blob_id = blob_id_of(salt, media, data)
            self._known[dedup] = blob_id
            self._fresh.append(Blob(self.engagement_id, blob_id, dedup, salt, media, data))
        return blob_id


def _is_ref(item: Json) -> bool:
    return type(item) is dict and item.get(MARK) == "ref"


class Resolver:
    """Puts values back together from their references.

    A part that many values share is read once and is the same Python object in all of them: treat it as read-only.
    A blob that is not there becomes `{"$ftnb": "withheld", "id": …}`: it was redacted, or left out of an export.
    One that cannot be read becomes `{"$ftnb": "damaged", "id": …, "why": …}`.
    """

    def __init__(self, fetch: Callable[[str], bytes | None]) -> None:
        """`fetch` gives a blob's data by its id; None when the blob is not there."""
        self._fetch = fetch
        self._parts: dict[str, Any] = {}

    def __call__(self, value: Json) -> Any:
        """The Python value that was interned as `value`."""
        return from_json(value, self._resolve)

    def _resolve(self, mark: dict[str, Json]) -> Any:
        if mark[MARK] == "list":
            return self._items(mark)
        blob_id = mark["id"]
        if mark[MARK] == "media":
            data = self._fetch(blob_id)
            return Marked(marker("withheld", id=blob_id)) if data is None else _media.restored(mark, data)
        if blob_id not in self._parts:
            data = self._fetch(blob_id)
            withheld = Marked(marker("withheld", id=blob_id))
            self._parts[blob_id] = withheld if data is None else self._read(blob_id, data)
        return self._parts[blob_id]

    def _read(self, blob_id: str, data: bytes) -> Any:
        try:
            return self(orjson.loads(data))
        except (ValueError, KeyError, TypeError) as error:
            return _damaged(blob_id, error)

    def _items(self, mark: dict[str, Json]) -> list[Any]:
        """The items of a chunked list; a chunk that is not there is one withheld item."""
        items: list[Any] = []
        for chunk, height in zip(mark["chunks"], heights(mark["n"]), strict=True):
            self._open(chunk, height, items)
        return items + [self(item) for item in mark["tail"]]

    def _open(self, chunk: str, height: int, items: list[Any]) -> None:
        data = self._fetch(chunk)
        if data is None:
            items.append(Marked(marker("withheld", id=chunk, n=FANOUT**height)))
            return
        try:
            parts = list(orjson.loads(data))
        except (ValueError, TypeError) as error:
            items.append(_damaged(chunk, error))
            return
        for part in parts:
            if height > 1:
                self._open(part, height - 1, items)
            else:
                items.append(self(part))


def _damaged(blob_id: str, error: Exception) -> Marked:
    return Marked(marker("damaged", id=blob_id, why=f"{type(error).__name__}: {error}"[:200]))


def heights(n: int) -> list[int]:
    """Heights of the chunks of a list of n items, highest first: the digits of n in base FANOUT."""
    found: list[int] = []
    height = 0
    while n:
        if height:
            found = [height] * (n % FANOUT) + found
        n //= FANOUT
        height += 1
    return found
