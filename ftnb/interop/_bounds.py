"""Files of others, opened with care: what is declared is not believed, and what is read is counted."""

from __future__ import annotations

import gzip
import io
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from ..core.errors import NotOurFileError, StoreError

MAX_ITEM = 64 << 20
"""Bytes of one object or line of a file."""
MAX_DEPTH = 200
"""Levels of JSON."""
MAX_ITEMS = 50_000_000
_FREE = 64 << 20
_RATIO = 200
"""A file may unpack to 64 MB whatever it was packed to; past that to 200 times its own size."""


def open_bytes(path: Path) -> IO[bytes]:
    """`path`, unpacked where it is gzip. Reading from it raises NotOurFileError for a bomb or a damaged archive."""
    try:
        file = path.open("rb")
        head = file.read(2)
        file.seek(0)
    except OSError as error:
        raise StoreError(f"cannot read {str(path)!r}: {error.strerror or error}") from error
    if head != b"\x1f\x8b":
        return file
    return io.BufferedReader(_Unpacked(file, path), 1 << 20)


class _Unpacked(io.RawIOBase):
    """A gzip file that stops when it unpacks to far more than its size."""

    def __init__(self, file: IO[bytes], path: Path) -> None:
        self._name = str(path)
        self._file = file
        self._zip = gzip.GzipFile(fileobj=file)
        self._budget = _FREE + _RATIO * path.stat().st_size

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: bytearray | memoryview) -> int:  # type: ignore[override]
        try:
            data = self._zip.read(len(buffer))
        except (OSError, EOFError, zlib.error) as error:
            raise NotOurFileError(f"{self._name}: the gzip data is damaged or cut off: {error}") from error
        self._budget -= len(data)
        if self._budget < 0:
            raise NotOurFileError(f"{self._name}: it unpacks to more than {_RATIO} times its size; it is not read on")
        buffer[: len(data)] = data
        return len(data)

    def close(self) -> None:
        self._zip.close()
        self._file.close()
        super().close()


def lines(file: IO[bytes], where: str) -> Iterator[tuple[int, bytes]]:
    """(number, line) of each line that is not blank. Raises NotOurFileError for one of more than 64 MB."""
    number = 0
    while True:
        line = file.readline(MAX_ITEM + 1)
        if not line:
            return
        number += 1
        if len(line) > MAX_ITEM:
            raise NotOurFileError(f"{where}, line {number}: the line is longer than {MAX_ITEM >> 20} MB")
        if line.strip():
            yield number, line
