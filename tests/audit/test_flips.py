"""Bits flipped in a bundle that is handed on: none is taken, and there is one clear error each.

`make faults` flips 10,000.
"""

from __future__ import annotations

import os
import random
from pathlib import Path

import pytest

import ftnb
from ftnb.audit import Audit, Trail
from ftnb.core.errors import FtnbError
from ftnb.store.sqlite import SQLiteStore
from tests.audit.runs import chat
from tests.faults.reach import reach, seeded

AUDIT = Audit("acme/flips", os.urandom(32), profile="audit")


@pytest.fixture
def trail(tmp_path: Path) -> Trail:
    store = SQLiteStore(tmp_path / "t.db")
    trail = Trail(store).sign_with(AUDIT)
    chat(store, 2, email="ada@example.org", user="u-1")
    return trail


def flipped(data: bytes, rng: random.Random) -> bytes:
    """One to three bits the other way, or a piece cut off, doubled or zeroed."""
    new, kind = bytearray(data), rng.randrange(8)
    at = rng.randrange(len(new))
    if kind == 0:
        return bytes(new[:at])
    if kind == 1:
        return bytes(new[:at] + new[at : at + rng.randrange(1, 40)] + new[at:])
    if kind == 2 and any(new[at : at + 8]):
        new[at : at + 8] = bytes(len(new[at : at + 8]))
        return bytes(new)
    for place in rng.sample(range(len(new)), rng.randrange(1, 4)):
        new[place] ^= 1 << rng.randrange(8)
    return bytes(new)


def accepted(path: Path, vkey: str) -> str | None:
    """What a verification says of it where it takes it; None where it raises an error of ours."""
    try:
        return str(ftnb.verify(path, vkey=vkey))
    except FtnbError:
        return None


def test_a_bundle(trail: Trail, tmp_path: Path) -> None:
    vkey, store = trail.vkey, trail._store
    assert vkey is not None
    bundle = trail.export(store.list_engagements()[0].id, tmp_path / "e.ftproof.zip", withhold=["email"])
    whole, rng = bundle.read_bytes(), seeded("bundle")
    said = accepted(bundle, vkey)
    assert said is not None
    taken = []
    for _ in range(reach(100, 10_000)):
        data = flipped(whole, rng)
        if data == whole:
            continue
        bundle.write_bytes(data)
        if (found := accepted(bundle, vkey)) is not None:
            taken.append([i for i, (a, b) in enumerate(zip(data, whole, strict=False)) if a != b][:4] or found)
    assert taken == []
