"""Log format v1: the columns of a record, and the hash over them.

A record's columns *are* its leaf: what a frame reads is what was hashed, and nothing is re-encoded to verify.

    leaf hash = SHA-256(0x00 ‖ "ftnb/1" ‖ the leaf columns in declared order, each length-prefixed)
    node hash = SHA-256(0x01 ‖ left ‖ right)                                  (RFC 9162, section 2.1)

An integer is hashed as `i<decimal>;`, text as `t<bytes>:<UTF-8>;`, bytes as `b<bytes>:<bytes>;`, null as `-;`. The body
does not enter as it is but as its salted commitment SHA-256(salt ‖ body): a body can be erased later, its commitment
kept in its place, and the tree still verifies. This is profile `hash`; the salt has 16 bytes.

In profile `audit` every field of the body, and every group of header columns, has a commitment of its own:

    leaf hash = SHA-256(0x00 ‖ "ftnb/1a" ‖ the clear columns ‖ for each of `GROUPS`: its commitment ‖ body commitment)
    group commitment = SHA-256("g" ‖ salt ‖ its columns)              body and field commitments: see `_fields`

The salt column then holds 0x02 and 16 bytes for each group and each field of the body, in their order. What is closed
has a salt of zeros. A closed field keeps its commitment in the body; a closed group or body keeps it in the column
`commitment`: 32 bytes for each group and for the body, zeros for what is open. The columns of a closed group are null
(`at_us`: 0).
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from hashlib import sha256
from typing import Any, Literal, NamedTuple

from . import _fields

FORMAT_TAG = b"ftnb/1"
LEAF_PREFIX = b"\x00" + FORMAT_TAG
AUDIT_PREFIX = b"\x00ftnb/1a"
AUDIT = b"\x02"
_OPEN = bytes(32)
Profile = Literal["hash", "audit"]


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
N_LEAF = sum(column.in_leaf for column in COLUMNS)
_SALT, _BODY, _COMMITMENT = INDEX["salt"], INDEX["body"], INDEX["commitment"]

Row = tuple[Any, ...]
"""Values of `COLUMNS`, in order."""


GROUPS: dict[str, tuple[str, ...]] = {
    "identity": ("step_id", "parent_id", "event_id", "visit", "attempt"),
    "names": ("name", "ns", "model", "error_type"),
    "timing": ("at_us", "duration_us", "ttft_us"),
    "usage": (
        "tok_prompt", "tok_completion", "tok_total", "tok_cache_read", "tok_cache_write", "tok_reasoning", "n_bytes",
    ),
}  # fmt: skip
"""Header columns that profile `audit` can hide together; the others stay clear."""
_GROUP_PLACES = tuple(tuple(INDEX[name] for name in names) for names in GROUPS.values())
CLEAR_PLACES = tuple(i for i in range(N_LEAF) if not any(i in places for places in _GROUP_PLACES))
GROUPS_END = 1 + _fields.SALT_BYTES * len(GROUPS)
_AT_US = INDEX["at_us"]


def is_audit(salt: bytes | None) -> bool:
    """Whether a row with this salt is of profile `audit`."""
    return salt is not None and len(salt) >= GROUPS_END and salt[:1] == AUDIT


def commitment_of(row: Row) -> bytes | None:
    """The commitment to the body of `row`; None when it never had one. Raises ValueError for what nobody wrote."""
    salt, body, kept = row[_SALT], row[_BODY], row[_COMMITMENT]
    if is_audit(salt):
        if body is not None:
            return _fields.body_commitment(salt[GROUPS_END:], body)
        closed_body: bytes = _OPEN if kept is None else kept[-32:]
        return None if closed_body == _OPEN else closed_body
    if body is None:
        return None if kept is None else bytes(kept)
    if len(salt) != _fields.SALT_BYTES:
        raise ValueError(f"a salt has {_fields.SALT_BYTES} bytes, got {len(salt)}: some of them belong to the body")
    return sha256(salt + body).digest()


def has_lost_body(salt: bytes | None, body: bytes | None, commitment: bytes | None) -> bool:
    """Whether a row had a body, which is gone without leaving its commitment."""
    if body is not None or commitment is not None or salt is None:
        return False
    return not is_audit(salt) or len(salt) > GROUPS_END


def is_closed(salt: bytes | None, body: bytes | None, commitment: bytes | None) -> bool:
    """Whether a row had a body that was taken out as a whole."""
    if body is not None or commitment is None:
        return False
    return not is_audit(salt) or commitment[-32:] != _OPEN


def closed(
    salt: bytes, body: bytes, commitment: bytes | None = None, paths: Collection[str] = ()
) -> tuple[bytes | None, bytes | None, bytes | None]:
    """Salt, body and commitment columns of a row whose body is taken out, or, in profile `audit`, these fields of it.

    Where fields have no commitments of their own, the whole body goes.
    """
    if not is_audit(salt):
        return None, None, sha256(salt + body).digest()
    if paths:
        salts, left = _fields.with_closed(salt[GROUPS_END:], body, frozenset(paths))
        return salt[:GROUPS_END] + salts, left, commitment
    kept = bytes(32 * len(GROUPS)) if commitment is None else commitment[:-32]
    return salt[:GROUPS_END], None, kept + _fields.body_commitment(salt[GROUPS_END:], body)


def without_group(row: Row, group: str) -> Row:
    """`row`, of profile `audit`, with a group of its header closed. Raises ValueError where it has no such group."""
    if not is_audit(row[_SALT]):
        raise ValueError("a record of profile hash has a clear header")
    place = list(GROUPS).index(group)
    new = list(row)
    kept = row[_COMMITMENT] or bytes(32 * (len(GROUPS) + 1))
    new[_COMMITMENT] = kept[: 32 * place] + group_commitment(row, place) + kept[32 * (place + 1) :]
    at = 1 + _fields.SALT_BYTES * place
    new[_SALT] = row[_SALT][:at] + _fields.NO_SALT + row[_SALT][at + _fields.SALT_BYTES :]
    for column in _GROUP_PLACES[place]:
        new[column] = 0 if column == _AT_US else None
    return tuple(new)


def group_commitment(row: Row, place: int) -> bytes:
    """The commitment to the group of header columns at `place` of `GROUPS`.

    Raises ValueError for a closed one that shows something.
    """
    kept: bytes | None = row[_COMMITMENT]
    if kept is not None and (closed_group := kept[32 * place : 32 * (place + 1)]) != _OPEN:
        if any(row[column] is not None for column in _GROUP_PLACES[place] if column != _AT_US or row[column] != 0):
            raise ValueError("a hidden group of columns shows something")
        return closed_group
    text = "".join([PIECES[row[column]] for column in _GROUP_PLACES[place]])
    at = 1 + _fields.SALT_BYTES * place
    return sha256(b"g" + row[_SALT][at : at + _fields.SALT_BYTES] + text.encode()).digest()


def hidden_groups(row: Row) -> list[str]:
    """Groups of the header that are closed in `row`."""
    kept = row[_COMMITMENT]
    if kept is None or not is_audit(row[_SALT]):
        return []
    return [name for place, name in enumerate(GROUPS) if kept[32 * place : 32 * (place + 1)] != _OPEN]


def leaf_hash(row: Row) -> bytes:
    """The leaf hash of `row` (32 bytes)."""
    commitment = commitment_of(row)
    if is_audit(row[_SALT]):
        clear = "".join([PIECES[row[column]] for column in CLEAR_PLACES]).encode()
        groups = b"".join([group_commitment(row, place) for place in range(len(_GROUP_PLACES))])
        body = b"-;" if commitment is None else b"b32:" + commitment + b";"
        return sha256(AUDIT_PREFIX + clear + groups + body).digest()
    header = "".join([PIECES[value] for value in row[:N_LEAF]]).encode()
    return sha256(LEAF_PREFIX + header + (b"-;" if commitment is None else b"b32:" + commitment + b";")).digest()


class _Pieces(dict[int | str | None, str]):
    """Encodings of values that come again and again: statuses, names, the ids of what is being recorded now.

    Any thread may use it: what is forgotten is encoded anew.
    """

    def __missing__(self, value: int | str | None) -> str:
        if type(value) is int:
            return f"i{value};"
        if value is None:
            return "-;"
        text = str(value)
        piece = f"t{len(text) if text.isascii() else len(text.encode())}:{text};"
        if len(self) > 6_000:
            self.clear()
            self.update(_FIXED)
        self[text] = piece
        return piece


_FIXED: dict[int | str | None, str] = {None: "-;", **{number: f"i{number};" for number in range(1_024)}}
PIECES = _Pieces(_FIXED)


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
        self.extend((leaf,))

    def extend(self, leaves: Sequence[bytes]) -> None:
        """Add leaf hashes, in order, from position `size` on."""
        level, size, n_kept = list(leaves), self.size, len(self.hashes)
        ends: list[bytes] = []  # roots of the new perfect subtrees, smallest first
        while level:
            if size & 1:
                n_kept -= 1
                level.insert(0, self.hashes[n_kept])
            if len(level) & 1:
                ends.append(level.pop())
            nodes = iter(level)
            level = [sha256(b"\x01" + left + right).digest() for left, right in zip(nodes, nodes, strict=True)]
            size >>= 1
        self.hashes = self.hashes[:n_kept] + ends[::-1]
        self.size += len(leaves)

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
