"""The way from a callback to a recorder's queue."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from typing import Any

from ..recorder import Recorder
from ..store._pipeline import MAX_ANY, MAX_FULL, QueuePipeline
from ..store.draft import Draft
from . import _events as events
from ._assembler import Assembler
from ._events import slim


class Capture:
    """Where the events of a handler go: one recorder, and the assembler that makes its drafts."""

    def __init__(self, recorder: Recorder) -> None:
        self.recorder = recorder
        self.assembler = Assembler(recorder.store)
        self.translate: Callable[[Any], Iterable[Draft]] = self.assembler.translate
        pipeline = recorder.pipeline
        if isinstance(pipeline, QueuePipeline):
            self._pipeline = pipeline
        else:
            # No writer thread: a foreign store is written to from whichever thread calls back.
            self._lock = threading.RLock()
            self.put = self._put_directly  # type: ignore[method-assign]

    def put(self, event: Any) -> None:
        """Queue an event. Never raises. When the store does not keep up, large values go first.

        It does what `Recorder.submit` does with as few calls as can be: this is most of what recording costs the agent.
        """
        queue = self._pipeline.queue
        pairs = queue.pairs
        if len(pairs) >= _LONG or self.recorder.is_closed:
            self._put_in_need(event, len(pairs) // 2)
            return
        pairs.extend((self.translate, event))
        if queue.is_quiet:
            queue.ring()

    def send(self, *event: Any) -> None:
        """Queue an event. Never raises."""
        self.put(event)

    def _put_in_need(self, event: Any, n_waiting: int) -> None:
        if MAX_FULL <= n_waiting < MAX_ANY:
            small = slim(event)
            if small is not event:
                self.recorder.drop("payload", "the store does not keep up")
                event = small
        self.recorder.submit(self.translate, event)

    def _put_directly(self, event: Any) -> None:
        self.recorder.submit(self._translate_alone, event)

    def _translate_alone(self, event: Any) -> Iterable[Draft]:
        with self._lock:
            return list(self.assembler.translate(event))

    def drop(self, where: str, error: BaseException) -> None:
        """Count an event that could not be taken."""
        self.put((events.CALL, _refuse, f"{where}: {type(error).__name__}"))


_LONG = 2 * MAX_FULL
"""Objects on the queue, two for each item, past which it is looked at more closely."""


def _refuse(_: Any, detail: str) -> Any:
    # Raised on the writer's thread, where it is counted by reason and logged once.
    raise RuntimeError(detail)
