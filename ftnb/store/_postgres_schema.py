"""What is in a PostgreSQL store, and how it came to be there.

All names begin with the store's table name: `<table>` is a view of the log with ids in it, for people; the log itself,
`<table>_log`, holds small local keys for ids that are long and repeat. Bytes are kept as bytes.

Log and values are cut by time: the local key of an engagement (`eid`) has in its upper bits the period in which the
engagement came, so all of it lies in one partition, whenever its records come. Writers are one after the other, so
keys come from counters in `<table>_meta`, which are in order.
"""

from __future__ import annotations

import re
from typing import Any

from ..core.errors import InvalidArgumentError, NotOurFileError, SchemaVersionError, StoreError
from .leaf import COLUMNS

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,44}\Z")
_TYPES = {"int": "bigint", "text": "text", "bytes": "bytea"}
STORED = [column.name for column in COLUMNS[2:]]
"""Columns of the log table after seq, eid and sid."""
COPY_TYPES = ["int8"] * 3 + [{"int": "int8", "text": "text", "bytes": "bytea"}[c.dtype] for c in COLUMNS[2:]]
"""Their types, as a binary COPY needs them."""
TABLES = ("log", "blob", "stream", "label", "engagement")
"""Tables that hold something of an engagement, by eid."""
EID_BITS = 40
"""Lower bits of an eid: a number that counts on. The upper ones are the period, counted from 1970."""
PARTITION_DAYS = 7
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
# The tables of version 1 become the partition of the keys that were given then. JSONB refuses some texts and changes
# others, so it is only what an index is made of, and where it refuses, the index has nothing.
_V2 = f"""
ALTER TABLE {{t}}_meta ADD eid bigint NOT NULL DEFAULT 0, ADD sid bigint NOT NULL DEFAULT 0,
    ADD period_us bigint NOT NULL DEFAULT {{period_us}};
UPDATE {{t}}_meta SET eid = (SELECT coalesce(max(eid), 0) FROM {{t}}_engagement),
    sid = (SELECT coalesce(max(sid), 0) FROM {{t}}_stream);
ALTER TABLE {{t}}_engagement ALTER eid DROP IDENTITY;
ALTER TABLE {{t}}_stream ALTER sid DROP IDENTITY;
ALTER TABLE {{t}}_log RENAME TO {{t}}_log_p0;
ALTER TABLE {{t}}_log_p0 DROP CONSTRAINT {{t}}_log_pkey;
ALTER INDEX {{t}}_log_engagement RENAME TO {{t}}_log_p0_engagement;
CREATE TABLE {{t}}_log (LIKE {{t}}_log_p0) PARTITION BY RANGE (eid);
CREATE INDEX {{t}}_log_engagement ON {{t}}_log (eid, seq);
CREATE INDEX {{t}}_log_seq ON {{t}}_log (seq);
ALTER TABLE {{t}}_blob RENAME TO {{t}}_blob_p0;
ALTER INDEX {{t}}_blob_pkey RENAME TO {{t}}_blob_p0_pkey;
CREATE TABLE {{t}}_blob (LIKE {{t}}_blob_p0, PRIMARY KEY (eid, blob_id)) PARTITION BY RANGE (eid);
CREATE OR REPLACE VIEW {{t}} AS SELECT l.seq, e.engagement_id, s.stream_id, {_VIEW_COLUMNS} FROM {{t}}_log l
    JOIN {{t}}_engagement e ON e.eid = l.eid JOIN {{t}}_stream s ON s.sid = l.sid;
DO $$ BEGIN
    IF EXISTS (SELECT FROM {{t}}_engagement) THEN
        ALTER TABLE {{t}}_log ATTACH PARTITION {{t}}_log_p0 FOR VALUES FROM (0) TO ({1 << EID_BITS});
        ALTER TABLE {{t}}_blob ATTACH PARTITION {{t}}_blob_p0 FOR VALUES FROM (0) TO ({1 << EID_BITS});
    ELSE
        DROP TABLE {{t}}_log_p0, {{t}}_blob_p0;
    END IF;
END $$;
CREATE FUNCTION {{t}}_json(body bytea) RETURNS jsonb LANGUAGE plpgsql IMMUTABLE STRICT AS $$ BEGIN
    RETURN pg_catalog.convert_from(body, 'UTF8')::pg_catalog.jsonb;
EXCEPTION WHEN OTHERS THEN RETURN NULL;
END $$;
CREATE INDEX {{t}}_log_json ON {{t}}_log USING gin (({{t}}_json(body) -> 'metadata') jsonb_path_ops)
    WHERE type IN ('engagement_started', 'engagement_labelled');
CREATE FUNCTION {{t}}_roll(part bigint) RETURNS void LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = {{schema}}, pg_temp AS $$
DECLARE bounds text := pg_catalog.format('FOR VALUES FROM (%s) TO (%s)', part << {EID_BITS}, (part + 1) << {EID_BITS});
BEGIN
    IF pg_catalog.to_regclass('{{t}}_log_p' || part) IS NULL THEN
        EXECUTE 'CREATE TABLE {{t}}_log_p' || part || ' (LIKE {{t}}_log INCLUDING ALL)';
        EXECUTE 'CREATE TABLE {{t}}_blob_p' || part || ' (LIKE {{t}}_blob INCLUDING ALL)';
        EXECUTE 'ALTER TABLE {{t}}_log ATTACH PARTITION {{t}}_log_p' || part || ' ' || bounds;
        EXECUTE 'ALTER TABLE {{t}}_blob ATTACH PARTITION {{t}}_blob_p' || part || ' ' || bounds;
    END IF;
END $$;
CREATE FUNCTION {{t}}_drop(part bigint) RETURNS boolean LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = {{schema}}, pg_temp SET lock_timeout = '1s' AS $$
BEGIN
    IF part >= (SELECT eid >> {EID_BITS} FROM {{t}}_meta) OR EXISTS (SELECT FROM {{t}}_engagement
        WHERE eid >= part << {EID_BITS} AND eid < (part + 1) << {EID_BITS}) THEN RETURN false;
    END IF;
    EXECUTE 'DROP TABLE IF EXISTS {{t}}_log_p' || part || ', {{t}}_blob_p' || part;
    RETURN true;
EXCEPTION WHEN lock_not_available THEN RETURN false;
END $$;
REVOKE ALL ON FUNCTION {{t}}_roll(bigint), {{t}}_drop(bigint) FROM PUBLIC;
"""
_MIGRATIONS = (_V1, _V2)
"""The n-th one makes version n out of version n - 1."""


def check_name(table: str) -> str:
    """`table` as PostgreSQL folds it, which goes into statements as it is. Raises InvalidArgumentError."""
    if not _NAME.match(table):
        raise InvalidArgumentError(
            f"invalid table name {table!r}: up to 45 letters, digits and underscores, and no digit first"
        )
    return table.lower()


def migrate(connection: Any, table: str, *, create: bool, partition_days: int = PARTITION_DAYS) -> None:
    """Complete the store's tables, or make them (`create`), with a partition for each `partition_days`.

    Raises StoreError, NotOurFileError, SchemaVersionError.
    """
    t = check_name(table)
    found = _version(connection, t)
    if found == len(_MIGRATIONS):
        return
    if found == 0 and not create:
        raise StoreError(
            f"no traces in the database {connection.info.dbname!r} under the name {t!r} (opening never creates them); "
            "another name goes behind a #, as in postgresql://host/db#my_table"
        )
    with connection.transaction():
        connection.execute("SELECT pg_advisory_xact_lock(%s)", (_MIGRATION_LOCK,))
        version = _version(connection, t)
        if version > len(_MIGRATIONS):
            raise SchemaVersionError(
                f"the tables {t!r} have layout {version}, this ftnb knows up to {len(_MIGRATIONS)}; upgrade ftnb"
            )
        if version == 0:
            if connection.execute("SELECT to_regclass(%s)", (t,)).fetchone()[0] is not None:
                raise NotOurFileError(
                    f"there is a table {t!r} of another program, and it was left as it is; choose another table= name"
                )
            connection.execute(
                f"CREATE TABLE {t}_migration (version int PRIMARY KEY, at timestamptz NOT NULL DEFAULT now())"
            )
        elif version < len(_MIGRATIONS):
            connection.execute(f"LOCK TABLE {t}_meta")  # no writer is in the middle of something
        schema = connection.execute(
            "SELECT quote_ident(nspname) FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace"
            " WHERE c.oid = to_regclass(%s)",
            (f"{t}_migration",),
        ).fetchone()[0]
        for number in range(version + 1, len(_MIGRATIONS) + 1):
            script = _MIGRATIONS[number - 1]
            connection.execute(script.format(t=t, schema=schema, period_us=partition_days * 86_400_000_000))
            connection.execute(f"INSERT INTO {t}_migration (version) VALUES (%s)", (number,))


def _version(connection: Any, table: str) -> int:
    """Version of the tables; 0 when there are none."""
    if connection.execute("SELECT to_regclass(%s)", (f"{table}_migration",)).fetchone()[0] is None:
        return 0
    return int(connection.execute(f"SELECT coalesce(max(version), 0) FROM {table}_migration").fetchone()[0])
