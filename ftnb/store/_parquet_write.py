"""Writing a store's content as Parquet: one folder to share, or one file.

A folder holds three views for readers that know nothing of ftnb, and the evidence that everything is computed from:

    engagements.parquet  steps.parquet  events.parquet      views, sorted by engagement
    records.parquet      blobs.parquet  streams.parquet     evidence: the log, its large values, its tree heads

A single file holds the evidence only: records, blobs and streams below each other, told apart by the column `row`.

Every file is zstd-compressed, has page checksums, and says in its key-value metadata what it is: `ftnb.schema` (log
format), `ftnb.version`, `ftnb.table`, and `ftnb.root`, which commits to the tree heads of all streams.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol

import pyarrow as pa
import pyarrow.parquet as pq

from ..core.errors import StoreError
from ..core.ids import new_id
from ._parquet_file import BLOBS, EVIDENCE, RECORDS, ROW_OF, STREAMS, VIEWS, is_ours
from .leaf import NAMES, Tree
from .records import SCHEMA_VERSION

if TYPE_CHECKING:
    from collections.abc import Sequence

_ROW_GROUP = {RECORDS: 65_536, BLOBS: 16_384}
"""Rows per row group; smaller where one engagement is read alone, or rows are large."""
_ROW_GROUP_OF_VIEWS = 262_144
_Order = list[tuple[str, Literal["ascending", "descending"]]]
_SORT: dict[str, _Order] = {
    RECORDS: [("engagement_id", "ascending"), ("seq", "ascending")],
    BLOBS: [("engagement_id", "ascending"), ("blob_id", "ascending")],
    STREAMS: [("engagement_id", "ascending"), ("stream_id", "ascending")],
}
_SORT_OF_VIEWS: _Order = [("engagement_id", "ascending")]
"""Arrow's sort is stable: within an engagement rows stay in order."""


class Scanned(Protocol):
    """What an export reads of a store (a part of `base.LogStore`)."""

    def scan(self, columns: Sequence[str]) -> pa.Table: ...
    def scan_blobs(self) -> pa.Table: ...
    def scan_streams(self) -> pa.Table: ...


def write_parquet(store: Scanned, path: Path, views: Mapping[str, pa.Table]) -> Path:
    """Write everything in `store` to the folder `path`, or to one file when it ends with `.parquet`; returns `path`.

    `views` are the tables for readers that know nothing of ftnb, by name. What is there appears at once or not at all;
    an earlier export of ours is replaced. Raises StoreError when anything else is there, or when it cannot be written.
    """
    path = path.expanduser()
    if not path.resolve().parent.is_dir():
        raise StoreError(
            f"cannot write {str(path)!r}: there is no folder {str(path.resolve().parent)!r}; create it first"
        )
    single = path.suffix == ".parquet"
    _ensure_replaceable(path, single=single)
    # Streams first: what is recorded while we read is then in the records, but not claimed by a tree head.
    streams = store.scan_streams()
    evidence = {STREAMS: streams, RECORDS: store.scan(["seq", *NAMES]), BLOBS: store.scan_blobs()}
    marks = {"ftnb.schema": str(SCHEMA_VERSION), "ftnb.version": _version(), "ftnb.root": root_of(streams).hex()}
    temporary = path.resolve().parent / f".{path.name}.{new_id()}.tmp"
    try:
        if single:
            _write(_one_table(evidence), temporary, {**marks, "ftnb.table": "trace"}, _ROW_GROUP[RECORDS])
            os.replace(temporary, path)
        else:
            temporary.mkdir()
            for name, table in {**views, **evidence}.items():
                table = table.sort_by(_SORT.get(name, _SORT_OF_VIEWS))
                target = temporary / f"{name}.parquet"
                _write(table, target, {**marks, "ftnb.table": name}, _ROW_GROUP.get(name, _ROW_GROUP_OF_VIEWS))
            _swap(temporary, path)
    except OSError as error:
        raise StoreError(f"cannot write {str(path)!r}: {error}") from error
    finally:
        _remove(temporary)
    return path


def root_of(streams: pa.Table) -> bytes:
    """The RFC 9162 root over the tree heads of all streams, in order of stream id; commits to every record."""
    tree = Tree()
    heads = streams.select(["stream_id", "size", "frontier"]).sort_by("stream_id").to_pylist()
    for head in heads:
        root = Tree.from_bytes(head["size"], head["frontier"]).root()
        tree.append(sha256(b"\x00" + f"{head['stream_id']}:{head['size']}:".encode() + root).digest())
    return tree.root()


def _ensure_replaceable(path: Path, *, single: bool) -> None:
    if not path.exists():
        return
    if single:
        if not path.is_file() or not is_ours(path):
            raise StoreError(
                f"{str(path)!r} is there and is no export of ftnb, so it is left alone; choose another name"
            )
        return
    if not path.is_dir():
        raise StoreError(f"{str(path)!r} is a file; give a folder, or a name that ends with .parquet")
    ours = {f"{name}.parquet" for name in (*VIEWS, *EVIDENCE)}
    foreign = sorted(entry.name for entry in path.iterdir() if entry.name not in ours or not is_ours(entry))
    if foreign:
        raise StoreError(
            f"the folder {str(path)!r} holds {foreign[0]!r}, which is no export of ftnb, so it is left alone; "
            "choose another folder"
        )


def _one_table(evidence: Mapping[str, pa.Table]) -> pa.Table:
    """Records, blobs and streams below each other, engagement after engagement."""
    parts = []
    for place, (name, table) in enumerate((name, evidence[name]) for name in (RECORDS, BLOBS, STREAMS)):
        n = table.num_rows
        table = table.append_column("row", pa.array([ROW_OF[name]] * n, pa.string()))
        parts.append(table.append_column("_place", pa.array([place] * n, pa.int64())))
    whole = pa.concat_tables(parts, promote_options="default")
    order: _Order = [
        ("engagement_id", "ascending"),
        ("_place", "ascending"),
        ("seq", "ascending"),
        ("blob_id", "ascending"),
    ]
    return whole.sort_by(order).drop_columns(["_place"])


def _write(table: pa.Table, target: Path, marks: Mapping[str, str], row_group: int) -> None:
    metadata: dict[Any, Any] = {**(table.schema.metadata or {}), **marks}
    pq.write_table(
        table.replace_schema_metadata(metadata),
        target,
        compression="zstd",
        compression_level=3,
        row_group_size=row_group,
        write_page_checksum=True,
    )


def _swap(temporary: Path, path: Path) -> None:
    """Put the finished folder in the place of an earlier one."""
    if not path.exists():
        os.rename(temporary, path)
        return
    old = temporary.with_name(f"{temporary.name}.old")
    os.rename(path, old)
    try:
        os.rename(temporary, path)
    except OSError:
        os.rename(old, path)
        raise
    _remove(old)


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def _version() -> str:
    from ..core._version import __version__

    return __version__
