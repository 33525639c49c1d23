"""Calls made in a thread pool keep their step.

`ThreadPoolExecutor.submit` does not carry context variables along, and so LangChain sees a call in a worker thread as
one of its own. While recording is on, work that a node hands to a pool carries the node's run id, and only that:
carrying LangChain's own config would change what the user's streams show.
"""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from ._call_handler import ORIGIN
from .handler import HANDLER

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
        # Not imported here: ours is installed while LangChain is being imported.
        runnables = sys.modules.get("langchain_core.runnables.config")
        variable = getattr(runnables, "var_child_runnable_config", None)
        config = None if variable is None else variable.get()
        if config is not None:
            handler, origin = HANDLER.get(), getattr(config.get("callbacks"), "parent_run_id", None)
            if origin is not None and handler is not None and handler.target is not None:
                fn = functools.partial(_carried, fn, origin, handler)
        return original(self, fn, *args, **kwargs)

    return submit


def _carried(fn: Callable[..., Any], origin: Any, handler: Any, /, *args: Any, **kwargs: Any) -> Any:
    origins, handlers = ORIGIN.set(origin), HANDLER.set(handler)
    try:
        return fn(*args, **kwargs)
    finally:
        HANDLER.reset(handlers)
        ORIGIN.reset(origins)
