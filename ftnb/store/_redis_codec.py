"""How rows and blobs are written in Redis: as JSON text, so that any client can read them, also one that decodes."""

from __future__ import annotations

from base64 import b64decode, b64encode
from collections.abc import Callable, Sequence
from hashlib import blake2b
from typing import Any

import orjson

from .blobs import Blob
from .leaf import INDEX, Row

_SALT, _BODY, _COMMITMENT = INDEX["salt"], INDEX["body"], INDEX["commitment"]
assert (len(INDEX) - 3, len(INDEX) - 2, len(INDEX) - 1) == (_SALT, _BODY, _COMMITMENT)


class Keys:
    """The names of a store's keys."""

    def __init__(self, prefix: str) -> None:
        self.prefix = prefix
        self.meta = f"{prefix}:meta"
        """Hash: seq (the last one given), purges, v."""
        self.lock = f"{prefix}:lock"
        self.engagements = f"{prefix}:engagements"
        """Sorted set: engagement ids by their first seq."""
        self.latest = f"{prefix}:latest"
        """Sorted set: engagement ids by their last seq."""
        self.tombstones = f"{prefix}:tombstones"
        """Hash: purged engagement ids, each with the number of records that came late."""
        self.tail = f"{prefix}:tail"
        """Stream: one entry a batch, whose id is the batch's last seq; trimmed."""
        self.entries = f"{prefix}:log"

    def records(self, engagement_id: str) -> str:
        """Stream: the engagement's records; an entry's id is the last seq in it."""
        return f"{self.prefix}:records:{engagement_id}"

    def streams(self, engagement_id: str) -> str:
        """Hash: log streams of the engagement."""
        return f"{self.prefix}:streams:{engagement_id}"

    def blobs(self, engagement_id: str) -> str:
        """Hash: blobs by id."""
        return f"{self.prefix}:blobs:{engagement_id}"

    def dedup(self, engagement_id: str) -> str:
        """Hash: blob ids by dedup hash."""
        return f"{self.prefix}:dedup:{engagement_id}"

    def labels(self, engagement_id: str) -> str:
        """Hash: the engagement's metadata index entries."""
        return f"{self.prefix}:labels:{engagement_id}"

    def of(self, engagement_id: str) -> list[str]:
        """Every key that holds something of this engagement alone."""
        kinds = (self.records, self.streams, self.blobs, self.dedup, self.labels)
        return [kind(engagement_id) for kind in kinds]

    def having(self, key: str) -> str:
        """Set: engagements with a metadata value that is not None under `key`."""
        return f"{self.prefix}:having:{_short(key)}"

    def equal(self, key: str, value: str) -> str:
        """Set: engagements with this value under `key`. Hashed: values are long, and not for a list of keys."""
        return f"{self.prefix}:equal:{_short(key, value)}"


def _short(*parts: str) -> str:
    return blake2b("\x00".join(parts).encode(), digest_size=16).hexdigest()


def dump_rows(rows: Sequence[tuple[int, Row]]) -> bytes:
    """Rows of one engagement, without its id."""
    return orjson.dumps([_row_json(seq, row) for seq, row in rows])


def _row_json(seq: int, row: Row) -> list[Any]:
    salt, body, commitment = row[_SALT:]
    return [seq, *row[1:_SALT], salt and salt.hex(), _text(body), commitment and commitment.hex()]


def load_rows(engagement_id: str, text: str | bytes) -> list[tuple[int, Row]]:
    """What `dump_rows` wrote."""
    return [_row(engagement_id, values) for values in orjson.loads(text)]


def _row(engagement_id: str, values: list[Any]) -> tuple[int, Row]:
    seq, *header, salt, body, commitment = values
    secret = (_unhex(salt), _bytes(body), _unhex(commitment))
    return seq, (engagement_id, *header, *secret)


def pick_columns(engagement_id: str, text: str | bytes, columns: Sequence[str], after: int) -> list[tuple[Any, ...]]:
    """Only these columns of the rows after a seq, which must be `columns[0]`: most of a row is not even looked at."""
    rows = [values for values in orjson.loads(text) if values[0] > after]
    picked: list[list[Any]] = []
    for name in columns:
        if name == "engagement_id":
            picked.append([engagement_id] * len(rows))
            continue
        place = 0 if name == "seq" else INDEX[name]
        column = [values[place] for values in rows]
        decode = _DECODERS.get(name)
        picked.append(column if decode is None else [decode(value) for value in column])
    return list(zip(*picked, strict=True))


def _unhex(text: str | None) -> bytes | None:
    return None if text is None else bytes.fromhex(text)


def _text(data: bytes | None) -> Any:
    """Bytes as JSON: as text where they are UTF-8, else as a list of one base64 text."""
    if data is None:
        return None
    try:
        return data.decode()
    except UnicodeDecodeError:
        return [b64encode(data).decode()]


def _bytes(value: Any) -> bytes | None:
    if value is None:
        return None
    return b64decode(value[0]) if isinstance(value, list) else value.encode()


def dump_blob(blob: Blob) -> bytes:
    """A blob as it is kept under its id."""
    return orjson.dumps([blob.salt.hex(), blob.media, _text(blob.data)])


def load_blob(text: str | bytes) -> tuple[bytes, str, bytes]:
    """Salt, media type and data of a kept blob."""
    salt, media, data = orjson.loads(text)
    return bytes.fromhex(salt), media, _bytes(data) or b""


def as_text(value: Any) -> str:
    """What a client answered, as text: it may decode, or not."""
    return value.decode() if isinstance(value, bytes) else str(value)


def field(fields: dict[Any, Any], name: str) -> Any:
    """A field of a stream entry, from a client that decodes or not."""
    return fields[name] if name in fields else fields[name.encode()]


_DECODERS: dict[str, Callable[[Any], bytes | None]] = {"salt": _unhex, "body": _bytes, "commitment": _unhex}
