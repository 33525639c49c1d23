"""Opening a store by where it is: what is found, and one clear error for each thing that cannot be opened."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

import ftnb
from ftnb.core.errors import InvalidArgumentError, NotOurFileError, SchemaVersionError, StoreError
from ftnb.recorder import Recorder
from ftnb.store._url import open_store
from ftnb.store.sqlite import SQLiteStore


def record_one(path: Path) -> str:
    store = SQLiteStore(path)
    recorder = Recorder(store)
    engagement = recorder.start_engagement("w")
    recorder.end_engagement(engagement)
    recorder.close()
    store.close()
    return engagement


def test_a_file_is_opened_by_path_string_and_url(tmp_path: Path) -> None:
    path = tmp_path / "with space.db"
    engagement = record_one(path)
    for where in (path, str(path), f"sqlite:///{path}".replace(" ", "%20"), f"file:///{str(path).lstrip('/')}"):
        assert [found.id for found in open_store(where).list_engagements()] == [engagement]


def test_opening_never_creates(tmp_path: Path) -> None:
    record_one(tmp_path / "traces.db")
    with pytest.raises(StoreError, match=r"no such file or folder .*never creates one.*in that folder: traces\.db"):
        open_store(tmp_path / "trace.db")
    with pytest.raises(StoreError, match="there is no folder"):
        ftnb.open(tmp_path / "nowhere" / "traces.db")
    assert [found.name for found in tmp_path.glob("*.db")] == ["traces.db"]


def test_what_is_no_trace_is_refused_and_left_as_it_was(tmp_path: Path) -> None:
    empty, text = tmp_path / "empty.db", tmp_path / "notes.db"
    empty.touch()
    text.write_text("dear diary")
    for path, message in ((empty, "is empty"), (text, "is neither an SQLite file nor a Parquet file")):
        before = path.read_bytes()
        with pytest.raises(NotOurFileError, match=message):
            open_store(path)
        assert path.read_bytes() == before
    assert sorted(found.name for found in tmp_path.iterdir()) == ["empty.db", "notes.db"]


def test_a_database_of_another_program_is_left_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "bookmarks.db"
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE bookmark (url TEXT)")
    connection.close()
    before = path.read_bytes()
    with pytest.raises(NotOurFileError, match=r"of another program .*bookmark"):
        open_store(path)
    assert path.read_bytes() == before
    assert [found.name for found in tmp_path.iterdir()] == ["bookmarks.db"]


def test_a_newer_format_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "traces.db"
    record_one(path)
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA user_version = 99")
    connection.close()
    with pytest.raises(SchemaVersionError, match=r"log format 99.*upgrade ftnb"):
        open_store(path)


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("mysql://localhost", "no store for the scheme 'mysql'; known: sqlite:///path"),
        ("sqlite://relative.db", "three slashes"),
        (":memory:", "pass the store object"),
    ],
)
def test_urls_that_cannot_be_opened(url: str, message: str) -> None:
    with pytest.raises(InvalidArgumentError, match=message):
        open_store(url)
