"""Seeing what a replayed run does without recording it: the adapter's own eyes, and drafts that are kept in memory."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from time import perf_counter_ns
from typing import Any

from ..core.model import EngagementStatus, Topology
from ..langgraph_adapter import _events as events
from ..langgraph_adapter import _install, tap
from ..langgraph_adapter._assembler import Assembler
from ..langgraph_adapter._clock import offset_ns
from ..langgraph_adapter._drive import Drive
from ..langgraph_adapter._scope import SCOPE, Labels, Scope
from ..langgraph_adapter.handler import HANDLER, Handler
from ..store.draft import Draft


class Observer:
    """Takes what the callbacks and the tap tell; `drafts` are the records that would be written."""

    def __init__(self) -> None:
        self._assembler = Assembler()
        self._lock = threading.RLock()
        self.translate = self._assembler.translate
        self.drafts: list[Draft] = []
        self.faults: list[str] = []

    def submit(self, translate: Any, event: Any) -> None:
        """What a `Capture` does with a queue, done at once."""
        with self._lock:
            try:
                self.drafts.extend(translate(event))
            except Exception as error:
                self.faults.append(f"{type(error).__name__}: {error}")

    def send(self, *event: Any) -> None:
        """See `submit`."""
        self.submit(self.translate, event)

    def drop(self, where: str, error: BaseException) -> None:
        """A callback that could not be taken."""
        self.faults.append(f"{where}: {type(error).__name__}: {error}")

    @contextmanager
    def one(self, topology: Topology) -> Iterator[list[Draft]]:
        """Root runs of this context are turns of one engagement, whose drafts come back."""
        self.drafts = drafts = []
        scope = Scope(Labels(name="replay"), topology, drive=Drive(outcome=EngagementStatus.COMPLETED))
        self.send(events.SCOPE_OPEN, perf_counter_ns(), offset_ns(), scope)
        token = SCOPE.set(scope)
        try:
            yield drafts
        finally:
            SCOPE.reset(token)
            self.send(events.SCOPE_CLOSE, perf_counter_ns(), offset_ns(), scope, None)


@contextmanager
def observing() -> Iterator[Observer]:
    """See the runs of this context, and let nobody record them."""
    from langchain_core.tracers import context as _  # noqa: F401  (so that the hook is installed now)

    observer = Observer()
    _install.acquire()
    tap.ensure()
    handler: Any = Handler(observer)  # type: ignore[arg-type]
    token = HANDLER.set(handler)
    try:
        yield observer
    finally:
        HANDLER.reset(token)
        _install.release()
