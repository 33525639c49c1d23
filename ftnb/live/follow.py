"""Following runs while they are recorded, by this process or another: one thread a store, news in batches.

A thread reads the store's tail and hands each record to whoever follows its engagement; every 40 ms, or less often
where that takes long, those with news are told. So a view costs the agent nothing but the interpreter's time for it.
"""

from __future__ import annotations

import logging
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from typing import Any, Protocol

from ..core.errors import FtnbError
from ..core.model import EngagementStatus
from ..store._pipeline import stats_of
from ..store.base import LogStore
from ..store.reconstruct import Folding, in_order
from ..store.records import BaseRecord, EngagementEnded, EngagementStatusChanged, EventRecorded, GapRecorded
from ..widget.news import News
from ..widget.protocol import Following

logger = logging.getLogger("ftnb")

_BEAT_SECONDS = 0.04
_DUTY = 1.5
"""A beat that took t seconds is followed by at least this many times t of rest."""
_QUIET_SECONDS = 2.0
"""After so long without a record, the reader looks whether anybody still follows."""
_STALLED_SECONDS = 2.0
LIVE = (EngagementStatus.ACTIVE, EngagementStatus.PAUSED)


class Listener(Protocol):
    """Somebody who follows a store."""

    def take(self, record: BaseRecord) -> None:
        """One record, in order; must be quick."""

    def beat(self) -> None:
        """Tell the news since the last beat; also called when there are none."""

    def reread(self) -> None:
        """Records were missed: read the store again at the next beat."""


class Hub:
    """Hands the new records of one store to its listeners, which it holds weakly."""

    def __init__(self, store: LogStore) -> None:
        self._store = weakref.ref(store)
        self._listeners: weakref.WeakSet[Any] = weakref.WeakSet()
        self._lock = threading.Lock()
        self._reader: threading.Thread | None = None
        self._cursor = 0
        self._has_news = threading.Event()

    def join(self, listener: Listener) -> None:
        """Hand on every record from now on. What was there before is read afterwards: nothing falls between."""
        store = self._store()
        if store is None:
            return
        with self._lock:
            self._listeners.add(listener)
            self._has_news.set()  # so that it is told of what is there soon
            if self._reader is None:
                self._cursor = store.revision()[0]
                records = store.tail(timeout=_QUIET_SECONDS, after=self._cursor)
                self._reader = threading.Thread(target=self._read, args=(records,), name="ftnb-follow", daemon=True)
                self._reader.start()
                threading.Thread(target=self._tell, args=(self._reader,), name="ftnb-news", daemon=True).start()

    def leave(self, listener: Listener) -> None:
        """Hand nothing on any more."""
        with self._lock:
            self._listeners.discard(listener)

    def _read(self, records: Iterator[BaseRecord]) -> None:
        while True:
            began, seen = time.monotonic(), self._cursor
            try:
                for record in records:
                    self._cursor = max(self._cursor, record.seq or 0)
                    self._hand(record)
            except FtnbError as error:
                logger.warning("ftnb: what is recorded cannot be followed for now: %s", error)
                time.sleep(_QUIET_SECONDS)
            # A tail that ends at once, with nothing, is that of a store that was closed or does not grow.
            is_closed = self._cursor == seen and time.monotonic() - began < _QUIET_SECONDS / 2
            store = self._store()
            with self._lock:
                if store is None or is_closed or not self._listeners:
                    self._reader = None
                    self._has_news.set()
                    return
            try:
                records = store.tail(timeout=_QUIET_SECONDS, after=self._cursor)
            except FtnbError:  # told above, if it lasts
                records = iter(())
            del store

    def _hand(self, record: BaseRecord) -> None:
        is_gap = isinstance(record, GapRecorded) and record.reason == "slow_subscriber"
        for listener in list(self._listeners):
            if is_gap:
                listener.reread()
            else:
                listener.take(record)
        self._has_news.set()

    def _tell(self, reader: threading.Thread) -> None:
        while reader.is_alive():
            self._has_news.wait(_QUIET_SECONDS)
            self._has_news.clear()
            began = time.monotonic()
            for listener in list(self._listeners):
                try:
                    listener.beat()
                except Exception as error:  # one view that fails must not stop the others, nor be silent
                    logger.warning(
                        "ftnb: a live view could not be brought up to date: %s: %s", type(error).__name__, error
                    )
            took = time.monotonic() - began
            time.sleep(max(_BEAT_SECONDS, _DUTY * took))


_hubs: weakref.WeakKeyDictionary[LogStore, Hub] = weakref.WeakKeyDictionary()
_hubs_lock = threading.Lock()


def hub_of(store: LogStore) -> Hub:
    """The hub of `store`."""
    with _hubs_lock:
        return _hubs.setdefault(store, Hub(store))


class RunFollower:
    """Keeps the tree of one engagement, record by record, and tells a view of it."""

    def __init__(self, store: LogStore, engagement_id: str, tell: Callable[[News], None]) -> None:
        """`tell` is called on a thread of the hub, first with the run as it is."""
        self.id = engagement_id
        self._store, self._tell = store, tell
        self._lock = threading.Lock()
        self._telling = threading.RLock()
        """Held while news are made and told: they come from the hub's thread, or from `catch_up`."""
        self._waiting: list[BaseRecord] = []
        self._folding: Folding | None = None
        self._seen = 0
        self._following: Following | None = None
        self._is_over = False
        self._hub = hub_of(store)
        self._hub.join(self)

    def stop(self) -> None:
        """Follow no longer."""
        self._hub.leave(self)

    def take(self, record: BaseRecord) -> None:
        """Keep what is about our engagement."""
        if record.engagement_id == self.id:
            with self._lock:
                self._waiting.append(record)

    def reread(self) -> None:
        """Fold anew at the next beat."""
        with self._lock:
            self._folding = None

    def catch_up(self) -> None:
        """Tell the run as it is in the store now, on the calling thread."""
        with self._telling:
            self._start_over()

    def beat(self) -> None:
        """Fold what came, and tell it."""
        with self._telling:
            self._take_news()

    def _take_news(self) -> None:
        with self._lock:
            waiting, self._waiting = self._waiting, []
            folding = self._folding
        if self._is_over:
            return
        if folding is None:
            self._start_over()
            return
        changed: set[str] = set()
        fresh = [record for record in waiting if (record.seq or 0) > self._seen]
        for record in fresh:
            self._seen = record.seq or self._seen
            changed |= _steps_of(record)
            folding.take(record)
        if any(isinstance(record, EngagementEnded | EngagementStatusChanged) for record in fresh):
            self._start_over()  # what is final is folded in its proper order
            return
        following = following_of(self._store)
        if fresh or following != self._following:
            self._following = following
            self._tell(News(folding.eng, frozenset(changed), following))

    def _start_over(self) -> None:
        records = self._store.read(self.id)
        if not records:
            self.stop()  # purged
            return
        ordered = in_order(records)
        folding = Folding(ordered[0])
        for record in ordered:
            folding.take(record)
        with self._lock:
            self._folding = folding
        self._seen = max((record.seq or 0 for record in records), default=0)
        engagement = folding.finish(ordered)
        self._is_over = engagement.status not in LIVE
        if self._is_over:
            self.stop()
        self._following = None if self._is_over else following_of(self._store)
        self._tell(News(engagement, None, self._following))


def _steps_of(record: BaseRecord) -> set[str]:
    if isinstance(record, EventRecorded):
        return {record.event.step_id}
    step_id = getattr(record, "step_id", None)
    return {step_id} if isinstance(step_id, str) else set()


def follow_run(store: LogStore, engagement_id: str, tell: Callable[[News], None]) -> Callable[[], None]:
    """Tell of a run until it is over; calling the result stops it."""
    return RunFollower(store, engagement_id, tell).stop


def following_of(store: LogStore) -> Following:
    """How the recorder of this process stands, for the badges of a view."""
    stats = stats_of(store)
    if stats is None:
        return Following(is_on=True, dropped=0, detail="", stalled_s=0.0)
    reasons = ", ".join(f"{reason} {n}" for reason, n in sorted(stats.dropped.items()))
    stalled = float(int(stats.stalled_s)) if stats.stalled_s >= _STALLED_SECONDS else 0.0
    return Following(is_on=True, dropped=stats.n_dropped, detail=reasons, stalled_s=stalled)
