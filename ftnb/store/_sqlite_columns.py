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
    import pyarrow as pa

    _Ids = tuple[pa.Array[Any], pa.Array[Any]]

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
    import pyarrow as pa

    query = _Query(dtypes, conditions)
    schema = schema_of(dtypes)
    with reader.lock, told(reader.path), _snapshot(reader.connection) as connection:
        ids = {name: _ids(connection, name) for name in dtypes if name in _KEYS}
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
                arrays = query.arrays(found, ids)
                batches.append(pa.record_batch([arrays[name] for name in schema.names], schema=schema))
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

    def arrays(self, texts: Sequence[Any], ids: Mapping[str, _Ids]) -> dict[str, pa.Array[Any]]:
        """The columns of one piece by name."""
        import pyarrow as pa
        import pyarrow.compute as pc

        kinds = _kinds()
        given = iter(texts)
        found: dict[str, pa.Array[Any]] = {}
        for name in self._dense:
            kind = pa.int64() if name in _KEYS else kinds[self._dtypes[name]]
            found[name] = pa.array(orjson.loads(next(given)), kind)
        for name, (keys, values) in ids.items():
            found[name] = values.take(pc.index_in(found[name], value_set=keys))
        if self._sparse:
            there = pa.array(orjson.loads(next(given)), pa.int64())
            parts = [pa.array(orjson.loads(next(given)), kinds[self._dtypes[name]]) for name in self._sparse]
            rows = pa.array(orjson.loads(next(given)), pa.int64())
            place = pc.index_in(rows, value_set=there)
            found |= {name: part.take(place) for name, part in zip(self._sparse, parts, strict=True)}
        return found


def _ids(connection: sqlite3.Connection, name: str) -> _Ids:
    """The keys of a kind of ids, and the ids."""
    import pyarrow as pa

    key, table = _KEYS[name]
    rows = connection.execute(f"SELECT json_group_array({key}), json_group_array({name}) FROM {table}").fetchone()
    return pa.array(orjson.loads(rows[0]), pa.int64()), pa.array(orjson.loads(rows[1]), pa.string())


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
