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
from time import perf_counter_ns, time_ns
from types import FrameType
from typing import Any
from uuid import UUID

from langchain_core.callbacks import BaseCallbackHandler

from ..core.freeze import freeze
from . import _events as events
from ._capture import Capture
from ._frames import facts_of, graph_frame, graph_start
from ._runs import is_called
from ._scope import SCOPE


class Handler(BaseCallbackHandler):
    """Takes LangChain's callbacks for a `Capture`; None: takes nothing."""

    run_inline = True
    raise_error = False

    def __init__(self, target: Capture | None = None) -> None:
        self.target = target
        self._graphs: dict[UUID, FrameType] = {}
        """Frames of the graphs that run, to look at their loop when they end."""
        self._first_tokens: dict[UUID, int] = {}

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
            if not is_node and serialized is None:
                frame = graph_frame()
                if frame is not None or _looks_like_graph(about, parent_run_id):
                    start = graph_start(frame, inputs)
                    if frame is not None and "langgraph_node" not in about:
                        self._graphs[run_id] = frame
                    kind = events.GRAPH_START
                    event = (kind, perf, time_ns() // 1000, run_id, parent_run_id, name or "LangGraph", about, start)
                    target.submit(target.translate, event)
                    return
            scope = SCOPE.get() if parent_run_id is None else None
            if parent_run_id is None and scope is None:
                return  # a chain of its own, outside any graph
            state = freeze(inputs)[0] if is_node else None
            wall = time_ns() // 1000
            shown = name or "chain"
            target.submit(
                target.translate,
                (events.CHAIN_START, perf, wall, run_id, parent_run_id, shown, tags, about, state, scope, run_type),
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
            value = None if frame is not None else freeze(outputs)[0]
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

    # --- models ---

    def on_chat_model_start(
        self,
        serialized: dict[str, Any],
        messages: list[list[Any]],
        *,
        run_id: UUID,
        parent_run_id: UUID | None = None,
        metadata: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        """A chat model is called."""
        given = messages[0] if messages else []
        self._model_start(serialized, list(given), run_id, parent_run_id, metadata, kwargs)

    def on_llm_start(
        self,
        serialized: dict[str, Any],
        prompts: list[str],
        *,
        run_id: UUID,
        parent_run_id: UUID | None = None,
        metadata: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        """A text model is called."""
        self._model_start(serialized, prompts[0] if prompts else "", run_id, parent_run_id, metadata, kwargs)

    def _model_start(
        self,
        serialized: Mapping[str, Any] | None,
        given: Any,
        run_id: UUID,
        parent_run_id: UUID | None,
        metadata: Mapping[str, Any] | None,
        more: Mapping[str, Any],
    ) -> None:
        target = self.target
        if target is None:
            return
        try:
            perf = perf_counter_ns()
            scope = SCOPE.get() if parent_run_id is None else None
            if parent_run_id is None and scope is None:
                return
            name = more.get("name") or _name_of(serialized, "llm")
            parameters = freeze(more.get("invocation_params") or {})[0]
            wall, about = time_ns() // 1000, metadata or {}
            target.submit(
                target.translate,
                (events.LLM_START, perf, wall, run_id, parent_run_id, name, given, about, parameters, scope),
            )
        except Exception as error:
            target.drop("on_llm_start", error)

    def on_llm_new_token(self, token: Any, *, run_id: UUID, **_: Any) -> None:
        """A streamed token: only the time of the first one is kept."""
        if self.target is not None and run_id not in self._first_tokens:
            self._first_tokens[run_id] = perf_counter_ns()

    def on_llm_end(self, response: Any, *, run_id: UUID, **_: Any) -> None:
        """The model answered."""
        self._end(events.LLM_END, run_id, response, self._first_tokens.pop(run_id, None))

    def on_llm_error(self, error: BaseException, *, run_id: UUID, **_: Any) -> None:
        """The model failed."""
        self._end(events.LLM_ERROR, run_id, error, self._first_tokens.pop(run_id, None))

    # --- tools and retrievers ---

    def on_tool_start(
        self,
        serialized: dict[str, Any] | None,
        input_str: str,
        *,
        run_id: UUID,
        parent_run_id: UUID | None = None,
        inputs: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        """A tool is called."""
        arguments = input_str if inputs is None else inputs
        name = kwargs.get("name") or _name_of(serialized, "tool")
        self._tool_start(run_id, parent_run_id, name, arguments, kwargs.get("tool_call_id"), None)

    def on_retriever_start(
        self,
        serialized: dict[str, Any] | None,
        query: str,
        *,
        run_id: UUID,
        parent_run_id: UUID | None = None,
        **kwargs: Any,
    ) -> None:
        """A retriever is asked."""
        name = kwargs.get("name") or _name_of(serialized, "retriever")
        self._tool_start(run_id, parent_run_id, name, query, None, "retriever")

    def _tool_start(
        self, run_id: UUID, parent_run_id: UUID | None, name: str, given: Any, call_id: Any, subtype: str | None
    ) -> None:
        target = self.target
        if target is None:
            return
        try:
            perf = perf_counter_ns()
            scope = SCOPE.get() if parent_run_id is None else None
            if parent_run_id is None and scope is None:
                return
            wall, arguments = time_ns() // 1000, freeze(given)[0]
            target.submit(
                target.translate,
                (events.TOOL_START, perf, wall, run_id, parent_run_id, name, arguments, call_id, subtype, scope),
            )
        except Exception as error:
            target.drop("on_tool_start", error)

    def on_tool_end(self, output: Any, *, run_id: UUID, **_: Any) -> None:
        """The tool returned."""
        self._end(events.TOOL_END, run_id, output)

    def on_tool_error(self, error: BaseException, *, run_id: UUID, **_: Any) -> None:
        """The tool raised."""
        self._end(events.TOOL_ERROR, run_id, error)

    def on_retriever_end(self, documents: Sequence[Any], *, run_id: UUID, **_: Any) -> None:
        """The retriever answered."""
        self._end(events.TOOL_END, run_id, documents)

    def on_retriever_error(self, error: BaseException, *, run_id: UUID, **_: Any) -> None:
        """The retriever raised."""
        self._end(events.TOOL_ERROR, run_id, error)

    def _end(self, kind: int, run_id: UUID, value: Any, *more: Any) -> None:
        target = self.target
        if target is None:
            return
        try:
            perf = perf_counter_ns()
            target.submit(target.translate, (kind, perf, run_id, freeze(value)[0], *more))
        except Exception as error:
            target.drop("the end of a call", error)

    # --- custom events ---

    def on_custom_event(self, name: str, data: Any, *, run_id: UUID, **_: Any) -> None:
        """The user's code dispatched an event of its own."""
        target = self.target
        if target is None:
            return
        try:
            target.submit(target.translate, (events.CUSTOM, time_ns() // 1000, run_id, name, freeze(data)[0]))
        except Exception as error:
            target.drop("on_custom_event", error)


AMBIENT = Handler()
"""The handler of whatever runs outside an explicit recorder; `session` points it at its recorder."""

# A default, never `.set()` for the session: a set value is seen by one thread and one cell, a default by all.
HANDLER: ContextVar[Handler | None] = ContextVar("ftnb_handler", default=AMBIENT)
"""The handler that LangChain adds to the runs of this context."""


def _is_node(tags: Sequence[str] | None, metadata: Mapping[str, Any]) -> bool:
    for tag in tags or ():
        if tag.startswith("graph:step:"):
            return True
    # A task of the functional API has no such tag, but a path of its own kind.
    return is_called(metadata.get("langgraph_path") or ())


def _looks_like_graph(metadata: Mapping[str, Any], parent_run_id: UUID | None) -> bool:
    """Whether this is a graph although its frame was not recognised, as in an unknown version of LangGraph."""
    return parent_run_id is None and metadata.get("ls_integration") == "langgraph"


def _name_of(serialized: Mapping[str, Any] | None, default: str) -> str:
    if not serialized:
        return default
    name = serialized.get("name") or (serialized.get("id") or [default])[-1]
    return str(name)
