"""Trying the tap on a graph of one node, whose run nobody records."""

from __future__ import annotations

from contextvars import copy_context
from typing import Any, TypedDict

from . import _events as events

_EXPECTED = {
    events.LOADED: "no loaded checkpoint",
    events.CHECKPOINT: "no checkpoints",
    events.WRITES: "no tasks of a superstep",
    events.CUSTOM: "no stream writes",
    events.EDITED: "no edits of the state",
}


class _State(TypedDict, total=False):
    x: int


class _Listener:
    """Stands in for a `Capture`."""

    def __init__(self) -> None:
        self.seen: list[tuple[Any, ...]] = []
        self.faults: list[str] = []

    def send(self, *event: Any) -> None:
        self.seen.append(event)

    def put(self, event: tuple[Any, ...]) -> None:
        self.seen.append(event)

    def drop(self, where: str, error: BaseException) -> None:
        self.faults.append(f"{where}: {type(error).__name__}: {error}")


def problem() -> str | None:
    """What the tap does not show, or breaks; None: it works."""
    return copy_context().run(_try)


def _try() -> str | None:
    from langgraph.checkpoint.memory import InMemorySaver
    from langgraph.config import get_config, get_stream_writer
    from langgraph.graph import StateGraph
    from langsmith.run_helpers import tracing_context

    from .handler import HANDLER, Handler, task_of

    _alone()
    listener = _Listener()
    deaf = _Deaf(Handler(listener))  # type: ignore[arg-type]
    HANDLER.set(deaf)  # type: ignore[arg-type]
    found: list[Any] = []

    def node(state: _State) -> _State:
        get_stream_writer()("tried")
        space = str(get_config()["metadata"].get("langgraph_checkpoint_ns"))
        found.extend(getattr(loop, "tasks", {}).get(task_of(space)) for loop in deaf.graphs.values())
        return {"x": state["x"] + 1}

    builder = StateGraph(_State)
    builder.add_node("node", node)
    builder.add_edge("__start__", "node")
    graph = builder.compile(checkpointer=InMemorySaver())
    config: Any = {"configurable": {"thread_id": "ftnb"}, "callbacks": []}
    with tracing_context(enabled=False):
        result = graph.invoke({"x": 1}, config)
        if result != {"x": 2}:
            return "a run gave another result"
        graph.update_state(config, {"x": 5})
    if listener.faults:
        return listener.faults[0]
    if [getattr(task, "name", None) for task in found] != ["node"]:
        return "no task of a node"
    kinds = {event[0] for event in listener.seen}
    return next((missing for kind, missing in _EXPECTED.items() if kind not in kinds), None)


def _alone() -> None:
    """Keep the trial to ourselves: no run around it, and no other tracer of this process."""
    from langchain_core.runnables.config import var_child_runnable_config
    from langchain_core.tracers import context

    var_child_runnable_config.set(None)
    for hook in context._configure_hooks:
        hook[0].set(None)


class _Loops(dict[int, Any]):
    """Takes the loop of every run: no callback tells which are graphs."""

    def __contains__(self, key: object) -> bool:
        return True


class _Deaf:
    """A handler for the tap alone: to LangChain it is none."""

    def __init__(self, handler: Any) -> None:
        self.target = handler.target
        self.graphs = _Loops()
        self.run_inline = True
        self.raise_error = False

    def __getattr__(self, name: str) -> Any:
        if name.startswith("ignore_"):
            return True
        raise AttributeError(name)
