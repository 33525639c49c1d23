"""How a recorder's drafts reach its store: through a queue and a thread, or, for a foreign store, directly."""

from __future__ import annotations

import atexit
import os
import queue
import threading
import time
import weakref
from collections import Counter, deque
from collections.abc import Callable, Iterable
from typing import Any, Protocol

from . import _barrier
from ._committer import Committer, Drop, RecorderStats, tell_once
from .base import LogStore, Store
from .draft import Draft
from .rows import record_of_draft

MAX_FULL = 10_000
"""Queued items past which payloads are dropped and structure is kept."""
MAX_ANY = 100_000
"""Queued items past which only a count is kept."""
_BATCH = 1_000
_MAX_REST_SECONDS = 0.05
_GATHER_SECONDS = 0.01
"""How long the writer lets records gather before it takes them, unless somebody waits in `flush`. Taking each at once
would compete with the agent for the interpreter, and would commit a step at a time."""


class Pipeline(Protocol):
    """What a recorder needs of the way to its store. No method raises."""

    def put(self, draft: Draft) -> None: ...
    def submit(self, translate: Callable[[Any], Iterable[Draft]], payload: Any) -> None: ...
    def drop(self, reason: str, detail: str, engagement_id: str | None = None) -> None: ...
    def flush(self, timeout: float) -> bool: ...
    def stats(self) -> RecorderStats: ...
    def is_writer_thread(self) -> bool: ...


class DirectPipeline:
    """Appends each record to a foreign store on the caller's thread, fail-open."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._stats = RecorderStats()
        self._told: set[str] = set()

    def put(self, draft: Draft) -> None:
        """Append one record."""
        self._stats.accepted += 1
        try:
            self._store.append(record_of_draft(draft))  # type: ignore[arg-type]
            self._stats.committed += 1
        except Exception as error:
            self._stats.write_errors += 1
            self.drop("write_error", f"{type(error).__name__}: {error}")

    def submit(self, translate: Callable[[Any], Iterable[Draft]], payload: Any) -> None:
        """Translate and append at once."""
        try:
            for draft in translate(payload):
                self.put(draft)
        except Exception as error:
            self.drop("capture_error", f"{type(error).__name__}: {error}")

    def drop(self, reason: str, detail: str, engagement_id: str | None = None) -> None:
        """Count something that was not kept."""
        self._stats.dropped[reason] = self._stats.dropped.get(reason, 0) + 1
        self._stats.last_error = detail
        tell_once(self._told, reason, detail)

    def flush(self, timeout: float) -> bool:
        """Nothing waits here."""
        return True

    def stats(self) -> RecorderStats:
        """Counts so far."""
        return self._stats

    def is_writer_thread(self) -> bool:
        """There is no writer thread."""
        return False


class QueuePipeline:
    """A queue, and a daemon thread that commits what is on it as fast as the store takes it.

    All recorders of one store object share one, so their records are in the order in which they were accepted. The
    thread ends when no recorder is left and everything is written.
    """

    def __init__(self, store: LogStore) -> None:
        # SimpleQueue.put and deque.append are single C calls: an interrupt cannot leave them half done or locked.
        self._queue: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self._drops: deque[Drop] = deque()
        self._writer = Committer(store)
        self._n_owners = 0
        self._stopped = False
        self._thread = threading.Thread(target=self._run, name="ftnb-writer", daemon=True)
        self._thread.start()

    @classmethod
    def attach(cls, owner: object, store: LogStore) -> tuple[QueuePipeline, Callable[[], Any]]:
        """The pipeline of `store`, and what gives it back; collecting `owner` gives it back too."""
        with _lock:
            pipeline = _pipelines.get(id(store))
            if pipeline is None or pipeline._stopped:
                pipeline = _pipelines[id(store)] = cls(store)
                _barrier.register(store.url, pipeline)
            pipeline._n_owners += 1
        return pipeline, weakref.finalize(owner, pipeline._release)

    def _release(self) -> None:
        with _lock:
            self._n_owners -= 1
        self._queue.put(_NUDGE)

    # --- the caller's side ---

    def put(self, draft: Draft) -> None:
        """Queue one record."""
        backlog = self._queue.qsize()
        if backlog >= MAX_FULL:
            if backlog >= MAX_ANY:
                self._drops.append(("queue_full", "the store does not keep up", draft.stream.engagement_id))
                return
            if "@payload" in draft.body or "@state" in draft.body or "@update" in draft.body:
                draft.body = {k: v for k, v in draft.body.items() if k not in ("@payload", "@state", "@update")}
                draft.body["dropped"] = "queue_full"
                self._drops.append(("payload", "the store does not keep up", None))
        self._queue.put((None, draft))

    def submit(self, translate: Callable[[Any], Iterable[Draft]], payload: Any) -> None:
        """Queue something to be translated into records by the writer."""
        if self._queue.qsize() >= MAX_ANY:
            self._drops.append(("queue_full", "the store does not keep up", None))
            return
        self._queue.put((translate, payload))

    def drop(self, reason: str, detail: str, engagement_id: str | None = None) -> None:
        """Count something that was not kept."""
        self._drops.append((reason, detail, engagement_id))
        self._queue.put(_NUDGE)

    def flush(self, timeout: float = _barrier.WAIT_SECONDS) -> bool:
        """Wait until what was queued before this call is committed."""
        done = threading.Event()
        until = time.monotonic() + timeout
        self._queue.put((_FLUSH, done))
        self._writer.urgent.set()
        while not self._stopped and (left := until - time.monotonic()) > 0:
            if done.wait(min(0.1, left)):
                return True
        return self._stopped or done.is_set()

    def stats(self) -> RecorderStats:
        """Counts so far; what is still on the queue counts as accepted and pending."""
        stats = self._writer.stats
        pending = self._queue.qsize()
        dropped = Counter(stats.dropped)
        dropped.update(reason for reason, _, _ in list(self._drops))
        return RecorderStats(
            accepted=stats.accepted + pending,
            committed=stats.committed,
            pending=pending,
            dropped=dict(dropped),
            write_errors=stats.write_errors,
            last_error=stats.last_error,
        )

    def is_writer_thread(self) -> bool:
        """Whether the calling thread is the writer."""
        return threading.current_thread() is self._thread

    def _run(self) -> None:
        """The writer thread: take what is there, commit it, rest as long as that took, again."""
        writer, waiting = self._writer, list[threading.Event]()
        while not self._stopped:
            batch = _take(self._queue, waiting, writer.urgent)
            begun = time.perf_counter()
            try:
                writer.write(batch, self._queue.qsize)
                if self._drops:
                    writer.record_gaps(self._drops)
            except Exception as error:  # the thread must outlive every fault
                writer.lost("writer_error", f"{type(error).__name__}: {error}", len(batch))
            for done in waiting:
                done.set()
            waiting.clear()
            self._stop_if_done()
            # Half of the time at most: the agent's own thread needs the interpreter too.
            if batch and not writer.urgent.wait(min(time.perf_counter() - begun, _MAX_REST_SECONDS)):
                continue
            writer.urgent.clear()

    def _stop_if_done(self) -> None:
        with _lock:
            if self._n_owners <= 0 and self._queue.empty() and not self._drops:
                self._stopped = True
                if _pipelines.get(id(self._writer.store)) is self:
                    del _pipelines[id(self._writer.store)]

    def hurry(self) -> None:
        """The process ends: give up on a store that still fails after a few tries."""
        self._writer.stopping = True

    def after_fork(self) -> None:
        """In a forked child: the queue, the thread and the store's connection belong to the parent."""
        self._queue = queue.SimpleQueue()
        self._drops.clear()
        self._stopped = True


_NUDGE: Any = object()
_FLUSH: Any = object()
_pipelines: dict[int, QueuePipeline] = {}
"""By the id of the store, which the pipeline keeps alive."""
_lock = threading.RLock()
"""Guards `_pipelines` and owners; re-entrant, since a collection inside it may release a pipeline."""


def _take(items: queue.SimpleQueue[Any], waiting: list[threading.Event], urgent: threading.Event) -> list[Any]:
    """The next batch; waits for one item. A flush request ends it, so that it waits for nothing later."""
    batch: list[Any] = []
    item = items.get()
    if item is not _NUDGE and item[0] is not _FLUSH:
        urgent.wait(_GATHER_SECONDS)
    while True:
        if item is not _NUDGE:
            if item[0] is _FLUSH:
                waiting.append(item[1])
                return batch
            batch.append(item)
        if len(batch) >= _BATCH:
            return batch
        try:
            item = items.get_nowait()
        except queue.Empty:
            return batch


def _flush_all() -> None:
    for pipeline in list(_pipelines.values()):
        pipeline.hurry()
        pipeline.flush()


def _after_fork() -> None:
    global _lock
    _lock = threading.RLock()  # the parent's may be held by a thread that does not exist here
    for pipeline in list(_pipelines.values()):
        pipeline.after_fork()
    _pipelines.clear()


atexit.register(_flush_all)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
