"""A recording session in memory for every test that asks for one."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

import ftnb
from ftnb.store.sqlite import SQLiteStore
from tests.debug import graphs


@pytest.fixture
def store() -> Iterator[SQLiteStore]:
    """What is recorded from here on; nothing may have been dropped."""
    opened = SQLiteStore()
    session = ftnb.start(opened)
    graphs.ran.clear()
    yield opened
    stats = session.stats()
    ftnb.stop()
    opened.close()
    assert stats.dropped == {}, stats
