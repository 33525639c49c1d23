"""One browser at the other end of a WebSocket, and what waits for it: bounded, so that a slow one costs nobody else."""

from __future__ import annotations

import asyncio
import threading
from collections import deque

MAX_WAITING = 256
MAX_WAITING_BYTES = 8_000_000


class Viewer:
    """Messages for one browser. `post` may be called from any thread and never waits; `take` belongs to its loop."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._news = asyncio.Event()
        self._lock = threading.Lock()
        self._waiting: deque[str] = deque()
        self._size = 0
        self._lost = 0
        self.n_dropped = 0
        """Messages that it never got, because it was too slow."""

    def post(self, text: str) -> None:
        """Have `text` sent. Where too much waits, it is dropped and counted: the whole is sent instead."""
        with self._lock:
            if len(self._waiting) >= MAX_WAITING or self._size + len(text) > MAX_WAITING_BYTES:
                n = len(self._waiting) + 1
                self._waiting.clear()
                self._size = 0
                self._lost += n
                self.n_dropped += n
            elif not self._lost:
                self._waiting.append(text)
                self._size += len(text)
            else:
                self._lost += 1
                self.n_dropped += 1
        try:
            self._loop.call_soon_threadsafe(self._news.set)
        except RuntimeError:  # its loop is closed: nobody is there any more
            pass

    async def take(self) -> str | int:
        """The next message; a number instead: so many were dropped since the last, and the whole is to be sent."""
        while True:
            with self._lock:
                if self._lost:
                    lost, self._lost = self._lost, 0
                    return lost
                if self._waiting:
                    text = self._waiting.popleft()
                    self._size -= len(text)
                    return text
                self._news.clear()
            await self._news.wait()
