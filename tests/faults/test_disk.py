"""Full disks, locked databases, files that go away: the agent never waits, and nothing is lost silently."""

from __future__ import annotations

import contextlib
import logging
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import ftnb
from ftnb.core.model import EventKind
from ftnb.recorder import Recorder
from ftnb.store.sqlite import SQLiteStore
from tests.capture.shapes import graph_of
from tests.faults.parts import sound, whole

EMPTY: dict[str, list[str]] = {"path": []}
LOCK = """
import sqlite3, sys, time
connection = sqlite3.connect(sys.argv[1], isolation_level=None)
connection.execute("BEGIN IMMEDIATE")
print("locked", flush=True)
time.sleep(float(sys.argv[2]))
connection.execute("ROLLBACK")
"""


def record(recorder: Recorder, n: int) -> tuple[str, float]:
    """An engagement of n events of 2 kB; its id, and the longest that one call took, in seconds."""
    engagement_id = recorder.start_engagement("e")
    step_id = recorder.start_step(engagement_id, "s")
    longest = 0.0
    for i in range(n):
        begun = time.perf_counter()
        recorder.record_event(step_id, EventKind.LOG, f"x{i}", payload={"i": i, "text": os.urandom(1_000).hex()})
        longest = max(longest, time.perf_counter() - begun)
    recorder.end_step(step_id)
    recorder.end_engagement(engagement_id)
    return engagement_id, longest


@contextlib.contextmanager
def locked(path: Path, seconds: float) -> Iterator[None]:
    """Another process holds the database's write lock for `seconds`, or until the block ends."""
    with subprocess.Popen([sys.executable, "-c", LOCK, str(path), str(seconds)], stdout=subprocess.PIPE) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == b"locked\n"
        yield
        other.wait(seconds + 10)


def small_pages(folder: Path) -> Iterator[tuple[SQLiteStore, Callable[[], Any]]]:
    """A database that may not grow, until it may."""
    store = SQLiteStore(folder / "t.db")
    store._write.execute("PRAGMA max_page_count=60")
    yield store, lambda: store._write.execute("PRAGMA max_page_count=1000000")
    store.close()


def small_disk(folder: Path) -> Iterator[tuple[SQLiteStore, Callable[[], Any]]]:
    """A file system of 2 MB, most of which is taken by another file, until that is gone."""
    disk = folder / "disk"
    disk.mkdir()
    mounted = shutil.which("mount") and os.geteuid() == 0
    if not mounted or subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(disk)]).returncode:
        pytest.skip("a small file system cannot be mounted here")
    try:
        store = SQLiteStore(disk / "t.db")
        ballast = disk / "ballast"
        ballast.write_bytes(bytes(1_400_000))
        yield store, ballast.unlink
        store.close()
    finally:
        subprocess.run(["umount", "-l", str(disk)], check=True)


@pytest.fixture(params=[small_pages, small_disk])
def full(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[SQLiteStore, Callable[[], Any]]]:
    yield from request.param(tmp_path)


def test_a_full_disk_holds_records_up_and_loses_none(
    full: tuple[SQLiteStore, Callable[[], Any]], caplog: pytest.LogCaptureFixture
) -> None:
    store, free = full
    recorder = Recorder(store)
    record(recorder, 5)
    assert recorder.flush(10)
    with caplog.at_level(logging.WARNING):
        second, longest = record(recorder, 400)
        assert longest < 0.1, "the caller waits for no disk"
        assert recorder.flush(1) is False
        stats = recorder.stats()
        assert stats.write_errors > 0
        assert "full" in (stats.last_error or "") or "I/O" in (stats.last_error or "")
        assert len([r for r in caplog.records if r.name == "ftnb"]) == 1
    free()
    assert recorder.flush(20)
    assert len(store.get_engagement(second).steps[0].events) == 400
    stats = recorder.stats()
    assert (stats.dropped, stats.accepted) == ({}, stats.committed)
    whole(store)
    recorder.close()


def test_a_store_that_stays_full_at_the_end_says_what_is_lost(tmp_path: Path) -> None:
    script = """
import sys
from ftnb.recorder import Recorder
from ftnb.store.sqlite import SQLiteStore
store = SQLiteStore(sys.argv[1])
recorder = Recorder(store)
recorder.start_engagement("kept")
assert recorder.flush(10)
store._write.execute("PRAGMA max_page_count=1")
recorder.start_step(recorder.start_engagement("lost"), "s", state={"text": "x" * 100_000})
"""
    begun = time.monotonic()
    ran = subprocess.run([sys.executable, "-c", script, str(tmp_path / "t.db")], capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr
    assert time.monotonic() - begun < 15
    assert "full" in ran.stderr
    store = SQLiteStore(tmp_path / "t.db")
    assert [s.name for s in store.list_engagements()] == ["kept"]
    store.close()
    sound(tmp_path / "t.db")


@pytest.mark.parametrize("seconds", [3.0, 6.5])
def test_a_database_locked_by_another_process(tmp_path: Path, seconds: float) -> None:
    session = ftnb.start(tmp_path / "t.db")
    app = graph_of("^>a", "a>b").compile()
    expected = app.invoke(EMPTY)
    session.recorder.flush()
    longest, runs = 0.0, 0
    with locked(tmp_path / "t.db", seconds):
        until = time.monotonic() + seconds - 1
        while time.monotonic() < until:
            begun = time.monotonic()
            assert app.invoke(EMPTY) == expected
            longest, runs = max(longest, time.monotonic() - begun), runs + 1
            time.sleep(0.01)
        stats = session.stats()
        assert stats.pending > 0, "what waits can be seen"
        assert stats.stalled_s > 0.5
    assert longest < 1, "the agent does not wait for the lock"
    assert session.recorder.flush(20)
    stats = session.stats()
    assert (stats.pending, stats.dropped) == (0, {})
    if seconds > 5:
        assert "locked" in (stats.last_error or "")
    store: Any = session.store
    assert [s.step_count for s in store.list_engagements()] == [2] * (runs + 1)
    whole(store)
    ftnb.stop()


@pytest.mark.parametrize("fate", ["deleted", "replaced", "deleted with its folder"])
def test_a_file_that_goes_away(tmp_path: Path, fate: str, caplog: pytest.LogCaptureFixture) -> None:
    folder = tmp_path / "traces"
    folder.mkdir()
    path = folder / "t.db"
    store = SQLiteStore(path)
    recorder = Recorder(store)
    ended, _ = record(recorder, 1)
    going_on = recorder.start_engagement("going on", metadata={"user": "u"})
    for i in range(20):
        recorder.end_step(recorder.start_step(going_on, f"s{i}", state={"text": "x" * 2_000}))
    recorder.flush()
    if fate == "replaced":
        other = SQLiteStore(folder / "other.db")
        record(Recorder(other), 1)
        other.close()
        for name in ("t.db", "t.db-wal", "t.db-shm"):
            (folder / name).unlink(missing_ok=True)
        (folder / "other.db").rename(path)
    else:
        shutil.rmtree(folder)
    with caplog.at_level(logging.WARNING):
        recorder.end_step(recorder.start_step(going_on, "s20", state={"text": "x" * 2_000}))
        if fate == "deleted with its folder":
            assert recorder.flush(0.5) is False
            assert "no folder" in (recorder.stats().last_error or "")
            folder.mkdir()
        elif fate == "deleted":
            folder.mkdir()
        assert recorder.flush(10)
    assert any("deleted or replaced" in r.message for r in caplog.records)
    store.close()
    again = SQLiteStore(path)
    engagement = again.get_engagement(going_on)
    assert [step.name for step in engagement.steps] == [f"s{i}" for i in range(21)]
    assert engagement.metadata == {"user": "u"}
    assert ended not in {s.id for s in again.list_engagements()}, "what had ended went with the file"
    assert len(again.list_engagements(where={"user": "u"})) == 1
    assert [entry["reason"] for entry in again.store_entries("gap")] == ["file_replaced"]
    whole(again)
    again.close()
    sound(path)


def test_a_file_replaced_by_something_else_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "t.db"
    store = SQLiteStore(path)
    recorder = Recorder(store)
    engagement_id = recorder.start_engagement("e")
    recorder.flush()
    path.unlink()
    path.write_text("a letter of the user's, which is no database, and long enough to look like one" * 20)
    recorder.start_step(engagement_id, "s")
    assert recorder.flush(0.7) is False
    assert "is not an SQLite file" in (recorder.stats().last_error or "")
    assert path.read_text().startswith("a letter")
    path.unlink()
    assert recorder.flush(10)
    assert recorder.stats().dropped == {}
    store.close()
    again = SQLiteStore(path)
    assert [step.name for step in again.get_engagement(engagement_id).steps] == ["s"]
    again.close()
