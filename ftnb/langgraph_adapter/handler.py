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
            self._graphs.clear()
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
            about = metadata or {}
            is_node = "langgraph_node" in about and _is_node(tags, about)
            if not is_node:
                parent_run_id = inner(parent_run_id)
            if not is_node and serialized is None:
                frame = graph_frame()
                if frame is not None or _looks_like_graph(about, parent_run_id):
                    start = graph_start(frame, inputs)
                    start.is_tapped = frame is not None and tap.ensure()
                    if frame is not None and "langgraph_node" not in about:
                        self._graphs[run_id] = frame
                    name = name or "LangGraph"
                    event = (events.GRAPH_START, perf, run_id, parent_run_id, name, about, start)
                    target.submit(target.translate, event)
                    return
            scope = SCOPE.get() if parent_run_id is None else None
            if parent_run_id is None and scope is None:
                return  # a chain of its own, outside any graph
            state = freeze(inputs) if is_node else None
            shown = name or "chain"
            target.submit(
                target.translate,
                (events.CHAIN_START, perf, run_id, parent_run_id, shown, tags, about, state, scope, run_type),
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
            frame = self._graphs.pop(run_id, None)
            facts = None if frame is None else facts_of(frame)
            value = None if frame is not None else freeze(outputs)
            target.submit(target.translate, (events.CHAIN_END, perf, run_id, value, facts))
        except Exception as error:
            target.drop("on_chain_end", error)

    def on_chain_error(self, error: BaseException, *, run_id: UUID, **_: Any) -> None:
        """It raised; LangGraph's control flow comes this way too."""
        target = self.target
        if target is None:
            return
        try:
            perf = perf_counter_ns()
            frame = self._graphs.pop(run_id, None)
            facts = None if frame is None else facts_of(frame)
            target.submit(target.translate, (events.CHAIN_ERROR, perf, run_id, error, facts))
        except Exception as fault:
            target.drop("on_chain_error", fault)


AMBIENT = Handler()
"""The handler of whatever runs outside an explicit recorder; `session` points it at its recorder."""
AMBIENT.is_ambient = True

# A default, never `.set()` for the session: a set value is seen by one thread and one cell, a default by all.
HANDLER: ContextVar[Handler | None] = ContextVar("ftnb_handler", default=AMBIENT)
"""The handler that LangChain adds to the runs of this context."""
_place.handlers = HANDLER


def _is_node(tags: Sequence[str] | None, metadata: Mapping[str, Any]) -> bool:
    for tag in tags or ():
        if tag.startswith("graph:step:"):
            return True
    # A task of the functional API has no such tag, but a path of its own kind.
    return is_called(metadata.get("langgraph_path") or ())


def _looks_like_graph(metadata: Mapping[str, Any], parent_run_id: UUID | None) -> bool:
    """Whether this is a graph although its frame was not recognised, as in an unknown version of LangGraph."""
    return parent_run_id is None and metadata.get("ls_integration") == "langgraph"
