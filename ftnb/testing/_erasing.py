"""Erasing: every copy goes, and nothing comes back."""

from __future__ import annotations

from ..core.model import EventKind
from ..recorder import Recorder
from ..store.base import LogStore
from ..store.records import EngagementStarted
from ._case import StoreCase, record_run


class ErasingTests(StoreCase):
    """What holds of `purge`."""

    def test_purge_says_whether_there_was_anything(self, store: LogStore) -> None:
        engagement_id = record_run(store)
        assert store.purge(engagement_id) is True
        assert store.purge(engagement_id) is False
        assert store.purge("nope") is False
        store.append(EngagementStarted(engagement_id="nope", name="a purge of nothing buries nothing"))
        assert len(store.read("nope")) == 1

    def test_purge_erases_every_copy(self, store: LogStore) -> None:
        engagement_id, kept = record_run(store, user="secret-canary"), record_run(store, user="kept-canary")
        before = store.get_engagement(kept)
        behind = self.behind(store)
        assert behind is None or b"secret-canary" in behind.everything()
        assert store.purge(engagement_id)
        assert store.read(engagement_id) == []
        assert [s.id for s in store.list_engagements()] == [kept]
        assert store.list_engagements({"user": "secret-canary"}) == []
        for table in (store.scan(["engagement_id"]), store.scan_blobs(), store.scan_streams()):
            assert set(table["engagement_id"].to_pylist()) == {kept}
        assert store.get_engagement(kept) == before
        assert behind is None or (b"secret-canary" not in behind.everything() and b"kept-canary" in behind.everything())

    def test_what_comes_late_is_not_kept(self, store: LogStore) -> None:
        recorder = Recorder(store)
        engagement_id = recorder.start_engagement("e")
        step_id = recorder.start_step(engagement_id, "s")
        recorder.flush()
        store.purge(engagement_id)
        recorder.record_event(step_id, EventKind.LOG, "late", payload={"x": "late-canary " + "y" * 600})
        fine = recorder.start_engagement("fine")
        recorder.flush()
        assert store.read(engagement_id) == []
        assert store.scan_blobs().num_rows == 0
        assert [s.id for s in store.list_engagements()] == [fine]
        recorder.close()

    def test_a_purge_by_another_object_holds_here(self, store: LogStore) -> None:
        other = self.second(store)
        recorder = Recorder(store)
        engagement_id = recorder.start_engagement("e")
        recorder.flush()
        assert other.purge(engagement_id)
        recorder.start_step(engagement_id, "late")
        recorder.flush()
        assert store.read(engagement_id) == other.read(engagement_id) == []
        assert store.list_engagements() == []
        recorder.close()
        other.close()
