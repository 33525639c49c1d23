"""Running a coroutine to its end from code that cannot await, also where an event loop runs already (a notebook)."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")
_lock = threading.Lock()
_loop: asyncio.AbstractEventLoop | None = None


def run_sync(work: Coroutine[Any, Any, T]) -> T:
    """The result of `work`, run on one loop of our own in a background thread.

    One loop for all calls, because clients keep connections that belong to theirs. An interrupt (Ctrl-C, a stopped
    kernel cell) cancels the work. Raises RuntimeError when called on that loop itself.
    """
    loop = background_loop()
    try:
        if asyncio.get_running_loop() is loop:
            work.close()
            raise RuntimeError("run_sync inside a step that run_sync runs would wait for itself; await the run instead")
    except RuntimeError as error:
        if "wait for itself" in str(error):
            raise
    future = asyncio.run_coroutine_threadsafe(work, loop)
    try:
        return future.result()
    except BaseException:
        future.cancel()
        raise


def background_loop() -> asyncio.AbstractEventLoop:
    """The loop of our own, which runs in a background thread for as long as the process."""
    global _loop
    with _lock:
        if _loop is None or _loop.is_closed():
            _loop = asyncio.new_event_loop()
            threading.Thread(target=_loop.run_forever, name="ftnb-run-sync", daemon=True).start()
        return _loop
