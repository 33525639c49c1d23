from __future__ import annotations

from collections.abc import Iterator

import pytest

from ftnb.recorder import Recorder
from ftnb.registry import REGISTER
from ftnb.store.sqlite import SQLiteStore


@pytest.fixture
def store() -> Iterator[SQLiteStore]:
    store = SQLiteStore()
    yield store
    store.close()


@pytest.fixture
def recorder(store: SQLiteStore) -> Iterator[Recorder]:
    recorder = Recorder(store)
    yield recorder
    recorder.close()


@pytest.fixture(autouse=True)
def no_defaults() -> Iterator[None]:
    REGISTER.reset()
    yield
    REGISTER.reset()
