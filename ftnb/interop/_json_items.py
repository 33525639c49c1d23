"""The objects at one place of a large JSON document, one after the other, without holding the document.

The document is read in pieces. Quotes, escapes and brackets of a piece are found as arrays, so that only the brackets
near the top are looked at one by one; objects at the places that are asked for are cut out as bytes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import IO, Any, NamedTuple

from ..core.errors import NotOurFileError
from ._bounds import MAX_DEPTH, MAX_ITEM

_PIECE = 4 << 20
_KEY = 4_096
"""Bytes before a bracket in which its key is looked for."""
Path = tuple[str, ...]


class Item(NamedTuple):
    """One object or list of the document."""

    path: Path
    """Keys from the top, `*` for a place in a list."""
    line: int
    data: bytes


def items(file: IO[bytes], where: str, is_wanted: Callable[[Path], bool], levels: int) -> Iterator[Item]:
    """The objects and lists whose path `is_wanted`, none of them deeper than `levels`, in the order of the file.

    Raises NotOurFileError, with the line, where brackets do not match, where one object is larger than 64 MB, where
    there are more than 200 levels, and at the end of a document that is not closed.
    """
    return _Walk(file, where, is_wanted, levels).run()


class _Walk:
    def __init__(self, file: IO[bytes], where: str, is_wanted: Callable[[Path], bool], levels: int) -> None:
        self._file, self._where, self._is_wanted, self._levels = file, where, is_wanted, levels
        self._in_string = self._is_escaped = False
        self._depth = 0
        self._base = 0
        """Where in the file the kept bytes begin."""
        self._kept = bytearray()
        self._line = 1
        """Line of the beginning of the piece."""
        self._open: list[tuple[int, str]] = []
        """(bracket, key) of what is open near the top."""
        self._item: tuple[int, int, Path, int] | None = None
        """(level, position, path, line) of the object that is being cut out."""

    def run(self) -> Iterator[Item]:
        while piece := self._file.read(_PIECE):
            start = self._base + len(self._kept)
            self._kept += piece
            yield from self._piece(piece, start)
            self._forget()
        if self._depth or self._in_string:
            inside = "inside a text" if self._in_string else f"with {self._depth} brackets open"
            raise self._error(self._line, f"the file ends {inside}: it was cut off")

    def _piece(self, piece: bytes, start: int) -> Iterator[Item]:
        import numpy as np

        data = np.frombuffer(piece, dtype=np.uint8)
        quotes = self._quotes(np, data)
        at = np.flatnonzero(_brackets(np)[data])
        before = np.searchsorted(quotes, at)
        at = at[(before + self._in_string) % 2 == 0]
        self._in_string = bool((len(quotes) + self._in_string) % 2)
        opens = (data[at] == 0x5B) | (data[at] == 0x7B)
        after = self._depth + np.cumsum(np.where(opens, 1, -1))
        newlines = np.flatnonzero(data == 10)
        if len(after):
            self._depth = int(after[-1])
            if after.min() < 0 or after.max() > MAX_DEPTH:
                place = at[int(np.argmax((after < 0) | (after > MAX_DEPTH)))]
                line = self._line + int(np.searchsorted(newlines, place))
                too_deep = after.max() > MAX_DEPTH
                reason = f"more than {MAX_DEPTH} levels of nesting" if too_deep else "a bracket closes that is not open"
                raise self._error(line, reason)
        near = np.where(opens, after, after + 1) <= self._levels
        at, opens = at[near], opens[near]
        numbers = self._line + np.searchsorted(newlines, at)
        for position, is_open, line in zip(at.tolist(), opens.tolist(), numbers.tolist(), strict=True):
            found = self._begin(start + position, piece[position], line) if is_open else None
            if not is_open:
                found = self._end(start + position, piece[position], line)
            if found is not None:
                yield found
        self._line += len(newlines)
        if self._item is not None and start + len(piece) - self._item[1] > MAX_ITEM:
            raise self._error(self._item[3], f"one object is larger than {MAX_ITEM >> 20} MB")

    def _quotes(self, np: Any, data: Any) -> Any:
        """Positions of the quotes that begin or end a text."""
        quotes = np.flatnonzero(data == 34)
        slashes = np.flatnonzero(data == 92)
        escaped_first, self._is_escaped = self._is_escaped, False
        if not len(slashes):
            return quotes[quotes != 0] if escaped_first else quotes
        begins = np.ones(len(slashes), dtype=bool)
        begins[1:] = np.diff(slashes) != 1
        place = np.arange(len(slashes))
        since = place - np.maximum.accumulate(np.where(begins, place, 0))
        if escaped_first and slashes[0] == 0:
            run = np.flatnonzero(begins)
            end = run[1] if len(run) > 1 else len(slashes)
            since[:end] += 1
        escapes = slashes[since % 2 == 0]
        self._is_escaped = bool(len(escapes) and escapes[-1] == len(data) - 1)
        taken = np.zeros(len(data) + 1, dtype=bool)
        taken[escapes + 1] = True
        taken[0] |= escaped_first
        return quotes[~taken[quotes]]

    def _begin(self, position: int, bracket: int, line: int) -> Item | None:
        is_list = bool(self._open) and self._open[-1][0] == 0x5B
        key = "" if not self._open else "*" if is_list else self._key(position)
        self._open.append((bracket, key))
        if self._item is None:
            path = tuple(key for _, key in self._open[1:])
            if self._is_wanted(path):
                self._item = (len(self._open), position, path, line)
        return None

    def _end(self, position: int, bracket: int, line: int) -> Item | None:
        if not self._open or self._open[-1][0] != bracket - 2:
            raise self._error(line, f"{chr(bracket)!r} closes what it did not open")
        level = len(self._open)
        self._open.pop()
        if self._item is None or self._item[0] != level:
            return None
        _, began, path, first = self._item
        self._item = None
        return Item(path, first, bytes(self._kept[began - self._base : position + 1 - self._base]))

    def _key(self, position: int) -> str:
        before = bytes(self._kept[max(position - self._base - _KEY, 0) : position - self._base]).rstrip()
        if not before.endswith(b":"):
            return "?"
        before = before[:-1].rstrip()
        return before[before.rfind(b'"', 0, -1) + 1 : -1].decode("utf-8", "replace")

    def _forget(self) -> None:
        """Let go of what has been read, but for the object under way and a key before the next bracket."""
        end = self._base + len(self._kept)
        keep = max(end - _KEY, self._base)
        if self._item is not None:
            keep = min(keep, self._item[1])
        del self._kept[: keep - self._base]
        self._base = keep

    def _error(self, line: int, reason: str) -> NotOurFileError:
        return NotOurFileError(f"{self._where}, line {line}: {reason}")


def _brackets(np: Any) -> Any:
    table = np.zeros(256, dtype=bool)
    table[[0x5B, 0x5D, 0x7B, 0x7D]] = True
    return table
