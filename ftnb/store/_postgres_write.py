"""Writing to PostgreSQL: one batch, one transaction, its rows by COPY.

The row of `meta` holds the last seq. A writer locks it first and keeps it until it has committed, so commits happen in
the order of seq: whoever reads "everything after seq n" can never miss a row that a slower transaction adds later, as
happens with a serial column.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from ..core.ids import now_us
from ._entries import Entry, LogHead, Signer, extended
from ._postgres_schema import COPY_TYPES, EID_BITS, STORED
from ._writer import Batch, StreamHead

_MAX_KNOWN = 10_000


@dataclass(slots=True)
class _State:
    """What a batch must know of the store, and the counters that it moves on."""

    seq: int
    eid: int
    sid: int
    head: LogHead
    part: int
    """The period of now."""
    buried: set[str]
    eids: dict[str, int]
    """The local key of each engagement of the batch that was not purged."""
    sizes: dict[str, tuple[int, int]]
    """Local key and present size of each of its streams that is there."""


@dataclass(slots=True)
class _New:
    """Keys that a batch gives."""

    engagements: list[str]
    streams: list[StreamHead]


class PostgresWriter:
    """Writes through one connection; the caller holds the store's write lock."""

    def __init__(self, table: str) -> None:
        self._t = table
        self._eids: dict[str, int] = {}

    def commit(self, connection: Any, batch: Batch, entries: Sequence[Entry], signer: Signer | None) -> dict[int, int]:
        """Write a batch, all of it or nothing; the seq of each row that is there now, by its place in the batch.

        `entries` go into the store's own log, unless no row was new. What has to be asked before the rows goes in one
        round trip, what is written after them in another.
        """
        with connection.transaction():
            state = self._look(connection, batch)
            new = self._give_keys(connection, batch, state)
            streams = {**state.sizes, **{h.stream_id: (state.sid + k, 0) for k, h in enumerate(new.streams, 1)}}
            seqs, rows, again = self._place(batch, state, streams)
            if rows:
                self._copy(connection, rows)
            with connection.pipeline():
                self._write_sides(connection, batch, state, new, streams)
                if rows:
                    state.seq += len(rows)
                    self.extend(connection, state.head, [e for e in entries if e.engagement_id in state.eids], signer)
                if rows or new.streams:
                    move = f"UPDATE {self._t}_meta SET seq = %s, eid = %s, sid = %s"
                    connection.execute(move, (state.seq, state.eid, state.sid + len(new.streams)))
                    connection.execute("SELECT pg_notify(%s, '')", (self._t,))
            if again:
                seqs = dict(sorted({**seqs, **self._known_seqs(connection, batch, again, state, streams)}.items()))
        # Only now: what a failed transaction inserted is gone.
        self._eids.update(state.eids)
        if len(self._eids) > _MAX_KNOWN:
            self._eids = {}
        return seqs

    def _look(self, connection: Any, batch: Batch) -> _State:
        """Lock out other writers until the transaction ends, and read what the batch needs, in one round trip."""
        t, late = self._t, Counter(row[0] for row in batch.rows)
        unknown = [key for key in late if key not in self._eids]
        count = f"""UPDATE {t}_tombstone t SET n_late = n_late + u.n
            FROM unnest(%s::text[], %s::bigint[]) u (id, n) WHERE t.engagement_id = u.id RETURNING t.engagement_id"""
        with connection.pipeline():
            # Its clock, not ours: all writers must agree on the period. A statement after this one sees what the
            # writer before has committed.
            lock = connection.execute(f"""SELECT seq, eid, sid, log_size, log_frontier, log_note,
                (extract(epoch FROM clock_timestamp()) * 1000000)::bigint / period_us FROM {t}_meta FOR UPDATE""")
            buried = connection.execute(count, (list(late), list(late.values())))
            find = f"SELECT engagement_id, eid FROM {t}_engagement WHERE engagement_id = ANY(%s)"
            found = connection.execute(find, (unknown,)) if unknown else None
            find = f"SELECT stream_id, sid, size FROM {t}_stream WHERE stream_id = ANY(%s)"
            streams = connection.execute(find, ([head.stream_id for head in batch.heads],))
            seq, eid, sid, size, frontier, note, part = lock.fetchone()
            gone = {row[0] for row in buried.fetchall()}
            known = {key: self._eids[key] for key in late if key in self._eids}
            known.update(found.fetchall() if found is not None else ())
            sizes = {row[0]: (row[1], row[2]) for row in streams.fetchall()}
        eids = {key: known[key] for key in late if key in known and key not in gone}
        return _State(seq, eid, sid, LogHead(size, bytes(frontier), note), part, gone, eids, sizes)

    def _give_keys(self, connection: Any, batch: Batch, state: _State) -> _New:
        """Keys for engagements that are new, in order of appearance, and the streams that are."""
        new = [k for k in dict.fromkeys(row[0] for row in batch.rows) if k not in state.eids and k not in state.buried]
        if new and state.part > state.eid >> EID_BITS:
            connection.execute(f"SELECT {self._t}_roll(%s)", (state.part,))
            state.eid = state.part << EID_BITS
        for key in new:
            state.eid += 1
            state.eids[key] = state.eid
        heads = {
            h.stream_id: h for h in batch.heads if h.stream_id not in state.sizes and h.engagement_id in state.eids
        }
        return _New(new, list(heads.values()))

    def _place(
        self, batch: Batch, state: _State, streams: dict[str, tuple[int, int]]
    ) -> tuple[dict[int, int], list[tuple[Any, ...]], list[int]]:
        """Seqs of new rows by their place, the rows themselves, and places of rows that are there already."""
        seqs: dict[int, int] = {}
        rows: list[tuple[Any, ...]] = []
        again: list[int] = []
        seq, find = state.seq, state.eids.get
        for place, row in enumerate(batch.rows):
            eid = find(row[0])
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
        statement = f"COPY {self._t}_log (seq, eid, sid, {', '.join(STORED)}) FROM STDIN (FORMAT binary)"
        with connection.cursor() as cursor, cursor.copy(statement) as copy:
            copy.set_types(COPY_TYPES)
            for row in rows:
                copy.write_row(row)

    def _write_sides(
        self, connection: Any, batch: Batch, state: _State, new: _New, streams: dict[str, tuple[int, int]]
    ) -> None:
        t, eids = self._t, state.eids
        if new.engagements:
            add = f"INSERT INTO {t}_engagement (engagement_id, eid) SELECT * FROM unnest(%s::text[], %s::bigint[])"
            connection.execute(add, (new.engagements, [eids[key] for key in new.engagements]))
        if new.streams:
            add = f"""INSERT INTO {t}_stream (sid, stream_id, eid, turn, size, frontier)
                SELECT * FROM unnest(%s::bigint[], %s::text[], %s::bigint[], %s::bigint[], %s::bigint[], %s::bytea[])"""
            heads = [
                (streams[h.stream_id][0], h.stream_id, eids[h.engagement_id], h.turn, h.size, h.frontier)
                for h in new.streams
            ]
            connection.execute(add, _columns(heads))
        # A batch that is written again must not turn the tree back.
        moved = {
            h.stream_id: (streams[h.stream_id][0], h.size, h.frontier)
            for h in batch.heads
            if h.engagement_id in eids and h.size > state.sizes.get(h.stream_id, (0, h.size))[1]
        }
        if moved:
            move = f"""UPDATE {t}_stream s SET size = u.size, frontier = u.frontier
                FROM unnest(%s::bigint[], %s::bigint[], %s::bytea[]) u (sid, size, frontier) WHERE s.sid = u.sid"""
            connection.execute(move, _columns(list(moved.values())))
        blobs = [(eids[b.engagement_id], *b[1:]) for b in batch.blobs if b.engagement_id in eids]
        if blobs:
            add = f"""INSERT INTO {t}_blob SELECT * FROM unnest(%s::bigint[], %s::text[], %s::bytea[], %s::bytea[],
                %s::text[], %b::bytea[]) ON CONFLICT DO NOTHING"""
            connection.execute(add, _columns(blobs))
        labels = {(eids[e], key): value for e, key, value in batch.labels if e in eids}
        if labels:
            add = f"""INSERT INTO {t}_label SELECT * FROM unnest(%s::bigint[], %s::text[], %s::text[])
                ON CONFLICT (eid, key) DO UPDATE SET value = EXCLUDED.value"""
            connection.execute(add, _columns([(*key, value) for key, value in labels.items()]))

    def _known_seqs(
        self, connection: Any, batch: Batch, places: list[int], state: _State, streams: dict[str, tuple[int, int]]
    ) -> dict[int, int]:
        """The seqs of rows that were there already."""
        wanted = {(streams[batch.rows[place][1]][0], batch.rows[place][2]): place for place in places}
        owners = list({state.eids[batch.rows[place][0]] for place in places})
        find = f"SELECT sid, n, seq FROM {self._t}_log WHERE eid = ANY(%s) AND sid = ANY(%s)"
        found = connection.execute(find, (owners, list({sid for sid, _ in wanted}))).fetchall()
        return {wanted[sid, n]: seq for sid, n, seq in found if (sid, n) in wanted}

    def add_entries(self, connection: Any, entries: Sequence[Entry], signer: Signer | None) -> None:
        """Add to the store's own log."""
        with connection.transaction():
            self.extend(connection, self.lock(connection), entries, signer)

    def forget(self, engagement_ids: Iterable[str]) -> None:
        """They were purged: their keys are not given again."""
        for key in engagement_ids:
            self._eids.pop(key, None)

    def forget_all(self) -> None:
        """This is another process now."""
        self._eids = {}

    def lock(self, connection: Any) -> LogHead:
        """Where the store's own log stands; nobody else writes until the transaction ends."""
        look = f"SELECT log_size, log_frontier, log_note FROM {self._t}_meta FOR UPDATE"
        size, frontier, note = connection.execute(look).fetchone()
        return LogHead(size, bytes(frontier), note)

    def extend(self, connection: Any, head: LogHead, entries: Sequence[Entry], signer: Signer | None) -> None:
        """Add to the store's own log, which stands at `head`."""
        if not entries:
            return
        rows, head = extended(head, now_us(), entries, signer)
        with connection.cursor() as cursor:
            cursor.executemany(f"INSERT INTO {self._t}_entry VALUES (%s, %s, %s, %s)", rows)
        move = f"UPDATE {self._t}_meta SET log_size = %s, log_frontier = %s, log_note = %s"
        connection.execute(move, (head.size, head.frontier, head.note))

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
