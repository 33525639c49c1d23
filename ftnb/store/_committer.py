"""The writer's side of a pipeline: translate, encode, commit, retry, and account for what could not be kept."""

from __future__ import annotations

import logging
import threading
import time
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from ..core.errors import StoreError
from ..core.ids import new_id, now_us
from . import build
from ._writer import Batch
from .base import LogStore
from .draft import Draft, Stream

logger = logging.getLogger("ftnb")

_RETRY_SECONDS = (0.05, 0.2, 0.5, 1.0)
_HOPELESS_BACKLOG = 100_000
"""Queued items past which a batch that cannot be written is given up, to bound memory."""
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
    """Items on the queue."""
    dropped: dict[str, int] = field(default_factory=dict)
    """What was not kept, by reason. `payload` counts records whose payload was dropped and whose structure was kept."""
    write_errors: int = 0
    last_error: str | None = None

    @property
    def n_dropped(self) -> int:
        """Records lost, over all reasons but `payload`."""
        return sum(n for reason, n in self.dropped.items() if reason != "payload")


class Committer:
    """Writes for one pipeline, on its thread."""

    def __init__(self, store: LogStore) -> None:
        self.store = store
        self.stats = RecorderStats()
        self.stopping = False
        """The process ends: retry a few times, not for ever."""
        self.urgent = threading.Event()
        """Somebody waits in `flush`: no resting now."""
        self._told: set[str] = set()

    def write(self, items: list[Any], backlog: Callable[[], int]) -> None:
        """Translate and commit a batch of queue items."""
        drafts = self._drafts(items)
        if drafts:
            self._commit(self._encode(drafts), backlog)

    def _drafts(self, items: list[Any]) -> list[Draft]:
        drafts: list[Draft] = []
        for translate, payload in items:
            self.stats.accepted += 1
            if translate is None:
                drafts.append(payload)
                continue
            try:
                drafts.extend(translate(payload))
            except Exception as error:
                self.lost("capture_error", f"{type(error).__name__}: {error}")
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
        while True:
            try:
                self.store.commit(batch)
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
