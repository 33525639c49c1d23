"""The tamper matrix: every forgery, many times, on every backend, with a head that was kept and without one.

`make faults` runs each forgery 40 times and prints the table; FTNB_SEED repeats a run.
"""

from __future__ import annotations

import os
import random
import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest

from ftnb.audit._check import check
from ftnb.audit._needed import needed
from ftnb.audit._note import NoteSigner
from ftnb.core.model import EventKind
from ftnb.recorder import Recorder
from ftnb.store.postgres import PostgresStore
from ftnb.store.sqlite import SQLiteStore
from tests.audit import forging
from tests.audit.forging import FORGERIES, Database, PostgresTables, SQLiteFile
from tests.faults.reach import reach, seeded
from tests.servers import postgres_server

SIGNER = NoteSigner("acme/notebook", os.urandom(32))
RUNS = reach(2, 40)
UNSEALED = {"a record added at the end, the stream's head moved with it"}
"""What is no finding, but shows: records that no seal covers, where everything was sealed."""


def fill(store: Any) -> str:
    """Engagements with turns, large values, a redaction and a purge, everything sealed; the head, to keep."""
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
        with closing(SQLiteStore(self._kept)) as store:
            self.head = fill(store)

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
        self.head = fill(self._store)
        self._tables = PostgresTables(dsn, "tamper")
        self._tables.keep()

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


@pytest.fixture(scope="module", params=["sqlite", "postgres"])
def place(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
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


def seen(store: Any, since: str | None) -> tuple[bool, bool]:
    """Whether there is a finding, and whether records show that no seal covers."""
    report = check(store, "it", vkey=SIGNER.vkey, since=since)
    assert all(str(finding) for finding in report.findings)
    assert str(report)
    return not report.ok, report.n_unsealed > 0


def test_what_nobody_touched_verifies(place: Any) -> None:
    with place.tampered(lambda _: None) as store:
        for since in (None, place.head):
            assert seen(store, since) == (False, False)


@pytest.mark.parametrize("name", FORGERIES)
def test_a_forgery_is_found(place: Any, name: str, table: list[str]) -> None:
    rng, found = seeded(name), [0, 0]
    for _ in range(RUNS):
        run = random.Random(rng.random())
        with place.tampered(lambda db, run=run: FORGERIES[name](db, run)) as store:  # type: ignore[misc]
            for column, since in enumerate((None, place.head)):
                finding, unsealed = seen(store, since)
                found[column] += unsealed if name in UNSEALED else finding
    table.append(f"{name} | {place.name} | {RUNS} | {found[0]} | {found[1]}")
    assert found == [RUNS, RUNS]


# --- what a store alone cannot show, and a head that was kept does ---


def set_back(db: Database, rng: random.Random) -> None:
    """Everything after the first seals never happened; the head is the one that was signed then."""
    keep = rng.randrange(1, 3)
    kept = {said["stream"] for said in map(_said, forging.entries(db)[:keep])}
    for eid, stream in db.rows("SELECT eid, stream_id FROM {stream}"):
        if stream not in kept:
            for name in ("log", "blob", "stream", "label", "engagement"):
                db.do(f"DELETE FROM {{{name}}} WHERE eid = ?", eid)
    db.do("DELETE FROM {entry} WHERE seq > ?", keep)
    forging.rewrite_head(db, SIGNER)  # Ed25519 signs the same text to the same signature: this is the earlier note


def with_the_key(db: Database, rng: random.Random) -> None:
    """Whoever holds the key writes everything anew."""
    FORGERIES["a number of a record changed"](db, rng)
    forging.rewrite_seals(db)
    forging.rewrite_head(db, SIGNER)


def _said(entry: tuple[Any, ...]) -> dict[str, Any]:
    import json

    said: dict[str, Any] = json.loads(entry[3])
    return said


def test_an_index_that_was_changed_misleads_a_search_and_nothing_that_is_proved(place: Any) -> None:
    with place.tampered(lambda db: forging.change_index(db, random.Random(1))) as store:
        assert seen(store, place.head) == (False, False)
        assert {summary.metadata["tier"] for summary in store.list_engagements()} == {"gold"}


@pytest.mark.parametrize("how", [set_back, with_the_key])
def test_only_a_kept_head_shows_a_store_set_back_or_written_anew_with_its_key(
    place: Any, how: forging.Forge, table: list[str]
) -> None:
    rng, found = seeded(how.__name__), [0, 0]
    for _ in range(RUNS):
        run = random.Random(rng.random())
        with place.tampered(lambda db, run=run: how(db, run)) as store:  # type: ignore[misc]
            for column, since in enumerate((None, place.head)):
                found[column] += seen(store, since)[0]
    table.append(f"{how.__name__} (documented) | {place.name} | {RUNS} | {found[0]} | {found[1]}")
    assert found[1] == RUNS, "a kept head shows it"
