"""Price sheets out of what users have: a dict, a file, a frame; and a small one to begin with."""

from __future__ import annotations

import csv
import math
import os
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

from ..core.errors import InvalidArgumentError
from ._price_sheet import ALWAYS, FIELDS, MONEY, Price, PriceSheet

__all__ = ["Price", "PriceSheet", "prices"]

_BUILT_IN = Path(__file__).with_name("list_prices.csv")


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
    unknown = [key for key in row if key not in FIELDS]
    if unknown:
        raise InvalidArgumentError(f"{where} has the key {unknown[0]!r}; known: {', '.join(FIELDS)}")
    missing = [key for key in ("model", "prompt", "completion") if row.get(key) is None]
    if missing:
        raise InvalidArgumentError(f"{where} has no {missing[0]!r}; needed: model, prompt, completion")
    money = {name: _money(row[name], name, where) for name in MONEY if row.get(name) is not None}
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
        return ALWAYS
    if isinstance(value, datetime):
        return (value.astimezone(UTC) if value.tzinfo else value).date()
    if isinstance(value, date):
        return value
    try:
        return date.fromisoformat(str(value).strip())
    except ValueError as error:
        raise InvalidArgumentError(f"{where}: from is a day, as 2025-01-31; got {value!r}") from error
