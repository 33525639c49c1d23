"""The queue between those who record and the writer: as little as can be on the side of those who record.

An item is two objects, side by side in one deque. `deque.extend` with a tuple is a single call into C: no other thread
and no interrupt can come between the two, and the tuple is gone again at once. An item that is an object of its own
would be one more that lives until it is written, and Python's garbage collector looks through what lives, on the
agent's thread.
"""

from __future__ import annotations

import queue
import threading
from collections import deque
from collections.abc import Iterator
from typing import Any


class ItemQueue:
    """Items from any thread, for one writer, in the order in which they came."""

    def __init__(self) -> None:
        self.pairs: deque[Any] = deque()
        """Both halves of every item. Put a pair here with `extend`, then call `ring` if `is_quiet`."""
        self.is_quiet = False
        """The writer sleeps until somebody rings. Only the writer sets it, so an interrupt between putting an item and
        ringing costs nothing but time: whoever comes next rings."""
        self._bell: queue.SimpleQueue[None] = queue.SimpleQueue()
        self._taking = threading.Lock()
        """Between the writer and a thread that forks: an item is taken whole."""

    def put(self, item: tuple[Any, Any]) -> None:
        """Put an item at the end. Never waits."""
        self.pairs.extend(item)
        if self.is_quiet:
            self._bell.put(None)

    def ring(self) -> None:
        """Wake the writer."""
        self._bell.put(None)

    def qsize(self) -> int:
        """How many items there are."""
        return len(self.pairs) // 2

    def empty(self) -> bool:
        """Whether there are none."""
        return not self.pairs

    def get(self) -> tuple[Any, Any]:
        """The first item; waits for one."""
        while True:
            try:
                return self.get_nowait()
            except queue.Empty:
                self.is_quiet = True
            if not self.pairs:  # else it came before anybody could know that a bell is needed
                self._bell.get()
            self.is_quiet = False
            self._hush()

    def get_nowait(self) -> tuple[Any, Any]:
        """The first item. Raises queue.Empty."""
        with self._taking:
            if not self.pairs:
                raise queue.Empty
            return self.pairs.popleft(), self.pairs.popleft()

    def move(self, batch: list[Any], limit: int, *, until: object, without: object) -> list[Any]:
        """Move items to the end of `batch`, until it has `limit` of them, but for those that begin with `without`.

        One that begins with `until` ends it: it is taken off the queue, and what comes with it is returned.
        """
        with self._taking:
            pairs, pop = self.pairs, self.pairs.popleft
            while pairs and len(batch) < limit:
                item = pop(), pop()
                if item[0] is until:
                    return [item[1]]
                if item[0] is not without:
                    batch.append(item)
        return []

    def rest(self) -> Iterator[tuple[Any, Any]]:
        """Take the items there are, one after the other."""
        while True:
            try:
                yield self.get_nowait()
            except queue.Empty:
                return

    def _hush(self) -> None:
        while not self._bell.empty():
            try:
                self._bell.get_nowait()
            except queue.Empty:
                return
