"""The callback handler: it sees every run of the process, and does next to nothing on the agent's thread.

Each callback puts one tuple on the recorder's queue (`_events`); what it means is worked out on the writer's thread
(`_assembler`). The rules that keep it cheap and harmless:

- `run_inline`: otherwise every callback of an async run is a hop to a thread pool and back.
- A plain BaseCallbackHandler: tracers copy states, and streaming handlers switch models to streaming.
- Nothing raised here reaches LangChain, which would log each one; it is counted by the recorder instead.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextvars import ContextVar
from time import perf_counter_ns
from typing import Any
from uuid import UUID

from ..core.freeze import freeze
from . import _events as events
from . import _place, tap
from ._call_handler import CallHandler
from ._capture import Capture
from ._events import CHAIN_END, CHAIN_START
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
            if metadata is not None and "langgraph_node" in metadata:
                kept = _node_tags(tags, metadata)
                if kept is not None:
                    scope = SCOPE.get() if parent_run_id is None else None
                    state, shown = freeze(inputs), name or "chain"
                    target.put(
                        (CHAIN_START, perf, run_id, parent_run_id, shown, kept, metadata, state, scope, run_type)
                    )
                    return
            about = metadata or {}
            parent_run_id = inner(parent_run_id)
            if serialized is None:
                frame = graph_frame()
                if frame is not None or _looks_like_graph(about, parent_run_id):
                    start = graph_start(frame, inputs)
                    start.is_tapped = frame is not None and tap.ensure()
                    if frame is not None and "langgraph_node" not in about:
                        self.graphs[run_id.int] = frame
                    name = name or "LangGraph"
                    event = (events.GRAPH_START, perf, run_id, parent_run_id, name, about, start)
                    target.put(event)
                    return
            scope = SCOPE.get() if parent_run_id is None else None
            if parent_run_id is None and scope is None:
                return  # a chain of its own, outside any graph
            shown = name or "chain"
            target.put(
                (CHAIN_START, perf, run_id, parent_run_id, shown, tags, about, None, scope, run_type),
            )
        except Exception as error:
            target.drop("on_chain_start", error)

    def on_chain_end(self, outputs: Any, *, run_id: UUID, **_: Any) -> None:
        """It ended."""
        target = self.target
        if target is None:
            return
        try:
            perf = perf_counter_ns()
            frame = self.graphs.pop(run_id.int, None)
            if frame is None:
                target.put((CHAIN_END, perf, run_id, freeze(outputs), None))
            else:
                target.put((CHAIN_END, perf, run_id, None, facts_of(frame)))
        except Exception as error:
            target.drop("on_chain_end", error)

    def on_chain_error(self, error: BaseException, *, run_id: UUID, **_: Any) -> None:
        """It raised; LangGraph's control flow comes this way too."""
        target = self.target
        if target is None:
            return
        try:
            perf = perf_counter_ns()
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


_NODE_TAGS = ("graph:step:",)
"""In the place of a node's own tags, of which nothing else is used: a list less that lives until it is written."""


def _node_tags(tags: Sequence[str] | None, metadata: Mapping[str, Any]) -> tuple[str, ...] | None:
    """What tells that a run is a node's own; None: it is not."""
    for tag in tags or ():
        if tag.startswith("graph:step:"):
            return _NODE_TAGS
    # A task of the functional API has no such tag, but a path of its own kind.
    return () if is_called(metadata.get("langgraph_path") or ()) else None


def _looks_like_graph(metadata: Mapping[str, Any], parent_run_id: UUID | None) -> bool:
    """Whether this is a graph although its frame was not recognised, as in an unknown version of LangGraph."""
    return parent_run_id is None and metadata.get("ls_integration") == "langgraph"
