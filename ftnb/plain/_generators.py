"""Generators that are steps: the step begins with the first item asked for, and ends with the generator.

The body runs in whatever context asks for the next item, so the step is the place of the running code only while the
body runs, and what the consumer does between two items is not inside it.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Generator
from typing import Any

from ..langgraph_adapter import _place
from ..langgraph_adapter._place import PLACE, Place
from ..langgraph_adapter._scope import SCOPE, Scope
from ._step import Step

MAX_ITEMS = 1_000
"""Items kept of what a generator yields; the rest is counted."""

Fresh = Callable[[tuple[Any, ...], dict[str, Any]], Step]


class _Body:
    """One run of a generator's body: `enter` before each piece of it, `leave` after it, `end` after the last.

    A context variable is set only where it would change: that costs more than looking.
    """

    __slots__ = ("_items", "_n_more", "_place", "_place_outside", "_scope", "_scope_outside", "_step")

    def __init__(self, step: Step) -> None:
        self._step = step
        self._place: Place | None = None
        self._scope: Scope | None = None
        self._place_outside: Place | None = None
        self._scope_outside: Scope | None = None
        self._items: list[Any] = []
        self._n_more = 0

    def enter(self) -> None:
        """The body goes on, for the first time or again."""
        place, scope = self._place_outside, self._scope_outside = PLACE.get(), SCOPE.get()
        if self._step.is_new:
            self._step.begin()
            return
        if place is not self._place:
            PLACE.set(self._place)
        if scope is not self._scope:
            SCOPE.set(self._scope)

    def leave(self, item: Any) -> None:
        """It yielded `item`."""
        self._place, self._scope = PLACE.get(), SCOPE.get()
        self._go_back(self._place, self._scope)
        if len(self._items) < MAX_ITEMS:
            self._items.append(item)
        else:
            self._n_more += 1

    def end(self, error: BaseException | None, returned: Any = None) -> None:
        """It returned, or raised."""
        if self._n_more:
            self._step.log("items left out", {"n_kept": len(self._items), "n_left_out": self._n_more})
        self._step.output = self._items if returned is None else {"items": self._items, "returned": returned}
        self._step.end(error)
        self._go_back(PLACE.get(), SCOPE.get())

    def _go_back(self, place: Place | None, scope: Scope | None) -> None:
        if place is not self._place_outside:
            PLACE.set(self._place_outside)
        if scope is not self._scope_outside:
            SCOPE.set(self._scope_outside)


def generator(function: Any, fresh: Fresh) -> Any:
    """`function`, a generator function, with a step for each generator that it makes."""

    def call(*args: Any, **kwargs: Any) -> Generator[Any, Any, Any]:
        made = function(*args, **kwargs)
        if _place.target() is None:
            return (yield from made)
        body = _Body(fresh(args, kwargs))
        ask: Callable[[], Any] = made.__next__
        while True:
            body.enter()
            try:
                item = ask()
            except StopIteration as stop:
                body.end(None, stop.value)
                return stop.value
            except BaseException as error:
                body.end(error)
                raise
            body.leave(item)
            try:
                sent = yield item
            except GeneratorExit as left:
                body.enter()
                try:
                    made.close()
                except BaseException as error:
                    body.end(error)
                    raise
                body.end(left)
                raise
            except BaseException as thrown:
                ask = _thrower(made.throw, thrown)
            else:
                ask = made.__next__ if sent is None else _sender(made.send, sent)

    return call


def async_generator(function: Any, fresh: Fresh) -> Any:
    """`function`, an async generator function, with a step for each generator that it makes."""

    async def call(*args: Any, **kwargs: Any) -> AsyncGenerator[Any, Any]:
        made = function(*args, **kwargs)
        body = _Body(fresh(args, kwargs)) if _place.target() is not None else _NoBody()
        ask: Callable[[], Any] = made.__anext__
        while True:
            body.enter()
            try:
                item = await ask()
            except StopAsyncIteration:
                body.end(None)
                return
            except BaseException as error:
                body.end(error)
                raise
            body.leave(item)
            try:
                sent = yield item
            except GeneratorExit as left:
                body.enter()
                try:
                    await made.aclose()
                except BaseException as error:
                    body.end(error)
                    raise
                body.end(left)
                raise
            except BaseException as thrown:
                ask = _thrower(made.athrow, thrown)
            else:
                ask = made.__anext__ if sent is None else _sender(made.asend, sent)

    return call


class _NoBody:
    """A run of which nothing is recorded."""

    def enter(self) -> None: ...
    def leave(self, item: Any) -> None: ...
    def end(self, error: BaseException | None) -> None: ...


def _sender(send: Callable[[Any], Any], value: Any) -> Callable[[], Any]:
    return lambda: send(value)


def _thrower(throw: Callable[[BaseException], Any], error: BaseException) -> Callable[[], Any]:
    return lambda: throw(error)
