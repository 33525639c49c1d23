"""The callback handler: it sees every run of the process, and does next to nothing on the agent's thread.

Each callback puts one tuple on the recorder's queue (`_events`); what it means is worked out on the writer's thread
(`_assembler`). The rules that keep it cheap and harmless:

- `run_inline`: otherwise every callback of an async run is a hop to a thread pool and back.
- A plain BaseCallbackHandler: tracers copy states, and streaming handlers switch models to streaming.
- Nothing raised here reaches LangChain, which would log each one; it is counted by the recorder instead.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextvars import ContextVar
from time import perf_counter_ns
from types import FrameType
from typing import Any
from uuid import UUID

from ..core.freeze import freeze
from . import _events as events
from . import _place, tap
from ._call_handler import CallHandler
from ._capture import Capture
from ._events import CHAIN_END, CHAIN_START, GRAPH_END, NODE_START
from ._frames import facts_of, graph_frame, graph_start
from ._place import inner
from ._runs import is_called
from ._scope import SCOPE


class Handler(CallHandler):
    """Takes LangChain's callbacks for a `Capture`; None: takes nothing."""

    def attach(self, target: Capture | None) -> None:
        """Send events to `target` from now on."""
        self.target = target
        if target is None:
            self.graphs.clear()
            self._tasks.clear()
            self._first_tokens.clear()

    # --- graphs, nodes and chains ---

    def on_chain_start(
        self,
        serialized: dict[str, Any] | None,
        inputs: Any,
        *,
        run_id: UUID,
        parent_run_id: UUID | None = None,
        tags: list[str] | None = None,
        metadata: dict[str, Any] | None = None,
        name: str | None = None,
        run_type: str | None = None,
        **_: Any,
    ) -> None:
        """A graph, a node, a router or a part of a chain begins."""
        target = self.target
        if target is None:
            return
        try:
            perf = perf_counter_ns()
            about = metadata or _NOTHING
            if "langgraph_node" in about and parent_run_id is not None:
                for tag in tags or ():
                    if tag.startswith("graph:step:"):
                        self._node_start(target, perf, inputs, run_id, parent_run_id, about)
                        return
                # A task of the functional API has no such tag, but a path of its own kind.
                if is_called(about.get("langgraph_path") or ()):
                    self._follow(run_id, about)
                    shown, given = name or "chain", freeze(inputs)
                    target.put((CHAIN_START, perf, run_id, parent_run_id, shown, (), about, given, None, run_type))
                    return
            parent_run_id = inner(parent_run_id)
            if serialized is None:
                frame = graph_frame()
                if frame is not None or _looks_like_graph(about, parent_run_id):
                    start = graph_start(frame, inputs)
                    start.is_tapped = frame is not None and tap.ensure()
                    if frame is not None:
                        self.graphs[run_id.int] = frame
                    target.put((events.GRAPH_START, perf, run_id, parent_run_id, name or "LangGraph", about, start))
                    return
            scope = SCOPE.get() if parent_run_id is None else None
            if parent_run_id is None and scope is None:
                return  # a chain of its own, outside any graph
            shown = name or "chain"
            target.put((CHAIN_START, perf, run_id, parent_run_id, shown, tags, about, None, scope, run_type))
        except Exception as error:
            target.drop("on_chain_start", error)

    def _node_start(
        self, target: Capture, perf: int, inputs: Any, run_id: UUID, parent_run_id: UUID, about: Mapping[str, Any]
    ) -> None:
        """A node begins. Of its metadata only what is used lives on, and what it writes is looked at when it ends."""
        space, path = about.get("langgraph_checkpoint_ns"), about.get("langgraph_path")
        loop = self.graphs.get(parent_run_id.int)
        if loop is not None and loop.__class__ is not FrameType:
            try:
                self._tasks[run_id.int] = loop.tasks[space[-_TASK_ID:]]  # type: ignore[index]
            except (KeyError, TypeError, AttributeError):
                self._follow(run_id, about)
        state, is_late = freeze(inputs)
        node, superstep, triggers = (
            about["langgraph_node"],
            about.get("langgraph_step"),
            about.get("langgraph_triggers"),
        )
        target.put((NODE_START, perf, run_id, parent_run_id, node, space, superstep, path, triggers, state, is_late))

    def _follow(self, run_id: UUID, about: Mapping[str, Any]) -> None:
        """Find the task of a run whose parent does not tell the loop that has it: a node may call others."""
        task_id = task_of(str(about.get("langgraph_checkpoint_ns") or ""))
        for loop in list(self.graphs.values()):
            task = None if loop.__class__ is FrameType else getattr(loop, "tasks", {}).get(task_id)
            if task is not None:
                self._tasks[run_id.int] = task
                return

    def on_chain_end(
        self, outputs: Any, *, run_id: UUID, parent_run_id: Any = None, tags: Any = None, **_: Any
    ) -> None:
        """It ended."""
        target = self.target
        if target is None:
            return
        try:
            perf, number = perf_counter_ns(), run_id.int
            task = self._tasks.pop(number, None)
            if task is None and number in self.graphs:
                target.put((GRAPH_END, perf, run_id, facts_of(self.graphs.pop(number))))
                return
            output, is_late = freeze(outputs)
            target.put((CHAIN_END, perf, run_id, output, is_late, None if task is None else tuple(task.writes)))
        except Exception as error:
            target.drop("on_chain_end", error)

    def on_chain_error(
        self, error: BaseException, *, run_id: UUID, parent_run_id: UUID | None = None, **_: Any
    ) -> None:
        """It raised; LangGraph's control flow comes this way too."""
        target = self.target
        if target is None:
            return
        try:
            perf = perf_counter_ns()
            task = self._tasks.pop(run_id.int, None)
            if task is not None and parent_run_id is not None and type(error).__name__ == "ParentCommand":
                # The task goes on: what the command says is written after this.
                loop = self.graphs.get(parent_run_id.int)
                if loop is not None:
                    tap.look_after(loop, task.id)
            frame = self.graphs.pop(run_id.int, None)
            facts = None if frame is None else facts_of(frame)
            target.put((events.CHAIN_ERROR, perf, run_id, error, facts))
        except Exception as fault:
            target.drop("on_chain_error", fault)


AMBIENT = Handler()
"""The handler of whatever runs outside an explicit recorder; `session` points it at its recorder."""
AMBIENT.is_ambient = True

# A default, never `.set()` for the session: a set value is seen by one thread and one cell, a default by all.
HANDLER: ContextVar[Handler | None] = ContextVar("ftnb_handler", default=AMBIENT)
"""The handler that LangChain adds to the runs of this context."""
_place.handlers = HANDLER

_NOTHING: dict[str, Any] = {}
_TASK_ID = 36
"""Characters of a task's id, which ends its namespace: cheaper to cut off than to look for."""


def task_of(space: str) -> str:
    """The id of the task that a node runs in, by its namespace."""
    return space.rpartition(":")[2]


def _looks_like_graph(metadata: Mapping[str, Any], parent_run_id: UUID | None) -> bool:
    """Whether this is a graph although its frame was not recognised, as in an unknown version of LangGraph."""
    return parent_run_id is None and metadata.get("ls_integration") == "langgraph"
