"""Appending: places, order, all or nothing, threads."""

from __future__ import annotations

import threading

import pytest

from ..core.errors import StoreError
from ..core.ids import new_id
from ..core.model import EngagementStatus, EventKind
from ..recorder import Recorder
from ..store.base import LogStore
from ..store.build import event, step_started
from ..store.draft import Stream
from ..store.leaf import NAMES, Tree, leaf_hash
from ..store.records import EngagementEnded, EngagementStarted
from ._case import StoreCase, all_seqs, record_run


class WritingTests(StoreCase):
    """What holds of every append."""

    def test_it_is_a_log_store(self, store: LogStore) -> None:
        assert isinstance(store, LogStore)

    def test_an_appended_record_gets_its_place(self, store: LogStore) -> None:
        first, second = EngagementStarted(engagement_id="e", name="a"), EngagementEnded(engagement_id="e")
        store.append(first)
        store.append(second)
        assert first.seq is not None
        assert second.seq is not None
        assert second.seq > first.seq
        assert (first.n, second.n, first.turn) == (0, 1, 1)
        assert first.stream_id == second.stream_id
        assert [r.seq for r in store.read("e")] == [first.seq, second.seq]

    def test_order_is_seq_and_never_the_clock(self, store: LogStore) -> None:
        stream = Stream(new_id(), "e", turn=1)
        store.append_drafts([step_started(stream, at, f"s{at}", "n") for at in (30, 10, 20)])
        assert [r.step_id for r in store.read("e")] == ["s30", "s10", "s20"]  # type: ignore[attr-defined]
        assert store.scan(["at_us"])["at_us"].to_pylist() == [30, 10, 20]
        assert all_seqs(store) == sorted(set(all_seqs(store)))

    def test_streams_are_dense_and_their_trees_match_the_rows(self, store: LogStore) -> None:
        record_run(store, 5)
        record_run(store, 3)
        rows = store.scan(NAMES).to_pylist()
        streams = store.scan_streams().to_pylist()
        assert len(streams) == 2
        for stream in streams:
            mine = [tuple(row.values()) for row in rows if row["stream_id"] == stream["stream_id"]]
            assert [row[2] for row in mine] == list(range(len(mine)))
            tree = Tree()
            for row in mine:
                tree.append(leaf_hash(row))
            assert (tree.size, tree.to_bytes()) == (stream["size"], stream["frontier"])

    def test_all_or_nothing(self, store: LogStore) -> None:
        behind = self.back_door(store)
        stream = Stream(new_id(), "e", turn=1)
        drafts = [step_started(stream, 1, f"s{i}", "n", state={"x": "y" * 900}) for i in range(3)]
        with behind.failing(), pytest.raises(StoreError):
            store.append_drafts(drafts)
        assert store.read("e") == []
        assert store.scan_blobs().num_rows == 0
        store.append_drafts(drafts)
        records = store.read("e")
        assert [r.n for r in records] == [0, 1, 2]
        assert store.scan_blobs().num_rows == 1

    def test_committing_a_batch_twice_writes_it_once(self, store: LogStore) -> None:
        stream = Stream(new_id(), "e", turn=1)
        batch = store.encode([event(stream, 1, "s", EventKind.LOG, f"x{i}", payload={"y": "y" * 2000}) for i in (1, 2)])
        store.commit(batch)
        before = store.scan_streams().to_pylist()
        store.commit(batch)
        assert [r.n for r in store.read("e")] == [0, 1]
        assert store.scan_blobs().num_rows == 1
        assert store.scan_streams().to_pylist() == before

    def test_a_store_that_fails_for_a_while_gets_everything_once(self, store: LogStore) -> None:
        behind = self.back_door(store)
        recorder = Recorder(store)
        engagement_id = recorder.start_engagement("before")
        assert recorder.flush()
        with behind.failing():
            for i in range(10):
                recorder.start_step(engagement_id, f"s{i}")
            recorder.flush(0.3)
        assert recorder.flush(5)
        engagement = store.get_engagement(engagement_id)
        assert [s.name for s in engagement.steps] == [f"s{i}" for i in range(10)]
        assert engagement.gaps == []
        stats = recorder.stats()
        assert stats.write_errors > 0
        assert (stats.dropped, stats.committed) == ({}, 11)
        recorder.close()

    def test_what_was_recorded_is_read_at_once(self, store: LogStore) -> None:
        recorder = Recorder(store)
        for i in range(20):
            engagement_id = recorder.start_engagement(f"e{i}")
            assert store.get_engagement(engagement_id).name == f"e{i}"
        recorder.close()

    def test_many_threads_lose_nothing(self, store: LogStore) -> None:
        threads = [threading.Thread(target=_work, args=(store,)) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        summaries = store.list_engagements()
        assert len(summaries) == 80
        assert all(s.step_count == 1 and s.status is EngagementStatus.COMPLETED for s in summaries)
        assert all(store.get_engagement(s.id).gaps == [] for s in summaries[:20])

    def test_append_from_many_threads_gives_each_its_own_place(self, store: LogStore) -> None:
        def work(k: int) -> None:
            for _ in range(10):
                store.append(EngagementStarted(engagement_id=f"e{k}", name="x"))

        threads = [threading.Thread(target=work, args=(k % 2,)) for k in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        records = store.read("e0") + store.read("e1")
        assert len({r.seq for r in records}) == 40
        assert len({(r.stream_id, r.n) for r in records}) == 40

    def test_two_objects_on_one_place_share_the_trace(self, store: LogStore) -> None:
        other = self.second(store)
        engagement_id = record_run(store)  # still on the recorder's queue, perhaps
        assert other.url == store.url
        assert len(other.get_engagement(engagement_id).steps) == 2
        recorder = Recorder(other)
        recorder.set_engagement_status(engagement_id, EngagementStatus.ACTIVE)
        assert store.get_engagement(engagement_id).n_turns == 2
        assert store.get_engagement(engagement_id).gaps == []
        recorder.close()
        other.close()

    def test_two_writers_at_once(self, store: LogStore) -> None:
        other = self.second(store)
        threads = [threading.Thread(target=_work, args=(target,)) for target in (store, other, store, other)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(store.list_engagements()) == len(other.list_engagements()) == 40
        seqs = store.scan(["seq"])["seq"].to_pylist()
        assert len(seqs) == len(set(seqs)) == 40 * 6
        other.close()


def _work(store: LogStore) -> None:
    for _ in range(10):
        record_run(store, 1)
