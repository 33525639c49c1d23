"""Whole columns out of a SQLite store, a piece of the log at a time."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson

from ..core._progress import reading
from ..core.errors import FtnbError, StoreError
from ._sqlite_pieces import Reader, in_pieces, in_pieces_of, same_state

if TYPE_CHECKING:
    import polars as pl
    import pyarrow as pa

    _Ids = tuple[pl.Series, pl.Series]

_PIECE = 65_536
"""Records that are taken at once."""
_FEW = 1_000
"""Numbers for which a JSON parser is as quick as anything."""
_KEYS = {"engagement_id": ("eid", "engagement"), "stream_id": ("sid", "stream")}
"""Ids that the log holds small keys for, and the tables of these."""


def packed(
    reader: Reader, conditions: Sequence[str], parameters: Sequence[Any], dtypes: Mapping[str, str], after: int
) -> pa.Table:
    """Columns of the log as Arrow, by seq.

    SQLite packs each column of a piece into one JSON text: less than half of the cost of fetching cells. (A second
    SQLite library in this process, as ADBC brings one, must not open the file: closing it drops our locks.) While one
    piece is taken apart, SQLite already packs the next ones.
    """
    import polars as pl
    import pyarrow as pa

    schema, batches = schema_of(dtypes), []
    packs = ", ".join(f"json_group_array({_KEYS[name][0] if name in _KEYS else name})" for name in dtypes)
    # By the primary key, and no index: so each list is in the order of seq, without a sort that would copy every row.
    sql = f"SELECT count(*), {packs} FROM log NOT INDEXED WHERE {' AND '.join(['seq > ? AND seq <= ?', *conditions])}"
    with reader.lock, told(reader.path), same_state(reader, after, _PIECE) as (connections, last):
        ids = {name: _ids(connections[0], name, after) for name in dtypes if name in _KEYS}
        pieces = range(after, last, _PIECE)
        for texts in reading(in_pieces(connections, sql, parameters, pieces), len(pieces), Path(reader.path).name):
            columns = _columns(texts[0][1:], texts[0][0], dtypes, ids)
            batches += pl.DataFrame(columns).to_arrow().cast(schema).to_batches()
    return pa.Table.from_batches(batches, schema=schema)


@dataclass(frozen=True)
class Parts:
    """Several scans of one state of a log."""

    frames: list[pl.DataFrame]
    """As `scan` gives them, but with a key (int64) in place of each id of an engagement or stream."""
    ids: dict[str, pl.Series]
    """For `engagement_id` and `stream_id`: the id of each key, which is its place; null where no id has the key."""


def parted(reader: Reader, parts: Sequence[tuple[Mapping[str, str], Sequence[str]]]) -> Parts:
    """For each part (columns with their kinds, types of records) the columns of the log, by seq.

    Ids stay keys, and what SQLite packed becomes columns of polars at once: a third of what `packed` costs.
    """
    import polars as pl

    found: list[pl.DataFrame] = []
    with reader.lock, told(reader.path), same_state(reader, 0, _PIECE) as (connections, last):
        pieces = range(0, last, _PIECE)
        sqls = [_packing(dtypes, len(types)) for dtypes, types in parts]
        asked = [(sql, types) for sql, (_, types) in zip(sqls, parts, strict=True)]
        n = len(pieces)
        texts = reading(in_pieces_of(connections, asked, pieces), n * len(parts), Path(reader.path).name)
        for dtypes, _ in parts:
            frames = [pl.DataFrame(_columns(some[0][1:], some[0][0], dtypes, {})) for some in islice(texts, n)]
            kinds = {name: pl.Int64 if dtype == "int" or name in _KEYS else pl.String for name, dtype in dtypes.items()}
            found.append(pl.concat([pl.DataFrame(schema=kinds), *frames]).rechunk())
        ids = {name: _ids_by_key(connections[0], name) for name in _KEYS}
    return Parts(found, ids)


def _packing(dtypes: Mapping[str, str], n_types: int) -> str:
    packs = ", ".join(f"json_group_array({_KEYS[name][0] if name in _KEYS else name})" for name in dtypes)
    # By the primary key, and no index: so each list is in the order of seq, without a sort that would copy every row.
    where = f"seq > ? AND seq <= ? AND type IN ({', '.join('?' * n_types)})"
    return f"SELECT count(*), {packs} FROM log NOT INDEXED WHERE {where}"


def _ids_by_key(connection: sqlite3.Connection, name: str) -> pl.Series:
    places, values = _ids(connection, name, 0)
    return values.gather(places)


def searched(
    reader: Reader, conditions: Sequence[str], parameters: Sequence[Any], dtypes: Mapping[str, str], after: int
) -> pa.Table:
    """Cells of the few records that meet conditions which cost SQLite much to look at, by seq."""
    import pyarrow as pa

    table = "record" if dtypes.keys() & _KEYS.keys() else "log"
    sql = f"SELECT {', '.join(dtypes)} FROM {table} WHERE {' AND '.join(['seq > ? AND seq <= ?', *conditions])}"
    schema, batches = schema_of(dtypes), []
    with reader.lock, told(reader.path), same_state(reader, after, _PIECE) as (connections, last):
        pieces = range(after, last, _PIECE)
        found = in_pieces(connections, f"{sql} ORDER BY seq", parameters, pieces)
        for rows in reading(found, len(pieces), Path(reader.path).name):
            batches += cells(rows, dtypes, schema)
    return pa.Table.from_batches(batches, schema=schema)


def cells(rows: Sequence[Sequence[Any]], dtypes: Mapping[str, str], schema: pa.Schema) -> list[pa.RecordBatch]:
    """Rows as Arrow."""
    import polars as pl

    if not rows:
        return []
    kinds = {"int": pl.Int64, "text": pl.String, "bytes": pl.Binary}
    columns = zip(dtypes.items(), zip(*rows, strict=True), strict=True)
    piece = pl.DataFrame([pl.Series(name, values, kinds[kind]) for (name, kind), values in columns])
    return piece.to_arrow().cast(schema).to_batches()


def _columns(texts: Sequence[str], n: int, dtypes: Mapping[str, str], ids: Mapping[str, _Ids]) -> list[pl.Series]:
    """The columns of one piece of `n` records."""
    found = []
    for text, (name, dtype) in zip(texts, dtypes.items(), strict=True):
        column = _column(name, text, "int" if name in _KEYS else dtype, n)
        if name in ids:
            place, values = ids[name]
            column = values.gather(place.gather(column, null_on_oob=True)).alias(name)
        found.append(column)
    return found


def _column(name: str, text: str, dtype: str, n: int = -1) -> pl.Series:
    """A JSON list of `n` as a column. (Arrow would import pandas, if it is there, to see that a list is not of it.)

    What is easy to see is told without an object for each value: nothing but nulls, integers without a null, texts in
    which nothing is escaped.
    """
    import polars as pl

    kind = pl.Int64 if dtype == "int" else pl.String
    if len(text) == 5 * n + 1 and text.count("null") == n:
        return pl.Series(name, [None], kind).new_from_index(0, n) if n else pl.Series(name, [], kind)
    if dtype == "text" and "\\" not in text:
        # Nothing is escaped: this stands between two texts and nowhere else, so with n parts every one is a text.
        if text.startswith('["'):
            parts = pl.Series(name, [text[2:-2]]).str.split('","').explode()
            if len(parts) == n:
                return parts
        if text.startswith(('["', "[n")):
            # A null has no quotes, and a text has two, so with n parts no text has a comma in it.
            parts = pl.Series(name, [text[1:-1]]).str.split(",").explode()
            if len(parts) == n:
                return parts.set(parts == "null", None).str.strip_chars('"')
    if dtype == "int" and n > _FEW and "null" not in text:
        import numpy as np

        values = np.fromstring(text[1:-1], dtype=np.int64, sep=",")
        if len(values) == n:
            return pl.Series(name, values)
    return pl.Series(name, orjson.loads(text), kind)


def _ids(connection: sqlite3.Connection, name: str, after: int) -> _Ids:
    """For each key of a kind of ids, as far as records after this seq have it, the place of its id, and the ids."""
    import polars as pl

    key, table = _KEYS[name]
    which = f"WHERE {key} IN (SELECT {key} FROM log WHERE seq > {after})" if after else ""
    sql = f"SELECT json_group_array({key}), json_group_array({name}) FROM {table} {which}"
    rows = connection.execute(sql).fetchone()
    keys, values = _column(key, rows[0], "int"), _column(name, rows[1], "text")
    nowhere = pl.Series([None], dtype=pl.Int64).new_from_index(0, max(keys.to_list(), default=0) + 1)
    return nowhere.scatter(keys, pl.int_range(len(keys), eager=True)), values


def _kinds() -> dict[str, Any]:
    import pyarrow as pa

    return {"int": pa.int64(), "text": pa.string(), "bytes": pa.binary()}


def schema_of(dtypes: Mapping[str, str]) -> pa.Schema:
    """Columns of these names and kinds."""
    import pyarrow as pa

    kinds = _kinds()
    return pa.schema([pa.field(name, kinds[dtype]) for name, dtype in dtypes.items()])


@contextmanager
def told(path: str) -> Iterator[None]:
    """What a damaged file makes of a read becomes one kind of error. Raises StoreError."""
    try:
        yield
    except (sqlite3.Error, ValueError, TypeError) as error:
        if isinstance(error, FtnbError):
            raise
        if isinstance(error, sqlite3.ProgrammingError) and "closed" in str(error):
            raise StoreError(f"cannot read the store {path!r}: it was closed; open it again") from error
        raise StoreError(
            f"cannot read the store {path!r}: {type(error).__name__}: {error}. Part of it is damaged or out of reach; "
            f"engagements that are whole can still be read one by one, and `sqlite3 {path} .recover` saves the rest"
        ) from error
