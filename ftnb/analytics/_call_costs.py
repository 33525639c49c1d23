"""What model calls cost that are at hand one by one, not as a frame."""

from __future__ import annotations

from collections.abc import Hashable, Iterable
from datetime import datetime
from typing import Any, NamedTuple, TypeVar

import polars as pl

from ._price_sheet import PriceSheet

K = TypeVar("K", bound=Hashable)


class Use(NamedTuple):
    """One model call, as `PriceSheet.cost` looks at it; tokens are None where nobody counted them."""

    model: str
    at: datetime
    prompt_tokens: int | None
    completion_tokens: int | None
    cache_read_tokens: int | None
    cache_write_tokens: int | None
    reasoning_tokens: int | None


_SCHEMA: dict[str, Any] = {
    "model": pl.String,
    "at": pl.Datetime("us", "UTC"),
    **dict.fromkeys(Use._fields[2:], pl.Int64),
}


def costs_by(sheet: PriceSheet, calls: Iterable[tuple[K, Use]]) -> dict[K, list[float | None]]:
    """What the calls of each key cost, in their order; None for a call whose cost is not known."""
    given = list(calls)
    found: dict[K, list[float | None]] = {}
    frame = pl.DataFrame([use for _, use in given], schema=_SCHEMA, orient="row")
    for (key, _), cost in zip(given, sheet.cost(frame), strict=True):
        found.setdefault(key, []).append(cost)
    return found
