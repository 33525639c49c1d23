"""Values by reference come back whole, and growing lists stay cheap."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from ftnb.core._lasting import Lasting
from ftnb.core.canonical import dumps, encode_json, to_json
from ftnb.store.blobs import Interner, Resolver, blob_id_of
from tests.core.test_canonical import values

big_values = values | st.lists(st.text(min_size=100, max_size=700), max_size=40) | st.text(min_size=600, max_size=3000)


def _store(interner: Interner, blobs: dict[str, bytes]) -> int:
    fresh = interner.take_fresh()
    blobs.update({blob.blob_id: blob.data for blob in fresh})
    return sum(len(blob.data) for blob in fresh)


@given(st.dictionaries(st.text(max_size=5), big_values, max_size=4))
def test_values_come_back_equal(value: Any) -> None:
    interner, blobs = Interner("e"), {}
    small = interner.intern(to_json(value))
    _store(interner, blobs)
    assert Resolver(blobs.get)(small) == value


def test_equal_parts_are_stored_once_within_an_engagement_only() -> None:
    interner, text = Interner("e"), "x" * 5000
    first = interner.intern({"a": text})
    second = interner.intern({"b": [text, text]})
    assert len(interner.take_fresh()) == 1
    assert first["a"] == second["b"][0]
    other = Interner("f")
    other.intern({"a": text})
    assert other.take_fresh()[0].blob_id != first["a"]["id"]


def test_a_growing_conversation_costs_its_length_not_its_square() -> None:
    def stored(steps: int) -> int:
        interner, blobs, total, messages = Interner("e"), {}, 0, []
        for i in range(steps):
            messages.append({"role": "user", "content": f"{i}" + "m" * 1000})
            small = interner.intern(to_json({"messages": messages}))
            total += len(encode_json(small)) + _store(interner, blobs)
        assert Resolver(blobs.get)(small) == {"messages": messages}
        return total

    short, long = stored(40), stored(400)
    assert short < 110_000
    assert long < 11 * short


def test_a_value_whose_blob_is_gone_says_so() -> None:
    interner = Interner("e")
    small = interner.intern({"keep": 1, "long": "x" * 5000, "list": ["y" * 600] * 40})
    value = Resolver(lambda _: None)(small)
    assert value["keep"] == 1
    assert value["long"] == {"$ftnb": "withheld", "id": small["long"]["id"]}
    assert value["list"][0]["$ftnb"] == "withheld"


def test_an_id_commits_to_salt_media_and_data() -> None:
    ids = {blob_id_of(b"a" * 16, "m", b"d"), blob_id_of(b"b" * 16, "m", b"d"), blob_id_of(b"a" * 16, "n", b"d")}
    ids |= {blob_id_of(b"a" * 16, "m", b"e"), blob_id_of(b"a" * 16, "", b"m\x00d")}
    assert len(ids) == 5
    assert all(len(i) == 43 for i in ids)


def test_small_values_are_left_alone() -> None:
    interner = Interner("e")
    value = to_json({"a": [1, 2, {"b": "short"}]})
    assert interner.intern(value) == value
    assert interner.take_fresh() == []
    assert len(dumps(value)) < 100


@given(st.lists(st.dictionaries(st.text(max_size=5), big_values, min_size=1, max_size=4), max_size=12))
def test_parts_that_last_are_stored_as_what_they_say(items: list[Any]) -> None:
    """In the very form that others are stored in, the first time and again."""
    interner, blobs = Interner("e"), {}
    plain = encode_json(interner.intern(to_json({"messages": items, "n": 1})))
    lasting = [Lasting(item) for item in items]
    for _ in range(2):
        assert encode_json(interner.intern(to_json({"messages": lasting, "n": 1}))) == plain
    _store(interner, blobs)
    assert encode_json(to_json(lasting)) == dumps(items)


def test_a_part_that_lasts_is_stored_again_after_it_was_lost() -> None:
    interner, item = Interner("e"), Lasting({"role": "user", "content": "x" * 5000})
    interner.intern([item])
    lost = interner.take_fresh()
    interner.forget(lost)
    interner.intern([item])
    assert [blob.data for blob in interner.take_fresh()] == [blob.data for blob in lost]
    other = Interner("f")
    other.intern([item])
    assert {blob.engagement_id for blob in other.take_fresh()} == {"f"}
