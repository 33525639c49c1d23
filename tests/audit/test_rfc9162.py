"""Merkle trees against published vectors and against an oracle written down from RFC 9162, section 2.1.

The vectors are the test data of Certificate Transparency's reference implementation, in `transparency-dev/merkle`
(Apache-2.0), `testonly` and `proof/verify_test.go`. The oracle shares nothing with the code but SHA-256. `make faults`
goes to trees of 512 leaves; each run of the tests to a part of them.
"""

from __future__ import annotations

import random
from functools import cache
from hashlib import sha256

import pytest

from ftnb.audit import merkle
from ftnb.store.leaf import Tree
from tests.faults.reach import reach, seeded

DATA = [bytes.fromhex(text) for text in (
    "", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f"
)]  # fmt: skip
KNOWN = [sha256(b"\x00" + data).digest() for data in DATA]
ROOTS = [
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
]
INCLUSION = [
    (1, 8, [
        "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
        "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
        "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4",
    ]),
    (6, 8, [
        "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
        "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    ]),
    (3, 3, ["fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125"]),
    (2, 5, [
        "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
        "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
        "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
    ]),
]  # fmt: skip
"""Leaf (from 1), size of the tree, proof."""
CONSISTENCY = [
    (1, 1, []),
    (1, 8, [
        "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
        "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
        "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4",
    ]),
    (6, 8, [
        "0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a",
        "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    ]),
    (2, 5, [
        "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
        "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
    ]),
]  # fmt: skip
N = reach(40, 512)
LEAVES = [sha256(b"\x00" + str(i).encode()).digest() for i in range(N)]


# --- the oracle: ranges of leaves instead of lists, by the definitions ---


@cache
def mth(start: int, end: int) -> bytes:
    """MTH(D[start:end]) of section 2.1.1."""
    if end - start == 0:
        return sha256().digest()
    if end - start == 1:
        return LEAVES[start]
    k = start + split(end - start)
    return sha256(bytes([1]) + mth(start, k) + mth(k, end)).digest()


def split(n: int) -> int:
    """k, the largest power of two smaller than n."""
    return max(2**power for power in range(n.bit_length()) if 2**power < n)


def path(m: int, start: int, end: int) -> list[bytes]:
    """PATH(m, D[start:end]) of section 2.1.3.1."""
    if end - start == 1:
        return []
    k = split(end - start)
    if m < k:
        return [*path(m, start, start + k), mth(start + k, end)]
    return [*path(m - k, start + k, end), mth(start, start + k)]


def subproof(m: int, start: int, end: int, b: bool) -> list[bytes]:
    """SUBPROOF(m, D[start:end], b) of section 2.1.4.1."""
    if m == end - start:
        return [] if b else [mth(start, end)]
    k = split(end - start)
    if m <= k:
        return [*subproof(m, start, start + k, b), mth(start + k, end)]
    return [*subproof(m - k, start + k, end, False), mth(start, start + k)]


# --- published vectors ---


def test_published_roots() -> None:
    assert [merkle.root_hash(KNOWN[:n]).hex() for n in range(9)] == ROOTS
    tree = Tree()
    for leaf, root in zip(KNOWN, ROOTS[1:], strict=True):
        tree.append(leaf)
        assert tree.root().hex() == root


@pytest.mark.parametrize(("leaf", "size", "expected"), INCLUSION)
def test_published_inclusion_proofs(leaf: int, size: int, expected: list[str]) -> None:
    proof = [bytes.fromhex(one) for one in expected]
    assert merkle.inclusion_proof(KNOWN[:size], leaf - 1) == proof
    root = merkle.root_by_inclusion(KNOWN[leaf - 1], leaf - 1, size, proof)
    assert root is not None
    assert root.hex() == ROOTS[size]


@pytest.mark.parametrize(("first", "second", "expected"), CONSISTENCY)
def test_published_consistency_proofs(first: int, second: int, expected: list[str]) -> None:
    proof = [bytes.fromhex(one) for one in expected]
    assert merkle.consistency_proof(KNOWN[:second], first) == proof
    assert merkle.is_consistent(first, second, bytes.fromhex(ROOTS[first]), bytes.fromhex(ROOTS[second]), proof)


# --- everything against the oracle ---


def mutations(proof: list[bytes], rng: random.Random) -> list[list[bytes]]:
    """Proofs that are not this one: a bit flipped in each hash, cut, longer, exchanged, of wrong length."""
    other = sha256(b"other").digest()
    found = [[*proof, other], [*proof, b""], [other, *proof], [*proof, *proof[-1:]] if proof else [other, other]]
    for place, one in enumerate(proof):
        bit = rng.randrange(256)
        flipped = bytes(byte ^ (1 << bit % 8 if i == bit // 8 else 0) for i, byte in enumerate(one))
        for new in (flipped, one[:-1], one + b"\x00"):
            found.append([*proof[:place], new, *proof[place + 1 :]])
        found.append(proof[:place] + proof[place + 1 :])
        if place and proof[place - 1] != one:
            found.append([*proof[: place - 1], one, proof[place - 1], *proof[place + 1 :]])
    return found


def wrong_sizes(n: int) -> set[int]:
    """Sizes that a tree of n leaves might be said to have."""
    return {0, n - 1, n + 1, n * 2, n ^ 1, n | 1 << 40, -n} - {n}


def test_every_tree_and_every_inclusion_proof_and_nothing_else() -> None:
    rng = seeded("inclusion")
    for n in range(1, N + 1):
        root = merkle.root_hash(LEAVES[:n])
        assert root == mth(0, n)
        some = range(n) if n <= 64 else sorted({0, 1, n // 2, n - 2, n - 1, *rng.sample(range(n), 5)})
        for m in range(n):
            proof = path(m, 0, n)
            assert merkle.root_by_inclusion(LEAVES[m], m, n, proof) == root
        for m in some:
            proof = merkle.inclusion_proof(LEAVES[:n], m)
            assert proof == path(m, 0, n)
            for wrong in mutations(proof, rng):
                assert merkle.root_by_inclusion(LEAVES[m], m, n, wrong) != root
            for index in {m - 1, m + 1, m ^ 1, m ^ 2, n, -1, m | 1 << 40} - {m}:
                assert merkle.root_by_inclusion(LEAVES[m], index, n, proof) != root
            assert merkle.root_by_inclusion(root, m, n, proof) != root or n == 1


def test_a_proof_of_another_size_needs_another_path() -> None:
    # A tree's proof may be a path of another size, too: what is proved is (leaf, index, size, root), and the root of a
    # head goes with its size.
    for n in range(2, min(N, 130)):
        for m in range(n):
            proof = path(m, 0, n)
            for size in wrong_sizes(n):
                found = merkle.root_by_inclusion(LEAVES[m], m, size, proof)
                assert found is None or found != (mth(0, size) if 0 < size <= N else b"")


def test_every_consistency_proof_and_nothing_else() -> None:
    rng = seeded("consistency")
    for n in range(1, N + 1):
        roots = mth(0, n)
        some = range(1, n) if n <= 48 else sorted(rng.sample(range(1, n), 6))
        for first in some:
            proof = merkle.consistency_proof(LEAVES[:n], first)
            assert proof == subproof(first, 0, n, True)
            old = mth(0, first)
            assert merkle.is_consistent(first, n, old, roots, proof)
            assert not merkle.is_consistent(n, first, roots, old, proof)
            for wrong in mutations(proof, rng):
                assert not merkle.is_consistent(first, n, old, roots, wrong)
            for a, b in ((roots, roots), (old, old), (sha256(old).digest(), roots), (old, sha256(roots).digest())):
                assert not merkle.is_consistent(first, n, a, b, proof)
            for size in (first - 1, first + 1, first ^ 2):
                if 0 < size < n and size != first:
                    assert not merkle.is_consistent(size, n, old, roots, proof)
