"""Reading from PostgreSQL: one engagement, a page of summaries, or the small tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ._entries import LogHead
from ._postgres_schema import STORED
from ._summary import HEADER_TYPES, Summary
from ._tables import BLOB_DTYPES, STREAM_DTYPES, table_of
from ._writer import label_key, label_value
from .base import EngagementSummary
from .leaf import NAMES, Row

if TYPE_CHECKING:
    import pyarrow as pa

_PAGE = 500


class PostgresReader:
    """Reads through a connection that the caller gives and has locked."""

    def __init__(self, table: str) -> None:
        self._t = table
        self._select = f"SELECT seq, {', '.join(NAMES)} FROM {table}"

    def _all(self, connection: Any, sql: str, parameters: Sequence[Any] = ()) -> list[Any]:
        # In a transaction of its own: a connection that is not in autocommit would stay in one, and hold back VACUUM.
        with connection.transaction(), connection.cursor(binary=True) as cursor:
            rows: list[Any] = cursor.execute(sql, parameters).fetchall()
            return rows

    def rows(self, connection: Any, engagement_id: str) -> list[tuple[int, Row]]:
        """The engagement's rows by seq."""
        # By its local key: through the view, the planner would have to guess how many records it has.
        sql = f"""SELECT seq, stream_id, {", ".join(f"l.{name}" for name in STORED)} FROM {self._t}_log l
            JOIN {self._t}_stream USING (sid)
            WHERE l.eid = (SELECT eid FROM {self._t}_engagement WHERE engagement_id = %s) ORDER BY seq"""
        return [(row[0], (engagement_id, *row[1:])) for row in self._all(connection, sql, (engagement_id,))]

    def rows_after(self, connection: Any, after: int, limit: int) -> list[tuple[int, Row]]:
        """The next rows after a seq."""
        rows = self._all(connection, f"{self._select} WHERE seq > %s ORDER BY seq LIMIT %s", (after, limit))
        return [(row[0], row[1:]) for row in rows]

    def revision(self, connection: Any) -> tuple[int, int]:
        """The last seq, and how many engagements were purged."""
        ((seq, purges),) = self._all(connection, f"SELECT seq, purges FROM {self._t}_meta")
        return seq, purges

    def blobs_of(self, connection: Any, engagement_id: str) -> dict[str, bytes]:
        """Every blob of an engagement, by id."""
        find = f"""SELECT blob_id, data FROM {self._t}_blob JOIN {self._t}_engagement USING (eid)
            WHERE engagement_id = %s"""
        return {row[0]: bytes(row[1]) for row in self._all(connection, find, (engagement_id,))}

    def kept_blobs(self, connection: Any, engagement_id: str) -> list[tuple[str, bytes, str, bytes]]:
        """(blob_id, salt, media, data) of an engagement's blobs."""
        find = f"""SELECT blob_id, salt, media, data FROM {self._t}_blob
            WHERE eid = (SELECT eid FROM {self._t}_engagement WHERE engagement_id = %s)"""
        rows = self._all(connection, find, (engagement_id,))
        return [(blob_id, bytes(salt), media, bytes(data)) for blob_id, salt, media, data in rows]

    def blob(self, connection: Any, engagement_id: str, blob_id: str) -> bytes | None:
        """The data of a blob; None when it is not there."""
        find = f"""SELECT data FROM {self._t}_blob JOIN {self._t}_engagement USING (eid)
            WHERE engagement_id = %s AND blob_id = %s"""
        found = self._all(connection, find, (engagement_id, blob_id))
        return bytes(found[0][0]) if found else None

    def entries(self, connection: Any, after: int = 0, n: int = -1) -> list[tuple[int, int, str, bytes]]:
        """The store's own log from the entry after the `after`th on, `n` of them at most (-1: all)."""
        said = f"SELECT seq, at_us, type, body FROM {self._t}_entry WHERE seq > %s ORDER BY seq LIMIT %s"
        return self._all(connection, said, (after, None if n < 0 else n))

    def head(self, connection: Any) -> LogHead:
        """Where the store's own log stands."""
        size, frontier, note = self._all(connection, f"SELECT log_size, log_frontier, log_note FROM {self._t}_meta")[0]
        return LogHead(size, bytes(frontier), note)

    # --- summaries ---

    def summaries(
        self, connection: Any, where: Mapping[str, Any], limit: int | None, newest: bool
    ) -> list[EngagementSummary]:
        """Summaries of the engagements whose metadata equals `where`."""
        sql, parameters = self._find(where, "DESC" if newest else "ASC")
        keys = self._all(connection, sql, [*parameters, limit])
        pages = (keys[i : i + _PAGE] for i in range(0, len(keys), _PAGE))
        return [summary for page in pages for summary in self._summaries_of(connection, dict(page))]

    def _summaries_of(self, connection: Any, ids: dict[int, str]) -> list[EngagementSummary]:
        building = {eid: Summary(engagement_id) for eid, engagement_id in ids.items()}
        headers = self._all(
            connection,
            f"""SELECT eid, type, status, at_us, name, turn, body FROM {self._t}_log
                WHERE eid = ANY(%s) AND type = ANY(%s) ORDER BY turn, seq""",
            (list(ids), [*HEADER_TYPES, "step_started"]),
        )
        for eid, *header in headers:
            building[eid].take(*header)
        totals = self._all(
            connection,
            f"""WITH waiting AS (SELECT DISTINCT eid, step_id FROM {self._t}_log
                    WHERE eid = ANY(%s) AND type = 'step_ended' AND status = 'waiting')
                SELECT r.eid, sum(tok_total) FILTER (WHERE w.step_id IS NULL)::bigint, min(at_us)
                FROM {self._t}_log r LEFT JOIN waiting w ON w.eid = r.eid AND w.step_id = r.step_id
                WHERE r.eid = ANY(%s) GROUP BY r.eid""",
            (list(ids), list(ids)),
        )
        for eid, tokens, first_us in totals:
            building[eid].tokens, building[eid].first_us = tokens or 0, first_us
        return [building[eid].build() for eid in ids]

    def _find(self, where: Mapping[str, Any], order: str) -> tuple[str, list[str]]:
        """Keys and ids by equality on metadata, through the label index; None also matches a missing key.

        The first value that is not None leads: its part of the index is in the order of keys, so a page ends early.
        """
        t = self._t
        # The index holds only the beginning of a value: a long one would not fit.
        equal = "l.key = %s AND left(l.value, 200) = left(%s, 200) AND l.value = %s"
        tables, conditions, parameters = f"{t}_engagement e", list[str](), list[str]()
        for key, value in sorted(where.items(), key=lambda item: item[1] is None):
            label = [label_key(key)] if value is None else [label_key(key), *2 * [label_value(value)]]
            parameters += label
            if value is None:
                missing = f"SELECT 1 FROM {t}_label l WHERE l.eid = e.eid AND l.key = %s AND l.value <> 'null'"
                conditions.append(f"NOT EXISTS ({missing})")
            elif not conditions:
                tables += f" JOIN {t}_label l ON l.eid = e.eid"
                conditions.append(equal)
            else:
                conditions.append(f"EXISTS (SELECT 1 FROM {t}_label l WHERE l.eid = e.eid AND {equal})")
        key = "l.eid" if "JOIN" in tables else "e.eid"
        condition = f"WHERE {' AND '.join(conditions)}" if conditions else ""
        return f"SELECT e.eid, engagement_id FROM {tables} {condition} ORDER BY {key} {order} LIMIT %s", parameters

    def blobs(self, connection: Any) -> pa.Table:
        """The blob table without `dedup`."""
        sql = f"""SELECT {", ".join(BLOB_DTYPES)} FROM {self._t}_blob JOIN {self._t}_engagement USING (eid)
            ORDER BY engagement_id COLLATE "C", blob_id COLLATE "C" """
        return table_of(BLOB_DTYPES, self._all(connection, sql))

    def n_records(self, connection: Any) -> int:
        """How many rows the log has."""
        return int(connection.execute(f"SELECT count(*) FROM {self._t}_log").fetchone()[0])

    def streams(self, connection: Any) -> pa.Table:
        """The stream table."""
        sql = f"""SELECT {", ".join(STREAM_DTYPES)} FROM {self._t}_stream JOIN {self._t}_engagement USING (eid)
            ORDER BY stream_id COLLATE "C" """
        return table_of(STREAM_DTYPES, self._all(connection, sql))
