"""A checksum in each file of an export, over every byte of it, signed where somebody signs.

Much of a Parquet file is read by some readers and not by others: statistics in footers and page headers, by which
whole row groups are left out of an answer, sizes, offsets, padding. What a reader of ours does not look at, it cannot
compare. So each file ends with one more pair in its key-value metadata:

    ftnb.seal    64 hex digits, and, where somebody signs, a dot and 92 characters of base64

The digits are the SHA-256 of the file as it was before they were put in: with as many zeros in the place of the value
as it has characters. The base64 is of 4 bytes of key id and 64 of an Ed25519 signature, as in a tree head's line, over

    ftnb.file/1
    <the 64 hex digits>
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any, BinaryIO

from ..core.errors import NotOurFileError

KEY = "ftnb.seal"
SIGNATURE_LENGTH = 92
"""Characters of base64 over 68 bytes."""
_VALUE = re.compile(rb"[0-9a-f]{64}(?:\.[A-Za-z0-9+/]{91}=)?")
_MAX_VALUE, _TAIL, _CHUNK = 64 + 1 + SIGNATURE_LENGTH, 64 << 10, 1 << 20


@dataclass(frozen=True, slots=True)
class FileSeal:
    """What a file says of its own bytes."""

    digest: str
    """Hex; it fits the bytes."""
    signature: str | None
    """Base64; not checked here. None: nobody signed."""


def text_of(digest: str) -> str:
    """What is signed."""
    return f"ftnb.file/1\n{digest}\n"


def placeholder(signer: Any) -> dict[str, str]:
    """The pair that a file is written with, of the length that `seal` needs."""
    return {KEY: "0" * (64 if _sign(signer) is None else _MAX_VALUE)}


def seal(path: Path, signer: Any) -> None:
    """Put the checksum of a finished file into it. Raises OSError."""
    sign = _sign(signer)
    with path.open("r+b") as file:
        found = _find(file, rb"0{%d}" % len(placeholder(signer)[KEY]))
        if found is None:
            raise NotOurFileError(f"{str(path)!r} was written without a place for its checksum")
        digest = _digest(file, *found)
        file.seek(found[0])
        file.write((digest if sign is None else f"{digest}.{sign(text_of(digest))}").encode())


def check_seal(path: Path) -> FileSeal:
    """The seal of a file. Raises NotOurFileError where there is none, or it is not of these bytes."""
    try:
        with path.open("rb") as file:
            found = _find(file, _VALUE.pattern)
            if found is None:
                raise NotOurFileError("no checksum of its bytes, with which ftnb ends each file")
            digest, (at, size) = _digest(file, *found), found
            file.seek(at)
            told, _, signature = file.read(size).decode().partition(".")
    except OSError as error:
        raise NotOurFileError(f"a file that cannot be read ({error})") from error
    if told != digest:
        raise NotOurFileError(f"SHA-256 {digest[:16]}… of bytes that say {told[:16]}…")
    return FileSeal(digest, signature or None)


def _sign(signer: Any) -> Any:
    return getattr(signer, "sign_text", None)


def _find(file: BinaryIO, value: bytes) -> tuple[int, int] | None:
    """Where the value begins, and its length: the last of its kind, as key-value pairs come after all columns."""
    end = file.seek(0, 2)
    file.seek(max(end - 8, 0))
    footer = int.from_bytes(file.read(4), "little") + 8
    # Thrift's compact protocol: after the key, a field of bytes (0x18), its length as a varint, and these.
    pattern = re.compile(re.escape(KEY).encode() + rb"\x18(?:\x40|\x9d\x01)(" + value + rb")")
    for size in (_TAIL, footer):
        begin = file.seek(max(end - size, 0))
        found = list(pattern.finditer(file.read()))
        if found:
            return begin + found[-1].start(1), len(found[-1][1])
    return None


def _digest(file: BinaryIO, at: int, size: int) -> str:
    whole = sha256()
    for offset, chunk in _chunks(file):
        start, stop = max(at - offset, 0), min(at + size - offset, len(chunk))
        whole.update(chunk if start >= stop else chunk[:start] + b"0" * (stop - start) + chunk[stop:])
    return whole.hexdigest()


def _chunks(file: BinaryIO) -> Iterator[tuple[int, bytes]]:
    offset = file.seek(0)
    while chunk := file.read(_CHUNK):
        yield offset, chunk
        offset += len(chunk)
