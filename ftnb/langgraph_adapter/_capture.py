"""The way from a callback to a recorder's queue."""

from __future__ import annotations

from typing import Any

from ..recorder import Recorder
from ._assembler import Assembler


class Capture:
    """Where the events of a handler go: one recorder, and the assembler that makes its drafts."""

    def __init__(self, recorder: Recorder) -> None:
        self.recorder = recorder
        self.assembler = Assembler()
        self.submit = recorder.submit
        self.translate = self.assembler.translate

    def send(self, *event: Any) -> None:
        """Queue an event. Never raises."""
        self.submit(self.translate, event)

    def drop(self, where: str, error: BaseException) -> None:
        """Count an event that could not be taken."""
        self.submit(_refuse, f"{where}: {type(error).__name__}")


def _refuse(detail: str) -> Any:
    # Raised on the writer's thread, where it is counted by reason and logged once.
    raise RuntimeError(detail)
