"""Log format v1: the columns of a record, and the hash over them.

A record's columns *are* its leaf: what a frame reads is what was hashed, and nothing is re-encoded to verify.

    leaf hash = SHA-256(0x00 ‖ "ftnb/1" ‖ the leaf columns in declared order, each length-prefixed)
    node hash = SHA-256(0x01 ‖ left ‖ right)                                  (RFC 9162, section 2.1)

An integer is hashed as `i<decimal>;`, text as `t<bytes>:<UTF-8>;`, bytes as `b<bytes>:<bytes>;`, null as `-;`. The body
does not enter as it is but as its salted commitment SHA-256(salt ‖ body): a body can be erased later, its commitment
kept in its place, and the tree still verifies.
"""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256
from typing import Any, Literal, NamedTuple

FORMAT_TAG = b"ftnb/1"
_LEAF_PREFIX = b"\x00" + FORMAT_TAG


class LogColumn(NamedTuple):
    """One column of the record table."""

    name: str
    dtype: Literal["int", "text", "bytes"]
    doc: str
    in_leaf: bool = True
    required: bool = False


COLUMNS: tuple[LogColumn, ...] = (
    LogColumn("engagement_id", "text", "whose record this is", required=True),
    LogColumn("stream_id", "text", "one writer's part of one engagement", required=True),
    LogColumn("n", "int", "position in the stream, dense from 0", required=True),
    LogColumn("v", "int", "log format version", required=True),
    LogColumn("type", "text", "record type", required=True),
    LogColumn("at_us", "int", "when, microseconds since 1970-01-01 UTC", required=True),
    LogColumn("turn", "int", "turn of the engagement, from 1", required=True),
    LogColumn("step_id", "text", "step that this is about"),
    LogColumn("parent_id", "text", "parent step of a step start, parent engagement of an engagement start"),
    LogColumn("event_id", "text", "event's own id; null: `<stream_id>:<n>`"),
    LogColumn("name", "text", "short name, cleaned: node, tool, model alias, engagement"),
    LogColumn("ns", "text", "subgraph path of a step"),
    LogColumn("visit", "int", "n-th execution of this node, from 1"),
    LogColumn("attempt", "int", "retry or resume of one visit, from 1"),
    LogColumn("kind", "text", "event kind; `global` for the start of a global step; reason of a gap"),
    LogColumn("status", "text", "status that this record sets"),
    LogColumn("duration_us", "int", "measured duration, microseconds"),
    LogColumn("ttft_us", "int", "time to first token, microseconds"),
    LogColumn("model", "text", "model that answered"),
    LogColumn("tok_prompt", "int", "prompt tokens"),
    LogColumn("tok_completion", "int", "completion tokens"),
    LogColumn("tok_total", "int", "all tokens, as the provider counts them"),
    LogColumn("tok_cache_read", "int", "prompt tokens read from cache"),
    LogColumn("tok_cache_write", "int", "prompt tokens written to cache"),
    LogColumn("tok_reasoning", "int", "completion tokens spent on reasoning"),
    LogColumn("error_type", "text", "class name of the exception"),
    LogColumn("n_bytes", "int", "encoded size of the payload before interning"),
    LogColumn("salt", "bytes", "salt of the body's commitment; null: no body", in_leaf=False),
    LogColumn("body", "bytes", "everything else, canonical JSON; null: none, or erased", in_leaf=False),
    LogColumn("commitment", "bytes", "kept when the body was erased; null: computed from salt and body", in_leaf=False),
)
"""Every column but `seq`, the local cursor, in hashing order."""

NAMES: tuple[str, ...] = tuple(column.name for column in COLUMNS)
INDEX: dict[str, int] = {name: i for i, name in enumerate(NAMES)}
_N_LEAF = sum(column.in_leaf for column in COLUMNS)
_SALT, _BODY, _COMMITMENT = INDEX["salt"], INDEX["body"], INDEX["commitment"]

Row = tuple[Any, ...]
"""Values of `COLUMNS`, in order."""


def commitment_of(row: Row) -> bytes | None:
    """The commitment to the body of `row`; None when it never had one."""
    body: bytes | None = row[_BODY]
    if body is None:
        kept: bytes | None = row[_COMMITMENT]
        return kept
    return sha256(row[_SALT] + body).digest()


def closed(salt: bytes, body: bytes) -> bytes:
    """The commitment that is kept in the place of a body that is taken out."""
    return sha256(salt + body).digest()


def leaf_hash(row: Row) -> bytes:
    """The leaf hash of `row` (32 bytes)."""
    known = _pieces.get
    header = "".join([known(value) or _piece(value) for value in row[:_N_LEAF]]).encode()
    commitment = commitment_of(row)
    return sha256(_LEAF_PREFIX + header + (b"-;" if commitment is None else b"b32:" + commitment + b";")).digest()


_FIXED: dict[int | str | None, str] = {None: "-;", **{number: f"i{number};" for number in range(1_024)}}
_pieces: dict[int | str | None, str] = dict(_FIXED)
"""Encodings of values that come again and again: statuses, names, the ids of what is being recorded now."""


def _piece(value: int | str) -> str:
    """The encoding of one column; what may come again is remembered."""
    global _pieces
    if type(value) is int:
        return f"i{value};"
    text = str(value)
    piece = f"t{len(text) if text.isascii() else len(text.encode())}:{text};"
    if len(_pieces) > 6_000:
        _pieces = dict(_FIXED)  # a new one: another thread may be reading this one
    _pieces[text] = piece
    return piece


class Tree:
    """The frontier of one stream's Merkle tree: enough to append and to give the root, in 32 bytes per set bit of n.

    `hashes` are the roots of the perfect subtrees that make up the tree, largest first (a compact range, RFC 9162).
    """

    __slots__ = ("hashes", "size")

    def __init__(self, size: int = 0, hashes: Sequence[bytes] = ()) -> None:
        self.size = size
        self.hashes = list(hashes)

    def append(self, leaf: bytes) -> None:
        """Add one leaf hash at position `size`."""
        size = self.size
        while size & 1:
            leaf = sha256(b"\x01" + self.hashes.pop() + leaf).digest()
            size >>= 1
        self.hashes.append(leaf)
        self.size += 1

    def root(self) -> bytes:
        """The root hash; SHA-256 of nothing for an empty tree."""
        if not self.hashes:
            return sha256(b"").digest()
        root = self.hashes[-1]
        for left in reversed(self.hashes[:-1]):
            root = sha256(b"\x01" + left + root).digest()
        return root

    def to_bytes(self) -> bytes:
        """The frontier for storing; read back with `from_bytes`."""
        return b"".join(self.hashes)

    @classmethod
    def from_bytes(cls, size: int, data: bytes) -> Tree:
        """Raises ValueError when `data` cannot be the frontier of a tree of `size` leaves."""
        if len(data) != 32 * size.bit_count():
            raise ValueError(f"a tree of {size} leaves has {size.bit_count()} frontier hashes, got {len(data)} bytes")
        return cls(size, [data[i : i + 32] for i in range(0, len(data), 32)])

    def copy(self) -> Tree:
        """An independent copy."""
        return Tree(self.size, self.hashes)
