"""Parts of values that say the same for as long as they are there, so that what was made of one is made once.

A conversation sends its messages again with every call, and the tools it may use. Such a part is looked through for
secrets, made into JSON, hashed and stored the first time; what came of it is kept with it.
"""

from __future__ import annotations

from typing import Any

_MAX_STORED = 8
"""Engagements that one part is remembered for at a time."""


class Lasting(dict[str, Any]):
    """A JSON object that nobody changes. Whoever makes one says so; everybody else reads it as the dict that it is."""

    __slots__ = ("data", "is_json", "masked", "stored")

    def __init__(self, fields: dict[str, Any], data: bytes | None = None) -> None:
        """`data`: the same as canonical JSON, where that is known."""
        super().__init__(fields)
        self.data = data
        self.is_json = False
        """It was looked through, and is what `canonical.to_json` would make of it."""
        self.masked: tuple[Any, Any] | None = None
        """The rules that looked at it last, and what they make of it: itself where there is nothing to mask."""
        self.stored: dict[Any, Any] = {}
        """What `store.blobs` made of it, by what stands for an engagement."""

    def keep(self, key: Any, made: Any) -> None:
        """Remember what was made of it for an engagement."""
        if len(self.stored) >= _MAX_STORED:
            self.stored.clear()
        self.stored[key] = made
