"""The leaf hashes of rows that were just made, by the batch: `leaf` says what they are, this is how they come quickly.

Rows as a writer makes them are open: nothing in them was closed or erased yet. So the columns go into the hash by name,
in one text, and in profile `audit` the fields of a body are those of the JSON that it was just written from.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from hashlib import sha256

import orjson

from ._fields import DEEP, FIELDS_TAG, SALT_BYTES
from .leaf import AUDIT, AUDIT_PREFIX, COLUMNS, GROUPS, LEAF_PREFIX, N_LEAF, PIECES, Row, leaf_hash

_NO_TOKENS = (None,) * 6
_NO_TOKENS_TEXT = "-;" * 6
_PREFIX = LEAF_PREFIX.decode()
_MAX_PATHS = 4_000
_RANDOM_BYTES = 4_096
"""Taken from the system at once: asking it lets go of the interpreter each time."""
assert (len(COLUMNS), N_LEAF, len(GROUPS)) == (30, 27, 4), "columns and groups are written here by name"


def leaf_hashes(rows: Sequence[Row]) -> list[bytes]:
    """`leaf_hash` of each of `rows`, of profile `hash`."""
    p, found = PIECES, list[bytes]()
    stream = engagement = ids = None
    for row in rows:
        (
            engagement_id, stream_id, n, v, kind, at, turn, step, parent, event, name, ns, visit, attempt, event_kind,
            status, duration, ttft, model, prompt, completion, total, read, write, reasoning, error, n_bytes,
            salt, body, kept,
        ) = row  # fmt: skip
        if kept is not None or (salt is not None and (body is None or len(salt) != SALT_BYTES)):
            found.append(leaf_hash(row))
            continue
        if stream_id is not stream or engagement_id is not engagement:
            stream, engagement, ids = stream_id, engagement_id, f"{_PREFIX}{p[engagement_id]}{p[stream_id]}"
        tokens = _NO_TOKENS_TEXT
        if not (prompt is completion is total is read is write is reasoning is None):
            tokens = f"{p[prompt]}{p[completion]}{p[total]}{p[read]}{p[write]}{p[reasoning]}"
        took = "-;" if duration is None else f"i{duration};"
        header = (
            f"{ids}i{n};{p[v]}{p[kind]}i{at};{p[turn]}{p[step]}{p[parent]}{p[event]}{p[name]}{p[ns]}{p[visit]}"
            f"{p[attempt]}{p[event_kind]}{p[status]}{took}{p[ttft]}{p[model]}{tokens}{p[error]}{p[n_bytes]}"
        )
        end = b"-;" if salt is None else b"b32:" + sha256(salt + body).digest() + b";"
        found.append(sha256(header.encode() + end).digest())
    return found


def audited(rows: Sequence[Row]) -> tuple[list[Row], list[bytes]]:
    """`rows` with fresh salts of profile `audit`, and the leaf hash of each. They have no salt yet."""
    p, found, leaves = PIECES, list[Row](), list[bytes]()
    random, at_salt = b"", 0
    for row in rows:
        (
            engagement_id, stream_id, n, v, kind, at, turn, step, parent, event, name, ns, visit, attempt, event_kind,
            status, duration, ttft, model, prompt, completion, total, read, write, reasoning, error, n_bytes,
            _, body, kept,
        ) = row  # fmt: skip
        fields = () if body is None else _fields(body)
        n_salts = SALT_BYTES * (4 + len(fields))
        if at_salt + n_salts > len(random):
            random, at_salt = os.urandom(_RANDOM_BYTES + n_salts), 0
        salts = random[at_salt : at_salt + n_salts]
        at_salt += n_salts
        tokens = _NO_TOKENS_TEXT
        if (prompt, completion, total, read, write, reasoning) != _NO_TOKENS:
            tokens = f"{p[prompt]}{p[completion]}{p[total]}{p[read]}{p[write]}{p[reasoning]}"
        identity = f"{p[step]}{p[parent]}{p[event]}{p[visit]}{p[attempt]}".encode()
        names = f"{p[name]}{p[ns]}{p[model]}{p[error]}".encode()
        timing = f"i{at};{p[duration]}{p[ttft]}".encode()
        usage = f"{tokens}{p[n_bytes]}".encode()
        clear = f"{p[engagement_id]}{p[stream_id]}i{n};{p[v]}{p[kind]}{p[turn]}{p[event_kind]}{p[status]}".encode()
        end = b"-;" if body is None else b"b32:%b;" % _body_commitment(fields, salts)
        leaf = (
            AUDIT_PREFIX, clear, sha256(b"g%b%b" % (salts[:16], identity)).digest(),
            sha256(b"g%b%b" % (salts[16:32], names)).digest(), sha256(b"g%b%b" % (salts[32:48], timing)).digest(),
            sha256(b"g%b%b" % (salts[48:64], usage)).digest(), end,
        )  # fmt: skip
        leaves.append(sha256(b"".join(leaf)).digest())
        found.append((*row[:N_LEAF], AUDIT + salts, body, kept))
    return found, leaves


def _body_commitment(fields: Sequence[tuple[bytes, bytes]], salts: bytes) -> bytes:
    parts, at = [FIELDS_TAG], 4 * SALT_BYTES
    for path, value in fields:
        parts += (path, sha256(b"f%b%b%b" % (salts[at : at + SALT_BYTES], path, value)).digest())
        at += SALT_BYTES
    return sha256(b"".join(parts)).digest()


def _fields(body: bytes) -> list[tuple[bytes, bytes]]:
    """Path, as it is hashed, and value of each field of a body that was just encoded, as `_fields.fields_of` has them.

    What canonical JSON is read as is written as the same text again.
    """
    found: list[tuple[bytes, bytes]] = []
    dumps, paths = orjson.dumps, _paths
    for key, value in orjson.loads(body).items():
        if key in DEEP and type(value) is dict and value and next(iter(value)) != "$ftnb":
            found += [(paths.get((key, k)) or _path(key, k), dumps(v)) for k, v in value.items()]
        else:
            found.append((paths.get((key, None)) or _path(key, None), dumps(value)))
    return found


def _path(key: str, inner: str | None) -> bytes:
    path = orjson.dumps(key) if inner is None else b"%b.%b" % (orjson.dumps(key), orjson.dumps(inner))
    if len(_paths) > _MAX_PATHS:
        _paths.clear()
    found = _paths[key, inner] = b"t%d:%b;" % (len(path), path)
    return found


_paths: dict[tuple[str, str | None], bytes] = {}
