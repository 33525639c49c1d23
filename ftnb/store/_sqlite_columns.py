"""Whole columns out of a SQLite store, a piece of the log at a time."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Protocol

import orjson

from ..core.errors import FtnbError, StoreError

if TYPE_CHECKING:
    import polars as pl
    import pyarrow as pa

    _Ids = tuple[pl.Series, pl.Series]

_PIECE = 65_536
"""Records that are taken at once."""
_KEYS = {"engagement_id": ("eid", "engagement"), "stream_id": ("sid", "stream")}
"""Ids that the log holds small keys for, and the tables of these."""
_SPARSE = frozenset(
    {"parent_id", "event_id", "ttft_us", "model", "tok_prompt", "tok_completion", "tok_total", "tok_cache_read",
     "tok_cache_write", "tok_reasoning", "error_type"}
)  # fmt: skip
"""Columns that most records have nothing in."""


class _Reader(Protocol):
    connection: sqlite3.Connection
    lock: threading.RLock
    path: str


def packed(
    reader: _Reader, conditions: Sequence[str], parameters: Sequence[Any], dtypes: Mapping[str, str], after: int
) -> pa.Table:
    """Columns of the log as Arrow, by seq.

    SQLite packs each column of a piece into one JSON text: less than half of the cost of fetching cells. (A second
    SQLite library in this process, as ADBC brings one, must not open the file: closing it drops our locks.) While one
    piece is taken apart, SQLite already packs the next.
    """
    import polars as pl
    import pyarrow as pa

    query = _Query(dtypes, conditions)
    schema = schema_of(dtypes)
    with reader.lock, told(reader.path), _snapshot(reader.connection) as connection:
        ids = {name: _ids(connection, name, after) for name in dtypes if name in _KEYS}
        last = connection.execute("SELECT max(seq) FROM log").fetchone()[0] or 0

        def texts(start: int) -> Sequence[Any]:
            found: Sequence[Any] = connection.execute(query.sql, [start, start + _PIECE, *parameters]).fetchone()
            return found

        batches = []
        with ThreadPoolExecutor(1, "ftnb-scan") as pool:
            waiting = pool.submit(texts, after)
            for start in range(after, last, _PIECE):
                found = waiting.result()
                if start + _PIECE < last:
                    waiting = pool.submit(texts, start + _PIECE)
                columns = query.columns(found, ids)
                piece = pl.DataFrame([columns[name] for name in schema.names]).to_arrow().cast(schema)
                batches += piece.to_batches()
    return pa.Table.from_batches(batches, schema=schema)


class _Query:
    """What is asked of SQLite for one piece, and how its answer is read."""

    def __init__(self, dtypes: Mapping[str, str], conditions: Sequence[str]) -> None:
        self._dtypes = dtypes
        self._dense = [name for name in dtypes if name not in _SPARSE]
        self._sparse = [name for name in dtypes if name in _SPARSE]
        columns = [_KEYS[name][0] if name in _KEYS else name for name in dtypes]
        packs = [f"json_group_array({_KEYS[name][0] if name in _KEYS else name})" for name in self._dense]
        inner = list(dict.fromkeys(["seq", *columns]))
        if self._sparse:
            has = " OR ".join(f"{name} IS NOT NULL" for name in self._sparse)
            inner.append(f"({has}) AS has")
            packs += [f"json_group_array({name}) FILTER (WHERE has)" for name in ("seq", *self._sparse)]
            packs.append("json_group_array(seq)")
        where = " AND ".join(["seq > ? AND seq <= ?", *conditions])
        # The limit keeps SQLite from working out `has` once for each column.
        self.sql = (
            f"SELECT {', '.join(packs)} FROM (SELECT {', '.join(inner)} FROM log WHERE {where} ORDER BY seq LIMIT -1)"
        )

    def columns(self, texts: Sequence[Any], ids: Mapping[str, _Ids]) -> dict[str, pl.Series]:
        """The columns of one piece by name."""
        import polars as pl

        given = iter(texts)
        found: dict[str, pl.Series] = {}
        for name in self._dense:
            found[name] = _column(name, next(given), "int" if name in _KEYS else self._dtypes[name])
        for name, (place, values) in ids.items():
            found[name] = values.gather(place.gather(found[name], null_on_oob=True)).alias(name)
        if self._sparse:
            there = _column("seq", next(given), "int")
            parts = [_column(name, next(given), self._dtypes[name]) for name in self._sparse]
            rows = _column("seq", next(given), "int")
            if len(there) == 0:
                return found | {part.name: part.clear(len(rows)) for part in parts}
            place = rows.is_in(there.implode())
            place = pl.select(pl.when(place).then(place.cum_sum() - 1)).to_series()
            found |= {part.name: part.gather(place) for part in parts}
        return found


def _column(name: str, text: str, dtype: str) -> pl.Series:
    """A JSON list as a column. (Arrow would import pandas, if it is installed, to see that a list is not of pandas.)"""
    import polars as pl

    return pl.Series(name, orjson.loads(text), pl.Int64 if dtype == "int" else pl.String)


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
        raise StoreError(
            f"cannot read the store {path!r}: {type(error).__name__}: {error}. Part of it is damaged or out of reach; "
            f"engagements that are whole can still be read one by one, and `sqlite3 {path} .recover` saves the rest"
        ) from error


@contextmanager
def _snapshot(connection: sqlite3.Connection) -> Iterator[sqlite3.Connection]:
    """Several reads of one state."""
    if connection.in_transaction:
        yield connection
        return
    connection.execute("BEGIN")
    try:
        yield connection
    finally:
        connection.rollback()  # nothing was written; and SQLite may have ended it itself, on damage
