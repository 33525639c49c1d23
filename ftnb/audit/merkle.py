"""Merkle trees as of RFC 9162, section 2.1: roots, inclusion proofs and consistency proofs over leaf hashes.

Everything here is pure: lists of 32-byte hashes in, hashes out. A leaf hash is SHA-256 of 0x00 and the data, made by
whoever knows what a leaf is; the trees of a store hash their nodes the same way (`store.leaf.Tree`).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from hashlib import sha256

from ..core.errors import InvalidArgumentError

EMPTY_ROOT = sha256(b"").digest()
"""Root hash of the tree without leaves."""


def node_hash(left: bytes, right: bytes) -> bytes:
    """The hash of an inner node."""
    return sha256(b"\x01" + left + right).digest()


def root_hash(leaves: Sequence[bytes]) -> bytes:
    """The root hash of the tree over `leaves` (MTH of section 2.1.1)."""
    level = list(leaves)
    if not level:
        return EMPTY_ROOT
    # An odd node at the end of a level moves up as it is: the same tree as by splitting at powers of two.
    while len(level) > 1:
        paired = [node_hash(level[i], level[i + 1]) for i in range(0, len(level) - 1, 2)]
        level = paired + level[len(level) & ~1 :]
    return level[0]


def inclusion_proof(leaves: Sequence[bytes], index: int) -> list[bytes]:
    """The hashes that lead from the leaf at `index` to the root, from the bottom up (PATH of section 2.1.3.1)."""
    if not 0 <= index < len(leaves):
        raise InvalidArgumentError(f"no leaf {index} in a tree of {len(leaves)} leaves")
    level, proof = list(leaves), []
    while len(level) > 1:
        sibling = index ^ 1
        if sibling < len(level):
            proof.append(level[sibling])
        paired = [node_hash(level[i], level[i + 1]) for i in range(0, len(level) - 1, 2)]
        level = paired + level[len(level) & ~1 :]
        index >>= 1
    return proof


def root_by_inclusion(leaf: bytes, index: int, size: int, proof: Sequence[bytes]) -> bytes | None:
    """The root of the tree of `size` leaves that `proof` shows `leaf` to be in at `index`, as in section 2.1.3.2.

    None: the proof has not the shape that such a tree needs. The caller compares with the root that it trusts.
    """
    if not 0 <= index < size:
        return None
    fn, sn, result = index, size - 1, leaf
    for sibling in proof:
        if sn == 0 or len(sibling) != 32:
            return None
        if fn & 1 or fn == sn:
            result = node_hash(sibling, result)
            while fn and not fn & 1:
                fn, sn = fn >> 1, sn >> 1
        else:
            result = node_hash(result, sibling)
        fn, sn = fn >> 1, sn >> 1
    return result if sn == 0 else None


def consistency_proof(leaves: Sequence[bytes], first: int) -> list[bytes]:
    """The hashes that show the tree over the first `first` leaves to be the beginning of the tree over all.

    PROOF of section 2.1.4.1; empty where there is nothing to show (`first` 0, or all of them).
    """
    if not 0 <= first <= len(leaves):
        raise InvalidArgumentError(f"a tree of {len(leaves)} leaves has no beginning of {first}")
    return [] if first in (0, len(leaves)) else _subproof(leaves, first, complete=True)


def _subproof(leaves: Sequence[bytes], first: int, *, complete: bool) -> list[bytes]:
    if first == len(leaves):
        return [] if complete else [root_hash(leaves)]
    split = 1 << ((len(leaves) - 1).bit_length() - 1)
    if first <= split:
        return [*_subproof(leaves[:split], first, complete=complete), root_hash(leaves[split:])]
    return [*_subproof(leaves[split:], first - split, complete=False), root_hash(leaves[:split])]


def is_consistent(first: int, second: int, first_root: bytes, second_root: bytes, proof: Sequence[bytes]) -> bool:
    """Whether `proof` shows the tree of `first` leaves and `first_root` to be the beginning of that of `second` leaves
    and `second_root`, as in section 2.1.4.2."""
    if not 0 <= first <= second or any(len(one) != 32 for one in proof):
        return False
    if first == second:
        return not proof and first_root == second_root
    if first == 0:
        return not proof and first_root == EMPTY_ROOT
    path = list(proof) if first & (first - 1) else [first_root, *proof]
    if not path:
        return False
    fn, sn = first - 1, second - 1
    while fn & 1:
        fn, sn = fn >> 1, sn >> 1
    old = new = path[0]
    for one in path[1:]:
        if sn == 0:
            return False
        if fn & 1 or fn == sn:
            old, new = node_hash(one, old), node_hash(one, new)
            while fn and not fn & 1:
                fn, sn = fn >> 1, sn >> 1
        else:
            new = node_hash(new, one)
        fn, sn = fn >> 1, sn >> 1
    return sn == 0 and old == first_root and new == second_root


class Nodes:
    """A tree that grows at its end, with its inner nodes kept: proofs cost the logarithm of its size."""

    def __init__(self, leaves: Iterable[bytes] = ()) -> None:
        self._levels: list[list[bytes]] = [[]]
        """By height, the roots of whole subtrees of 2**height leaves, from left to right."""
        for leaf in leaves:
            self.append(leaf)

    def __len__(self) -> int:
        return len(self._levels[0])

    def append(self, leaf: bytes) -> None:
        """Add a leaf hash."""
        height, node = 0, leaf
        while True:
            if height == len(self._levels):
                self._levels.append([])
            level = self._levels[height]
            level.append(node)
            if len(level) & 1:
                return
            height, node = height + 1, node_hash(level[-2], level[-1])

    def root(self, size: int | None = None) -> bytes:
        """The root hash of the tree over the first `size` leaves (None: over all)."""
        size = len(self) if size is None else size
        return self._range(0, size) if size else EMPTY_ROOT

    def inclusion_proof(self, index: int, size: int | None = None) -> list[bytes]:
        """As `inclusion_proof` of this module, in the tree over the first `size` leaves."""
        begin, end, proof = 0, len(self) if size is None else size, list[bytes]()
        if not 0 <= index < end:
            raise InvalidArgumentError(f"no leaf {index} in a tree of {end} leaves")
        while end - begin > 1:
            middle = begin + (1 << ((end - begin - 1).bit_length() - 1))
            proof.append(self._range(middle, end) if index < middle else self._range(begin, middle))
            begin, end = (begin, middle) if index < middle else (middle, end)
        return proof[::-1]

    def consistency_proof(self, first: int, size: int | None = None) -> list[bytes]:
        """As `consistency_proof` of this module, for the tree over the first `size` leaves."""
        begin, end, proof, complete = 0, len(self) if size is None else size, list[bytes](), True
        if not 0 <= first <= end:
            raise InvalidArgumentError(f"a tree of {end} leaves has no beginning of {first}")
        if first in (0, end):
            return []
        while first != end:
            middle = begin + (1 << ((end - begin - 1).bit_length() - 1))
            if first <= middle:
                proof.append(self._range(middle, end))
                end = middle
            else:
                proof.append(self._range(begin, middle))
                begin, complete = middle, False
        return [*([] if complete else [self._range(begin, end)]), *proof[::-1]]

    def _range(self, begin: int, end: int) -> bytes:
        """The root over some leaves, of which the first is at a multiple of the power of two that they fit in."""
        size = end - begin
        if not size & (size - 1):
            height = size.bit_length() - 1
            return self._levels[height][begin >> height]
        middle = begin + (1 << ((size - 1).bit_length() - 1))
        return node_hash(self._range(begin, middle), self._range(middle, end))
