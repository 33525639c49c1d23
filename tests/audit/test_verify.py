"""`ftnb.verify`: a store, a bundle or an export, whole or with content withheld; anything else is one error."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import ftnb
from ftnb.audit import Audit, Trail, _guard
from ftnb.core.errors import InvalidArgumentError, StoreError, VerificationError
from ftnb.store.sqlite import SQLiteStore
from tests.audit.runs import chat

KEY = os.urandom(32)
VKEY = Audit("acme/nb", KEY).signer().vkey


@pytest.fixture(scope="module", params=["hash", "audit"])
def profile(request: pytest.FixtureRequest) -> Any:
    return request.param


@pytest.fixture(scope="module")
def path(profile: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("store") / "traces.db"
    store = SQLiteStore(str(path))
    Trail(store).sign_with(Audit("acme/nb", KEY, profile))
    for user in range(3):
        chat(store, 2, email="ada@example.org", user=f"u-{user}")
    store.close()
    return path


@pytest.fixture(autouse=True)
def _unguarded(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if "are_one_error" not in request.node.name and "too_much" not in request.node.name:
        monkeypatch.setattr(_guard, "ensure_bounded", lambda path: None)  # a process of its own, and a second each time


def test_a_store_a_bundle_and_an_export_verify(path: Path, tmp_path: Path) -> None:
    tr = ftnb.open(path)
    tr.audit._store.signer = Audit("acme/nb", KEY).signer()
    key = tmp_path / "vkey.txt"
    key.write_text(VKEY + "\n")
    kept = tr.audit.head().save(tmp_path / "head.txt")
    bundle = tr.audit.export(tr.last().id, tmp_path / "one.ftproof.zip")
    folder, file = tr.to_parquet(tmp_path / "share"), tr.to_parquet(tmp_path / "one.parquet")
    for place in (path, folder, file):
        report = ftnb.verify(place, vkey=key, since=kept)
        assert (report.counts(), report.signed_by, report.since) == ({"sealed": 3}, "acme/nb", 4)
        assert (report.withheld, report.unproven, report.notes) == ([], [], [])
    assert ftnb.verify(str(bundle), vkey=VKEY).counts() == {"sealed": 1}
    tr.close()


def test_a_part_of_a_store_says_what_it_leaves_out(path: Path, tmp_path: Path) -> None:
    tr = ftnb.open(path)
    folder = tr.where(user="u-1").to_parquet(tmp_path / "share")
    assert ftnb.verify(folder, vkey=VKEY).counts() == {"sealed": 1, "missing": 2}
    tr.close()


@pytest.mark.parametrize(
    ("item", "gone", "cell"),
    [
        ("email", b"ada@example.org", "engagements.metadata of "),
        ("payload.long", b"call ada call ada", None),
        ("payload.text", b"call ada 1", "events.error of "),
        ("step:ask", b"call ada 1", "events.error of "),
    ],
)
@pytest.mark.parametrize("name", ["share", "one.parquet"])
def test_what_is_withheld_is_gone_and_the_rest_is_proved(
    path: Path, profile: str, tmp_path: Path, item: str, gone: bytes, cell: str | None, name: str
) -> None:
    tr = ftnb.open(path)
    place = tr.to_parquet(tmp_path / name, withhold=[item])
    report = ftnb.verify(place, vkey=VKEY)
    assert report.counts() == {"sealed": 3}
    assert report.withheld
    back = ftnb.open(place)
    assert gone not in repr(back.store.scan(["body"]).to_pylist()).encode()
    assert gone not in repr(back.store.scan_blobs().to_pylist()).encode()
    if name == "share":
        assert any(one.startswith(cell) for one in report.unproven) if cell else not report.unproven
        for view in ("engagements", "steps", "events"):
            assert gone not in repr(pq.read_table(place / f"{view}.parquet").to_pylist()).encode()
    if item == "email":
        metadata = back.last().metadata
        assert metadata == ({"email": {"$ftnb": "withheld"}, "user": "u-2"} if profile == "audit" else {})
    tr.close()


def test_parts_of_the_header_can_be_hidden(path: Path, profile: str, tmp_path: Path) -> None:
    tr = ftnb.open(path)
    if profile == "hash":
        with pytest.raises(InvalidArgumentError, match="profile audit"):
            tr.to_parquet(tmp_path / "share", withhold=["header:usage"])
        return
    report = ftnb.verify(tr.to_parquet(tmp_path / "share", withhold=["header:usage", "header:names"]), vkey=VKEY)
    assert any(one.startswith("events.total_tokens of ") for one in report.unproven)
    assert "unproven in the views" in str(report)
    with pytest.raises(InvalidArgumentError, match="a bundle"):
        tr.to_parquet(tmp_path / "share", withhold=["header:timing"])
    with pytest.raises(InvalidArgumentError, match="metadata here"):
        tr.to_parquet(tmp_path / "share", withhold=["phone"])
    tr.close()


def _changed(folder: Path, table: str, change: Any) -> None:
    found = pq.read_table(folder / f"{table}.parquet")
    frame: Any = pl.from_arrow(found)
    new = change(frame).to_arrow().cast(found.schema).replace_schema_metadata(found.schema.metadata)
    pq.write_table(new, folder / f"{table}.parquet", write_page_checksum=True)


CHANGES: dict[str, tuple[str, Any, str]] = {
    "a duration": ("records", lambda f: f.with_columns(pl.col("duration_us") + 1), "record_changed"),
    "a body": ("records", lambda f: f.with_columns(body=pl.lit(b"{}")), "record_changed"),
    "a record": ("records", lambda f: f.slice(1), "record_missing"),
    "a value": ("blobs", lambda f: f.with_columns(data=pl.lit(b"[]")), "blob_changed"),
    "an entry": ("entries", lambda f: f.with_columns(at_us=pl.lit(1, pl.Int64)), "head_changed"),
    "a status in a view": ("engagements", lambda f: f.with_columns(status=pl.lit("failed")), "view_changed"),
    "a row of a view": ("steps", lambda f: f.slice(1), "view_changed"),
    "tokens in a view": ("events", lambda f: f.with_columns(duration_ms=pl.lit(0.5)), "view_changed"),
}


@pytest.mark.parametrize("name", CHANGES)
def test_what_was_changed_in_an_export_is_named(path: Path, tmp_path: Path, name: str) -> None:
    table, change, kind = CHANGES[name]
    tr = ftnb.open(path)
    folder = tr.to_parquet(tmp_path / "share")
    tr.close()
    _changed(folder, table, change)
    with pytest.raises(VerificationError, match=r"expected .*, got ") as raised:
        ftnb.verify(folder, vkey=VKEY)
    assert kind in {one.kind for one in raised.value.report.findings}  # type: ignore[attr-defined]


def test_a_view_may_say_what_its_evidence_withholds_and_is_then_unproven(path: Path, tmp_path: Path) -> None:
    tr = ftnb.open(path)
    whole, reduced = tr.to_parquet(tmp_path / "whole"), tr.to_parquet(tmp_path / "reduced", withhold=["email"])
    tr.close()
    shutil.copy(whole / "engagements.parquet", reduced / "engagements.parquet")
    report = ftnb.verify(reduced, vkey=VKEY)
    assert len([one for one in report.unproven if one.startswith("engagements.metadata")]) == 3


def test_files_whose_checksum_nobody_signed_are_noted_and_another_key_is_found(path: Path, tmp_path: Path) -> None:
    tr = ftnb.open(path)
    unsigned = ftnb.verify(tr.to_parquet(tmp_path / "one.parquet"), vkey=VKEY)
    assert "nobody signed the checksum of one.parquet" in unsigned.notes[0]
    tr.audit._store.signer = Audit("acme/nb", os.urandom(32)).signer()  # the head in it is still signed by the first
    folder = tr.to_parquet(tmp_path / "share")
    tr.close()
    (folder / "README.txt").write_text("hello")
    with pytest.raises(VerificationError, match=r"expected a signature of acme/nb, got another") as raised:
        ftnb.verify(folder, vkey=VKEY)
    report = raised.value.report
    assert [one.kind for one in report.findings] == ["bad_signature"] * 7  # type: ignore[attr-defined]
    assert "README.txt" in report.notes[0]  # type: ignore[attr-defined]


def test_foreign_cut_and_swollen_files_are_one_error(path: Path, tmp_path: Path) -> None:
    tr = ftnb.open(path)
    folder = tr.to_parquet(tmp_path / "share")
    tr.close()
    cut = folder / "blobs.parquet"
    cut.write_bytes(cut.read_bytes()[:-50])
    foreign = tmp_path / "foreign.parquet"
    pq.write_table(pa.table({"x": [1]}), foreign)
    text = tmp_path / "text.db"
    text.write_text("no database")
    for place in (folder, foreign, text, tmp_path):
        with pytest.raises(VerificationError, match="does not verify") as raised:
            ftnb.verify(place, vkey=VKEY)
        assert raised.value.report.findings  # type: ignore[attr-defined]
    with pytest.raises(StoreError, match="nothing to verify"):
        ftnb.verify(tmp_path / "nothing")
    with pytest.raises(InvalidArgumentError, match="vkey="):
        ftnb.verify(path, vkey="no key")


def test_a_file_that_unpacks_to_too_much_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bomb = tmp_path / "bomb.parquet"
    column = ["x" * 10_000] * 20_000
    pq.write_table(pa.table({"body": column}).replace_schema_metadata({"ftnb.schema": "1"}), bomb)
    assert bomb.stat().st_size < 20_000
    monkeypatch.setattr(_guard, "BASE_BYTES", 10_000_000)
    with pytest.raises(VerificationError, match="more than it may"):
        ftnb.verify(bomb)
