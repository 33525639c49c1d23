"""Handing committed records to live subscribers of one store object."""

from __future__ import annotations

import asyncio
import queue
import threading
import weakref
from collections.abc import AsyncIterator, Iterator
from typing import cast

from .records import BaseRecord, Record

_CLOSED = object()


class Broadcast:
    """Fans records out. Subscribers that are gone are forgotten; none can hold up the writer."""

    def __init__(self) -> None:
        self._subscribers: weakref.WeakSet[Subscription] = weakref.WeakSet()
        self._lock = threading.Lock()

    def __bool__(self) -> bool:
        """Whether anybody listens."""
        return len(self._subscribers) > 0

    def subscribe(self) -> Subscription:
        """A subscription that sees everything published from now on."""
        subscription = Subscription()
        with self._lock:
            self._subscribers.add(subscription)
        return subscription

    def publish(self, records: list[BaseRecord]) -> None:
        """Give `records` to every subscriber, in order."""
        with self._lock:
            subscribers = list(self._subscribers)
        for subscription in subscribers:
            subscription.put(records)

    def close(self) -> None:
        """End every subscription."""
        with self._lock:
            subscribers = list(self._subscribers)
        for subscription in subscribers:
            subscription.end()


class Subscription(AsyncIterator[Record]):
    """Records one at a time, for `async for` in any event loop or for a plain loop (`until`)."""

    def __init__(self) -> None:
        self._queue: queue.SimpleQueue[object] = queue.SimpleQueue()
        self._waiter: tuple[asyncio.AbstractEventLoop, asyncio.Event] | None = None

    def put(self, records: list[BaseRecord]) -> None:
        """Called from the writer's thread."""
        for record in records:
            self._queue.put(record)
        self._wake()

    def end(self) -> None:
        """No more records will come."""
        self._queue.put(_CLOSED)
        self._wake()

    def _wake(self) -> None:
        waiter = self._waiter
        if waiter is not None:
            try:
                waiter[0].call_soon_threadsafe(waiter[1].set)
            except RuntimeError:  # its loop is closed: nobody waits there any more
                self._waiter = None

    def __aiter__(self) -> Subscription:
        return self

    async def __anext__(self) -> Record:
        event = asyncio.Event()
        self._waiter = (asyncio.get_running_loop(), event)
        while True:
            try:
                item = self._queue.get_nowait()
            except queue.Empty:
                await event.wait()
                event.clear()
                continue
            if item is _CLOSED:
                raise StopAsyncIteration
            return cast(Record, item)

    def until(self, timeout: float | None) -> Iterator[Record]:
        """Records as they come; ends when none came for `timeout` seconds."""
        while True:
            try:
                item = self._queue.get(timeout=timeout)
            except queue.Empty:
                return
            if item is _CLOSED:
                return
            yield cast(Record, item)
