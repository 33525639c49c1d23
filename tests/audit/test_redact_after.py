"""Redaction after the fact, by field, by pattern, or of everything: gone, on record, withheld, still proved."""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

import ftnb
from ftnb.audit import Audit, Trail
from ftnb.core.errors import InvalidArgumentError, StoreError, UnknownEngagementError
from ftnb.core.model import EventKind
from ftnb.recorder import Recorder
from ftnb.store.memory import MemoryStore
from ftnb.store.sqlite import SQLiteStore
from tests.audit.runs import chat

KEY = os.urandom(32)


@pytest.fixture(params=["sqlite hash", "sqlite audit", "memory hash", "memory audit"])
def tr(request: pytest.FixtureRequest, tmp_path: Path) -> Any:
    kind, profile = request.param.split()
    store: Any = SQLiteStore(str(tmp_path / "t.db")) if kind == "sqlite" else MemoryStore()
    Trail(store).sign_with(Audit("acme/nb", KEY, profile))
    chat(store, 2, text="Ada said", email="ada@example.org", user="u-1")
    chat(store, 1, text="Bob said", user="u-2")
    return ftnb.open(store)


def texts(tr: Any) -> str:
    """Everything that a reader can see."""
    seen = [repr(tr.engagement(one).model) for one in tr.engagements()["engagement_id"]]
    seen += [str(tr.events(payload=True)["payload"].to_list()), str(tr.engagements()["metadata"].to_list())]
    seen += [str(list(tr.store.blobs_of(one).values())) for one in tr.engagements()["engagement_id"]]
    return "\n".join(seen)


def in_files(tr: Any, word: bytes) -> list[str]:
    path = getattr(tr.store, "path", None)
    if path is None:
        return [word.decode()] if word in repr(tr.store.__dict__).encode() else []
    return [file.name for file in Path(path).parent.iterdir() if word in file.read_bytes()]


def test_what_a_pattern_finds_is_masked_everywhere_and_gone(tr: Any) -> None:
    before = texts(tr)
    done = tr.redact(pattern=r"Ada|ada@example\.org", reason="asked", by="dpo")
    assert (len(done.engagement_ids), done.n_left) == (1, 0)
    after = texts(tr)
    assert "Ada" not in after
    assert "ada@" not in after
    assert in_files(tr, b"Ada") == in_files(tr, b"ada@") == []
    assert after.count("[redacted] said") == before.count("Ada said")
    assert tr.engagement(done.engagement_ids[0]).metadata == {"email": "[redacted]", "user": "u-1"}
    assert tr.engagement(done.engagement_ids[0]).gaps == []
    assert tr.audit.verify().raise_if_broken().counts() == {"redacted": 1, "sealed": 1}
    (entry,) = tr.store.store_entries("redaction")
    assert (entry["reason"], entry["by"], entry["how"]) == ("asked", "dpo", "pattern")
    assert tr.redact(pattern=r"Ada", reason="again").n == 0


def test_an_export_of_it_shows_the_masked_copies_and_verifies(tr: Any, tmp_path: Path) -> None:
    tr.redact(pattern=r"Ada", reason="asked")
    report = ftnb.verify(tr.to_parquet(tmp_path / "share"), vkey=tr.audit.vkey)
    assert report.counts() == {"redacted": 1, "sealed": 1}
    assert texts(ftnb.open(tmp_path / "share")) == texts(tr)
    bundle = tr.audit.export(tr.engagements()["engagement_id"][0], tmp_path / "one.ftproof.zip")
    assert ftnb.verify(bundle, vkey=tr.audit.vkey).counts() == {"redacted": 1}


def test_a_second_pattern_reaches_the_copies_of_the_first(tr: Any) -> None:
    tr.redact(pattern=r"Ada", reason="asked")
    tr.redact(pattern=r"said \d", reason="asked")
    assert "said 0" not in texts(tr)
    assert "[redacted] [redacted]" in texts(tr)
    assert in_files(tr, b"said 0") == []
    assert tr.redact(pattern="chat", reason="asked").n_left == 2
    assert tr.audit.verify().raise_if_broken().counts() == {"redacted": 2}


def test_a_field_goes_after_it_was_masked(tr: Any) -> None:
    eng = tr.engagement(tr.engagements()["engagement_id"][0])
    eng.redact(pattern=r"Ada|ada@", reason="asked")
    eng.redact(fields=["email", "payload.text", "payload.long"], reason="asked")
    assert "example.org" not in texts(tr)
    assert "[redacted] said" not in texts(tr)
    assert tr.audit.verify().raise_if_broken().counts() == {"redacted": 1, "sealed": 1}
    assert eng.audit_state == "redacted"
    assert eng.model.gaps == []


def test_fields_go_alone_or_with_their_body(tr: Any) -> None:
    eng = tr.engagement(tr.engagements()["engagement_id"][0])
    is_audit = tr.store.profile == "audit"
    eng.redact(fields=["email"], reason="asked", by="dpo")
    assert eng.metadata == ({"email": {"$ftnb": "withheld"}, "user": "u-1"} if is_audit else {})
    eng.redact(fields=["payload.long"], reason="asked")
    payload = eng.steps[0].events[0].payload
    assert payload["long"]["$ftnb"] == "withheld"
    assert payload["text"] == "Ada said 0"
    assert in_files(tr, b"Ada said Ada said") == []
    assert tr.audit.verify().raise_if_broken().counts() == {"redacted": 1, "sealed": 1}


def test_everything_goes_and_the_statistics_stay(tr: Any) -> None:
    eng = tr.engagement(tr.engagements()["engagement_id"][0])
    eng.redact(all=True, reason="erasure request 7")
    assert in_files(tr, b"Ada") == in_files(tr, b"ada@") == []
    assert (len(eng.steps), len(eng.steps[0].events), eng.status) == (1, 2, "completed")
    assert tr.audit.verify().raise_if_broken().counts() == {"redacted": 1, "sealed": 1}


def test_a_hold_outranks_it_unless_somebody_says_why_not(tr: Any) -> None:
    eng = tr.engagement(tr.engagements()["engagement_id"][0])
    hold = tr.retention().hold(eng.id, reason="lawsuit")
    with pytest.raises(InvalidArgumentError, match="lawsuit"):
        eng.redact(all=True, reason="asked")
    with pytest.raises(InvalidArgumentError, match="lawsuit"):
        tr.redact(pattern="Bob", reason="asked")
    assert "Bob" in texts(tr)
    eng.redact(fields=["email"], reason="asked", override="the court agreed")
    assert tr.store.store_entries("redaction")[0]["override"] == "the court agreed"
    tr.retention().release(hold)
    eng.redact(all=True, reason="asked")


def test_a_long_conversation_and_an_image_are_reached() -> None:
    store = MemoryStore()
    recorder = Recorder(store)
    engagement = recorder.start_engagement("chat")
    step = recorder.start_step(engagement, "ask")
    messages = [{"role": "user", "content": f"{i}: Ada " + "x" * 200} for i in range(70)]
    payload = {"messages": messages, "file": b"\x89PNG Ada" + b"x" * 900, "key": {"Ada": 1}}
    recorder.record_event(step, EventKind.LOG, "said", payload=payload)
    recorder.end_step(step)
    recorder.end_engagement(engagement)
    recorder.close()
    tr = ftnb.open(store)
    tr.redact(pattern="Ada", reason="asked")
    shown = tr.engagement(engagement).steps[0].events[0].payload
    assert [one["content"][:14] for one in shown["messages"]] == [f"{i}: [redacted] x"[:14] for i in range(70)]
    assert shown["key"] == {"[redacted]": 1}
    assert tr.audit.verify().raise_if_broken().counts() == {"redacted": 1}


def test_what_cannot_be_redacted_is_told(tr: Any, tmp_path: Path) -> None:
    eng = tr.engagement(tr.engagements()["engagement_id"][0])
    for what in ({}, {"all": True, "pattern": "x"}):
        with pytest.raises(InvalidArgumentError, match="redact what"):
            eng.redact(reason="asked", **what)
    with pytest.raises(InvalidArgumentError, match="needs a reason"):
        eng.redact(all=True, reason="")
    for pattern in ("(", "x*"):
        with pytest.raises(InvalidArgumentError, match="pattern"):
            eng.redact(pattern=pattern, reason="asked")
    with pytest.raises(InvalidArgumentError, match="metadata here: email, user"):
        eng.redact(fields=["phone"], reason="asked")
    with pytest.raises(UnknownEngagementError):
        tr.audit.redact("nobody", all=True, reason="asked")
    with pytest.raises(StoreError, match="can only be read"):
        ftnb.open(tr.to_parquet(tmp_path / "share")).redact(all=True, reason="asked")
    assert tr.where(user="u-2").redact(pattern="said", reason="asked").n == 2
    assert "Ada said" in texts(tr)


def test_the_badge_says_how_far_it_is_proved() -> None:
    store = MemoryStore()
    recorder = Recorder(store)
    engagement = recorder.start_engagement("chat")
    recorder.flush()
    eng = ftnb.open(store).engagement(engagement)
    assert eng.audit_state == "unsealed"
    recorder.end_engagement(engagement)
    recorder.close()
    assert eng.audit_state == "sealed"
    eng.annotate("correct")
    assert eng.audit_state == "sealed"


def test_a_hold_that_comes_while_content_is_taken_out_is_seen(tr: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    real, engagement = tr.store.redact, tr.last().id

    def late(*given: Any, **why: Any) -> int:
        tr.retention().hold(engagement, reason="lawsuit")
        return int(real(*given, **why))

    monkeypatch.setattr(tr.store, "redact", late)
    with pytest.raises(InvalidArgumentError, match="meanwhile"):
        tr.audit.redact(engagement, all=True, reason="asked")
    assert "Bob said" in texts(tr)
    assert tr.store.store_entries("redaction") == []
    tr.retention().release(tr.store.store_entries("hold")[0]["hold"])
    policy = tr.retention("1d", content_only=True)
    done = policy.apply(now=datetime.now(UTC) + timedelta(days=3), progress=False).frame()
    assert dict(done.select("engagement_id", "done").rows())[engagement] == "kept"
