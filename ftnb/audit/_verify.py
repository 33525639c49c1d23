"""`ftnb.verify`: whatever somebody hands on, checked, whichever form it has."""

from __future__ import annotations

import os
import zipfile
from pathlib import Path
from typing import Any

from ..core.errors import FtnbError, InvalidArgumentError, StoreError, VerificationError
from ..store._url import open_store
from . import _guard
from ._bundle import verify_bundle
from ._check import check
from ._report import Finding, Report
from ._views import check_views


def verify(path: str | os.PathLike[str], *, vkey: str | os.PathLike[str] | None = None, since: Any = None) -> Report:
    """Check a proof bundle, an exported Parquet folder or file, or a store, and say what it proves.

    `vkey` is the verifier key of whoever recorded, or a file with it; without it, nobody vouches for the head. `since`
    is a head that was kept (its text, or a file with it); a bundle is not compared with one. The report names what is
    covered, not sealed yet, purged, redacted, missing, and left out of an export; what an export's views say without
    evidence is `unproven`.

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
    if getattr(store, "is_export", False) and store.path.is_dir():
        check_views(report, store)
    return report


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
