"""Bundles: checked by a stranger with Python and openssl, in whole or with anything withheld; altered ones not."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import pytest

import ftnb
from ftnb.audit import Audit, Trail
from ftnb.audit._bundle import verify_bundle
from ftnb.core.errors import InvalidArgumentError, StoreError, UnknownEngagementError, VerificationError
from ftnb.store._fields import path_of
from ftnb.store.memory import MemoryStore
from tests.audit.runs import chat

KEY = os.urandom(32)
VKEY = Audit("acme/nb", KEY).signer().vkey


@pytest.fixture(scope="module", params=["hash", "audit"])
def profile(request: pytest.FixtureRequest) -> Any:
    return request.param


@pytest.fixture(scope="module")
def store(profile: Any) -> MemoryStore:
    store = MemoryStore()
    Trail(store).sign_with(Audit("acme/nb", KEY, profile))
    for _ in range(3):
        chat(store, 2, email="ada@example.org", user="u-1")
    return store


def bundled(store: Any, folder: Path, *withhold: Any) -> Path:
    engagement = store.list_engagements()[1].id
    return Trail(store).export(engagement, folder / "one.ftproof.zip", withhold=withhold)


def alone(bundle: Path, vkey: str | None = VKEY) -> tuple[int, str]:
    """What the script of the bundle says, in a Python that has nothing else."""
    folder = bundle.parent / "alone"
    folder.mkdir(exist_ok=True)
    with zipfile.ZipFile(bundle) as archive:
        (folder / "verify.py").write_bytes(archive.read("verify.py"))
    (folder / "key.txt").write_text(vkey or "")
    command = [sys.executable, "-I", "-S", "verify.py", str(bundle), *(["key.txt"] if vkey else [])]
    ended = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert ended.stderr == ""
    return ended.returncode, ended.stdout


def test_a_stranger_checks_it_with_python_and_openssl_alone(store: Any, tmp_path: Path) -> None:
    bundle = bundled(store, tmp_path)
    code, said = alone(bundle)
    assert (code, "verified: engagement" in said, "redacted: 0; withheld: 0" in said) == (0, True, True)
    report = verify_bundle(bundle, VKEY)
    assert (report.counts(), report.signed_by, report.withheld) == ({"sealed": 1}, "acme/nb", [])
    other = Audit("acme/nb", os.urandom(32)).signer().vkey
    assert alone(bundle, other)[0] == 1
    with pytest.raises(VerificationError, match="bad_signature"):
        verify_bundle(bundle, other)
    code, said = alone(bundle, None)
    assert (code, "NO KEY" in said) == (0, True)


@pytest.mark.parametrize(
    ("item", "gone"),
    [
        ("email", "ada@example.org"),
        ("payload.long", "call ada call"),
        ("payload.text", "call ada 0"),
        ("step:ask", "call ada"),
    ],
)
def test_what_is_withheld_is_not_in_it_and_the_rest_is_proved(
    store: Any, profile: str, tmp_path: Path, item: str, gone: str
) -> None:
    bundle = bundled(store, tmp_path, item)
    with zipfile.ZipFile(bundle) as archive:
        content = b"".join(archive.read(name) for name in archive.namelist() if name.endswith(".ndjson")).decode()
    assert gone not in content
    assert ("u-1" in content) == (profile == "audit" or item != "email")
    assert ("call ada 1" in content) == (item == "email" or (item == "payload.long"))
    code, said = alone(bundle)
    assert (code, "withheld: 0" in said) == (0, False), said
    report = verify_bundle(bundle, VKEY)
    assert report.withheld
    assert report.counts() == {"sealed": 1}


def test_single_records_values_and_groups_can_be_withheld(store: Any, profile: str, tmp_path: Path) -> None:
    engagement = store.list_engagements()[1].id
    blob = next(iter(store.blobs_of(engagement)))
    (start,) = store.scan(["stream_id", "n"], types=("engagement_started",), engagement_id=engagement).to_pylist()
    for item in (blob, (start["stream_id"], start["n"])):
        assert verify_bundle(bundled(store, tmp_path, item), VKEY).withheld
    if profile == "hash":
        with pytest.raises(InvalidArgumentError, match="profile audit"):
            bundled(store, tmp_path, "header:usage")
        return
    bundle = bundled(store, tmp_path, "header:usage", "header:timing", "header:names", "header:identity")
    assert len(verify_bundle(bundle, VKEY).withheld) == 4 * 6
    with zipfile.ZipFile(bundle) as archive:
        assert "at_us" not in archive.read("disclosures.ndjson").decode()


def rewritten(bundle: Path, name: str, change: Any) -> Path:
    target = bundle.with_name("changed.ftproof.zip")
    with zipfile.ZipFile(bundle) as archive, zipfile.ZipFile(target, "w") as new:
        for one in archive.namelist():
            data = archive.read(one)
            new.writestr(one, change(data) if one == name else data)
    return target


def test_whoever_has_it_may_leave_out_more(store: Any, tmp_path: Path) -> None:
    bundle, outcomes = bundled(store, tmp_path, "payload.long"), set()
    n_lines = len(zipfile.ZipFile(bundle).read("disclosures.ndjson").splitlines())
    for place in range(n_lines):
        changed = rewritten(bundle, "disclosures.ndjson", lambda data, p=place: _without(data, p))
        outcomes.add(_outcome(changed))
    assert outcomes == {"withheld"}


def _outcome(path: Path) -> str:
    return "withheld" if verify_bundle(path, VKEY).withheld else "whole"


def _without(data: bytes, place: int) -> bytes:
    lines = data.splitlines(keepends=True)
    return b"".join(lines[:place] + lines[place + 1 :])


def test_what_was_altered_is_refused(store: Any, tmp_path: Path) -> None:
    bundle = bundled(store, tmp_path)
    for name in ("records.ndjson", "disclosures.ndjson", "proof.txt"):
        data = zipfile.ZipFile(bundle).read(name)
        for at in range(0, len(data), max(len(data) // 60, 1)):
            for bit in (0, 5):
                flipped = data[:at] + bytes([data[at] ^ (1 << bit)]) + data[at + 1 :]
                _refused(rewritten(bundle, name, lambda _, new=flipped: new))
    for change in (
        lambda data: data + b'{"blob":"x"}\n',
        lambda data: data + data.splitlines(keepends=True)[0],
        lambda data: data[:-1],
        lambda data: data.replace(b'":', b'": ', 1),
        lambda data: b"\n" + data,
    ):
        _refused(rewritten(bundle, "disclosures.ndjson", change))
    for change in (lambda data: _without(data, 0), lambda data: _without(data, 3), lambda data: b""):
        _refused(rewritten(bundle, "records.ndjson", change))


def _refused(path: Path) -> None:
    with pytest.raises(VerificationError, match="does not verify") as raised:
        verify_bundle(path, VKEY)
    assert raised.value.report.findings  # type: ignore[attr-defined]


def test_a_value_that_nothing_refers_to_cannot_be_slipped_in(store: Any, tmp_path: Path) -> None:
    from base64 import b64encode

    from ftnb.store.blobs import blob_id_of

    salt, data = os.urandom(16), b'"it was agreed"'
    made_up = {"blob": blob_id_of(salt, "application/json", data), "salt": salt.hex(), "media": "application/json"}
    line = json.dumps({**made_up, "data": b64encode(data).decode()}, sort_keys=True, separators=(",", ":")).encode()
    changed = rewritten(bundled(store, tmp_path), "disclosures.ndjson", lambda old: old + line + b"\n")
    with pytest.raises(VerificationError, match="refers to"):
        verify_bundle(changed, VKEY)
    assert alone(changed)[0] == 1


def test_foreign_cut_and_swollen_files_are_one_error(store: Any, tmp_path: Path) -> None:
    bundle = bundled(store, tmp_path)
    cut = tmp_path / "cut.ftproof.zip"
    cut.write_bytes(bundle.read_bytes()[:-100])
    foreign = tmp_path / "foreign.ftproof.zip"
    with zipfile.ZipFile(foreign, "w") as archive:
        archive.writestr("../../evil", "x")
    bomb = tmp_path / "bomb.ftproof.zip"
    with zipfile.ZipFile(bomb, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in ("records.ndjson", "disclosures.ndjson", "proof.txt"):
            with archive.open(name, "w") as file:
                for _ in range(100):
                    file.write(bytes(1 << 20))
    text = tmp_path / "text.ftproof.zip"
    text.write_text("no zip")
    for path in (cut, foreign, bomb, text):
        _refused(path)


def test_a_redaction_shows_as_such_and_content_may_not_come_back(profile: Any, tmp_path: Path) -> None:
    store = MemoryStore()
    Trail(store).sign_with(Audit("acme/nb", KEY, profile))
    engagement = chat(store, email="ada@example.org", user="u-1")
    before = Trail(store).export(engagement, tmp_path / "before.ftproof.zip")
    (start,) = store.scan(["stream_id", "n"], types=("engagement_started",)).to_pylist()
    store.redact(engagement, [(start["stream_id"], start["n"], [path_of("metadata", "email")])], reason="asked")
    after = Trail(store).export(engagement, tmp_path / "after.ftproof.zip")
    report = verify_bundle(after, VKEY)
    assert (report.counts(), report.withheld) == ({"redacted": 1}, [])
    shown = zipfile.ZipFile(before).read("disclosures.ndjson")
    with pytest.raises(VerificationError, match="nothing redacted"):
        verify_bundle(rewritten(after, "disclosures.ndjson", lambda _: shown), VKEY)
    assert verify_bundle(before, VKEY).counts() == {"sealed": 1}


def test_what_cannot_be_exported_is_told(store: Any, tmp_path: Path) -> None:
    trail = ftnb.open(store).audit
    with pytest.raises(UnknownEngagementError):
        trail.export("nobody", tmp_path / "x.ftproof.zip")
    with pytest.raises(InvalidArgumentError, match="metadata here: email, user"):
        bundled(store, tmp_path, "phone")
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(StoreError, match="left alone"):
        trail.export(store.list_engagements()[0].id, tmp_path / "mine.txt")
    with pytest.raises(StoreError, match="cannot write"):
        trail.export(store.list_engagements()[0].id, tmp_path / "no" / "x.ftproof.zip")
