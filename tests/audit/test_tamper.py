"""The tamper matrix: every forgery, many times, on every backend, with a head that was kept and without one.

`make faults` runs each forgery 40 times and prints the table; FTNB_SEED repeats a run.
"""

from __future__ import annotations

import os
import random
import shutil
import sqlite3
import sys
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest

from ftnb.audit._evidence import export_parquet
from ftnb.audit._needed import needed
from ftnb.audit._note import NoteSigner
from ftnb.audit._verify import checked
from ftnb.core.model import EventKind
from ftnb.recorder import Recorder
from ftnb.store.parquet_export import ParquetExport
from ftnb.store.postgres import PostgresStore
from ftnb.store.sqlite import SQLiteStore
from tests.audit import forging
from tests.audit.forging import FORGERIES, Database, ParquetFile, PostgresTables, SQLiteFile
from tests.faults.reach import reach, seeded
from tests.servers import postgres_server

SIGNER = NoteSigner("acme/notebook", os.urandom(32))
RUNS = reach(1, 40)
HIDDEN = {"a body taken out without a word", "a value deleted"}
"""What of an export is no finding, but shows: content that is not in it, which its owner may withhold."""
UNSEALED = {"a record added at the end, the stream's head moved with it"}
"""What is no finding, but shows: records that no seal covers, where everything was sealed."""


def fill(store: Any, early: Callable[[], None]) -> str:
    """Engagements with turns, large values, a redaction and a purge, everything sealed; the head, to keep.

    `early` is called when a part of it is there.
    """
    store.signer = SIGNER
    recorder = Recorder(store)
    for user in range(4):
        engagement = recorder.start_engagement("chat", metadata={"user": f"u-{user}", "tier": "gold"})
        for turn in range(2):
            step = recorder.start_step(engagement, "ask", state={"said": f"{user} {turn} " * 90})
            for i in range(2):
                payload = {"messages": [f"{user} {turn} {i} {n} " + "x" * 200 for n in range(4)], "i": i}
                recorder.record_event(step, EventKind.TOOL_CALL, "search", payload=payload, duration_ms=1.5)
            recorder.end_step(step)
        recorder.end_engagement(engagement)
        if user == 1:
            assert recorder.flush(10)
            early()
    assert recorder.flush(10)
    recorder.close()
    ids = [one.id for one in store.list_engagements()]
    events = store.scan(["stream_id", "n"], types=("event_recorded",), engagement_id=ids[0]).to_pylist()
    place = (events[0]["stream_id"], events[0]["n"])
    bodies = store.scan(["stream_id", "n", "body"], engagement_id=ids[0]).to_pylist()
    kept = [one["body"] for one in bodies if one["body"] and (one["stream_id"], one["n"]) != place]
    blobs = store.blobs_of(ids[0])
    store.redact(ids[0], [place], sorted(blobs.keys() - needed(kept, blobs)), reason="asked")
    store.purge(ids[3], policy="90d")
    store.vacuum()
    note = store.log_head().note
    assert note is not None
    return str(note)


class SQLitePlace:
    """A store in a file, brought back by a copy."""

    name = "SQLite"

    def __init__(self, folder: Path) -> None:
        self._kept, self._path = folder / "kept.db", folder / "t.db"
        self._early = folder / "early.db"
        with closing(SQLiteStore(self._kept)) as store:
            self.head = fill(store, self._copy_early)

    def _copy_early(self) -> None:
        with closing(sqlite3.connect(self._kept)) as connection:
            connection.execute("VACUUM INTO ?", (str(self._early),))

    def set_back(self, _: Database) -> None:
        """Put a copy from before in the place of the store."""
        shutil.copy(self._early, self._path)

    @contextmanager
    def tampered(self, forge: Callable[[Database], None]) -> Iterator[Any]:
        """The store, after somebody was at it."""
        shutil.copy(self._kept, self._path)
        for suffix in ("-wal", "-shm"):
            Path(f"{self._path}{suffix}").unlink(missing_ok=True)
        with closing(SQLiteFile(self._path)) as database:
            forge(database)
        with closing(SQLiteStore(self._path, read_only=True)) as store:
            yield store


class PostgresPlace:
    """A store in a database, brought back from copies of its tables."""

    name = "PostgreSQL"

    def __init__(self, dsn: str) -> None:
        self._store = PostgresStore(dsn, table="tamper")
        self._tables = PostgresTables(dsn, "tamper")
        self.head = fill(self._store, lambda: self._tables.keep("early"))
        self._tables.keep()

    def set_back(self, _: Database) -> None:
        """Put copies from before in the place of the tables."""
        self._tables.restore("early")

    @contextmanager
    def tampered(self, forge: Callable[[Database], None]) -> Iterator[Any]:
        """The store, after somebody was at it."""
        forge(self._tables)
        try:
            yield self._store
        finally:
            self._tables.restore()

    def close(self) -> None:
        """Leave."""
        self._tables.close()
        self._store.close()


class ParquetPlace:
    """An export in one file (a folder's views say more, which would help to find what is forged), by fields."""

    name = "Parquet"

    def __init__(self, folder: Path) -> None:
        self._kept, self._early, self._path = folder / "kept.parquet", folder / "early.parquet", folder / "t.parquet"
        with closing(SQLiteStore(folder / "p.db")) as store:
            store.profile = "audit"
            self.head = fill(store, lambda: self._export(store, self._early))
            self._export(store, self._kept)
        self._set_back = False

    def _export(self, store: Any, path: Path) -> None:
        export_parquet(store, path, ())

    def set_back(self, _: Database) -> None:
        """Hand on an earlier export."""
        self._set_back = True

    @contextmanager
    def tampered(self, forge: Callable[[Database], None]) -> Iterator[Any]:
        """The export, after somebody was at it."""
        self._set_back = False
        with closing(ParquetFile(self._kept)) as tables:
            forge(tables)
            tables.write(self._path)
        if self._set_back:
            shutil.copy(self._early, self._path)
        with closing(ParquetExport(self._path)) as store:
            yield store


@pytest.fixture(scope="module", params=["sqlite", "postgres", "parquet"])
def place(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    if request.param == "parquet":
        yield ParquetPlace(tmp_path_factory.mktemp("tamper"))
        return
    if request.param == "sqlite":
        yield SQLitePlace(tmp_path_factory.mktemp("tamper"))
        return
    with postgres_server() as server, closing(PostgresPlace(server.dsn)) as postgres:
        yield postgres


@pytest.fixture(scope="module", autouse=True)
def table() -> Iterator[list[str]]:
    """What was found, to be printed at the end."""
    lines: list[str] = []
    yield lines
    sys.stdout.write("\n".join(["", "forgery | backend | runs | without a kept head | with one", *lines, ""]))


def seen(store: Any, since: str | None) -> tuple[bool, bool, bool]:
    """Whether there is a finding, whether records show that no seal covers, and whether content shows as withheld."""
    report = checked(store, "it", SIGNER.vkey, since)
    assert all(str(finding) for finding in report.findings)
    assert str(report)
    return not report.ok, report.n_unsealed > 0, bool(report.withheld)


def test_what_nobody_touched_verifies(place: Any) -> None:
    with place.tampered(lambda _: None) as store:
        for since in (None, place.head):
            assert seen(store, since) == (False, False, False)


@pytest.mark.parametrize("name", FORGERIES)
def test_a_forgery_is_found(place: Any, name: str, table: list[str]) -> None:
    rng, found = seeded(name), [0, 0]
    for _ in range(RUNS):
        run = random.Random(rng.random())
        with place.tampered(lambda db, run=run: FORGERIES[name](db, run)) as store:
            for column, since in enumerate((None, place.head)):
                finding, unsealed, withheld = seen(store, since)
                is_hidden = place.name == "Parquet" and name in HIDDEN
                found[column] += unsealed if name in UNSEALED else withheld if is_hidden else finding
    table.append(f"{name} | {place.name} | {RUNS} | {found[0]} | {found[1]}")
    assert found == [RUNS, RUNS]


# --- what a store alone cannot show, and a head that was kept does ---


def with_the_key(db: Database, rng: random.Random) -> None:
    """Whoever holds the key writes everything anew."""
    FORGERIES["a number of a record changed"](db, rng)
    forging.rewrite_seals(db)
    forging.rewrite_head(db, SIGNER)


def test_an_index_that_was_changed_misleads_a_search_and_nothing_that_is_proved(place: Any) -> None:
    if place.name == "Parquet":
        return  # an export has no index
    with place.tampered(lambda db: forging.change_index(db, random.Random(1))) as store:
        assert seen(store, place.head) == (False, False, False)
        assert {summary.metadata["tier"] for summary in store.list_engagements()} == {"gold"}


@pytest.mark.parametrize("how", ["set back to a copy from before", "written anew by who holds the key"])
def test_what_the_store_alone_cannot_show_a_kept_head_does(place: Any, how: str, table: list[str]) -> None:
    rng, found = seeded(how), [0, 0]
    for _ in range(RUNS):
        run = random.Random(rng.random())
        forge = place.set_back if how.startswith("set") else lambda db, run=run: with_the_key(db, run)
        with place.tampered(forge) as store:
            for column, since in enumerate((None, place.head)):
                found[column] += seen(store, since)[0]
    table.append(f"{how} (documented) | {place.name} | {RUNS} | {found[0]} | {found[1]}")
    assert found == [0, RUNS]
