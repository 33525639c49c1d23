"""Bits flipped in a bundle or an export that is handed on: none is taken, and there is one clear error each.

`make faults` flips 10,000 in a bundle, as many in an exported file and in an exported folder.
"""

from __future__ import annotations

import os
import random
from pathlib import Path

import pyarrow.parquet as pq
import pytest

import ftnb
from ftnb.audit import Audit, Trail, _guard
from ftnb.core.errors import FtnbError, NotOurFileError, VerificationError
from ftnb.store import _parquet_seal
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


def bytes_only(place: Path) -> None:
    """Stands in for the process in which a file is tried first, which takes a second: some damage ends such a process,
    and all of it that does is seen by the checksum."""
    for path in sorted(place.iterdir()) if place.is_dir() else [place]:
        try:
            _parquet_seal.check_seal(path)
        except NotOurFileError as error:
            raise VerificationError(str(error)) from error


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


def flip_all(place: Path, files: list[Path], vkey: str, n: int, rng: random.Random) -> list[str]:
    """What was taken of `n` damaged copies, each with damage in one of `files`."""
    assert accepted(place, vkey) is not None
    whole = {path: path.read_bytes() for path in files}
    paths, sizes = list(whole), [len(data) for data in whole.values()]
    taken = []
    for _ in range(n):
        path = rng.choices(paths, sizes)[0]
        data = flipped(whole[path], rng)
        if data == whole[path]:
            continue
        path.write_bytes(data)
        if (found := accepted(place, vkey)) is not None:
            changed = [i for i, (a, b) in enumerate(zip(data, whole[path], strict=False)) if a != b]
            taken.append(f"{path.name} at {changed[:4]}: {found}")
        path.write_bytes(whole[path])
    return taken


def the_export(trail: Trail, path: Path) -> tuple[Path, list[Path]]:
    """What is handed on, and its files."""
    if path.suffix == ".zip":
        trail.export(trail._store.list_engagements()[0].id, path, withhold=["email"])
        return path, [path]
    ftnb.open(trail._store).to_parquet(path, withhold=["email"])
    return path, sorted(path.iterdir()) if path.is_dir() else [path]


N_FLIPS = {"e.ftproof.zip": reach(60, 10_000), "share.parquet": reach(60, 10_000), "share": reach(60, 10_000)}


@pytest.mark.parametrize("name", N_FLIPS)
def test_no_damage_is_taken(trail: Trail, tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_guard, "ensure_bounded", bytes_only)
    vkey = trail.vkey
    assert vkey is not None
    place, files = the_export(trail, tmp_path / name)
    assert flip_all(place, files, vkey, N_FLIPS[name], seeded(name)) == []


@pytest.mark.parametrize("name", ["share.parquet", "share"])
def test_whoever_fits_the_checksum_again_changes_nothing_that_is_read(trail: Trail, tmp_path: Path, name: str) -> None:
    """As if nobody had signed the files: what is then taken says the same in every table."""
    vkey, rng = trail.vkey, seeded(f"fitted {name}")
    assert vkey is not None
    trail._store.signer = None
    place, files = the_export(trail, tmp_path / name)
    right = {path: pq.read_table(path) for path in files}
    whole = {path: path.read_bytes() for path in files}
    for _ in range(reach(3, 300)):
        path = rng.choice(files)
        path.write_bytes(flipped(whole[path], rng))
        fit(path)
        if accepted(place, vkey) is not None:
            assert pq.read_table(path).cast(right[path].schema).equals(right[path])
        path.write_bytes(whole[path])


def fit(path: Path) -> None:
    """Compute the checksum of a changed file anew, where it still has a place for one."""
    with path.open("r+b") as file:
        found = _parquet_seal._find(file, rb"[0-9a-f]{64}")
        if found is not None:
            digest = _parquet_seal._digest(file, *found)
            file.seek(found[0])
            file.write(digest.encode())


def test_a_signed_file_is_not_signed_by_its_checksum_alone(trail: Trail, tmp_path: Path) -> None:
    place, _ = the_export(trail, tmp_path / "share.parquet")
    data = bytearray(place.read_bytes())
    data[-200] ^= 1
    place.write_bytes(data)
    with place.open("r+b") as file:
        found = _parquet_seal._find(file, _parquet_seal._VALUE.pattern)
        assert found is not None
        digest = _parquet_seal._digest(file, *found)
        file.seek(found[0])
        file.write(digest.encode())
    with pytest.raises(VerificationError, match=r"share\.parquet"):
        ftnb.verify(place, vkey=trail.vkey)
