"""Anything is a payload: the agent gets back what its node returned, and the record says what it was."""

from __future__ import annotations

import asyncio
import base64
import dataclasses
import enum
import math
import struct
import threading
import time
import warnings
import zlib
from collections import deque, namedtuple
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple, TypedDict

import attrs
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from langchain_core.messages import AIMessage, HumanMessage, ToolMessage
from langgraph.graph import MessagesState, StateGraph
from pydantic import BaseModel, PrivateAttr

from ftnb.core.canonical import dumps, encode_json, loads, to_json
from ftnb.langgraph_adapter import _events
from ftnb.store._writer import LogWriter
from ftnb.widget.preview import preview
from tests.capture.models import parrot
from tests.capture.shapes import Seen, events


class Box(TypedDict):
    v: Any


def record(seen: Seen, value: Any) -> Any:
    """What is read back of `value` after a node returned it; the agent's own result is the very object."""
    builder = StateGraph(Box)
    builder.add_node("node", lambda state: {"v": value})
    builder.add_node("after", lambda state: {})
    builder.add_edge("__start__", "node")
    builder.add_edge("node", "after")
    assert builder.compile().invoke({"v": None})["v"] is value
    node, after = seen.one().steps
    assert (node.status.value, after.status.value) == ("completed", "completed")
    found = seen.update(node)["v"]
    assert encode_json(to_json(seen.state(after)["v"])) == encode_json(to_json(found))
    return found


def png(width: int = 8, height: int = 200) -> bytes:
    """A picture of noise, which cannot be packed."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    noise = np.random.default_rng(7).integers(0, 256, (height, width * 3), dtype=np.uint8)
    rows = b"".join(b"\x00" + row.tobytes() for row in noise)
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


# --- data that comes back equal ---


@pytest.mark.parametrize(
    "value",
    [
        10**50,
        -(10**5000),
        "half \ud800 of a pair",
        b"\x00\xff",
        b"\x07" * 5_000,
        {1: "a", None: "b", ("t", 2): "c"},
        {"$ftnb": "mine"},
        {3, 1, 2},
        (1, ("two",)),
        "ä" * 100_000,
        [["deep", [1, {"a": (1,)}]]],
    ],
    ids=lambda value: type(value).__name__,
)
def test_data_comes_back_equal(seen: Seen, value: Any) -> None:
    assert record(seen, value) == value


def test_numbers_that_are_none(seen: Seen) -> None:
    found = record(seen, [math.nan, math.inf, -math.inf])
    assert math.isnan(found[0])
    assert found[1:] == [math.inf, -math.inf]


def test_a_cycle_is_cut_where_it_closes(seen: Seen) -> None:
    loop: dict[str, Any] = {"kept": 1}
    loop["self"] = {"again": loop}
    found = record(seen, loop)
    assert found["kept"] == 1
    assert '"why":"cycle"' in dumps(found).decode()
    assert len(dumps(found)) < 1_000


# --- objects ---


class Hostile:
    def __repr__(self) -> str:
        raise RuntimeError("no repr")

    def __len__(self) -> int:
        raise RuntimeError("no len")

    def __iter__(self) -> Iterator[Any]:
        raise RuntimeError("no iter")

    def __bool__(self) -> bool:
        return True

    def __eq__(self, other: object) -> bool:
        raise RuntimeError("no eq")

    __hash__ = object.__hash__


class Chameleon:
    @property  # type: ignore[misc]
    def __class__(self) -> Any:
        raise RuntimeError("no class")


class EndlessList(list[int]):
    def __iter__(self) -> Iterator[int]:
        while True:
            yield 1


class EndlessMapping(Mapping[str, int]):
    def __iter__(self) -> Iterator[str]:
        n = 0
        while True:
            n += 1
            yield str(n)

    def __getitem__(self, key: str) -> int:
        return 1

    def __len__(self) -> int:
        return 1


class Anything:
    def __getattr__(self, name: str) -> Any:
        return Anything()


class House(BaseModel):
    rooms: int
    owner: Any = None
    _visits: int = PrivateAttr(default=7)


@dataclasses.dataclass
class Budget:
    yen: int
    note: Any = None


@attrs.define
class Plan:
    days: int


Point = namedtuple("Point", "x y")


class Typed(NamedTuple):
    city: str


class Colour(enum.Enum):
    RED = 1


class Level(enum.IntEnum):
    HIGH = 3


class Mood(enum.StrEnum):
    GOOD = "good"


@pytest.mark.parametrize(
    ("make", "shown"),
    [
        (Hostile, "<its repr raised RuntimeError>"),
        (Anything, "Anything"),
        (threading.Lock, "lock"),
        (lambda: print, "<built-in function print>"),
        (lambda: House, "House"),
        (lambda: ValueError("too dear"), "ValueError: too dear"),
        (lambda: House(rooms=3), "House(rooms=3)"),
        (lambda: Budget(5, House(rooms=1)), "Budget(note=House(rooms=1), yen=5)"),
        (lambda: Plan(2), "Plan(days=2)"),
        (lambda: Point(1, [2]), "Point(x=1, y=[2])"),
        (lambda: Typed("Kyoto"), "Typed(city='Kyoto')"),
        (lambda: Colour.RED, "Colour(name='RED', value=1)"),
        (lambda: deque([1, 2]), "deque([1, 2])"),
        (lambda: AIMessage("hi"), "AIMessage(content='hi')"),
        (lambda: range(3), "range(0, 3)"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_an_object_is_described(seen: Seen, make: Callable[[], Any], shown: str) -> None:
    found = record(seen, make())
    assert found["$ftnb"] == "object"
    assert shown in repr(found)
    assert " at 0x" not in repr(found)


def test_a_value_that_lies_about_its_class(seen: Seen) -> None:
    assert record(seen, [Chameleon(), 1])[1] == 1


def test_endless_containers_end(seen: Seen) -> None:
    found = record(seen, {"list": EndlessList([1, 2]), "mapping": EndlessMapping()})
    assert found["list"] == [1, 2]
    assert found["mapping"]["data"]["1"] == 1


def test_enums_that_are_text_or_numbers_are_these(seen: Seen) -> None:
    assert record(seen, [Level.HIGH, Mood.GOOD]) == [3, "good"]


def test_what_can_be_consumed_once_is_left_to_the_agent(seen: Seen) -> None:
    generator = (n for n in range(3))
    assert record(seen, generator)["type"] == "generator"
    assert list(generator) == [0, 1, 2]


def test_a_coroutine_is_left_to_the_agent(seen: Seen) -> None:
    async def later() -> int:
        return 5

    coroutine = later()
    assert record(seen, coroutine)["type"] == "coroutine"
    assert asyncio.run(coroutine) == 5


def test_private_attributes_are_nobodys_business(seen: Seen) -> None:
    assert record(seen, House(rooms=3))["data"] == {"rooms": 3, "owner": None}


def test_a_model_that_would_warn_when_it_is_dumped(seen: Seen) -> None:
    house = House(rooms=3)
    house.rooms = "four"  # type: ignore[assignment]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert record(seen, house).rooms == "four"


# --- tables and arrays ---

COLUMNS = {"city": ["Kyoto", "Nara"] * 5_000, "rent": list(range(10_000))}


@pytest.mark.parametrize("make", [pl.DataFrame, pd.DataFrame, pa.table], ids=["polars", "pandas", "pyarrow"])
def test_a_table_is_its_shape_its_dtypes_and_its_head(seen: Seen, make: Callable[[Any], Any]) -> None:
    found = record(seen, make(COLUMNS))
    assert found.shape == [10_000, 2]
    assert set(found.dtypes) == {"city", "rent"}
    assert "int64" in found.dtypes["rent"].lower()
    assert found.head[1] == {"city": "Nara", "rent": 1}
    assert len(found.head) == 5
    assert len(dumps(found)) < 1_000


@pytest.mark.parametrize("make", [pl.Series, pd.Series], ids=["polars", "pandas"])
def test_a_series_is_summed_up(seen: Seen, make: Any) -> None:
    found = record(seen, make(range(10_000)))
    assert (found.shape, found.head) == ([10_000], [0, 1, 2, 3, 4])


def test_a_wide_table_is_cut(seen: Seen) -> None:
    found = record(seen, pd.DataFrame(np.zeros((3, 5_000))))
    assert found.shape == [3, 5_000]
    assert len(found.dtypes) == 100


def test_a_lazy_frame_is_not_collected(seen: Seen) -> None:
    def explode(_: Any) -> Any:
        raise AssertionError("collected")

    lazy = pl.LazyFrame({"a": [1]}).map_batches(explode, schema={"a": pl.Int64})
    assert record(seen, lazy).lazy is True


def test_arrays(seen: Seen) -> None:
    found = record(seen, {"small": np.arange(6).reshape(2, 3), "big": np.ones((1_000, 1_000)), "one": np.float32(2)})
    assert found["small"]["data"] == [[0, 1, 2], [3, 4, 5]]
    assert found["big"].shape == [1_000, 1_000]
    assert found["big"].dtype == "float64"
    assert found["big"].head == [1.0] * 20
    assert found["one"] == 2.0


# --- pictures ---


def media(seen: Seen) -> list[tuple[str, bytes]]:
    table = seen.store.scan_blobs()
    rows = zip(table["media"].to_pylist(), table["data"].to_pylist(), strict=True)
    return [(kind, data) for kind, data in rows if kind != "application/json"]


def test_a_picture_is_one_blob_however_it_is_given(seen: Seen) -> None:
    picture = png()
    text = base64.b64encode(picture).decode()
    url = f"data:image/png;base64,{text}"
    value = {
        "bytes": picture,
        "messages": [
            HumanMessage([{"type": "image_url", "image_url": {"url": url}}, {"type": "text", "text": "this?"}])
        ],
        "block": {"type": "image", "mime_type": "image/png", "base64": text},
    }
    found = record(seen, value)
    assert media(seen) == [("image/png", picture)]
    assert found["bytes"] == picture
    assert found["messages"][0].content[0]["image_url"]["url"] == url
    assert found["block"]["base64"] == text
    reference = str(seen.one().steps[0].update_ref)
    assert f"'n_bytes': {len(picture)}" in reference or "ref" in reference
    assert text[:100] not in reference


def test_a_pil_picture_is_kept_as_png_once(seen: Seen) -> None:
    image_module = pytest.importorskip("PIL.Image")
    image = image_module.frombytes("RGB", (8, 200), np.random.default_rng(1).bytes(8 * 200 * 3))
    found = record(seen, {"first": image, "second": image.copy()})
    ((kind, data),) = media(seen)
    assert kind == "image/png"
    assert data.startswith(b"\x89PNG")
    assert (found["first"].mode, found["first"].size) == ("RGB", [8, 200])
    assert found["first"].image == data


def test_other_bytes_are_kept_as_they_are(seen: Seen) -> None:
    data = bytes(range(256)) * 100
    assert record(seen, data) == data
    assert media(seen) == [("application/octet-stream", data)]


@pytest.mark.parametrize(
    "text", ["data:image/png;base64,", "data:image/png;base64,AB\n" + "CD" * 400, "/9j/" + "é" * 900]
)
def test_what_is_no_base64_after_all_is_text(seen: Seen, text: str) -> None:
    assert record(seen, text) == text
    assert media(seen) == []


# --- size ---


def test_a_huge_text_is_stored_once_and_previewed(seen: Seen, monkeypatch: pytest.MonkeyPatch) -> None:
    taken: list[float] = []
    encode = LogWriter.encode

    def timed(self: LogWriter, drafts: Any) -> Any:
        begun = time.thread_time()
        batch = encode(self, drafts)
        taken.append(time.thread_time() - begun)
        return batch

    monkeypatch.setattr(LogWriter, "encode", timed)
    text = "a page of a long book. " * 900_000
    assert record(seen, text) == text
    sizes = seen.store.scan_blobs()["data"].to_pylist()
    assert sum(len(data) > 1_000_000 for data in sizes) == 1
    shown = preview(text)
    assert shown["cut"]
    assert len(encode_json(shown["value"])) < 6_000
    assert max(taken) < 2.0, "a machine ten times as slow as ours passes"


# --- what is read back ---


def test_messages_read_back_like_messages(seen: Seen) -> None:
    call = {"name": "search", "args": {"q": "x"}, "id": "c1", "type": "tool_call"}
    messages = [HumanMessage("hi"), AIMessage("", tool_calls=[call]), ToolMessage("found", tool_call_id="c1")]
    human, ai, answer = record(seen, messages)
    assert repr(human) == "HumanMessage(content='hi')"
    assert (human.content, human["content"], human.type, human["type"]) == ("hi", "hi", "human", "HumanMessage")
    assert ai.tool_calls == [call]
    assert answer.tool_call_id == "c1"
    assert human == {"$ftnb": "object", "type": "HumanMessage", "data": dict(human["data"])}
    assert "content" in dir(human)
    with pytest.raises(AttributeError, match=r"no field 'contents' was recorded of this HumanMessage; .*content"):
        human.contents  # noqa: B018
    with pytest.raises(TypeError, match="read-only"):
        human["content"] = "x"
    assert loads(dumps(human)) == human


def test_payloads_of_calls_are_any_value_too(seen: Seen) -> None:
    model = parrot("ok")
    builder = StateGraph(Box)
    builder.add_node(
        "node", lambda state: {"v": model.invoke("hi", thing=Hostile(), table=pl.DataFrame(COLUMNS)).content}
    )
    builder.add_edge("__start__", "node")
    assert builder.compile().invoke({"v": None}) == {"v": "ok"}
    (event,) = events(seen.one().steps[0], "llm_call")
    assert event.payload["response"]["content"] == "ok"


# --- any value at all ---

DESCRIBED = [
    Hostile(), Chameleon(), EndlessList([1]), Anything(), House(rooms=1), Budget(1), Point(1, 2), Colour.RED, print,
    object(), iter([1]), threading.Lock(), math.nan, "\ud800", 10**400, b"\xff", np.arange(3), pl.Series([1]), Hostile,
    ValueError(Hostile()), EndlessMapping(), deque([Hostile()]), {Hostile()}, np.array([Hostile()], dtype=object),
]  # fmt: skip
objects = st.integers(0, len(DESCRIBED) - 1).map(lambda place: DESCRIBED[place])
anything = st.recursive(
    objects | st.integers() | st.text(st.characters()) | st.binary(max_size=9),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.text(st.characters(), max_size=4) | st.integers(), inner, max_size=4)
        | st.tuples(inner, inner)
        | st.builds(Budget, st.just(1), inner)
        | st.builds(lambda owner: House(rooms=1, owner=owner), inner)
    ),
    max_leaves=15,
)


@settings(deadline=2_000)
@given(anything)
def test_nothing_is_refused_and_nothing_takes_for_ever(value: Any) -> None:
    data = dumps(value)
    assert dumps(loads(data)) == data


@pytest.mark.parametrize("wrap", [lambda v: [v], lambda v: (v,), lambda v: {1: v}, lambda v: {"a": v}, Budget, deque])
def test_whatever_is_nested_without_end_is_cut(wrap: Callable[[Any], Any]) -> None:
    value: Any = "bottom"
    for _ in range(5_000):
        value = Budget(1, value) if wrap is Budget else deque([value]) if wrap is deque else wrap(value)
    assert b'"why":"depth"' in dumps(value)


# --- what is changed afterwards ---


class _Model(BaseModel):
    """A state of pydantic's."""

    x: int = 0
    items: list[int] = []


@dataclasses.dataclass
class _Data:
    """A state that is a dataclass."""

    x: int = 0
    items: list[int] = dataclasses.field(default_factory=list)


@pytest.mark.parametrize("kind", [_Model, _Data])
def test_a_state_that_its_node_changes_in_place_is_on_record_as_it_was(seen: Seen, kind: Any) -> None:
    def spoil(state: Any) -> dict[str, int]:
        state.x = 99
        state.items.append(7)
        return {"x": 1}

    builder: Any = StateGraph(kind)
    builder.add_node("spoil", spoil).add_edge("__start__", "spoil")
    builder.compile().invoke({"x": 1, "items": [1]})
    (step,) = seen.one().steps
    state = seen.state(step)
    assert (state["x"], state["items"]) == (1, [1])
    assert seen.update(step) == {"x": 1}


def test_a_message_that_is_changed_is_on_record_as_it_was_at_each_step(seen: Seen) -> None:
    def rewrite(state: Any) -> dict[str, str]:
        state["messages"][0].content = "changed"
        state["messages"][0].additional_kwargs["seen"] = True
        return {}

    builder: Any = StateGraph(MessagesState)
    builder.add_node("rewrite", rewrite).add_node("after", lambda state: {})
    builder.add_edge("__start__", "rewrite").add_edge("rewrite", "after")
    builder.compile().invoke({"messages": [HumanMessage("first")]})
    before, after = [seen.state(step)["messages"][0] for step in seen.one().steps]
    assert (before["content"], before.get("additional_kwargs")) == ("first", None)
    assert (after["content"], after["additional_kwargs"]) == ("changed", {"seen": True})


def test_what_a_model_answered_is_on_record_though_the_node_renames_it(seen: Seen) -> None:
    model = parrot("hello")

    def ask(state: Any) -> dict[str, list[Any]]:
        answer = model.invoke("hi")
        answer.content += " there"
        answer.name = "host"
        return {"messages": [answer]}

    builder: Any = StateGraph(MessagesState)
    builder.add_node("ask", ask).add_edge("__start__", "ask")
    builder.compile().invoke({"messages": []})
    (step,) = seen.one().steps
    (call,) = events(step)
    assert "there" not in str(call.payload["response"])
    assert "hello there" in str(seen.update(step))


def test_what_does_not_fit_loses_its_values_and_keeps_its_shape() -> None:
    run, values = object(), {"path": ["x" * 1_000]}
    ended = (_events.CHAIN_END, 1, run, values, False, (("path", values["path"]), ("branch:to:b", None)))
    assert _events.slim(ended) == (_events.CHAIN_END, 1, run, None, False, None)
    begun = (_events.NODE_START, 1, run, None, "a", "a:1", 1, (), (), values, True)
    assert _events.slim(begun) == (*begun[:9], None, True)
