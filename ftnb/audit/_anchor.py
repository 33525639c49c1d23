"""Anchors: heads that are kept where whoever can write to the store cannot.

A file anchor is a text file with one line a head, to which lines are only added:

    2026-11-22T21:00:00Z acme/notebook 41 <base64 of the root> <base64 of the signed note>

A time stamp (RFC 3161) is a request over the SHA-256 of the head's text, sent to an authority by whoever may,
and its answer, which says that the head was there at that time. Both are made and read with the openssl command;
nothing here reaches out to a network.
"""

from __future__ import annotations

import os
import re
import subprocess
import tempfile
from base64 import b64decode, b64encode
from datetime import UTC, datetime
from pathlib import Path

from ..core.errors import InvalidArgumentError, StoreError, VerificationError
from . import _note

FILE_NAME = "heads.txt"
"""Of the file in a folder that is given as an anchor."""
_LINE = re.compile(r"(\S+) (\S+) (\d+) (\S{44}) (\S+)\Z")
_SECONDS = 60


def append(path: str | os.PathLike[str], note: str) -> Path:
    """Add a head to a file, or to `heads.txt` in a folder, and have it on the disk. Raises StoreError."""
    place, head = _place(path), _note.parse(note)
    at = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    line = f"{at} {head.origin} {head.size} {b64encode(head.root).decode()} {b64encode(note.encode()).decode()}\n"
    try:
        descriptor = os.open(place, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
        with os.fdopen(descriptor, "wb") as file:
            file.write(line.encode())
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        raise StoreError(f"cannot add the tree head to {str(place)!r}: {error}") from error
    return place


def notes(path: str | os.PathLike[str]) -> list[str]:
    """The heads in an anchor, oldest first. Raises StoreError, VerificationError for a line that is none."""
    place = _place(path)
    try:
        lines = place.read_text("utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise StoreError(f"cannot read the anchor {str(place)!r}: {error}") from error
    return [_of_line(line, f"line {number} of {place}") for number, line in enumerate(lines, 1)]


def _of_line(line: str, where: str) -> str:
    found = _LINE.match(line)
    try:
        if found is None:
            raise ValueError("it has no five parts")
        note = b64decode(found[5], validate=True).decode()
        head = _note.parse(note)
        if (head.origin, str(head.size), b64encode(head.root).decode()) != found.group(2, 3, 4):
            raise ValueError("its parts say different things")
    except (ValueError, InvalidArgumentError) as error:
        raise VerificationError(f"{where}: expected a tree head, got {line[:60]!r} ({error})") from error
    return note


def _place(path: str | os.PathLike[str]) -> Path:
    place = Path(path).expanduser()
    return place / FILE_NAME if place.is_dir() else place


def timestamp_request(note: str) -> bytes:
    """The request of a time stamp over the text of a head, in DER: the body of a POST to an authority, whose type is
    `application/timestamp-query`. Raises StoreError where openssl cannot be run."""
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "head").write_bytes(_note.parse(note).text.encode())
        ended = _openssl(folder, "ts", "-query", "-data", "head", "-sha256", "-cert", "-out", "request.tsq")
        if ended.returncode != 0:
            raise StoreError(f"openssl made no request of a time stamp: {ended.stderr.strip()[:300]}")
        return (Path(folder) / "request.tsq").read_bytes()


def verify_timestamp(note: str, response: bytes, authority: str | os.PathLike[str]) -> datetime:
    """When the authority says that the head was there. `authority` is a PEM file with its certificates.

    Raises VerificationError where the answer is none, of another head, or of another authority.
    """
    certificates = Path(authority).expanduser().resolve()
    if not certificates.is_file():
        raise StoreError(f"there are no certificates at {str(authority)!r}")
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "head").write_bytes(_note.parse(note).text.encode())
        (Path(folder) / "answer.tsr").write_bytes(response)
        given = ("-data", "head", "-in", "answer.tsr", "-CAfile", str(certificates))
        ended = _openssl(folder, "ts", "-verify", *given, "-untrusted", str(certificates))
        if ended.returncode != 0 or "Verification: OK" not in ended.stdout + ended.stderr:
            got = " ".join((ended.stderr or ended.stdout).split())[:300]
            raise VerificationError(f"the time stamp: expected one of this head by this authority, got: {got}")
        told = _openssl(folder, "ts", "-reply", "-in", "answer.tsr", "-text").stdout
    found = re.search(r"Time stamp: (\w{3} +\d+ \d\d:\d\d:\d\d)(?:\.\d+)? (\d{4}) GMT", told)
    if found is None:
        raise VerificationError(f"the time stamp: expected a time, got {told[:200]!r}")
    return datetime.strptime(f"{found[1]} {found[2]}", "%b %d %H:%M:%S %Y").replace(tzinfo=UTC)


def _openssl(folder: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(
            ["openssl", *arguments], cwd=folder, capture_output=True, text=True, check=False, timeout=_SECONDS
        )
    except (OSError, subprocess.SubprocessError) as error:
        raise StoreError(f"the openssl command cannot be run: {error}") from error
