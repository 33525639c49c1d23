"""Several stores opened as one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import ftnb
from ftnb.core.errors import InvalidArgumentError, StoreError
from ftnb.store.memory import MemoryStore
from ftnb.store.sqlite import SQLiteStore
from ftnb.testing._case import record_run


@pytest.fixture
def files(tmp_path: Path) -> tuple[Path, Path, list[str]]:
    """Two people's files, recorded in turns, and the engagements in the order in which they began."""
    paths = tmp_path / "ann.db", tmp_path / "bob.db"
    stores = [SQLiteStore(path) for path in paths]
    ids = []
    for k in range(3):
        for who, store in zip(("ann", "bob"), stores, strict=True):
            ids.append(record_run(store, user=who, k=k))
            store.list_engagements()
    for store in stores:
        store.close()
    return *paths, ids


def test_they_are_read_as_one(files: tuple[Path, Path, list[str]], tmp_path: Path) -> None:
    ann, bob, ids = files
    tr = ftnb.open([str(ann), bob])
    assert tr.engagements()["engagement_id"].to_list() == ids
    assert [one.id for one in tr.store.list_engagements(newest=True, limit=2)] == [ids[5], ids[4]]
    assert [one.id for one in tr.store.list_engagements({"user": "bob"}, limit=2)] == [ids[1], ids[3]]
    assert tr.funnel(["step0", "step1"]).frame()["reached"].to_list() == [6, 6]
    one = ftnb.open(bob)
    assert tr.store.get_engagement(ids[1]) == one.store.get_engagement(ids[1])
    assert tr.where(user="bob").events(payload=True).equals(one.events(payload=True))
    assert tr.last().model.id == ids[5]
    assert tr._listed().count("chat") >= 6  # the table of the browser, without a kernel
    again = ftnb.open(tr.to_parquet(tmp_path / "share"))
    assert again.steps().equals(tr.steps())
    assert again.events(payload=True).equals(tr.events(payload=True))
    tr.close()


def test_what_is_in_two_of_them_is_taken_once_from_where_there_is_more(files: tuple[Path, Path, list[str]]) -> None:
    ann, bob, ids = files
    copy = bob.with_name("copy.db")
    ftnb.copy(bob, copy, progress=False)
    grown = ftnb.open(copy)
    grown.engagement(ids[1]).annotate("correct", 1.0)
    for sources in ([ann, bob, copy], [copy, bob, ann]):
        tr = ftnb.open(sources)
        assert sorted(tr.engagements()["engagement_id"]) == sorted(ids)
        assert tr.steps().height == 12
        assert tr.annotations()["value"].to_list() == [1.0]
        assert tr.store.get_engagement(ids[1]) == grown.store.get_engagement(ids[1])
        assert [one.id for one in tr.store.list_engagements({"user": "bob", "k": 0})] == [ids[1]]
        assert tr.store.scan_blobs().num_rows == 6
        tr.close()
    grown.close()


def test_a_stream_that_goes_on_in_one_of_them_is_taken_from_there(tmp_path: Path) -> None:
    store, early = SQLiteStore(tmp_path / "t.db"), tmp_path / "early.db"
    recorder = ftnb.Recorder(store)
    engagement_id = recorder.start_engagement("e")
    recorder.flush()
    ftnb.copy(store, early, progress=False)
    recorder.end_step(recorder.start_step(engagement_id, "later"))
    recorder.close()
    tr = ftnb.open([early, store])
    assert [step.name for step in tr.engagement(engagement_id).model.steps] == ["later"]
    tr.close()
    other = SQLiteStore(early)
    other._write.execute("UPDATE stream SET frontier = zeroblob(length(frontier))")
    with pytest.raises(StoreError, match=f"{engagement_id} has other records in .*altered"):
        ftnb.open([early, store])
    other.close()
    store.close()


def test_what_comes_later_is_seen(files: tuple[Path, Path, list[str]]) -> None:
    ann, bob, ids = files
    tr, store = ftnb.open([ann, bob]), SQLiteStore(ann)
    assert tr.steps().height == 12
    ids.append(record_run(store))
    store.list_engagements()
    assert tr.engagements()["engagement_id"].to_list() == ids
    store.purge(ids[0])
    assert ids[0] not in tr.engagements()["engagement_id"].to_list()
    store.close()
    tr.close()


def test_it_is_read_only(files: tuple[Path, Path, list[str]]) -> None:
    ann, bob, ids = files
    tr = ftnb.open([ann, bob])
    refused: list[Any] = [
        lambda: tr.engagement(ids[0]).annotate("x", 1),
        lambda: tr.store.purge(ids[0]),
        lambda: tr.store.append_entry("gap", {}),
    ]
    for call in refused:
        with pytest.raises(StoreError, match="several stores read as one"):
            call()
    with pytest.raises(StoreError, match="no proofs"):
        tr.audit.head()
    tr.close()


def test_what_cannot_be_opened_is_named_and_nothing_stays_open(files: tuple[Path, Path, list[str]]) -> None:
    ann, _, _ = files
    with pytest.raises(StoreError, match=r"missing\.db"):
        ftnb.open([ann, ann.with_name("missing.db")])
    with pytest.raises(InvalidArgumentError, match="no stores"):
        ftnb.open([])


def test_stores_of_all_kinds(files: tuple[Path, Path, list[str]], tmp_path: Path) -> None:
    ann, bob, ids = files
    memory = MemoryStore()
    other = record_run(memory)
    shared = ftnb.open(bob).to_parquet(tmp_path / "share")
    tr = ftnb.open([ann, shared, memory])
    assert tr.engagements()["engagement_id"].to_list() == [*ids, other]
    tr.close()
    assert memory.list_engagements() != []  # it was not ours to close
