"""Standing between a replayed node and the models and tools that it calls.

While a replay runs, LangChain's base classes ask its cassette first. They are wrapped only for that time, look at a
context variable, and pass on what belongs to nobody's replay: agents that run beside it notice nothing.
"""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

from ..core.model import TokenUsage
from ..langgraph_adapter import calls
from ..langgraph_adapter.handler import AMBIENT, HANDLER
from ..sdk import _registry
from . import _as_models, _as_threads, _as_tools
from ._cassette import Cassette, Entry
from ._context import CASSETTE, node_here, raise_recorded

_lock = threading.Lock()
_users = 0
_wrapped: list[tuple[type, str, Any, Any]] = []


@contextmanager
def serving(cassette: Cassette) -> Iterator[Cassette]:
    """Calls of models and tools in this context are answered by `cassette`, as far as it will."""
    _acquire()
    token, answers = CASSETTE.set(cassette), calls.ANSWERS.set(_Answers(cassette))
    handler = HANDLER.get()
    if handler is not None and handler is not AMBIENT:
        handler.cassette = cassette  # type: ignore[attr-defined]
    try:
        yield cassette
    finally:
        calls.ANSWERS.reset(answers)
        CASSETTE.reset(token)
        _release()


class _Answers:
    """What a workflow of ours asks, for it calls models and tools that are not LangChain's."""

    def __init__(self, cassette: Cassette) -> None:
        self._cassette = cassette

    def model(self, messages: Any, parameters: Mapping[str, Any]) -> tuple[dict[str, Any], TokenUsage, str] | None:
        """See `calls.Answers`."""
        node = node_here()
        if self._cassette.asks_below(node):
            return None
        entry = self._cassette.ask_model(messages, parameters, node)
        if entry is None:
            return None
        raise_recorded(entry)
        call = entry.call
        prompt, completion, total = call.tokens or (0, 0, 0)
        response = (self._cassette.recorded.value(call.payload) or {}).get("response") or {}
        tokens = TokenUsage(prompt=prompt, completion=completion, total=total)
        return response, tokens, call.model or call.name

    def sdk(self, asked: calls.SdkCall) -> calls.Given | None:
        """See `calls.Answers`."""
        entry = self._cassette.ask_sdk(asked, node_here())
        return None if entry is None else self._given(entry)

    def _given(self, entry: Entry) -> calls.Given:
        call, payload = entry.call, self._cassette.recorded.value(entry.call.payload) or {}
        raw = payload.get("raw") or {}
        error = None if call.error is None else (call.error_type or "Exception", call.error)
        cut = payload.get("stream") and f"the recorded stream of {call.model or call.name} was {payload['stream']}"
        return calls.Given(raw.get("reply"), raw.get("status"), error, raw.get("error"), cut or None)

    def knows(self, api: str) -> bool:
        """See `calls.Answers`."""
        return self._cassette.knows(api)

    def instead(self, provider: str) -> str | None:
        """See `calls.Answers`."""
        return self._cassette.instead(provider)

    def tool(self, tool: Any, name: str, arguments: Any) -> tuple[Any] | None:
        """See `calls.Answers`."""
        entry = self._cassette.ask_tool(tool, name, arguments, node_here())
        return None if entry is None else (_as_tools.output_of(entry, tool, None),)


def _acquire() -> None:
    global _users
    with _lock:
        _users += 1
        if _users == 1:
            _install()
            _registry.hold()


def _release() -> None:
    global _users
    with _lock:
        _users -= 1
        if _users:
            return
        _registry.release()
        while _wrapped:
            owner, name, original, ours = _wrapped.pop()
            if owner.__dict__.get(name) is ours:  # else somebody has wrapped it since, and ours only passes on
                setattr(owner, name, original)


def _install() -> None:
    from langchain_core.language_models import BaseChatModel
    from langchain_core.retrievers import BaseRetriever
    from langchain_core.tools import BaseTool

    _wrap(BaseChatModel, "_generate_with_cache", _as_models.generate)
    _wrap(BaseChatModel, "_agenerate_with_cache", _as_models.agenerate)
    _wrap(BaseChatModel, "generate", _as_models.swapping)
    _wrap(BaseChatModel, "agenerate", _as_models.swapping)
    _wrap(BaseChatModel, "stream", _as_models.stream)
    _wrap(BaseChatModel, "astream", _as_models.astream)
    _wrap(BaseTool, "run", _as_tools.run)
    _wrap(BaseTool, "arun", _as_tools.arun)
    _wrap(BaseRetriever, "invoke", _as_tools.retrieve)
    _wrap(BaseRetriever, "ainvoke", _as_tools.aretrieve)
    _wrap(ThreadPoolExecutor, "submit", _as_threads.submit)
    _wrap(threading.Thread, "start", _as_threads.start)


def _wrap(owner: Any, name: str, make: Callable[[Any], Any]) -> None:
    original = owner.__dict__[name]
    ours = functools.wraps(original)(make(original))
    setattr(owner, name, ours)
    _wrapped.append((owner, name, original, ours))
