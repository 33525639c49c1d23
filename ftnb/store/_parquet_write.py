"""Writing a store's content as Parquet: one folder to share, or one file.

A folder holds three views for readers that know nothing of ftnb, and the evidence that everything is computed from:

    engagements.parquet  steps.parquet  events.parquet      views, sorted by engagement
    records.parquet      blobs.parquet  streams.parquet     evidence: the log, its large values, its tree heads
    entries.parquet                                         the store's own log: seals and receipts, under its head

A single file holds the evidence only: records, blobs, streams and entries below each other, told apart by the column
`row`.

Every file is zstd-compressed, has page checksums, and says in its key-value metadata what it is: `ftnb.schema` (log
format), `ftnb.version`, `ftnb.table`, `ftnb.root`, which commits to the tree heads of all streams, and the head of the
store's own log, signed where somebody signs. A checksum in it covers every byte of the file (`_parquet_seal`).
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Mapping
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol

import pyarrow as pa
import pyarrow.parquet as pq

from ..core.errors import StoreError
from ..core.ids import new_id
from ._parquet_file import (
    BLOBS,
    ENTRIES,
    EVIDENCE,
    LOG_FRONTIER,
    LOG_NOTE,
    LOG_SIZE,
    PARTIAL,
    RECORDS,
    ROW_OF,
    SCHEMAS,
    STREAMS,
    VIEWS,
    is_ours,
)
from ._parquet_seal import placeholder, seal
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
    ENTRIES: [("seq", "ascending")],
}
_SORT_OF_VIEWS: _Order = [("engagement_id", "ascending")]
"""Arrow's sort is stable: within an engagement rows stay in order."""


class Scanned(Protocol):
    """What an export reads of a store (a part of `base.LogStore`)."""

    def scan(self, columns: Sequence[str]) -> pa.Table: ...
    def scan_blobs(self) -> pa.Table: ...
    def scan_streams(self) -> pa.Table: ...
    def revision(self) -> tuple[int, int]: ...


Tables = dict[str, pa.Table]


def write_parquet(
    store: Scanned,
    path: Path,
    views: Callable[[Tables], Mapping[str, pa.Table]],
    change: Callable[[Tables], Tables] | None = None,
) -> Path:
    """Write everything in `store` to the folder `path`, or to one file when it ends with `.parquet`; returns `path`.

    `change` takes out of the evidence what is not to be in the export. `views` makes the tables for readers that know
    nothing of ftnb, by name, from the evidence as it is written. What is there appears at once or not at all;
    an earlier export of ours is replaced. Raises StoreError when anything else is there, or when it cannot be written.
    """
    path = path.expanduser()
    if not path.resolve().parent.is_dir():
        raise StoreError(
            f"cannot write {str(path)!r}: there is no folder {str(path.resolve().parent)!r}; create it first"
        )
    single = path.suffix == ".parquet"
    _ensure_replaceable(path, single=single)
    evidence, proofs = _read(store)
    evidence = evidence if change is None else change(evidence)
    root = root_of(evidence[STREAMS]).hex()
    marks = {"ftnb.schema": str(SCHEMA_VERSION), "ftnb.version": _version(), "ftnb.root": root, **proofs}
    signer = getattr(getattr(store, "whole", store), "signer", None)
    temporary = path.resolve().parent / f".{path.name}.{new_id()}.tmp"
    try:
        if single:
            _write(_one_table(evidence), temporary, {**marks, "ftnb.table": "trace"}, _ROW_GROUP[RECORDS], signer)
            os.replace(temporary, path)
        else:
            temporary.mkdir()
            for name, table in {**views(evidence), **evidence}.items():
                table = table.sort_by(_SORT.get(name, _SORT_OF_VIEWS))
                target = temporary / f"{name}.parquet"
                row_group = _ROW_GROUP.get(name, _ROW_GROUP_OF_VIEWS)
                _write(table, target, {**marks, "ftnb.table": name}, row_group, signer)
            _swap(temporary, path)
    except OSError as error:
        raise StoreError(f"cannot write {str(path)!r}: {error}") from error
    finally:
        _remove(temporary)
    return path


_MAX_READS = 5


def _read(store: Any) -> tuple[Tables, dict[str, str]]:
    """The evidence in `store`, and the head that it stands under; empty where it gives no proofs."""
    whole = getattr(store, "whole", store)
    for _ in range(_MAX_READS):
        revision = store.revision()[1]
        # The head first, then streams: what is recorded while we read is in neither, and is left for another time.
        evidence, proofs = _log_of(whole)
        if proofs and whole is not store:
            proofs[PARTIAL] = "1"
        evidence[STREAMS] = store.scan_streams()
        evidence |= {RECORDS: _known(store.scan(["seq", *NAMES]), evidence[STREAMS]), BLOBS: store.scan_blobs()}
        if store.revision()[1] == revision:
            return evidence, proofs
    raise StoreError(f"{store!r} is being purged or redacted; export it again afterwards")


def _known(records: pa.Table, streams: pa.Table) -> pa.Table:
    """The records that the tree heads of their streams cover."""
    import polars as pl

    heads: Any = pl.from_arrow(streams.select(["stream_id", "size"]))
    places: Any = pl.from_arrow(records.select(["stream_id", "n"]))
    is_known = places.join(heads, on="stream_id", how="left", maintain_order="left").select(
        (pl.col("n") < pl.col("size")).fill_null(False)
    )
    return records.filter(is_known.to_series().to_arrow())


def _log_of(whole: Any) -> tuple[Tables, dict[str, str]]:
    if not getattr(whole, "has_proofs", False):
        return {}, {}
    head = whole.log_head()
    rows = [row for row in whole.entry_rows() if row[0] <= head.size]
    columns = list(zip(*rows, strict=True)) or [()] * 4
    table = pa.table([pa.array(list(one), kind.type) for one, kind in zip(columns, SCHEMAS[ENTRIES], strict=True)],
                     schema=SCHEMAS[ENTRIES])  # fmt: skip
    proofs = {LOG_SIZE: str(head.size), LOG_FRONTIER: head.frontier.hex()}
    return {ENTRIES: table}, proofs if head.note is None else {**proofs, LOG_NOTE: head.note}


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
    ours = {f"{name}.parquet" for name in (*VIEWS, *EVIDENCE, ENTRIES)}
    foreign = sorted(entry.name for entry in path.iterdir() if entry.name not in ours or not is_ours(entry))
    if foreign:
        raise StoreError(
            f"the folder {str(path)!r} holds {foreign[0]!r}, which is no export of ftnb, so it is left alone; "
            "choose another folder"
        )


def _one_table(evidence: Mapping[str, pa.Table]) -> pa.Table:
    """Records, blobs and streams below each other, engagement after engagement."""
    parts = []
    for place, (name, table) in enumerate(
        (name, evidence[name]) for name in (RECORDS, BLOBS, STREAMS, ENTRIES) if name in evidence
    ):
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


def _write(table: pa.Table, target: Path, marks: Mapping[str, str], row_group: int, signer: Any) -> None:
    metadata: dict[Any, Any] = {**(table.schema.metadata or {}), **marks}
    table = table.replace_schema_metadata(metadata)
    with pq.ParquetWriter(
        target, table.schema, compression="zstd", compression_level=3, write_page_checksum=True
    ) as writer:
        writer.write_table(table, row_group_size=row_group)
        writer.add_key_value_metadata(placeholder(signer))
    seal(target, signer)


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
