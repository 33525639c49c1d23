"""What tokens cost: dated price sheets that users write and edit, and a small one to begin with."""

from __future__ import annotations

import csv
import math
import os
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime
from fnmatch import fnmatchcase
from functools import cached_property
from pathlib import Path
from typing import Any

import polars as pl

from ..core.errors import InvalidArgumentError

PER = 1_000_000
"""Prices are for this many tokens."""
_ALWAYS = date(1970, 1, 1)
_MONEY = ("prompt", "completion", "cache_read", "cache_write", "reasoning")
_FIELDS = ("model", "from", *_MONEY, "currency", "source")
_BUILT_IN = Path(__file__).with_name("list_prices.csv")


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
    start: date = _ALWAYS
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
        until = f", the newest from {newest}" if newest not in (None, _ALWAYS) else ""
        return f"<PriceSheet {self.title}: {len(self.lines)} lines in {self.currency}{until}>"

    def _repr_html_(self) -> str:
        from ._result import html_table

        return html_table(repr(self)[1:-1], self.frame())

    def frame(self) -> pl.DataFrame:
        """One row a line: model, from, prompt, completion, cache_read, cache_write, reasoning (for a million tokens),
        currency, source."""
        rows = [
            (line.model, line.start, *(getattr(line, name) for name in _MONEY), line.currency, line.source)
            for line in self.lines
        ]
        dtypes = [pl.String, pl.Date, *[pl.Float64] * len(_MONEY), pl.String, pl.String]
        return pl.DataFrame(rows, schema=dict(zip(_FIELDS, dtypes, strict=True)), orient="row")

    def to_csv(self, path: str | os.PathLike[str]) -> Path:
        """Write it as a file to edit; `ftnb.prices(path)` reads it. Returns the path."""
        self.frame().write_csv(Path(path))
        return Path(path)

    def updated(self, source: Any) -> PriceSheet:
        """These prices and those of `source` (as for `prices`); where both fit a call equally, those of `source`."""
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
        columns = {f"_{name}": [None if line is None else _rate(line, name) for line in found] for name in _MONEY}
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


# --- reading ---


def prices(source: Any = None, *, currency: str | None = None) -> PriceSheet:
    """A price sheet, from what somebody wrote down; without `source` the one that comes with the package.

    The sheet that comes along holds list prices of some common models, each line with its first day and where it is
    from. They are defaults to edit, not a promise: `ftnb.prices().to_csv("prices.csv")`, or
    `ftnb.prices().updated({"gpt-4o": (2.0, 8.0)})`. Discounts, tiers and batch prices are not in it.

    `source` is a path of a CSV file (header: model, prompt, completion, and as needed from, cache_read, cache_write,
    reasoning, currency, source), of a TOML file (`currency = "EUR"`, then `[[price]]` tables with these keys), a dict
    of models, or a list of dicts. In a dict a model has a pair, (prompt, completion), or a dict, or a list of dicts
    with different `from`. `currency` is that of lines which name none; "USD" when nothing is said.

    Raises InvalidArgumentError for what cannot be read, naming the line.
    """
    if isinstance(source, PriceSheet):
        return source
    if source is None:
        sheet = _read_csv(_BUILT_IN, currency)
        return replace(sheet, title="list prices that come with ftnb (defaults to edit)")
    if isinstance(source, str | os.PathLike):
        return _read(Path(source).expanduser(), currency)
    if isinstance(source, Mapping):
        rows = [row for model, given in source.items() for row in _of_model(model, given)]
    elif isinstance(source, Iterable):
        rows = [dict(row) if isinstance(row, Mapping) else _refuse(row) for row in source]
    else:
        rows = _refuse(source)
    return PriceSheet(tuple(_line(row, f"price {n}", currency) for n, row in enumerate(rows, start=1)), "your prices")


def _refuse(value: Any) -> Any:
    raise InvalidArgumentError(
        "prices is a CSV or TOML file, a price sheet, or a dict as {'gpt-4o': (2.5, 10.0)}: money for a million prompt "
        f"and completion tokens; got {value!r}"
    )


def _of_model(model: Any, given: Any) -> list[dict[str, Any]]:
    if isinstance(given, Mapping):
        return [{"model": model, **given}]
    if isinstance(given, list) and all(isinstance(one, Mapping) for one in given):
        return [{"model": model, **one} for one in given]
    try:
        prompt, completion = given
    except (TypeError, ValueError) as error:
        raise InvalidArgumentError(
            f"prices by model are pairs, (prompt, completion) for a million tokens, or dicts; {model!r} has {given!r}"
        ) from error
    return [{"model": model, "prompt": prompt, "completion": completion}]


def _read(path: Path, currency: str | None) -> PriceSheet:
    if not path.is_file():
        raise InvalidArgumentError(f"no price file at {path}; ftnb.prices().to_csv({str(path)!r}) writes one to edit")
    if path.suffix.lower() == ".csv":
        return _read_csv(path, currency)
    if path.suffix.lower() != ".toml":
        raise InvalidArgumentError(f"prices are read from .csv and .toml files; got {path.name}")
    try:
        found = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InvalidArgumentError(f"{path.name} is no TOML: {error}") from error
    rows = found.get("price")
    if not isinstance(rows, list):
        raise InvalidArgumentError(f"{path.name} has no [[price]] tables; it has: {', '.join(found) or 'nothing'}")
    lines = [_line(row, f"price {n} of {path.name}", currency or found.get("currency"))
             for n, row in enumerate(rows, start=1)]  # fmt: skip
    return PriceSheet(tuple(lines), path.name)


def _read_csv(path: Path, currency: str | None) -> PriceSheet:
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            rows = [row for row in csv.DictReader(file) if any(row.values())]
    except (UnicodeDecodeError, csv.Error) as error:
        raise InvalidArgumentError(f"{path.name} is no CSV in UTF-8: {error}") from error
    kept = [{key: value for key, value in row.items() if value not in (None, "")} for row in rows]
    lines = [_line(row, f"row {n} of {path.name}", currency) for n, row in enumerate(kept, start=1)]
    return PriceSheet(tuple(lines), path.name)


def _line(row: Mapping[Any, Any], where: str, currency: Any) -> Price:
    unknown = [key for key in row if key not in _FIELDS]
    if unknown:
        raise InvalidArgumentError(f"{where} has the key {unknown[0]!r}; known: {', '.join(_FIELDS)}")
    missing = [key for key in ("model", "prompt", "completion") if row.get(key) is None]
    if missing:
        raise InvalidArgumentError(f"{where} has no {missing[0]!r}; needed: model, prompt, completion")
    money = {name: _money(row[name], name, where) for name in _MONEY if row.get(name) is not None}
    model = str(row["model"]).strip()
    if not model or not all(part.strip() for part in model.split("|")):
        raise InvalidArgumentError(f"{where} names no model: {row['model']!r}")
    own = str(row.get("currency") or currency or "USD").strip().upper()
    return Price(model, start=_start(row.get("from"), where), currency=own, source=str(row.get("source", "")), **money)


def _money(value: Any, name: str, where: str) -> float:
    try:
        amount = math.nan if isinstance(value, bool) else float(value)
    except (TypeError, ValueError):
        amount = math.nan
    if not math.isfinite(amount) or amount < 0:
        raise InvalidArgumentError(f"{where}: {name} is money for a million tokens, 0 or more; got {value!r}")
    return amount


def _start(value: Any, where: str) -> date:
    if value is None:
        return _ALWAYS
    if isinstance(value, datetime):
        return (value.astimezone(UTC) if value.tzinfo else value).date()
    if isinstance(value, date):
        return value
    try:
        return date.fromisoformat(str(value).strip())
    except ValueError as error:
        raise InvalidArgumentError(f"{where}: from is a day, as 2025-01-31; got {value!r}") from error
