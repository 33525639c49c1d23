"""A recording session in memory for every test that asks for one."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

import ftnb
from ftnb.store.sqlite import SQLiteStore
from tests.capture.shapes import Seen


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
