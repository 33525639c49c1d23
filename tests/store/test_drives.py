"""Folders on network drives: recorded on this machine, published whole, never two machines at once."""

from __future__ import annotations

import json
import sqlite3
import time
from contextlib import closing
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest

import ftnb
from ftnb.core.errors import NotOurFileError, StoreError
from ftnb.recorder import Recorder
from ftnb.store import _drives, _sqlite_publish
from ftnb.store._drives import filesystem_of, is_shared
from ftnb.store.records import EngagementStarted
from ftnb.store.sqlite import SQLiteStore


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where this machine keeps its files; publication is by the test alone, or on closing."""
    folder = tmp_path / "local"
    monkeypatch.setenv("FTNB_LOCAL_FOLDER", str(folder))
    monkeypatch.setattr(_sqlite_publish, "_SECONDS", 3_600.0)
    return folder


@pytest.fixture
def drive(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that the system says is mounted from another machine."""
    folder = tmp_path / "my drive"
    folder.mkdir()
    mounts = tmp_path / "mounts"
    at = str(folder).replace(" ", "\\040")
    mounts.write_text(f"/dev/vda / ext4 rw 0 0\nproc /proc proc rw 0 0\nserver:/home {at} nfs4 rw,vers=4.2 0 0\n")
    monkeypatch.setattr(_drives, "MOUNTS", mounts)
    return folder


def _add(store: Any, *names: str) -> None:
    for name in names:
        store.append(EngagementStarted(engagement_id=name, name=name))


def _ids(store: Any) -> list[str]:
    return [s.id for s in store.list_engagements()]


def _published(path: Path) -> list[str]:
    """What another machine sees, which has nothing but the file."""
    assert not Path(f"{path}-wal").exists()
    with closing(sqlite3.connect(f"file:{path}?mode=ro&immutable=1", uri=True)) as raw:
        assert raw.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        return [row[0] for row in raw.execute("SELECT engagement_id FROM engagement ORDER BY eid")]


@pytest.mark.parametrize(
    ("kind", "shared"),
    [("nfs", True), ("cifs", True), ("9p", True), ("fuse.sshfs", True), ("fuse.drive", True), ("fuse", True),
     ("ext4", False), ("tmpfs", False), ("overlay", False), ("fuseblk", False), ("fuse.mergerfs", False)],
)  # fmt: skip
def test_kinds_of_file_systems(kind: str, shared: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mounts = tmp_path / "mounts"
    mounts.write_text(f"/dev/vda / ext4 rw 0 0\nx {tmp_path} {kind} rw 0 0\n")
    monkeypatch.setattr(_drives, "MOUNTS", mounts)
    assert filesystem_of(tmp_path / "sub" / "traces.db") == kind
    assert is_shared(tmp_path / "traces.db") is shared
    assert not is_shared(f"{tmp_path}-beside/traces.db")
    monkeypatch.setenv("FTNB_SHARED_DRIVE", "0" if shared else "1")
    assert is_shared(tmp_path / "traces.db") is not shared


def test_a_system_that_does_not_tell(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_drives, "MOUNTS", tmp_path / "nothing")
    assert not is_shared(tmp_path / "traces.db")
    assert is_shared("\\\\server\\share\\traces.db")


def test_a_file_on_a_drive_is_recorded_here_and_published(drive: Path, here: Path) -> None:
    path = drive / "traces.db"
    store = SQLiteStore(path)
    assert Path(store.path).parent == here
    assert _published(path) == []  # it is there from the beginning
    _add(store, "a", "b")
    assert _published(path) == []
    store.publish()
    assert _published(path) == ["a", "b"]
    _add(store, "c")
    assert _ids(ftnb.open(path).store) == ["a", "b", "c"]  # on this machine at once
    store.close()
    assert _published(path) == ["a", "b", "c"]
    assert sorted(p.name for p in drive.iterdir()) == ["traces.db"]
    again = SQLiteStore(path)
    _add(again, "d")
    again.close()
    assert _published(path) == ["a", "b", "c", "d"]


def test_it_is_published_while_it_changes(drive: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_sqlite_publish, "_SECONDS", 0.01)
    store = SQLiteStore(drive / "traces.db")
    _add(store, "a")
    for _ in range(200):
        if _published(drive / "traces.db") == ["a"]:
            break
        time.sleep(0.05)
    else:
        pytest.fail("it was never published")
    store.close()


def test_what_is_erased_is_erased_on_the_drive_at_once(drive: Path) -> None:
    path = drive / "traces.db"
    store = SQLiteStore(path)
    _add(store, "a", "b")
    store.publish()
    store.purge("a")
    assert _published(path) == ["b"]
    store.close()


def test_a_session_records_on_a_drive(drive: Path) -> None:
    path = drive / "traces.db"
    recorder = Recorder(store := SQLiteStore(path))
    engagement = recorder.start_engagement("e")
    recorder.end_step(recorder.start_step(engagement, "s"))
    recorder.close()
    store.close()
    assert _published(path) == [engagement]


def test_another_machine_is_refused_and_can_read(drive: Path) -> None:
    path = drive / "traces.db"
    store = SQLiteStore(path)
    _add(store, "a")
    store.publish()
    with patch("platform.node", return_value="elsewhere"):
        with pytest.raises(StoreError, match=r"two machines.*traces\.db\.recording"):
            SQLiteStore(path)
        reading = ftnb.open(path).store
        assert _ids(reading) == ["a"]
        with pytest.raises(StoreError):
            _add(reading, "b")
    store.close()
    with patch("platform.node", return_value="elsewhere"):
        SQLiteStore(path).close()


def test_a_file_that_others_have_replaced_is_taken_and_nothing_is_lost(
    drive: Path, here: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = drive / "traces.db"
    store = SQLiteStore(path)
    _add(store, "mine")
    store.close()
    with patch.dict("os.environ", {"FTNB_SHARED_DRIVE": "0"}):
        path.unlink()
        other = SQLiteStore(path)
        _add(other, "theirs")
        other.close()
    again = SQLiteStore(path)
    assert _ids(again) == ["theirs"]
    (kept,) = here.glob("traces-*-*.db")
    assert str(kept) in caplog.text
    ftnb.copy(kept, again, progress=False)
    assert _ids(again) == ["theirs", "mine"]
    again.close()
    path.unlink()  # its owner wants it gone
    fresh = SQLiteStore(path)
    assert _ids(fresh) == []
    fresh.close()


def test_a_drive_that_is_gone_costs_nothing(drive: Path, here: Path) -> None:
    path = drive / "traces.db"
    store = SQLiteStore(path)
    _add(store, "a")
    moved = drive.with_name("unplugged")
    drive.rename(moved)
    _add(store, "b")
    with pytest.raises(StoreError, match="cannot publish"):
        store.publish()
    store.close()
    moved.rename(drive)
    assert (drive / "traces.db.recording").exists()
    again = SQLiteStore(path)
    assert _ids(again) == ["a", "b"]
    _add(again, "c")
    again.close()
    assert _published(path) == ["a", "b", "c"]


def test_a_note_that_is_no_note_is_nobodys(drive: Path) -> None:
    (drive / "traces.db.recording").write_text(json.dumps(["what"]))
    SQLiteStore(drive / "traces.db").close()


def test_foreign_files_on_a_drive_are_left_alone(drive: Path) -> None:
    path = drive / "traces.db"
    path.write_bytes(b"no database at all, but somebody's work")
    with pytest.raises(NotOurFileError):
        SQLiteStore(path)
    assert path.read_bytes() == b"no database at all, but somebody's work"
    with pytest.raises(StoreError, match="no folder"):
        SQLiteStore(drive / "nowhere" / "traces.db")
