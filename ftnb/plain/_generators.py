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
    """One run of a generator's body: `with body:` around each piece of it. What ends the body ends the step."""

    def __init__(self, step: Step) -> None:
        self._step = step
        self._inside: tuple[Place | None, Scope | None] | None = None
        self._outside: tuple[Place | None, Scope | None] = None, None
        self._items: list[Any] = []
        self._n_more = 0

    def __enter__(self) -> None:
        self._outside = PLACE.get(), SCOPE.get()
        if self._inside is None:
            self._step.begin()
        else:
            PLACE.set(self._inside[0])
            SCOPE.set(self._inside[1])

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if error is None:
            self._inside = PLACE.get(), SCOPE.get()
        elif isinstance(error, (StopIteration, StopAsyncIteration)):
            self._end(None, getattr(error, "value", None))
        else:
            self._end(error, None)
        PLACE.set(self._outside[0])
        SCOPE.set(self._outside[1])

    def took(self, item: Any) -> None:
        """It yielded `item`."""
        if len(self._items) < MAX_ITEMS:
            self._items.append(item)
        else:
            self._n_more += 1

    def _end(self, error: BaseException | None, returned: Any) -> None:
        if self._n_more:
            self._step.log("items left out", {"n_kept": len(self._items), "n_left_out": self._n_more})
        self._step.output = self._items if returned is None else {"items": self._items, "returned": returned}
        self._step.end(error)


def generator(function: Any, fresh: Fresh) -> Any:
    """`function`, a generator function, with a step for each generator that it makes."""

    def call(*args: Any, **kwargs: Any) -> Generator[Any, Any, Any]:
        made = function(*args, **kwargs)
        if _place.target() is None:
            return (yield from made)
        body = _Body(fresh(args, kwargs))
        ask: Callable[[], Any] = made.__next__
        while True:
            try:
                with body:
                    item = ask()
            except StopIteration as stop:
                return stop.value
            body.took(item)
            try:
                sent = yield item
            except GeneratorExit as left:
                with body:
                    made.close()
                    raise left
            except BaseException as thrown:
                ask = _thrower(made.throw, thrown)
            else:
                ask = made.__next__ if sent is None else _sender(made.send, sent)

    return call


def async_generator(function: Any, fresh: Fresh) -> Any:
    """`function`, an async generator function, with a step for each generator that it makes."""

    async def call(*args: Any, **kwargs: Any) -> AsyncGenerator[Any, Any]:
        made = function(*args, **kwargs)
        body = _Body(fresh(args, kwargs)) if _place.target() is not None else None
        ask: Callable[[], Any] = made.__anext__
        while True:
            try:
                if body is None:
                    item = await ask()
                else:
                    with body:
                        item = await ask()
            except StopAsyncIteration:
                return
            if body is not None:
                body.took(item)
            try:
                sent = yield item
            except GeneratorExit as left:
                if body is None:
                    await made.aclose()
                    raise
                with body:
                    await made.aclose()
                    raise left
            except BaseException as thrown:
                ask = _thrower(made.athrow, thrown)
            else:
                ask = made.__anext__ if sent is None else _sender(made.asend, sent)

    return call


def _sender(send: Callable[[Any], Any], value: Any) -> Callable[[], Any]:
    return lambda: send(value)


def _thrower(throw: Callable[[BaseException], Any], error: BaseException) -> Callable[[], Any]:
    return lambda: throw(error)
