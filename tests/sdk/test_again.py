"""Messages and tools that are sent again with every call are recorded with every call, as what they say there."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import openai
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

import ftnb
from ftnb.core.canonical import encode_json, to_json
from ftnb.core.redact import Redaction
from ftnb.sdk._again import Again
from ftnb.store.blobs import Interner
from tests.sdk.clients import MODEL, SECRET
from tests.sdk.conftest import Recorded
from tests.sdk.providers import Providers

TOOLS: list[Any] = [
    {
        "type": "function",
        "function": {"name": f"find_{n}", "parameters": {"properties": {"api_key": {"type": "string"}}}},
    }
    for n in range(3)
]


@pytest.fixture
def client(fake: Providers, recorded: Recorded) -> Iterator[openai.OpenAI]:
    ftnb.capture("openai")
    with openai.OpenAI(base_url=f"{fake.root}/v1", api_key=SECRET, max_retries=0) as made:
        yield made


def ask(client: openai.OpenAI, messages: list[Any], **more: Any) -> None:
    client.chat.completions.create(model=MODEL, messages=messages, **more)


def chat(n: int, about: str = "flats") -> list[Any]:
    return [{"role": "user", "content": f"{n} {about} " * 50} for n in range(n)]


def test_every_call_has_all_of_its_messages_and_tools(client: openai.OpenAI, recorded: Recorded) -> None:
    said = [
        *chat(3),
        {"role": "assistant", "content": None, "tool_calls": [
            {"id": "t1", "type": "function", "function": {"name": "find_1", "arguments": '{"q": "Bern"}'}}]},
        {"role": "tool", "tool_call_id": "t1", "content": [{"type": "text", "text": "three"}]},
        *chat(20),
    ]  # fmt: skip
    with ftnb.record("talk"):
        for n in range(1, len(said) + 1):
            ask(client, said[:n], tools=TOOLS)
    calls = recorded.calls()
    shown = [*said[:3], {**said[3], "tool_calls": [{"name": "find_1", "args": {"q": "Bern"}, "id": "t1"}]}, *said[4:]]
    assert [call.payload["messages"] for call in calls] == [shown[: n + 1] for n in range(len(said))]
    assert all(call.payload["parameters"]["tools"] == TOOLS for call in calls)


def test_a_message_that_was_changed_in_place_is_another(client: openai.OpenAI, recorded: Recorded) -> None:
    said = chat(2)
    with ftnb.record("talk"):
        ask(client, said)
        said[0]["content"] = "another text"
        ask(client, said)
    first, second = [[one["content"] for one in call.payload["messages"]] for call in recorded.calls()]
    assert first[0].startswith("0 flats")
    assert second[0] == "another text"
    assert first[1] == second[1]


def test_a_secret_is_masked_in_every_call(client: openai.OpenAI, recorded: Recorded) -> None:
    said = [*chat(2), {"role": "user", "content": f"my key is {SECRET}, keep it"}]
    with ftnb.record("talk"):
        for _ in range(3):
            ask(client, said)
            said += chat(1)
    for call in recorded.calls():
        assert call.payload["messages"][2]["content"] == "my key is [redacted: openai key], keep it"
        assert call.payload["messages"][:2] == chat(2)


def test_rules_that_change_count_for_what_was_sent_before(client: openai.OpenAI, recorded: Recorded) -> None:
    said = [{"role": "user", "content": "I live at HN-123456, and so on", "name": "Ada"}, *chat(1)]
    try:
        with ftnb.record("talk"):
            ask(client, said)
            ftnb.redact(patterns={"house": r"\bHN-\d{6}\b"})
            ask(client, said)
            ftnb.redact(fn=lambda path, value: "?" if path[-1] == "name" else value)
            ask(client, said)
            ftnb.redact("off")
            ask(client, said)
    finally:
        ftnb.redact("defaults")
    plain, masked, asked, again = [call.payload["messages"][0] for call in recorded.calls()]
    assert plain == again == said[0]
    assert masked == {**said[0], "content": "I live at [redacted: house], and so on"}
    assert asked == {**said[0], "name": "?"}


def test_what_one_engagement_has_of_it_goes_with_it(client: openai.OpenAI, recorded: Recorded) -> None:
    for name in ("first", "second"):
        with ftnb.record(name):
            ask(client, chat(6))
    first, second = sorted(recorded.store.list_engagements(), key=lambda one: one.name)
    recorded.store.purge(first.id)
    with ftnb.record("third"):
        ask(client, chat(6))
    assert [call.payload["messages"] for call in recorded.calls()] == [chat(6)] * 2
    assert second.id in {one.id for one in recorded.store.list_engagements()}


_leaves = (
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats(allow_nan=False, allow_infinity=False)
)
_texts = st.text(max_size=20) | st.sampled_from(
    [SECRET, f"it is {SECRET}.", "x" * 200, "y" * 600, '{"password": "abc"}']
)
_keys = st.text(max_size=4) | st.sampled_from(["content", "api_key", "$ftnb", "properties", "role"])
_json = st.recursive(
    _leaves | _texts,
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(_keys, inner, max_size=4),
    max_leaves=12,
)
RULES = Redaction()


@given(st.lists(st.dictionaries(_keys, _json, max_size=4) | _json, max_size=10))
def test_what_is_written_is_the_same_as_without(items: list[Any]) -> None:
    def written(interner: Interner, items: list[Any], rules: Redaction | None) -> bytes:
        payload = {"messages": items, "n": len(items)}
        masked = to_json(payload) if rules is None else rules.to_json(payload, "@payload")
        return encode_json(masked) + encode_json(interner.intern(masked))

    again, interner = Again(), Interner("e")
    sent = orjson.dumps(items)
    for rules in (RULES, None, RULES):
        plain = written(interner, orjson.loads(sent), rules)
        for _ in range(2):
            assert written(interner, again(_same, orjson.loads(sent)), rules) == plain


def _same(item: Any) -> Any:
    return item
