"""One call, one event: who of several that see a call of a model records it.

LangChain's callbacks, LiteLLM, an SDK and an OpenTelemetry span may all see the same call, one inside the other. The
outermost records it. It says so in a context variable for as long as the call lasts; whoever sees a call inside it
(`outer()` is not None) records nothing and leaves what it knows from the wire with the outer one (`tell`), which takes
from it what it lacks itself: usage, the model that answered, retries, the time to the first token.

    scope = outer()
    if scope is not None:
        …                                  # at the end of the call: scope.tell(facts)
    else:
        with claim("my layer") as mine:
            …                              # the call; then mine.inner holds what layers inside told

Who cannot hold a block open around the call (callbacks, span processors) uses `CallScope.open()` and `close()`; `close`
may come from any thread or task. Who can only tell at the end whether what it saw was a call of a model opens its scope
with `is_firm=False`: calls inside it are recorded as if it were not there, and it finds them in `inner`.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from types import FrameType
from typing import Any

_MAX_FRAMES = 200
_n_watching = 0


class CallScope:
    """A call of a model that some layer sees from its beginning to its end."""

    __slots__ = ("frames", "inner", "is_firm", "is_open", "layer", "outer")

    def __init__(self, layer: str, *, is_firm: bool = True, frames: frozenset[str] = frozenset()) -> None:
        """`frames`: the scope counts only while a function of one of these names is on the stack.

        A callback's context variable outlives what it stands for: between two chunks of a stream, the user's own code
        runs in the same context. The stack tells the two apart.
        """
        self.layer = layer
        self.is_firm = is_firm
        self.is_open = True
        self.frames = frames
        self.inner: list[Any] = []
        """What layers inside told, in order."""
        self.outer: CallScope | None = None

    def open(self) -> CallScope:
        """Make this the scope of the code that runs from here on in this context."""
        self.outer = _innermost()
        CALL.set(self)
        return self

    def close(self) -> None:
        """The call is over. From another context than `open` the variable stays set, and counts for nothing."""
        self.is_open = False
        if CALL.get() is self:
            CALL.set(self.outer)

    def tell(self, facts: Any) -> None:
        """A layer inside has seen the same call."""
        self.inner.append(facts)


CALL: ContextVar[CallScope | None] = ContextVar("ftnb_call", default=None)
"""The scope that was opened last in this context; it may be closed by now."""


def outer() -> CallScope | None:
    """The call that an outer layer is recording here; None: nobody does. Softer scopes on the way are told of it too.

    With a soft scope around, whoever records tells it: `for soft in softer(): soft.tell(facts)`.
    """
    scope = CALL.get()
    while scope is not None:
        if scope.is_open and scope.is_firm and (not scope.frames or _on_stack(scope.frames)):
            return scope
        scope = scope.outer
    return None


def softer() -> Iterator[CallScope]:
    """The open scopes around this code that are not firm, the innermost first."""
    scope = CALL.get()
    while scope is not None:
        if scope.is_open and not scope.is_firm:
            yield scope
        scope = scope.outer


@contextmanager
def claim(layer: str, *, is_firm: bool = True) -> Iterator[CallScope]:
    """For the length of the block, calls of models are this layer's to record."""
    scope = CallScope(layer, is_firm=is_firm)
    scope.outer = _innermost()
    token = CALL.set(scope)
    try:
        yield scope
    finally:
        scope.is_open = False
        try:
            CALL.reset(token)
        except ValueError:  # the block ends in another context, as one in an async generator may
            pass


def watch() -> None:
    """Somebody below LangChain records calls from now on, so LangChain's callbacks open scopes. Pair with `unwatch`."""
    global _n_watching
    _n_watching += 1


def unwatch() -> None:
    """One of those stopped."""
    global _n_watching
    _n_watching = max(_n_watching - 1, 0)


def is_watched() -> bool:
    """Whether anybody below LangChain's callbacks records calls."""
    return _n_watching > 0


def _innermost() -> CallScope | None:
    """The innermost open scope; closed ones are let go, so that no chain of them grows."""
    scope = CALL.get()
    while scope is not None and not scope.is_open:
        scope = scope.outer
    return scope


def _on_stack(names: frozenset[str]) -> bool:
    frame: FrameType | None = sys._getframe(2)
    for _ in range(_MAX_FRAMES):
        if frame is None:
            return False
        if frame.f_code.co_name in names:
            return True
        frame = frame.f_back
    return False
