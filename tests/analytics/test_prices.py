"""Price sheets: which line holds, what a call costs under it, and what cannot be read."""

from __future__ import annotations

from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import ftnb
from ftnb.analytics import PriceSheet, prices
from ftnb.core.errors import InvalidArgumentError

TOKENS = ("prompt_tokens", "completion_tokens", "cache_read_tokens", "cache_write_tokens", "reasoning_tokens")
SHEET = {"m": {"prompt": 10, "completion": 100, "cache_read": 1, "cache_write": 20, "reasoning": 50}}


def calls(*rows: tuple[Any, ...]) -> pl.DataFrame:
    schema = {"model": pl.String, "at": pl.Datetime("us", "UTC"), **dict.fromkeys(TOKENS, pl.Int64)}
    return pl.DataFrame(rows, schema=schema, orient="row")


def cost(sheet: PriceSheet, model: str | None, *tokens: int | None, at: datetime | None = None) -> float | None:
    padded = [*tokens, *[None] * (5 - len(tokens))]
    found: float | None = sheet.cost(calls((model, at, *padded)))[0]
    return found


def test_cached_and_reasoning_tokens_are_parts_and_never_count_twice() -> None:
    sheet = prices(SHEET)
    # 1,000,000 prompt tokens, of which 600,000 read from the cache and 100,000 written to it.
    assert cost(sheet, "m", 1_000_000, 0, 600_000, 100_000, 0) == pytest.approx(3 + 0.6 + 2)
    assert cost(sheet, "m", 0, 1_000_000, 0, 0, 250_000) == pytest.approx(75 + 12.5)
    assert cost(prices({"m": (10, 100)}), "m", 1_000_000, 1_000_000, 500_000, 100_000, 900_000) == pytest.approx(110)


def test_what_is_not_known_is_not_free() -> None:
    sheet = prices(SHEET)
    assert cost(sheet, "another", 1_000, 1_000) is None
    assert cost(sheet, None, 1_000, 1_000) is None
    assert cost(sheet, "m", None, None) is None
    assert cost(sheet, "m", 0, 0) == 0.0
    assert cost(sheet, "m", 1_000_000, None) == pytest.approx(10)


def test_a_price_holds_from_its_day_until_the_next() -> None:
    sheet = prices({"m": [{"from": "2025-01-01", "prompt": 4, "completion": 0},
                          {"from": "2025-06-01", "prompt": 1, "completion": 0}]})  # fmt: skip
    assert cost(sheet, "m", 1_000_000, 0, at=datetime(2025, 5, 31, 23, 59, tzinfo=UTC)) == 4
    assert cost(sheet, "m", 1_000_000, 0, at=datetime(2025, 6, 1, tzinfo=UTC)) == 1
    assert cost(sheet, "m", 1_000_000, 0, at=datetime(2024, 12, 31, tzinfo=UTC)) is None
    assert cost(sheet, "m", 1_000_000, 0) == 1


def test_the_closest_pattern_wins() -> None:
    sheet = prices({"gpt-*": (9, 9), "gpt-4o*": (5, 5), "gpt-4o-mini|tiny": (1, 1)})
    assert [cost(sheet, name, 1_000_000, 0) for name in ("gpt-9", "gpt-4o-x", "gpt-4o-mini", "tiny")] == [9, 5, 1, 1]
    assert cost(sheet, "openai/GPT-4o-Mini", 1_000_000, 0) == 1
    assert cost(sheet, "xgpt-4o", 1_000_000, 0) is None


def test_the_sheet_that_comes_along_says_when_and_from_where(tmp_path: Path) -> None:
    sheet = ftnb.prices()
    assert "defaults to edit" in repr(sheet)
    assert sheet.frame()["from"].min() > date(2020, 1, 1)  # type: ignore[operator]
    assert all(sheet.frame()["source"].str.len_chars() > 5)
    # It must not price what it does not mean.
    assert sheet.price("gpt-4o-audio-preview") is None
    assert sheet.price("gpt-5-codex-max") is None
    path = sheet.to_csv(tmp_path / "mine.csv")
    assert ftnb.prices(path).frame().equals(sheet.frame())
    mine = sheet.updated({"gpt-4o": (1, 2), "house-model": (3, 4)})
    assert mine.price("gpt-4o").prompt == 2.5  # type: ignore[union-attr]
    assert mine.price("house-model").prompt == 3  # type: ignore[union-attr]


def test_files(tmp_path: Path) -> None:
    toml = tmp_path / "p.toml"
    toml.write_text('currency = "EUR"\n[[price]]\nmodel = "m"\nfrom = 2025-01-01\nprompt = 1.5\ncompletion = 2\n')
    assert ftnb.prices(toml).currency == "EUR"
    assert ftnb.prices(str(toml)).price("m").start == date(2025, 1, 1)  # type: ignore[union-attr]
    (tmp_path / "p.csv").write_text("model,prompt,completion\nm,1,2\n\n")
    assert ftnb.prices(tmp_path / "p.csv", currency="chf").currency == "CHF"


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ({"m": 3}, r"pairs, \(prompt, completion\).*'m' has 3"),
        ({"m": (1, -2)}, "price 1: completion is money for a million tokens, 0 or more; got -2"),
        ({"m": (1, float("nan"))}, "completion is money"),
        ({"m": {"prompt": 1}}, "price 1 has no 'completion'"),
        ({"m": {"prompt": 1, "completion": 2, "input": 3}}, "price 1 has the key 'input'; known: model, from, prompt"),
        ({"m": {"prompt": 1, "completion": 2, "from": "May"}}, "from is a day, as 2025-01-31; got 'May'"),
        ([{"model": " ", "prompt": 1, "completion": 2}], "names no model"),
        (7, "prices is a CSV or TOML file"),
        ("nowhere.csv", "no price file at nowhere.csv; .*to_csv"),
        (
            {
                "a": {"prompt": 1, "completion": 1, "currency": "USD"},
                "b": {"prompt": 1, "completion": 1, "currency": "EUR"},
            },
            "one currency, as costs are summed; found EUR, USD",
        ),
    ],
)
def test_what_cannot_be_read(source: Any, message: str) -> None:
    with pytest.raises(InvalidArgumentError, match=message):
        prices(source)


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    (tmp_path / "p.toml").write_text("a = ")
    (tmp_path / "q.toml").write_text("a = 1")
    (tmp_path / "p.txt").write_text("")
    (tmp_path / "p.csv").write_text("model,prompt,completion\nm,1,\n")
    for name, message in (
        ("p.toml", "p.toml is no TOML"),
        ("q.toml", r"has no \[\[price\]\] tables; it has: a"),
        ("p.txt", "read from .csv and .toml"),
        ("p.csv", "row 1 of p.csv has no 'completion'"),
    ):
        with pytest.raises(InvalidArgumentError, match=message):
            prices(tmp_path / name)


def plainly(row: tuple[Any, ...]) -> float | None:
    model, _, prompt, completion, read, write, reasoning = row
    if model != "m" or (prompt is None and completion is None):
        return None
    prompt, completion = prompt or 0, completion or 0
    read = min(read or 0, prompt)
    write = min(write or 0, prompt - read)
    reasoning = min(reasoning or 0, completion)
    rest = (prompt - read - write) * 10 + (completion - reasoning) * 100
    return (rest + read * 1 + write * 20 + reasoning * 50) / 1_000_000


_tokens = st.none() | st.integers(0, 50)


@settings(max_examples=50)
@given(st.lists(st.tuples(st.sampled_from(["m", "x", None]), st.none(), *[_tokens] * 5), max_size=8))
def test_costs_equal_the_plain_reference(rows: list[tuple[Any, ...]]) -> None:
    assert prices(SHEET).cost(calls(*rows)).to_list() == pytest.approx([plainly(row) for row in rows])
