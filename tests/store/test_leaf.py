"""The leaf covers every column, and the tree is RFC 9162's."""

from __future__ import annotations

from hashlib import sha256
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ftnb.store.leaf import COLUMNS, INDEX, Row, Tree, leaf_hash

SALT = b"s" * 16


def _row(**values: Any) -> Row:
    base: dict[str, Any] = {
        "engagement_id": "e",
        "stream_id": "s",
        "n": 0,
        "v": 1,
        "type": "gap",
        "at_us": 1,
        "turn": 1,
    }
    base |= values
    return tuple(base.get(column.name) for column in COLUMNS)


@pytest.mark.parametrize("column", [c for c in COLUMNS if c.in_leaf], ids=lambda c: c.name)
def test_changing_any_column_changes_the_leaf(column: Any) -> None:
    row = _row()
    changed = list(row)
    changed[INDEX[column.name]] = 987_654 if column.dtype == "int" else "changed"
    assert leaf_hash(tuple(changed)) != leaf_hash(row)


def test_columns_cannot_be_shifted_into_each_other() -> None:
    assert leaf_hash(_row(step_id="ab", parent_id=None)) != leaf_hash(_row(step_id=None, parent_id="ab"))
    assert leaf_hash(_row(step_id="a;t1:b", parent_id="c")) != leaf_hash(_row(step_id="a", parent_id="b;t1:c"))
    assert leaf_hash(_row(step_id="1")) != leaf_hash(_row(visit=1))


def test_an_erased_body_leaves_the_leaf_as_it_was() -> None:
    whole = _row(salt=SALT, body=b'{"a":1}')
    erased = _row(commitment=sha256(SALT + b'{"a":1}').digest())
    assert leaf_hash(erased) == leaf_hash(whole)
    assert leaf_hash(_row(salt=SALT, body=b'{"a":2}')) != leaf_hash(whole)
    assert leaf_hash(_row(salt=b"t" * 16, body=b'{"a":1}')) != leaf_hash(whole)


def _root(leaves: list[bytes]) -> bytes:
    """RFC 9162 section 2.1.1, word for word."""
    if not leaves:
        return sha256(b"").digest()
    if len(leaves) == 1:
        return leaves[0]
    split = 1
    while split * 2 < len(leaves):
        split *= 2
    return sha256(b"\x01" + _root(leaves[:split]) + _root(leaves[split:])).digest()


@given(st.lists(st.binary(min_size=32, max_size=32), max_size=70))
def test_the_frontier_gives_the_root_of_the_whole_tree(leaves: list[bytes]) -> None:
    tree = Tree()
    for leaf in leaves:
        tree.append(leaf)
        tree = Tree.from_bytes(tree.size, tree.to_bytes())  # as it is stored between batches
    assert tree.root() == _root(leaves)
    assert len(tree.hashes) == len(leaves).bit_count()


def test_a_frontier_of_the_wrong_length_is_refused() -> None:
    with pytest.raises(ValueError, match="3 leaves has 2 frontier hashes"):
        Tree.from_bytes(3, b"\x00" * 32)
