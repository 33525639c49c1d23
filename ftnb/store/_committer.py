"""The writer's side of a pipeline: translate, encode, commit, retry, and account for what could not be kept."""

from __future__ import annotations

import logging
import os
import threading
import time
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from ..core.errors import StoreError
from ..core.ids import new_id, now_us
from . import _pace, build
from ._forks import Keeper, release
from ._writer import Batch
from .base import LogStore
from .draft import Draft, Stream

logger = logging.getLogger("ftnb")

_RETRY_SECONDS = (0.05, 0.2, 0.5, 1.0)
_HOPELESS_BACKLOG = 100_000
"""Queued items past which a batch that cannot be written is given up, to bound memory."""
_HINDERED = 1.25
"""Time over processor time of making a batch from which on others are taken to compute at the same time."""
_HINDERED_SECONDS = 0.001
_GATHER_SECONDS = 0.01
"""How long the writer lets records gather before it takes them, unless somebody waits in `flush`. Taking each at once
would compete with the agent for the interpreter, and would commit a step at a time."""
_GATHER_BUSY_SECONDS = 0.05
"""The same, in all, while the agent computes: whatever the writer does then, the agent waits for. A run of a few
milliseconds is over before, and an agent that waits for its model leaves the interpreter to the writer."""
Drop = tuple[str, str, str | None]
"""Reason, detail, and the engagement where it is known."""


@dataclass
class RecorderStats:
    """What became of the records that this process's recorders took for one store."""

    accepted: int = 0
    """Records and captured events taken in; a captured event may give several records or none."""
    committed: int = 0
    """Records in the store."""
    pending: int = 0
    """Items on the queue, or taken off it and not committed yet."""
    dropped: dict[str, int] = field(default_factory=dict)
    """What was not kept, by reason. `payload` counts records whose payload was dropped and whose structure was kept."""
    write_errors: int = 0
    last_error: str | None = None
    stalled_s: float = 0.0
    """For how long the writer has been at the batch in hand: seconds mean that the store is locked, full or gone."""

    @property
    def n_dropped(self) -> int:
        """Records lost, over all reasons but `payload`."""
        return sum(n for reason, n in self.dropped.items() if reason != "payload")


class Committer:
    """Writes for one pipeline, on its thread."""

    def __init__(self, store: LogStore) -> None:
        self.store = store
        self.stats = RecorderStats()
        self.gate = threading.RLock()
        """Held while drafts are made and written, so that a fork finds the writer between two batches."""
        self._keeper = store if isinstance(store, Keeper) else None
        self._pid: int | None = None
        self._refused: str | None = None
        self.stopping = False
        """The process ends: retry a few times, not for ever."""
        self.urgent = threading.Event()
        """Somebody waits in `flush`: no resting now."""
        self.in_hand = 0
        """Items of the batch that is being written."""
        self.begun: float | None = None
        """The monotonic time since when it is."""
        self.agent_computes = False
        """Other threads of the process were computing while the last batch gathered."""
        self.is_hindered = False
        """Making the last batch took much longer than its work: others wanted the interpreter, or the processor."""
        self._told: set[str] = set()

    def gather(self) -> None:
        """Let records come, for a time that depends on what the agent does meanwhile."""
        meter = _pace.Meter()
        if not self.urgent.wait(_GATHER_SECONDS):
            self.agent_computes = meter.shows_work()
            # On a crowded machine an agent that computes is seen to use little.
            if self.agent_computes or self.is_hindered:
                self.urgent.wait(_GATHER_BUSY_SECONDS - _GATHER_SECONDS)

    def prepare(self, items: list[Any]) -> Batch | None:
        """Translate and encode items of the queue; None: nothing came of them."""
        if self._refused is not None and items:
            self.stats.accepted += len(items)
            self.lost("forked", self._refused, len(items))
            return None
        self.in_hand, self.begun = len(items), time.monotonic()
        worked = time.thread_time()
        drafts = self._drafts(items)
        batch = self._encode(drafts) if drafts else None
        # Nothing here waits for a disk: what is missing between the two clocks went to others.
        worked, took = time.thread_time() - worked, time.monotonic() - self.begun - _pace.paused()
        self.is_hindered = took > _HINDERED * worked and took - worked > _HINDERED_SECONDS
        return batch

    def write(self, batch: Batch | None, backlog: Callable[[], int]) -> None:
        """Commit what was prepared."""
        try:
            if batch is not None:
                self._commit(batch, backlog)
        finally:
            self.in_hand, self.begun = 0, None

    def rest(self, until: float) -> bool:
        """Before a fork: whether writer and store are at rest by the monotonic time `until`, and stay so."""
        waited = self.gate.acquire(timeout=max(until - time.monotonic(), 0))
        return waited and (self._keeper is None or self._keeper.before_fork(until))

    def go_on(self) -> None:
        """In the parent, after a fork."""
        if self._keeper is not None:
            self._keeper.after_fork_in_parent()
        release(self.gate)

    def translate(self, items: list[Any]) -> None:
        """Make drafts of captured events in place."""
        drafts = self._drafts(items)
        self.stats.accepted -= len(drafts)  # they will be counted when they are written
        items[:] = [(None, draft) for draft in drafts]

    def settle(self, was_at_rest: bool) -> None:
        """In a forked child, before anything is written: open the store anew.

        Where the parent was writing at the fork, nothing of its connections may be touched here.
        """
        self._pid = os.getpid()
        with self.gate:
            try:
                if not was_at_rest:
                    raise StoreError("the store was being written to at the moment of the fork")
                if self._keeper is None:
                    raise StoreError("it knows no forks")
                self._keeper.after_fork()
            except Exception as error:
                self._refused = f"a forked process cannot record into the store of its parent: {error}"

    def _drafts(self, items: list[Any]) -> list[Draft]:
        drafts: list[Draft] = []
        self.stats.accepted += len(items)
        for translate, payload in items:
            if translate is None:
                drafts.append(payload)
                continue
            _pace.breathe()
            try:
                drafts.extend(translate(payload))
            except Exception as error:
                self.lost("capture_error", f"{type(error).__name__}: {error}")
        if self._pid is not None:
            for draft in drafts:
                if draft.stream.pid != self._pid:
                    draft.stream.renew()
        return drafts

    def _encode(self, drafts: list[Draft]) -> Batch:
        try:
            return self.store.encode(drafts)
        except Exception as error:
            if len(drafts) == 1:
                self.lost("encode_error", f"{type(error).__name__}: {error}")
                return Batch()
        # One bad draft must not take the others with it.
        whole = Batch()
        for draft in drafts:
            part = self._encode([draft])
            whole.rows += part.rows
            whole.drafts += part.drafts
            whole.blobs += part.blobs
            whole.heads += part.heads
            whole.labels += part.labels
        return whole

    def _commit(self, batch: Batch, backlog: Callable[[], int]) -> None:
        """Commit, retrying for as long as the queue has room; the batch keeps its places: a retry writes no twins."""
        attempt = 0
        stats = self.stats
        batch.counts = (stats.accepted, stats.committed + len(batch.rows), stats.n_dropped)
        while True:
            try:
                with self.gate:
                    self.store.commit(batch)
                    if self._keeper is not None and self._keeper.has_moved():
                        self._follow(self._keeper, batch)
                self.stats.committed += len(batch.rows)
                return
            except Exception as error:
                self.stats.write_errors += 1
                detail = f"{type(error).__name__}: {error}"
                self.stats.last_error = detail
                hopeless = not isinstance(error, StoreError) or backlog() > _HOPELESS_BACKLOG
                if hopeless or (self.stopping and attempt >= len(_RETRY_SECONDS)):
                    self.store.abandon(batch)
                    self.lost("write_error", detail, len(batch.rows))
                    return
                tell_once(self._told, "write_retry", f"cannot write yet, and will try again: {detail}")
            time.sleep(_RETRY_SECONDS[min(attempt, len(_RETRY_SECONDS) - 1)])
            attempt += 1

    def _follow(self, keeper: Keeper, batch: Batch) -> None:
        """The file was deleted or replaced under us: what was just written is written again where it can be found."""
        detail = "the store's file was deleted or replaced; recording goes on in the one at its path"
        keeper.follow(batch)
        self.store.commit(batch)
        self.store.append_entry("gap", {"reason": "file_replaced", "count": 0, "detail": detail})
        self.stats.last_error = detail
        tell_once(self._told, "file_replaced", detail)

    def lost(self, reason: str, detail: str, count: int = 1) -> None:
        """Count what was not kept, and say so once per reason."""
        self.stats.dropped[reason] = self.stats.dropped.get(reason, 0) + count
        self.stats.last_error = detail
        tell_once(self._told, reason, detail)

    def record_gaps(self, drops: deque[Drop]) -> None:
        """Put what callers dropped on record: in the engagement's own log where it is known, else in the store's."""
        counts: Counter[tuple[str, str | None]] = Counter()
        details: dict[str, str] = {}
        while drops:
            reason, detail, engagement_id = drops.popleft()
            counts[reason, engagement_id] += 1
            details[reason] = detail
        for (reason, engagement_id), count in counts.items():
            self.lost(reason, details[reason], count)
            try:
                if engagement_id is None:
                    self.store.append_entry("gap", {"reason": reason, "count": count, "detail": details[reason]})
                else:
                    stream = Stream(new_id(), engagement_id)
                    self.store.append_drafts([build.gap(stream, now_us(), reason, count, details[reason])])
            except Exception as error:
                self.stats.last_error = f"{type(error).__name__}: {error}"


def tell_once(told: set[str], reason: str, detail: str) -> None:
    if reason not in told:
        told.add(reason)
        logger.warning("ftnb: %s: %s (said once; the rest is counted, see %%ftnb status)", reason, detail)
