"""The live tail: everything after one came, once, in order, from whichever writer."""

from __future__ import annotations

import asyncio
import threading
import time
from itertools import islice

from ..core.model import EngagementStatus
from ..store.base import LogStore
from ..store.records import EngagementEnded, EngagementStarted
from ._case import StoreCase, record_run

_WAIT = 10


class LiveTests(StoreCase):
    """What holds of `subscribe` and `tail`."""

    def test_subscribers_see_everything_after_they_came(self, store: LogStore) -> None:
        record_run(store, 1)

        async def listen() -> list[int | None]:
            tail = store.subscribe()
            thread = threading.Thread(target=record_run, args=(store, 3))
            thread.start()
            seen = [await asyncio.wait_for(anext(tail), _WAIT) for _ in range(14)]
            thread.join()
            assert [r.type for r in seen[:2]] == ["engagement_started", "step_started"]
            assert seen[-1].type == "engagement_ended"
            return [r.seq for r in seen]

        seqs = asyncio.run(listen())
        assert seqs == store.scan(["seq"])["seq"].to_pylist()[-14:]

    def test_a_subscriber_has_an_appended_record_when_append_returns(self, store: LogStore) -> None:
        tail = store.tail(timeout=0.0)
        assert list(tail) == []
        tails = [store.subscribe() for _ in range(2)]
        record = EngagementStarted(engagement_id="e", name="x")
        store.append(record)

        async def first(k: int) -> object:
            return (await asyncio.wait_for(anext(tails[k]), _WAIT)).seq

        assert [asyncio.run(first(k)) for k in range(2)] == [record.seq] * 2

    def test_tail_is_the_plain_twin(self, store: LogStore) -> None:
        tail = store.tail(timeout=1.0)
        first = threading.Timer(0.05, record_run, args=(store, 1))
        first.start()
        seen = list(tail)
        first.join()
        assert [r.type for r in seen][-1] == "engagement_ended"
        assert len(seen) == 6

    def test_a_subscriber_in_another_loop_and_thread(self, store: LogStore) -> None:
        seen: list[object] = []
        ready = threading.Event()

        async def listen() -> None:
            tail = store.subscribe()
            ready.set()
            seen.extend([(await asyncio.wait_for(anext(tail), _WAIT)).type for _ in range(2)])

        thread = threading.Thread(target=asyncio.run, args=(listen(),))
        thread.start()
        assert ready.wait(_WAIT)
        store.append(EngagementStarted(engagement_id="e", name="x"))
        store.append(EngagementEnded(engagement_id="e", status=EngagementStatus.COMPLETED))
        thread.join()
        assert seen == ["engagement_started", "engagement_ended"]

    def test_what_another_object_writes_is_seen_once(self, store: LogStore) -> None:
        other = self.second(store)
        tail = store.tail(timeout=_WAIT)
        threads = [threading.Thread(target=_append_many, args=(target, k)) for k, target in enumerate((store, other))]
        for thread in threads:
            thread.start()
        seen = [r.seq for r in islice(tail, 60)]
        for thread in threads:
            thread.join()
        other.close()
        assert seen == store.scan(["seq"])["seq"].to_pylist()
        last = EngagementStarted(engagement_id="last", name="x")
        store.append(last)
        assert next(tail).seq == last.seq

    def test_a_subscriber_can_go_on_from_where_it_was(self, store: LogStore) -> None:
        record_run(store, 2)
        seqs = store.scan(["seq"])["seq"].to_pylist()
        tail = store.tail(timeout=0.2, after=seqs[3])
        record_run(store, 1)
        store.revision()
        assert [r.seq for r in tail] == store.scan(["seq"])["seq"].to_pylist()[4:]

    def test_nothing_of_an_engagement_comes_after_its_purge(self, store: LogStore) -> None:
        engagement_id = record_run(store, 1)
        store.purge(engagement_id)
        tail = store.tail(timeout=0.2, after=0)
        kept = record_run(store, 0)
        store.revision()
        assert {r.engagement_id for r in tail} == {kept}

    def test_what_waits_for_a_subscriber_does_not_outlive_its_purge(self, store: LogStore) -> None:
        tail, earlier = store.tail(timeout=0.2), record_run(store, 0)
        resumed = store.tail(timeout=0.2, after=0)
        purged = [record_run(store, k) for k in range(3)]
        assert next(tail).engagement_id == next(resumed).engagement_id == earlier
        store.purge(purged[0])
        for key in purged[1:]:
            store.purge(key)
        assert {r.engagement_id for r in tail} == {r.engagement_id for r in resumed} == {earlier}

    def test_closing_ends_subscriptions(self, store: LogStore) -> None:
        tail = store.tail()
        closer = threading.Timer(0.05, store.close)
        closer.start()
        begun = time.monotonic()
        assert list(tail) == []
        closer.join()
        assert time.monotonic() - begun < 5
        store.close()


def _append_many(store: LogStore, k: int) -> None:
    for i in range(30):
        store.append(EngagementStarted(engagement_id=f"{k}-{i}", name="x"))
