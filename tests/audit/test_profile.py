"""Profile `audit`: every field has a commitment of its own, and can go alone with all proofs intact."""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import ftnb
from ftnb.audit import Audit, Trail
from ftnb.core.canonical import dumps
from ftnb.core.errors import InvalidArgumentError
from ftnb.core.model import EventKind
from ftnb.recorder import Recorder
from ftnb.store import _fields, leaf
from ftnb.store._fields import path_of
from ftnb.store._leaves import audited
from ftnb.store.memory import MemoryStore
from ftnb.store.sqlite import SQLiteStore
from tests.audit.runs import chat

AUDIT = Audit("acme/nb", os.urandom(32), profile="audit")


@pytest.fixture(params=["sqlite", "memory"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Any:
    return SQLiteStore(str(tmp_path / "t.db")) if request.param == "sqlite" else MemoryStore()


def test_a_field_goes_alone_and_everything_verifies(store: Any) -> None:
    trail = Trail(store).sign_with(AUDIT)
    engagement = chat(store, email="ada@example.org", user="u-1")
    start = store.scan(["stream_id", "n"], types=("engagement_started",)).to_pylist()[0]
    place = (start["stream_id"], start["n"], [path_of("metadata", "email")])
    assert store.redact(engagement, [place], reason="asked", by="dpo") == 1
    assert store.redact(engagement, [place], reason="again") == 0
    report = trail.verify()
    assert (report.findings, report.counts(), report.n_unsealed) == ([], {"redacted": 1}, 0)
    assert store.get_engagement(engagement).metadata == {"email": {"$ftnb": "withheld"}, "user": "u-1"}
    assert store.list_engagements({"email": "ada@example.org"}) == []
    assert len(store.list_engagements({"user": "u-1"})) == 1
    assert ftnb.open(store).engagements(meta=["user"])["user"].to_list() == ["u-1"]


def test_a_whole_body_goes_and_everything_verifies(store: Any) -> None:
    trail = Trail(store).sign_with(AUDIT)
    engagement = chat(store)
    rows = store.scan(["stream_id", "n"], types=("event_recorded",)).to_pylist()
    assert store.redact(engagement, [(row["stream_id"], row["n"]) for row in rows]) == len(rows)
    assert trail.verify().raise_if_broken().counts() == {"redacted": 1}
    assert store.get_engagement(engagement).steps[0].events[0].payload == {"$ftnb": "withheld"}
    assert not store.get_engagement(engagement).gaps


def test_without_commitments_of_their_own_fields_take_the_body_with_them(store: Any) -> None:
    engagement = chat(store, email="ada@example.org", user="u-1")
    start = store.scan(["stream_id", "n"], types=("engagement_started",)).to_pylist()[0]
    assert store.redact(engagement, [(start["stream_id"], start["n"], [path_of("metadata", "email")])]) == 1
    assert store.get_engagement(engagement).metadata == {}
    assert Trail(store).verify().raise_if_broken().counts() == {"redacted": 1}


@pytest.mark.parametrize("column", ["name", "at_us", "salt", "body", "tok_total", "step_id", "kind", "n_bytes"])
def test_no_column_escapes_the_leaf(tmp_path: Path, column: str) -> None:
    path = tmp_path / "t.db"
    store = SQLiteStore(str(path))
    Trail(store).sign_with(AUDIT)
    chat(store)
    store.close()
    new = {"salt": "zeroblob(length(salt))", "body": "CAST(replace(CAST(body AS TEXT), 'ada', 'eve') AS BLOB)"}
    database = sqlite3.connect(path)
    value = new.get(column) or ("'other'" if column in ("name", "step_id", "kind") else "77")
    database.execute(f"UPDATE log SET {column} = {value} WHERE type = 'event_recorded'")
    database.commit()
    database.close()
    store = SQLiteStore(str(path), read_only=True)
    assert {finding.kind for finding in Trail(store).verify(vkey=AUDIT.signer().vkey).findings} == {"record_changed"}
    store.close()


def test_a_field_that_was_closed_without_a_word_is_named(tmp_path: Path) -> None:
    path = tmp_path / "t.db"
    store = SQLiteStore(str(path))
    Trail(store).sign_with(AUDIT)
    chat(store)
    (row,) = store.scan(["salt", "body", "commitment"], types=("engagement_started",)).to_pylist()
    store.close()
    after = leaf.closed(*row.values(), paths=[path_of("metadata", "user")])
    database = sqlite3.connect(path)
    database.execute("UPDATE log SET salt = ?, body = ?, commitment = ? WHERE seq = 1", after)
    database.commit()
    database.close()
    store = SQLiteStore(str(path), read_only=True)
    assert [finding.kind for finding in Trail(store).verify(vkey=AUDIT.signer().vkey).findings] == ["content_missing"]
    store.close()


_json = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**60), 2**60) | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=10,
)


@settings(max_examples=60, deadline=None)
@given(st.dictionaries(st.sampled_from(["metadata", "@payload", "error", 'a"b', "é", ""]), _json), st.data())
def test_any_fields_of_any_body_can_be_closed(body: dict[str, Any], data: st.DataObject) -> None:
    encoded = dumps(body)
    fields = _fields.fields_of(encoded)
    salts = os.urandom(16 * len(fields))
    before = _fields.body_commitment(salts, encoded)
    chosen = data.draw(st.sets(st.sampled_from([path for path, _ in fields]))) if fields else set()
    after, left = _fields.with_closed(salts, encoded, chosen)
    assert _fields.body_commitment(after, left) == before
    assert set(_fields.closed_paths(left)) == chosen
    if not chosen:
        assert left == encoded


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(list(leaf.GROUPS)))
def test_groups_of_the_header_can_be_hidden(group: str) -> None:
    values = {"n": 1, "body": b'{"error":"no"}', "at_us": 5, "tok_total": 7, "name": "x", "step_id": "s"}
    (row,), (known,) = audited([tuple(values.get(name) for name in leaf.NAMES)])
    hidden = leaf.without_group(row, group)
    assert leaf.leaf_hash(hidden) == leaf.leaf_hash(row) == known
    assert leaf.hidden_groups(hidden) == [group]
    shown = tuple(
        "again" if name == leaf.GROUPS[group][1] else value for name, value in zip(leaf.NAMES, hidden, strict=True)
    )
    with pytest.raises(ValueError, match="shows something"):
        leaf.leaf_hash(shown)


@pytest.mark.parametrize(
    "body", [b"", b"[]", b'{"a": 1}', b'{"a":1}x', b'{"a":1,"a":2}', b'{"a":1 }', b"{1:2}", b'{"a"', b"\xff"]
)
def test_what_is_no_body_is_refused(body: bytes) -> None:
    with pytest.raises(ValueError, match=r"body|codec"):
        _fields.fields_of(body)


def test_what_was_withheld_is_copied_without_its_commitment(store: Any) -> None:
    Trail(store).sign_with(AUDIT)
    recorder = Recorder(store)
    engagement = recorder.start_engagement("copy")
    step = recorder.start_step(engagement, "ask")
    from ftnb.core.marked import Marked

    recorder.record_event(step, EventKind.LOG, "said", payload={"x": Marked({"$ftnb": "withheld", "sha256": "0" * 64})})
    recorder.end_step(step)
    recorder.end_engagement(engagement)
    recorder.close()
    assert Trail(store).verify().raise_if_broken().counts() == {"sealed": 1}


def test_an_unknown_profile_is_told() -> None:
    with pytest.raises(InvalidArgumentError, match="hash, audit"):
        Audit(profile="everything")  # type: ignore[arg-type]
