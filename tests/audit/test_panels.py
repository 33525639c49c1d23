"""The trail in a notebook: panels, a badge, and `%ftnb audit`."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

import ftnb
from ftnb.audit import Audit, Trail
from ftnb.audit._state import badges_of
from ftnb.recorder import Recorder
from ftnb.store import _log_store
from ftnb.store.memory import MemoryStore
from ftnb.store.sqlite import SQLiteStore
from tests.audit.runs import chat


def test_panels_say_where_things_stand_and_load_nothing() -> None:
    store = MemoryStore()
    tr = ftnb.open(store)
    assert "nothing is sealed" in tr.audit._repr_html_()
    tr.audit.sign_with(Audit("acme/<nb>", os.urandom(32), "audit"))
    chat(store)
    html = tr.audit._repr_html_()
    for part in ("1 seal", tr.audit.head().root, "acme/&lt;nb&gt;", "every field"):
        assert part in html
    tr.retention().hold(tr.last().id, reason="lawsuit")
    kept = tr.retention(max_age="90d")._repr_html_()
    assert "1 engagements" in kept
    assert "max_age=90d" in kept
    for page in (html, kept):
        assert not any(part in page for part in ("<script", "http", "#fff", "color:black", "color:white"))


def test_the_text_of_an_engagement_has_its_badge() -> None:
    store = MemoryStore()
    engagement = chat(store)
    eng = ftnb.open(store).engagement(engagement)
    assert repr(eng).endswith("sealed>")
    eng.redact(all=True, reason="asked")
    assert repr(eng).endswith("redacted>")


def test_views_of_runs_and_the_list_of_many_have_badges(tmp_path: Path) -> None:
    store = SQLiteStore(tmp_path / "t.db")
    ids = [chat(store), chat(store)]
    recorder = Recorder(store)
    running = recorder.start_engagement("chat")
    recorder.flush()
    tr = ftnb.open(store)
    tr.engagement(ids[0]).redact(all=True, reason="asked")
    listed = {row["id"]: row["audit"] for row in tr.browse().payload["rows"]}
    assert listed == {ids[0]: "redacted", ids[1]: "sealed", running: "unsealed"}
    said = [tr.engagement(one).widget().payload["engagement"]["audit"] for one in (*ids, running)]
    assert said == ["redacted", "sealed", None]
    recorder.close()
    assert badges_of(object(), ["any"]) == [None]


def test_a_turn_that_goes_on_is_sealed_now_and_then(monkeypatch: pytest.MonkeyPatch) -> None:
    store = MemoryStore()
    recorder = Recorder(store)
    engagement = recorder.start_engagement("chat")
    recorder.flush()
    assert store.store_entries("seal") == []
    monkeypatch.setattr(_log_store, "SEAL_SECONDS", 0.0)
    recorder.start_step(engagement, "ask")
    recorder.flush()
    assert [(one["why"], one["size"]) for one in store.store_entries("seal")] == [("late", 2)]
    recorder.close()


def test_the_magic(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    from IPython.core.error import UsageError

    from ftnb.notebook import magics

    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    with pytest.raises(UsageError, match="%ftnb on first"):
        magics._audit("on")
    session = ftnb.start(tmp_path / "traces.db")
    try:
        magics._audit("on")
        with ftnb.record("chat"):
            pass
        magics._audit("head")
        magics._audit("verify")
        said = capsys.readouterr().out
        vkey = Trail(session.store).vkey
        assert vkey is not None
        assert vkey in said
        assert Trail(session.store).head().text in said
        assert "verified" in said
        magics._audit("off")
        assert (session.store.signer, session.store.profile) == (None, "hash")  # type: ignore[attr-defined]
        with pytest.raises(UsageError, match="not understood"):
            magics._audit("maybe")
    finally:
        ftnb.stop()
