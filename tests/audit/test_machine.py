"""Any history of recording, sealing, redacting, holding, purging, reopening and crashing, against one plain model.

After every step the store verifies, shows what the model says, and continues every head that was kept before. A crash
is a copy of the files as they lie between two transactions, its write-ahead log perhaps torn: what is found then must
be what was there after one of the earlier transactions. `make faults` runs 1,000 histories in memory and on SQLite.
"""

from __future__ import annotations

import copy
import os
import random
import shutil
import tempfile
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule, run_state_machine_as_test

from ftnb.audit._check import check
from ftnb.audit._note import NoteSigner
from ftnb.core.errors import StoreError
from ftnb.core.model import EngagementStatus, EventKind
from ftnb.retention import Retention
from ftnb.store import build
from ftnb.store.draft import Stream
from ftnb.store.memory import MemoryStore
from ftnb.store.parquet import ParquetStore
from ftnb.store.postgres import PostgresStore
from ftnb.store.redis import RedisStore
from ftnb.store.sqlite import SQLiteStore
from tests.faults.reach import reach

SIGNER = NoteSigner("acme/machine", bytes(range(32)))
NOW = datetime(2026, 6, 1, tzinfo=UTC)
AT_US = int(NOW.timestamp() * 1e6)


@dataclass
class One:
    """An engagement as the model knows it."""

    n: int = 0
    """Records."""
    unsealed: int = 0
    """Of them, after the last seal of their stream."""
    is_over: bool = False
    redacted: set[int] = field(default_factory=set)
    """Positions of records whose body was taken out."""


@dataclass
class Model:
    """What must be in the store."""

    ones: dict[str, One] = field(default_factory=dict)
    purged: set[str] = field(default_factory=set)
    holds: dict[str, str] = field(default_factory=dict)
    """Engagement, by hold."""
    entries: int = 0

    def shown(self) -> Any:
        """The model, as `observed` shows a store."""
        rows = {key: (one.n, frozenset(one.redacted), one.is_over) for key, one in self.ones.items()}
        return rows, self.purged, set(self.holds.values()), self.entries


def observed(store: Any) -> Any:
    """What is in a store."""
    rows: dict[str, Any] = {}
    for row in store.scan(["engagement_id", "n", "type", "body", "commitment"]).to_pylist():
        n, redacted, over = rows.get(row["engagement_id"], (0, frozenset(), False))
        gone = {row["n"]} if row["body"] is None and row["commitment"] is not None else set()
        rows[row["engagement_id"]] = (n + 1, redacted | gone, over or row["type"] == "engagement_ended")
    entries = store.store_entries()
    released = {entry["hold"] for entry in entries if entry["type"] == "release"}
    held = {e["engagements"][0] for e in entries if e["type"] == "hold" and e["hold"] not in released}
    return rows, {entry["engagement"] for entry in entries if entry["type"] == "purge"}, held, len(entries)


class TrailMachine(RuleBasedStateMachine):
    """One store and its model."""

    profile: Any = "hash"

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp(prefix="ftnb-"))
        self.model, self.kept, self.number = Model(), list[str](), 0
        self.streams: dict[str, Stream] = {}
        self.history = [Model()]
        self.store: Any = self.ready(self.make_store())

    def make_store(self) -> Any:
        """A new, empty store."""
        return MemoryStore()

    def ready(self, store: Any) -> Any:
        """Signed, as it was before."""
        store.signer, store.profile = SIGNER, self.profile
        return store

    def teardown(self) -> None:
        self.store.close()
        shutil.rmtree(self.folder)

    def settle(self) -> None:
        """What holds after every step."""
        assert observed(self.store) == self.model.shown()
        report = check(self.store, "it", vkey=SIGNER.vkey if self.model.entries else None)
        assert report.ok, str(report)
        assert report.n_unsealed == sum(one.unsealed for one in self.model.ones.values())
        head = self.store.log_head()
        for note in self.kept[-3:]:
            later = check(self.store, "it", vkey=SIGNER.vkey, since=note)
            assert later.ok, str(later)
            assert (later.since or 0) <= head.size
        if head.note is not None and (not self.kept or self.kept[-1] != head.note):
            self.kept.append(head.note)
        if self.history[-1].shown() != self.model.shown():
            self.history.append(copy.deepcopy(self.model))

    def some(self, data: st.DataObject, **is_: bool) -> str | None:
        """Any engagement of the kind; None: there is none."""
        keys = [key for key, one in self.model.ones.items() if all(getattr(one, k) == v for k, v in is_.items())]
        return data.draw(st.sampled_from(sorted(keys))) if keys else None

    # --- what happens ---

    @rule(n=st.integers(0, 3))
    def begin(self, n: int) -> None:
        self.number += 1
        key = f"e{self.number}"
        stream = self.streams[key] = Stream(f"s{self.number}-{os.urandom(4).hex()}", key, turn=1)
        drafts = [build.engagement_started(stream, AT_US, "chat", metadata={"user": key})]
        drafts += [build.step_started(stream, AT_US, f"{key}-{i}", "ask", state={"x": key * 200}) for i in range(n)]
        self.store.append_drafts(drafts)
        self.model.ones[key] = One(len(drafts), len(drafts))
        self.settle()

    @rule(data=st.data(), n=st.integers(1, 4))
    def more(self, data: st.DataObject, n: int) -> None:
        key = self.some(data, is_over=False)
        if key is None:
            return
        stream = self.streams[key]
        payload = {"text": f"said in {key} " * data.draw(st.sampled_from([1, 40])), "by": key}
        self.store.append_drafts(
            [build.event(stream, AT_US, "s", EventKind.LOG, "x", payload={**payload, "i": i}) for i in range(n)]
        )
        one = self.model.ones[key]
        one.n, one.unsealed = one.n + n, one.unsealed + n
        self.settle()

    @rule(data=st.data())
    def end(self, data: st.DataObject) -> None:
        key = self.some(data, is_over=False)
        if key is None:
            return
        self.store.append_drafts([build.engagement_ended(self.streams[key], AT_US, EngagementStatus.COMPLETED)])
        one = self.model.ones[key]
        one.n, one.unsealed, one.is_over = one.n + 1, 0, True
        self.model.entries += 1
        self.settle()

    @rule()
    def seal(self) -> None:
        open_ = [one for one in self.model.ones.values() if one.unsealed]
        assert self.store.seal() == len(open_)
        for one in open_:
            one.unsealed = 0
        self.model.entries += len(open_)
        self.settle()

    @rule(data=st.data())
    def redact(self, data: st.DataObject) -> None:
        key = self.some(data)
        if key is None:
            return
        columns = ["stream_id", "n", "body"]
        rows = [row for row in self.store.scan(columns, engagement_id=key).to_pylist() if row["body"] is not None]
        if not rows:
            return
        row = data.draw(st.sampled_from(rows))
        assert self.store.redact(key, [(row["stream_id"], row["n"])], reason="asked") == 1
        self.model.ones[key].redacted.add(row["n"])
        self.model.entries += 1
        self.settle()

    @rule(data=st.data())
    def hold(self, data: st.DataObject) -> None:
        key = self.some(data)
        if key is None:
            return
        self.model.holds[Retention(self.store).hold(key, reason="because")] = key
        self.model.entries += 1
        self.settle()

    @precondition(lambda self: self.model.holds)
    @rule(data=st.data())
    def release(self, data: st.DataObject) -> None:
        hold = data.draw(st.sampled_from(sorted(self.model.holds)))
        Retention(self.store).release(hold)
        del self.model.holds[hold]
        self.model.entries += 1
        self.settle()

    @rule(days=st.sampled_from([0.5, 2]))
    def retention(self, days: float) -> None:
        Retention(self.store, "1d").apply(now=NOW + timedelta(days=days), progress=False)
        held = set(self.model.holds.values())
        for key in [key for key, one in self.model.ones.items() if one.is_over and key not in held and days > 1]:
            self.forget(key)
        self.settle()

    @rule(data=st.data())
    def purge(self, data: st.DataObject) -> None:
        key = self.some(data)
        if key is None:
            return
        assert self.store.purge(key)
        self.forget(key)
        assert not self.store.purge(key)
        late = build.event(Stream("late", key, turn=1), AT_US, "s", EventKind.LOG, "late")
        self.store.append_drafts([late])  # counted, not kept
        self.settle()

    def forget(self, key: str) -> None:
        """It was purged."""
        del self.model.ones[key]
        self.model.purged.add(key)
        self.model.entries += 1


class AuditMachine(TrailMachine):
    """With commitments to single fields."""

    profile = "audit"


class SQLiteMachine(TrailMachine):
    """In a file, which is closed, opened, copied and torn."""

    profile = "audit"
    path: Path

    def make_store(self) -> Any:
        self.path = self.folder / "t.db"
        return SQLiteStore(self.path)

    def go_on_in(self, path: Path) -> None:
        """Another process opens what is there; whoever wrote before is gone."""
        self.store.close()
        self.path = path
        self.store = self.ready(SQLiteStore(path))
        self.streams = {}
        for key, one in self.model.ones.items():
            streams = self.store.scan_streams().to_pylist()
            found = next(row for row in streams if row["engagement_id"] == key)
            assert found["size"] == one.n
            stream = self.streams[key] = Stream(found["stream_id"], key, turn=1)
            stream.tree = type(stream.tree).from_bytes(found["size"], found["frontier"])

    @rule()
    def reopen(self) -> None:
        self.go_on_in(self.path)
        self.history = [copy.deepcopy(self.model)]  # its log has been written back to the file
        self.settle()

    @rule(seed=st.integers(0, 2**32), torn=st.booleans())
    def crash(self, seed: int, torn: bool) -> None:
        self.number += 1
        rng, path = random.Random(seed), self.folder / f"crash{self.number}.db"
        shutil.copy(self.path, path)
        if os.path.exists(f"{self.path}-wal"):
            shutil.copy(f"{self.path}-wal", f"{path}-wal")
        torn = torn and os.path.exists(f"{path}-wal")
        if torn:
            with Path(f"{path}-wal").open("r+b") as wal:
                size = wal.seek(0, os.SEEK_END)
                wal.truncate(rng.randrange(size + 1))
                if rng.random() < 0.5:
                    wal.seek(0, os.SEEK_END)
                    wal.write(rng.randbytes(rng.randrange(1, 9_000)))
        with_what = SQLiteStore(path)
        found = observed(with_what)
        with_what.close()
        state = next((one for one in reversed(self.history) if one.shown() == found), None)
        assert state is not None, "what a crash leaves is what was there after some transaction"
        assert torn or state.shown() == self.model.shown(), "nothing that was committed is lost"
        lost = state.entries < self.model.entries
        self.model = copy.deepcopy(state)
        self.go_on_in(path)
        if lost:  # somebody who kept the last head sees that the store was set back
            report = check(self.store, "it", vkey=SIGNER.vkey, since=self.kept[-1])
            assert "history_changed" in {finding.kind for finding in report.findings}
            self.kept = [note for note in self.kept if int(note.split("\n")[1]) <= state.entries]
        self.history = [copy.deepcopy(self.model)]
        self.settle()


class PostgresMachine(TrailMachine):
    """In tables of its own, which another connection opens."""

    dsn = ""

    def make_store(self) -> Any:
        self.table = f"machine_{os.urandom(6).hex()}"
        return PostgresStore(self.dsn, table=self.table)

    @rule()
    def reopen(self) -> None:
        self.store.close()
        self.store = self.ready(PostgresStore(self.dsn, table=self.table))
        self.settle()


class RedisMachine(TrailMachine):
    """On a server that gives no proofs: what is purged and held is the same, and nothing is sealed or redacted."""

    url = ""

    def make_store(self) -> Any:
        self.prefix = f"machine-{os.urandom(6).hex()}"
        return RedisStore(self.url, key_prefix=self.prefix)

    def ready(self, store: Any) -> Any:
        """Nobody signs here."""
        return store

    def settle(self) -> None:
        """What holds after every step."""
        rows, purged, held, _ = observed(self.store)
        expected = self.model.shown()
        assert (rows, purged, held) == expected[:3]
        assert {one.id for one in self.store.list_engagements()} == set(rows)

    @rule()
    def seal(self) -> None:
        with pytest.raises(StoreError, match="no proofs"):
            self.store.seal()

    @rule(data=st.data())
    def redact(self, data: st.DataObject) -> None:
        if (key := self.some(data)) is not None:
            with pytest.raises(StoreError, match="cannot take content out"):
                self.store.redact(key, [(self.streams[key].stream_id, 0)], reason="asked")
            self.settle()

    @rule()
    def reopen(self) -> None:
        self.store.close()
        self.store = RedisStore(self.url, key_prefix=self.prefix)
        self.settle()


def test_in_memory() -> None:
    run_state_machine_as_test(TrailMachine, settings=settings(max_examples=reach(10, 1_000), stateful_step_count=20))


def test_in_memory_field_by_field() -> None:
    run_state_machine_as_test(AuditMachine, settings=settings(max_examples=reach(5, 300), stateful_step_count=20))


def test_on_sqlite() -> None:
    run_state_machine_as_test(SQLiteMachine, settings=settings(max_examples=reach(10, 1_000), stateful_step_count=20))


@pytest.fixture
def dsn(postgres_dsn: str) -> str:
    PostgresMachine.dsn = postgres_dsn
    return postgres_dsn


@pytest.mark.usefixtures("dsn")
def test_on_postgres() -> None:
    run_state_machine_as_test(PostgresMachine, settings=settings(max_examples=reach(2, 60), stateful_step_count=10))


@pytest.fixture
def redis(redis_url: str) -> str:
    RedisMachine.url = redis_url
    return redis_url


@pytest.mark.usefixtures("redis")
def test_on_redis() -> None:
    run_state_machine_as_test(RedisMachine, settings=settings(max_examples=reach(3, 200), stateful_step_count=12))


class FolderMachine(SQLiteMachine):
    """In a folder of Parquet, which publishes what is over."""

    def make_store(self) -> Any:
        self.path = self.folder / "share"
        return ParquetStore(self.path)

    @rule()
    def publish(self) -> None:
        self.store.publish()
        self.settle()

    @rule()
    def reopen(self) -> None:
        self.store.close()
        self.store = self.ready(ParquetStore(self.path))
        self.settle()

    @rule()
    def crash(self) -> None:
        """A copy of the folder as it lies between two transactions; the folder itself is left behind."""
        self.number += 1
        path = self.folder / f"crash{self.number}"
        shutil.copytree(self.path, path)
        self.store.close()
        self.path = path
        self.store = self.ready(ParquetStore(path))
        self.settle()


def test_on_a_folder_of_parquet() -> None:
    run_state_machine_as_test(FolderMachine, settings=settings(max_examples=reach(3, 200), stateful_step_count=15))
