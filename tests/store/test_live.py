"""Subscribers that are slow, gone, or late."""

from __future__ import annotations

import gc
from itertools import islice

import pytest

from ftnb.store import _live
from ftnb.store.memory import MemoryStore
from ftnb.store.records import EngagementStarted, GapRecorded


def _append(store: MemoryStore, n: int, first: int = 0) -> None:
    for i in range(first, first + n):
        store.append(EngagementStarted(engagement_id="e", name=str(i)))


def test_a_slow_subscriber_is_told_how_much_it_missed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_live, "MAX_WAITING", 5)
    store = MemoryStore()
    slow, slower = store.subscribe(), store.subscribe()
    _append(store, 8)
    first = [r.seq for r in islice(slow.until(0), 5)]
    assert first == [1, 2, 3, 4, 5]
    _append(store, 2, first=8)
    told, *rest = slow.until(0)
    assert isinstance(told, GapRecorded)
    assert (told.reason, told.count) == ("slow_subscriber", 3)
    assert [r.seq for r in rest] == [9, 10]
    assert [r.seq for r in store.tail(timeout=0, after=5)] == [6, 7, 8, 9, 10]
    *kept, last = slower.until(0)  # told as soon as it has read the rest, also when nothing more comes
    assert [r.seq for r in kept] == [1, 2, 3, 4, 5]
    assert isinstance(last, GapRecorded)
    assert last.count == 5
    store.close()


def test_a_subscriber_that_is_gone_is_forgotten() -> None:
    store = MemoryStore()
    gone = store.subscribe()
    assert len(store._feed._subscribers) == 1
    del gone
    gc.collect()
    assert len(store._feed._subscribers) == 0
    store.close()


def test_subscribing_to_a_closed_store_ends_at_once() -> None:
    store = MemoryStore()
    store.close()
    assert list(store.tail()) == []
