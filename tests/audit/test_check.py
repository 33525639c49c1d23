"""Verifying a whole store: what is untouched verifies, and what was changed by hand is named."""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path

import pytest

from ftnb.audit._check import check
from ftnb.audit._note import NoteSigner
from ftnb.core.errors import VerificationError
from ftnb.core.model import EventKind
from ftnb.recorder import Recorder
from ftnb.store.sqlite import SQLiteStore

SIGNER = NoteSigner("acme/notebook", os.urandom(32))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "traces.db"
    store = SQLiteStore(str(path))
    store.signer = SIGNER
    recorder = Recorder(store)
    for user in range(3):
        engagement = recorder.start_engagement("chat", metadata={"user": user})
        step = recorder.start_step(engagement, "ask")
        recorder.record_event(
            step, EventKind.LOG, "said", payload={"messages": [f"{user} {i} " + "x" * 300 for i in range(9)]}
        )
        recorder.end_step(step)
        recorder.end_engagement(engagement)
    recorder.close()
    store.close()
    return path


def kinds(path: Path, since: str | None = None) -> set[str]:
    store = SQLiteStore(str(path), read_only=True)
    try:
        report = check(store, "traces.db", vkey=SIGNER.vkey, since=since)
        assert report.ok == (not report.findings)
        return {finding.kind for finding in report.findings}
    finally:
        store.close()


def test_what_is_untouched_verifies_and_is_all_sealed(path: Path) -> None:
    assert kinds(path) == set()
    store = SQLiteStore(str(path))
    report = check(store, "traces.db", vkey=SIGNER.vkey)
    assert (report.counts(), report.n_unsealed, report.signed_by) == ({"sealed": 3}, 0, "acme/notebook")
    note = store.log_head().note
    store.purge(store.list_engagements()[0].id)
    later = check(store, "traces.db", vkey=SIGNER.vkey, since=note)
    assert (later.ok, later.counts(), later.since) == (False, {"sealed": 2, "purged": 1}, 3)  # this process has no key
    assert {finding.kind for finding in later.findings} == {"head_unsigned"}
    store.close()


PURGE = '{"engagement":"e","streams":[]}'
TAMPER: dict[str, tuple[str, set[str]]] = {
    "a duration": ("UPDATE log SET duration_us = 7 WHERE seq = 4", {"record_changed"}),
    "a time": ("UPDATE log SET at_us = at_us + 1 WHERE seq = 2", {"record_changed"}),
    "a body": ("UPDATE log SET body = CAST('{}' AS BLOB) WHERE seq = 1", {"record_changed"}),
    "a salt": ("UPDATE log SET salt = x'00' WHERE seq = 1", {"record_changed"}),
    "a record gone": ("DELETE FROM log WHERE seq = 3", {"record_missing"}),
    "the last record gone": ("DELETE FROM log WHERE seq = 5", {"record_missing"}),
    "a blob": (
        "UPDATE blob SET data = CAST('[]' AS BLOB) WHERE rowid = (SELECT min(rowid) FROM blob)",
        {"blob_changed"},
    ),
    "an engagement gone": ("DELETE FROM log WHERE eid = 1", {"stream_missing"}),
    "a body closed without a word": (
        "UPDATE log SET body = NULL, commitment = zeroblob(32) WHERE seq = 1",
        {"record_changed", "content_missing"},
    ),
    "a seal": (
        "UPDATE store_log SET body = CAST(replace(CAST(body AS TEXT), 'ended', 'asked') AS BLOB) WHERE seq = 1",
        {"head_changed"},
    ),
    "the head": ("UPDATE store_head SET size = 2", {"head_changed"}),
    "the signature": ("UPDATE store_head SET note = replace(note, 'acme', 'evil')", {"bad_signature"}),
    "the note": ("UPDATE store_head SET note = 'x'", {"head_unsigned"}),
    "a forged purge": (f"INSERT INTO store_log VALUES (4, 0, 'purge', CAST('{PURGE}' AS BLOB))", {"head_changed"}),
}


@pytest.mark.parametrize("name", TAMPER)
def test_what_was_changed_by_hand_is_named(path: Path, name: str) -> None:
    sql, expected = TAMPER[name]
    database = sqlite3.connect(path)
    database.execute(sql)
    database.commit()
    database.close()
    assert expected <= kinds(path)


def test_a_store_that_was_set_back_shows_by_a_head_that_was_kept(path: Path) -> None:
    before = path.read_bytes()
    store = SQLiteStore(str(path))
    store.signer = SIGNER
    Recorder(store).end_engagement(Recorder(store).start_engagement("later"))
    store.log_head()
    store.close()
    store = SQLiteStore(str(path))
    kept = store.log_head().note
    store.close()
    assert kinds(path, kept) == set()
    for suffix in ("-wal", "-shm"):
        Path(f"{path}{suffix}").unlink(missing_ok=True)
    path.write_bytes(before)
    assert kinds(path) == set(), "nothing in the file itself tells"
    assert kinds(path, kept) == {"history_changed"}


def test_the_error_has_the_finding_and_the_report(path: Path) -> None:
    database = sqlite3.connect(path)
    database.execute("UPDATE log SET name = 'other' WHERE seq = 2")
    database.commit()
    database.close()
    store = SQLiteStore(str(path))
    with pytest.raises(VerificationError, match=r"record_changed.*expected root.*got") as raised:
        check(store, "traces.db").raise_if_broken()
    assert raised.value.report.counts() == {"broken": 1, "sealed": 2}  # type: ignore[attr-defined]
    store.close()
