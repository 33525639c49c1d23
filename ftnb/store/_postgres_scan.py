"""Whole columns out of PostgreSQL: as CSV, which PostgreSQL writes and Arrow reads at full speed.

The log holds small keys; the ids that stand for them are read once each and put in here, which is less work than a join
that sends every id with every record.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO
from typing import TYPE_CHECKING, Any

from ..core._progress import reading
from ._log_store import DTYPES
from ._tables import schema_of

if TYPE_CHECKING:
    import pyarrow as pa

_PIECE = 250_000
"""Positions that are read at once, while Arrow parses those before."""
_FEW_KEYS = 5_000
_KEYS = {"engagement_id": "eid", "stream_id": "sid"}
"""Columns that the log holds keys for, and the keys, by which `<table>_engagement` and `<table>_stream` know them."""


def scan(
    connection: Any,
    table: str,
    columns: Sequence[str],
    types: Sequence[str],
    engagement_id: str | None,
    after: int,
    containing: Sequence[bytes],
) -> pa.Table:
    """Columns of the log, ordered by seq."""
    import pyarrow as pa

    conditions, parameters = ["seq > %s", "seq <= %s"], list[Any]()
    if types:
        conditions.append("type = ANY(%s)")
        parameters.append(list(types))
    if engagement_id is not None:
        conditions.append(f"eid = (SELECT eid FROM {table}_engagement WHERE engagement_id = %s)")
        parameters.append(engagement_id)
    if containing:
        conditions.append(f"({' OR '.join(['position(%s IN body) > 0'] * len(containing))})")
        parameters += containing
    names = list(dict.fromkeys(columns))
    read = {_KEYS.get(name, name): "int" if name in _KEYS else DTYPES[name] for name in names}
    sql = f"SELECT {', '.join(read)} FROM {table}_log WHERE {' AND '.join(conditions)} ORDER BY seq"
    schema = schema_of(read)
    last = connection.execute(f"SELECT seq FROM {table}_meta").fetchone()[0]
    step = _PIECE if engagement_id is None else max(last, 1)
    starts = range(after, last, step)
    copied = _copied(connection, ((sql, [start, start + step, *parameters]) for start in starts))
    with ThreadPoolExecutor(1) as parser:
        parsing = [parser.submit(_from_csv, data, schema) for data in reading(copied, len(starts), "PostgreSQL")]
        tables = [one.result() for one in parsing]
    found = pa.concat_tables(tables) if tables else schema.empty_table()
    for name in names:
        if name in _KEYS:
            found = _with_ids(connection, table, found, name)
    return found.select(names)


def _copied(connection: Any, queries: Iterator[tuple[str, Sequence[Any]]]) -> Iterator[BytesIO]:
    """What each query gives, as CSV; what gives nothing is left out."""
    for sql, parameters in queries:
        data = BytesIO()
        with (
            connection.transaction(),
            connection.cursor() as cursor,
            cursor.copy(f"COPY ({sql}) TO STDOUT (FORMAT csv)", parameters) as copy,
        ):
            _drain(connection, copy, data)
        if data.tell():
            yield data


def _drain(connection: Any, copy: Any, data: BytesIO) -> None:
    """All that a COPY gives. Each row is a message, and iterating over `copy` waits for each on its own, which takes
    longer than the row itself; its generator, where there is one, is waited for once."""
    rows = getattr(copy, "_read_gen", None)
    if rows is None:
        for block in copy:
            data.write(block)
        return

    def drained() -> Iterator[Any]:
        while block := (yield from rows()):
            data.write(block)

    connection.wait(drained())


def _with_ids(connection: Any, table: str, found: pa.Table, name: str) -> pa.Table:
    """`found` with the ids in the place of keys. Records that were purged since they were read have none, and go."""
    import pyarrow as pa
    import pyarrow.compute as pc

    key = _KEYS[name]
    place = found.schema.get_field_index(key)
    wanted = pc.unique(found[key])
    sql, parameters = f"SELECT {key}, {name} FROM {table}_{name.removesuffix('_id')}", []
    if len(wanted) <= _FEW_KEYS:
        sql, parameters = f"{sql} WHERE {key} = ANY(%s)", [wanted.to_pylist()]
    schema = schema_of({key: "int", name: "text"})
    tables = [_from_csv(data, schema) for data in _copied(connection, iter([(sql, parameters)]))]
    ids = tables[0] if tables else schema.empty_table()
    at = pc.index_in(found[key], value_set=ids[key])
    named = pa.chunked_array([ids[name].combine_chunks()]).take(at)
    found = found.set_column(place, name, named)
    return found.filter(pc.is_valid(named)) if named.null_count else found


def _from_csv(data: BytesIO, schema: pa.Schema) -> pa.Table:
    """A table out of CSV as PostgreSQL writes it: null is nothing, empty text is "", bytes are hexadecimal."""
    import pyarrow as pa
    from pyarrow import csv

    binary = [field.name for field in schema if field.type == pa.binary()]
    types = {field.name: pa.string() if field.name in binary else field.type for field in schema}
    data.seek(0)
    table = csv.read_csv(
        data,
        read_options=csv.ReadOptions(column_names=schema.names, block_size=1 << 24),
        parse_options=csv.ParseOptions(newlines_in_values=True, ignore_empty_lines=False),
        convert_options=csv.ConvertOptions(
            column_types=types, null_values=[""], strings_can_be_null=True, quoted_strings_can_be_null=False
        ),
    )
    for name in binary:
        place = schema.get_field_index(name)
        table = table.set_column(place, schema.field(place), _unhex(table[name]))
    return table.cast(schema)


def _unhex(texts: Any) -> Any:
    import polars as pl
    import pyarrow as pa

    decoded = pl.Series(texts).cast(pl.String).str.slice(2).str.decode("hex")
    return pa.chunked_array([decoded.to_arrow().cast(pa.binary())])
