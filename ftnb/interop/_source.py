"""What an importer reads from, and whom it tells of items that it cannot read."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, TypeVar

import orjson

from ._bounds import MAX_ITEM, lines, open_bytes
from ._forms import BadItem, not_ours
from ._json_items import Item, items
from ._json_items import Path as JsonPath
from ._report import Report

T = TypeVar("T")


@dataclass
class Source:
    """A file, a frame, or a value, on its way in."""

    where: str
    """Names it in messages."""
    report: Report
    strict: bool
    path: Path | None = None
    frame: Any = None
    dsn: str | None = None

    def open(self) -> IO[bytes]:
        """The file, unpacked."""
        assert self.path is not None
        return open_bytes(self.path)

    def bad(self, line: int | None, reason: str, item: object = "") -> None:
        """An item cannot be used. Raises NotOurFileError where that is not to be passed over."""
        if self.strict:
            raise not_ours(self.where, line, reason)
        self.report.bad(line, reason, item)

    def guarded(self, line: int | None, item: Any, make: Callable[[], T]) -> T | None:
        """What `make` gives; None where the item is bad."""
        try:
            return make()
        except BadItem as error:
            self.bad(line, str(error), item)
        except (TypeError, ValueError, KeyError, IndexError, AttributeError, OverflowError, RecursionError) as error:
            self.bad(line, f"it does not have the form of this format ({type(error).__name__}: {error})", item)
        return None

    def is_lines(self) -> bool:
        """Whether the file holds a JSON value a line, not one document over many lines."""
        with contextlib.closing(self.open()) as file:
            for _ in range(3):
                line = file.readline(MAX_ITEM)
                if not line.endswith(b"\n"):
                    return False
                try:
                    found = orjson.loads(line)
                except ValueError:
                    continue
                if isinstance(found, (dict, list)) and found:
                    return bool(file.read(4096).strip())
        return False

    def json_lines(self) -> Iterator[tuple[int, Any]]:
        """(line, value) of each line that is JSON."""
        with contextlib.closing(self.open()) as file:
            for number, line in lines(file, self.where):
                try:
                    yield number, orjson.loads(line)
                except ValueError as error:
                    self.bad(number, f"not JSON: {error}", line[:200])

    def json_items(self, is_wanted: Callable[[JsonPath], bool], levels: int) -> Iterator[tuple[JsonPath, int, Any]]:
        """(path, line, value) of each wanted object of one document. With errors allowed, a document that is cut off
        gives what comes before."""
        with contextlib.closing(self.open()) as file:
            walk: Iterator[Item] = items(file, self.where, is_wanted, levels)
            while True:
                try:
                    item = next(walk, None)
                except OSError as error:
                    if self.strict:
                        raise
                    self.report.bad(None, str(error))
                    return
                if item is None:
                    return
                try:
                    value = orjson.loads(item.data)
                except ValueError as error:
                    self.bad(item.line, f"not JSON: {error}", item.data[:200])
                    continue
                yield item.path, item.line, value

    def objects(self, *nested: JsonPath) -> Iterator[tuple[int, Any]]:
        """(line, object) of a file of objects: one a line, a list of them, or one document.

        `nested` are paths at which a document may hold them, as `("observations", "*")`.
        """
        if self.is_lines():
            for line, value in self.json_lines():
                for one in value if isinstance(value, list) else (value,):
                    yield line, one
            return
        wanted = {("*",), *nested} if self.first_byte() == b"[" or nested else {()}
        for _, line, value in self.json_items(lambda path: path in wanted, max(map(len, wanted)) + 1):
            yield line, value

    def first_byte(self) -> bytes:
        """The first byte that is no space."""
        with contextlib.closing(self.open()) as file:
            return file.read(4096).lstrip(b"\xef\xbb\xbf \t\r\n")[:1]
