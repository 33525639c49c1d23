"""A folder of Parquet in bad days: crashes, damage, others at work, and what no format of ours is."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pyarrow.parquet as pq
import pytest

import ftnb
from ftnb.core.errors import InvalidArgumentError, NotOurFileError, SchemaVersionError, StoreError
from ftnb.core.ids import new_id, now_us
from ftnb.core.model import EngagementStatus
from ftnb.store import build
from ftnb.store.draft import Stream
from ftnb.store.parquet import ParquetStore
from ftnb.store.sqlite import SQLiteStore
from ftnb.testing._case import record_run


@pytest.fixture
def store(tmp_path: Path) -> Iterator[ParquetStore]:
    """An empty one."""
    made = ParquetStore(tmp_path / "traces")
    yield made
    made.close()


class Crash(BaseException):
    """The process ends here."""


def everything(store: Any) -> tuple[Any, ...]:
    """All that there is of it, to compare."""
    tr = ftnb.open(store)
    rows = store.scan(["engagement_id", "stream_id", "n", "type", "body"]).to_pylist()
    return rows, tr.engagements().rows(), tr.events(payload=True).rows(), store.scan_blobs().to_pylist()


def segments(store: ParquetStore) -> list[Path]:
    """The files of records."""
    return sorted((store.folder / "records").glob("*.parquet"))


# --- crashes ---


CRASHES: dict[str, tuple[str, Callable[[ParquetStore], Any]]] = {
    "while a segment is written": ("pyarrow.parquet.write_table", ParquetStore.publish),
    "before it is on disk": ("ftnb.store._segments._sync", ParquetStore.publish),
    "before it is in the catalogue": ("ftnb.store._tail_write.TailWriter.take_in", ParquetStore.publish),
    "before the manifest": ("ftnb.store._segments.Folder.write_manifest", ParquetStore.publish),
    "before a merge counts": ("ftnb.store._tail_write.TailWriter.merge", ParquetStore.publish),
    "before what was merged is put away": ("ftnb.store._segments.Folder.retire", ParquetStore.publish),
    "while it is cleaned": ("ftnb.store._segments.Folder.clean", ParquetStore.publish),
}


@pytest.mark.parametrize("where", CRASHES)
def test_a_crash_loses_nothing_and_doubles_nothing(store: ParquetStore, where: str) -> None:
    target, work = CRASHES[where]
    record_run(store, k=0)
    store.publish()
    record_run(store, k=1)
    before = everything(store)
    with patch("ftnb.store.parquet.MERGE_FROM", 2), patch(target, side_effect=Crash), pytest.raises(Crash):
        work(store)
    after = ParquetStore(store.folder)  # as the next process would
    assert everything(after) == before
    after.publish()
    assert everything(after) == before
    manifest = json.loads((store.folder / "manifest.json").read_text())
    listed = {(table, name) for one in manifest["segments"] for table, name in one["files"].items()}
    there = {(path.parent.name, path.stem) for path in store.folder.glob("*s/*.parquet")}
    assert listed == there
    assert list(store.folder.rglob("*.tmp")) == []
    assert sum(pq.read_metadata(path).num_rows for path in segments(store)) == len(before[0])
    after.close()


@pytest.mark.parametrize("target", ["_tail_write.TailWriter.purge_published", "_segments.Folder.discard"])
def test_a_crash_while_purging_purges_or_does_not(store: ParquetStore, target: str) -> None:
    gone, kept = record_run(store, k="canary-of-one"), record_run(store, k=1)
    store.publish()
    with patch(f"ftnb.store.{target}", side_effect=Crash), pytest.raises(Crash):
        store.purge(gone)
    after = ParquetStore(store.folder)
    assert after.get_engagement(kept).metadata == {"k": 1}
    if target.startswith("_tail"):
        assert after.get_engagement(gone).metadata == {"k": "canary-of-one"}
        assert after.purge(gone)
    assert after.read(gone) == []
    assert after.n_records() == len(after.scan(["seq"])["seq"])
    text = b"".join(str(pq.read_table(path).to_pydict()).encode() for path in store.folder.rglob("*.parquet"))
    assert b"canary-of-one" not in text
    after.close()


def test_a_process_that_is_killed_loses_nothing_that_was_committed(tmp_path: Path) -> None:
    program = f"""
import os
from ftnb.store import parquet
from ftnb.store.draft import Stream
from ftnb.store.build import engagement_started, engagement_ended
from ftnb.core.ids import new_id, now_us
from ftnb.core.model import EngagementStatus
parquet.PUBLISH_ROWS = 21
store = parquet.ParquetStore({str(tmp_path / "traces")!r})
for i in range(10_000):
    stream = Stream(new_id(), f"e{{i}}", turn=1)
    store.append_drafts([engagement_started(stream, now_us(), "e"),
                         engagement_ended(stream, now_us(), EngagementStatus.COMPLETED)])
    print(i, flush=True)
"""
    env = {**os.environ, "PYTHONPATH": str(Path(ftnb.__file__).parents[1])}
    process = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True, env=env)
    assert process.stdout is not None
    for line in process.stdout:
        if int(line) >= 30:
            break
    process.kill()
    last = max([int(line), *map(int, process.stdout.read().split())])
    process.stdout.close()
    process.wait()
    store = ParquetStore(tmp_path / "traces")
    ids = store.scan(["engagement_id"])["engagement_id"].to_pylist()
    assert {f"e{i}" for i in range(last + 1)} <= set(ids)
    assert all(ids.count(f"e{i}") == 2 for i in range(last + 1))
    assert segments(store) != []
    assert ftnb.open(store).audit.verify().ok
    store.close()


# --- others at work ---


def test_a_reader_is_never_disturbed(store: ParquetStore) -> None:
    reader, wrong, stop = ParquetStore(store.folder, read_only=True), list[Any](), threading.Event()
    ids = [record_run(store, k=k) for k in range(2)]
    store.publish()
    n = len(store.scan(["seq"])["seq"])

    def read() -> None:
        while not stop.is_set():
            seqs: list[int] = reader.scan(["seq"])["seq"].to_pylist()  # type: ignore[assignment]
            if seqs != list(range(1, len(seqs) + 1)) or len(seqs) < n or len(reader.get_engagement(ids[0]).steps) != 2:
                wrong.append(seqs)

    thread = threading.Thread(target=read)
    thread.start()
    with patch("ftnb.store.parquet.MERGE_FROM", 2), patch("ftnb.store._segments.GRACE_SECONDS", -1.0):
        for k in range(12):
            record_run(store, k=k)
            store.publish()
    stop.set()
    thread.join()
    assert wrong == []
    assert len(segments(store)) <= 2
    reader.close()


def test_an_older_manifest_can_be_read_for_a_while(store: ParquetStore, tmp_path: Path) -> None:
    for k in range(3):
        record_run(store, k=k)
        store.publish()
    old = tmp_path / "old"
    old.mkdir()
    for entry in store.folder.iterdir():
        if entry.is_dir() or entry.name == "manifest.json":
            (old / entry.name).symlink_to(entry) if entry.is_dir() else shutil.copy(entry, old)
    (store.folder / "retired").mkdir(exist_ok=True)
    (old / "retired").exists() or (old / "retired").symlink_to(store.folder / "retired")
    with patch("ftnb.store.parquet.MERGE_FROM", 2):
        store.publish()
    assert len(segments(store)) == 1
    assert ftnb.open(old).steps().equals(ftnb.open(store).steps())


def test_several_processes_record_into_one_folder(tmp_path: Path) -> None:
    place = tmp_path / "traces"
    ParquetStore(place).close()
    program = (
        "from ftnb.store import parquet as p; p.PUBLISH_ROWS = 40; import tests.store._writer_process as w; w.main()"
    )
    command = [sys.executable, "-c", program, "parquet", str(place)]
    env = {**os.environ, "PYTHONPATH": str(Path(ftnb.__file__).parents[1])}
    writers = [subprocess.Popen([*command, f"w{k}", "100", "0", "10"], env=env) for k in range(2)]
    store = ParquetStore(place)
    live, seen = store.subscribe(after=0), list[int | None]()
    while any(process.poll() is None for process in writers):
        seen += [record.seq for record in live.until(0.2)]
    seen += [record.seq for record in live.until(1.0)]
    assert [process.returncode for process in writers] == [0, 0]
    stored = store.scan(["seq", "engagement_id"])
    assert seen == stored["seq"].to_pylist()
    assert len(seen) == 2 * (100 + 10)
    store.close()


def test_two_objects_change_the_segments_at_the_same_time(store: ParquetStore) -> None:
    ids = [record_run(store, k=k) for k in range(4)]
    store.publish()
    other = ParquetStore(store.folder)
    real, done = store._without, []

    def meanwhile(engagement_ids: Any) -> Any:
        prepared = real(engagement_ids)
        if not done:
            done.append(other.purge(ids[1]))
        return prepared

    with patch.object(store, "_without", side_effect=meanwhile):
        assert store.purge(ids[0])
    assert [one.id for one in store.list_engagements()] == ids[2:]
    assert {row["engagement_id"] for row in other.scan(["engagement_id"]).to_pylist()} == set(ids[2:])
    assert ftnb.open(store).audit.verify().counts() == {"purged": 2, "sealed": 2}
    other.close()


def test_a_batch_that_is_written_again_after_it_was_published_makes_no_twins(store: ParquetStore) -> None:
    stream = Stream(new_id(), "e", turn=1)
    drafts = [build.engagement_started(stream, now_us(), "e", metadata={"x": "y" * 2_000})]
    drafts.append(build.engagement_ended(stream, now_us(), EngagementStatus.COMPLETED))
    batch = store.encode(drafts)
    store.commit(batch)
    store.publish()
    before = everything(store)
    store.commit(batch)
    assert everything(store) == before


# --- what is published stays one engagement ---


def test_turns_of_one_engagement_in_several_segments(store: ParquetStore, tmp_path: Path) -> None:
    plain = SQLiteStore(tmp_path / "plain.db")
    for target in (store, plain):
        recorder = ftnb.Recorder(target)
        engagement_id = recorder.start_engagement("chat", metadata={"u": 1})
        history: list[str] = []
        for turn in range(4):
            history.append(f"message {turn} " + "x" * 3_000)
            step_id = recorder.start_step(engagement_id, "answer", state={"messages": list(history)})
            recorder.record_llm_call(step_id, "m", prompt=10, completion=5, model="gpt")
            recorder.end_step(step_id)
            recorder.set_engagement_status(engagement_id, EngagementStatus.PAUSED)
            recorder.flush()
            if target is store:
                assert store.publish() > 0
        recorder.end_engagement(engagement_id)
        recorder.close()
    assert len(segments(store)) == 4
    mine, theirs = store.list_engagements()[0], plain.list_engagements()[0]
    drop = {"id", "started_at", "ended_at"}
    assert mine.model_dump(exclude=drop) == theirs.model_dump(exclude=drop)
    assert store.scan_blobs().num_rows == plain.scan_blobs().num_rows  # what was said before is not stored again
    store.publish()
    assert store.list_engagements() == [mine]
    frames = [ftnb.open(target) for target in (store, plain)]
    for name in ("name", "visit", "turn", "status", "total_tokens"):
        assert frames[0].steps()[name].to_list() == frames[1].steps()[name].to_list()
    plain.close()


def test_redaction_and_late_records_of_what_was_published(store: ParquetStore) -> None:
    engagement_id, other = record_run(store, email="canary@example.org"), record_run(store, email="b@example.org")
    store.publish()
    tr = ftnb.open(store)
    tr.engagement(engagement_id).redact(pattern=r"canary@example\.org", reason="asked")
    assert "canary" not in str(tr.engagement(engagement_id).metadata)
    assert store.list_engagements({"email": "canary@example.org"}) == []
    assert "canary" not in str(store.list_engagements())
    tr.engagement(other).annotate("correct", 1.0)
    for _ in range(2):
        assert tr.audit.verify().counts() == {"redacted": 1, "sealed": 1}
        assert tr.annotations().height == 1
        store.publish()
    store.vacuum()
    found = [path.name for path in store.folder.rglob("*.db*") if b"canary@example.org" in path.read_bytes()]
    for path in store.folder.rglob("*.parquet"):
        found += [path.name] if "canary@example.org" in str(pq.read_table(path).to_pydict()) else []
    assert found == []


# --- damage, and what is not ours ---


def test_half_a_segment_is_named_and_the_rest_is_read(store: ParquetStore) -> None:
    whole, broken = record_run(store, k=0), record_run(store, k=1)
    store.purge(whole)
    whole = record_run(store, k=0)
    first = ParquetStore(store.folder)
    first.publish()
    record_run(store, k=2)
    store.publish()
    path = segments(store)[0]
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    store.close()
    again = ParquetStore(store.folder)
    for read in (lambda: again.get_engagement(broken), lambda: again.scan(["seq"]), lambda: ftnb.open(again).steps()):
        with pytest.raises(NotOurFileError, match="damaged"):
            read()
    assert [one.metadata for one in again.list_engagements({"k": 2})] == [{"k": 2}]
    assert again.get_engagement(again.list_engagements({"k": 2})[0].id).metadata == {"k": 2}
    again.append(again.read(again.list_engagements({"k": 2})[0].id)[0].model_copy(update={"engagement_id": "new"}))
    assert len(again.read("new")) == 1  # recording goes on
    path.unlink()
    with pytest.raises(NotOurFileError, match=r"records/.*missing"):
        again.get_engagement(broken)
    first.close()
    again.close()


def test_a_torn_manifest_is_written_again(store: ParquetStore) -> None:
    record_run(store)
    store.publish()
    manifest = store.folder / "manifest.json"
    text = manifest.read_text()
    manifest.write_text(text[: len(text) // 2])
    assert len(ftnb.open(store.folder).steps()) == 2
    assert json.loads(manifest.read_text()) == json.loads(text)


def test_a_lost_tail_is_said_and_what_was_published_is_read(store: ParquetStore, tmp_path: Path) -> None:
    record_run(store)
    store.publish()
    steps = ftnb.open(store).steps()
    store.close()
    for path in store.folder.glob("tail.db*"):
        path.unlink()
    with pytest.raises(StoreError, match=r"lost its tail\.db.*ftnb\.copy"):
        ParquetStore(store.folder)
    assert ftnb.open(store.folder).steps().equals(steps)
    target = tmp_path / "again"
    ftnb.copy(store.folder, f"parquet://{target}", progress=False)
    again = ParquetStore(target)
    assert len(ftnb.open(again).steps()) == 2
    again.close()


def test_a_newer_schema_is_refused(store: ParquetStore) -> None:
    record_run(store)
    store.publish()
    store.close()
    path = segments(store)[0]
    table = pq.read_table(path)
    pq.write_table(table.replace_schema_metadata({**(table.schema.metadata or {}), b"ftnb.schema": b"99"}), path)
    with pytest.raises(SchemaVersionError, match="99"):
        ftnb.open(store.folder).steps()
    manifest = store.folder / "manifest.json"
    manifest.write_text(manifest.read_text().replace('"layout": 1', '"layout": 99'))
    with pytest.raises(SchemaVersionError, match="layout 99"):
        ftnb.open(store.folder)


def test_a_manifest_cannot_lead_out_of_the_folder(store: ParquetStore) -> None:
    record_run(store)
    store.publish()
    store.close()
    manifest = store.folder / "manifest.json"
    said = json.loads(manifest.read_text())
    said["segments"][0]["files"]["records"] = "../../secret"
    manifest.write_text(json.dumps(said))
    for path in store.folder.glob("tail.db*"):
        path.unlink()
    with pytest.raises(NotOurFileError, match="secret"):
        ftnb.open(store.folder)


def test_other_folders_are_left_alone(tmp_path: Path) -> None:
    (tmp_path / "theirs").mkdir()
    (tmp_path / "theirs" / "thesis.txt").write_text("chapter 1")
    with pytest.raises(NotOurFileError, match=r"thesis\.txt"):
        ftnb.start(f"{tmp_path}/theirs/")
    assert [path.name for path in (tmp_path / "theirs").iterdir()] == ["thesis.txt"]
    with pytest.raises(StoreError, match="no folder"):
        ParquetStore(tmp_path / "a" / "b")
    with pytest.raises(StoreError, match="no folder"):
        ParquetStore(tmp_path / "theirs" / "thesis.txt")
    source = SQLiteStore(tmp_path / "t.db")
    record_run(source)
    export = ftnb.open(source).to_parquet(tmp_path / "share")
    source.close()
    with pytest.raises(NotOurFileError, match="export"):
        ParquetStore(export)
    ParquetStore(tmp_path / "traces").close()
    with pytest.raises(StoreError, match=r"manifest\.json.*no export"):
        ftnb.open(export).to_parquet(tmp_path / "traces")


def test_read_only_changes_nothing(store: ParquetStore, tmp_path: Path) -> None:
    record_run(store)
    store.publish()
    store.close()
    before = {path: path.read_bytes() for path in store.folder.rglob("*") if path.is_file()}
    reader = ParquetStore(store.folder, read_only=True)
    assert len(ftnb.open(reader).steps()) == 2
    refused: list[Callable[[], Any]] = [
        reader.publish,
        reader.vacuum,
        lambda: reader.purge("x"),
        lambda: record(reader),
    ]
    for work in refused:
        with pytest.raises(StoreError):
            work()
    reader.close()
    assert {path: path.read_bytes() for path in before} == before
    with pytest.raises(StoreError):
        ParquetStore(tmp_path / "none", read_only=True)
    assert not (tmp_path / "none").exists()


def record(store: ParquetStore) -> None:
    """One record, at once."""
    store.append_drafts([build.engagement_started(Stream(new_id(), new_id(), turn=1), now_us(), "e")])


def test_what_cannot_be_published_stays_in_the_tail(store: ParquetStore, caplog: pytest.LogCaptureFixture) -> None:
    with patch("ftnb.store.parquet.PUBLISH_ROWS", 1), patch("pyarrow.parquet.write_table", side_effect=OSError("full")):
        for k in range(3):
            record_run(store, k=k)
            store.list_engagements()
        with pytest.raises(StoreError, match="full"):
            store.publish()
    assert len(ftnb.open(store).steps()) == 6
    assert sum("stays in its tail" in message for message in caplog.messages) == 1
    assert store.publish() == 30
    assert len(ftnb.open(store).steps()) == 6


# --- by URL ---


def test_it_is_opened_and_recorded_into_by_url(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    session = ftnb.start("traces/")
    assert session.where == "traces"
    assert ftnb.start(f"parquet://{tmp_path}/traces") is session
    with ftnb.record("x"), ftnb.step("a"):
        pass
    assert ftnb.last().model.steps[0].name == "a"
    ftnb.stop()
    for where in ("traces", Path("traces"), f"parquet://{tmp_path}/traces", "traces/tail.db"):
        tr = ftnb.open(where)
        assert repr(tr.store).startswith("ParquetStore(")
        assert tr.steps()["name"].to_list() == ["a"]
        tr.close()
    assert ftnb.verify("traces")
    with pytest.raises(InvalidArgumentError, match="three slashes"):
        ftnb.open("parquet://traces")


def test_it_takes_a_copy_with_every_hash(store: ParquetStore, tmp_path: Path) -> None:
    source = SQLiteStore(tmp_path / "t.db")
    for k in range(3):
        record_run(source, k=k)
    source.list_engagements()
    for _ in range(2):
        ftnb.copy(source, store, progress=False)
        store.publish()
    mine, theirs = store.scan_streams(), source.scan_streams()
    assert mine.equals(theirs)
    assert ftnb.open(store).steps().equals(ftnb.open(source).steps())
    back = ftnb.copy(store, tmp_path / "back.db", progress=False)
    assert back.records == source.n_records()  # type: ignore[union-attr]
    source.close()
