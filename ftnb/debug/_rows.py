"""Records of one engagement as rows of the log: in the order in which they count, with their bodies read."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

import orjson

from ..core.canonical import Json

Row = tuple[Any, ...]
BRANCH_AT = "ftnb_branch_at"
"""Key of a branch's metadata under which it is told where it was made."""


def in_order(rows: list[Row], turn: int, stream: int, n: int) -> list[Row]:
    """Rows by turn, then by stream as they first come, then by number within it; the last three say which column."""
    first: dict[str, int] = {}
    for place, row in enumerate(rows):
        first.setdefault(row[stream], place)
    rows.sort(key=lambda row: (row[turn] or 1, first[row[stream]], row[n] or 0))
    return rows


def body_of(data: Any) -> tuple[Mapping[str, Json], str | None]:
    """A record's body, and why it cannot be read; a record may also have none."""
    if data is None:
        return {}, None
    if type(data) is dict:
        return data, None
    try:
        body = orjson.loads(data)
    except ValueError:
        return {}, "it is damaged"
    return (body, None) if type(body) is dict else ({}, "it is damaged")


class Visits:
    """How often each node began: what a record says, or else the count so far."""

    def __init__(self) -> None:
        self._counts: Counter[tuple[str, str]] = Counter()

    def of(self, ns: str, name: str, told: int | None) -> int:
        """The visit of a step that begins now."""
        visit = self._counts[ns, name] + 1 if told is None else told
        if visit > self._counts[ns, name]:
            self._counts[ns, name] = visit
        return visit
