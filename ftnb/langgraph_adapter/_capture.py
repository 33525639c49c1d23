"""The way from a callback to a recorder's queue."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from typing import Any

from ..recorder import Recorder
from ..store._pipeline import MAX_FULL
from ..store.base import LogStore
from ..store.draft import Draft
from ._assembler import Assembler
from ._events import slim

_LOOK_EVERY = 0x3F
"""The queue's length is looked at with every 64th event."""


class Capture:
    """Where the events of a handler go: one recorder, and the assembler that makes its drafts."""

    def __init__(self, recorder: Recorder) -> None:
        self.recorder = recorder
        self.assembler = Assembler(recorder.store)
        self._n = 0
        self._is_full = False
        self.translate: Callable[[Any], Iterable[Draft]] = self.assembler.translate
        if not isinstance(recorder.store, LogStore):
            # No writer thread: a foreign store is written to from whichever thread calls back.
            self._lock = threading.RLock()
            self.translate = self._translate_alone

    def submit(self, translate: Callable[[Any], Iterable[Draft]], event: Any) -> None:
        """Queue an event for `translate`. Never raises. When the store does not keep up, large values go first."""
        self._n += 1
        if not self._n & _LOOK_EVERY:
            self._is_full = self.recorder.backlog() >= MAX_FULL
        if self._is_full and translate is self.translate:
            event = self._slimmed(event)
        self.recorder.submit(translate, event)

    def send(self, *event: Any) -> None:
        """Queue an event. Never raises."""
        self.submit(self.translate, event)

    def _slimmed(self, event: Any) -> Any:
        small = slim(event)
        if small is not event:
            self.recorder.drop("payload", "the store does not keep up")
        return small

    def _translate_alone(self, event: Any) -> Iterable[Draft]:
        with self._lock:
            return list(self.assembler.translate(event))

    def drop(self, where: str, error: BaseException) -> None:
        """Count an event that could not be taken."""
        self.submit(_refuse, f"{where}: {type(error).__name__}")


def _refuse(detail: str) -> Any:
    # Raised on the writer's thread, where it is counted by reason and logged once.
    raise RuntimeError(detail)
