"""Recording a model or tool call that no callback tells of, from inside a node.

A call made here becomes the parent of whatever LangChain runs inside it, so that one call is one event: a model that
the call merely wraps is the event, and this one only adds what it knows.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from time import perf_counter_ns
from typing import Any, NamedTuple, Protocol
from uuid import UUID, uuid4

from ..core.freeze import freeze
from ..core.model import TokenUsage
from ..store.draft import tokens_of
from . import _events as events
from ._capture import Capture
from ._llm import Answer


class Answers(Protocol):
    """Who answers calls from a record while a replay runs. Each may raise, which refuses the call."""

    def model(self, messages: Any, parameters: Mapping[str, Any]) -> tuple[dict[str, Any], TokenUsage, str] | None:
        """The recorded response, its tokens and its model; None: the model is to be called."""

    def tool(self, tool: Any, name: str, arguments: Any) -> tuple[Any] | None:
        """The recorded result, in a tuple; None: the tool is to be called."""

    def sdk(self, asked: SdkCall) -> Given | None:
        """What a provider answered to a call through its SDK; None: it is to be called. Nobody above it was asked."""

    def knows(self, api: str) -> bool:
        """Whether calls of that operation are on record at all."""

    def instead(self, provider: str) -> str | None:
        """The model that is to be called in the place of each; None: the one that is asked for."""


class SdkCall(NamedTuple):
    """A call through a provider's SDK, as it is recorded."""

    api: str
    """As `openai.chat.completions`."""
    provider: str
    model: str | None
    messages: Any
    parameters: Mapping[str, Any]


class Given(NamedTuple):
    """A provider's recorded answer."""

    reply: Mapping[str, Any] | None
    """In the provider's own form; None: there was none."""
    status: int | None
    """HTTP status of an error."""
    error: tuple[str, str] | None
    """Class and message of what the SDK raised."""
    sent: Mapping[str, Any] | None
    """The error that the provider sent as a part of its answer; it is `error`, too."""
    cut: str | None
    """Why its end is not known: whoever reads so far is told; None: it is whole."""


ANSWERS: ContextVar[Answers | None] = ContextVar("ftnb_answers", default=None)


class Call:
    """One call under way; it does nothing where nothing is recorded."""

    def __init__(self, target: Capture | None, config: Mapping[str, Any], run_id: UUID) -> None:
        self._target = target
        self._config = config
        self._run_id = run_id
        self._first_token: int | None = None

    @contextmanager
    def inside(self) -> Iterator[None]:
        """Runs of LangChain that begin in this context lie inside the call."""
        callbacks: Any = self._config.get("callbacks")
        if self._target is None or not hasattr(callbacks, "parent_run_id"):
            yield
            return
        from langchain_core.runnables.config import var_child_runnable_config

        inner = callbacks.copy()
        inner.parent_run_id = self._run_id
        config: Any = {**self._config, "callbacks": inner}
        token = var_child_runnable_config.set(config)
        try:
            yield
        finally:
            var_child_runnable_config.reset(token)

    def token(self) -> None:
        """A streamed token arrived; only the first one's time is kept."""
        if self._first_token is None:
            self._first_token = perf_counter_ns()

    def answered(self, response: Any, tokens: TokenUsage | None, model: str | None) -> None:
        """The model answered."""
        answer = Answer(freeze(response)[0], tokens_of(tokens), model)
        self._send(events.LLM_END, perf_counter_ns(), self._run_id, answer, self._first_token)

    def returned(self, result: Any) -> None:
        """The tool returned."""
        self._send(events.TOOL_END, perf_counter_ns(), self._run_id, freeze(result))

    def failed(self, error: BaseException, *, is_tool: bool = False) -> None:
        """The call raised, or is given up."""
        if is_tool:
            self._send(events.TOOL_ERROR, perf_counter_ns(), self._run_id, error)
        else:
            self._send(events.LLM_ERROR, perf_counter_ns(), self._run_id, error, self._first_token)

    def _send(self, *event: Any) -> None:
        if self._target is not None:
            self._target.send(*event)


UNSEEN = Call(None, {}, UUID(int=0))
"""A call of which nothing is recorded here."""


def llm_call(name: str, messages: Sequence[Any] | str, parameters: Mapping[str, Any]) -> Call:
    """A model is called by the node that runs now."""
    target, config, parent = _here()
    call = Call(target, config, uuid4())
    if target is not None:
        given = messages if isinstance(messages, str) else list(messages)
        settings, perf = freeze(dict(parameters)), perf_counter_ns()
        target.send(events.LLM_START, perf, call._run_id, parent, name, given, {}, settings, None)
    return call


def tool_call(name: str, arguments: Any, call_id: str | None) -> Call:
    """A tool is called by the node that runs now."""
    target, config, parent = _here()
    call = Call(target, config, uuid4())
    if target is not None:
        given, perf = freeze(arguments), perf_counter_ns()
        target.send(events.TOOL_START, perf, call._run_id, parent, name, given, call_id, None, None)
    return call


def log(name: str, data: Mapping[str, Any]) -> None:
    """The node that runs now has something to tell."""
    target, _, parent = _here()
    if target is not None:
        target.send(events.CUSTOM, perf_counter_ns(), parent, name, freeze(dict(data)), "custom")


def _here() -> tuple[Capture | None, Mapping[str, Any], UUID | None]:
    """Who records, and the run of the node in which this is called; no recorder where there is none."""
    from langchain_core.runnables.config import var_child_runnable_config

    from .handler import HANDLER

    handler, config = HANDLER.get(), var_child_runnable_config.get() or {}
    parent = getattr(config.get("callbacks"), "parent_run_id", None)
    target = None if handler is None or parent is None else handler.target
    return target, config, parent
