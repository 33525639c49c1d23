"""Erasing in PostgreSQL: content out of records, whole engagements, and with the last of its period a partition."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ..core.ids import now_us
from ._entries import Entry, LogHead, Signer
from ._postgres_schema import EID_BITS
from ._postgres_write import PostgresWriter
from ._writer import StreamHead, label_keys
from .leaf import closed

Receipt = Callable[[Sequence[StreamHead]], Entry]
"""Makes the receipt of a purge over the streams that there were."""
_SMALL = ("stream", "label", "engagement")
_LARGE = ("log", "blob")


class PostgresEraser:
    """Erases through the connection that the writer uses; the caller holds the store's write lock."""

    def __init__(self, table: str, writer: PostgresWriter) -> None:
        self._t, self._writer = table, writer

    def redact(
        self,
        connection: Any,
        engagement_id: str,
        records: Sequence[tuple[Any, ...]],
        blobs: Sequence[str],
        said: Entry,
        signer: Signer | None,
        unless: Callable[[int], bool],
    ) -> int:
        """Take out bodies and blobs, leave commitments and the entry; how many there were."""
        t, n = self._t, 0
        find = f"""SELECT salt, body, commitment, seq, type FROM {t}_log JOIN {t}_stream USING (sid)
            WHERE {t}_log.eid = %s AND stream_id = %s AND n = %s"""
        close = f"UPDATE {t}_log SET salt = %s, body = %s, commitment = %s WHERE eid = %s AND seq = %s"
        with connection.transaction():
            head = self._writer.lock(connection)
            if unless(head.size):
                return 0
            found = connection.execute(f"SELECT eid FROM {t}_engagement WHERE engagement_id = %s", (engagement_id,))
            eid: Any = (found.fetchone() or (None,))[0]
            for stream_id, position, *paths in records:
                row = connection.execute(find, (eid, stream_id, position)).fetchone()
                if row is None or row[1] is None:
                    continue
                before = bytes(row[0]), bytes(row[1]), row[2] and bytes(row[2])
                if (after := closed(*before, *paths)) == before:
                    continue
                connection.execute(close, (*after, eid, row[3]))
                n += 1
                if row[4] in ("engagement_started", "engagement_labelled"):
                    self._forget_labels(connection, eid, None if after[1] is None else label_keys(*paths))
            for blob_id in blobs:
                drop = f"DELETE FROM {t}_blob WHERE eid = %s AND blob_id = %s"
                n += connection.execute(drop, (eid, blob_id)).rowcount
            if n:
                connection.execute(f"UPDATE {t}_meta SET purges = purges + 1")
                self._writer.extend(connection, head, [said], signer)
        return n

    def _forget_labels(self, connection: Any, eid: int, keys: list[str] | None) -> None:
        if keys is None:
            connection.execute(f"DELETE FROM {self._t}_label WHERE eid = %s", (eid,))
        else:
            connection.execute(f"DELETE FROM {self._t}_label WHERE eid = %s AND key = ANY(%s)", (eid, keys))

    def purge(
        self,
        connection: Any,
        receipts: Mapping[str, Receipt],
        unless: Callable[[str, int, int], bool],
        signer: Signer | None,
    ) -> list[str]:
        """Erase engagements from every table, leave tombstones and receipts; the ids of those that there were.

        Where they were the last of their period, its partitions are dropped, which costs the same however many records
        they hold; other records are deleted one by one.
        """
        t = self._t
        with connection.transaction():
            head = self._writer.lock(connection)
            going = self._going(connection, list(receipts), head, unless)
            if not going:
                return []
            streams = self._streams(connection, going)
            entries = [receipts[key](streams.get(eid, [])) for key, eid in going.items()]
            self._writer.extend(connection, head, entries, signer)
            eids = list(going.values())
            for table in _SMALL:
                connection.execute(f"DELETE FROM {t}_{table} WHERE eid = ANY(%s)", (eids,))
            left = self._drop_partitions(connection, eids)
            for table in _LARGE if left else ():
                connection.execute(f"DELETE FROM {t}_{table} WHERE eid = ANY(%s)", (left,))
            bury = f"""INSERT INTO {t}_tombstone SELECT id, %s, 0 FROM unnest(%s::text[]) u (id)
                ON CONFLICT DO NOTHING"""
            connection.execute(bury, (now_us(), list(going)))
            connection.execute(f"UPDATE {t}_meta SET purges = purges + %s", (len(going),))
        self._writer.forget(going)
        return list(going)

    def drop_empty(self, connection: Any) -> None:
        """Drop partitions of earlier times that singly purged engagements left empty, where this role may."""
        t = self._t
        look = """SELECT substring(inhrelid::regclass::text FROM '_p([0-9]+)"?$')::bigint FROM pg_inherits
            WHERE inhparent = %s::regclass AND has_function_privilege(%s, 'EXECUTE')"""
        for (part,) in connection.execute(look, (f"{t}_log", f"{t}_drop(bigint)")).fetchall():
            connection.execute(f"SELECT {t}_drop(%s)", (part,))

    def whole_partitions(self, connection: Any, ids: Sequence[str]) -> list[list[str]]:
        """Groups of `ids`, each all that its partition holds; the present partition is none."""
        t = self._t
        find = f"""SELECT array_agg(e.engagement_id ORDER BY e.eid) FROM {t}_engagement e
            LEFT JOIN unnest(%s::text[]) u (id) ON u.id = e.engagement_id
            WHERE e.eid >> {EID_BITS} < (SELECT eid >> {EID_BITS} FROM {t}_meta)
            GROUP BY e.eid >> {EID_BITS} HAVING count(*) = count(u.id) ORDER BY e.eid >> {EID_BITS}"""
        return [row[0] for row in connection.execute(find, (list(ids),)).fetchall()]

    def _going(
        self, connection: Any, ids: list[str], head: LogHead, unless: Callable[[str, int, int], bool]
    ) -> dict[str, int]:
        """Local keys of the engagements that are there and may go, in the order of `ids`."""
        t = self._t
        find = f"""SELECT e.engagement_id, e.eid, coalesce((SELECT max(seq) FROM {t}_log l WHERE l.eid = e.eid), 0)
            FROM unnest(%s::text[]) WITH ORDINALITY u (id, k) JOIN {t}_engagement e ON e.engagement_id = u.id
            ORDER BY k"""
        found = connection.execute(find, (ids,)).fetchall()
        going: dict[str, int] = {}
        for key, eid, last in found:
            if not unless(key, last, head.size + len(going)):  # each has a receipt
                going[key] = eid
        return going

    def _streams(self, connection: Any, going: dict[str, int]) -> dict[int, list[StreamHead]]:
        """The streams of each engagement as they stand."""
        names = {eid: key for key, eid in going.items()}
        look = f"""SELECT eid, stream_id, turn, size, frontier FROM {self._t}_stream WHERE eid = ANY(%s)
            ORDER BY stream_id COLLATE "C\""""
        streams: dict[int, list[StreamHead]] = {}
        for eid, stream_id, turn, size, frontier in connection.execute(look, (list(names),)).fetchall():
            streams.setdefault(eid, []).append(StreamHead(stream_id, names[eid], turn, size, bytes(frontier)))
        return streams

    def _drop_partitions(self, connection: Any, eids: list[int]) -> list[int]:
        """Drop the partitions of which nothing is left; the keys whose records are in others.

        A partition that somebody reads is not waited for: its records are deleted.
        """
        dropped = set()
        for part in sorted({eid >> EID_BITS for eid in eids}):
            if connection.execute(f"SELECT {self._t}_drop(%s)", (part,)).fetchone()[0]:
                dropped.add(part)
        return [eid for eid in eids if eid >> EID_BITS not in dropped]
