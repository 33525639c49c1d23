"""How much a Parquet file may unpack to: a few kilobytes can say that they are terabytes.

Rows of integers cost next to nothing on disk, and so does one long text that a dictionary repeats a million times. So
text is read as dictionaries and indices, which are small, and unpacked when it is known how long it becomes. What we
write ourselves unpacks to less than twenty times of what it takes on disk: each record has its own salt.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute
import pyarrow.parquet as pq

from ..core.errors import NotOurFileError

pc: Any = pyarrow.compute  # its stubs do not know dictionaries

ALWAYS, TIMES = 256 << 20, 200
"""Bytes that any file may unpack to, and how many times its size a larger one may."""
_LARGE = 512 << 20
"""Bytes of one column in one row group from which on a dictionary might not hold it; it is read as it is."""


class Limit:
    """What one file may unpack to."""

    def __init__(self, file: pq.ParquetFile, place: str, n_bytes: int) -> None:
        """Raises NotOurFileError where the file itself says that it is more."""
        self._file, self._place = file, place
        self.allowed = max(ALWAYS, TIMES * n_bytes)
        self._n_bytes = n_bytes
        metadata = file.metadata
        groups = [metadata.row_group(number) for number in range(metadata.num_row_groups)]
        rows = max(metadata.num_rows, sum(group.num_rows for group in groups))
        self.ensure(8 * rows * metadata.num_columns + sum(group.total_byte_size for group in groups))

    def ensure(self, size: int) -> None:
        """Raises NotOurFileError where `size` bytes are too many."""
        if size > self.allowed:
            raise NotOurFileError(
                f"{self._place!r} takes {self._n_bytes:,} bytes and would unpack to {size:,} or more, which no trace "
                f"does (up to {self.allowed:,} are read); it was not read"
            )

    def dictionaries(self) -> list[str]:
        """Columns of text or bytes that are read as dictionaries."""
        schema, metadata = self._file.schema_arrow, self._file.metadata
        found = []
        for place, column in enumerate(schema):
            sizes = (
                metadata.row_group(number).column(place).total_uncompressed_size
                for number in range(metadata.num_row_groups)
            )
            kind: Any = column.type
            kind = kind.value_type if pa.types.is_dictionary(kind) else kind
            if kind in (pa.string(), pa.binary()) and max(sizes, default=0) < _LARGE:
                found.append(column.name)
        return found

    def unpacked(self, parts: Sequence[pa.Table], schema: pa.Schema) -> pa.Table:
        """The parts as one table with plain columns. Raises NotOurFileError where that is too much."""
        self.ensure(sum(_size(chunk) for part in parts for column in part.columns for chunk in column.chunks))
        return pa.concat_tables([schema.empty_table(), *(part.cast(schema) for part in parts)])

    def probe(self) -> None:
        """Raises NotOurFileError where the file would be too much, without reading all of it."""
        names = self.dictionaries()
        size = 0
        for number in range(self._file.metadata.num_row_groups):
            first = next(self._file.iter_batches(batch_size=1, row_groups=[number], columns=names), None)
            rows = self._file.metadata.row_group(number).num_rows
            for column in [] if first is None else first.columns:
                if isinstance(column, pa.DictionaryArray):
                    size += rows * (pc.max(pc.binary_length(column.dictionary)).as_py() or 0)
        if size > self.allowed:  # at worst; now in earnest
            groups = range(self._file.metadata.num_row_groups)
            self.ensure(
                sum(
                    _size(chunk)
                    for number in groups
                    for column in self._file.read_row_group(number, columns=names).columns
                    for chunk in column.chunks
                )
            )


def _size(array: Any) -> int:
    """Bytes of an array when it is unpacked."""
    if not isinstance(array, pa.DictionaryArray):
        return int(array.nbytes)
    lengths = pc.binary_length(array.dictionary)
    at_most = len(array) * int(pc.max(lengths).as_py() or 0)
    if at_most <= ALWAYS // 64:
        return at_most
    return int(pc.sum(lengths.take(array.indices)).as_py() or 0)
