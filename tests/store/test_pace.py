"""The writer leaves the interpreter to an agent that computes; where somebody waits, or much waits, it hurries."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from ftnb.core.errors import StoreError
from ftnb.core.ids import new_id, now_us
from ftnb.core.model import EventKind
from ftnb.recorder import Recorder
from ftnb.store import _pace, _pipeline, build
from ftnb.store._writer import Batch
from ftnb.store.draft import Stream
from ftnb.store.memory import MemoryStore
from ftnb.store.sqlite import SQLiteStore

TEXT = "word " * 300
"""Long enough to be stored once, and referred to."""


@pytest.fixture(params=[MemoryStore, SQLiteStore])
def store(request: pytest.FixtureRequest) -> Iterator[Any]:
    made = request.param()
    yield made
    made.close()


@pytest.fixture
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of the threads that paused, one for each time."""
    found: list[str] = []

    def paused(seconds: float) -> None:
        found.append(threading.current_thread().name)
        time.sleep(seconds)

    clocks = {"perf_counter": time.perf_counter, "process_time": time.process_time}
    monkeypatch.setattr("ftnb.store._pace.time", SimpleNamespace(sleep=paused, **clocks))
    return found


def _shows(monkeypatch: pytest.MonkeyPatch, work: bool) -> None:
    monkeypatch.setattr(_pace.Meter, "shows_work", lambda self: work)


def _committed(recorder: Recorder, n: int) -> None:
    """Wait, but not in `flush`, until `n` records are committed."""
    until = time.monotonic() + 20
    while recorder.stats().committed < n and time.monotonic() < until:
        time.sleep(0.005)
    assert recorder.stats().committed >= n


def _record(recorder: Recorder, n: int) -> str:
    engagement_id = recorder.start_engagement("e")
    step_id = recorder.start_step(engagement_id, "s")
    for i in range(n):
        recorder.record_event(step_id, EventKind.LOG, f"{i}", payload={"i": i, "text": TEXT})
    return engagement_id


def test_beside_an_agent_that_computes_the_writer_works_in_slices(
    store: Any, pauses: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_pace, "_SLICE_SECONDS", 0.0)
    _shows(monkeypatch, work=True)
    recorder = Recorder(store)
    engagement_id = _record(recorder, 200)
    _committed(recorder, 202)
    assert len(pauses) > 10
    assert set(pauses) == {"ftnb-writer"}
    assert [e.payload["i"] for e in store.get_engagement(engagement_id).steps[0].events] == list(range(200))


def test_beside_an_agent_that_waits_it_does_not(store: Any, pauses: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_pace, "_SLICE_SECONDS", 0.0)
    _shows(monkeypatch, work=False)
    recorder = Recorder(store)
    _record(recorder, 50)
    _committed(recorder, 52)
    assert pauses == []


def test_who_waits_in_flush_is_not_kept_waiting_by_pauses(
    store: Any, pauses: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_pace, "_SLICE_SECONDS", 0.0)
    monkeypatch.setattr(_pace, "_PAUSE_SECONDS", 3.0)
    _shows(monkeypatch, work=True)
    recorder, begun = Recorder(store), time.monotonic()
    for _ in range(3):
        _record(recorder, 40)
        assert recorder.flush(2.5)
    assert time.monotonic() - begun < 2.5
    assert pauses == []


def test_appending_oneself_knows_no_pauses(store: Any, pauses: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_pace, "_SLICE_SECONDS", 0.0)
    stream = Stream(new_id(), "e", turn=1)
    store.append_drafts([build.gap(stream, now_us(), "queue_full", i, "x") for i in range(200)])
    assert pauses == []
    assert len(store.read("e")) == 200


def test_a_meter_tells_work_from_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = {"perf_counter": 5.0, "process_time": 1.0}
    clocks = {name: (lambda name=name: clock[name]) for name in clock}
    monkeypatch.setattr("ftnb.store._pace.time", SimpleNamespace(**clocks))
    meter = _pace.Meter()
    clock.update(perf_counter=5.01, process_time=1.001)
    assert not meter.shows_work()
    clock.update(process_time=1.009)
    assert meter.shows_work()


def test_what_has_gathered_is_written_at_once_up_to_a_bound(store: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_pipeline, "_BATCH", 80)
    sizes: list[int] = []
    commit, go = store.commit, threading.Event()

    def held(batch: Batch) -> None:
        go.wait(10)
        sizes.append(len(batch.rows))
        commit(batch)

    monkeypatch.setattr(store, "commit", held)
    recorder = Recorder(store)
    engagement_id = _record(recorder, 298)
    time.sleep(0.1)
    go.set()
    assert recorder.flush(10)
    assert max(sizes) == 80
    assert sum(sizes) == 300
    assert [e.payload["i"] for e in store.get_engagement(engagement_id).steps[0].events] == list(range(298))


def test_a_large_batch_that_is_given_up_takes_no_text_of_later_ones_along(
    store: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_pipeline, "_BATCH", 10)
    commit, failures = store.commit, ["no space left", "disk on fire"]

    def failing(batch: Batch) -> None:
        why = failures.pop(0) if failures else None
        if why == "no space left":
            raise StoreError(why)  # it will be tried again, and then fail for good
        if why is not None:
            raise RuntimeError(why)
        commit(batch)

    monkeypatch.setattr(store, "commit", failing)
    recorder = Recorder(store)
    engagement_id = _record(recorder, 60)
    assert recorder.flush(10)
    stats = recorder.stats()
    assert stats.write_errors == 2
    assert stats.committed + stats.dropped["write_error"] == 62
    events = [record.event for record in store.read(engagement_id) if record.type == "event_recorded"]
    assert events
    assert all(event.payload["text"] == TEXT for event in events)
    assert store.get_engagement(engagement_id).gaps


class _Told(threading.Event):
    """Counts the waits in which nobody said that it is urgent."""

    def __init__(self) -> None:
        super().__init__()
        self.n_rests = 0

    def wait(self, timeout: float | None = None) -> bool:
        said = super().wait(timeout)
        self.n_rests += not said
        return said


def test_who_waits_in_flush_does_not_wait_for_rests_between_batches(
    store: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_pipeline, "_BATCH", 10)
    commit, begun, go = store.commit, threading.Event(), threading.Event()

    def held(batch: Batch) -> None:
        begun.set()
        go.wait(10)
        commit(batch)

    monkeypatch.setattr(store, "commit", held)
    recorder = Recorder(store)
    urgent = recorder.pipeline._writer.urgent = _Told()  # type: ignore[attr-defined]
    _record(recorder, 200)
    assert begun.wait(10)
    waiting = threading.Thread(target=recorder.flush, args=(20,))
    waiting.start()
    assert urgent.wait(10)
    rests = urgent.n_rests
    go.set()
    waiting.join(20)
    assert recorder.stats().pending == 0
    assert urgent.n_rests <= rests + 1  # the one after what they waited for
    assert recorder.flush(10)
    _record(recorder, 5)
    _committed(recorder, 209)
    assert urgent.n_rests > rests, "nobody waits now, and the writer lets records gather again"
