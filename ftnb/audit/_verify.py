"""`ftnb.verify`: whatever somebody hands on, checked, whichever form it has."""

from __future__ import annotations

import os
import zipfile
from base64 import b64decode
from pathlib import Path
from typing import Any

from ..core.errors import FtnbError, InvalidArgumentError, StoreError, VerificationError
from ..store._url import open_store
from . import _guard, _note
from ._bundle import verify_bundle
from ._check import check
from ._evidence import EVIDENCE, VIEWS
from ._report import Finding, Report
from ._views import check_views


def verify(path: str | os.PathLike[str], *, vkey: str | os.PathLike[str] | None = None, since: Any = None) -> Report:
    """Check a proof bundle, an exported Parquet folder or file, or a store, and say what it proves.

    `vkey` is the verifier key of whoever recorded, or a file with it; without it, nobody vouches for the head. `since`
    is a head that was kept (its text, or a file with it); a bundle is not compared with one. The report names what is
    covered, not sealed yet, purged, redacted, missing, and left out of an export; what an export's views say without
    evidence is `unproven`.

    Every byte of an export's files is covered: by what is recorded where ftnb reads it, by a checksum in the file, and
    that by a signature where somebody signed when it was written.

    Raises VerificationError, with what was expected and got and the whole report, where anything does not hold or
    cannot be read; StoreError when nothing is there; InvalidArgumentError for what is no key or head.
    """
    from ._trail import note_text

    name, key = os.fspath(path), _key(vkey)
    if "://" not in name:
        place = Path(name).expanduser()
        if not place.exists():
            raise StoreError(f"nothing to verify at {name!r}: there is no such file or folder")
        if place.is_file() and (zipfile.is_zipfile(place) or name.endswith(".zip")):
            return verify_bundle(place, key)
        if place.is_dir() or place.suffix == ".parquet":
            _guard.ensure_bounded(place)
    kept = note_text(since)
    try:
        store = open_store(name) if "://" in name else open_store(Path(name))
    except FtnbError as error:
        raise _unreadable(name, error) from error
    try:
        return checked(store, name, key, kept).raise_if_broken()
    except VerificationError:
        raise
    except InvalidArgumentError:
        raise
    except FtnbError as error:
        raise _unreadable(name, error) from error
    finally:
        store.close()


def checked(store: Any, name: str, vkey: str | None, since: str | None) -> Report:
    """Everything that can be checked of a store or an export."""
    if not getattr(store, "has_proofs", False):
        error = StoreError(f"{name} gives no proofs: expected a log of seals under a head, got none")
        raise _unreadable(name, error)
    report = check(store, name, vkey=vkey, since=since)
    if getattr(store, "is_export", False) and not store.is_published:
        if store.path.is_dir():
            check_views(report, store)
        check_bytes(report, store.path, vkey)
    return report


def check_bytes(report: Report, place: Path, vkey: str | None) -> None:
    """Add a finding for each file of an export whose checksum is not of its bytes, or is signed by another key."""
    from ..store._parquet_seal import check_seal, text_of

    names = {f"{name}.parquet" for name in (*VIEWS, *EVIDENCE)}
    files = sorted(place.iterdir()) if place.is_dir() else [place]
    unsigned = []
    for path in files:
        if place.is_dir() and path.name not in names:
            report.notes.append(f"{path.name} in {place} is no file of the export, and was not looked at")
            continue
        try:
            said = check_seal(path)
        except FtnbError as error:
            expected = "the bytes that were written, under their checksum"
            report.findings.append(Finding("file_changed", f"the file {path.name}", expected, str(error)))
            continue
        if said.signature is None:
            unsigned.append(path.name)
        elif vkey is not None and not _note.is_signature(b64decode(said.signature), text_of(said.digest), vkey):
            expected = f"a signature of {_note.parse_verifier_key(vkey)[0]}"
            report.findings.append(Finding("bad_signature", f"the file {path.name}", expected, "another"))
    if unsigned and report.signed_by:
        report.notes.append(
            f"nobody signed the checksum of {', '.join(unsigned)}: what ftnb reads is proved, what other readers make "
            "of the files, as of their statistics, is not; export where the key is to have it signed"
        )


def _key(vkey: str | os.PathLike[str] | None) -> str | None:
    if vkey is None or (isinstance(vkey, str) and "+" in vkey and "\n" not in vkey.strip()):
        return None if vkey is None else str(vkey).strip()
    try:
        return Path(vkey).read_text("utf-8").strip()
    except (OSError, ValueError) as error:
        raise InvalidArgumentError(
            f"vkey= is a verifier key or a file with one; {str(vkey)[:80]!r}: {error}"
        ) from error


def _unreadable(name: str, error: Exception) -> VerificationError:
    report = Report(name, 0, "")
    report.findings.append(Finding("unreadable", name, "a trace of ftnb that can be read", str(error)))
    return VerificationError(f"{name} does not verify: expected a trace of ftnb that can be read, got: {error}", report)
