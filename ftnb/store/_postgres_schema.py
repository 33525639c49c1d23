"""What is in a PostgreSQL store, and how it came to be there.

All names begin with the store's table name: `<table>` is a view of the log with ids in it, for people; the log itself,
`<table>_log`, holds small local keys for ids that are long and repeat. Bytes are kept as bytes.
"""

from __future__ import annotations

import re
from typing import Any

from ..core.errors import InvalidArgumentError, NotOurFileError, SchemaVersionError, StoreError
from .leaf import COLUMNS
from .records import SCHEMA_VERSION

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,44}\Z")
_TYPES = {"int": "bigint", "text": "text", "bytes": "bytea"}
STORED = [column.name for column in COLUMNS[2:]]
"""Columns of the log table after seq, eid and sid."""
TABLES = ("log", "blob", "stream", "label", "engagement")
"""Tables that hold something of an engagement, by eid."""
_MIGRATION_LOCK = 0x66746E62

_LOG_COLUMNS = ", ".join(f"{c.name} {_TYPES[c.dtype]}{' NOT NULL' if c.required else ''}" for c in COLUMNS[2:])
_VIEW_COLUMNS = ", ".join(f"l.{name}" for name in STORED)

# Without unique (sid, n): writers come one after the other, and know from the stream's size what is there.
_V1 = f"""
CREATE TABLE {{t}}_meta (id int PRIMARY KEY CHECK (id = 1), seq bigint NOT NULL, purges bigint NOT NULL,
    log_size bigint NOT NULL DEFAULT 0, log_frontier bytea NOT NULL DEFAULT '', log_note text) WITH (fillfactor = 10);
INSERT INTO {{t}}_meta VALUES (1, 0, 0);
CREATE TABLE {{t}}_engagement (eid bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, engagement_id text NOT NULL UNIQUE);
CREATE TABLE {{t}}_stream (sid bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, stream_id text NOT NULL UNIQUE,
    eid bigint NOT NULL, turn bigint NOT NULL, size bigint NOT NULL, frontier bytea NOT NULL) WITH (fillfactor = 50);
CREATE INDEX {{t}}_stream_engagement ON {{t}}_stream (eid, turn);
CREATE TABLE {{t}}_log (seq bigint PRIMARY KEY, eid bigint NOT NULL, sid bigint NOT NULL, {_LOG_COLUMNS});
CREATE INDEX {{t}}_log_engagement ON {{t}}_log (eid, seq);
CREATE VIEW {{t}} AS SELECT l.seq, e.engagement_id, s.stream_id, {_VIEW_COLUMNS} FROM {{t}}_log l
    JOIN {{t}}_engagement e ON e.eid = l.eid JOIN {{t}}_stream s ON s.sid = l.sid;
CREATE TABLE {{t}}_blob (eid bigint NOT NULL, blob_id text NOT NULL, dedup bytea, salt bytea NOT NULL,
    media text NOT NULL, data bytea NOT NULL, PRIMARY KEY (eid, blob_id));
CREATE TABLE {{t}}_label (eid bigint NOT NULL, key text NOT NULL, value text NOT NULL, PRIMARY KEY (eid, key));
CREATE INDEX {{t}}_label_value ON {{t}}_label (key, left(value, 200), eid);
CREATE TABLE {{t}}_tombstone (engagement_id text PRIMARY KEY, at_us bigint NOT NULL, n_late bigint NOT NULL);
CREATE TABLE {{t}}_entry (seq bigint PRIMARY KEY, at_us bigint NOT NULL,
    type text NOT NULL, body bytea NOT NULL);
"""
_MIGRATIONS = (_V1,)
"""The n-th one makes version n out of version n - 1."""
assert len(_MIGRATIONS) == SCHEMA_VERSION


def check_name(table: str) -> str:
    """`table`, which goes into statements as it is. Raises InvalidArgumentError."""
    if not _NAME.match(table):
        raise InvalidArgumentError(
            f"invalid table name {table!r}: up to 45 letters, digits and underscores, and no digit first"
        )
    return table


def migrate(connection: Any, table: str, *, create: bool) -> None:
    """Complete the store's tables; `create` makes them. Raises StoreError, NotOurFileError, SchemaVersionError."""
    t = check_name(table)
    found = _version(connection, t)
    if found == SCHEMA_VERSION:
        return
    if found == 0 and not create:
        raise StoreError(
            f"no traces in the database {connection.info.dbname!r} under the name {t!r} (opening never creates them); "
            "another name goes behind a #, as in postgresql://host/db#my_table"
        )
    with connection.transaction():
        connection.execute("SELECT pg_advisory_xact_lock(%s)", (_MIGRATION_LOCK,))
        version = _version(connection, t)
        if version > SCHEMA_VERSION:
            raise SchemaVersionError(
                f"the tables {t!r} have log format {version}, this ftnb reads up to {SCHEMA_VERSION}; upgrade ftnb"
            )
        if version == 0:
            if connection.execute("SELECT to_regclass(%s)", (t,)).fetchone()[0] is not None:
                raise NotOurFileError(
                    f"there is a table {t!r} of another program, and it was left as it is; choose another table= name"
                )
            connection.execute(
                f"CREATE TABLE {t}_migration (version int PRIMARY KEY, at timestamptz NOT NULL DEFAULT now())"
            )
        for number in range(version + 1, SCHEMA_VERSION + 1):
            connection.execute(_MIGRATIONS[number - 1].format(t=t))
            connection.execute(f"INSERT INTO {t}_migration (version) VALUES (%s)", (number,))


def _version(connection: Any, table: str) -> int:
    """Version of the tables; 0 when there are none."""
    if connection.execute("SELECT to_regclass(%s)", (f"{table}_migration",)).fetchone()[0] is None:
        return 0
    return int(connection.execute(f"SELECT coalesce(max(version), 0) FROM {table}_migration").fetchone()[0])
