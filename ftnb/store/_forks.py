"""What a recorder asks of a store that can outlive a fork, and a file that goes away."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable
from typing import Protocol, runtime_checkable

from ._writer import Batch


@runtime_checkable
class Keeper(Protocol):
    """A store that keeps its promises through forks and through files that are deleted or replaced."""

    def before_fork(self, until: float) -> bool:
        """Have the store at rest; False when it was not by the monotonic time `until`."""

    def after_fork_in_parent(self) -> None:
        """Go on after a fork."""

    def after_fork(self) -> None:
        """In a forked child: leave to the parent what is the parent's, and open the store again. Raises StoreError."""

    def has_moved(self) -> bool:
        """Whether what was written last is no longer where readers look: its file was deleted or replaced."""

    def follow(self, batch: Batch) -> None:
        """Go on where readers look, with the engagements that are being recorded. Raises StoreError."""


def acquire_all(locks: Iterable[threading.RLock], until: float) -> bool:
    """Acquire `locks` for the calling thread before the monotonic time `until`; False when one was not to be had."""
    return all(lock.acquire(timeout=max(until - time.monotonic(), 0)) for lock in locks)


def release(lock: threading.RLock) -> None:
    """Release a lock if the calling thread has it."""
    try:
        lock.release()
    except RuntimeError:
        pass  # it was not to be had before the fork
