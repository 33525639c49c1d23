"""Threads that a replayed node begins belong to its replay: what they ask is answered from its record.

A thread begins without the context variables of the code that begins it. Those of the replay are carried over, and no
others.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from contextvars import ContextVar, Token
from typing import Any

from ..langgraph_adapter import calls
from ..langgraph_adapter.handler import HANDLER
from ._context import CASSETTE, NODE, node_here


def submit(original: Any) -> Any:
    """For `ThreadPoolExecutor.submit`."""

    def submit(self: Any, fn: Any, /, *args: Any, **kwargs: Any) -> Any:
        carry = _carrier()
        return original(self, fn if carry is None else functools.partial(carry, fn), *args, **kwargs)

    return submit


def start(original: Any) -> Any:
    """For `Thread.start`. Threads of pools are left out: they outlive the replay, and get their work by `submit`."""

    def start(self: Any) -> Any:
        carry = None if getattr(self, "_target", None) is _worker() else _carrier()
        if carry is not None:
            self.run = functools.partial(carry, self.run)
        return original(self)

    return start


def _worker() -> Any:
    from concurrent.futures import thread

    return getattr(thread, "_worker", None)


def _carrier() -> Callable[..., Any] | None:
    """What calls a function in the replay of the running code; None: it belongs to none."""
    cassette = CASSETTE.get()
    if cassette is None:
        return None
    answers, handler, node = calls.ANSWERS.get(), HANDLER.get(), node_here()

    def carry(fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
        tokens: list[tuple[ContextVar[Any], Token[Any]]] = [
            (CASSETTE, CASSETTE.set(cassette)), (calls.ANSWERS, calls.ANSWERS.set(answers)),
            (HANDLER, HANDLER.set(handler)), (NODE, NODE.set(node)),
        ]  # fmt: skip
        try:
            return fn(*args, **kwargs)
        finally:
            for variable, token in tokens:
                variable.reset(token)

    return carry
