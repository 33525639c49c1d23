"""The agent does not notice: same results, same streams, and no fault of ours reaches it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from langgraph.config import get_stream_writer

import ftnb
from ftnb.langgraph_adapter import _call_runs, handler
from ftnb.store.sqlite import SQLiteStore
from tests.capture.models import parrot
from tests.capture.shapes import Path, Seen, graph_of, named, tree

EMPTY: dict[str, list[str]] = {"path": []}


@contextmanager
def session() -> Iterator[ftnb.session.Session]:
    """A session that may drop things."""
    store = SQLiteStore()
    try:
        yield ftnb.start(store)
    finally:
        ftnb.stop()
        store.close()


def talkative() -> Any:
    model = parrot("one two three", streams=True)

    def talk(state: Path) -> dict[str, list[str]]:
        get_stream_writer()({"progress": 0.5})
        return {"path": ["".join(str(chunk.content) for chunk in model.stream("go"))]}

    inner = graph_of("^>x", "x>talk", talk=talk).compile()
    return graph_of("^>a", "a>sub", "a>b", "sub+b>c", sub=inner).compile()


MODES: list[Any] = ["values", "updates", "custom", "messages", "tasks", ["values", "updates", "custom", "messages"]]


def chunks(modes: Any, subgraphs: bool) -> list[str]:
    async def collect() -> list[Any]:
        app = talkative()
        return [chunk async for chunk in app.astream(EMPTY, stream_mode=modes, subgraphs=subgraphs)]

    def plain(value: Any) -> str:
        # Ids are random, and what runs in parallel comes in any order.
        if isinstance(value, dict):
            shown = {
                k: plain(v) for k, v in value.items() if k not in ("id", "langgraph_checkpoint_ns", "checkpoint_ns")
            }
            return str(sorted(shown.items()))
        if isinstance(value, (list, tuple)):
            return str([plain(one) for one in value])
        if hasattr(value, "content"):
            return f"{type(value).__name__}:{value.content}"
        return str(value).partition(":")[0]

    return sorted(plain(chunk) for chunk in asyncio.run(collect()))


@pytest.mark.parametrize("subgraphs", [False, True])
@pytest.mark.parametrize("modes", MODES, ids=str)
def test_streams_are_the_same_with_and_without(modes: Any, subgraphs: bool) -> None:
    without = chunks(modes, subgraphs)
    with session() as running:
        within = chunks(modes, subgraphs)
        assert running.n_engagements() == 1
    assert within == without


def test_models_are_not_switched_to_streaming(seen: Seen) -> None:
    model = parrot("a b c", streams=True)
    graph_of("^>node", node=lambda state: {"path": [str(model.invoke("x").content)]}).compile().invoke(EMPTY)
    (event,) = named(seen.one(), "node").events
    assert event.payload["response"]["content"] == "a b c"
    assert event.ttft_ms is None


def test_a_fault_in_a_callback_is_counted_and_stays_inside(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(*_: Any) -> Any:
        raise RuntimeError("ours")

    with session() as running, caplog.at_level(logging.WARNING):
        monkeypatch.setattr(handler, "freeze", broken)
        result = graph_of("^>a", "a>b").compile().invoke(EMPTY)
        monkeypatch.undo()
        running.recorder.flush()
        assert result == {"path": ["a", "b"]}
        assert running.stats().dropped["capture_error"] > 0
    ours = [record for record in caplog.records if record.name == "ftnb"]
    assert len(ours) == 1, "said once"
    assert [record for record in caplog.records if record.name.startswith("langchain")] == []


def test_a_fault_in_the_assembler_costs_its_event_only(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(self: Any, event: Any) -> None:
        raise RuntimeError("ours")

    monkeypatch.setattr(_call_runs.CallRuns, "llm_start", broken)
    model = parrot("x")
    with session() as running:
        app = graph_of("^>a", "a>b", a=lambda state: {"path": [str(model.invoke("x").content)]}).compile()
        app.invoke(EMPTY)
        assert tree(ftnb.last().model) == ["a", "b < a:static"]
        assert running.stats().dropped == {"capture_error": 1}


class Awkward:
    """Not JSON, and it does not even say what it is."""

    def __repr__(self) -> str:
        raise ValueError("no")


def test_what_is_no_json_is_salvaged(seen: Seen) -> None:
    cycle: list[Any] = []
    cycle.append(cycle)
    strange = [Awkward(), 2**80, "\ud800", cycle, {1: 2}, float("nan"), b"\x00", object, lambda: None]

    graph_of("^>a", "a>b", a=lambda state: {"path": strange}).compile().invoke(EMPTY)
    engagement = seen.one()
    assert tree(engagement) == ["a", "b < a:static"]
    kept = seen.update(named(engagement, "a"))["path"]
    assert kept[0] == {"$ftnb": "object", "type": "Awkward", "text": "<its repr raised ValueError>"}
    assert kept[1:3] == [2**80, "\ud800"]
    assert "'cycle'" in str(kept[3])
    assert kept[4] == {1: 2}
    assert kept[6] == b"\x00"
    assert len(kept) == len(strange)


def test_nothing_is_left_open_after_runs(seen: Seen) -> None:
    async def several() -> None:
        app = talkative()
        await asyncio.gather(*[app.ainvoke(EMPTY) for _ in range(5)])

    asyncio.run(several())
    list(talkative().stream(EMPTY, stream_mode="messages"))
    session_ = ftnb.session.current()
    assert session_ is not None
    session_.recorder.flush()
    assert session_._capture.assembler.n_open == 0
    assert handler.AMBIENT.graphs == {}
    assert handler.AMBIENT._first_tokens == {}


def test_the_users_own_callbacks_are_called_as_before(seen: Seen) -> None:
    from langchain_core.callbacks import BaseCallbackHandler

    class Counting(BaseCallbackHandler):
        n = 0

        def on_chain_start(self, *_: Any, **__: Any) -> None:
            self.n += 1

    mine = Counting()
    graph_of("^>a", "a>b").compile().invoke(EMPTY, {"callbacks": [mine]})
    assert mine.n == 3
    assert tree(seen.one()) == ["a", "b < a:static"]
