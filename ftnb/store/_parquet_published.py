"""What was published of a Parquet store, read by its manifest alone: where SQLite cannot go, or its tail is lost."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pyarrow as pa

from ..core.errors import StoreError
from ._parquet_file import ENTRIES, EVIDENCE, LOG_FRONTIER, LOG_NOTE, LOG_SIZE, PARTIAL, SCHEMAS, Evidence, EvidenceFile
from ._published import merged
from ._segments import RETIRED, read_manifest


class _Several:
    """A table of the evidence in several files."""

    def __init__(self, folder: Any, table: str, names: Sequence[str]) -> None:
        self._table = table
        self._files = [EvidenceFile(_place(folder, table, name), table) for name in names]

    marks: dict[str, str] = {}  # noqa: RUF012  (never written to)

    def read(self, columns: Sequence[str], engagement_id: str | None = None) -> pa.Table:
        """These columns, of all engagements or of one."""
        schema = SCHEMAS[self._table]
        if self._table == "streams":
            parts = [file.read(schema.names, engagement_id) for file in self._files]
            whole = pa.concat_tables([schema.empty_table(), *parts])
            return merged(self._table, whole).select(list(columns))
        parts = [file.read(columns, engagement_id) for file in self._files]
        return pa.concat_tables([schema.empty_table().select(list(columns)), *parts])

    def read_next(self, engagement_id: str) -> pa.Table:
        """All columns of an engagement, of each file."""
        schema = SCHEMAS[self._table]
        return pa.concat_tables([schema.empty_table(), *(file.read_next(engagement_id) for file in self._files)])


def _place(folder: Any, table: str, name: str) -> Any:
    place = folder / table / f"{name}.parquet"
    return place if place.is_file() else folder / RETIRED / f"{table}-{name}.parquet"


def published(folder: Any, manifest: Any) -> tuple[dict[str, Evidence], dict[str, str]]:
    """The tables that the manifest lists, and the marks of an export that they would be. Raises StoreError,
    NotOurFileError, SchemaVersionError."""
    try:
        text = manifest.read_bytes()
    except OSError as error:
        raise StoreError(f"cannot read {str(manifest)!r}: {error.strerror or error}") from error
    said = read_manifest(text, str(manifest))
    names = {table: [one["files"][table] for one in said["segments"] if table in one["files"]] for table in SCHEMAS}
    tables: dict[str, Evidence] = {
        table: _Several(folder, table, names[table]) for table in (*EVIDENCE, ENTRIES) if table in names
    }
    log = said.get("log") or {}
    marks = {LOG_SIZE: str(log.get("size", 0)), LOG_FRONTIER: str(log.get("frontier", "")), PARTIAL: "1"}
    if log.get("note"):
        marks[LOG_NOTE] = str(log["note"])
    return tables, marks
