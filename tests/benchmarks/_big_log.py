"""A long log out of a short one: engagements are copied inside the database, ten million records in minutes.

Every copy of an engagement has ids, keys and seqs of its own, so all that reads rows finds a store like any other. Leaf
hashes are made of ids, and nobody hashes the copies anew: their streams do not verify.
"""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow.parquet as pq

from ftnb.store.leaf import NAMES

_KEYED = {
    "engagement": ("eid",),
    "stream": ("sid", "eid"),
    "label": ("eid",),
    "blob": ("eid",),
    "log": ("seq", "eid", "sid"),
}
_IDS = {"engagement_id", "stream_id", "step_id", "parent_id", "event_id"}


def copied_values(table: str, columns: list[str], tag: str) -> str:
    """What a copy of a row of `table` has in `columns`; `:seq`, `:eid`, `:sid` are added to keys, `tag` is in ids."""
    values = []
    for name in columns:
        if name in _KEYED[table]:
            values.append(f"{name} + :{name}")
        else:
            # Behind the time, in the place of some random bits.
            values.append(f"substr({name}, 1, 12) || {tag} || substr({name}, 17)" if name in _IDS else name)
    return ", ".join(values)


def multiply_sqlite(path: Path, times: int) -> None:
    """`times` as many engagements as there are, in a store that nobody has open."""
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        run = connection.execute
        run("PRAGMA synchronous=OFF")
        span = {name: run(f"SELECT max({name}) FROM {table}").fetchone()[0] or 0
                for name, table in (("seq", "log"), ("eid", "engagement"), ("sid", "stream"))}  # fmt: skip
        columns = {table: [row[1] for row in run(f"PRAGMA table_info({table})")] for table in _KEYED}
        for k in range(1, times):
            run("BEGIN")
            for table, names in columns.items():
                own = " AND ".join(f"{key} <= :max_{key}" for key in _KEYED[table][:1])
                values = copied_values(table, names, f"'{k:04x}'")
                bound = {key: k * last for key, last in span.items()} | {
                    f"max_{key}": last for key, last in span.items()
                }
                order = " ORDER BY seq" if table == "log" else ""
                run(f"INSERT INTO {table} ({', '.join(names)}) SELECT {values} FROM {table} WHERE {own}{order}", bound)
            run("COMMIT")
            run("PRAGMA wal_checkpoint(TRUNCATE)")


def multiply_postgres(connection: Any, table: str, times: int) -> None:
    """The same in PostgreSQL; keys of all copies lie in the partition of the first."""
    run = connection.execute
    spans = dict(run(f"SELECT 'seq', max(seq) FROM {table}_log").fetchall())
    first, last = run(f"SELECT min(eid), max(eid) FROM {table}_engagement").fetchone()
    spans |= {"eid": last - first + 1, "sid": run(f"SELECT max(sid) FROM {table}_stream").fetchone()[0]}
    columns = {"log": ["seq", "eid", "sid", *NAMES[2:]]}
    for one in ("engagement", "stream", "label", "blob"):
        find = "SELECT attname FROM pg_attribute WHERE attrelid = %s::regclass AND attnum > 0 AND NOT attisdropped"
        columns[one] = [name for (name,) in run(find, (f"{table}_{one}",)).fetchall()]
    for k in range(1, times):
        with connection.transaction():
            for one, names in columns.items():
                values = copied_values(one, names, f"'{k:04x}'")
                for key, span in spans.items():
                    values = values.replace(f":{key}", str(k * span))
                into = f"INSERT INTO {table}_{one} ({', '.join(names)})"
                run(
                    f"{into} SELECT {values} FROM {table}_{one} WHERE eid <= {last}"
                    + (" ORDER BY seq" if one == "log" else "")
                )
            run(
                f"UPDATE {table}_meta SET seq = seq + %s, eid = eid + %s, sid = sid + %s",
                (spans["seq"], spans["eid"], spans["sid"]),
            )
    run("VACUUM ANALYZE")


def multiply_parquet(file: Path, times: int) -> None:
    """A view `times` as long, in as many parts; sorted within each."""
    whole = pq.read_table(file)
    longer = file.with_suffix(".longer")
    with pq.ParquetWriter(longer, whole.schema, compression="zstd", compression_level=3) as writer:
        for k in range(times):
            frame = pl.DataFrame(whole).with_columns(
                pl.col(name).str.slice(0, 12) + f"{k:04x}" + pl.col(name).str.slice(16)
                for name in whole.schema.names
                if name in _IDS and k
            )
            writer.write_table(frame.to_arrow().cast(whole.schema), row_group_size=262_144)
    longer.replace(file)
