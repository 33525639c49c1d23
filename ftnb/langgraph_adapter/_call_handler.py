"""The callbacks of models, tools, retrievers and custom events. See `handler` for the rules that hold here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from time import perf_counter_ns
from types import SimpleNamespace
from typing import Any
from uuid import UUID

from langchain_core.callbacks import BaseCallbackHandler

from ..core import _call_scope
from ..core.freeze import freeze
from . import _events as events
from ._capture import Capture
from ._place import ORIGIN, inner
from ._scope import SCOPE

_MODEL_FRAMES = frozenset(("_generate", "_agenerate", "_stream", "_astream"))
"""What LangChain's models are made of; between two chunks of their streams, none of it is on the stack."""


class CallHandler(BaseCallbackHandler):
    """Takes the callbacks of calls for a `Capture`; None: takes nothing."""

    run_inline = True
    raise_error = False
    # Attributes, where LangChain has properties that it asks before every callback.
    ignore_chain = False
    ignore_llm = False
    ignore_chat_model = False
    ignore_agent = False
    ignore_retriever = False
    ignore_custom_event = False
    is_ambient = False
    """It sees whatever runs outside an explicit recorder."""

    def __init__(self, target: Capture | None = None) -> None:
        self.target = target
        self.graphs: dict[int, Any] = {}
        """Of the graphs that run, to look at their loop when they end: the loop, or the frame that has it. By the
        number of their run's id, which has a hash in C."""
        self._tasks: dict[int, Any] = {}
        """By the same number, of the nodes that run: the task, which has what they write."""
        self._first_tokens: dict[UUID, int] = {}
        self._scopes: dict[UUID, _call_scope.CallScope] = {}
        """Of the calls of models under way, while somebody records those of SDKs too."""

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
        if self.target is None:
            return
        given = freeze(messages[0])[0] if messages else []
        self._model_start(serialized, given, run_id, parent_run_id, metadata, kwargs)

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
            scope = None
            parent_run_id = inner(ORIGIN.get() if parent_run_id is None else parent_run_id)
            if parent_run_id is None:
                scope = SCOPE.get()
                if scope is None and not self.graphs:
                    return  # a call of its own, while no graph runs
            name = more.get("name") or name_of(serialized, "llm")
            parameters = freeze(more.get("invocation_params") or {})
            if _call_scope.is_watched():
                self._scopes[run_id] = _call_scope.CallScope("langchain", frames=_MODEL_FRAMES).open()
            target.put(
                (events.LLM_START, perf, run_id, parent_run_id, name, given, metadata or {}, parameters, scope),
            )
        except Exception as error:
            target.drop("on_llm_start", error)

    def on_llm_new_token(self, token: Any, *, run_id: UUID, **_: Any) -> None:
        """A streamed token: only the time of the first one is kept."""
        if self.target is not None and run_id not in self._first_tokens:
            self._first_tokens[run_id] = perf_counter_ns()

    def on_llm_end(self, response: Any, *, run_id: UUID, parent_run_id: Any = None, tags: Any = None, **_: Any) -> None:
        """The model answered."""
        if self.target is not None:
            inner = self._inner(run_id) if self._scopes else ()
            self._end(events.LLM_END, run_id, _heard(response), self._first_token(run_id), *inner)

    def on_llm_error(self, error: BaseException, *, run_id: UUID, **_: Any) -> None:
        """The model failed."""
        self._end(events.LLM_ERROR, run_id, error, self._first_token(run_id), *self._inner(run_id))

    def _first_token(self, run_id: UUID) -> int | None:
        return self._first_tokens.pop(run_id, None) if self._first_tokens else None

    def _inner(self, run_id: UUID) -> tuple[list[Any], ...]:
        """What layers below saw of the call, if any did."""
        scope = self._scopes.pop(run_id, None) if self._scopes else None
        if scope is None:
            return ()
        scope.close()
        return (scope.inner,) if scope.inner else ()

    # --- tools and retrievers ---

    def on_tool_start(
        self,
        serialized: dict[str, Any] | None,
        input_str: str,
        *,
        run_id: UUID,
        parent_run_id: UUID | None = None,
        inputs: dict[str, Any] | None = None,
        name: str | None = None,
        tool_call_id: Any = None,
        tags: Any = None,
        metadata: Any = None,
        **_: Any,
    ) -> None:
        """A tool is called."""
        arguments = input_str if inputs is None else inputs
        self._tool_start(run_id, parent_run_id, name or name_of(serialized, "tool"), arguments, tool_call_id, None)

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
        name = kwargs.get("name") or name_of(serialized, "retriever")
        self._tool_start(run_id, parent_run_id, name, query, None, "retriever")

    def _tool_start(
        self, run_id: UUID, parent_run_id: UUID | None, name: str, given: Any, call_id: Any, subtype: str | None
    ) -> None:
        target = self.target
        if target is None:
            return
        try:
            perf = perf_counter_ns()
            scope = None
            parent_run_id = inner(ORIGIN.get() if parent_run_id is None else parent_run_id)
            if parent_run_id is None:
                scope = SCOPE.get()
                if scope is None and not self.graphs:
                    return
            arguments = freeze(given)
            target.put(
                (events.TOOL_START, perf, run_id, parent_run_id, name, arguments, call_id, subtype, scope),
            )
        except Exception as error:
            target.drop("on_tool_start", error)

    def on_tool_end(self, output: Any, *, run_id: UUID, parent_run_id: Any = None, tags: Any = None, **_: Any) -> None:
        """The tool returned."""
        target = self.target
        if target is None:
            return
        try:
            perf = perf_counter_ns()
            target.put((events.TOOL_END, perf, run_id, freeze(output)))
        except Exception as error:
            target.drop("on_tool_end", error)

    def on_tool_error(self, error: BaseException, *, run_id: UUID, **_: Any) -> None:
        """The tool raised."""
        self._end(events.TOOL_ERROR, run_id, error)

    def on_retriever_end(self, documents: Sequence[Any], *, run_id: UUID, **_: Any) -> None:
        """The retriever answered."""
        self._end(events.TOOL_END, run_id, freeze(documents))

    def on_retriever_error(self, error: BaseException, *, run_id: UUID, **_: Any) -> None:
        """The retriever raised."""
        self._end(events.TOOL_ERROR, run_id, error)

    def _end(self, kind: int, run_id: UUID, value: Any, *more: Any) -> None:
        target = self.target
        if target is None:
            return
        try:
            perf = perf_counter_ns()
            target.put((kind, perf, run_id, value, *more))
        except Exception as error:
            target.drop("the end of a call", error)

    # --- custom events ---

    def on_custom_event(self, name: str, data: Any, *, run_id: UUID, **_: Any) -> None:
        """The user's code dispatched an event of its own."""
        target = self.target
        if target is None:
            return
        try:
            target.put((events.CUSTOM, perf_counter_ns(), run_id, name, freeze(data), "custom"))
        except Exception as error:
            target.drop("on_custom_event", error)


def _heard(response: Any) -> Any:
    """A model's result with its messages as they are now: what a caller gets of it, and may change, is a message."""
    try:
        said = []
        for batch in response.generations:
            for one in batch:
                message = getattr(one, "message", None)
                if message is not None:
                    message = freeze(message)[0]
                    one = SimpleNamespace(message=message, generation_info=one.generation_info, text=one.text)
                said.append(one)
        return SimpleNamespace(generations=(said,), llm_output=response.llm_output)
    except Exception:
        return response


def name_of(serialized: Mapping[str, Any] | None, default: str) -> str:
    """What LangChain says that a model or tool is called."""
    if not serialized:
        return default
    name = serialized.get("name") or (serialized.get("id") or [default])[-1]
    return str(name)
