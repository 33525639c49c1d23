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
        self.taking = threading.RLock()
        """Between the writer and a thread that forks: items get from here to a batch in their order, and none is on its
        way while that batch is looked at."""

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

    def wait(self) -> None:
        """Wait for an item."""
        while not self.pairs:
            self.is_quiet = True
            if not self.pairs:  # else it came before anybody could know that a bell is needed
                self._bell.get()
            self.is_quiet = False
            self._hush()

    def move(self, batch: list[Any], limit: int, *, until: object, without: object) -> list[Any]:
        """Move `limit` items to the end of `batch`, or what there is, but for those that begin with `without`.

        One that begins with `until` ends it: it is taken off the queue, and what comes with it is returned.
        """
        with self.taking:
            pairs, pop = self.pairs, self.pairs.popleft
            while pairs and limit > 0:
                limit -= 1
                item = pop(), pop()
                if item[0] is until:
                    return [item[1]]
                if item[0] is not without:
                    batch.append(item)
        return []

    def _hush(self) -> None:
        while not self._bell.empty():
            try:
                self._bell.get_nowait()
            except queue.Empty:
                return
