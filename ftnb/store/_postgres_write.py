"""Writing to PostgreSQL: one batch, one transaction, its rows by COPY.

The row of `meta` holds the last seq. A writer locks it first and keeps it until it has committed, so commits happen in
the order of seq: whoever reads "everything after seq n" can never miss a row that a slower transaction adds later, as
happens with a serial column.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from ..core.ids import now_us
from ._entries import Entry, LogHead, Signer, extended
from ._postgres_schema import STORED, TABLES
from ._writer import Batch, StreamHead, label_keys
from .leaf import closed

_MAX_KNOWN = 10_000


class PostgresWriter:
    """Writes through one connection; the caller holds the store's write lock."""

    def __init__(self, table: str) -> None:
        self._t = table
        self._eids: dict[str, int] = {}

    def commit(self, connection: Any, batch: Batch, entries: Sequence[Entry], signer: Signer | None) -> dict[int, int]:
        """Write a batch, all of it or nothing; the seq of each row that is there now, by its place in the batch.

        `entries` go into the store's own log, unless no row was new.
        """
        known = dict(self._eids)
        with connection.transaction():
            seq, purges = self._lock(connection)
            buried = self._buried(connection, batch) if purges else set()
            eids = self._engagements(connection, batch, buried, known)
            streams = self._streams(connection, batch, eids)
            seqs, rows, again = self._place(batch, seq, eids, streams)
            self._copy(connection, rows)
            self._write_sides(connection, batch, eids, streams)
            if rows:
                connection.execute(f"UPDATE {self._t}_meta SET seq = %s", (seq + len(rows),))
                self._extend(connection, [entry for entry in entries if entry.engagement_id in eids], signer)
                connection.execute("SELECT pg_notify(%s, '')", (self._t,))
            if again:
                seqs = dict(sorted({**seqs, **self._known_seqs(connection, batch, again, streams)}.items()))
        # Only now: what a failed transaction inserted is gone.
        self._eids = known if len(known) <= _MAX_KNOWN else {}
        return seqs

    def _lock(self, connection: Any) -> tuple[int, int]:
        """The last seq and the number of purges; nobody else writes until the transaction ends."""
        seq, purges = connection.execute(f"SELECT seq, purges FROM {self._t}_meta FOR UPDATE").fetchone()
        return int(seq), int(purges)

    def _buried(self, connection: Any, batch: Batch) -> set[str]:
        """Engagements of the batch that were purged; their late records are counted."""
        late = Counter(row[0] for row in batch.rows)
        count = f"""UPDATE {self._t}_tombstone t SET n_late = n_late + u.n
            FROM unnest(%s::text[], %s::bigint[]) u (id, n) WHERE t.engagement_id = u.id RETURNING t.engagement_id"""
        return {row[0] for row in connection.execute(count, (list(late), list(late.values()))).fetchall()}

    def _engagements(self, connection: Any, batch: Batch, buried: set[str], known: dict[str, int]) -> dict[str, int]:
        """The local key of each engagement in the batch, given now where it is new, in order of appearance."""
        ids = [key for key in dict.fromkeys(row[0] for row in batch.rows) if key not in buried]
        new = [key for key in ids if key not in known]
        if new:
            add = f"""INSERT INTO {self._t}_engagement (engagement_id)
                SELECT id FROM unnest(%s::text[]) WITH ORDINALITY u (id, k) ORDER BY k ON CONFLICT DO NOTHING"""
            connection.execute(add, (new,))
            find = f"SELECT engagement_id, eid FROM {self._t}_engagement WHERE engagement_id = ANY(%s)"
            known.update(connection.execute(find, (new,)).fetchall())
        return {key: known[key] for key in ids}

    def _streams(self, connection: Any, batch: Batch, eids: dict[str, int]) -> dict[str, tuple[int, int]]:
        """Local key and present size of each stream in the batch."""
        heads = {head.stream_id: head for head in batch.heads if head.engagement_id in eids}
        if not heads:
            return {}
        find = f"SELECT stream_id, sid, size FROM {self._t}_stream WHERE stream_id = ANY(%s)"
        found = {row[0]: (row[1], row[2]) for row in connection.execute(find, (list(heads),)).fetchall()}
        new = [head for stream_id, head in heads.items() if stream_id not in found]
        if new:
            add = f"""INSERT INTO {self._t}_stream (stream_id, eid, turn, size, frontier)
                SELECT id, eid, turn, 0, '' FROM unnest(%s::text[], %s::bigint[], %s::bigint[]) u (id, eid, turn)
                RETURNING stream_id, sid"""
            values = ([h.stream_id for h in new], [eids[h.engagement_id] for h in new], [h.turn for h in new])
            found.update({row[0]: (row[1], 0) for row in connection.execute(add, values).fetchall()})
        return found

    def _place(
        self, batch: Batch, seq: int, eids: dict[str, int], streams: dict[str, tuple[int, int]]
    ) -> tuple[dict[int, int], list[tuple[Any, ...]], list[int]]:
        """Seqs of new rows by their place, the rows themselves, and places of rows that are there already."""
        seqs: dict[int, int] = {}
        rows: list[tuple[Any, ...]] = []
        again: list[int] = []
        for place, row in enumerate(batch.rows):
            eid = eids.get(row[0])
            if eid is None:
                continue
            sid, size = streams[row[1]]
            if row[2] < size:
                again.append(place)
                continue
            seq += 1
            seqs[place] = seq
            rows.append((seq, eid, sid, *row[2:]))
        return seqs, rows, again

    def _copy(self, connection: Any, rows: Iterable[Sequence[Any]]) -> None:
        statement = f"COPY {self._t}_log (seq, eid, sid, {', '.join(STORED)}) FROM STDIN"
        with connection.cursor() as cursor, cursor.copy(statement) as copy:
            for row in rows:
                copy.write_row(row)

    def _write_sides(
        self, connection: Any, batch: Batch, eids: dict[str, int], streams: dict[str, tuple[int, int]]
    ) -> None:
        t = self._t
        heads = [(streams[h.stream_id][0], h.size, h.frontier) for h in batch.heads if h.stream_id in streams]
        if heads:
            # A batch that is written again must not turn the tree back.
            move = f"""UPDATE {t}_stream s SET size = u.size, frontier = u.frontier
                FROM unnest(%s::bigint[], %s::bigint[], %s::bytea[]) u (sid, size, frontier)
                WHERE s.sid = u.sid AND s.size < u.size"""
            connection.execute(move, _columns(heads))
        blobs = [(eids[b.engagement_id], *b[1:]) for b in batch.blobs if b.engagement_id in eids]
        if blobs:
            add = f"""INSERT INTO {t}_blob SELECT * FROM unnest(%s::bigint[], %s::text[], %s::bytea[], %s::bytea[],
                %s::text[], %s::bytea[]) ON CONFLICT DO NOTHING"""
            connection.execute(add, _columns(blobs))
        labels = {(eids[e], key): value for e, key, value in batch.labels if e in eids}
        if labels:
            add = f"""INSERT INTO {t}_label SELECT * FROM unnest(%s::bigint[], %s::text[], %s::text[])
                ON CONFLICT (eid, key) DO UPDATE SET value = EXCLUDED.value"""
            connection.execute(add, _columns([(*key, value) for key, value in labels.items()]))

    def _known_seqs(
        self, connection: Any, batch: Batch, places: list[int], streams: dict[str, tuple[int, int]]
    ) -> dict[int, int]:
        """The seqs of rows that were there already."""
        wanted = {(streams[batch.rows[place][1]][0], batch.rows[place][2]): place for place in places}
        find = f"SELECT sid, n, seq FROM {self._t}_log WHERE sid = ANY(%s)"
        found = connection.execute(find, ([sid for sid, _ in wanted],)).fetchall()
        return {wanted[sid, n]: seq for sid, n, seq in found if (sid, n) in wanted}

    def add_entries(self, connection: Any, entries: Sequence[Entry], signer: Signer | None) -> None:
        """Add to the store's own log."""
        with connection.transaction():
            self._lock(connection)
            self._extend(connection, entries, signer)

    def _extend(self, connection: Any, entries: Sequence[Entry], signer: Signer | None) -> None:
        if not entries:
            return
        look = f"SELECT log_size, log_frontier, log_note FROM {self._t}_meta"
        size, frontier, note = connection.execute(look).fetchone()
        rows, head = extended(LogHead(size, bytes(frontier), note), now_us(), entries, signer)
        with connection.cursor() as cursor:
            cursor.executemany(f"INSERT INTO {self._t}_entry VALUES (%s, %s, %s, %s)", rows)
        move = f"UPDATE {self._t}_meta SET log_size = %s, log_frontier = %s, log_note = %s"
        connection.execute(move, (head.size, head.frontier, head.note))

    def redact(
        self,
        connection: Any,
        engagement_id: str,
        records: Sequence[tuple[Any, ...]],
        blobs: Sequence[str],
        said: Entry,
        signer: Signer | None,
    ) -> int:
        """Take out bodies and blobs, leave commitments and the entry; how many there were."""
        t, n = self._t, 0
        find = f"""SELECT salt, body, commitment, seq, type FROM {t}
            WHERE engagement_id = %s AND stream_id = %s AND n = %s"""
        close = f"UPDATE {t}_log SET salt = %s, body = %s, commitment = %s WHERE seq = %s"
        mine = f"eid = (SELECT eid FROM {t}_engagement WHERE engagement_id = %s)"
        with connection.transaction():
            self._lock(connection)
            for stream_id, position, *paths in records:
                found = connection.execute(find, (engagement_id, stream_id, position)).fetchone()
                if found is None or found[1] is None:
                    continue
                before = bytes(found[0]), bytes(found[1]), found[2] and bytes(found[2])
                if (after := closed(*before, *paths)) == before:
                    continue
                connection.execute(close, (*after, found[3]))
                n += 1
                if found[4] in ("engagement_started", "engagement_labelled"):
                    if after[1] is None:
                        connection.execute(f"DELETE FROM {t}_label WHERE {mine}", (engagement_id,))
                    else:
                        drop = f"DELETE FROM {t}_label WHERE key = ANY(%s) AND {mine}"
                        connection.execute(drop, (label_keys(*paths), engagement_id))
            for blob_id in blobs:
                drop = f"DELETE FROM {t}_blob WHERE blob_id = %s AND {mine}"
                n += connection.execute(drop, (blob_id, engagement_id)).rowcount
            if n:
                connection.execute(f"UPDATE {t}_meta SET purges = purges + 1")
                self._extend(connection, [said], signer)
        return n

    def purge(
        self,
        connection: Any,
        engagement_id: str,
        receipt: Callable[[Sequence[StreamHead]], Entry],
        unless: Callable[[int, int], bool],
        signer: Signer | None,
    ) -> bool:
        """Erase an engagement from every table, leave its tombstone and its receipt; False when there was none."""
        with connection.transaction():
            self._lock(connection)
            find = f"SELECT eid FROM {self._t}_engagement WHERE engagement_id = %s"
            found = connection.execute(find, (engagement_id,)).fetchone()
            if found is None:
                return False
            last = connection.execute(f"SELECT max(seq) FROM {self._t}_log WHERE eid = %s", found).fetchone()[0] or 0
            size = connection.execute(f"SELECT log_size FROM {self._t}_meta").fetchone()[0]
            if unless(last, size):
                return False
            look = f"""SELECT stream_id, turn, size, frontier FROM {self._t}_stream WHERE eid = %s
                ORDER BY stream_id COLLATE "C\""""
            heads = [
                StreamHead(stream_id, engagement_id, turn, size, bytes(frontier))
                for stream_id, turn, size, frontier in connection.execute(look, found).fetchall()
            ]
            self._extend(connection, [receipt(heads)], signer)
            for table in TABLES:
                connection.execute(f"DELETE FROM {self._t}_{table} WHERE eid = %s", found)
            bury = f"INSERT INTO {self._t}_tombstone VALUES (%s, %s, 0) ON CONFLICT DO NOTHING"
            connection.execute(bury, (engagement_id, now_us()))
            connection.execute(f"UPDATE {self._t}_meta SET purges = purges + 1")
        self._eids.pop(engagement_id, None)
        return True

    # --- what a LogWriter must ask ---

    def latest_turn(self, connection: Any, engagement_id: str) -> int:
        """The engagement's highest turn; 0 when it is unknown."""
        query = f"""SELECT coalesce(max(turn), 0) FROM {self._t}_stream JOIN {self._t}_engagement USING (eid)
            WHERE engagement_id = %s"""
        return int(connection.execute(query, (engagement_id,)).fetchone()[0])

    def blob_ids(self, connection: Any, engagement_id: str) -> dict[bytes, str]:
        """Dedup hash to blob id of the engagement's blobs."""
        query = f"""SELECT dedup, blob_id FROM {self._t}_blob JOIN {self._t}_engagement USING (eid)
            WHERE engagement_id = %s AND dedup IS NOT NULL"""
        return {bytes(dedup): blob_id for dedup, blob_id in connection.execute(query, (engagement_id,)).fetchall()}


def _columns(rows: Sequence[Sequence[Any]]) -> list[list[Any]]:
    return [list(values) for values in zip(*rows, strict=True)]
