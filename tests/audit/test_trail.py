"""The trail as its user meets it: a head to keep, a signature to check, and what is said where there is none."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

import ftnb
from ftnb.audit import Audit, Trail
from ftnb.core.errors import InvalidArgumentError, StoreError
from ftnb.recorder import Recorder
from ftnb.store.sqlite import SQLiteStore
from ftnb.testing._case import record_run

KEY = os.urandom(32)


@pytest.fixture
def store(tmp_path: Path) -> SQLiteStore:
    return SQLiteStore(str(tmp_path / "traces.db"))


def test_a_head_that_was_kept_is_continued_and_signed(store: SQLiteStore, tmp_path: Path) -> None:
    trail = ftnb.open(store).audit.sign_with(Audit("acme/notebook", KEY))
    record_run(store)
    kept = trail.head().save(tmp_path / "head.txt")
    record_run(store)
    report = trail.verify(since=kept).raise_if_broken()
    assert (report.signed_by, report.since, report.counts()) == ("acme/notebook", 2, {"sealed": 2})
    assert trail.verify(since=kept.read_text()).ok
    other = Audit("acme/notebook", os.urandom(32)).signer().vkey
    assert {one.kind for one in trail.verify(vkey=other).findings} == {"bad_signature"}


def test_without_a_key_everything_is_sealed_and_nobody_signed(store: SQLiteStore) -> None:
    record_run(store)
    trail = ftnb.open(store).audit
    assert (trail.vkey, trail.head().signed_by) == (None, None)
    report = trail.verify(since=trail.head())
    assert report.ok
    assert report.signed_by is None
    assert "no verifier key was given" in str(report)


def test_what_goes_on_is_unsealed_until_it_is_sealed(store: SQLiteStore) -> None:
    recorder = Recorder(store)
    recorder.start_step(recorder.start_engagement("chat"), "ask")
    recorder.flush()
    trail = Trail(store)
    assert (trail.verify().n_unsealed, trail.verify().counts()) == (2, {"unsealed": 1})
    assert trail.seal() == 1
    assert trail.seal() == 0
    assert (trail.verify().n_unsealed, trail.verify().counts()) == (0, {"sealed": 1})


def test_a_key_is_made_once_and_for_its_owner_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    first = Audit("acme/nb").signer().vkey
    assert Audit("acme/nb").signer().vkey == first
    assert Audit("acme/other").signer().vkey != first
    (path,) = tmp_path.rglob("acme_nb.key")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert Audit("acme/nb", path).signer().vkey == first


def test_recording_signs_when_asked(tmp_path: Path) -> None:
    session = ftnb.start(tmp_path / "traces.db", audit=Audit("acme/nb", KEY))
    with ftnb.record("chat"):
        pass
    session.recorder.flush()
    trail = ftnb.open(session.store).audit
    assert trail.head().signed_by == "acme/nb"
    assert trail.verify().signed_by == "acme/nb"
    ftnb.stop()


@pytest.mark.parametrize("audit", [Audit("a b"), Audit("a+b"), Audit("a", b"short"), Audit("a", Path(__file__))])
def test_what_cannot_sign_is_told(store: SQLiteStore, audit: Audit) -> None:
    with pytest.raises((InvalidArgumentError, StoreError)):
        Trail(store).sign_with(audit)
    assert store.log_head().size == 0


def test_bad_heads_and_keys_are_told(store: SQLiteStore) -> None:
    record_run(store)
    trail = Trail(store)
    with pytest.raises(InvalidArgumentError, match="verifier key"):
        trail.verify(vkey="acme")
    with pytest.raises(InvalidArgumentError, match="no signed tree head"):
        trail.verify(since="a\nb\nc\n\n")
    with pytest.raises(InvalidArgumentError, match="cannot be read"):
        trail.verify(since="missing.txt")
