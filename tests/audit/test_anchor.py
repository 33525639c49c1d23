"""Heads kept outside the store: in a file, and under the time stamp of an authority of our own; and the page with the
script."""

from __future__ import annotations

import os
import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from ftnb.audit import Audit, Trail, _standalone, verify_timestamp
from ftnb.core.errors import StoreError, VerificationError
from ftnb.store.memory import MemoryStore
from tests.audit.runs import chat

AUDIT = Audit("acme/nb", os.urandom(32))


def trail(n: int) -> Trail:
    found = Trail(MemoryStore()).sign_with(AUDIT)
    for _ in range(n):
        chat(found._store)
    return found


def test_heads_are_added_to_a_file_and_the_log_continues_all_of_them(tmp_path: Path) -> None:
    mine = trail(1)
    for _ in range(3):
        anchored = mine.anchor(tmp_path)
        chat(mine._store)
    assert anchored == tmp_path / "heads.txt"
    lines = anchored.read_text().splitlines()
    assert [line.split()[1:3] for line in lines] == [["acme/nb", "2"], ["acme/nb", "3"], ["acme/nb", "4"]]
    assert mine.verify_anchor(tmp_path).raise_if_broken().since == 4
    other = trail(9)
    assert {one.kind for one in other.verify_anchor(anchored).findings} == {"history_changed"}
    anchored.write_text("\n".join([lines[0], lines[1].replace(" 3 ", " 4 ")]) + "\n")
    with pytest.raises(VerificationError, match="line 2"):
        mine.verify_anchor(anchored)
    anchored.write_text("")
    with pytest.raises(VerificationError, match="at least one"):
        mine.verify_anchor(anchored)
    with pytest.raises(StoreError, match="cannot add"):
        mine.anchor(tmp_path / "no" / "heads.txt")
    with pytest.raises(StoreError, match="cannot read"):
        mine.verify_anchor(tmp_path / "none.txt")


CONFIG = """
[req]
distinguished_name = name
x509_extensions = tsa
prompt = no
[name]
CN = our own authority
[tsa]
basicConstraints = critical,CA:TRUE
extendedKeyUsage = critical,timeStamping
[stamp]
serial = serial
crypto_device = builtin
signer_cert = authority.pem
signer_key = key.pem
signer_digest = sha256
default_policy = 1.2.3.4
digests = sha256
"""


def authority(folder: Path) -> Path:
    folder.mkdir()
    (folder / "config").write_text(CONFIG)
    (folder / "serial").write_text("01\n")
    make = "openssl req -x509 -newkey rsa:2048 -nodes -keyout key.pem -out authority.pem -days 2 -config config"
    subprocess.run(make.split(), cwd=folder, check=True, capture_output=True)
    return folder / "authority.pem"


def test_a_time_stamp_says_when_a_head_was_there(tmp_path: Path) -> None:
    mine = trail(2)
    certificates = authority(tmp_path / "tsa")
    head = mine.head().text
    (tmp_path / "tsa" / "request").write_bytes(mine.timestamp_request())
    answer = "openssl ts -reply -queryfile request -config config -section stamp -out answer"
    subprocess.run(answer.split(), cwd=tmp_path / "tsa", check=True, capture_output=True)
    response = (tmp_path / "tsa" / "answer").read_bytes()
    at = verify_timestamp(head, response, certificates)
    assert abs(at - datetime.now(UTC)) < timedelta(minutes=2)
    chat(mine._store)
    for note, given, who in (
        (mine.head().text, response, certificates),
        (head, response[:-20], certificates),
        (head, b"", certificates),
        (head, response, authority(tmp_path / "another")),
    ):
        with pytest.raises(VerificationError, match="the time stamp: expected"):
            verify_timestamp(note, given, who)
    with pytest.raises(StoreError, match="no certificates"):
        verify_timestamp(head, response, tmp_path / "none.pem")


def test_the_page_has_the_script_that_bundles_have() -> None:
    page = (Path(__file__).parents[2] / "docs" / "verify.md").read_text("utf-8")
    script = Path(_standalone.__file__).read_text("utf-8")
    assert f"```python\n{script}```\n" in page
