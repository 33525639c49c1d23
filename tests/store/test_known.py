"""What was made of an object is used again as long as the object is as it was, and no longer."""

from __future__ import annotations

from typing import Any

import orjson
from langchain_core.messages import AIMessage
from pydantic import BaseModel

import ftnb
from ftnb.core.ids import new_id
from ftnb.store import _known, build
from ftnb.store.blobs import Resolver
from ftnb.store.draft import Draft, Stream
from ftnb.store.memory import MemoryStore


def _step(stream: Stream, state: Any) -> Draft:
    return build.step_started(stream, 1, new_id(), "talk", state=state)


def _states(store: MemoryStore, stream: Stream) -> list[Any]:
    bodies: list[Any] = store.scan(["body"], types=["step_started"])["body"].to_pylist()
    resolve = Resolver(lambda blob_id: store.blob(stream.engagement_id, blob_id))
    return [resolve(orjson.loads(body)["@state"]) for body in bodies]


def _texts(state: Any) -> list[str]:
    return [message.content for message in state["messages"]]


def _chat(n: int) -> list[AIMessage]:
    return [AIMessage(f"{i} " + "x" * 600, id=f"m{i}", additional_kwargs={"seen": [i]}) for i in range(n)]


def test_what_changed_in_place_is_written_as_it_is() -> None:
    store, stream, chat = MemoryStore(), Stream(new_id(), new_id(), turn=1), _chat(20)
    store.append_drafts([_step(stream, {"messages": list(chat)})])
    chat[3].content = "another text"
    store.append_drafts([_step(stream, {"messages": list(chat)})])
    chat[4].additional_kwargs["seen"].append("deep inside")
    store.append_drafts([_step(stream, {"messages": list(chat)})])
    first, second, third = _states(store, stream)
    assert _texts(first)[3].startswith("3 x")
    assert _texts(second)[3] == "another text"
    assert second["messages"][4].additional_kwargs == {"seen": [4]}
    assert third["messages"][4].additional_kwargs == {"seen": [4, "deep inside"]}
    assert _texts(first)[5:] == _texts(third)[5:]


def test_a_field_that_cannot_be_compared_any_more_is_written_as_it_is() -> None:
    class Odd:
        def __eq__(self, other: object) -> bool:
            raise RuntimeError("not me")

        __hash__ = None  # type: ignore[assignment]

    store, stream, chat = MemoryStore(), Stream(new_id(), new_id(), turn=1), _chat(20)
    store.append_drafts([_step(stream, {"messages": list(chat)})])
    chat[7].additional_kwargs["seen"] = Odd()
    store.append_drafts([_step(stream, {"messages": list(chat)})])
    assert "Odd" in str(_states(store, stream)[1]["messages"][7].additional_kwargs["seen"])


def test_a_chat_that_grows_is_made_into_json_once() -> None:
    dumps = []

    class Message(BaseModel):
        text: str

        def model_dump(self, **kwargs: Any) -> dict[str, Any]:
            dumps.append(self.text)
            return super().model_dump(**kwargs)

    store, stream, chat = MemoryStore(), Stream(new_id(), new_id(), turn=1), list[Message]()
    for i in range(60):
        chat.append(Message(text=f"{i}"))
        store.append_drafts([_step(stream, {"messages": list(chat)})])
    assert len(dumps) <= sum(range(_known.MIN_ITEMS)) + 60
    assert [message.text for message in _states(store, stream)[-1]["messages"]] == [f"{i}" for i in range(60)]


def test_an_object_in_the_place_of_another_is_not_taken_for_it() -> None:
    known, given = _known.Known(), list[Any]()
    for i in range(50):
        put = known.put_in("e", {"messages": [*_chat(16), AIMessage(str(i))]}, lambda item: {"text": item.content})
        given.append(put["messages"][-1].json)
    assert given == [{"text": str(i)} for i in range(50)]


def test_rules_that_come_later_hold_for_what_was_known_before() -> None:
    store, stream = MemoryStore(), Stream(new_id(), new_id(), turn=1)
    chat = [AIMessage(f"the visit of HN-12345{i}", id=f"m{i}") for i in range(20)]
    try:
        store.append_drafts([_step(stream, {"messages": list(chat)})])
        ftnb.redact(patterns={"house": r"\bHN-\d+\b"})
        store.append_drafts([_step(stream, {"messages": list(chat)})])
        store.append_drafts([_step(stream, {"password": list(chat)})])
    finally:
        ftnb.redact("defaults")
    before, after, secret = _states(store, stream)
    assert _texts(before)[7] == "the visit of HN-123457"
    assert _texts(after)[7] == "the visit of [redacted: house]"
    assert secret["password"].why == "key password"


def test_a_secret_list_of_objects_leaves_nothing_in_the_store() -> None:
    store, stream = MemoryStore(), Stream(new_id(), new_id(), turn=1)
    store.append_drafts([_step(stream, {"password": [AIMessage("sesame " * 200) for _ in range(20)]})])
    blobs: list[Any] = store.scan_blobs()["data"].to_pylist()
    assert not any(b"sesame" in data for data in blobs)


def test_what_is_known_is_bounded() -> None:
    known = _known.Known()
    for i in range(30):
        known.put_in(f"e{i}", {"messages": [AIMessage("x" * 100_000) for _ in range(20)]}, lambda item: item.content)
    assert known._n_bytes <= _known.MAX_BYTES
    assert known._n_bytes == sum(entry[2] for entry in known._made.values())
    known.forget()
    assert known._n_bytes == 0
