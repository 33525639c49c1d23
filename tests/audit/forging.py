"""Whoever can write to a store and wants nobody to see it: one database behind one way to change it, and what they do.

The tables are those of SQLite and PostgreSQL alike; a statement names them by their SQLite names in braces.
"""

from __future__ import annotations

import json
import os
import random
import sqlite3
from base64 import b64encode
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

import pyarrow as pa

from ftnb.audit._note import NoteSigner
from ftnb.store import _parquet_write
from ftnb.store._entries import entry_hash
from ftnb.store._parquet_file import LOG_FRONTIER, LOG_NOTE, LOG_SIZE, SCHEMAS
from ftnb.store._parquet_rows import RowGroups
from ftnb.store.leaf import INDEX, NAMES, Row, Tree, closed, leaf_hash
from ftnb.store.parquet_export import ParquetExport


class Database(Protocol):
    """The tables of a store, behind the store's back."""

    def rows(self, sql: str, *values: Any) -> list[tuple[Any, ...]]: ...
    def do(self, sql: str, *values: Any) -> None: ...


class SQLiteFile:
    """The tables of an SQLite file."""

    def __init__(self, path: Path) -> None:
        self._connection = sqlite3.connect(path, isolation_level=None)
        self._connection.create_function("bytes_of", 1, lambda text: text.encode())

    def rows(self, sql: str, *values: Any) -> list[tuple[Any, ...]]:
        """What a query gives."""
        return self._connection.execute(self._said(sql), values).fetchall()

    def do(self, sql: str, *values: Any) -> None:
        """Change something."""
        self._connection.execute(self._said(sql), values)

    @staticmethod
    def _said(sql: str) -> str:
        return sql.format(
            log="log", blob="blob", stream="stream", engagement="engagement", label="label", entry="store_log",
            head="store_head", record="record", size="size", frontier="frontier", note="note",
        )  # fmt: skip

    def close(self) -> None:
        """Leave."""
        self._connection.close()


class PostgresTables:
    """The tables of a PostgreSQL store, whose state can be kept and brought back."""

    def __init__(self, dsn: str, table: str) -> None:
        import psycopg

        self._connection = psycopg.connect(dsn, autocommit=True)
        self._t = table
        self._names = [f"{table}_{name}" for name in ("log", "blob", "stream", "engagement", "label", "entry", "meta")]

    def keep(self, state: str = "keep") -> None:
        """Remember everything as it is."""
        for name in self._names:
            self._connection.execute(f"CREATE TABLE {state}_{name} AS SELECT * FROM {name}")

    def restore(self, state: str = "keep") -> None:
        """Have everything as it was."""
        with self._connection.transaction():
            self._connection.execute(f"TRUNCATE {', '.join(self._names)}")
            for name in self._names:
                self._connection.execute(f"INSERT INTO {name} OVERRIDING SYSTEM VALUE SELECT * FROM {state}_{name}")

    def rows(self, sql: str, *values: Any) -> list[tuple[Any, ...]]:
        """What a query gives."""
        found = self._connection.execute(self._said(sql), values).fetchall()
        return [tuple(bytes(one) if isinstance(one, memoryview) else one for one in row) for row in found]

    def do(self, sql: str, *values: Any) -> None:
        """Change something."""
        self._connection.execute(self._said(sql), values)

    def _said(self, sql: str) -> str:
        t = self._t
        return sql.replace("?", "%s").format(
            log=f"{t}_log", blob=f"{t}_blob", stream=f"{t}_stream", engagement=f"{t}_engagement", label=f"{t}_label",
            entry=f"{t}_entry", head=f"{t}_meta", record=t, size="log_size", frontier="log_frontier", note="log_note",
        )  # fmt: skip

    def close(self) -> None:
        """Leave."""
        self._connection.close()


class ParquetFile(SQLiteFile):
    """An exported file, taken apart into the tables of a store; `write` puts together what has become of them."""

    def __init__(self, path: Path) -> None:
        super().__init__(Path(":memory:"))
        store = ParquetExport(path)
        self._marks, head = store._marks, store.log_head()
        do = self._connection.execute
        do(f"CREATE TABLE log (seq, eid, sid, {', '.join(NAMES[2:])})")
        do("CREATE TABLE blob (eid, blob_id, salt, media, data)")
        do("CREATE TABLE stream (sid INTEGER PRIMARY KEY, eid, stream_id, turn, size, frontier)")
        do("CREATE TABLE engagement (eid INTEGER PRIMARY KEY, engagement_id)")
        do("CREATE TABLE label (eid, key, value)")
        do("CREATE TABLE store_log (seq, at_us, type, body)")
        do("CREATE TABLE store_head (size, frontier, note)")
        columns = ", ".join(("engagement_id", "stream_id", *(f"log.{name}" for name in NAMES[2:])))
        joined = "log LEFT JOIN stream ON stream.sid = log.sid LEFT JOIN engagement ON engagement.eid = log.eid"
        do(f"CREATE VIEW record AS SELECT log.seq AS seq, {columns} FROM {joined}")
        do("INSERT INTO store_head VALUES (?, ?, ?)", (head.size, head.frontier, head.note))
        self._connection.executemany("INSERT INTO store_log VALUES (?, ?, ?, ?)", store.entry_rows())
        eids, sids = dict[str, int](), dict[str, int]()
        for row in store.scan_streams().to_pylist():
            if row["engagement_id"] not in eids:
                eids[row["engagement_id"]] = len(eids)
                do("INSERT INTO engagement VALUES (?, ?)", (eids[row["engagement_id"]], row["engagement_id"]))
            sids[row["stream_id"]], place = len(sids), (len(sids), eids[row["engagement_id"]])
            names = ("stream_id", "turn", "size", "frontier")
            do("INSERT INTO stream VALUES (?, ?, ?, ?, ?, ?)", (*place, *(row[name] for name in names)))
        for row in store.scan_blobs().to_pylist():
            do("INSERT INTO blob VALUES (?, ?, ?, ?, ?)", (eids[row.pop("engagement_id")], *row.values()))
        marks = ", ".join("?" * (len(NAMES) + 1))
        for row in store.scan(["seq", *NAMES]).to_pylist():
            place = (row["seq"], eids[row["engagement_id"]], sids[row["stream_id"]])
            do(f"INSERT INTO log VALUES ({marks})", (*place, *(row[name] for name in NAMES[2:])))
        store.close()

    def write(self, path: Path) -> None:
        """The tables as they are now, in one file, its checksum fitted to it."""
        head = self.rows("SELECT {size}, {frontier}, {note} FROM {head}")[0]
        marks = {**self._marks, LOG_SIZE: str(head[0]), LOG_FRONTIER: head[1].hex(), LOG_NOTE: head[2] or ""}
        found = {
            "records": self.rows(f"SELECT seq, {', '.join(NAMES)} FROM {{record}}"),
            "blobs": self.rows(
                "SELECT engagement_id, blob_id, salt, media, data FROM blob JOIN engagement USING (eid)"
            ),
            "streams": self.rows(
                "SELECT stream_id, engagement_id, turn, size, frontier FROM stream JOIN engagement USING (eid)"
            ),
            "entries": self.rows("SELECT seq, at_us, type, body FROM store_log"),
        }
        tables = {}
        for name, rows in found.items():
            columns = list(zip(*rows, strict=True)) or [()] * len(SCHEMAS[name])
            arrays = [pa.array(list(one), field.type) for one, field in zip(columns, SCHEMAS[name], strict=True)]
            tables[name] = pa.table(arrays, schema=SCHEMAS[name])
        marks = {key: value for key, value in marks.items() if value or key != LOG_NOTE}
        with RowGroups(path, marks, 65_536, None) as file:
            file.add(_parquet_write._one_table(tables))


Forge = Callable[[Database, random.Random], None]
FORGERIES: dict[str, Forge] = {}
"""What somebody does who can write to the tables and has not the key."""


def forgery(name: str) -> Callable[[Forge], Forge]:
    """Add to the forgeries."""

    def add(forge: Forge) -> Forge:
        FORGERIES[name] = forge
        return forge

    return add


# --- what they need to know ---


def sealed(db: Database, rng: random.Random, *, body: bool = False) -> int:
    """The seq of any record under a seal."""
    return int(
        rng.choice(db.rows("SELECT seq FROM {log}" + (" WHERE body IS NOT NULL" if body else "") + " ORDER BY seq"))[0]
    )


def leaf_row(db: Database, seq: int) -> Row:
    """A record as it is hashed."""
    return db.rows(f"SELECT {', '.join(NAMES)} FROM {{record}} WHERE seq = ?", seq)[0]


def entries(db: Database) -> list[tuple[Any, ...]]:
    """The store's own log."""
    return db.rows("SELECT seq, at_us, type, body FROM {entry} ORDER BY seq")


def rewrite_head(db: Database, signer: NoteSigner | None = None) -> None:
    """Make the head fit the entries; without the key its signature cannot."""
    tree = Tree()
    for _, at_us, kind, body in entries(db):
        tree.append(entry_hash(at_us, kind, body))
    (note,) = db.rows("SELECT {note} FROM {head}")[0]
    if signer is not None:
        note = signer.sign(tree.size, tree.root())
    elif note:  # the text is easy, what is signed is the text
        origin, _, rest = note.split("\n", 2)
        note = f"{origin}\n{tree.size}\n{b64encode(tree.root()).decode()}\n\n{rest.split(chr(10), 2)[2]}"
    db.do("UPDATE {head} SET {size} = ?, {frontier} = ?, {note} = ?", tree.size, tree.to_bytes(), note)


def add_entry(db: Database, kind: str, **said: Any) -> None:
    """Write to the store's own log."""
    seq = entries(db)[-1][0] + 1
    body = json.dumps(said, separators=(",", ":"), sort_keys=True).encode()
    db.do("INSERT INTO {entry} VALUES (?, ?, ?, ?)", seq, 1_700_000_000_000_000, kind, body)


def rewrite_seals(db: Database) -> None:
    """Make the streams and their seals fit the records."""
    trees: dict[str, dict[int, bytes]] = {}
    for (stream,) in db.rows("SELECT stream_id FROM {stream}"):
        tree, roots = Tree(), dict[int, bytes]()
        for row in db.rows(f"SELECT {', '.join(NAMES)} FROM {{record}} WHERE stream_id = ? ORDER BY n", stream):
            tree.append(leaf_hash(row))
            roots[tree.size] = tree.root()
        trees[stream] = roots
        db.do("UPDATE {stream} SET size = ?, frontier = ? WHERE stream_id = ?", tree.size, tree.to_bytes(), stream)
    for seq, _, kind, body in entries(db):
        said = json.loads(body)
        if kind == "seal" and said["stream"] in trees:
            said["root"] = trees[said["stream"]].get(said["size"], b"").hex()
            new = json.dumps(said, separators=(",", ":"), sort_keys=True).encode()
            db.do("UPDATE {entry} SET body = ? WHERE seq = ?", new, seq)


def flip(data: bytes, rng: random.Random) -> bytes:
    """`data` with one bit the other way."""
    changed = bytearray(data)
    changed[rng.randrange(len(changed))] ^= 1 << rng.randrange(8)
    return bytes(changed)


# --- records ---

_INTS = ["turn", "visit", "attempt", "duration_us", "ttft_us", "tok_prompt", "tok_completion", "tok_total", "n_bytes"]
_TEXTS = ["step_id", "parent_id", "event_id", "name", "ns", "kind", "status", "model", "error_type"]


@forgery("a number of a record changed")
def _number(db: Database, rng: random.Random) -> None:
    column = rng.choice(_INTS)
    db.do(
        f"UPDATE {{log}} SET {column} = coalesce({column}, 0) + ? WHERE seq = ?", rng.randrange(1, 99), sealed(db, rng)
    )


@forgery("a text of a record changed")
def _text(db: Database, rng: random.Random) -> None:
    column = rng.choice(_TEXTS)
    db.do(f"UPDATE {{log}} SET {column} = coalesce({column}, '') || 'x' WHERE seq = ?", sealed(db, rng))


@forgery("a value of a record taken out")
def _null(db: Database, rng: random.Random) -> None:
    names = [*_INTS[1:], *_TEXTS]
    seq = sealed(db, rng)
    row = leaf_row(db, seq)
    column = rng.choice([name for name in names if row[INDEX[name]] is not None] or ["at_us"])
    db.do(f"UPDATE {{log}} SET {column} = {'0' if column == 'at_us' else 'NULL'} WHERE seq = ?", seq)


@forgery("a time moved")
def _time(db: Database, rng: random.Random) -> None:
    db.do("UPDATE {log} SET at_us = at_us + ? WHERE seq = ?", rng.choice((-1, 1, 3_600_000_000)), sealed(db, rng))


@forgery("the kind of a record changed")
def _type(db: Database, rng: random.Random) -> None:
    db.do("UPDATE {log} SET type = 'gap' WHERE seq = ?", sealed(db, rng))


@forgery("a bit of a body flipped")
def _body_bit(db: Database, rng: random.Random) -> None:
    seq = sealed(db, rng, body=True)
    (body,) = db.rows("SELECT body FROM {log} WHERE seq = ?", seq)[0]
    db.do("UPDATE {log} SET body = ? WHERE seq = ?", flip(body, rng), seq)


@forgery("a body written anew")
def _body(db: Database, rng: random.Random) -> None:
    db.do("UPDATE {log} SET body = ? WHERE seq = ?", b'{"forged":true}', sealed(db, rng, body=True))


@forgery("a salt changed")
def _salt(db: Database, rng: random.Random) -> None:
    seq = sealed(db, rng, body=True)
    (salt,) = db.rows("SELECT salt FROM {log} WHERE seq = ?", seq)[0]
    db.do("UPDATE {log} SET salt = ? WHERE seq = ?", flip(salt, rng), seq)


@forgery("bytes moved from a body to its salt")
def _salt_grown(db: Database, rng: random.Random) -> None:
    seq = sealed(db, rng, body=True)
    salt, body = db.rows("SELECT salt, body FROM {log} WHERE seq = ?", seq)[0]
    k = rng.randrange(1, len(body))
    db.do("UPDATE {log} SET salt = ?, body = ? WHERE seq = ?", salt + body[:k], body[k:], seq)


@forgery("bytes moved from a salt to its body")
def _salt_shrunk(db: Database, rng: random.Random) -> None:
    seq = sealed(db, rng, body=True)
    salt, body = db.rows("SELECT salt, body FROM {log} WHERE seq = ?", seq)[0]
    db.do("UPDATE {log} SET salt = ?, body = ? WHERE seq = ?", salt[:9], salt[9:] + body, seq)


@forgery("two bodies exchanged")
def _bodies(db: Database, rng: random.Random) -> None:
    found = db.rows("SELECT seq, salt, body FROM {log} WHERE body IS NOT NULL ORDER BY seq")
    one, other = rng.sample(found, 2)
    for target, source in ((one, other), (other, one)):
        db.do("UPDATE {log} SET salt = ?, body = ? WHERE seq = ?", *source[1:], target[0])


@forgery("two records exchanged")
def _places(db: Database, rng: random.Random) -> None:
    sid = rng.choice(db.rows("SELECT sid FROM {log} GROUP BY sid HAVING count(*) > 2 ORDER BY sid"))[0]
    (a, m), (b, n) = rng.sample(db.rows("SELECT seq, n FROM {log} WHERE sid = ? ORDER BY n", sid), 2)
    for seq, place in ((a, 10**6), (b, m), (a, n)):
        db.do("UPDATE {log} SET n = ? WHERE seq = ?", place, seq)


@forgery("a record deleted")
def _deleted(db: Database, rng: random.Random) -> None:
    db.do("DELETE FROM {log} WHERE seq = ?", sealed(db, rng))


@forgery("a record deleted, those after it moved up")
def _closed_up(db: Database, rng: random.Random) -> None:
    sid, n = rng.choice(db.rows("SELECT sid, n FROM {log} ORDER BY seq"))
    db.do("DELETE FROM {log} WHERE sid = ? AND n = ?", sid, n)
    for (place,) in db.rows("SELECT n FROM {log} WHERE sid = ? AND n > ? ORDER BY n", sid, n):
        db.do("UPDATE {log} SET n = n - 1 WHERE sid = ? AND n = ?", sid, place)


@forgery("the last record of a stream deleted, the stream's head set back")
def _cut(db: Database, rng: random.Random) -> None:
    sid, n = rng.choice(db.rows("SELECT sid, max(n) FROM {log} GROUP BY sid ORDER BY sid"))
    db.do("DELETE FROM {log} WHERE sid = ? AND n = ?", sid, n)
    rewrite_seals_of_streams_only(db)


def rewrite_seals_of_streams_only(db: Database) -> None:
    """Make the streams fit the records, and leave the seals."""
    for (stream,) in db.rows("SELECT stream_id FROM {stream}"):
        tree = Tree()
        for row in db.rows(f"SELECT {', '.join(NAMES)} FROM {{record}} WHERE stream_id = ? ORDER BY n", stream):
            tree.append(leaf_hash(row))
        db.do("UPDATE {stream} SET size = ?, frontier = ? WHERE stream_id = ?", tree.size, tree.to_bytes(), stream)


@forgery("a record put in between")
def _inserted(db: Database, rng: random.Random) -> None:
    sid, n = rng.choice(db.rows("SELECT sid, n FROM {log} ORDER BY seq"))
    for (place,) in db.rows("SELECT n FROM {log} WHERE sid = ? AND n >= ? ORDER BY n DESC", sid, n):
        db.do("UPDATE {log} SET n = n + 1 WHERE sid = ? AND n = ?", sid, place)
    copy_record(db, rng, sid, n)


def copy_record(db: Database, rng: random.Random, sid: int, n: int) -> None:
    """A record more, at this place."""
    columns = ", ".join(name for name in NAMES[3:])
    (last,) = db.rows("SELECT max(seq) FROM {log}")[0]
    source = sealed(db, rng)
    db.do(
        f"INSERT INTO {{log}} (seq, eid, sid, n, {columns}) SELECT ?, (SELECT eid FROM {{stream}} WHERE sid = ?), ?, ?,"
        f" {columns} FROM {{log}} WHERE seq = ?",
        last + 1, sid, sid, n, source,
    )  # fmt: skip


@forgery("a record added at the end")
def _added(db: Database, rng: random.Random) -> None:
    sid, n = rng.choice(db.rows("SELECT sid, max(n) FROM {log} GROUP BY sid ORDER BY sid"))
    copy_record(db, rng, sid, n + 1)


@forgery("a record added at the end, the stream's head moved with it")
def _added_with_head(db: Database, rng: random.Random) -> None:
    _added(db, rng)
    rewrite_seals_of_streams_only(db)


@forgery("a record out of sight: with a number that readers of all do not reach")
def _hidden(db: Database, rng: random.Random) -> None:
    _added(db, rng)
    db.do("UPDATE {log} SET seq = ? WHERE seq = (SELECT max(seq) FROM {log})", rng.choice((-7, 2**40)))


@forgery("a record moved to another engagement")
def _moved(db: Database, rng: random.Random) -> None:
    seq = sealed(db, rng)
    (eid,) = db.rows("SELECT eid FROM {log} WHERE seq = ?", seq)[0]
    others = [one for (one,) in db.rows("SELECT eid FROM {engagement} ORDER BY eid") if one != eid]
    db.do("UPDATE {log} SET eid = ? WHERE seq = ?", rng.choice(others), seq)


@forgery("an engagement renamed")
def _renamed(db: Database, rng: random.Random) -> None:
    (eid,) = rng.choice(db.rows("SELECT eid FROM {engagement} ORDER BY eid"))
    db.do("UPDATE {engagement} SET engagement_id = 'somebody-else' WHERE eid = ?", eid)


def delete_engagement(db: Database, rng: random.Random) -> tuple[str, list[list[Any]]]:
    """Delete an engagement from every table; its id and what its streams were."""
    eid, engagement_id = rng.choice(db.rows("SELECT eid, engagement_id FROM {engagement} ORDER BY eid"))
    found = db.rows("SELECT stream_id, size, frontier FROM {stream} WHERE eid = ? ORDER BY stream_id", eid)
    streams = [[stream, size, Tree.from_bytes(size, frontier).root().hex()] for stream, size, frontier in found]
    for table in ("log", "blob", "stream", "label", "engagement"):
        db.do(f"DELETE FROM {{{table}}} WHERE eid = ?", eid)
    return engagement_id, streams


@forgery("an engagement deleted from every table")
def _engagement(db: Database, rng: random.Random) -> None:
    delete_engagement(db, rng)


# --- values ---


def blob(db: Database, rng: random.Random) -> tuple[Any, ...]:
    """Any large value: its keys, salt, media and data."""
    return rng.choice(db.rows("SELECT eid, blob_id, salt, media, data FROM {blob} ORDER BY eid, blob_id"))


@forgery("a bit of a value flipped")
def _blob_bit(db: Database, rng: random.Random) -> None:
    eid, key, _, _, data = blob(db, rng)
    db.do("UPDATE {blob} SET data = ? WHERE eid = ? AND blob_id = ?", flip(data, rng), eid, key)


@forgery("a value deleted")
def _blob_deleted(db: Database, rng: random.Random) -> None:
    eid, key, *_ = blob(db, rng)
    db.do("DELETE FROM {blob} WHERE eid = ? AND blob_id = ?", eid, key)


@forgery("a value put in the place of another")
def _blob_exchanged(db: Database, rng: random.Random) -> None:
    found = db.rows("SELECT eid, blob_id, salt, media, data FROM {blob} ORDER BY eid, blob_id")
    one, other = rng.sample(found, 2)
    db.do("UPDATE {blob} SET salt = ?, media = ?, data = ? WHERE eid = ? AND blob_id = ?", *other[2:], *one[:2])


@forgery("bytes moved from a value's kind to its salt")
def _blob_salt(db: Database, rng: random.Random) -> None:
    eid, key, salt, media, _ = blob(db, rng)
    new = (salt + media[:3].encode(), media[3:], eid, key)
    db.do("UPDATE {blob} SET salt = ?, media = ? WHERE eid = ? AND blob_id = ?", *new)


@forgery("the kind of a value changed")
def _blob_media(db: Database, rng: random.Random) -> None:
    eid, key, *_ = blob(db, rng)
    db.do("UPDATE {blob} SET media = media || 'x' WHERE eid = ? AND blob_id = ?", eid, key)


# --- content taken out, engagements erased, without a word or with a forged one ---


def close_body(db: Database, rng: random.Random) -> tuple[str, str, int]:
    """Take out a body as a redaction does; the engagement, stream and place."""
    seq = sealed(db, rng, body=True)
    row = leaf_row(db, seq)
    db.do("UPDATE {log} SET salt = ?, body = ?, commitment = ? WHERE seq = ?", *closed(*row[-3:]), seq)
    return row[0], row[1], row[2]


@forgery("a body taken out without a word")
def _closed(db: Database, rng: random.Random) -> None:
    close_body(db, rng)


@forgery("a body taken out, a redaction written to the log")
def _closed_and_said(db: Database, rng: random.Random) -> None:
    engagement_id, stream, n = close_body(db, rng)
    add_entry(db, "redaction", engagement=engagement_id, records=[[stream, n]], blobs=[], reason="forged")


@forgery("a body taken out, a redaction written to the log, the head fitted to it")
def _closed_and_fitted(db: Database, rng: random.Random) -> None:
    _closed_and_said(db, rng)
    rewrite_head(db)


@forgery("an engagement deleted, a purge written to the log, the head fitted to it")
def _purged(db: Database, rng: random.Random) -> None:
    engagement_id, streams = delete_engagement(db, rng)
    add_entry(db, "purge", engagement=engagement_id, streams=streams, policy="forged")
    rewrite_head(db)


@forgery("an engagement deleted, a purge written to the log, the head signed with another key")
def _purged_and_signed(db: Database, rng: random.Random) -> None:
    engagement_id, streams = delete_engagement(db, rng)
    add_entry(db, "purge", engagement=engagement_id, streams=streams, policy="forged")
    rewrite_head(db, NoteSigner("acme/forged", os.urandom(32)))


# --- the store's own log ---


@forgery("a seal changed")
def _seal(db: Database, rng: random.Random) -> None:
    seq, _, _, body = rng.choice([one for one in entries(db) if one[2] == "seal"])
    db.do("UPDATE {entry} SET body = ? WHERE seq = ?", flip(body, rng), seq)


@forgery("the time of an entry changed")
def _entry_time(db: Database, rng: random.Random) -> None:
    db.do("UPDATE {entry} SET at_us = at_us + 1 WHERE seq = ?", rng.choice(entries(db))[0])


@forgery("the last entry deleted")
def _last_entry(db: Database, rng: random.Random) -> None:
    db.do("DELETE FROM {entry} WHERE seq = ?", entries(db)[-1][0])


@forgery("entries deleted, the rest moved up and the head fitted")
def _entries_deleted(db: Database, rng: random.Random) -> None:
    gone = rng.choice(entries(db))[0]
    db.do("DELETE FROM {entry} WHERE seq = ?", gone)
    for seq, *_ in entries(db)[gone - 1 :]:
        db.do("UPDATE {entry} SET seq = ? WHERE seq = ?", seq - 1, seq)
    rewrite_head(db)


@forgery("two entries exchanged")
def _entries_exchanged(db: Database, rng: random.Random) -> None:
    one, other = rng.sample(entries(db), 2)
    for (seq, *_), (_, at_us, kind, body) in ((one, other), (other, one)):
        db.do("UPDATE {entry} SET at_us = ?, type = ?, body = ? WHERE seq = ?", at_us, kind, body, seq)


@forgery("a hold released in the log")
def _released(db: Database, rng: random.Random) -> None:
    add_entry(db, "release", hold="any", by="forged")
    rewrite_head(db)


@forgery("the head changed")
def _head(db: Database, rng: random.Random) -> None:
    ((frontier,),) = db.rows("SELECT {frontier} FROM {head}")
    db.do("UPDATE {head} SET {frontier} = ?", flip(frontier, rng))


@forgery("the signature changed")
def _signature(db: Database, rng: random.Random) -> None:
    ((note,),) = db.rows("SELECT {note} FROM {head}")
    place = rng.randrange(note.rindex(" ") + 1, len(note) - 3)
    db.do("UPDATE {head} SET {note} = ?", note[:place] + ("A" if note[place] != "A" else "B") + note[place + 1 :])


@forgery("the signature taken away")
def _unsigned(db: Database, rng: random.Random) -> None:
    db.do("UPDATE {head} SET {note} = NULL")


@forgery("the log emptied")
def _emptied(db: Database, rng: random.Random) -> None:
    db.do("DELETE FROM {entry}")
    db.do("UPDATE {head} SET {size} = 0, {frontier} = ?, {note} = NULL", b"")


@forgery("everything written anew and signed with another key")
def _anew(db: Database, rng: random.Random) -> None:
    new = (b'{"forged":true}', rng.randbytes(16))
    db.do("UPDATE {log} SET body = ?, salt = ? WHERE seq = ?", *new, sealed(db, rng, body=True))
    rewrite_seals(db)
    rewrite_head(db, NoteSigner("acme/forged", os.urandom(32)))


@forgery("everything written anew and signed with another key of the same name")
def _anew_same_name(db: Database, rng: random.Random) -> None:
    _number(db, rng)
    rewrite_seals(db)
    rewrite_head(db, NoteSigner("acme/notebook", os.urandom(32)))


def change_index(db: Database, rng: random.Random) -> None:
    """Make metadata find other engagements: the index is beside the log."""
    eid, key = rng.choice(db.rows("SELECT eid, key FROM {label} ORDER BY eid, key"))
    db.do("UPDATE {label} SET value = '\"forged\"' WHERE eid = ? AND key = ?", eid, key)


@forgery("a stream's head changed")
def _stream_head(db: Database, rng: random.Random) -> None:
    sid, frontier = rng.choice(db.rows("SELECT sid, frontier FROM {stream} ORDER BY sid"))
    db.do("UPDATE {stream} SET frontier = ? WHERE sid = ?", flip(frontier, rng), sid)
