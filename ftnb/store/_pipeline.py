"""How a recorder's drafts reach its store: through a queue, and a thread that lets them gather and commits them."""

from __future__ import annotations

import atexit
import os
import sys
import threading
import time
import weakref
from collections import Counter, deque
from collections.abc import Callable, Iterable
from typing import Any

from ..core import redact
from . import _barrier, _pace
from ._committer import Committer, Drop, RecorderStats
from ._queue import ItemQueue
from .base import LogStore
from .draft import Draft

MAX_FULL = 10_000
"""Queued items past which payloads are dropped and structure is kept."""
MAX_ANY = 100_000
"""Queued items past which only a count is kept."""
_BATCH = 4_000
"""Items that are written at once, at most: the end of a transaction costs as much for many as for few."""
_GATHERED = 1_000
"""Queued items with which the writer does not wait for more."""
_MAX_REST_SECONDS = 0.05
_FORK_WAIT_SECONDS = 0.5
"""How long a fork waits for the writer to be between two batches."""
_MAX_TRANSLATED_AT_FORK = 5_000
_CROWDED = 5_000
"""Queued items past which the writer does not rest: what is not kept is worse than what is slowed."""


class QueuePipeline:
    """A queue, and a daemon thread that commits what is on it as fast as the store takes it.

    All recorders of one store object share one, so their records are in the order in which they were accepted. The
    thread ends when no recorder is left and everything is written.
    """

    def __init__(self, store: LogStore) -> None:
        # Putting is one call into C: an interrupt cannot leave it half done or locked.
        self.queue: ItemQueue | _Asleep = ItemQueue()
        """Put here directly, an item is `(translate, payload)`, as `submit` makes it."""
        self._drops: deque[Drop] = deque()
        self._writer = Committer(store)
        self._n_owners = 0
        self._stopped = False
        self._batch: list[Any] = []
        """What the writer has taken off the queue and not yet translated."""
        self._waiting: list[threading.Event] = []
        """Who waits in `flush` for that batch."""
        self._flushing: deque[threading.Event] = deque()
        """Who waits in `flush` at all, or did until its time was over."""
        self._is_forked = False
        self._was_at_rest = True
        """At the last fork."""
        self._start()

    def _start(self) -> None:
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
        self.queue.put((_NUDGE, None))

    # --- the caller's side ---

    def put(self, draft: Draft) -> None:
        """Queue one record."""
        backlog = self.queue.qsize()
        if backlog >= MAX_FULL:
            if backlog >= MAX_ANY:
                self._drops.append(("queue_full", "the store does not keep up", draft.stream.engagement_id))
                return
            if "@payload" in draft.body or "@state" in draft.body or "@update" in draft.body:
                draft.body = {k: v for k, v in draft.body.items() if k not in ("@payload", "@state", "@update")}
                draft.body["dropped"] = "queue_full"
                self._drops.append(("payload", "the store does not keep up", None))
        self.queue.put((None, draft))

    def submit(self, translate: Callable[[Any], Iterable[Draft]], payload: Any) -> None:
        """Queue something to be translated into records by the writer."""
        if self.queue.qsize() >= MAX_ANY:
            self._drops.append(("queue_full", "the store does not keep up", None))
            return
        self.queue.put((translate, payload))

    def drop(self, reason: str, detail: str, engagement_id: str | None = None) -> None:
        """Count something that was not kept."""
        self._drops.append((reason, detail, engagement_id))
        self.queue.put((_NUDGE, None))

    def note(self, reason: str, detail: str) -> None:
        """Count something that was not kept, with the next batch: the writer is not woken for it."""
        self._drops.append((reason, detail, None))

    def backlog(self) -> int:
        """How many items wait for the writer."""
        return self.queue.qsize()

    def flush(self, timeout: float = _barrier.WAIT_SECONDS) -> bool:
        """Wait until what was queued before this call is committed."""
        done = threading.Event()
        until = time.monotonic() + timeout
        self.queue.put((_FLUSH, done))
        self._flushing.append(done)
        self._writer.urgent.set()
        while not self._stopped and (left := until - time.monotonic()) > 0:
            if done.wait(min(0.1, left)):
                return True
        return self._stopped or done.is_set()

    def stats(self) -> RecorderStats:
        """Counts so far; what is still on the queue counts as accepted and pending."""
        stats, begun = self._writer.stats, self._writer.begun
        queued = self.queue.qsize()
        dropped = Counter(stats.dropped)
        dropped.update(reason for reason, _, _ in list(self._drops))
        return RecorderStats(
            accepted=stats.accepted + queued,
            committed=stats.committed,
            pending=queued + self._writer.in_hand,
            dropped=dict(dropped),
            write_errors=stats.write_errors,
            last_error=stats.last_error,
            stalled_s=0.0 if begun is None else time.monotonic() - begun,
        )

    def is_writer_thread(self) -> bool:
        """Whether the calling thread is the writer."""
        return threading.current_thread() is self._thread

    def _run(self) -> None:
        """The writer thread: take what is there, commit it, rest as long as that took, again."""
        writer = self._writer
        if self._is_forked:
            writer.settle(self._was_at_rest)
        items = self.queue
        assert not isinstance(items, _Asleep)
        while not self._stopped:
            _take(items, self._batch, self._waiting, writer)
            is_hurried = bool(self._waiting) or items.qsize() >= _CROWDED
            _pace.begin(writer.urgent if writer.agent_computes and not is_hurried else None)
            begun, waiting, taken = time.perf_counter(), list[threading.Event](), list[Any]()
            try:
                with writer.gate:
                    waiting, self._waiting = self._waiting, []
                    taken, self._batch = self._batch, []
                    was_hindered = writer.is_hindered
                    batch = writer.prepare(taken)
                    if waiting:
                        writer.is_hindered = was_hindered  # who waits for a batch does not compute: it tells nothing
                writer.write(batch, self.queue.qsize)
                if self._drops:
                    writer.record_gaps(self._drops)
            except Exception as error:  # the thread must outlive every fault
                writer.lost("writer_error", f"{type(error).__name__}: {error}", len(taken))
            for done in waiting:
                done.set()
            self._stop_if_done()
            # Half of the time at most: the agent's own thread needs the interpreter too.
            rest = min(time.perf_counter() - begun, _MAX_REST_SECONDS) if self.queue.qsize() < _CROWDED else 0.0
            if taken and not writer.urgent.wait(rest):
                continue
            writer.urgent.clear()
            while self._flushing and self._flushing[0].is_set():
                self._flushing.popleft()
            if self._flushing:  # what they wait for is behind what was just written
                writer.urgent.set()

    def _stop_if_done(self) -> None:
        with _lock:
            if self._n_owners <= 0 and self.queue.empty() and not self._drops:
                self._stopped = True
                if _pipelines.get(id(self._writer.store)) is self:
                    del _pipelines[id(self._writer.store)]

    def hurry(self) -> None:
        """The process ends: give up on a store that still fails after a few tries."""
        self._writer.stopping = True

    # --- forks ---

    def before_fork(self, until: float) -> None:
        """Have the writer and the store at rest, if that is soon, and captured events translated.

        What is translated on both sides of a fork would get ids of its own on each.
        """
        if isinstance(self.queue, _Asleep):
            return  # this is a child itself, and has touched nothing yet
        self._was_at_rest = self._writer.rest(until)
        if self._was_at_rest:
            with self.queue.taking:
                while found := self.queue.move(self._batch, _MAX_TRANSLATED_AT_FORK, until=_FLUSH, without=_NUDGE):
                    self._waiting += found
                self._writer.translate(self._batch)
            self.queue.put((_NUDGE, None))

    def after_fork_in_parent(self) -> None:
        """Go on."""
        if not isinstance(self.queue, _Asleep):
            self._writer.go_on()

    def after_fork(self) -> None:
        """In the child: the queue, the thread and the store's connections belong to the parent."""
        self._batch, self._waiting, self._flushing, self._drops = [], [], deque(), deque()
        self._writer = Committer(self._writer.store)
        self._is_forked = True
        self.__dict__.pop("_awake", None)
        self.queue = _Asleep(self._wake)

    def _wake(self) -> ItemQueue:
        """The child's own queue, with a thread that writes what is on it."""
        fresh = ItemQueue()
        awake: ItemQueue = self.__dict__.setdefault("_awake", fresh)  # atomic: one thread wins, no lock
        if awake is fresh:
            self.queue = fresh
            self._start()
            _flush_when_forked_process_ends()
        return awake


class _Asleep:
    """The queue of a forked child until something is put on it: most children record nothing, and need no thread."""

    is_quiet = True

    def __init__(self, wake: Callable[[], ItemQueue]) -> None:
        self._wake = wake

    @property
    def pairs(self) -> deque[Any]:
        return self._wake().pairs

    def put(self, item: tuple[Any, Any]) -> None:
        self._wake().put(item)

    def ring(self) -> None:
        self._wake().ring()

    def qsize(self) -> int:
        return 0

    def empty(self) -> bool:
        return True


_NUDGE: Any = object()
_FLUSH: Any = object()
_pipelines: dict[int, QueuePipeline] = {}
"""By the id of the store, which the pipeline keeps alive."""
_lock = threading.RLock()
"""Guards `_pipelines` and owners; re-entrant, since a collection inside it may release a pipeline."""


def _take(items: ItemQueue, batch: list[Any], waiting: list[threading.Event], writer: Committer) -> None:
    """Fill the next batch; waits for one item. A flush request ends it, so that it waits for nothing later."""
    items.wait()
    n_taken, n_waiting = len(batch), len(waiting)
    waiting += items.move(batch, 1, until=_FLUSH, without=_NUDGE)
    if len(waiting) > n_waiting:
        return
    if len(batch) > n_taken and items.qsize() < _GATHERED:
        writer.gather()
    waiting += items.move(batch, _BATCH - len(batch) + n_taken, until=_FLUSH, without=_NUDGE)


def _flush_all() -> None:
    for pipeline in list(_pipelines.values()):
        pipeline.hurry()
        pipeline.flush()


def _flush_when_forked_process_ends() -> None:
    # multiprocessing ends its children without atexit.
    util = sys.modules.get("multiprocessing.util")
    if util is not None:
        util.Finalize(None, _flush_all, exitpriority=10)


def _before_fork() -> None:
    until = time.monotonic() + _FORK_WAIT_SECONDS
    for pipeline in list(_pipelines.values()):
        pipeline.before_fork(until)


def _after_fork_in_parent() -> None:
    for pipeline in list(_pipelines.values()):
        pipeline.after_fork_in_parent()


def _after_fork() -> None:
    global _lock
    _lock = threading.RLock()  # the parent's may be held by a thread that does not exist here
    _barrier.after_fork()
    for pipeline in list(_pipelines.values()):
        pipeline.after_fork()


def _flush_before_change() -> None:
    for pipeline in list(_pipelines.values()):
        if not pipeline.is_writer_thread():
            pipeline.flush()


atexit.register(_flush_all)
redact.before_change(_flush_before_change)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_before_fork, after_in_parent=_after_fork_in_parent, after_in_child=_after_fork)


def stats_of(store: LogStore) -> RecorderStats | None:
    """What became of what this process records into `store`; None where it records nothing into it."""
    with _lock:
        pipeline = _pipelines.get(id(store))
    return None if pipeline is None or pipeline._stopped else pipeline.stats()
