"""Frames that follow a store as it grows are those that are computed from all of it."""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

import ftnb
from ftnb.frames import Frames
from ftnb.frames.schema import TABLES
from ftnb.store.memory import MemoryStore
from tests.frames.test_agrees_with_fold import records

FRAMES = [name for name in TABLES if name not in ("engagements", "events")]


@given(
    logs=st.lists(st.lists(records, max_size=8), min_size=2, max_size=4),
    asked=st.lists(st.sampled_from(sorted(TABLES)), max_size=3),
    purge=st.booleans(),
)
@settings(max_examples=60, deadline=None)
def test_a_store_that_grows(logs: list[list[Any]], asked: list[str], purge: bool) -> None:
    store = MemoryStore()
    traces = ftnb.open(store)
    for log in logs:
        for record in log:
            store.append(record.model_copy(update={"seq": None, "stream_id": None, "n": None}))
        for name in asked:
            getattr(traces, name)()
    if purge:
        store.purge("e1")
    anew = Frames(store)
    assert traces.engagements().equals(anew.engagements())
    assert traces.events().equals(anew.events())
    assert traces.events(payload=True).equals(anew.events(payload=True))
    for name in FRAMES:
        assert getattr(traces, name)().equals(getattr(anew, name)), name


def test_what_is_redacted_shows_at_once() -> None:
    store = MemoryStore()
    traces = ftnb.open(store)
    ftnb.Recorder(store).start_engagement("chat", metadata={"user": "ada"})
    assert traces.engagements()["metadata"].to_list() == ['{"user":"ada"}']
    where = store.scan(["engagement_id", "stream_id", "n"]).to_pylist()[0]
    store.redact(where["engagement_id"], [(where["stream_id"], where["n"])])
    assert traces.engagements()["metadata"].to_list() == ["{}"]
