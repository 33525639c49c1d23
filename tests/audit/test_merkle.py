"""Trees and proofs against the definitions of RFC 9162, section 2.1, written down as they stand there."""

from __future__ import annotations

from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ftnb.audit import merkle
from ftnb.core.errors import InvalidArgumentError
from ftnb.store.leaf import Tree

LEAVES = [sha256(b"\x00" + str(i).encode()).digest() for i in range(130)]


def mth(leaves: list[bytes]) -> bytes:
    """MTH, by its recursive definition."""
    if not leaves:
        return sha256(b"").digest()
    if len(leaves) == 1:
        return leaves[0]
    k = split(len(leaves))
    return sha256(b"\x01" + mth(leaves[:k]) + mth(leaves[k:])).digest()


def split(n: int) -> int:
    """The largest power of two smaller than n."""
    k = 1
    while k * 2 < n:
        k *= 2
    return k


def path(m: int, leaves: list[bytes]) -> list[bytes]:
    """PATH(m, D[n])."""
    if len(leaves) <= 1:
        return []
    k = split(len(leaves))
    if m < k:
        return [*path(m, leaves[:k]), mth(leaves[k:])]
    return [*path(m - k, leaves[k:]), mth(leaves[:k])]


def test_known_roots() -> None:
    # From the test data of Certificate Transparency's reference implementation.
    known = [
        "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
        "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
        "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
        "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    ]
    leaves = [sha256(b"\x00" + data).digest() for data in (b"", b"\x00", b"\x10", b" !")]
    assert [merkle.root_hash(leaves[:n]).hex() for n in range(5)] == known


def test_roots_are_those_of_the_definition_and_of_the_tree_that_grows() -> None:
    tree = Tree()
    for n in range(len(LEAVES)):
        assert merkle.root_hash(LEAVES[:n]) == mth(LEAVES[:n]) == tree.root()
        tree.append(LEAVES[n])


def test_every_inclusion_proof_is_the_defined_one_and_no_other_is_taken() -> None:
    for n in range(1, 66):
        root = mth(LEAVES[:n])
        for m in range(n):
            proof = merkle.inclusion_proof(LEAVES[:n], m)
            assert proof == path(m, LEAVES[:n])
            assert merkle.root_by_inclusion(LEAVES[m], m, n, proof) == root
            assert merkle.root_by_inclusion(LEAVES[m], m, n, [*proof, LEAVES[0]]) is None
            assert not proof or merkle.root_by_inclusion(LEAVES[m], m, n, proof[:-1]) is None
            assert merkle.root_by_inclusion(LEAVES[m + 1], m, n, proof) != root
            assert n == 1 or merkle.root_by_inclusion(LEAVES[m], (m + 1) % n, n, proof) != root


def test_every_consistency_proof_holds_and_mutations_do_not() -> None:
    for n in range(1, 66):
        for first in range(n + 1):
            proof, roots = merkle.consistency_proof(LEAVES[:n], first), (mth(LEAVES[:first]), mth(LEAVES[:n]))
            assert merkle.is_consistent(first, n, *roots, proof)
            assert not merkle.is_consistent(first, n, *roots, [*proof, LEAVES[0]])
            assert not merkle.is_consistent(first, n, *roots, proof[:-1]) or not proof
            wrong = (mth([*LEAVES[:first], b"x" * 32]), roots[1]), (roots[0], LEAVES[-1])
            assert not any(merkle.is_consistent(first, n, *pair, proof) for pair in wrong if first)


@given(st.integers(1, 130), st.data())
def test_a_bit_flipped_in_a_proof_is_seen(n: int, data: st.DataObject) -> None:
    index = data.draw(st.integers(0, n - 1))
    proof = merkle.inclusion_proof(LEAVES[:n], index)
    if not proof:
        return
    place, bit = data.draw(st.integers(0, len(proof) - 1)), data.draw(st.integers(0, 255))
    flipped = bytearray(proof[place])
    flipped[bit // 8] ^= 1 << bit % 8
    changed = [*proof[:place], bytes(flipped), *proof[place + 1 :]]
    assert merkle.root_by_inclusion(LEAVES[index], index, n, changed) != mth(LEAVES[:n])


def test_what_is_not_there_cannot_be_proved() -> None:
    with pytest.raises(InvalidArgumentError, match="no leaf 3"):
        merkle.inclusion_proof(LEAVES[:3], 3)
    with pytest.raises(InvalidArgumentError, match="no beginning"):
        merkle.consistency_proof(LEAVES[:3], 4)
    assert merkle.root_by_inclusion(LEAVES[0], 3, 3, []) is None
    assert not merkle.is_consistent(4, 3, LEAVES[0], LEAVES[1], [])


def test_a_tree_that_grows_gives_the_same_proofs_at_each_size() -> None:
    leaves = [sha256(b"\x00%d" % i).digest() for i in range(67)]
    nodes = merkle.Nodes(leaves)
    assert len(nodes) == 67
    for size in range(len(leaves) + 1):
        part = leaves[:size]
        assert nodes.root(size) == merkle.root_hash(part)
        for index in range(size):
            assert nodes.inclusion_proof(index, size) == merkle.inclusion_proof(part, index)
        for first in range(size + 1):
            assert nodes.consistency_proof(first, size) == merkle.consistency_proof(part, first)
    with pytest.raises(InvalidArgumentError, match="no leaf 67"):
        nodes.inclusion_proof(67)
    with pytest.raises(InvalidArgumentError, match="no beginning"):
        nodes.consistency_proof(68)
