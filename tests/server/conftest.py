from __future__ import annotations

from collections.abc import Iterator

import pytest

from ftnb.core.model import EngagementStatus
from ftnb.recorder import Recorder
from ftnb.store.sqlite import SQLiteStore
from tests.server.serving import Served, serving


def record(store: SQLiteStore, name: str = "search", *, end: bool = True, **metadata: object) -> str:
    """An engagement with two steps."""
    recorder = Recorder(store)
    engagement = recorder.start_engagement(name, metadata=metadata)
    for step in ("greet", "find"):
        recorder.end_step(recorder.start_step(engagement, step, state={"words": "x" * 9_000}))
    if end:
        recorder.end_engagement(engagement, EngagementStatus.COMPLETED)
    recorder.close()
    return str(engagement)


@pytest.fixture
def store() -> Iterator[SQLiteStore]:
    made = SQLiteStore()
    yield made
    made.close()


@pytest.fixture(scope="module")
def served() -> Iterator[Served]:
    """A server with one engagement, shared by the tests of a module."""
    store = SQLiteStore()
    record(store, "secret_plan", user="u-1")
    with serving(store) as found:
        yield found
    store.close()
