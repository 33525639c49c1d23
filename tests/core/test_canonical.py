"""Any value becomes JSON bytes and, where it is data, comes back equal."""

from __future__ import annotations

import dataclasses
import datetime as dt
import json
import math
from collections import OrderedDict, defaultdict
from decimal import Decimal
from enum import StrEnum
from typing import Any
from uuid import UUID

import numpy as np
import pandas as pd
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, SecretStr

from ftnb.core import canonical
from ftnb.core.canonical import dumps, loads, to_json

leaves = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.text(st.characters())  # lone surrogates included
    | st.binary(max_size=40)
    | st.datetimes()
    | st.dates()
    | st.times()
    | st.timedeltas()
    | st.uuids()
    | st.decimals(allow_nan=False)
)
keys = st.text(st.characters(), max_size=8) | st.just("$ftnb") | st.integers() | st.none()
values = st.recursive(
    leaves,
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(keys, inner, max_size=5) | st.tuples(inner, inner),
    max_leaves=25,
)


@given(values)
def test_data_comes_back_equal(value: Any) -> None:
    assert loads(dumps(value)) == value


@given(values)
def test_the_bytes_are_json_and_canonical(value: Any) -> None:
    data = dumps(value)
    json.loads(data)  # any JSON reader can read it
    assert dumps(loads(data)) == data


def test_key_order_does_not_change_the_bytes() -> None:
    assert dumps({"b": 1, "a": {"d": 1, "c": 2}}) == dumps({"a": {"c": 2, "d": 1}, "b": 1})


def test_sets_keep_their_type_and_are_written_in_order() -> None:
    assert loads(dumps({3, 1, 2})) == {1, 2, 3}
    assert dumps({"x", 1, None}) == dumps({None, 1, "x"})


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_numbers_that_json_has_no_word_for(value: float) -> None:
    assert repr(loads(dumps(value))) == repr(value)


def test_integers_of_any_length() -> None:
    for value in (2**63, -(2**64), 10**5000):
        assert loads(dumps(value)) == value


def test_subclasses_of_plain_types_are_plain() -> None:
    class Mood(StrEnum):
        GOOD = "good"

    assert to_json([Mood.GOOD, defaultdict(list, a=[1]), OrderedDict(b=2), np.float64(1.5), np.int64(7)]) == [
        "good",
        {"a": [1]},
        {"b": 2},
        1.5,
        7,
    ]


def test_objects_with_fields_show_them() -> None:
    class House(BaseModel):
        rooms: int

    @dataclasses.dataclass
    class Budget:
        yen: int

    assert to_json(House(rooms=3)) == {"$ftnb": "object", "type": to_json(House(rooms=3))["type"], "data": {"rooms": 3}}
    assert to_json(Budget(5))["data"] == {"yen": 5}


def test_a_secret_stays_masked() -> None:
    class Login(BaseModel):
        password: SecretStr

    assert b"hunter2" not in dumps({"login": Login(password=SecretStr("hunter2")), "key": SecretStr("hunter2")})


@pytest.mark.parametrize("frame", [pl.DataFrame({"a": range(1000)}), pd.DataFrame({"a": range(1000)})])
def test_a_frame_is_summed_up(frame: Any) -> None:
    summary = to_json(frame)["data"]
    assert summary["shape"] == [1000, 1]
    assert summary["dtypes"].keys() == {"a"}
    assert len(dumps(frame)) < 1000


class _Hostile:
    def __repr__(self) -> str:
        raise RuntimeError("no")


class _Liar:
    """Claims to be data and then fails."""

    def model_dump(self) -> Any:
        raise RuntimeError("no")


@pytest.mark.parametrize("value", [_Hostile(), _Liar(), lambda: 1, object(), ValueError("x"), _Hostile, iter([1])])
def test_what_is_no_data_is_described(value: Any) -> None:
    described = to_json({"v": value})["v"]
    assert described["$ftnb"] == "object"
    assert described["type"]


def test_cycles_and_depth_are_cut_and_the_rest_is_kept() -> None:
    loop: dict[str, Any] = {"kept": 1}
    loop["self"] = loop
    assert to_json(loop) == {"kept": 1, "self": {"$ftnb": "cut", "why": "cycle", "type": "dict", "n": 2}}

    deep: Any = "bottom"
    for _ in range(100_000):
        deep = [deep]
    assert b'"why":"depth"' in dumps({"before": 1, "deep": deep})


def test_the_same_value_twice_is_no_cycle() -> None:
    shared = [1]
    assert to_json({"a": shared, "b": shared}) == {"a": [1], "b": [1]}


def test_a_damaged_marker_stays_as_it_is() -> None:
    for text in (
        '{"$ftnb":"int","value":"x"}',
        '{"$ftnb":"tuple"}',
        '{"$ftnb":5}',
        '{"$ftnb":"dict","items":[[[],1]]}',
    ):
        assert loads(text) == json.loads(text)


def test_known_types_by_name() -> None:
    values = [Decimal("1.50"), UUID(int=5), dt.timedelta(days=-1, microseconds=3), (1, (2,)), frozenset({1}), b"\x00"]
    assert loads(dumps(values)) == values


@pytest.mark.parametrize("kind", [list, tuple])
def test_a_small_structure_that_stands_for_billions_is_cut(kind: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(canonical, "MAX_NODES", 10_000)
    laughs = kind(["ha"])
    for _ in range(40):
        laughs = kind([laughs, laughs])
    assert b'"why":"width"' in dumps(laughs)
