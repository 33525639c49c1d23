"""Exports in object stores, through fsspec's file system in memory."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import fsspec
import pytest

import ftnb
from ftnb.core.errors import (
    FtnbError,
    InvalidArgumentError,
    MissingPackageError,
    NotOurFileError,
    SchemaVersionError,
    StoreError,
)
from ftnb.store._remote import RemotePath
from ftnb.store.parquet import ParquetStore
from ftnb.testing._case import record_run


@pytest.fixture
def bucket() -> Iterator[Any]:
    """An empty file system in memory."""
    filesystem = fsspec.filesystem("memory")
    filesystem.store.clear()
    filesystem.pseudo_dirs[:] = [""]
    yield filesystem
    filesystem.store.clear()


@pytest.fixture
def store(tmp_path: Path) -> Iterator[ParquetStore]:
    """Three engagements, published."""
    made = ParquetStore(tmp_path / "traces")
    for k in range(3):
        record_run(made, k=k)
    made.publish()
    yield made
    made.close()


@pytest.mark.parametrize("url", ["memory://bucket/share", "memory://bucket/share/", "memory://bucket/one.parquet"])
def test_an_export_is_written_and_read_there(store: ParquetStore, bucket: Any, url: str) -> None:
    tr = ftnb.open(store)
    for _ in range(2):  # also over an earlier one
        assert str(tr.to_parquet(url)) == url.rstrip("/")
    there = ftnb.open(url)
    assert there.steps().equals(tr.steps())
    assert there.events(payload=True).equals(tr.events(payload=True))
    assert there.last().model == tr.last().model
    assert ftnb.verify(url)
    with pytest.raises(StoreError, match="read-only"):
        there.last().annotate("x", 1)


def test_what_was_published_of_a_folder_is_read_there(store: ParquetStore, bucket: Any, tmp_path: Path) -> None:
    tr = ftnb.open(store)
    bucket.put(str(store.folder), "/bucket/live", recursive=True)
    there = ftnb.open("memory://bucket/live")
    assert there.steps().equals(tr.steps())
    assert there.last().model == tr.last().model
    assert ftnb.verify("memory://bucket/live")
    assert ftnb.copy(there, tmp_path / "copied.db", progress=False).engagements == tr.engagements().height
    text = bucket.cat("/bucket/live/manifest.json").decode()
    bucket.pipe("/bucket/live/manifest.json", text[: len(text) // 2].encode())
    with pytest.raises(NotOurFileError, match=r"manifest\.json.*torn"):
        ftnb.open("memory://bucket/live")
    bucket.pipe("/bucket/live/manifest.json", text.replace('"layout": 1', '"layout": 99').encode())
    with pytest.raises(SchemaVersionError, match="layout 99"):
        ftnb.open("memory://bucket/live")


def test_a_copy_goes_there(store: ParquetStore, bucket: Any) -> None:
    assert str(ftnb.copy(store, "memory://bucket/copy", progress=False)) == "memory://bucket/copy"
    assert ftnb.open("memory://bucket/copy").engagements().height == 3


def test_an_export_that_broke_off_is_told_and_can_be_written_again(
    store: ParquetStore, bucket: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    url, upload = "memory://bucket/share", RemotePath.upload

    def break_off(self: RemotePath, file: Path) -> None:
        if self.stem == "records":
            raise StoreError("the connection is gone")
        upload(self, file)

    monkeypatch.setattr(RemotePath, "upload", break_off)
    with pytest.raises(StoreError, match="gone"):
        ftnb.open(store).to_parquet(url)
    with pytest.raises(FtnbError, match=r"no records\.parquet|no such file"):  # the records come last
        ftnb.open(url)
    monkeypatch.undo()
    ftnb.open(store).to_parquet(url)
    record_run(store, k=3)
    monkeypatch.setattr(RemotePath, "upload", break_off)
    with pytest.raises(StoreError, match="gone"):
        ftnb.open(store).to_parquet(url)
    with pytest.raises(FtnbError):  # old records, and the rest of the new ones
        ftnb.verify(url)
    monkeypatch.undo()
    ftnb.open(store).to_parquet(url)
    assert ftnb.open(url).engagements().height == 4
    assert ftnb.verify(url)


def test_what_is_there_already_is_left_alone(store: ParquetStore, bucket: Any) -> None:
    bucket.pipe("/bucket/theirs/thesis.txt", b"chapter 1")
    bucket.pipe("/bucket/theirs.parquet", b"PAR1")
    for url in ("memory://bucket/theirs", "memory://bucket/theirs.parquet"):
        with pytest.raises(StoreError, match="no export of ftnb"):
            ftnb.open(store).to_parquet(url)
    assert bucket.cat("/bucket/theirs/thesis.txt") == b"chapter 1"


def test_errors_say_what_to_do(bucket: Any, tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="no such file"):
        ftnb.open("memory://bucket/none")
    with pytest.raises(InvalidArgumentError, match="'nope'"):
        ftnb.open("nope://bucket")
    with pytest.raises(InvalidArgumentError, match="to_parquet"):
        ftnb.start("memory://bucket/traces")
    try:
        import s3fs  # noqa: F401
    except ImportError:
        with pytest.raises(MissingPackageError, match=r"ftnb\[cloud\]"):
            ftnb.open("s3://bucket/share")
    bucket.pipe("/bucket/x.parquet", b"PAR1 and then nothing")
    with pytest.raises(NotOurFileError, match="damaged"):
        ftnb.open("memory://bucket/x.parquet")
