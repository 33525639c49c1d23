"""Conversations across kernels, runs in flight when recording stops, threads, and a store that lags behind."""

from __future__ import annotations

import asyncio
import gc
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path as File
from typing import Any

import pytest
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.types import Command, interrupt

import ftnb
from ftnb.core.ids import to_us
from ftnb.langgraph_adapter import _assembler, _capture
from ftnb.store.sqlite import SQLiteStore
from tests.capture.models import parrot
from tests.capture.shapes import Path, Seen, events, graph_of, named, tree

EMPTY: dict[str, list[str]] = {"path": []}


def thread(name: str = "1", **more: Any) -> Any:
    return {"configurable": {"thread_id": name, **more}}


def ask(state: Path) -> dict[str, list[str]]:
    return {"path": [interrupt("which one?")]}


def asking(saver: Any) -> Any:
    return graph_of("^>a", "a>ask", "ask>b", ask=ask).compile(checkpointer=saver)


# --- another kernel: nothing is known but what the store and the saver hold ---


class Kernel:
    """A session with a store object of its own, as another process would have."""

    def __init__(self, path: File) -> None:
        self.path = path

    def __enter__(self) -> Seen:
        self.session = ftnb.start(self.path)
        return Seen(self.session.store)  # type: ignore[arg-type]

    def __exit__(self, *_: object) -> None:
        self.session.recorder.flush()
        assert self.session.stats().dropped == {}
        ftnb.stop()


def test_a_conversation_goes_on_in_another_kernel(tmp_path: File) -> None:
    saver = InMemorySaver()
    with Kernel(tmp_path / "t.db"):
        asking(saver).invoke(EMPTY, thread())
    with Kernel(tmp_path / "t.db"):
        asking(saver).invoke(Command(resume="this"), thread())
    with Kernel(tmp_path / "t.db") as seen:
        asking(saver).invoke(EMPTY, thread())
        engagement = seen.one()
    assert tree(engagement) == [
        "a",
        "ask waiting < a:static",
        "ask@1.2 < ask:resume",
        "b < ask:static",
        "a@2.1",
        "ask@2.1 waiting < a:static",
    ]
    assert [step.turn for step in engagement.steps] == [1, 1, 2, 2, 3, 3]
    assert (engagement.n_turns, engagement.status) == (3, "paused")


def test_kernels_take_turns(tmp_path: File) -> None:
    saver = InMemorySaver()
    app = graph_of("^>a").compile(checkpointer=saver)
    for _ in range(2):
        for _ in range(2):
            with Kernel(tmp_path / "t.db") as seen:
                app.invoke(EMPTY, thread())
                app.invoke(EMPTY, thread())
                (engagement,) = seen.all()
    assert [(step.turn, step.visit) for step in engagement.steps] == [(n, n) for n in range(1, 9)]


def test_an_older_checkpoint_is_a_fork_in_another_kernel_too(tmp_path: File) -> None:
    app = graph_of("^>a", "a>b").compile(checkpointer=InMemorySaver(), name="house")
    with Kernel(tmp_path / "t.db"):
        app.invoke(EMPTY, thread())
    (before_b,) = [state.config for state in app.get_state_history(thread()) if state.next == ("b",)]
    with Kernel(tmp_path / "t.db") as seen:
        app.invoke(None, before_b)
        origin, fork = seen.all()
    assert (fork.parent_id, fork.name) == (origin.id, "house")
    assert [tree(origin), tree(fork)] == [["a", "b < a:static"], ["b"]]


def test_an_edit_in_another_kernel(tmp_path: File) -> None:
    app = graph_of("^>a", "a>b").compile(checkpointer=InMemorySaver())
    with Kernel(tmp_path / "t.db"):
        app.invoke(EMPTY, thread())
    with Kernel(tmp_path / "t.db"):
        app.update_state(thread(), {"path": ["edited"]}, as_node="a")
    with Kernel(tmp_path / "t.db") as seen:
        app.invoke(None, thread())
        engagement = seen.one()
    assert [(step.turn, step.name, len(step.events)) for step in engagement.steps] == [
        (1, "a", 0),
        (1, "b", 1),
        (2, "b", 0),
    ]


def test_strangers_with_one_thread_id_stay_apart(tmp_path: File) -> None:
    for _ in range(3):
        with Kernel(tmp_path / "t.db") as seen:
            graph_of("^>a").compile(checkpointer=InMemorySaver()).invoke(EMPTY, thread())
            found = seen.all()
    assert [tree(engagement) for engagement in found] == [["a"]] * 3


def test_a_conversation_that_began_unrecorded_is_a_new_engagement(tmp_path: File) -> None:
    app = graph_of("^>a").compile(checkpointer=InMemorySaver())
    app.invoke(EMPTY, thread())
    with Kernel(tmp_path / "t.db") as seen:
        app.invoke(EMPTY, thread())
        app.invoke(EMPTY, thread())
        assert [engagement.n_turns for engagement in seen.all()] == [2]


TURN = """
import sys, sqlite3
from langgraph.checkpoint.sqlite import SqliteSaver
import ftnb
from tests.capture.shapes import graph_of
ftnb.start(sys.argv[1])
with SqliteSaver.from_conn_string(sys.argv[2]) as saver:
    app = graph_of("^>a", "a>b").compile(checkpointer=saver)
    config = {"configurable": {"thread_id": "1"}}
    app.invoke({"path": []}, config)
# no stop: the end of the process stops recording
"""


def test_a_conversation_goes_on_in_another_process(tmp_path: File) -> None:
    store, saved = tmp_path / "t.db", tmp_path / "saved.db"
    for _ in range(3):
        subprocess.run([sys.executable, "-c", TURN, str(store), str(saved)], check=True, timeout=60)
    with closing(SQLiteStore(store)) as opened:
        (summary,) = opened.list_engagements()
        engagement = opened.get_engagement(summary.id)
    assert [(step.turn, step.name, step.visit) for step in engagement.steps] == [
        (n, name, n) for n in (1, 2, 3) for name in ("a", "b")
    ]


# --- recording stops, or the user leaves ---


def test_what_is_in_flight_when_recording_stops_ends_there(tmp_path: File) -> None:
    stream = graph_of("^>a", "a>b", "b>c").compile().stream(EMPTY)
    with Kernel(tmp_path / "t.db"):
        next(stream)
    assert len(list(stream)) == 2, "the run itself goes on"
    with Kernel(tmp_path / "t.db") as seen:
        engagement = seen.one()
    assert (engagement.status, engagement.error) == ("abandoned", "recording was stopped before the run ended")
    assert tree(engagement) == ["a"]


def test_a_step_in_flight_when_recording_stops_is_cancelled(seen: Seen) -> None:
    started, go_on = threading.Event(), threading.Event()

    def slow(state: Path) -> dict[str, list[str]]:
        started.set()
        go_on.wait(10)
        return {"path": ["slow"]}

    session = ftnb.session.current()
    assert session is not None
    app = graph_of("^>a", "a>slow", "slow>b", slow=slow).compile()
    worker = threading.Thread(target=app.invoke, args=(EMPTY,))
    worker.start()
    started.wait(10)
    session.pause()
    session.resume()
    go_on.set()
    worker.join()
    app = graph_of("^>a").compile()
    app.invoke(EMPTY)
    first, second = seen.all()
    assert (tree(first), first.status) == (["a", "slow cancelled < a:static"], "abandoned")
    assert (tree(second), second.status) == (["a"], "completed")


def test_another_store_takes_over_and_the_first_is_left_in_order(tmp_path: File) -> None:
    first, second = SQLiteStore(tmp_path / "1.db"), SQLiteStore(tmp_path / "2.db")
    ftnb.start(first)
    stream = graph_of("^>a", "a>b").compile().stream(EMPTY)
    next(stream)
    ftnb.start(second)
    list(stream)
    assert [summary.status for summary in first.list_engagements()] == ["abandoned"]
    ftnb.stop()
    first.close()
    second.close()


def test_a_stream_that_is_held_and_never_read_on_is_swept(seen: Seen, monkeypatch: pytest.MonkeyPatch) -> None:
    held = graph_of("^>a", "a>b").compile().stream(EMPTY)
    next(held)
    assert seen.one().status == "active"
    monkeypatch.setattr(_assembler, "_STALE_NS", 0)
    graph_of("^>x").compile().invoke(EMPTY)
    left, other = seen.all()
    assert (left.status, left.dropped_at, left.error) == ("abandoned", "a", "the stream was left and never closed")
    assert other.status == "completed"
    del held
    gc.collect()
    assert len(seen.all()) == 2


# --- threads ---


def test_calls_in_a_thread_pool_keep_their_step() -> None:
    store = SQLiteStore()
    ftnb.start(store)
    seen, model = Seen(store), parrot("x")

    def node(state: Path) -> dict[str, list[str]]:
        with ThreadPoolExecutor(2) as pool:
            said = list(pool.map(lambda prompt: str(model.invoke(prompt).content), ["1", "2", "3"]))
        return {"path": said}

    wrapped = ThreadPoolExecutor.submit
    graph_of("^>a", "^>node", node=node).compile().invoke(EMPTY)
    engagement = seen.one()
    prompts = [event.payload["messages"][0]["content"] for event in events(named(engagement, "node"), "llm_call")]
    assert sorted(prompts) == ["1", "2", "3"]
    assert named(engagement, "a").events == []
    ftnb.stop()
    store.close()
    assert ThreadPoolExecutor.submit is wrapped.__wrapped__  # type: ignore[attr-defined]


def test_calls_in_the_loops_executor_keep_their_step(seen: Seen) -> None:
    model = parrot("x")

    async def node(state: Path) -> dict[str, list[str]]:
        said = await asyncio.get_running_loop().run_in_executor(None, model.invoke, "in a pool")
        return {"path": [str(said.content)]}

    asyncio.run(graph_of("^>node", node=node).compile().ainvoke(EMPTY))
    assert len(events(named(seen.one(), "node"), "llm_call")) == 1


def test_a_call_from_a_thread_of_its_own_is_shown_as_unattached(seen: Seen) -> None:
    model = parrot("x")

    def node(state: Path) -> dict[str, list[str]]:
        worker = threading.Thread(target=model.invoke, args=("alone",))
        worker.start()
        worker.join()
        return {"path": ["node"]}

    graph_of("^>node", "node>b", node=node).compile().invoke(EMPTY)
    engagement = seen.one()
    assert tree(engagement) == ["node", "(unattached)", "b < node:static"]
    (call,) = events(named(engagement, "(unattached)"), "llm_call")
    node_step = named(engagement, "node")
    assert node_step.ended_at is not None
    assert node_step.started_at <= call.ts <= node_step.ended_at
    assert engagement.total_tokens == 16


def test_a_call_while_no_graph_runs_is_not_recorded(seen: Seen) -> None:
    parrot("x").invoke("hello")
    assert seen.all() == []


# --- time ---


def test_events_lie_inside_their_step(seen: Seen) -> None:
    model = parrot("x")

    def node(state: Path) -> dict[str, list[str]]:
        for _ in range(20):
            model.invoke("x")
        return {"path": ["x"]}

    names = ["b", "c", "d", "e"]
    nodes: dict[str, Any] = dict.fromkeys(names, node)
    graph_of("^>a", *(f"a>{name}" for name in names), **nodes).compile().invoke(EMPTY)
    engagement = seen.one()
    assert engagement.ended_at is not None
    for step in engagement.steps:
        assert step.ended_at is not None
        assert engagement.started_at <= step.started_at <= step.ended_at <= engagement.ended_at
        begun, ended = to_us(step.started_at), to_us(step.ended_at)
        assert step.duration_ms == (ended - begun) / 1000
        for event in step.events:
            assert begun <= to_us(event.ts)
            assert to_us(event.ts) + round((event.duration_ms or 0) * 1000) <= ended


# --- what is kept when not all can be ---


def test_payloads_go_before_structure(monkeypatch: pytest.MonkeyPatch) -> None:
    store = SQLiteStore()
    session = ftnb.start(store)
    monkeypatch.setattr(_capture, "_LONG", 0)
    monkeypatch.setattr(_capture, "MAX_FULL", 0)
    model = parrot("x")
    app = graph_of("^>a", "a>b", a=lambda state: {"path": [str(model.invoke("x").content)]}).compile()
    assert app.invoke(EMPTY) == {"path": ["x", "b"]}
    engagement = ftnb.last().model
    assert tree(engagement) == ["a", "b < a:static"]
    assert [step.state_ref for step in engagement.steps] == [None, None]
    (call,) = events(named(engagement, "a"))
    assert (call.kind, call.duration_ms is not None) == ("llm_call", True)
    assert session.stats().dropped.keys() == {"payload"}
    assert session.stats().n_dropped == 0
    ftnb.stop()
    store.close()


def test_what_lies_too_deep_to_be_copied_is_marked(seen: Seen) -> None:
    deep: Any = [[[[[[["bottom"]]]]]]]
    graph_of("^>a", "a>b", a=lambda state: {"path": deep}).compile().invoke(EMPTY)
    found = seen.store.scan(["type", "name"], containing=[b'"late_bound":true']).to_pylist()
    assert [(row["type"], row["name"]) for row in found] == [("step_ended", "a"), ("step_started", "b")]
