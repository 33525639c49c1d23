"""Reading a SQLite store: one engagement, a page of summaries, or whole columns."""

from __future__ import annotations

import json
import sqlite3
import threading
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ._entries import LogHead
from ._sqlite_columns import Parts, cells, packed, parted, schema_of, searched, told
from ._sqlite_schema import file_of
from ._summary import HEADER_TYPES, Summary
from ._tables import BLOB_DTYPES
from ._writer import label_key, label_value
from .base import EngagementSummary
from .leaf import COLUMNS, NAMES, Row

if TYPE_CHECKING:
    import pyarrow as pa

_SELECT = f"SELECT seq, {', '.join(NAMES)} FROM record"
_DTYPES = {"seq": "int", **{column.name: column.dtype for column in COLUMNS}}
_PAGE = 500
RECORD_BYTES = 1_000
"""What a record counts for: large values are not in it, but in blobs."""


class SQLiteReader:
    """Reads through one connection, under one lock."""

    def __init__(self, connection: sqlite3.Connection, lock: threading.RLock, path: str) -> None:
        self.connection = connection
        self.lock = lock
        self.path = path
        self.file = None if path == ":memory:" else file_of(path)

    def _rows(self, sql: str, parameters: Sequence[Any] = ()) -> list[Row]:
        with self.lock, told(self.path):
            return self.connection.execute(sql, parameters).fetchall()

    # --- one engagement ---

    def rows(self, engagement_id: str) -> list[tuple[int, Row]]:
        """The engagement's rows by seq."""
        rows = self._rows(f"{_SELECT} WHERE engagement_id = ? ORDER BY seq", (engagement_id,))
        return [(row[0], row[1:]) for row in rows]

    def rows_after(self, after: int, limit: int) -> list[tuple[int, Row]]:
        """The next rows after a seq."""
        rows = self._rows(f"{_SELECT} WHERE seq > ? ORDER BY seq LIMIT ?", (after, limit))
        return [(row[0], row[1:]) for row in rows]

    def data_version(self) -> int:
        """Changes when another connection has written."""
        return int(self._rows("PRAGMA data_version")[0][0])

    def close(self) -> None:
        """Close the connection. Closing twice is fine."""
        with self.lock:
            self.connection.close()

    def blob(self, engagement_id: str, blob_id: str) -> bytes | None:
        """The data of a blob; None when it is not there."""
        find = "SELECT data FROM blob JOIN engagement USING (eid) WHERE engagement_id = ? AND blob_id = ?"
        found = self._rows(find, (engagement_id, blob_id))
        return found[0][0] if found else None

    def blobs_of(self, engagement_id: str) -> dict[str, bytes]:
        """Every blob of an engagement, by id."""
        find = "SELECT blob_id, data FROM blob JOIN engagement USING (eid) WHERE engagement_id = ?"
        return dict(self._rows(find, (engagement_id,)))

    # --- summaries ---

    def summaries(self, where: Mapping[str, Any] | None, *, limit: int | None, newest: bool) -> list[EngagementSummary]:
        """Summaries of the engagements whose metadata equals `where`."""
        sql, parameters = _find(where or {}, "DESC" if newest else "ASC")
        ids = [row[0] for row in self._rows(sql, [*parameters, -1 if limit is None else limit])]
        pages = (ids[i : i + _PAGE] for i in range(0, len(ids), _PAGE))
        return [summary for page in pages for summary in self._summaries_of(page)]

    def _summaries_of(self, ids: list[str]) -> list[EngagementSummary]:
        marks = ", ".join("?" * len(ids))
        types = ", ".join(f"'{name}'" for name in HEADER_TYPES)
        building = {engagement_id: Summary(engagement_id) for engagement_id in ids}
        # +type: SQLite must walk the engagement's own index, not guess at the type.
        headers = self._rows(
            f"SELECT engagement_id, type, status, at_us, name, turn, body FROM record"
            f" WHERE engagement_id IN ({marks}) AND +type IN ({types}, 'step_started') ORDER BY turn, seq",
            ids,
        )
        for engagement_id, *header in headers:
            if engagement_id in building:  # a damaged index may lead elsewhere
                building[engagement_id].take(*header)
        totals = self._rows(
            f"""SELECT engagement_id, sum(tok_total), min(at_us) FROM record r
                WHERE engagement_id IN ({marks}) AND (step_id IS NULL OR tok_total IS NULL OR NOT EXISTS (
                    SELECT 1 FROM record w WHERE w.engagement_id = r.engagement_id AND +w.type = 'step_ended'
                    AND w.step_id = r.step_id AND w.status = 'waiting'))
                GROUP BY engagement_id""",
            ids,
        )
        for engagement_id, tokens, first_us in totals:
            if engagement_id in building:
                building[engagement_id].tokens, building[engagement_id].first_us = tokens or 0, first_us
        return [building[engagement_id].build() for engagement_id in ids]

    # --- columns ---

    def scan(
        self,
        columns: Sequence[str],
        *,
        types: Sequence[str],
        engagement_id: str | None,
        after: int,
        containing: Sequence[bytes] = (),
    ) -> pa.Table:
        """Columns of the log as Arrow, ordered by seq."""
        conditions, parameters = [], list[Any]()
        if types:
            conditions.append(f"type IN ({', '.join('?' * len(types))})")
            parameters += types
        if engagement_id is not None:
            conditions.append("engagement_id = ?")
            parameters.append(engagement_id)
        if containing:
            conditions.append(f"({' OR '.join(['instr(body, ?) > 0'] * len(containing))})")
            parameters += containing
        dtypes = {name: _DTYPES[name] for name in columns}
        if engagement_id is None and "bytes" not in dtypes.values():
            return packed(self, conditions, parameters, dtypes, after)
        if engagement_id is None and containing:
            return searched(self, conditions, parameters, dtypes, after)
        where = " AND ".join(["seq > ?", *conditions])
        # Keys are looked up only where they are asked for.
        table = "record" if engagement_id is not None or dtypes.keys() & {"engagement_id", "stream_id"} else "log"
        sql = f"SELECT {', '.join(columns)} FROM {table} WHERE {where} ORDER BY seq"
        return self._table(sql, [after, *parameters], dtypes)

    def parts(self, parts: Sequence[tuple[Sequence[str], Sequence[str]]]) -> Parts:
        """Columns of records of some types, several times, of one state; see `SQLiteStore.scan_parts`."""
        return parted(self, [({name: _DTYPES[name] for name in columns}, types) for columns, types in parts])

    def revision(self) -> tuple[int, int]:
        """The last seq ever given, and how many engagements were purged."""
        found = self._rows(
            "SELECT (SELECT seq FROM sqlite_sequence WHERE name = 'log'), (SELECT count(*) FROM tombstone)"
            " + (SELECT count(*) FROM store_log WHERE type = 'redaction')"
        )
        return found[0][0] or 0, found[0][1]

    def n_records(self) -> int:
        """How many rows the log has."""
        return int(self._rows("SELECT count(*) FROM log")[0][0])

    def scan_blobs(self) -> pa.Table:
        """The blob table without `dedup`."""
        tables = "blob JOIN engagement USING (eid)"
        sql = f"SELECT {', '.join(BLOB_DTYPES)} FROM {tables} ORDER BY engagement_id, blob_id"
        return self._table(sql, [], BLOB_DTYPES)

    def engagement_sizes(self) -> list[Row]:
        """The id of each engagement, and about how many bytes its records and blobs are."""
        return self._rows(
            """SELECT engagement_id, (SELECT count(*) FROM log l WHERE l.eid = e.eid) * ?
                   + (SELECT coalesce(sum(length(data)), 0) FROM blob b WHERE b.eid = e.eid) FROM engagement e""",
            (RECORD_BYTES,),
        )

    def scan_engagements(self, ids: Sequence[str]) -> tuple[pa.Table, pa.Table]:
        """All columns of the records of these engagements, and their blobs; engagement after engagement."""
        wanted, blobs = [json.dumps(list(ids))], "blob JOIN engagement USING (eid)"
        sqls = [
            f"SELECT {', '.join(dtypes)} FROM (SELECT value AS wanted FROM json_each(?)) CROSS JOIN {table}"
            " ON engagement_id = wanted"
            for dtypes, table in ((_DTYPES, "record"), (BLOB_DTYPES, f"({blobs})"))
        ]
        return self._table(sqls[0], wanted, _DTYPES), self._table(sqls[1], wanted, BLOB_DTYPES)

    def entries(self, after: int = 0, n: int = -1) -> list[Row]:
        """The store's own log from the entry after the `after`th on, `n` of them at most (-1: all)."""
        said = "SELECT seq, at_us, type, body FROM store_log WHERE seq > ? ORDER BY seq LIMIT ?"
        return self._rows(said, (after, n))

    def head(self) -> LogHead:
        """Where the store's own log stands."""
        found = self._rows("SELECT size, frontier, note FROM store_head")
        return LogHead(*found[0]) if found else LogHead()

    def scan_streams(self) -> pa.Table:
        """The stream table."""
        dtypes = {
            "stream_id": "text", "engagement_id": "text", "turn": "int", "size": "int", "frontier": "bytes"
        }  # fmt: skip
        tables = "stream JOIN engagement USING (eid)"
        return self._table(f"SELECT {', '.join(dtypes)} FROM {tables} ORDER BY stream_id", [], dtypes)

    def _table(self, sql: str, parameters: Sequence[Any], dtypes: Mapping[str, str]) -> pa.Table:
        import pyarrow as pa

        schema, batches = schema_of(dtypes), []
        with self.lock, told(self.path):
            cursor = self.connection.execute(sql, parameters)
            while rows := cursor.fetchmany(65_536):
                batches += cells(rows, dtypes, schema)
        return pa.Table.from_batches(batches, schema=schema)


def _find(where: Mapping[str, Any], order: str) -> tuple[str, list[str]]:
    """Ids by equality on metadata, through the label index; None also matches a missing key.

    The first value that is not None leads: its part of the index is in the order of keys, so a page ends early.
    """
    tables, conditions, parameters, by = "engagement", list[str](), list[str](), "engagement.eid"
    for key, value in sorted(where.items(), key=lambda item: item[1] is None):
        here = "SELECT 1 FROM label l WHERE l.eid = engagement.eid AND l.key = ? AND"
        parameters.append(label_key(key))
        if value is None:
            conditions.append(f"NOT EXISTS ({here} l.value <> 'null')")
            continue
        parameters.append(label_value(value))
        if conditions:
            conditions.append(f"EXISTS ({here} l.value = ?)")
        else:
            tables, by = "label CROSS JOIN engagement ON engagement.eid = label.eid", "label.eid"
            conditions.append("label.key = ? AND label.value = ?")
    condition = f"WHERE {' AND '.join(conditions)}" if conditions else ""
    return f"SELECT engagement_id FROM {tables} {condition} ORDER BY {by} {order} LIMIT ?", parameters
