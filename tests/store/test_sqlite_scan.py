"""Whole columns of a SQLite log: the same cells as row by row, whatever they hold."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ftnb.core.ids import new_id
from ftnb.core.model import EventKind
from ftnb.store import _sqlite_columns, build
from ftnb.store.draft import Draft, Stream
from ftnb.store.leaf import COLUMNS
from ftnb.store.sqlite import SQLiteStore

PLAIN = ["seq", *(column.name for column in COLUMNS if column.dtype != "bytes")]
texts = st.text(max_size=20) | st.sampled_from(['"', "\\", "\n,\r\t", "null", "[]", "é\U0001f600", "\x00\ud800"])


@given(
    names=st.lists(st.tuples(texts, st.none() | texts, st.none() | st.integers(-(2**63), 2**63 - 1)), max_size=12),
    piece=st.sampled_from([1, 3, 65_536]),
    after=st.integers(0, 5),
)
def test_packed_columns_equal_the_rows(names: Any, piece: int, after: int) -> None:
    store = SQLiteStore()
    stream = Stream("st", "e", turn=1)
    drafts = []
    for i, (name, model, duration) in enumerate(names):
        drafts.append(build.step_started(stream, i, f"s{i}", name))
        drafts.append(build.event(stream, i, f"s{i}", EventKind.LOG, name, model=model, duration_us=duration))
    store.append_drafts(drafts)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_sqlite_columns, "_PIECE", piece)
        for types in ((), ("step_started",)):
            # With a column of bytes, rows are fetched one by one.
            expected = store.scan([*PLAIN, "body"], types=types, after=after).drop_columns(["body"])
            assert store.scan(PLAIN, types=types, after=after).equals(expected)
        wanted = [(PLAIN, ("event_recorded", "step_started")), (["seq", "name"], ("step_ended",))]
        whole, none = store.scan_parts(wanted).frames
        ids = store.scan_parts(wanted).ids
    keyed = [pl.col(name).replace_strict(list(range(len(ids[name]))), ids[name], default=None) for name in ids]
    assert whole.with_columns(keyed).to_dicts() == store.scan(PLAIN).to_pylist()
    assert none.is_empty()
    store.close()


@pytest.mark.parametrize("n_connections", [1, 3])
def test_a_scan_gives_one_state_of_the_store(tmp_path: Path, n_connections: int) -> None:
    """A purge by another process between two pieces must not show a half of an engagement."""
    path = tmp_path / "t.db"
    store = SQLiteStore(path)
    stream = Stream("st", "e", turn=1)
    store.append_drafts([build.step_started(stream, i, f"s{i}", "a") for i in range(10)])
    code = "import sys; from ftnb.store.sqlite import SQLiteStore; assert SQLiteStore(sys.argv[1]).purge('e')"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_sqlite_columns, "_PIECE", 2)
        patch.setattr("ftnb.store._sqlite_pieces.os.cpu_count", lambda: n_connections)
        pieces = iter(range(10))
        columns = _sqlite_columns._columns

        def slow(*arguments: Any) -> Any:
            if next(pieces) == 1:
                subprocess.run([sys.executable, "-c", code, str(path)], check=True, timeout=60)
            return columns(*arguments)

        patch.setattr(_sqlite_columns, "_columns", slow)
        assert store.scan(["seq"]).num_rows == 10
    assert store.scan(["seq"]).num_rows == 0
    store.close()


def _event(stream: Stream, i: int) -> Draft:
    return build.event(stream, i, "s", EventKind.LOG, "a", payload={"key": i})


def test_several_connections_see_one_state_while_engagements_come_and_go(tmp_path: Path) -> None:
    """Each engagement is written and purged whole, so no scan may find a part of one."""
    store = SQLiteStore(tmp_path / "t.db")
    stop = threading.Event()

    def churn() -> None:
        writer = SQLiteStore(tmp_path / "t.db")
        while not stop.is_set():
            stream = Stream(new_id(), new_id(), turn=1)
            writer.append_drafts([_event(stream, i) for i in range(10)])
            writer.purge(stream.engagement_id)
        writer.close()

    for k in range(20):
        stream = Stream(f"st{k}", f"e{k}", turn=1)
        store.append_drafts([_event(stream, i) for i in range(10)])
    thread = threading.Thread(target=churn)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_sqlite_columns, "_PIECE", 7)
        patch.setattr("ftnb.store._sqlite_pieces.os.cpu_count", lambda: 3)
        thread.start()
        try:
            for _ in range(12):
                for found in (
                    store.scan(["engagement_id", "n"]),
                    store.scan(["engagement_id", "n", "body"], containing=[b'"key"']),
                ):
                    rows = [(row["engagement_id"], row["n"]) for row in found.to_pylist()]
                    assert rows[:200] == [(f"e{k}", i) for k in range(20) for i in range(10)]
                    assert rows[200:] == [(rows[200][0], i) for i in range(10)] if rows[200:] else True
        finally:
            stop.set()
            thread.join()
    store.close()


def test_a_file_that_was_put_in_the_place_of_the_store_is_not_mixed_with_it(tmp_path: Path) -> None:
    path, other = tmp_path / "t.db", tmp_path / "other.db"
    for place, name in ((path, "mine"), (other, "theirs")):
        store = SQLiteStore(place)
        store.append_drafts([build.step_started(Stream("st", "e", turn=1), i, f"s{i}", name) for i in range(10)])
        store.close()
    store = SQLiteStore(path, read_only=True)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_sqlite_columns, "_PIECE", 2)
        patch.setattr("ftnb.store._sqlite_pieces.os.cpu_count", lambda: 3)
        assert set(store.scan(["name"])["name"].to_pylist()) == {"mine"}
        os.replace(other, path)
        assert set(store.scan(["name"])["name"].to_pylist()) == {"mine"}
    store.close()


def test_a_scan_leaves_the_locks_of_the_store_alone(tmp_path: Path) -> None:
    """While a batch is being written, nobody else can write, also after a frame was read in between."""
    path = tmp_path / "t.db"
    store = SQLiteStore(path)
    store.append_drafts([build.step_started(Stream("st", "e", turn=1), 1, "s", "a")])
    with sqlite3.connect(path, isolation_level=None) as writer:
        writer.execute("BEGIN IMMEDIATE")
        assert store.scan(PLAIN).num_rows == 1
        code = (
            "import sqlite3, sys; c = sqlite3.connect(sys.argv[1], timeout=0.1, isolation_level=None);"
            "c.execute('BEGIN IMMEDIATE')"
        )
        other = subprocess.run([sys.executable, "-c", code, str(path)], capture_output=True, text=True, timeout=60)
        assert "database is locked" in other.stderr
        writer.execute("ROLLBACK")
    writer.close()
    store.close()
