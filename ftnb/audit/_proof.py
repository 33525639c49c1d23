"""Proofs as text: that an engagement belongs to a log, and that a log continues an earlier one.

    ftnb.proof/1
    engagement 0198f2…
    entry 41 1760000000000000 seal {"engagement":…,"root":…,"size":7,…}      position, time, type and body of an entry
    <base64 of a hash>                                                      its audit path, from the bottom up
    record 0198f3… 4 9f86d0…                                                stream, position and leaf hash of a record
    <base64 of a hash>                                                      its audit path, up to the root in the seal

    <the head of the log: a signed note>

A record is proved by the entry above it, an entry by the head. The second kind is

    ftnb.consistency/1
    from 17 <base64 of the earlier root>
    <base64 of a hash> …

    <the later head>

Audit paths and consistency proofs are those of RFC 9162. `Proof.tlog_proof` gives an entry's as C2SP `tlog-proof@v1`.
"""

from __future__ import annotations

import re
from base64 import b64decode, b64encode
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import orjson

from ..core.errors import InvalidArgumentError, VerificationError
from ..store._entries import entry_hash
from . import _note, merkle

_PROOF, _CONSISTENCY, _TLOG = "ftnb.proof/1", "ftnb.consistency/1", "c2sp.org/tlog-proof@v1"
_NUMBER = r"(0|[1-9][0-9]{0,18})"
_ENTRY = re.compile(rf"entry {_NUMBER} (-?{_NUMBER}) ([a-z_]+) (\{{.*\}})\Z")
_RECORD = re.compile(rf"record (.+) {_NUMBER} ([0-9a-f]{{64}})\Z")
_FROM = re.compile(rf"from {_NUMBER} ([A-Za-z0-9+/=]{{44}})\Z")
MAX_HASHES = 64


@dataclass(frozen=True, slots=True)
class ProvedRecord:
    """A record of a stream, with its audit path to the root in the seal above it."""

    stream_id: str
    n: int
    leaf: str
    """Its leaf hash, hex."""
    path: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class ProvedEntry:
    """An entry of the store's own log, with its audit path to the head, and the records that it proves."""

    index: int
    at_us: int
    kind: str
    body: bytes
    path: tuple[bytes, ...]
    records: tuple[ProvedRecord, ...] = ()

    @property
    def said(self) -> dict[str, Any]:
        """What it says. Raises VerificationError when it is no object."""
        try:
            said = orjson.loads(self.body)
        except ValueError:
            said = None
        if not isinstance(said, dict):
            raise VerificationError(f"entry {self.index} of a proof: expected a JSON object, got {self.body[:60]!r}")
        return said


@dataclass(frozen=True, slots=True)
class Proof:
    """That the seals of one engagement, and some of its records, are in the log whose head it ends with."""

    engagement_id: str
    entries: tuple[ProvedEntry, ...]
    note: str

    @property
    def text(self) -> str:
        """The whole proof, to be kept or sent; read with `Proof.parse`."""
        lines = [_PROOF, f"engagement {self.engagement_id}"]
        for entry in self.entries:
            lines.append(f"entry {entry.index} {entry.at_us} {entry.kind} {entry.body.decode()}")
            lines += map(_b64, entry.path)
            for record in entry.records:
                lines.append(f"record {record.stream_id} {record.n} {record.leaf}")
                lines += map(_b64, record.path)
        return "\n".join(lines) + "\n\n" + self.note

    def __str__(self) -> str:
        return self.text

    __repr__ = __str__

    @classmethod
    def parse(cls, text: str) -> Proof:
        """Read what `text` gave; strict. Raises VerificationError."""
        head, note = _parts(text, _PROOF, "a proof of ftnb")
        if not head or not head[0].startswith("engagement "):
            raise VerificationError("a proof's second line: expected 'engagement <id>', got something else")
        reading = _Lines(head[1:])
        proof = cls(head[0].removeprefix("engagement "), tuple(_entries(reading)), note)
        if proof.text != text:
            raise VerificationError("a proof: expected the text that this proof has, got another spelling of it")
        return proof

    def verify(self, vkey: str | None = None, *, head: str | None = None) -> None:
        """Check every path, and the signature where `vkey` is given. `head`: the text of a head that must be its.

        Raises VerificationError, InvalidArgumentError for a `vkey` that is none.
        """
        signed = _checked_note(self.note, vkey)
        if head is not None and _note.parse(head).text != signed.text:
            raise VerificationError(f"the head of the proof: expected {head[:80]!r}, got {self.note[:80]!r}")
        if not self.entries:
            raise VerificationError("a proof: expected at least one entry, got none")
        for entry in self.entries:
            leaf = entry_hash(entry.at_us, entry.kind, entry.body)
            root = merkle.root_by_inclusion(leaf, entry.index, signed.size, entry.path)
            _same(f"entry {entry.index} of the log", signed.root, root)
            said = entry.said
            if said.get("engagement") != self.engagement_id:
                got = repr(said.get("engagement"))
                raise VerificationError(f"entry {entry.index}: expected engagement {self.engagement_id}, got {got}")
            for record in entry.records:
                _check_record(record, said)

    def tlog_proof(self, place: int = 0) -> str:
        """The proof of one of `entries` alone, as C2SP `tlog-proof@v1`."""
        entry = self.entries[place]
        return "\n".join([_TLOG, f"index {entry.index}", *map(_b64, entry.path)]) + "\n\n" + self.note


def _check_record(record: ProvedRecord, seal: dict[str, Any]) -> None:
    where = f"record {record.n} of stream {record.stream_id}"
    if seal.get("stream") != record.stream_id:
        raise VerificationError(f"{where}: expected a seal of its stream, got one of {seal.get('stream')!r}")
    size, root = seal.get("size"), seal.get("root")
    if not isinstance(size, int) or not isinstance(root, str) or not re.fullmatch("[0-9a-f]{64}", root):
        raise VerificationError(f"{where}: expected a seal with size and root, got {seal!r:.80}")
    found = merkle.root_by_inclusion(bytes.fromhex(record.leaf), record.n, size, record.path)
    _same(where, bytes.fromhex(root), found)


@dataclass(frozen=True, slots=True)
class Consistency:
    """That the log whose head it ends with begins with all that an earlier one held, unchanged."""

    size: int
    """Of the earlier log."""
    root: bytes
    path: tuple[bytes, ...]
    note: str

    @property
    def text(self) -> str:
        """The whole proof; read with `Consistency.parse`."""
        lines = [_CONSISTENCY, f"from {self.size} {_b64(self.root)}", *map(_b64, self.path)]
        return "\n".join(lines) + "\n\n" + self.note

    def __str__(self) -> str:
        return self.text

    __repr__ = __str__

    @classmethod
    def parse(cls, text: str) -> Consistency:
        """Read what `text` gave; strict. Raises VerificationError."""
        head, note = _parts(text, _CONSISTENCY, "a consistency proof of ftnb")
        begun = _FROM.match(head[0]) if head else None
        if begun is None:
            raise VerificationError("a consistency proof's second line: expected 'from <size> <root>', got another")
        reading = _Lines(head[1:])
        proof = cls(int(begun[1]), _hash(begun[2]), tuple(reading.hashes()), note)
        if proof.text != text:
            raise VerificationError("a consistency proof: expected its own text, got another spelling of it")
        return proof

    def verify(self, since: Any, head: Any = None, *, vkey: str | None = None) -> None:
        """Check that `since` (a head that was kept: its text or a `Head`) is continued by `head` (None: the head in the
        proof). Raises VerificationError, InvalidArgumentError for what is no head or key."""
        kept, later = _checked_note(_text_of(since), vkey), _checked_note(self.note, vkey)
        if head is not None and _checked_note(_text_of(head), vkey).text != later.text:
            raise VerificationError("the later head: expected the one that was given, got another")
        if (kept.size, kept.root) != (self.size, self.root):
            expected = f"{kept.size} entries, root {kept.root.hex()[:16]}…"
            got = f"{self.size} entries, root {self.root.hex()[:16]}…"
            raise VerificationError(f"the earlier head: expected {expected}, got {got}")
        if kept.origin != later.origin:
            raise VerificationError(f"the later head: expected the log {kept.origin!r}, got {later.origin!r}")
        if not merkle.is_consistent(self.size, later.size, self.root, later.root, self.path):
            raise VerificationError(
                f"the log of {later.size} entries: expected a continuation of the {self.size} that were kept, "
                f"got root {later.root.hex()[:16]}… that the proof does not lead to"
            )


def _text_of(head: Any) -> str:
    return head if isinstance(head, str) else str(head.text)


def _checked_note(note: str, vkey: str | None) -> _note.TreeHead:
    try:
        head = _note.parse(note)
    except InvalidArgumentError as error:
        raise VerificationError(f"the head: expected a signed note, got {error}") from error
    if vkey is not None and not _note.is_signed(head, vkey):
        origin, _ = _note.parse_verifier_key(vkey)
        got = ", ".join(name for name, _ in head.signatures) or "none"
        raise VerificationError(f"the head of {head.origin}: expected a signature by the key of {origin}, got {got}")
    return head


def _same(where: str, expected: bytes, got: bytes | None) -> None:
    if got != expected:
        found = "a path of another shape" if got is None else f"{got.hex()[:16]}…"
        raise VerificationError(f"{where}: expected root {expected.hex()[:16]}…, got {found}")


def _b64(data: bytes) -> str:
    return b64encode(data).decode()


def _hash(line: str) -> bytes:
    try:
        data = b64decode(line, validate=True)
    except ValueError:
        data = b""
    if len(data) != 32 or _b64(data) != line:
        raise VerificationError(f"a proof: expected base64 of a hash, got {line[:60]!r}")
    return data


def _parts(text: str, tag: str, what: str) -> tuple[list[str], str]:
    """The lines of the part above the empty line, without the first, and the note below it."""
    above, separator, note = text.partition("\n\n")
    lines = above.split("\n")
    if not separator or lines[0] != tag:
        raise VerificationError(f"{what}: expected a text that begins with {tag!r}, got {text[:60]!r}")
    return lines[1:], note


class _Lines:
    """Lines, read one after the other."""

    def __init__(self, lines: list[str]) -> None:
        self._lines = lines
        self._at = 0

    def match(self, pattern: re.Pattern[str]) -> re.Match[str] | None:
        """The next line, when it is one of these."""
        found = pattern.match(self._lines[self._at]) if self._at < len(self._lines) else None
        self._at += found is not None
        return found

    def hashes(self) -> Iterator[bytes]:
        """All hashes that come next."""
        n = 0
        while self._at < len(self._lines) and not self._lines[self._at].startswith(("entry ", "record ")):
            n += 1
            if n > MAX_HASHES:
                raise VerificationError(f"a proof: expected at most {MAX_HASHES} hashes in a row, got more")
            yield _hash(self._lines[self._at])
            self._at += 1

    @property
    def is_done(self) -> bool:
        """Whether nothing is left."""
        return self._at >= len(self._lines)


def _entries(lines: _Lines) -> Iterator[ProvedEntry]:
    while not lines.is_done:
        entry = lines.match(_ENTRY)
        if entry is None:
            raise VerificationError("a proof: expected a line 'entry …', got another")
        path, records = tuple(lines.hashes()), []
        while (record := lines.match(_RECORD)) is not None:
            records.append(ProvedRecord(record[1], int(record[2]), record[3], tuple(lines.hashes())))
        yield ProvedEntry(int(entry[1]), int(entry[2]), entry[4], entry[5].encode(), path, tuple(records))
