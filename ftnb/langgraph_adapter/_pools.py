"""Calls made in a thread pool keep their step.

`ThreadPoolExecutor.submit` does not carry context variables along, and so LangChain sees a call in a worker thread as
one of its own. While recording is on, work that a step hands to a pool carries the node's run id and the place of plain
code, and only these: carrying LangChain's own config would change what the user's streams show.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from . import _place
from ._place import ORIGIN, PLACE
from ._scope import SCOPE

_original: Any = None
_tapped: Any = None


def install() -> None:
    """Wrap `ThreadPoolExecutor.submit`. Twice is fine."""
    global _original, _tapped
    if _original is None:
        _original = ThreadPoolExecutor.__dict__["submit"]
        _tapped = functools.wraps(_original)(_make(_original))
        ThreadPoolExecutor.submit = _tapped  # type: ignore[method-assign]


def remove() -> None:
    """Put back what was there, unless somebody has wrapped it since; ours only passes on without a run to carry."""
    global _original
    if _original is not None and ThreadPoolExecutor.__dict__.get("submit") is _tapped:
        ThreadPoolExecutor.submit = _original  # type: ignore[method-assign]
        _original = None


def _make(original: Any) -> Any:
    def submit(self: Any, fn: Any, /, *args: Any, **kwargs: Any) -> Any:
        place, origin = PLACE.get(), _place.run_around()
        if (place is not None or origin is not None) and _place.target() is not None:
            handler = None if _place.handlers is None else _place.handlers.get()
            fn = functools.partial(_carried, fn, origin, handler, place, SCOPE.get())
        return original(self, fn, *args, **kwargs)

    return submit


def _carried(
    fn: Callable[..., Any], origin: Any, handler: Any, place: Any, scope: Any, /, *args: Any, **kwargs: Any
) -> Any:
    places, origins, scopes = PLACE.set(place), ORIGIN.set(origin), SCOPE.set(scope if place is not None else None)
    handlers = None if handler is None else _place.handlers.set(handler)
    try:
        return fn(*args, **kwargs)
    finally:
        if handlers is not None:
            _place.handlers.reset(handlers)
        SCOPE.reset(scopes)
        ORIGIN.reset(origins)
        PLACE.reset(places)
