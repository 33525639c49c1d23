"""Read-your-writes: reads of a store wait for what this process's recorders have accepted for it."""

from __future__ import annotations

import threading
import warnings
import weakref
from typing import Protocol

from ..core.errors import PartialTraceWarning

WAIT_SECONDS = 2.0


class Pending(Protocol):
    """A writer that may hold records which its store does not have yet."""

    def flush(self, timeout: float = WAIT_SECONDS) -> bool:
        """Wait until all that was accepted before the call is committed; False when time ran out."""

    def is_writer_thread(self) -> bool:
        """Whether the calling thread is the one that writes, which must not wait for itself."""


_writers: dict[str, weakref.WeakSet[Pending]] = {}
_lock = threading.Lock()


def register(url: str, writer: Pending) -> None:
    """Let reads of the store named `url` wait for `writer`; it is forgotten when it is collected."""
    with _lock:
        _writers.setdefault(url, weakref.WeakSet()).add(writer)


def wait(url: str) -> None:
    """Wait for every writer of `url`, two seconds at most in all; warn about what is not there by then."""
    with _lock:
        writers = list(_writers.get(url, ()))
    if any(writer.is_writer_thread() for writer in writers):
        return  # a writer that looks something up must not wait for another, which may do the same
    for writer in writers:
        if not writer.flush(WAIT_SECONDS):
            late = f"{url}: records are still being written after {WAIT_SECONDS:g} s; this is not the latest"
            warnings.warn(late, PartialTraceWarning, stacklevel=4)


def after_fork() -> None:
    """In a forked child: the lock may be held by a thread that does not exist here."""
    global _lock
    _lock = threading.Lock()
