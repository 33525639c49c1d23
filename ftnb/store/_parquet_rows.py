"""One Parquet file that is written as its rows come, in row groups of one size, and sealed when it is whole."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import pyarrow as pa
import pyarrow.parquet as pq

from ._parquet_seal import placeholder, seal

_MAX_GROUP_BYTES = 192_000_000
"""Where values are large, a row group ends before it has its rows."""


class RowGroups:
    """Tables below each other in one file. Nothing is there, or something unreadable, until it is closed without error.

    Bytes are those that one table of all rows gives, but where a row group would be very large.
    """

    def __init__(self, target: Path, marks: Mapping[str, str], rows: int, signer: Any) -> None:
        """`rows` are those of a row group."""
        self._target, self._marks, self._rows, self._signer = target, marks, rows, signer
        self._writer: pq.ParquetWriter | None = None
        self._metadata: dict[Any, Any] = {}
        self._held: list[pa.Table] = []

    def add(self, table: pa.Table) -> None:
        """Write these rows, or keep them until a row group is full. All tables have the schema of the first."""
        if self._writer is None:
            self._metadata = {**(table.schema.metadata or {}), **self._marks}
            self._writer = pq.ParquetWriter(
                self._target, table.schema.with_metadata(self._metadata), compression="zstd", compression_level=3,
                write_page_checksum=True,
            )  # fmt: skip
        self._held.append(table.replace_schema_metadata(self._metadata))
        if self._n_held() >= self._rows or sum(one.nbytes for one in self._held) >= _MAX_GROUP_BYTES:
            self._write()

    def _n_held(self) -> int:
        return sum(one.num_rows for one in self._held)

    def _write(self, *, last: bool = False) -> None:
        """Write what is full of what is held; `last`: all of it."""
        assert self._writer is not None
        held = pa.concat_tables(self._held)
        large = held.nbytes >= _MAX_GROUP_BYTES
        while held.num_rows >= self._rows or large or last:
            group, held = held.slice(0, self._rows), held.slice(self._rows)
            self._writer.write_table(group.combine_chunks(), row_group_size=self._rows)
            if not held.num_rows:
                break
        self._held = [held] if held.num_rows else []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if self._writer is None:
            return
        with self._writer:
            if kind is None:
                if self._held:
                    self._write(last=True)
                self._writer.add_key_value_metadata(placeholder(self._signer))
        if kind is None:
            seal(self._target, self._signer)
