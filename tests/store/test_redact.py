"""Content taken out of a store: it is gone, what is left verifies, and what was there is shown as withheld."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import ftnb
from ftnb.audit._check import check
from ftnb.core.model import EventKind
from ftnb.recorder import Recorder
from ftnb.store.memory import MemoryStore
from ftnb.store.sqlite import SQLiteStore


@pytest.fixture(params=["sqlite", "memory"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Any:
    return SQLiteStore(str(tmp_path / "t.db")) if request.param == "sqlite" else MemoryStore()


def recorded(store: Any) -> str:
    recorder = Recorder(store)
    engagement = recorder.start_engagement("chat", metadata={"email": "ada@example.org"})
    step = recorder.start_step(engagement, "ask")
    recorder.record_event(step, EventKind.LOG, "said", payload={"text": "call ada", "long": "ada " * 400})
    recorder.end_step(step)
    recorder.end_engagement(engagement)
    recorder.close()
    return engagement


def places(store: Any, engagement: str, kind: str) -> list[tuple[str, int]]:
    table = store.scan(["stream_id", "n"], types=(kind,), engagement_id=engagement)
    return list(zip(*(column.to_pylist() for column in table.columns), strict=True))


def test_a_record_and_a_value_are_taken_out_and_the_rest_verifies(store: Any) -> None:
    engagement = recorded(store)
    blobs = store.scan_blobs()["blob_id"].to_pylist()
    n = store.redact(engagement, places(store, engagement, "event_recorded"), blobs, reason="asked", by="dpo")
    assert n == 1 + len(blobs)
    model = store.get_engagement(engagement)
    assert model.gaps == []
    assert model.steps[0].events[0].payload == {"$ftnb": "withheld"}
    assert model.metadata == {"email": "ada@example.org"}
    report = check(store, "it")
    assert (report.ok, report.counts()) == (True, {"redacted": 1})
    assert store.store_entries("redaction")[0]["by"] == "dpo"
    assert ftnb.open(store).events(payload=True)["payload"].to_list() in (['{"$ftnb":"withheld"}'], [None])


def test_redacted_metadata_is_not_found_by_it_either(store: Any) -> None:
    engagement = recorded(store)
    assert len(store.list_engagements({"email": "ada@example.org"})) == 1
    store.redact(engagement, places(store, engagement, "engagement_started"), reason="asked")
    assert store.list_engagements({"email": "ada@example.org"}) == []
    assert store.get_engagement(engagement).metadata == {}
    assert check(store, "it").ok


def test_twice_is_once_and_what_is_not_there_is_nothing(store: Any) -> None:
    engagement = recorded(store)
    at = places(store, engagement, "event_recorded")
    assert store.redact(engagement, at) == 1
    assert store.redact(engagement, at) == 0
    assert store.redact("nobody", [("no", 0)], ["blob"]) == 0
    assert len(store.store_entries("redaction")) == 1


def test_nothing_is_left_in_the_file(tmp_path: Path) -> None:
    store = SQLiteStore(str(tmp_path / "t.db"))
    engagement = recorded(store)
    store.redact(engagement, places(store, engagement, "event_recorded"), store.scan_blobs()["blob_id"].to_pylist())
    store.redact(engagement, places(store, engagement, "engagement_started"))
    store.vacuum()
    store.close()
    for path in tmp_path.iterdir():
        assert b"ada" not in path.read_bytes(), path.name


def test_a_purge_that_was_decided_by_an_older_state_does_not_happen(store: Any) -> None:
    engagement = recorded(store)
    seen: list[tuple[int, int]] = []

    def look(last: int, size: int) -> bool:
        seen.append((last, size))
        return True

    assert not store.purge(engagement, unless=look)
    assert seen == [(5, 1)]
    assert store.get_engagement(engagement).id == engagement
    assert store.purge(engagement, unless=lambda last, size: (last, size) != (5, 1), policy="90d")
    assert store.store_entries("purge")[0]["policy"] == "90d"
    assert check(store, "it").counts() == {"purged": 1}
