"""A recording session in memory for every test that asks for one."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

import ftnb
from ftnb.langgraph_adapter import tap
from ftnb.store.sqlite import SQLiteStore
from tests.capture.entries import EVERY_WAY, Way
from tests.capture.shapes import Seen


@pytest.fixture(params=["tap", "callbacks"])
def eyes(request: pytest.FixtureRequest) -> Iterator[None]:
    """With the tap, and with callbacks alone: what they both see must be the same."""
    tap.disable(request.param == "callbacks")
    yield
    tap.disable(False)


@pytest.fixture
def seen() -> Iterator[Seen]:
    """What is recorded from here on; nothing may have been dropped."""
    store = SQLiteStore()
    session = ftnb.start(store)
    yield Seen(store)
    stats = session.stats()
    ftnb.stop()
    store.close()
    assert stats.dropped == {}, stats


@pytest.fixture(params=EVERY_WAY, ids=lambda way: way.__name__)
def run(request: pytest.FixtureRequest) -> Way:
    """Each way to run a graph."""
    way: Way = request.param
    return way
