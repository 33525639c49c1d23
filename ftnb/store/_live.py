"""Live records: what subscribers of one store object see, whoever wrote it.

One cursor, one lock: records reach subscribers only by moving the cursor on, so each is seen once, in order of seq,
whether it was committed here or in another process.
"""

from __future__ import annotations

import asyncio
import logging
import queue
import threading
import weakref
from collections.abc import AsyncIterator, Callable, Collection, Iterator, Sequence
from itertools import islice
from typing import Any, cast

from .records import BaseRecord, GapRecorded, Record

logger = logging.getLogger("ftnb")

MAX_WAITING = 100_000
"""Records that wait for one subscriber; what comes then is counted and told as one gap."""
_POLL_SECONDS = 0.25
_MAX_BACKOFF_SECONDS = 5.0
_CLOSED = object()


class Feed:
    """Moves committed records to subscribers. Subscribers that are gone are forgotten; none can hold up the writer."""

    def __init__(
        self,
        position: Callable[[], int],
        since: Callable[[int], Sequence[BaseRecord]],
        wait: Callable[[float], Any] | None,
        name: str,
    ) -> None:
        """`position` gives the last seq, `since` the next records after one (empty: none), `wait` blocks until another
        process may have written, at most so many seconds; None: no other process can."""
        self._position, self._since, self._wait, self._name = position, since, wait, name
        self._subscribers: weakref.WeakSet[Subscription] = weakref.WeakSet()
        self._lock = threading.RLock()
        self._cursor = 0
        self._watcher: threading.Thread | None = None
        self._closed = threading.Event()

    def subscribe(self, after: int | None = None) -> Subscription:
        """A subscription to everything committed from now on, or after the seq `after`."""
        with self._lock:
            if self._subscribers:
                self._pump()
            else:
                self._cursor = self._position()
            backlog = None if after is None or after >= self._cursor else self._backlog(after, self._cursor)
            subscription = Subscription(backlog)
            if self._closed.is_set():
                subscription.end()
            else:
                self._subscribers.add(subscription)
                self._watch()
        return subscription

    def committed(self, seqs: Collection[int], records: Callable[[], Sequence[BaseRecord]]) -> None:
        """Records with these seqs were committed through this store object; `records` makes them."""
        with self._lock:
            if not self._subscribers or not seqs or max(seqs) <= self._cursor:
                return
            if list(seqs) == list(range(self._cursor + 1, self._cursor + 1 + len(seqs))):
                self._publish(records())
                self._cursor += len(seqs)
            else:
                self._pump()

    def forget(self, engagement_ids: Collection[str]) -> None:
        """These were purged through this store object: what waits of them for a subscriber is not handed on."""
        with self._lock:
            for subscription in list(self._subscribers):
                subscription.forget(engagement_ids)

    def restart(self, at: int | None = None) -> None:
        """Seqs have begun anew, in another file: subscribers get what is committed from here on, or after `at`."""
        with self._lock:
            self._cursor = self._position() if at is None else at

    def _pump(self) -> None:
        """Read what is after the cursor, and hand it on. Called under the lock."""
        while records := self._since(self._cursor):
            self._publish(records)
            self._cursor = records[-1].seq or self._cursor

    def _backlog(self, after: int, until: int) -> Iterator[BaseRecord]:
        while records := self._since(after):
            for record in records:
                after = record.seq or after
                if after > until:
                    return
                yield record

    def _publish(self, records: Sequence[BaseRecord]) -> None:
        for subscription in list(self._subscribers):
            subscription.put(records)

    def _watch(self) -> None:
        if self._wait is not None and (self._watcher is None or not self._watcher.is_alive()):
            self._watcher = threading.Thread(target=self._run, name="ftnb-tail", daemon=True)
            self._watcher.start()

    def _run(self) -> None:
        """Look for what others wrote, for as long as somebody listens."""
        assert self._wait is not None
        failures = 0
        while not self._closed.is_set():
            try:
                self._wait(_POLL_SECONDS)
                with self._lock:
                    if not self._subscribers:
                        self._watcher = None
                        return
                    self._pump()
                failures = 0
            except Exception as error:
                if self._closed.is_set():
                    return
                if failures == 0:
                    logger.warning("ftnb: the live tail of %s stopped, and tries again: %s", self._name, error)
                failures += 1
                self._closed.wait(min(0.05 * 2**failures, _MAX_BACKOFF_SECONDS))

    def close(self) -> None:
        """End every subscription and the thread that looks for others' records."""
        self._closed.set()
        with self._lock:
            subscribers, watcher = list(self._subscribers), self._watcher
        for subscription in subscribers:
            subscription.end()
        if watcher is not None and watcher is not threading.current_thread():
            watcher.join(2.0)


class Subscription(AsyncIterator[Record]):
    """Records one at a time, for `async for` in any event loop or for a plain loop (`until`)."""

    def __init__(self, backlog: Iterator[BaseRecord] | None = None) -> None:
        """`backlog` comes first."""
        self._backlog = backlog
        self._queue: queue.SimpleQueue[object] = queue.SimpleQueue()
        self._n_missed = 0
        self._lock = threading.Lock()
        self._waiter: tuple[asyncio.AbstractEventLoop, asyncio.Event] | None = None
        self._purged: dict[str, None] = {}

    def forget(self, engagement_ids: Collection[str]) -> None:
        """Hand on nothing more of these. Called from the thread that purged them."""
        with self._lock:
            purged = self._purged | dict.fromkeys(engagement_ids)
            # No more can wait than of so many engagements.
            self._purged = dict(islice(purged.items(), max(len(purged) - MAX_WAITING, 0), None))

    def put(self, records: Sequence[BaseRecord]) -> None:
        """Called from the writer's thread; never waits."""
        with self._lock:
            for record in records:
                if self._queue.qsize() >= MAX_WAITING:
                    self._n_missed += 1
                else:
                    self._tell_missed()
                    self._queue.put(record)
        self._wake()

    def _tell_missed(self) -> None:
        """Put a gap on the queue for what did not fit. Called under the lock."""
        if self._n_missed:
            missed, self._n_missed = self._n_missed, 0
            detail = "this subscriber was too slow; read the store, or subscribe again with after="
            self._queue.put(GapRecorded(engagement_id="", reason="slow_subscriber", count=missed, detail=detail))

    def _next(self, timeout: float | None) -> object:
        """The next item; waits for it at most `timeout` seconds. Raises queue.Empty."""
        while True:
            if self._n_missed and self._queue.empty():
                with self._lock:
                    self._tell_missed()
            item = self._queue.get(timeout=timeout) if timeout != 0 else self._queue.get_nowait()
            if not self._is_purged(item):
                return item

    def _is_purged(self, item: object) -> bool:
        return bool(self._purged) and isinstance(item, BaseRecord) and item.engagement_id in self._purged

    def _earlier(self) -> Iterator[BaseRecord]:
        """What comes first, and is still there."""
        return (record for record in self._backlog or () if not self._is_purged(record))

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
        if self._backlog is not None:
            record = await asyncio.to_thread(next, self._earlier(), None)
            if record is not None:
                return cast(Record, record)
            self._backlog = None
        event = asyncio.Event()
        self._waiter = (asyncio.get_running_loop(), event)
        while True:
            try:
                item = self._next(0)
            except queue.Empty:
                await event.wait()
                event.clear()
                continue
            if item is _CLOSED:
                raise StopAsyncIteration
            return cast(Record, item)

    def until(self, timeout: float | None) -> Iterator[Record]:
        """Records as they come; ends when none came for `timeout` seconds."""
        yield from cast("Iterator[Record]", self._earlier())
        self._backlog = None
        while True:
            try:
                item = self._next(timeout)
            except queue.Empty:
                return
            if item is _CLOSED:
                return
            yield cast(Record, item)
