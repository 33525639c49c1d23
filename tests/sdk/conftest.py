"""A recording session in memory, a server that speaks every provider's API, and SDKs that are captured."""

from __future__ import annotations

import gc
import os
import warnings
from collections.abc import Iterator

import pytest

import ftnb
from ftnb.core.model import Engagement, EventKind, StepEvent
from ftnb.store.sqlite import SQLiteStore
from tests.conftest import let_lasting_things_be
from tests.sdk.providers import Providers, serving

os.environ.setdefault("LITELLM_LOCAL_MODEL_COST_MAP", "True")


class Recorded:
    """What a test recorded."""

    def __init__(self, store: SQLiteStore) -> None:
        self.store = store

    def engagements(self) -> list[Engagement]:
        found = [self.store.get_engagement(one.id) for one in self.store.list_engagements()]
        return [one for one in found if one is not None]

    def calls(self) -> list[StepEvent]:
        return self.events(EventKind.LLM_CALL)

    def events(self, kind: EventKind) -> list[StepEvent]:
        steps = [step for one in self.engagements() for step in one.steps]
        return [event for step in steps for event in step.events if event.kind is kind]

    def call(self) -> StepEvent:
        gc.collect()
        (only,) = self.calls()
        return only


@pytest.fixture
def recorded() -> Iterator[Recorded]:
    """What is recorded from here on; nothing may have been dropped."""
    store = SQLiteStore()
    session = ftnb.start(store)
    yield Recorded(store)
    session.recorder.flush()
    stats = session.stats()
    ftnb.stop()
    ftnb.uncapture()
    store.close()
    assert stats.dropped == {}, stats


@pytest.fixture(autouse=True)
def no_client_is_left() -> Iterator[None]:
    """Users rarely close an SDK's async client, nor do these tests. What becomes of its connections is the SDK's own
    affair, but is told here, and not in whatever test the garbage collector happens to run in later."""
    yield
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        let_lasting_things_be()


@pytest.fixture
def fake() -> Iterator[Providers]:
    with serving() as providers:
        yield providers
