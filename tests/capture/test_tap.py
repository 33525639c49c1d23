"""What callbacks cannot see: the loop between them."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import pytest
from langchain_core.tools import tool
from langgraph.cache.memory import InMemoryCache
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.config import get_stream_writer
from langgraph.func import entrypoint, task
from langgraph.pregel import Pregel, _loop
from langgraph.types import CachePolicy, Command, Send

import ftnb
from ftnb.core.model import Step
from ftnb.langgraph_adapter import _canary, handler, tap
from ftnb.store.sqlite import SQLiteStore
from tests.capture.entries import FUNCTIONAL, Way
from tests.capture.shapes import Path, Seen, events, graph_of, named, tree, visit

pytestmark = pytest.mark.filterwarnings("ignore:The v3 streaming protocol")
EMPTY: dict[str, list[str]] = {"path": []}
NEWER = hasattr(Pregel, "_apregel_stream_v3")
CLASSES = (_loop.PregelLoop, _loop.SyncPregelLoop, _loop.AsyncPregelLoop, Pregel)


def thread(name: str = "1", **more: Any) -> Any:
    return {"configurable": {"thread_id": name, **more}}


def bodies(seen: Seen, kind: str) -> list[Any]:
    import orjson

    return [orjson.loads(body or b"{}") for body in seen.store.scan(["body"], types=[kind]).column("body").to_pylist()]


# --- nodes that the cache answers ---


def cached_graph(**options: Any) -> Any:
    graph = graph_of("^>a", "a>b", nodes=["d"])
    graph.add_node("c", visit("c"), cache_policy=CachePolicy())
    graph.add_edge("b", "c")
    graph.add_edge("c", "d")
    return graph.compile(cache=InMemoryCache(), **options)


def test_a_cached_node_is_a_step_that_did_not_run(seen: Seen, run: Way) -> None:
    app = cached_graph()
    assert run(app, EMPTY) == run(app, EMPTY)
    first, second = seen.all()
    assert tree(first) == tree(second) == ["a", "b < a:static", "c < b:static", "d < c:static"]
    ran, answered = named(first, "c"), named(second, "c")
    assert (ran.cached, answered.cached) == (False, True)
    assert ran.duration_ms is not None
    assert answered.duration_ms is None
    assert answered.ended_at is not None
    assert seen.update(answered) == seen.update(ran) == {"path": ["c"]}
    assert seen.state(answered) == {"path": ["a", "b"]}


def test_cached_tasks_of_the_functional_api(seen: Seen) -> None:
    from langgraph.func import entrypoint, task

    @task(cache_policy=CachePolicy())
    def slow(x: int) -> int:
        return x + 1

    @entrypoint(cache=InMemoryCache())
    def flow(x: int) -> int:
        return slow(x).result()

    assert flow.invoke(1) == flow.invoke(1) == 2
    assert [[step.cached for step in engagement.steps] for engagement in seen.all()] == [[False, False], [False, True]]


# --- the stream writer ---


def test_stream_writes_are_log_events_whoever_listens(seen: Seen, run: Way) -> None:
    @tool
    def look(what: str) -> str:
        """Look."""
        get_stream_writer()("in a tool")
        return what

    def talk(state: Path) -> dict[str, list[str]]:
        write = get_stream_writer()
        write({"progress": 0.5})
        look.invoke({"what": "x"})
        write("done")
        return {"path": ["talk"]}

    inner = graph_of("^>talk", talk=talk).compile()
    run(graph_of("^>a", "a>sub", sub=inner).compile(), EMPTY)
    engagement = seen.one()
    logs = events(named(engagement, "talk"), "log")
    assert [(log.name, log.subtype, log.payload) for log in logs] == [
        ("stream", "stream", {"progress": 0.5}),
        ("stream", "stream", {"value": "in a tool"}),
        ("stream", "stream", {"value": "done"}),
    ]
    assert sum(len(step.events) for step in engagement.steps) == 4


def test_a_listener_gets_each_stream_write_once(seen: Seen) -> None:
    def talk(state: Path) -> dict[str, list[str]]:
        get_stream_writer()({"n": 1})
        return {"path": ["talk"]}

    inner = graph_of("^>talk", talk=talk).compile()
    app = graph_of("^>sub", sub=inner).compile()
    assert [chunk[1] for chunk in app.stream(EMPTY, stream_mode="custom", subgraphs=True)] == [{"n": 1}]
    assert len(events(named(seen.one(), "talk"))) == 1


# --- checkpoints ---


def test_each_step_names_the_checkpoint_that_it_ran_from(seen: Seen, run: Way) -> None:
    saver = InMemorySaver()
    app = graph_of("^>a", "a>b", "a>c", "b+c>d").compile(checkpointer=saver)
    run(app, EMPTY, thread())
    # The state before a step, as LangGraph's own history has it.
    before = {
        name: state.config["configurable"]["checkpoint_id"]
        for state in app.get_state_history(thread())
        for name in state.next
    }
    assert {step.name: step.checkpoint_id for step in seen.one().steps} == {
        name: before[name] for name in ("a", "b", "c", "d")
    }


def test_without_a_saver_no_checkpoint_is_named(seen: Seen) -> None:
    graph_of("^>a").compile().invoke(EMPTY)
    assert named(seen.one(), "a").checkpoint_id is None


@pytest.mark.parametrize(("stop", "reason"), [("interrupt_before", ["b"]), ("interrupt_after", ["a"])])
def test_a_stop_says_where(seen: Seen, run: Way, stop: str, reason: list[str]) -> None:
    app = graph_of("^>a", "a>b").compile(checkpointer=InMemorySaver(), **{stop: reason})  # type: ignore[arg-type]
    run(app, EMPTY, thread())
    (status,) = bodies(seen, "engagement_status_changed")
    assert status["reason"] == stop
    if stop == "interrupt_before" or NEWER:  # LangGraph 1.0 has not yet looked what comes after
        assert status["next"] == ["b"]
    assert seen.one().status == "paused"


# --- routing ---


def test_the_routers_word_is_kept(seen: Seen, run: Way) -> None:
    def choose(state: Path) -> str:
        return "yes"

    def deal(state: Path) -> list[Any]:
        return [Send("work", {"path": [str(n)]}) for n in range(2)]

    graph = graph_of("^>a", nodes=["b", "c", "work"])
    graph.add_conditional_edges("a", choose, {"yes": "b", "no": "c"})
    graph.add_conditional_edges("b", deal, ["work"])
    run(graph.compile(), EMPTY)
    engagement = seen.one()
    assert {step.name: step.decisions for step in engagement.steps if step.decisions} == {
        "a": {"choose": "yes"},
        "b": {"deal": ["Send(work)", "Send(work)"]},
    }


def test_a_command_from_a_node_without_declared_ends(seen: Seen, run: Way) -> None:
    def a(state: Path) -> Command[Any]:
        return Command(goto="c", update={"path": ["a"]})

    graph = graph_of("^>a", nodes=["b", "c"], a=a)
    run(graph.compile(), EMPTY)
    assert tree(seen.one()) == ["a", "c < a:goto"]


# --- raw writes: enough to run any superstep again ---


def test_the_state_can_be_rebuilt_from_the_record(seen: Seen, run: Way) -> None:
    def deal(state: Path) -> list[Any]:
        return [Send("work", {"path": [str(n)]}) for n in range(2)]

    graph = graph_of("^>a", "a>b", "a>c", "b+c>d", "work>e")
    graph.add_conditional_edges("d", deal, ["work"])
    result = run(graph.compile(), {"path": ["given"]})
    engagement = seen.one()
    starts, ends = bodies(seen, "step_started"), bodies(seen, "step_ended")
    path = dict(starts[0]["@entry"][:1])["path"]
    for body in ends:
        assert "path" in body["@writes"], "the value is in the update, and is not stored twice"
        path += seen.value(engagement, body["@update"])["path"]
    assert sorted(path) == sorted(result["path"])
    written = {name: body["@writes"] for name, body in zip(ended(seen), ends, strict=True)}
    assert sorted(written["a"][1:]) == [["branch:to:b"], ["branch:to:c"]]
    assert written["b"] == ["path", ["join:b+c:d", "b"]]
    sent = [write for write in written["d"][1:] if write[0] == "__pregel_tasks"]
    assert sent == [["__pregel_tasks", {"send": "work", "arg": {"path": [str(n)]}}] for n in range(2)]
    assert [body["superstep"] for body in starts] == [1, 2, 2, 3, 4, 4, 5]


def test_what_a_command_to_the_parent_writes_is_told_of_each_of_two_nodes(seen: Seen, run: Way) -> None:
    def inner(name: str) -> Any:
        def leave(state: Path) -> Command[Any]:
            return Command(graph=Command.PARENT, update={"path": [name]}, goto="last")

        graph = graph_of()
        graph.add_node("leave", leave)
        graph.add_edge("__start__", "leave")
        return graph.compile()

    graph = graph_of("^>a", "a>b", "a>c", nodes=["last"], b=inner("b"), c=inner("c"))
    assert sorted(run(graph.compile(), EMPTY)["path"]) == ["a", "b", "c", "last"]
    found = zip(ended(seen), bodies(seen, "step_ended"), strict=True)
    written = {name: body.get("@writes") for name, body in found}
    assert written["b"] == written["c"] == ["path", ["branch:to:last"]]


@pytest.mark.parametrize("run", FUNCTIONAL)
def test_tasks_of_the_functional_api_tell_what_they_wrote(seen: Seen, run: Way) -> None:
    @task
    def double(x: int) -> int:
        return 2 * x

    @entrypoint()
    def flow(x: int) -> int:
        return double(x).result() + double(x + 1).result()

    assert run(flow, 3) == 14
    found = list(zip(ended(seen), bodies(seen, "step_ended"), strict=True))
    assert [name for name, _ in found] == ["double", "double", "flow"]
    assert [body["@writes"] for _, body in found[:2]] == [[["__return__", 6]], [["__return__", 8]]]


def test_a_node_that_wrote_nothing_is_on_record_as_such(seen: Seen, run: Way) -> None:
    graph = graph_of("^>a")
    graph.add_node("quiet", lambda state: None)
    graph.add_edge("a", "quiet")
    run(graph.compile(), EMPTY)
    written = dict(zip(ended(seen), bodies(seen, "step_ended"), strict=True))
    assert written["quiet"]["@writes"] == [["__no_writes__"]]


def ended(seen: Seen) -> list[str]:
    return seen.store.scan(["name"], types=["step_ended"]).column("name").to_pylist()


# --- coming and going ---


def test_removed_the_classes_are_as_they_were() -> None:
    tap.remove()
    before = [dict(vars(kind)) for kind in CLASSES]
    store = SQLiteStore()
    ftnb.start(store)
    graph_of("^>a").compile().invoke(EMPTY)
    within = [dict(vars(kind)) for kind in CLASSES]
    ftnb.stop()
    store.close()
    assert within != before
    assert [dict(vars(kind)) for kind in CLASSES] == before


def test_where_the_canary_fails_callbacks_go_on_alone(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    tap.remove()
    before = [dict(vars(kind)) for kind in CLASSES]
    monkeypatch.setattr(_canary, "problem", lambda: "no checkpoints")
    store = SQLiteStore()
    ftnb.start(store)
    with caplog.at_level(logging.WARNING, "ftnb"):
        app = graph_of("^>a", "a>b").compile(checkpointer=InMemorySaver())
        app.invoke(EMPTY, thread())
        app.invoke(EMPTY, thread())
    assert [dict(vars(kind)) for kind in CLASSES] == before
    assert tree(ftnb.last().model) == ["a", "b < a:static", "a@2.1", "b@2.1 < a:static"]
    (warning,) = [record.getMessage() for record in caplog.records]
    assert "no checkpoints" in warning
    assert "cache" in warning
    ftnb.stop()
    store.close()


def test_where_a_namespace_does_not_tell_the_task_the_canary_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    tap.remove()
    tap._install()
    try:
        assert _canary.problem() is None
        monkeypatch.setattr(handler, "task_of", lambda space: space.partition(":")[0])
        assert _canary.problem() == "no task of a node"
    finally:
        tap.remove()


def test_a_method_that_is_gone_is_no_fault_of_the_run(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    tap.remove()
    monkeypatch.delattr(_loop.SyncPregelLoop, "match_cached_writes")
    monkeypatch.setattr(_loop.PregelLoop, "match_cached_writes", lambda self: (), raising=False)
    store = SQLiteStore()
    ftnb.start(store)
    assert graph_of("^>a").compile().invoke(EMPTY) == {"path": ["a"]}
    assert tree(ftnb.last().model) == ["a"]
    assert "cannot be looked into" in caplog.text
    ftnb.stop()
    store.close()


def test_a_fault_of_the_tap_is_counted_and_stays_inside(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: Any) -> Any:
        raise RuntimeError("ours")

    store = SQLiteStore()
    session = ftnb.start(store)
    app = graph_of("^>a", "a>b").compile(checkpointer=InMemorySaver())
    app.invoke(EMPTY, thread())
    monkeypatch.setattr(tap.events, "CHECKPOINT", property())
    monkeypatch.setattr(tap, "freeze", broken)
    assert app.invoke(EMPTY, thread("2")) == {"path": ["a", "b"]}
    assert app.update_state(thread("2"), {"path": ["x"]}, as_node="b")["configurable"]["checkpoint_id"]
    monkeypatch.undo()
    session.recorder.flush()
    assert session.stats().dropped["capture_error"] > 0
    ftnb.stop()
    store.close()


def test_the_trial_is_not_on_record_and_no_other_tracer_sees_it(seen: Seen) -> None:
    from contextvars import ContextVar

    from langchain_core.callbacks import BaseCallbackHandler
    from langchain_core.tracers import context

    class Other(BaseCallbackHandler):
        names: list[Any] = []  # noqa: RUF012

        def on_chain_start(self, *_: Any, name: Any = None, **__: Any) -> None:
            self.names.append(name)

    hooks = list(context._configure_hooks)
    other: ContextVar[Any] = ContextVar("other", default=Other())  # noqa: B039  (as tracers do)
    context.register_configure_hook(other, True)
    try:
        tap.remove()
        graph_of("^>a").compile(name="mine").invoke(EMPTY)
    finally:
        context._configure_hooks[:] = hooks
    assert Other.names == ["mine", "a"]
    assert tree(seen.one()) == ["a"]


# --- edits ---


def edits(steps: list[Step]) -> list[Any]:
    return [event.payload["updates"] for step in steps for event in step.events if event.subtype == "edit"]


@pytest.mark.parametrize("is_async", [False, True], ids=["update_state", "aupdate_state"])
def test_an_edit_of_the_state_is_on_record_and_the_next_run_goes_on(seen: Seen, is_async: bool) -> None:
    app = graph_of("^>a", "a>b").compile(checkpointer=InMemorySaver())
    app.invoke(EMPTY, thread())
    if is_async:
        asyncio.run(app.aupdate_state(thread(), {"path": ["edited"]}, as_node="a"))
    else:
        app.update_state(thread(), {"path": ["edited"]}, as_node="a")
    assert app.invoke(None, thread()) == {"path": ["a", "b", "edited", "b"]}
    engagement = seen.one()
    assert [(step.turn, step.name) for step in engagement.steps] == [(1, "a"), (1, "b"), (2, "b")]
    assert edits(engagement.steps) == [[{"values": {"path": ["edited"]}, "as_node": "a"}]]
    assert engagement.steps[2].checkpoint_id == engagement.steps[1].events[0].payload["checkpoint_id"]


def test_an_edit_of_an_older_state_leads_to_a_fork(seen: Seen) -> None:
    app = graph_of("^>a", "a>b").compile(checkpointer=InMemorySaver())
    app.invoke(EMPTY, thread())
    (before_b,) = [state.config for state in app.get_state_history(thread()) if state.next == ("b",)]
    forked = app.update_state(before_b, {"path": ["edited"]}, as_node="a")
    app.invoke(None, forked)
    app.invoke(EMPTY, thread())  # what LangGraph takes for the latest now is the fork's end
    origin, fork = seen.all()
    assert fork.parent_id == origin.id
    assert edits(origin.steps) == [[{"values": {"path": ["edited"]}, "as_node": "a"}]]
    assert tree(fork) == ["b", "a", "b@2.1 < a:static"]
