"""The fields of a body, and the commitment to each of them: what profile `audit` can close one by one.

A field is an entry of the body; of `metadata` and `@payload` it is an entry of theirs. A path names it by its JSON
keys, `"error"` or `"metadata"."email"`; its value is the text that stands in the body, never written anew:

    field commitment = SHA-256("f" ‖ salt ‖ t<bytes>:<path>; ‖ value)
    body commitment  = SHA-256("ftnb/1f" ‖ for each field in order: t<bytes>:<path>; ‖ field commitment)

A closed field stays in the body as `{"$ftnb":"withheld","sha256":"<its commitment in hex>"}`, and its salt is zeros.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Sequence
from functools import lru_cache
from hashlib import sha256
from typing import Any

FIELDS_TAG = b"ftnb/1f"
SALT_BYTES = 16
NO_SALT = bytes(SALT_BYTES)
DEEP = frozenset({"metadata", "@payload"})
"""Entries of a body whose own entries are fields."""
_DEEP = frozenset(f'"{key}"' for key in DEEP)
_CLOSED = re.compile(r'\{"\$ftnb":"withheld","sha256":"([0-9a-f]{64})"\}\Z')
_decoder: Any = json.JSONDecoder()
_scan = _decoder.scan_once
_end_of_key = _decoder.parse_string

Field = tuple[str, str]
"""Path and value, as they stand in the body."""


@lru_cache(maxsize=2)
def fields_of(body: bytes) -> tuple[Field, ...]:
    """The fields of a body, in its order. Raises ValueError for what is no canonical JSON object."""
    text = body.decode()
    found: list[Field] = []
    try:
        entries, end = _entries(text, 0)
        if end != len(text):
            raise ValueError("a body has more after its end")
        for key, start, stop in entries:
            if key in _DEEP and text[start] == "{" and not text.startswith(('{"$ftnb"', "{}"), start):
                found += [(f"{key}.{inner}", text[a:b]) for inner, a, b in _entries(text, start)[0]]
            else:
                found.append((key, text[start:stop]))
    except (IndexError, StopIteration, RecursionError) as error:
        raise ValueError(f"a body is no JSON object: {error!r}") from None
    return tuple(found)


def _entries(text: str, at: int) -> tuple[list[tuple[str, int, int]], int]:
    """(key as written, start and end of its value) of the object at `at`, and where it ends."""
    if text[at] != "{":
        raise ValueError("a body is no JSON object")
    found: list[tuple[str, int, int]] = []
    if text[at + 1] == "}":
        return found, at + 2
    while True:
        start = at + 1
        if text[start] != '"':
            raise ValueError("a body has a key that is no text")
        at = _end_of_key(text, start + 1, True)[1]
        if text[at] != ":":
            raise ValueError("a body has a key without a value")
        stop = _scan(text, at + 1)[1]
        found.append((text[start:at], at + 1, stop))
        at = stop
        if text[at] == "}":
            break
        if text[at] != ",":
            raise ValueError("a body has spaces, or no comma between its entries")
    if len({key for key, _, _ in found}) < len(found):
        raise ValueError("a body has a key twice")
    return found, at + 1


def closed_by(value: str) -> bytes | None:
    """The commitment that stands in the place of a closed field; None: it is open."""
    if not value.startswith('{"$ftnb":"withheld"'):
        return None
    found = _CLOSED.match(value)
    return None if found is None else bytes.fromhex(found[1])


def field_commitment(salt: bytes, path: str, value: str) -> bytes:
    """The commitment to an open field."""
    return sha256(b"f" + salt + _path(path) + value.encode()).digest()


def _path(path: str) -> bytes:
    encoded = path.encode()
    return b"t%d:%s;" % (len(encoded), encoded)


def body_commitment(salts: bytes, body: bytes) -> bytes:
    """The commitment to a whole body, by the salts of its fields in order. Raises ValueError where they do not fit."""
    fields = fields_of(body)
    if len(salts) != SALT_BYTES * len(fields):
        raise ValueError(f"a body of {len(fields)} fields has as many salts, got {len(salts)} bytes")
    whole = sha256(FIELDS_TAG)
    for place, (path, value) in enumerate(fields):
        kept = closed_by(value)
        salt = salts[SALT_BYTES * place : SALT_BYTES * (place + 1)]
        whole.update(_path(path) + (kept or field_commitment(salt, path, value)))
    return whole.digest()


def closed_paths(body: bytes) -> list[str]:
    """Paths of the fields that are closed in a body of profile `audit`."""
    if b'"withheld","sha256":"' not in body:
        return []
    return [path for path, value in fields_of(body) if closed_by(value) is not None]


def with_closed(salts: bytes, body: bytes, paths: Collection[str]) -> tuple[bytes, bytes]:
    """Salts and body with these fields closed; what is closed or not there already is left alone."""
    fields, new = fields_of(body), bytearray(salts)
    values: list[Field] = []
    for place, (path, value) in enumerate(fields):
        at = SALT_BYTES * place
        if path in paths and closed_by(value) is None:
            digest = field_commitment(salts[at : at + SALT_BYTES], path, value).hex()
            value = f'{{"$ftnb":"withheld","sha256":"{digest}"}}'
            new[at : at + SALT_BYTES] = NO_SALT
        values.append((path, value))
    return bytes(new), _joined(values)


def _joined(fields: Sequence[Field]) -> bytes:
    """The body of these fields."""
    parts: list[str] = []
    inside: str | None = None
    for path, value in fields:
        key, _, inner = _split(path)
        if inside is not None and key != inside:
            parts[-1] += "}"
            inside = None
        if not inner:
            parts.append(f"{key}:{value}")
        elif inside == key:
            parts[-1] += f",{inner}:{value}"
        else:
            parts.append(f"{key}:{{{inner}:{value}")
            inside = key
    closing = "}" if inside is not None else ""
    return ("{" + ",".join(parts) + closing + "}").encode()


def _split(path: str) -> tuple[str, str, str]:
    end = _end_of_key(path, 1, True)[1]
    return path[:end], path[end : end + 1], path[end + 1 :]


def path_of(*keys: str) -> str:
    """The path of a field by its plain keys: `path_of("metadata", "email")`."""
    return ".".join(json.dumps(key, ensure_ascii=False) for key in keys)


def key_of(path: str, under: str) -> str | None:
    """The plain key of a field below `under` ("metadata"); None: it is not below it."""
    key, _, inner = _split(path)
    return json.loads(inner) if inner and json.loads(key) == under else None
