"""What the parts of `StoreTests` share: the hooks of a store under test, and a run to record."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, Protocol

import pytest

from ..core import redact
from ..core.model import EventKind
from ..recorder import Recorder
from ..store.base import LogStore


class Behind(Protocol):
    """Reaches a store's state behind its back, to arrange what the API never would and to see what it left."""

    def everything(self) -> bytes:
        """All that is stored, in a form in which a word that was recorded can be found."""

    def damage(self, engagement_id: str, type_: str) -> None:
        """Make the body of the engagement's record of this type unreadable."""

    def lose(self, engagement_id: str, type_: str) -> None:
        """Remove the engagement's record of this type, as a bad disk would."""

    def failing(self) -> AbstractContextManager[object]:
        """While it is entered, commits fail halfway."""


class StoreCase:
    """The hooks. `make_store` must be written; the others may be."""

    def make_store(self, place: Path) -> LogStore:
        """A new, empty store; `place` is an empty folder of this test's own."""
        raise NotImplementedError("say how your store is made: def make_store(self, place): ...")

    def reopen(self, store: LogStore) -> LogStore | None:
        """A second store object on the same data; None when the store cannot be shared or opened again."""
        return None

    def behind(self, store: LogStore) -> Behind | None:
        """Access behind the API's back; None when there is none."""
        return None

    @pytest.fixture(autouse=True)
    def nothing_masked(self) -> Iterator[None]:
        """These tests compare what was given with what came back, also where it looks like a secret."""
        before = redact.active()
        redact.redact("off")
        yield
        redact.redact(before or "off")

    @pytest.fixture
    def store(self, tmp_path: Path) -> Iterator[LogStore]:
        """The store under test."""
        made = self.make_store(tmp_path)
        yield made
        made.close()

    def second(self, store: LogStore) -> LogStore:
        """Another store object on the same data; skips the test when there cannot be one."""
        other = self.reopen(store)
        if other is None:
            pytest.skip("this store cannot be opened twice")
        return other

    def back_door(self, store: LogStore) -> Behind:
        """Access behind the API's back; skips the test when there is none."""
        behind = self.behind(store)
        if behind is None:
            pytest.skip("behind() is not written for this store")
        return behind


def record_run(store: LogStore, n_steps: int = 2, **metadata: Any) -> str:
    """Record a small engagement through a recorder; its id. It may still be on the recorder's queue."""
    recorder = Recorder(store)
    engagement_id = recorder.start_engagement("chat", metadata=metadata)
    for place in range(n_steps):
        step_id = recorder.start_step(engagement_id, f"step{place}")
        recorder.record_event(step_id, EventKind.LOG, "note", payload={"text": f"canary {metadata} " + "x" * 600})
        recorder.record_llm_call(step_id, "m", prompt=10, completion=5, model="gpt")
        recorder.end_step(step_id, duration_ms=2.5)
    recorder.end_engagement(engagement_id)
    return engagement_id


def all_seqs(store: LogStore) -> list[int]:
    """The seq of every record, as a scan gives them."""
    seqs: list[int] = store.scan(["seq"])["seq"].to_pylist()  # type: ignore[assignment]
    return seqs
