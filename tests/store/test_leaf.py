"""The leaf covers every column, and the tree is RFC 9162's."""

from __future__ import annotations

from hashlib import sha256
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ftnb.core.canonical import encode_json
from ftnb.store._leaves import audited, leaf_hashes
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


_TEXT = st.text(max_size=12)
_NUMBER = st.integers(-(2**62), 2**62)
_DTYPES = {"int": _NUMBER, "text": _TEXT}
_JSON = st.recursive(
    st.none() | st.booleans() | _NUMBER | st.floats(allow_nan=False, allow_infinity=False) | _TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_TEXT | st.just("$ftnb"), inner, max_size=3),
    max_leaves=6,
)
_BODIES = st.dictionaries(st.sampled_from(["@payload", "metadata", "error", 'é"\\']), _JSON, max_size=3)


@st.composite
def _rows(draw: st.DrawFn) -> Row:
    """An open row as a writer makes it, without its salt."""
    values = [draw(_DTYPES[c.dtype] if c.required else st.none() | _DTYPES[c.dtype]) for c in COLUMNS if c.in_leaf]
    body = draw(st.none() | _BODIES.map(encode_json))
    return (*values, None, body, None)


@given(st.lists(_rows(), max_size=4))
def test_the_leaves_of_a_batch_are_those_of_its_rows(rows: list[Row]) -> None:
    salted = [row if row[-2] is None else (*row[:-3], SALT, *row[-2:]) for row in rows]
    assert leaf_hashes(salted) == [leaf_hash(row) for row in salted]
    in_audit, leaves = audited(rows)
    assert leaves == [leaf_hash(row) for row in in_audit]
    assert [row[:-3] + row[-2:] for row in in_audit] == [row[:-3] + row[-2:] for row in rows]
    assert len({row[-3] for row in in_audit}) == len(rows)


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


@given(st.lists(st.binary(min_size=32, max_size=32), max_size=40), st.integers(0, 40), st.integers(0, 40))
def test_leaves_may_come_in_parts_of_any_size(leaves: list[bytes], one: int, other: int) -> None:
    tree = Tree()
    first, second = sorted((one, other))
    for part in (leaves[:first], leaves[first:second], leaves[second:]):
        tree.extend(part)
    assert (tree.size, tree.root()) == (len(leaves), _root(leaves))


def test_a_frontier_of_the_wrong_length_is_refused() -> None:
    with pytest.raises(ValueError, match="3 leaves has 2 frontier hashes"):
        Tree.from_bytes(3, b"\x00" * 32)
