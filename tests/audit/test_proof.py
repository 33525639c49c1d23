"""Proofs as text: they hold for whoever has a head, and nothing in them can be altered."""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import ftnb
from ftnb.audit import Audit, Consistency, Proof, Trail
from ftnb.core.errors import NotRecordedError, UnknownEngagementError, UnknownStepError, VerificationError
from ftnb.recorder import Recorder
from ftnb.store.memory import MemoryStore
from ftnb.store.sqlite import SQLiteStore
from tests.audit.runs import chat

AUDIT = Audit("acme/nb", os.urandom(32))
VKEY = AUDIT.signer().vkey


@pytest.fixture(scope="module")
def store() -> Any:
    store = MemoryStore()
    Trail(store).sign_with(AUDIT)
    for _ in range(9):
        chat(store, 3)
    return store


def test_a_log_that_another_takes_the_place_of_is_read_anew(tmp_path: Path) -> None:
    one, other = SQLiteStore(tmp_path / "one.db"), SQLiteStore(tmp_path / "other.db")
    Trail(one).prove(chat(one)).verify()
    engagements = [chat(other), chat(other)]
    other.close()
    vacuumed = tmp_path / "copy.db"
    with closing(sqlite3.connect(tmp_path / "other.db")) as source, closing(sqlite3.connect(vacuumed)) as target:
        source.backup(target)
    with closing(sqlite3.connect(vacuumed)) as source, closing(sqlite3.connect(tmp_path / "one.db")) as target:
        source.backup(target)  # somebody restores a backup under a process that goes on
    for engagement in engagements:
        Trail(one).prove(engagement).verify()
        assert ftnb.open(one).engagement(engagement).audit_state == "sealed"
    one.close()


def test_an_engagement_and_a_step_of_it_are_proved_to_whoever_has_the_key(store: Any) -> None:
    tr = ftnb.open(store)
    engagement = tr.engagements()["engagement_id"][4]
    proof = tr.audit.prove(engagement, tr.engagement(engagement).step("ask"))
    proof.verify(VKEY)
    proof.verify(VKEY, head=tr.audit.head().text)
    again = Proof.parse(str(proof))
    assert again == proof
    again.verify(VKEY)
    (entry,) = proof.entries
    assert len(entry.records) == 5
    assert all(len(one.path) <= 20 for one in (entry, *entry.records))
    assert proof.tlog_proof().startswith("c2sp.org/tlog-proof@v1\nindex ")
    with pytest.raises(VerificationError, match="expected a signature"):
        proof.verify(Audit("acme/nb", os.urandom(32)).signer().vkey)


def test_no_line_of_a_proof_can_be_altered(store: Any) -> None:
    tr = ftnb.open(store)
    text = tr.audit.prove(tr.last().id, "ask").text
    lines = text.split("\n")
    for place, line in enumerate(lines):
        for at in range(0, len(line), 11):
            flipped = line[:at] + chr(ord(line[at]) ^ 1) + line[at + 1 :]
            _refused(Proof, "\n".join([*lines[:place], flipped, *lines[place + 1 :]]))
        _refused(Proof, "\n".join([*lines[:place], *lines[place + 1 :]]))
        if not line.startswith("— "):  # a note may be signed twice
            _refused(Proof, "\n".join([*lines[:place], line, line, *lines[place + 1 :]]))


def _refused(kind: Any, text: str) -> None:
    with pytest.raises(VerificationError, match="expected"):
        kind.parse(text).verify(VKEY)


def test_a_proof_is_not_another_ones(store: Any) -> None:
    trail = Trail(store)
    first, second = (trail.prove(one.id) for one in store.list_engagements()[:2])
    with pytest.raises(VerificationError, match="expected engagement"):
        replace(first, entries=second.entries).verify(VKEY)
    with pytest.raises(VerificationError, match="at least one entry"):
        replace(first, entries=()).verify(VKEY)


def test_two_heads_suffice_to_see_that_a_log_goes_on(tmp_path: Path) -> None:
    store = MemoryStore()
    trail = Trail(store).sign_with(AUDIT)
    heads = []
    for _ in range(5):
        chat(store)
        heads.append(trail.head())
    for head in heads:
        proof = Consistency.parse(trail.consistency(head).text)
        proof.verify(head, heads[-1], vkey=VKEY)
        assert proof == trail.consistency(head.save(tmp_path / "head.txt"))
    proof = trail.consistency(heads[1])
    for other in (heads[0], heads[2]):
        with pytest.raises(VerificationError, match="the earlier head"):
            proof.verify(other, vkey=VKEY)
    with pytest.raises(VerificationError, match="the later head"):
        proof.verify(heads[1], heads[3], vkey=VKEY)
    with pytest.raises(VerificationError, match="expected a continuation"):
        replace(proof, path=proof.path[1:]).verify(heads[1], vkey=VKEY)
    with pytest.raises(VerificationError, match="expected a signature"):
        proof.verify(heads[1], vkey=Audit("acme/nb", os.urandom(32)).signer().vkey)
    fresh = Trail(MemoryStore()).sign_with(AUDIT)
    with pytest.raises(VerificationError, match="set back"):
        fresh.consistency(heads[3])
    for _ in range(5):
        chat(fresh._store)
    with pytest.raises(VerificationError, match="expected root"):
        fresh.consistency(heads[3])


def test_what_cannot_be_proved_is_told() -> None:
    store = MemoryStore()
    trail = Trail(store)
    with pytest.raises(UnknownEngagementError):
        trail.prove("nobody")
    recorder = Recorder(store)
    engagement = recorder.start_engagement("chat")
    recorder.start_step(engagement, "ask")
    with pytest.raises(NotRecordedError, match="seal"):
        trail.prove(engagement)
    trail.seal()
    trail.prove(engagement, "ask").verify()
    with pytest.raises(UnknownStepError, match="ask"):
        trail.prove(engagement, "answer")
    recorder.close()


def test_a_purge_is_proved_too() -> None:
    store = MemoryStore()
    trail = Trail(store).sign_with(AUDIT)
    engagement = chat(store)
    store.purge(engagement, reason="asked")
    proof = trail.prove(engagement)
    proof.verify(VKEY)
    assert [entry.kind for entry in proof.entries] == ["seal", "purge"]


@pytest.mark.parametrize(
    "text", ["", "ftnb.proof/1", "ftnb.proof/1\n\n", "ftnb.proof/1\nengagement e\nx\n\na\n1\nx\n\n", "\n\n"]
)
def test_what_is_no_proof_is_one_error(text: str) -> None:
    for kind in (Proof, Consistency):
        with pytest.raises(VerificationError):
            kind.parse(text)
