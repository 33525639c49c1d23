"""`ftnb.copy` between every two backends: the same hashes, taken up where it stopped, one batch in memory."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest

import ftnb
from ftnb.core.errors import StoreError
from ftnb.core.ids import new_id, now_us
from ftnb.core.model import EngagementStatus, EventKind
from ftnb.recorder import Recorder
from ftnb.store import _copy, _parquet_write
from ftnb.store._copy import copy_store
from ftnb.store._url import make_store
from ftnb.store.build import engagement_ended, engagement_started, event, step_started
from ftnb.store.draft import Stream
from ftnb.store.leaf import NAMES
from ftnb.store.sqlite import SQLiteStore

_KINDS = ["sqlite", "redis", "postgres", "parquet", "memory"]


@pytest.fixture
def new_place(request: pytest.FixtureRequest, tmp_path: Path) -> Any:
    """Makes a URL of a new store of a kind."""

    def make(kind: str) -> str:
        if kind == "redis":
            return f"{request.getfixturevalue('redis_url')}#{new_id()}"
        if kind == "postgres":
            folder = request.getfixturevalue("postgres_dsn").split()[0].partition("=")[2]
            return f"postgresql://postgres@/postgres?host={folder}#t_{new_id()[-12:]}"
        return ":memory:" if kind == "memory" else str(tmp_path / new_id()) + ("/" if kind == "parquet" else ".db")

    return make


def _record(store: Any, n: int, text: str = "long " * 2_000) -> list[str]:
    """Conversations of two turns, with values that are kept apart, odd names and metadata."""
    ids = []
    for i in range(n):
        engagement_id = f"e{i}-{new_id()}"
        first = Stream(new_id(), engagement_id, turn=1)
        metadata = {"user": i % 2, "quote": 'it\'s "q"', "nul": "a\x00b", "none": None}
        drafts = [engagement_started(first, now_us(), f"chat {i} \x00 'é'", metadata=metadata)]
        drafts.append(step_started(first, now_us(), f"s{i}", "step"))
        drafts += [event(first, now_us(), f"s{i}", EventKind.LOG, "x", payload={"k": k, "t": text}) for k in range(3)]
        drafts.append(engagement_ended(first, now_us(), EngagementStatus.COMPLETED))
        store.append_drafts(drafts)
        second = Stream(new_id(), engagement_id, new_turn=True)
        store.append_drafts([event(second, now_us(), f"s{i}", EventKind.LOG, "y", payload={"t": text + str(i)})])
        ids.append(engagement_id)
    return ids


def _content(store: Any) -> Any:
    columns = [name for name in NAMES if name != "seq"]
    rows = store.scan(columns).to_pylist()
    records = sorted(rows, key=lambda row: (row["stream_id"], row["n"]))
    return records, store.scan_streams().to_pylist(), store.scan_blobs().to_pylist()


@pytest.mark.parametrize("target", _KINDS)
@pytest.mark.parametrize("source", _KINDS)
def test_between_any_two(source: str, target: str, new_place: Any) -> None:
    one, other = make_store(new_place(source)), make_store(new_place(target))
    ids = _record(one, 4)
    one.purge(ids[0])
    seen: list[tuple[int, int]] = []
    copied = ftnb.copy(one, other, progress=lambda done, total: seen.append((done, total)))
    assert (copied.engagements, copied.records, copied.unchanged, copied.damaged) == (3, 21, 0, ())  # type: ignore[union-attr]
    assert seen[-1] == (3, 3)
    assert _content(other) == _content(one)
    assert other.list_engagements() == one.list_engagements()
    assert [s.id for s in other.list_engagements({"user": 1, "none": None, "nul": "a\x00b"})] == [ids[1], ids[3]]
    for engagement_id in ids[1:]:
        assert other.get_engagement(engagement_id) == one.get_engagement(engagement_id)
    again = ftnb.copy(one, other, progress=False)
    assert (again.records, again.unchanged) == (0, 3)  # type: ignore[union-attr]
    other.purge(ids[1])
    _record(one, 1)
    grown = ftnb.copy(one, other, progress=False)
    assert (grown.engagements, grown.purged, grown.unchanged) == (1, 1, 2)  # type: ignore[union-attr]
    assert ids[1] not in {s.id for s in other.list_engagements()}
    one.close()
    other.close()


_COPY = """
import os, signal, sys
from ftnb.store import _copy, _parquet_write
from ftnb.store._url import make_store
_copy._ROWS = 10
def die(done, total):
    if done == 7:
        os.kill(os.getpid(), signal.SIGKILL)
_copy.copy_store(make_store(sys.argv[1]), make_store(sys.argv[2]), at=die)
"""


@pytest.mark.parametrize("target", ["sqlite", "redis", "postgres"])
def test_a_killed_copy_goes_on_where_it_stopped(target: str, new_place: Any) -> None:
    source, place = new_place("sqlite"), new_place(target)
    one = make_store(source)
    _record(one, 10, text="short")
    root = str(Path(ftnb.__file__).parents[1])
    environment = {**os.environ, "PYTHONPATH": root}
    killed = subprocess.run([sys.executable, "-c", _COPY, source, place], env=environment, check=False)
    assert killed.returncode == -signal.SIGKILL
    other = make_store(place)
    n_there = len(other.list_engagements())
    assert 0 < n_there < 10
    copied = ftnb.copy(source, place, progress=False)
    assert (copied.unchanged, copied.engagements) == (n_there, 10 - n_there)  # type: ignore[union-attr]
    assert _content(other) == _content(one)
    one.close()
    other.close()


def test_recordings_of_several_files_are_shipped_to_one_server_later(new_place: Any) -> None:
    place = new_place("postgres")
    files = [new_place("sqlite") for _ in range(2)]
    recorded = []
    for path in files:
        store = make_store(path)
        recorded += _record(store, 2)
        store.close()
    for path in (*files, *files):
        ftnb.copy(path, place, progress=False)
    assert [s.id for s in ftnb.open(place).store.list_engagements()] == recorded
    ftnb.verify(place)


def test_no_more_than_a_batch_is_in_memory(tmp_path: Path) -> None:
    one, other = SQLiteStore(tmp_path / "a.db"), SQLiteStore(tmp_path / "b.db")
    _record(one, 12, text="x" * 20_000)
    sizes = []
    commit = other.commit

    def counted(batch: Any) -> None:
        sizes.append(sum(len(blob.data) for blob in batch.blobs))
        commit(batch)

    with (
        patch.object(other, "commit", counted),
        patch.object(_copy, "_BYTES", 60_000),
        patch.object(one, "scan_blobs", side_effect=AssertionError("the whole table of values")),
    ):
        copy_store(one, other)
    assert len(sizes) >= 6
    assert max(sizes) <= 60_000 + 2 * 20_100
    one.close()
    other.close()


@pytest.mark.parametrize("name", ["out", "out.parquet"])
def test_an_export_is_copied_without_holding_all_of_its_values(tmp_path: Path, name: str) -> None:
    one, other = SQLiteStore(tmp_path / "a.db"), SQLiteStore(tmp_path / "b.db")
    ids = _record(one, 6)
    with patch.dict(_parquet_write._ROW_GROUP, {"records": 3, "blobs": 3}):
        ftnb.open(one).to_parquet(tmp_path / name)
    export: Any = ftnb.open(tmp_path / name).store
    assert {blob[0] for blob in export.kept_blobs(ids[0])} == set(one.blobs_of(ids[0]))
    with patch.object(export, "scan_blobs", side_effect=AssertionError("the whole table of values")):
        copy_store(export, other)
    assert _content(other) == _content(one)
    one.close()
    other.close()


def test_a_target_that_changes_what_it_is_given_is_found_out(tmp_path: Path) -> None:
    one, other = SQLiteStore(tmp_path / "a.db"), SQLiteStore(tmp_path / "b.db")
    _record(one, 2)
    trigger = "CREATE TRIGGER t AFTER INSERT ON log BEGIN UPDATE log SET at_us = at_us + 1 WHERE seq = NEW.seq; END"
    other._write.execute(trigger)
    with pytest.raises(StoreError, match="not in the target as it was read"):
        ftnb.copy(one, other, progress=False)
    one.close()
    other.close()


def test_what_was_damaged_before_arrives_as_it_is_and_is_told(tmp_path: Path) -> None:
    one, other = SQLiteStore(tmp_path / "a.db"), SQLiteStore(tmp_path / "b.db")
    ids = _record(one, 3)
    one._write.execute("UPDATE log SET duration_us = 1 WHERE seq = 4")
    one._write.execute("UPDATE log SET salt = x'00' WHERE seq = 10")
    one._write.execute("DELETE FROM log WHERE seq = 16")
    copied = ftnb.copy(one, other, progress=False)
    assert list(copied.damaged) == ids  # type: ignore[union-attr]
    assert _content(other) == _content(one)
    one.close()
    other.close()


def test_a_server_that_goes_away_in_the_middle_is_told_and_the_rest_comes_later(new_place: Any) -> None:
    one, other = make_store(new_place("sqlite")), make_store(new_place("postgres"))
    _record(one, 6, text="short")
    commit, n = other.commit, 0

    def dying(batch: Any) -> None:
        nonlocal n
        n += 1
        if n == 3:
            raise StoreError("the PostgreSQL store: server closed the connection unexpectedly")
        commit(batch)

    with (
        patch.object(_copy, "_ROWS", 7),
        patch.object(other, "commit", dying),
        pytest.raises(StoreError, match="closed the connection"),
    ):
        copy_store(one, other)
    assert copy_store(one, other).unchanged == 2
    assert _content(other) == _content(one)
    one.close()
    other.close()


def test_a_choice_of_engagements_is_copied(tmp_path: Path) -> None:
    with closing(SQLiteStore(tmp_path / "all.db")) as store:
        recorder = Recorder(store)
        for cohort in ("a", "b", "a"):
            recorder.end_engagement(recorder.start_engagement("talk", metadata={"cohort": cohort}))
        recorder.close()
        chosen = ftnb.open(store).where(cohort="a")
        ftnb.copy(chosen, tmp_path / "chosen.db", progress=False)
        with closing(SQLiteStore(tmp_path / "chosen.db")) as copied:
            assert [one.metadata["cohort"] for one in copied.list_engagements()] == ["a", "a"]
