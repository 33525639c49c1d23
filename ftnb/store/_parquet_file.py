"""Reading Parquet files of ours, and refusing others: a damaged or foreign file is one clear error."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

import pyarrow as pa
import pyarrow.compute
import pyarrow.parquet as pq

from ..core.errors import FtnbError, NotOurFileError, SchemaVersionError, StoreError
from ._parquet_limits import Limit
from ._remote import AnyPath
from .leaf import COLUMNS
from .records import SCHEMA_VERSION

pc: Any = pyarrow.compute  # its stubs do not know chunked columns

RECORDS, BLOBS, STREAMS, ENTRIES = "records", "blobs", "streams", "entries"
EVIDENCE = (RECORDS, BLOBS, STREAMS)
LOG_SIZE, LOG_FRONTIER, LOG_NOTE, PARTIAL = "ftnb.log_size", "ftnb.log_frontier", "ftnb.log_note", "ftnb.partial"
"""Marks of an export with proofs: the head of the store's own log, and whether only some engagements are in it."""
VIEWS = ("engagements", "steps", "events")
ROW_OF = {RECORDS: "record", BLOBS: "blob", STREAMS: "stream", ENTRIES: "entry"}
"""What the column `row` of a single file says."""

_ARROW: dict[str, Any] = {"int": pa.int64(), "text": pa.string(), "bytes": pa.binary()}
_COLUMNS_OF: dict[str, dict[str, str]] = {
    RECORDS: {"seq": "int", **{column.name: column.dtype for column in COLUMNS}},
    BLOBS: {"engagement_id": "text", "blob_id": "text", "salt": "bytes", "media": "text", "data": "bytes"},
    STREAMS: {"stream_id": "text", "engagement_id": "text", "turn": "int", "size": "int", "frontier": "bytes"},
    ENTRIES: {"seq": "int", "at_us": "int", "type": "text", "body": "bytes"},
}
SCHEMAS: dict[str, pa.Schema] = {
    table: pa.schema([pa.field(name, _ARROW[dtype]) for name, dtype in columns.items()])
    for table, columns in _COLUMNS_OF.items()
}


class EvidenceFile:
    """One Parquet file that holds a table of the evidence, alone or among others."""

    def __init__(self, path: AnyPath, table: str) -> None:
        """Raises NotOurFileError or SchemaVersionError."""
        self.path, self.schema = path, SCHEMAS[table]
        with readable(path):
            size = path.stat().st_size if isinstance(path, Path) else path.size()
            said = self._opened()
            self._limit = Limit(said, str(path), size)
            self._file = said
            self._row = ROW_OF[table] if self._check() == "trace" else None
            self._file = self._opened(read_dictionary=self._limit.dictionaries(), metadata=said.metadata)
            self._limit = Limit(self._file, str(path), size)
        self._near: tuple[list[int], pa.Table] | None = None

    def _opened(self, **how: Any) -> pq.ParquetFile:
        source: Any = self.path if isinstance(self.path, Path) else self.path.open()
        return pq.ParquetFile(source, page_checksum_verification=True, **how)

    def _check(self) -> str:
        """What the file says it is; raises when that is nothing that can be read."""
        found = self._file.schema_arrow
        marks = found.metadata or {}
        version = marks.get(b"ftnb.schema", b"").decode(errors="replace")
        if not (version.isascii() and version.isdigit()):
            raise NotOurFileError(f"{str(self.path)!r} is a Parquet file, but no export of ftnb")
        if int(version) > SCHEMA_VERSION:
            raise SchemaVersionError(
                f"{str(self.path)!r} has log format {version}, this ftnb reads up to {SCHEMA_VERSION}; upgrade ftnb"
            )
        table = marks.get(b"ftnb.table", b"").decode(errors="replace")
        wanted = [*self.schema.names, *(["row"] if table == "trace" else [])]
        wrong = [name for name in wanted if found.names.count(name) != 1]
        if wrong:
            raise NotOurFileError(
                f"{str(self.path)!r} says that it is an export of ftnb, but has no column {wrong[0]!r}, or several"
            )
        return table

    @property
    def marks(self) -> dict[str, str]:
        """What the file says of itself."""
        found = self._file.schema_arrow.metadata or {}
        return {key.decode(errors="replace"): value.decode(errors="replace") for key, value in found.items()}

    def read(self, columns: Sequence[str], engagement_id: str | None = None) -> pa.Table:
        """These columns, of all engagements or of one. Page checksums are verified."""
        return self._read(columns, self._groups(engagement_id), engagement_id)

    def read_next(self, engagement_id: str) -> pa.Table:
        """All columns of an engagement; its row groups are kept for the next one, which is often in the same."""
        groups = self._groups(engagement_id)
        if self._near is None or self._near[0] != groups:
            self._near = None  # not two at a time
            self._near = groups, self._read(self.schema.names, groups)
        table = self._near[1]
        return table.filter(pc.equal(table["engagement_id"], engagement_id))

    def _read(self, columns: Sequence[str], groups: Sequence[int], engagement_id: str | None = None) -> pa.Table:
        extra = [name for name in (self._row and "row", engagement_id and "engagement_id") if name]
        wanted = list(dict.fromkeys([*columns, *extra]))
        with readable(self.path):
            parts = []
            for group in groups:
                part = self._file.read_row_group(group, columns=wanted)
                if self._row:
                    part = part.filter(pc.equal(part["row"], self._row))
                if engagement_id:
                    part = part.filter(pc.equal(part["engagement_id"], engagement_id))
                parts.append(part.select(list(columns)))
            table = self._limit.unpacked(parts, pa.schema([self.schema.field(name) for name in columns]))
            table.validate(full=True)  # page checksums cannot vouch for what pages are read as; text must be text
            return table

    def ensure_unpacks(self) -> None:
        """Raises NotOurFileError where it would unpack to more than a trace does, without reading all of it."""
        with readable(self.path):
            self._limit.probe()

    def close(self) -> None:
        """Release the file. Closing twice is fine."""
        self._near = None
        self._file.close(force=True)

    def _groups(self, engagement_id: str | None) -> list[int]:
        """The row groups that may hold the engagement, by their statistics."""
        metadata = self._file.metadata
        groups = list(range(metadata.num_row_groups))
        if engagement_id is None:
            return groups
        place = metadata.schema.to_arrow_schema().names.index("engagement_id")
        return [i for i in groups if _may_hold(metadata.row_group(i).column(place).statistics, engagement_id)]


class Evidence(Protocol):
    """A table of the evidence, wherever it is."""

    @property
    def marks(self) -> dict[str, str]:
        """What it says of itself."""

    def read(self, columns: Sequence[str], engagement_id: str | None = None) -> pa.Table:
        """These columns, of all engagements or of one."""

    def read_next(self, engagement_id: str) -> pa.Table:
        """All columns of an engagement; quick when it is near the one that was asked for before."""


class Held:
    """A table of the evidence that is in memory."""

    marks: dict[str, str] = {}  # noqa: RUF012  (never written to)

    def __init__(self, table: pa.Table) -> None:
        self._table = table

    def read(self, columns: Sequence[str], engagement_id: str | None = None) -> pa.Table:
        """These columns, of all engagements or of one."""
        table = self._table
        if engagement_id:
            table = table.filter(pc.equal(table["engagement_id"], engagement_id))
        return table.select(list(columns))

    def read_next(self, engagement_id: str) -> pa.Table:
        """All columns of an engagement."""
        return self.read(self._table.column_names, engagement_id)


def _may_hold(statistics: Any, engagement_id: str) -> bool:
    if statistics is None or not statistics.has_min_max:
        return True
    return bool(statistics.min <= engagement_id <= statistics.max)


def is_ours(path: Path) -> bool:
    """Whether `path` is a Parquet file that some ftnb wrote."""
    try:
        return b"ftnb.schema" in (pq.read_schema(path).metadata or {})
    except (pa.ArrowException, OSError, UnicodeDecodeError):
        return False


@contextmanager
def readable(path: AnyPath) -> Iterator[None]:
    """Turn Arrow's errors about the file into ours."""
    try:
        yield
    except FtnbError:
        raise
    except FileNotFoundError as error:
        raise NotOurFileError(f"{str(path)!r} is missing, so the export is not whole") from error
    except PermissionError as error:
        raise StoreError(f"cannot read {str(path)!r}: {error.strerror}") from error
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        raise NotOurFileError(
            f"{str(path)!r} is damaged, cut off, or no Parquet file ({error}); "
            "what is in other files can still be read, and this one has to come from a copy"
        ) from error
