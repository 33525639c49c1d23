"""An export is read and written some engagements at a time; nobody can tell from what is in it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

import ftnb
from ftnb.core.errors import InvalidArgumentError
from ftnb.store import _parquet_batches, _parquet_rows
from ftnb.store.memory import MemoryStore
from ftnb.store.parquet import ParquetStore
from ftnb.store.sqlite import SQLiteStore
from ftnb.testing._case import record_run
from ftnb.traces import Traces

N = 7


def _half_published(path: Path) -> ParquetStore:
    store = ParquetStore(path)
    for k in range(3):
        record_run(store, k=k)
    store.publish()
    return store


MADE: dict[str, Callable[[Path], Any]] = {
    "sqlite": lambda folder: SQLiteStore(folder / "t.db"),
    "memory": lambda folder: MemoryStore(),
    "parquet": lambda folder: _half_published(folder / "traces"),
}


@pytest.fixture(params=sorted(MADE))
def tr(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Traces]:
    store = MADE[request.param](tmp_path)
    for k in range(N):
        record_run(store, k=k)
    yield ftnb.open(store)
    store.close()


def one_by_one(patched: pytest.MonkeyPatch) -> None:
    """Each engagement is a batch."""
    patched.setattr(_parquet_batches, "_BATCH_BYTES", 1)


def contents(path: Path) -> dict[str, bytes]:
    files = [path] if path.is_file() else sorted(path.iterdir())
    return {file.name if file is not path else "": file.read_bytes() for file in files}


@pytest.mark.parametrize("name", ["share", "one.parquet"])
@pytest.mark.parametrize("less", [False, True])
def test_files_are_the_same_however_many_are_read_at_once(
    tr: Traces, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, less: bool
) -> None:
    chosen = [_some_key(tr)] if less else []
    whole = contents(tr.to_parquet(tmp_path / name, withhold=chosen))
    one_by_one(monkeypatch)
    assert contents(tr.to_parquet(tmp_path / name, withhold=chosen)) == whole
    assert ftnb.open(tmp_path / name).engagements().height == tr.engagements().height


def _some_key(tr: Traces) -> str:
    return next(key for one in tr.store.list_engagements() for key in one.metadata)


def test_a_choice_of_engagements_is_written_one_by_one_too(
    tr: Traces, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = _some_key(tr)
    first = tr.store.list_engagements()[0]
    some = tr.where(**{key: first.metadata[key]})
    whole = contents(some.to_parquet(tmp_path / "share"))
    one_by_one(monkeypatch)
    assert contents(some.to_parquet(tmp_path / "share")) == whole
    assert first.id in ftnb.open(tmp_path / "share").engagements()["engagement_id"]


@pytest.fixture
def sqlite(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Traces]:
    one_by_one(monkeypatch)
    with closing(SQLiteStore(tmp_path / "t.db")) as store:
        for k in range(N):
            record_run(store, k=k)
        yield ftnb.open(store)


def test_an_export_never_holds_the_whole_log(sqlite: Traces, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = list[int]()
    read = SQLiteStore.scan_engagements

    def counted(self: SQLiteStore, ids: Any) -> Any:
        asked.append(len(ids))
        return read(self, ids)

    monkeypatch.setattr(SQLiteStore, "scan_engagements", counted)
    monkeypatch.setattr(SQLiteStore, "scan", None)
    monkeypatch.setattr(SQLiteStore, "scan_blobs", None)
    monkeypatch.setattr(SQLiteStore, "scan_parts", None)
    sqlite.to_parquet(tmp_path / "share")
    assert asked == [1] * N


def test_row_groups_of_large_values_end_early(sqlite: Traces, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = sqlite.to_parquet(tmp_path / "whole")
    monkeypatch.setattr(_parquet_rows, "_MAX_GROUP_BYTES", 10)
    parts = sqlite.to_parquet(tmp_path / "parts")
    for name in ("records", "blobs", "events"):
        one, other = (pq.ParquetFile(path / f"{name}.parquet") for path in (whole, parts))
        assert other.metadata.num_row_groups > one.metadata.num_row_groups == 1
        assert one.read().equals(other.read())
    assert ftnb.verify(parts).ok


def test_an_export_that_is_stopped_leaves_what_was_there(
    sqlite: Traces, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = contents(sqlite.to_parquet(tmp_path / "share"))
    read, n = SQLiteStore.scan_engagements, iter(range(N))

    def stopped(self: SQLiteStore, ids: Any) -> Any:
        if next(n) == 3:
            raise KeyboardInterrupt
        return read(self, ids)

    monkeypatch.setattr(SQLiteStore, "scan_engagements", stopped)
    with pytest.raises(KeyboardInterrupt):
        sqlite.to_parquet(tmp_path / "share")
    assert contents(tmp_path / "share") == before
    assert not list(tmp_path.glob(".share*"))


def test_what_is_purged_meanwhile_is_not_in_it(sqlite: Traces, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ids = sorted(one.id for one in sqlite.store.list_engagements())
    read, n = SQLiteStore.scan_engagements, iter(range(10 * N))

    def purging(self: SQLiteStore, wanted: Any) -> Any:
        if next(n) == 3:
            self.purge(ids[0])
        return read(self, wanted)

    monkeypatch.setattr(SQLiteStore, "scan_engagements", purging)
    found = ftnb.open(sqlite.to_parquet(tmp_path / "share"))
    assert sorted(found.engagements()["engagement_id"]) == ids[1:]
    assert ftnb.verify(tmp_path / "share").ok


def test_what_is_withheld_may_be_in_one_engagement_only(sqlite: Traces, tmp_path: Path) -> None:
    blob = sqlite.store.scan_blobs()["blob_id"][0].as_py()
    sqlite.to_parquet(tmp_path / "share", withhold=[blob])
    assert blob not in ftnb.open(tmp_path / "share").store.scan_blobs()["blob_id"].to_pylist()
    with pytest.raises(InvalidArgumentError, match="phone"):
        sqlite.to_parquet(tmp_path / "other", withhold=[blob, "phone"])
    assert not (tmp_path / "other").exists()


def test_an_empty_store_is_written_and_read(tmp_path: Path) -> None:
    with closing(SQLiteStore(tmp_path / "t.db")) as store, closing(ParquetStore(tmp_path / "p")) as other:
        for one in (store, other):
            for name in ("share", "one.parquet"):
                assert ftnb.open(ftnb.open(one).to_parquet(tmp_path / name)).engagements().is_empty()
