"""Files that unpack to far more than they take."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from unittest.mock import patch

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

import ftnb
from ftnb.core.errors import NotOurFileError
from ftnb.store.parquet import ParquetStore
from ftnb.store.sqlite import SQLiteStore
from ftnb.testing._case import record_run


@pytest.fixture
def small_limit() -> Iterator[None]:
    """So that a bomb need not be made of gigabytes."""
    with patch("ftnb.store._parquet_limits.ALWAYS", 8 << 20):
        yield


def bomb(path: Path, n: int, length: int) -> None:
    """`n` rows in the place of what is in the file; the longest column is `length` long in each of them."""
    table = pq.read_table(path)
    row = table.slice(0, 1)
    indices = pa.array([0] * n, pa.int32())
    columns = [
        pa.DictionaryArray.from_arrays(indices, pa.array([b"x" * length]))
        if name == "body"
        else row[name].take(indices)
        for name in table.column_names
    ]
    body = pa.chunked_array([columns[table.column_names.index("body")]])
    columns[table.column_names.index("body")] = body
    made = pa.table(dict(zip(table.column_names, columns, strict=True)))
    pq.write_table(made.replace_schema_metadata(table.schema.metadata), path, compression="zstd")


def the_export(folder: Path) -> Path:
    """An export of one run."""
    store = SQLiteStore(folder / "t.db")
    record_run(store)
    made = ftnb.open(store).to_parquet(folder / "share")
    store.close()
    return made


@pytest.mark.parametrize(("n", "length"), [(400_000, 1), (2_000, 60_000)], ids=["rows", "a dictionary"])
def test_an_export_is_not_unpacked(tmp_path: Path, small_limit: None, n: int, length: int) -> None:
    made = the_export(tmp_path)
    bomb(made / "records.parquet", n, length)
    assert os.path.getsize(made / "records.parquet") < 60_000
    before = pa.total_allocated_bytes()
    with pytest.raises(NotOurFileError, match="would unpack to"):
        ftnb.open(made).store.scan(["seq", "body"])
    assert pa.total_allocated_bytes() - before < 40 << 20


def test_a_segment_is_not_unpacked(tmp_path: Path, small_limit: None) -> None:
    store = ParquetStore(tmp_path / "traces")
    engagement_id = record_run(store)
    store.publish()
    store.close()
    bomb(next((store.folder / "records").glob("*.parquet")), 2_000, 60_000)
    store = ParquetStore(store.folder)
    for read in (lambda: store.scan(["seq"]), lambda: store.get_engagement(engagement_id)):
        with pytest.raises(NotOurFileError, match="would unpack to"):
            read()
    store.close()


def test_what_repeats_itself_but_fits_is_read(tmp_path: Path) -> None:
    made = the_export(tmp_path)
    bomb(made / "records.parquet", 2_000, 60_000)  # 120 MB
    table = ftnb.open(made).store.scan(["seq", "body"])
    assert pc.sum(pc.binary_length(table["body"])).as_py() == 120_000_000
