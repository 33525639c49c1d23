"""Proof bundles: one engagement with its proofs in a zip file, of which any content can be withheld.

records.ndjson       a record a line: its clear columns, and commitments to the rest
disclosures.ndjson   what the commitments are to, a line each: leave out any line and everything else still verifies
                     (and with a line that refers to values, the lines of these values)
proof.txt            the seals, receipts and their audit paths, and the signed head of the log (`_proof`)
verify.py            checks all of it with Python's standard library and openssl (`_standalone`)

The comment of the zip file is the SHA-256 of all bytes before it, so that damage shows which no reader would see.
"""

from __future__ import annotations

import io
import os
import zipfile
from base64 import b64encode
from collections.abc import Iterable, Iterator, Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any

from ..core.errors import InvalidArgumentError, StoreError, UnknownEngagementError, VerificationError
from ..store import _fields
from ..store.leaf import CLEAR_PLACES, GROUPS, GROUPS_END, INDEX, NAMES, Row, commitment_of, group_commitment, is_audit
from . import _note, _standalone
from ._needed import needed
from ._prove import Prover, rows_of
from ._report import Covered, Finding, Report
from ._select import Item, Selection, select, with_children

_STREAM, _N, _SALT, _BODY, _COMMITMENT = (INDEX[name] for name in ("stream_id", "n", "salt", "body", "commitment"))
_COLUMNS = NAMES[:_SALT]
_EPOCH = (1980, 1, 1, 0, 0, 0)
README = """A proof bundle of ftnb: one engagement, what of its content its owner chose to show, and the proof that it
was recorded as it stands here.

    python verify.py THIS_FILE.ftproof.zip vkey.txt

verify.py needs Python's standard library and the openssl command. Do not trust the vkey.txt and the verify.py in here:
get the key from whoever recorded, by another way, and verify.py from ftnb's documentation, or read it.

Any line of disclosures.ndjson may be left out before the bundle is handed on, with the lines of the values that only
it refers to; everything else still verifies. What it proves: these records are what the seals in the signed log cover,
in this order, with none missing in a stream. What it cannot prove: that there was nothing that was never recorded, and
that the owner of the key did not write a whole other log. For that, compare the head at the end of proof.txt with one
that was kept outside.
"""


def export(
    source: Any, engagement_id: str, path: str | os.PathLike[str], withhold: Sequence[Item], vkey: str | None
) -> Path:
    """Write a bundle; see `Trail.export`."""
    target = Path(path).expanduser()
    rows = rows_of(source.scan(list(NAMES), engagement_id=engagement_id))
    if not rows:
        known = [one.id for one in source.list_engagements(limit=5, newest=True)]
        raise UnknownEngagementError.of(engagement_id, known, repr(source))
    whole = [row for stream in sorted(rows) for row in rows[stream]]
    blobs = _blobs(source, engagement_id)
    data = {blob_id: blob[2] for blob_id, blob in blobs.items()}
    selection = with_children(select(withhold, whole, data) if withhold else Selection(), whole, data)
    files = {
        "README.txt": README.encode(),
        "verify.py": Path(_standalone.__file__).read_bytes(),
        "proof.txt": Prover(source).prove_whole(engagement_id, rows).text.encode(),
        "records.ndjson": _lines(map(record_of, whole)),
        "disclosures.ndjson": _lines(_disclosures(whole, blobs, selection)),
    }
    if vkey is not None:
        files["vkey.txt"] = f"{vkey}\n".encode()
    _write(target, files)
    return target


def _blobs(source: Any, engagement_id: str) -> dict[str, tuple[bytes, str, bytes]]:
    """Salt, media and data of each value of an engagement."""
    import pyarrow.compute

    compute: Any = pyarrow.compute
    table = source.scan_blobs()
    table = table.filter(compute.equal(table["engagement_id"], engagement_id))
    columns = (table[name].to_pylist() for name in ("blob_id", "salt", "media", "data"))
    return {blob_id: (salt, media, data) for blob_id, salt, media, data in zip(*columns, strict=True)}


def record_of(row: Row) -> dict[str, Any]:
    """A record as it stands in a bundle: clear columns and commitments."""
    commitment = commitment_of(row)
    if not is_audit(row[_SALT]):
        said = {name: value for name, value in zip(_COLUMNS, row, strict=False) if value is not None}
        return said if commitment is None else {**said, "commitment": commitment.hex()}
    said = {NAMES[place]: row[place] for place in CLEAR_PLACES if row[place] is not None}
    said["groups"] = [group_commitment(row, place).hex() for place in range(len(GROUPS))]
    if row[_BODY] is not None:
        said["fields"] = [[path, digest.hex()] for path, _, _, digest in _fields_of(row)]
    elif commitment is not None:
        said["commitment"] = commitment.hex()
    return said


def _fields_of(row: Row) -> Iterator[tuple[str, str, bytes, bytes]]:
    """Path, value, salt and commitment of each field; the salt is empty for one that is closed."""
    size = _fields.SALT_BYTES
    for place, (path, value) in enumerate(_fields.fields_of(row[_BODY])):
        kept = _fields.closed_by(value)
        salt = row[_SALT][GROUPS_END + size * place : GROUPS_END + size * (place + 1)]
        yield path, value, b"" if kept else salt, kept or _fields.field_commitment(salt, path, value)


def _disclosures(
    rows: Iterable[Row], blobs: dict[str, tuple[bytes, str, bytes]], selection: Selection
) -> Iterator[dict[str, Any]]:
    shown: list[bytes] = []
    for row in rows:
        place = {"stream": row[_STREAM], "n": row[_N]}
        is_withheld = (row[_STREAM], row[_N]) in selection.records
        if is_audit(row[_SALT]):
            yield from _groups_of(row, place, selection.groups)
            fields = () if row[_BODY] is None or is_withheld else _fields_of(row)
            left_out = selection.fields.get((row[_STREAM], row[_N]), ())
            for path, value, salt, _ in fields:
                if salt and path not in left_out:
                    shown.append(value.encode())
                    yield {**place, "field": path, "salt": salt.hex(), "value": value}
        elif row[_BODY] is not None and not is_withheld:
            shown.append(row[_BODY])
            yield {**place, "salt": row[_SALT].hex(), "body": row[_BODY].decode()}
    there = {blob_id: blob[2] for blob_id, blob in blobs.items() if blob_id not in selection.blobs}
    for blob_id in sorted(needed(shown, there) & there.keys()):
        salt, media, data = blobs[blob_id]
        yield {"blob": blob_id, "salt": salt.hex(), "media": media, "data": b64encode(data).decode()}


def _groups_of(row: Row, place: dict[str, Any], withheld: set[str]) -> Iterator[dict[str, Any]]:
    for at, (group, names) in enumerate(GROUPS.items()):
        start = 1 + _fields.SALT_BYTES * at
        salt = row[_SALT][start : start + _fields.SALT_BYTES]
        if group not in withheld and salt != _fields.NO_SALT:
            columns = {name: row[INDEX[name]] for name in names if row[INDEX[name]] is not None}
            yield {**place, "group": group, "salt": salt.hex(), "columns": columns}


def _lines(said: Iterable[dict[str, Any]]) -> bytes:
    return "".join(f"{_standalone.encode(one)}\n" for one in said).encode()


def _write(target: Path, files: dict[str, bytes]) -> None:
    memory = io.BytesIO()
    with zipfile.ZipFile(memory, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            archive.writestr(zipfile.ZipInfo(name, _EPOCH), data, zipfile.ZIP_DEFLATED)
        archive.comment = b"0" * 64
    before = memory.getvalue()[:-64]
    whole = before + sha256(before).hexdigest().encode()
    if target.exists() and not _is_bundle(target):
        raise StoreError(f"{str(target)!r} is there and is no proof bundle, so it is left alone; choose another name")
    try:
        target.write_bytes(whole)
    except OSError as error:
        raise StoreError(f"cannot write the bundle {str(target)!r}: {error}") from error


def _is_bundle(path: Path) -> bool:
    try:
        with zipfile.ZipFile(path) as archive:
            return {"proof.txt", "records.ndjson"} <= set(archive.namelist())
    except (OSError, zipfile.BadZipFile):
        return False


def verify_bundle(path: Path, vkey: str | None) -> Report:
    """What a bundle proves. Raises VerificationError for the first thing that does not hold."""
    name = str(path)
    try:
        files = _standalone.read_bundle(name)
        note = files["proof.txt"].partition(b"\n\n")[2].decode()
        said = _standalone.verify(files, None)
        head = _note.parse(note)
    except (_standalone.Broken, InvalidArgumentError) as error:
        raise _error(name, str(error)) from error
    except Exception as error:  # whatever a made-up file does to its reader, it is no bundle
        raise _error(name, f"expected a bundle of ftnb, got {error!r:.200}") from error
    report = Report(name, head.size, head.root.hex())
    covered = Covered(said["engagement"], said["records"], said["sealed"], said["redacted"], is_purged=said["purged"])
    covered.withheld = said["withheld"]
    report.engagements[said["engagement"]] = covered
    if vkey is None:
        report.notes.append("no verifier key was given: whoever made the bundle could have made all of it up")
    elif _note.is_signed(head, vkey):
        report.signed_by = head.origin
    else:
        origin, _ = _note.parse_verifier_key(vkey)
        got = ", ".join(name for name, _ in head.signatures) or "none"
        report.findings.append(Finding("bad_signature", "the head of the log", f"a signature of {origin}", got))
    return report.raise_if_broken()


def _error(name: str, text: str) -> VerificationError:
    report = Report(name, 0, "")
    where, _, rest = text.partition(": expected ")
    expected, _, got = rest.partition(", got ")
    report.findings.append(Finding("bundle_changed", where, expected or "a bundle that holds", got or text))
    return VerificationError(f"{name} does not verify: {text}", report)
