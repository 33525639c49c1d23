"""The store's own log: seals, receipts, gaps and holds, as one Merkle tree with a head that may be signed.

    entry hash = SHA-256(0x00 ‖ "ftnb/1e" ‖ at_us, type, body as in `leaf`)
    node hash  = SHA-256(0x01 ‖ left ‖ right)                                       (RFC 9162, section 2.1)

An entry is never changed or removed. The head moves in the transaction that adds entries, and a backend writes one
transaction after the other, so entries have dense positions from 0 whichever process adds them.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import NamedTuple, Protocol

from ..core.canonical import dumps
from ._writer import Batch, StreamHead
from .leaf import INDEX, Row, Tree

ENTRY_TAG = b"ftnb/1e"
SEAL_EVERY = 1_000
"""Records of one stream after which it is sealed although its turn goes on."""
SEAL_SECONDS = 60.0
"""After which a stream that grows is sealed although its turn goes on."""
_SEALING = frozenset({"engagement_ended", "annotation_recorded", "content_masked", "gap"})
_MAY_SEAL = _SEALING | {"engagement_status_changed"}
_TYPE, _STATUS, _STREAM, _N = INDEX["type"], INDEX["status"], INDEX["stream_id"], INDEX["n"]


class Entry(NamedTuple):
    """One entry on its way to the log."""

    kind: str
    body: bytes
    """Canonical JSON of an object."""
    engagement_id: str | None = None
    """Whom a seal is about: what was purged meanwhile is not sealed."""


class Signer(Protocol):
    """Whoever signs tree heads."""

    def sign(self, size: int, root: bytes) -> str:
        """The signed note over a log of `size` entries."""


@dataclass(frozen=True, slots=True)
class LogHead:
    """Where the store's own log stands."""

    size: int = 0
    frontier: bytes = b""
    note: str | None = None
    """The signed note over it; None: nobody signs here, or not since the last entry."""

    @property
    def root(self) -> bytes:
        """The root hash of the log (32 bytes)."""
        return Tree.from_bytes(self.size, self.frontier).root()


EntryRow = tuple[int, int, str, bytes]
"""seq (position + 1), at_us, type, body."""


def entry_hash(at_us: int, kind: str, body: bytes) -> bytes:
    """The leaf hash of an entry (32 bytes)."""
    said = kind.encode()
    header = b"i%d;t%d:%s;b%d:" % (at_us, len(said), said, len(body))
    return sha256(b"\x00" + ENTRY_TAG + header + body + b";").digest()


def extended(
    head: LogHead, at_us: int, entries: Sequence[Entry], signer: Signer | None
) -> tuple[list[EntryRow], LogHead]:
    """The rows that add `entries` to a log that stands at `head`, and where it stands then."""
    tree = Tree.from_bytes(head.size, head.frontier)
    rows = []
    for entry in entries:
        tree.append(entry_hash(at_us, entry.kind, entry.body))
        rows.append((tree.size, at_us, entry.kind, entry.body))
    note = None if signer is None else signer.sign(tree.size, tree.root())
    return rows, LogHead(tree.size, tree.to_bytes(), note)


def seal(head: StreamHead, why: str, counts: tuple[int, int, int] | None = None) -> Entry:
    """The seal of a stream as it stands: its root becomes part of the store's own log.

    `counts` are what the writing process had accepted, written and dropped by then; None where nobody counts.
    """
    tree = Tree.from_bytes(head.size, head.frontier)
    said: dict[str, object] = {
        "engagement": head.engagement_id,
        "stream": head.stream_id,
        "turn": head.turn,
        "size": head.size,
        "root": tree.root().hex(),
        "why": why,
    }
    if counts is not None:
        said["accepted"], said["written"], said["dropped"] = counts
    return Entry("seal", dumps(said), head.engagement_id)


def seals_of(batch: Batch, late: Collection[str] = ()) -> list[Entry]:
    """The seals that a batch calls for: of streams whose turn ended in it, of those that grew long, and of `late`."""
    why: dict[str, str] = {}
    first: dict[str, int] = {}
    for row in batch.rows:
        stream = row[_STREAM]
        if stream not in first:
            first[stream] = row[_N]
        if row[_TYPE] in _MAY_SEAL and (reason := _reason(row)) is not None:
            why[stream] = reason
    for head in batch.heads:
        if head.stream_id in first and head.size // SEAL_EVERY > first[head.stream_id] // SEAL_EVERY:
            why.setdefault(head.stream_id, "long")
        elif head.stream_id in late:
            why.setdefault(head.stream_id, "late")
    return [seal(head, why[head.stream_id], batch.counts) for head in batch.heads if head.stream_id in why]


def _reason(row: Row) -> str | None:
    if row[_TYPE] in _SEALING:
        return str(row[_TYPE])
    return "paused" if row[_TYPE] == "engagement_status_changed" and row[_STATUS] == "paused" else None


def receipt(engagement_id: str, heads: Sequence[StreamHead], fields: dict[str, object]) -> Entry:
    """The entry that an engagement was purged: what there was of it, without its content."""
    streams = [[h.stream_id, h.size, Tree.from_bytes(h.size, h.frontier).root().hex()] for h in heads]
    said = {"engagement": engagement_id, "streams": streams, **fields}
    return Entry("purge", dumps(said))
