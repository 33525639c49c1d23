"""The store for production: PostgreSQL, in log format v1.

Commits of all writers happen one after the other, in the order of seq, so a subscriber that reads on from its seq
misses nothing; NOTIFY only wakes it up. One connection writes, a few read, one listens; each comes back by itself after
the server was gone. Log and values are partitioned by time, so that retention drops what is old as a whole.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from ..core._optional import require
from ..core.errors import InvalidArgumentError, StoreError
from . import _entries, _explain
from ._advice import Advice, of_postgres
from ._entries import Entry, EntryRow, LogHead
from ._log_store import LogStoreBase, told
from ._postgres_connect import Listener, Pool
from ._postgres_erase import PostgresEraser
from ._postgres_read import PostgresReader
from ._postgres_roles import May, grants
from ._postgres_scan import scan
from ._postgres_schema import PARTITION_DAYS, TABLES, check_name, migrate
from ._postgres_write import PostgresWriter
from ._writer import Batch, StreamHead
from .base import EngagementSummary
from .leaf import Row

if TYPE_CHECKING:
    import pyarrow as pa


class PostgresStore(LogStoreBase):
    """A trace store in PostgreSQL; see `store.base` for what every store promises.

    Raises StoreError when the server cannot be reached, refuses the password or lacks a permission, NotOurFileError
    when the table name is taken, SchemaVersionError when a newer ftnb made the tables, MissingPackageError without the
    package `psycopg`.
    """

    explain = staticmethod(_explain.of_postgres)

    def __init__(
        self,
        dsn: str | None = None,
        *,
        conn: Any = None,
        table: str = "ftnb_records",
        create: bool = True,
        partition_days: int = PARTITION_DAYS,
    ) -> None:
        """`dsn` is what libpq takes (a URL or key=value pairs; None: the PG* environment variables); or give `conn`, an
        open psycopg connection, which then stays open on `close` and must be used by nobody else meanwhile. `table` is
        the view of the log, and the beginning of all other names; `create=False` raises StoreError where it is not.
        `partition_days` counts when the tables are made: engagements that began within as many days lie together, and
        when the last of them is purged, they go as one."""
        if partition_days < 1:
            raise InvalidArgumentError(f"a partition holds at least one day, got partition_days={partition_days}")
        if "\x00" in (dsn or ""):  # libpq would end the text there, and connect to somewhere else
            raise InvalidArgumentError("cannot connect to PostgreSQL: the connection string holds a NUL")
        psycopg = require("psycopg", feature="PostgresStore", extra="postgres")
        self.table = check_name(table)
        self.client_error = psycopg.Error
        self.place = "the PostgreSQL store"
        self._writer, self._reader = PostgresWriter(self.table), PostgresReader(self.table)
        self._eraser = PostgresEraser(self.table, self._writer)
        self._given = conn is not None
        self._write = Pool(psycopg, dsn, conn, size=1)
        self._read = self._write if conn is not None else Pool(psycopg, dsn)
        name, listening = self._prepare(psycopg, dsn, create, partition_days)
        self._listener = Listener(psycopg, listening, self.table)
        super().__init__(name, f"the store {name}", shared=True)

    def __repr__(self) -> str:
        return f"PostgresStore({self.url!r})"

    def _prepare(self, psycopg: Any, dsn: str | None, create: bool, days: int) -> tuple[str, str | None]:
        """Make the tables; the store's name, and what to connect to for listening."""
        try:
            with self._write.use() as connection:
                migrate(connection, self.table, create=create, partition_days=days)
                info = connection.info
                name = _name_of(info, self.table)
                listening = dsn or psycopg.conninfo.make_conninfo(info.dsn, password=info.password or None)
                return name, listening
        except psycopg.Error as error:
            self._write.close()
            said = self.explain(error)
            if dsn:
                said = said.replace(dsn, "…")  # libpq repeats one that it cannot read, password and all
            raise StoreError(f"cannot open the PostgreSQL store: {said}") from error
        except BaseException:
            self._write.close()
            raise

    # --- writing ---

    @told
    def _commit(self, batch: Batch, entries: Sequence[Entry]) -> dict[int, int]:
        with self._write.use() as connection:
            return self._writer.commit(connection, batch, entries, self.signer)

    @told
    def _purge(
        self,
        engagement_id: str,
        receipt: Callable[[Sequence[StreamHead]], Entry],
        unless: Callable[[int, int], bool],
    ) -> bool:
        with self._write.use() as connection:
            may_not = partial(_without_id, unless)
            return bool(self._eraser.purge(connection, {engagement_id: receipt}, may_not, self.signer))

    @told
    def _purge_many(self, whys: Mapping[str, Mapping[str, Any]], unless: Callable[[str, int, int], bool]) -> list[str]:
        receipts = {key: partial(_entries.receipt, key, fields=dict(why)) for key, why in whys.items()}
        with self._write.use() as connection:
            return self._eraser.purge(connection, receipts, unless, self.signer)

    @told
    def whole_partitions(self, engagement_ids: Sequence[str]) -> list[list[str]]:
        """Groups of these engagements, each all that a partition of an earlier time holds: purged together
        (`purge_many`), they are dropped with it, at a cost that does not grow with their records."""
        with self._read.use() as connection:
            return self._eraser.whole_partitions(connection, engagement_ids)

    @told
    def _redact(
        self,
        engagement_id: str,
        records: Sequence[tuple[Any, ...]],
        blobs: Sequence[str],
        said: Entry,
        unless: Callable[[int], bool],
    ) -> int:
        with self._write.use() as connection:
            return self._eraser.redact(connection, engagement_id, records, blobs, said, self.signer, unless)

    @told
    def latest_turn(self, engagement_id: str) -> int:
        """The engagement's highest turn; 0 when it is unknown."""
        with self._write.use() as connection:
            return self._writer.latest_turn(connection, engagement_id)

    @told
    def blob_ids(self, engagement_id: str) -> dict[bytes, str]:
        """Dedup hash to blob id of the engagement's blobs."""
        with self._write.use() as connection:
            return self._writer.blob_ids(connection, engagement_id)

    @told
    def _add_entries(self, entries: Sequence[Entry]) -> None:
        with self._write.use() as connection:
            self._writer.add_entries(connection, entries, self.signer)

    @told
    def vacuum(self, *, full: bool = False) -> None:
        """Give back the space of what was purged, and drop partitions in which nothing is left. Pages may keep remains
        until they are used again.

        `full` writes the tables anew, so that nothing of it is left in them or in the server's statistics; everybody
        else waits meanwhile, and it takes their size on the disk again. Its write-ahead log stays the server's. Needs
        autocommit.
        """
        with self._write_lock, self._write.use() as connection:
            self._eraser.drop_empty(connection)
            for table in TABLES:
                connection.execute(f"VACUUM {'(FULL, ANALYZE)' if full else ''} {self.table}_{table}")

    @told
    def grant(self, role: str, may: May) -> None:
        """Let an existing role `read`, `record` (and read; it can neither erase nor change what is there) or `purge`
        (and read and redact; it cannot record). For whoever made the tables. Raises StoreError."""
        with self._write_lock, self._write.use() as connection, connection.transaction():
            for statement in grants(self.table, role, may):
                connection.execute(statement)

    @told
    def advice(self) -> list[Advice]:
        """How durable the server is, and what this role may do: (whether it is as it should be, what to know)."""
        with self._read.use() as connection:
            return of_postgres(connection, self.table)

    # --- reading ---

    @told
    def _rows(self, engagement_id: str) -> list[tuple[int, Row]]:
        with self._read.use() as connection:
            return self._reader.rows(connection, engagement_id)

    @told
    def _rows_after(self, after: int, limit: int) -> list[tuple[int, Row]]:
        with self._read.use() as connection:
            return self._reader.rows_after(connection, after, limit)

    def _position(self) -> int:
        return self._revision()[0]

    @told
    def _revision(self) -> tuple[int, int]:
        with self._read.use() as connection:
            return self._reader.revision(connection)

    @told
    def _summaries(self, where: Mapping[str, Any], limit: int | None, newest: bool) -> list[EngagementSummary]:
        with self._read.use() as connection:
            return self._reader.summaries(connection, where, limit, newest)

    @told
    def _blob(self, engagement_id: str, blob_id: str) -> bytes | None:
        with self._read.use() as connection:
            return self._reader.blob(connection, engagement_id, blob_id)

    @told
    def _scan(
        self,
        columns: Sequence[str],
        types: Sequence[str],
        engagement_id: str | None,
        after: int,
        containing: Sequence[bytes],
    ) -> pa.Table:
        with self._read.use() as connection:
            return scan(connection, self.table, columns, types, engagement_id, after, containing)

    @told
    def _blobs_of(self, engagement_id: str) -> dict[str, bytes]:
        with self._read.use() as connection:
            return self._reader.blobs_of(connection, engagement_id)

    @told
    def kept_blobs(self, engagement_id: str) -> list[tuple[str, bytes, str, bytes]]:
        """(blob_id, salt, media, data) of an engagement's blobs, as they are kept."""
        with self._read.use() as connection:
            return self._reader.kept_blobs(connection, engagement_id)

    @told
    def _scan_blobs(self) -> pa.Table:
        with self._read.use() as connection:
            return self._reader.blobs(connection)

    @told
    def _scan_streams(self) -> pa.Table:
        with self._read.use() as connection:
            return self._reader.streams(connection)

    @told
    def _n_records(self) -> int:
        with self._read.use() as connection:
            return self._reader.n_records(connection)

    @told
    def _entries(self, after: int = 0, n: int = -1) -> Iterable[EntryRow]:
        with self._read.use() as connection:
            return self._reader.entries(connection, after, n)

    @told
    def _head(self) -> LogHead:
        with self._read.use() as connection:
            return self._reader.head(connection)

    @told
    def _wait_for_others(self, seconds: float) -> None:
        self._listener.wait(seconds)

    def _reconnect_in_child(self) -> None:
        if self._given:
            super()._reconnect_in_child()
        for connections in (self._write, self._read, self._listener):
            connections.leave()
        self._writer.forget_all()

    def _close(self) -> None:
        self._listener.close()
        self._read.close()
        self._write.close()


def _without_id(unless: Callable[[int, int], bool], _: str, last: int, size: int) -> bool:
    return unless(last, size)


def _name_of(info: Any, table: str) -> str:
    """A URL for this store without its password, the same for every object on it."""
    if info.host.startswith("/"):
        return f"postgresql:///{quote(info.dbname)}?host={quote(info.host)}&port={info.port}#{table}"
    return f"postgresql://{info.host}:{info.port}/{quote(info.dbname)}#{table}"
