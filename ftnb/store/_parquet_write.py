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
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from hashlib import sha256
from pathlib import Path
from typing import Any

import pyarrow as pa

from ..core._progress import reading
from ..core.errors import FtnbError, StoreError
from ..core.ids import new_id
from ._parquet_batches import Batches, Order, Scanned, Tables, entries_of
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
from ._parquet_rows import RowGroups
from .leaf import Tree
from .records import SCHEMA_VERSION

TRACE = "trace"
_ROW_GROUP = {RECORDS: 65_536, TRACE: 65_536, BLOBS: 16_384}
"""Rows per row group; smaller where one engagement is read alone, or rows are large."""
_ROW_GROUP_OF_VIEWS = 262_144
_SORT_OF_VIEWS: Order = [("engagement_id", "ascending")]
"""Arrow's sort is stable: within an engagement rows stay in order."""
_MAX_READS = 5
_Change = Callable[[Tables], Tables]


def write_parquet(
    store: Scanned,
    path: Path,
    views: Callable[[Tables], Mapping[str, pa.Table]],
    change: _Change | None = None,
    *,
    finish: Callable[[], None] | None = None,
) -> Path:
    """Write everything in `store` to the folder `path`, or to one file when it ends with `.parquet`; returns `path`.

    It is read and written some engagements at a time: `change` takes out of their evidence what is not to be in the
    export, and `views` makes the tables for readers that know nothing of ftnb, by name, from it as it is written.
    `finish` is called when all are through, and may raise. What is there appears at once or not at all; an earlier
    export of ours is replaced. Raises StoreError when anything else is there, or when it cannot be written.
    """
    path = path.expanduser()
    if not path.resolve().parent.is_dir():
        raise StoreError(
            f"cannot write {str(path)!r}: there is no folder {str(path.resolve().parent)!r}; create it first"
        )
    single = path.suffix == ".parquet"
    _ensure_replaceable(path, single=single)

    def made(tables: Tables) -> Mapping[str, pa.Table]:
        tables = tables if change is None else change(tables)
        return {TRACE: _one_table(tables)} if single else {**_sorted(views(tables)), **tables}

    temporary = path.resolve().parent / f".{path.name}.{new_id()}.tmp"
    try:
        for _ in range(_MAX_READS):
            revision = store.revision()[1]
            _write(store, temporary, made, single=single, what=path.name)
            if finish is not None:
                finish()
            if store.revision()[1] == revision:
                if single:
                    os.replace(temporary, path)
                else:
                    _swap(temporary, path)
                return path
            _remove(temporary)
    except FtnbError:
        raise  # of the store that is read
    except OSError as error:
        raise StoreError(f"cannot write {str(path)!r}: {error}") from error
    finally:
        _remove(temporary)
    raise StoreError(f"{store!r} is being purged or redacted; export it again afterwards")


def _write(
    store: Scanned, target: Path, made: Callable[[Tables], Mapping[str, pa.Table]], *, single: bool, what: str
) -> None:
    """The file or folder, from one reading of the store."""
    whole: Any = getattr(store, "whole", store)
    # The head first, then streams: what is recorded while we read is in neither, and is left for another time.
    head = whole.log_head() if getattr(whole, "has_proofs", False) else None
    batches = Batches(store)
    marks = {
        "ftnb.schema": str(SCHEMA_VERSION),
        "ftnb.version": _version(),
        "ftnb.root": root_of(batches.streams).hex(),
    }
    if head is not None:
        marks |= {LOG_SIZE: str(head.size), LOG_FRONTIER: head.frontier.hex()}
        marks |= {LOG_NOTE: head.note} if head.note is not None else {}
        marks |= {PARTIAL: "1"} if whole is not store else {}

    def tables() -> Iterator[Mapping[str, pa.Table]]:
        yield from map(made, reading(batches, len(batches.plan), what, doing="writing"))
        for entries in [] if head is None else entries_of(whole, head):
            yield {TRACE: _one_table({ENTRIES: entries})} if single else {ENTRIES: entries}

    if not single:
        target.mkdir()
    signer = getattr(whole, "signer", None)
    files: dict[str, RowGroups] = {}
    with ExitStack() as opened:
        for parts in tables():
            for name, table in parts.items():
                if name not in files:
                    place = target if single else target / f"{name}.parquet"
                    rows = _ROW_GROUP.get(name, _ROW_GROUP_OF_VIEWS)
                    files[name] = opened.enter_context(RowGroups(place, {**marks, "ftnb.table": name}, rows, signer))
                files[name].add(table)


def _sorted(views: Mapping[str, pa.Table]) -> Tables:
    return {name: table.sort_by(_SORT_OF_VIEWS) for name, table in views.items()}


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
    for place, name in enumerate((RECORDS, BLOBS, STREAMS, ENTRIES)):
        table = evidence[name] if name in evidence else SCHEMAS[name].empty_table()
        n = table.num_rows
        table = table.append_column("row", pa.array([ROW_OF[name]] * n, pa.string()))
        parts.append(table.append_column("_place", pa.array([place] * n, pa.int64())))
    whole = pa.concat_tables(parts, promote_options="default")
    order: Order = [
        ("engagement_id", "ascending"),
        ("_place", "ascending"),
        ("seq", "ascending"),
        ("blob_id", "ascending"),
    ]
    return whole.sort_by(order).drop_columns(["_place"])


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
