"""Exports: what comes back is equal, others can read it, and nothing foreign is read or overwritten."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import ftnb
from ftnb.core.errors import NotOurFileError, SchemaVersionError, StoreError, UnknownEngagementError
from ftnb.core.model import EngagementStatus, EventKind, Extraction, NodeDef, StepStatus, Topology
from ftnb.recorder import Recorder
from ftnb.store._parquet_write import root_of
from ftnb.store.base import LogStore
from ftnb.store.leaf import NAMES, Tree, leaf_hash
from ftnb.store.parquet_export import ParquetExport
from ftnb.store.records import EngagementStarted
from ftnb.store.sqlite import SQLiteStore
from ftnb.traces import Traces

FILES = [f"{name}.parquet" for name in ("blobs", "engagements", "entries", "events", "records", "steps", "streams")]


@pytest.fixture
def traces() -> Traces:
    store = SQLiteStore()
    recorder = Recorder(store)
    for n in range(3):
        topology = Topology(nodes=[NodeDef(name=f"node{i}") for i in range(30)])
        engagement = recorder.start_engagement("w", metadata={"user_id": f"u{n}"}, topology=topology)
        asked = None
        for name in ("a", "b", "a"):
            step = recorder.start_step(
                engagement, name, state={"n": n, "text": "s" * 900}, triggers=[asked] if asked else []
            )
            recorder.record_llm_call(step, "gpt", prompt=10, completion=5)
            recorder.record_event(step, EventKind.TOOL_CALL, "t", payload={"x": 0.1 + 0.2, "blob": "y" * 2_000})
            recorder.record_extraction(step, Extraction(schema_name="S", values={"v": n}))
            recorder.end_step(step, StepStatus.COMPLETED, duration_ms=1.5, update={"u": "z" * 900})
            asked = step
        recorder.record_intent_switch(engagement, to_step="b", reason="why")
        if n == 1:
            recorder.set_engagement_status(engagement, EngagementStatus.PAUSED)
        elif n == 2:
            recorder.end_engagement(engagement, EngagementStatus.ABANDONED, dropped_at="a")
    assert recorder.flush()
    return ftnb.open(store)


@pytest.fixture(params=["folder", "file"])
def target(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    return tmp_path / ("share" if request.param == "folder" else "share.parquet")


def assert_equal(found: Traces, expected: Traces) -> None:
    for table in ("engagements", "steps", "transitions", "extractions", "intent_switches"):
        assert getattr(found, table)().equals(getattr(expected, table)()), table
    assert found.events(payload=True).equals(expected.events(payload=True))
    for engagement_id in expected.engagements()["engagement_id"]:
        there, here = found.engagement(engagement_id), expected.engagement(engagement_id)
        assert there.model == here.model
        assert [step.input for step in there.steps] == [step.input for step in here.steps]
        assert [step.output for step in there.steps] == [step.output for step in here.steps]


def test_frames_and_engagements_come_back_equal(traces: Traces, target: Path) -> None:
    assert traces.to_parquet(target) == target
    found = ftnb.open(target)
    assert_equal(found, traces)
    assert_equal(ftnb.open(str(target)), traces)
    assert found.last().id == traces.last().id
    assert found.funnel(["a", "b"], mode="ordered") == traces.funnel(["a", "b"], mode="ordered")
    assert found.events().height == 27


def test_the_store_reads_as_the_one_that_was_exported(traces: Traces, target: Path) -> None:
    traces.to_parquet(target)
    store, origin = ParquetExport(target), traces.store
    assert isinstance(store, LogStore)
    assert store.scan(["seq", *NAMES]).equals(origin.scan(["seq", *NAMES]))
    assert store.scan_blobs().equals(origin.scan_blobs())
    assert store.scan_streams().equals(origin.scan_streams())
    assert store.list_engagements() == origin.list_engagements()
    assert store.list_engagements({"user_id": "u1"}) == origin.list_engagements({"user_id": "u1"})
    assert store.list_engagements(limit=2, newest=True) == origin.list_engagements(limit=2, newest=True)
    assert store.list_engagements({"user_id": "u0"}, limit=0) == []
    engagement_id = origin.list_engagements()[1].id
    assert store.read(engagement_id) == origin.read(engagement_id)
    for arguments in (
        {"types": ("event_recorded", "step_ended")},
        {"engagement_id": engagement_id},
        {"after": 7},
        {"containing": [b'"triggers":', b'"reason":'], "types": ["step_started", "intent_switched"]},
    ):
        expected = origin.scan(["seq", "name"], **arguments)  # type: ignore[arg-type]
        assert store.scan(["seq", "name"], **arguments).equals(expected)  # type: ignore[arg-type]
        assert 0 < expected.num_rows < origin.scan(["seq"]).num_rows
    blob = origin.scan_blobs().to_pylist()[0]
    assert store.blob(blob["engagement_id"], blob["blob_id"]) == blob["data"]
    assert store.blob(blob["engagement_id"], "nothing") is None
    assert store.blob("nobody", blob["blob_id"]) is None
    with pytest.raises(UnknownEngagementError, match="the newest are"):
        store.get_engagement("nobody")


def test_an_export_of_an_export_is_the_same(traces: Traces, target: Path, tmp_path: Path) -> None:
    traces.to_parquet(target)
    again = tmp_path / "again"
    ftnb.open(target).to_parquet(again)
    assert_equal(ftnb.open(again), traces)
    ftnb.open(target).to_parquet(target)
    assert_equal(ftnb.open(target), traces)


def test_nothing_recorded_is_an_export_too(target: Path) -> None:
    empty = ftnb.open(SQLiteStore())
    empty.to_parquet(target)
    found = ftnb.open(target)
    assert_equal(found, empty)
    assert found.store.list_engagements() == []


def test_a_folder_holds_views_that_others_can_read(traces: Traces, tmp_path: Path) -> None:
    target = traces.to_parquet(tmp_path / "share")
    assert sorted(entry.name for entry in target.iterdir()) == FILES
    steps = pd.read_parquet(target / "steps.parquet")
    assert list(steps["name"]) == ["a", "b", "a"] * 3
    assert list(steps["triggers"][1]) == [steps["step_id"][0]]
    for name in ("engagements", "steps", "events"):
        expected = getattr(traces, name)().sort("engagement_id", maintain_order=True)
        assert pl.read_parquet(target / f"{name}.parquet").equals(expected)


def test_every_file_says_what_it_is_and_what_it_commits_to(traces: Traces, target: Path) -> None:
    traces.to_parquet(target)
    files = sorted(target.iterdir()) if target.is_dir() else [target]
    for file in files:
        marks: Any = pq.read_schema(file).metadata
        assert marks[b"ftnb.schema"] == b"1"
        assert marks[b"ftnb.version"] == ftnb.__version__.encode()
        assert marks[b"ftnb.table"] == (b"trace" if target.is_file() else file.stem.encode())
        assert marks[b"ftnb.root"] == root_of(traces.store.scan_streams()).hex().encode()
        column = pq.ParquetFile(file).metadata.row_group(0).column(0)
        assert column.compression == "ZSTD"


def test_the_tree_heads_are_those_of_the_exported_records(traces: Traces, target: Path) -> None:
    traces.to_parquet(target)
    store = ParquetExport(target)
    for head in store.scan_streams().to_pylist():
        rows = store.scan([*NAMES], engagement_id=head["engagement_id"]).to_pylist()
        tree = Tree()
        for row in sorted((row for row in rows if row["stream_id"] == head["stream_id"]), key=lambda row: row["n"]):
            tree.append(leaf_hash(tuple(row.values())))
        assert (tree.size, tree.to_bytes()) == (head["size"], head["frontier"])


def test_an_earlier_export_is_replaced_whole(traces: Traces, target: Path) -> None:
    traces.to_parquet(target)
    traces.store.append(EngagementStarted(engagement_id="new", name="w"))
    traces.to_parquet(target)
    assert ftnb.open(target).engagements().height == 4
    assert [entry.name for entry in target.parent.iterdir()] == [target.name]


def test_what_is_not_ours_is_never_overwritten(traces: Traces, tmp_path: Path) -> None:
    folder, table, note = tmp_path / "mine", tmp_path / "mine.parquet", tmp_path / "note"
    folder.mkdir()
    (folder / "steps.parquet").write_bytes(b"not parquet")
    pl.DataFrame({"x": [1]}).write_parquet(table)
    note.write_text("text")
    for path, message in (
        (folder, "holds 'steps.parquet', which is no export of ftnb"),
        (table, "is there and is no export of ftnb"),
        (note, "is a file; give a folder"),
        (tmp_path / "no" / "where", "there is no folder"),
    ):
        with pytest.raises(StoreError, match=message):
            traces.to_parquet(path)
    assert (folder / "steps.parquet").read_bytes() == b"not parquet"
    assert pl.read_parquet(table).height == 1
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["mine", "mine.parquet", "note"]


def test_an_empty_folder_can_be_written_to(traces: Traces, tmp_path: Path) -> None:
    assert ftnb.open(traces.to_parquet(tmp_path)).engagements().height == 3


def test_an_export_that_fails_leaves_the_earlier_one(
    traces: Traces, target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    traces.to_parquet(target)
    traces.store.append(EngagementStarted(engagement_id="new", name="w"))

    def full(*_: Any, **__: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(pq, "ParquetWriter", full)
    with pytest.raises(StoreError, match="No space left on device"):
        traces.to_parquet(target)
    assert ftnb.open(target).engagements().height == 3
    assert [entry.name for entry in target.parent.iterdir()] == [target.name]


def test_a_parquet_file_that_is_not_ours(tmp_path: Path) -> None:
    path = tmp_path / "other.parquet"
    pl.DataFrame({"seq": [1], "engagement_id": ["e"]}).write_parquet(path)
    with pytest.raises(NotOurFileError, match="is a Parquet file, but no export of ftnb"):
        ftnb.open(path)
    with pytest.raises(NotOurFileError, match=r"it has no records\.parquet \(found: other\.parquet\)"):
        ftnb.open(tmp_path)
    with pytest.raises(StoreError, match="nothing to open"):
        ParquetExport(tmp_path / "missing.parquet")


def test_a_file_that_claims_to_be_ours_and_lacks_a_column(tmp_path: Path) -> None:
    path = tmp_path / "other.parquet"
    marks = {"ftnb.schema": "1", "ftnb.table": "trace"}
    pq.write_table(pa.table({"seq": [1]}).replace_schema_metadata(marks), path)
    with pytest.raises(NotOurFileError, match="has no column 'engagement_id'"):
        ftnb.open(path)


def test_a_newer_format_is_refused(traces: Traces, target: Path) -> None:
    traces.to_parquet(target)
    file = target if target.is_file() else target / "records.parquet"
    table = pq.read_table(file)
    marks: Any = {**(table.schema.metadata or {}), b"ftnb.schema": b"99"}
    pq.write_table(table.replace_schema_metadata(marks), file)
    with pytest.raises(SchemaVersionError, match="log format 99, this ftnb reads up to 1; upgrade ftnb"):
        ftnb.open(target)


def test_a_truncated_file_is_one_clear_error(traces: Traces, target: Path) -> None:
    traces.to_parquet(target)
    file = target if target.is_file() else target / "blobs.parquet"
    data = file.read_bytes()
    for size in (len(data) // 2, 3, 0):
        file.write_bytes(data[:size])
        with pytest.raises(NotOurFileError, match=r"damaged, cut off, or no Parquet file"):
            ftnb.open(target)


def test_a_missing_file_is_one_clear_error(traces: Traces, tmp_path: Path) -> None:
    target = traces.to_parquet(tmp_path / "share")
    (target / "blobs.parquet").unlink()
    with pytest.raises(NotOurFileError, match=r"blobs\.parquet' is missing, so the export is not whole"):
        ftnb.open(target)


def test_a_flipped_bit_is_seen(traces: Traces, target: Path) -> None:
    traces.to_parquet(target)
    file = target if target.is_file() else target / "records.parquet"
    data = bytearray(file.read_bytes())
    chunk = pq.ParquetFile(file).metadata.row_group(0).column(0)
    data[chunk.dictionary_page_offset + chunk.total_compressed_size - 3] ^= 1
    file.write_bytes(bytes(data))
    with pytest.raises(NotOurFileError, match="damaged"):
        ftnb.open(target).engagements()


def test_an_export_is_read_only(traces: Traces, target: Path) -> None:
    traces.to_parquet(target)
    store = ParquetExport(target)
    with pytest.raises(StoreError, match="export and read-only; record into an SQLite store"):
        store.append(EngagementStarted(engagement_id="e", name="w"))
    with pytest.raises(StoreError, match="cannot purge engagement"):
        store.purge(traces.last().id)
    with pytest.raises(StoreError, match="read-only"):
        store.append_drafts([])
    assert list(store.tail()) == []

    async def all_of() -> list[Any]:
        return [record async for record in store.subscribe()]

    assert asyncio.run(all_of()) == []
    store.close()
    store.close()


@pytest.mark.parametrize("names", [{"row": "rov"}, {"data": "n"}])
def test_a_column_that_is_missing_or_there_twice_is_one_error(
    traces: Traces, tmp_path: Path, names: dict[str, str]
) -> None:
    file = traces.to_parquet(tmp_path / "one.parquet")
    table = pq.read_table(file)
    renamed = table.rename_columns([names.get(name, name) for name in table.column_names])
    pq.write_table(renamed.replace_schema_metadata(table.schema.metadata), file)
    with pytest.raises(NotOurFileError, match="has no column"):
        ftnb.open(file)
