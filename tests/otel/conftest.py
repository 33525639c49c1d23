"""A recording session in memory, and a tracer whose spans it sees."""

from __future__ import annotations

import warnings
from collections.abc import Iterator

import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.trace import Tracer

import ftnb
import ftnb.otel
from ftnb.store.sqlite import SQLiteStore
from tests.capture.shapes import Seen
from tests.conftest import let_lasting_things_be


@pytest.fixture(autouse=True)
def _foreign_loops_are_collected() -> Iterator[None]:
    """Other frameworks leave event loops open; collected here, they are not told to whichever test comes next."""
    yield
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        let_lasting_things_be()


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


@pytest.fixture
def provider() -> Iterator[TracerProvider]:
    """A provider of this test alone."""
    made = TracerProvider(shutdown_on_exit=False)
    made.add_span_processor(ftnb.otel.SpanProcessor())
    yield made
    made.shutdown()


@pytest.fixture
def tracer(provider: TracerProvider) -> Tracer:
    """Makes spans."""
    return provider.get_tracer("test")
