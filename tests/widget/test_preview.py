from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from ftnb.core.canonical import dumps, loads
from ftnb.widget.preview import PREVIEW_BYTES, preview

CHAT = [{"role": "user", "content": f"message {i}"} for i in range(400)]


@pytest.mark.parametrize(
    "value",
    [
        "x" * 100_000,
        {"html": "ä" * 50_000},
        CHAT,
        {f"key{i}": i for i in range(5_000)},
        [[[["deep" * 100] * 30] * 30] * 30],
        {"k" * 20_000: 1},
        {"messages": CHAT, "documents": [{"text": "y" * 9_000}] * 40},
    ],
    ids=["text", "unicode", "messages", "wide", "nested", "long key", "state"],
)
def test_large_values_are_cut_to_the_limit_and_say_so(value: Any) -> None:
    short = preview(value)
    assert short["cut"]
    assert short["n_bytes"] > PREVIEW_BYTES
    assert len(json.dumps(short["value"], ensure_ascii=False).encode()) < PREVIEW_BYTES * 1.3
    assert '"$ftnb": "cut"' in json.dumps(short["value"])


def test_what_fits_is_whole() -> None:
    value = {"a": [1, 2.5, None, True], "b": "text"}
    assert preview(value) == {"value": value, "cut": False, "n_bytes": 34}


def test_no_limit_cuts_nothing() -> None:
    assert preview(CHAT, limit=None) == {"value": CHAT, "cut": False, "n_bytes": len(json.dumps(CHAT)) - 400 * 4 + 1}


def test_a_cut_text_adds_up() -> None:
    cut = preview("a" * 10_000)["value"]
    assert len(cut["head"]) + cut["n"] == 10_000


def test_a_cut_list_keeps_both_ends_and_adds_up() -> None:
    items = preview(CHAT)["value"]
    assert items[0]["content"] == "message 0"
    assert items[-1]["content"] == "message 399"
    assert items[1]["n"] + len(items) - 1 == 400


def test_a_cut_dict_adds_up() -> None:
    cut = preview({f"key{i}": "v" * 30 for i in range(5_000)})["value"]
    assert len(cut["head"]) + cut["n"] == 5_000


def test_integers_that_javascript_would_round_become_markers() -> None:
    assert preview({"id": 2**53 + 1})["value"] == {"id": {"$ftnb": "int", "value": str(2**53 + 1)}}
    assert preview(2**53)["value"] == 2**53


def test_a_users_own_marker_key_is_data() -> None:
    shown = preview({"$ftnb": "mine", "n": 3})
    assert shown["cut"] is False
    assert shown["value"] == {"$ftnb": "dict", "items": [["$ftnb", "mine"], ["n", 3]]}


def test_what_a_store_gives_back_of_an_object_stays_recognisable() -> None:
    class HumanMessage:
        def model_dump(self) -> dict[str, str]:
            return {"type": "human", "content": "hi"}

    read_back = loads(dumps({"messages": [HumanMessage()]}))
    message = {"$ftnb": "object", "type": HumanMessage.__qualname__, "data": {"type": "human", "content": "hi"}}
    assert preview(read_back)["value"] == {"messages": [message]}


def test_values_that_json_cannot_hold_are_kept_as_markers() -> None:
    moment = datetime(2026, 1, 1, tzinfo=UTC)
    assert preview([moment, b"ab"])["value"][0] == {"$ftnb": "datetime", "value": moment.isoformat()}
