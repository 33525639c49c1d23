"""What a recorder needs of the way to its store, and the way to a foreign one, which knows no batches."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Protocol

from ..core import redact
from ._committer import RecorderStats, tell_once
from .base import Store
from .draft import Draft
from .rows import record_of_draft


class Pipeline(Protocol):
    """What a recorder needs of the way to its store. No method raises."""

    def put(self, draft: Draft) -> None: ...
    def submit(self, translate: Callable[[Any], Iterable[Draft]], payload: Any) -> None: ...
    def drop(self, reason: str, detail: str, engagement_id: str | None = None) -> None: ...
    def note(self, reason: str, detail: str) -> None: ...
    def backlog(self) -> int: ...
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
            self._store.append(record_of_draft(_masked(draft)))  # type: ignore[arg-type]
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

    def note(self, reason: str, detail: str) -> None:
        """Count something that was not kept."""
        self.drop(reason, detail)

    def backlog(self) -> int:
        """Nothing waits here."""
        return 0

    def flush(self, timeout: float) -> bool:
        """Nothing waits here."""
        return True

    def stats(self) -> RecorderStats:
        """Counts so far."""
        return self._stats

    def is_writer_thread(self) -> bool:
        """There is no writer thread."""
        return False


def _masked(draft: Draft) -> Draft:
    """`draft` with its values masked, as our own stores do when they encode."""
    rules = redact.active()
    if rules is not None:
        draft.body = {key: rules.value(value, key) for key, value in draft.body.items()}
        draft.name = draft.name and rules.text(draft.name)
    return draft
