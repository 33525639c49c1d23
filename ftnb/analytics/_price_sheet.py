"""What tokens cost: dated prices, and how the one that fits a call is found."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date
from fnmatch import fnmatchcase
from functools import cached_property
from pathlib import Path
from typing import Any

import polars as pl

from ..core.errors import InvalidArgumentError

PER = 1_000_000
"""Prices are for this many tokens."""
ALWAYS = date(1970, 1, 1)
MONEY = ("prompt", "completion", "cache_read", "cache_write", "reasoning")
FIELDS = ("model", "from", *MONEY, "currency", "source")


@dataclass(frozen=True)
class Price:
    """What a million tokens of some models cost from a day on."""

    model: str
    """The model's name, or a pattern with `*`, `?`, `[…]`; several are parted by `|`. Case does not matter."""
    prompt: float
    completion: float
    cache_read: float | None = None
    """Prompt tokens read from the provider's cache; None: as other prompt tokens."""
    cache_write: float | None = None
    """Prompt tokens written to the cache; None: as other prompt tokens."""
    reasoning: float | None = None
    """Completion tokens of hidden reasoning; None: as other completion tokens."""
    start: date = ALWAYS
    """First day, in UTC, on which it holds; it holds until the next of the same models."""
    currency: str = "USD"
    source: str = ""
    """Where it was found."""

    def fit(self, model: str) -> int | None:
        """How closely it names a model: the more, the closer; None: it does not."""
        fits = [_fit(pattern, name) for pattern in self.model.lower().split("|") for name in _names(model)]
        return max((fit for fit in fits if fit is not None), default=None)


@dataclass(frozen=True, repr=False)
class PriceSheet:
    """Prices of models, each from a day on, in one currency. `cost` says what calls cost."""

    lines: tuple[Price, ...]
    title: str = "prices"
    currency: str = field(default="USD", init=False)

    def __post_init__(self) -> None:
        found = sorted({line.currency for line in self.lines})
        if len(found) > 1:
            raise InvalidArgumentError(
                f"one price sheet has one currency, as costs are summed; found {', '.join(found)}: convert them first"
            )
        object.__setattr__(self, "currency", found[0] if found else "USD")

    def __repr__(self) -> str:
        newest = max((line.start for line in self.lines), default=None)
        until = f", the newest from {newest}" if newest not in (None, ALWAYS) else ""
        return f"<PriceSheet {self.title}: {len(self.lines)} lines in {self.currency}{until}>"

    def _repr_html_(self) -> str:
        from ._result import html_table

        return html_table(repr(self)[1:-1], self.frame())

    def frame(self) -> pl.DataFrame:
        """One row a line: model, from, prompt, completion, cache_read, cache_write, reasoning (for a million tokens),
        currency, source."""
        rows = [
            (line.model, line.start, *(getattr(line, name) for name in MONEY), line.currency, line.source)
            for line in self.lines
        ]
        dtypes = [pl.String, pl.Date, *[pl.Float64] * len(MONEY), pl.String, pl.String]
        return pl.DataFrame(rows, schema=dict(zip(FIELDS, dtypes, strict=True)), orient="row")

    def to_csv(self, path: str | os.PathLike[str]) -> Path:
        """Write it as a file to edit; `ftnb.prices(path)` reads it. Returns the path."""
        self.frame().write_csv(Path(path))
        return Path(path)

    def updated(self, source: Any) -> PriceSheet:
        """These prices and those of `source` (as for `prices`); where both fit a call equally, those of `source`."""
        from ._prices import prices

        more = prices(source)
        return PriceSheet((*self.lines, *more.lines), f"{more.title} over {self.title}")

    def price(self, model: str, at: date | None = None) -> Price | None:
        """The line that holds for a model on a day (None: the newest); None when there is none.

        Of several the one that names the model most closely, then the newest, then the last.
        """
        fits = [(fit, line.start, place) for place, line in enumerate(self.lines)
                if (fit := line.fit(model)) is not None and (at is None or line.start <= at)]  # fmt: skip
        return self.lines[max(fits)[2]] if fits else None

    @cached_property
    def _known(self) -> dict[tuple[str, date | None], Price | None]:
        return {}

    def cost(self, calls: pl.DataFrame) -> pl.Series:
        """What each model call cost; null where the model has no price at that time, or the call reports no tokens.

        `calls` has `model` and, where known, `at`, `prompt_tokens`, `completion_tokens`, `cache_read_tokens`,
        `cache_write_tokens` (parts of prompt) and `reasoning_tokens` (a part of completion). No token counts twice.
        """
        at = calls["at"] if "at" in calls.columns else pl.repeat(None, calls.height, dtype=pl.Date, eager=True)
        keyed = calls.with_columns(_day(at).alias("_day"), pl.col("model").cast(pl.String))
        distinct = keyed.select("model", "_day").unique()
        found = [self._lookup(*pair) for pair in distinct.iter_rows()]
        columns = {f"_{name}": [None if line is None else _rate(line, name) for line in found] for name in MONEY}
        priced = distinct.with_columns(pl.Series(name, rates, pl.Float64) for name, rates in columns.items())
        rows = keyed.join(priced, on=["model", "_day"], how="left", nulls_equal=True, maintain_order="left")
        return rows.select(_cost(rows.columns).alias("cost"))["cost"]

    def _lookup(self, model: str | None, day: date | None) -> Price | None:
        if model is None:
            return None
        if (model, day) not in self._known:
            self._known[model, day] = self.price(model, day)
        return self._known[model, day]


def _day(at: pl.Series) -> pl.Series:
    """The day of a moment, in UTC; a time without a zone counts as UTC."""
    if isinstance(at.dtype, pl.Datetime):
        at = at.dt.convert_time_zone("UTC") if at.dtype.time_zone else at
        return at.dt.date()
    return at.cast(pl.Date)


def _rate(line: Price, name: str) -> float:
    own: float | None = getattr(line, name)
    if own is not None:
        return own
    return line.completion if name == "reasoning" else line.prompt


def _cost(columns: Sequence[str]) -> pl.Expr:
    def tokens(name: str) -> pl.Expr:
        column = f"{name}_tokens"
        known = pl.col(column).fill_null(0) if column in columns else pl.lit(0, pl.Int64)
        return known.clip(lower_bound=0)

    prompt, completion = tokens("prompt"), tokens("completion")
    read = pl.min_horizontal(tokens("cache_read"), prompt)
    write = pl.min_horizontal(tokens("cache_write"), prompt - read)
    reasoning = pl.min_horizontal(tokens("reasoning"), completion)
    parts = {"prompt": prompt - read - write, "cache_read": read, "cache_write": write,
             "completion": completion - reasoning, "reasoning": reasoning}  # fmt: skip
    total = pl.sum_horizontal(amount * pl.col(f"_{name}") for name, amount in parts.items()) / PER
    reported = [pl.col(name).is_not_null() for name in ("prompt_tokens", "completion_tokens") if name in columns]
    known = pl.any_horizontal(reported) if reported else pl.lit(False)
    return pl.when(known & pl.col("_prompt").is_not_null()).then(total)


def _names(model: str) -> set[str]:
    """A model's name as recorded, and without the provider that routers put before it, as `openai/gpt-4o`."""
    name = model.lower()
    return {name, name.rpartition("/")[2]}


def _fit(pattern: str, name: str) -> int | None:
    pattern = pattern.strip()
    if pattern == name:
        return 1_000 + len(name)
    if not fnmatchcase(name, pattern):
        return None
    return sum(char not in "*?" for char in pattern)
