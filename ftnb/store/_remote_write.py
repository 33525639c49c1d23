"""Exports into object stores: written here, then put there file by file."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from ..core.errors import StoreError
from ._parquet_file import ENTRIES, EVIDENCE, RECORDS, VIEWS
from ._remote import RemotePath, reached, remote

_OURS = {f"{name}.parquet" for name in (*VIEWS, *EVIDENCE, ENTRIES)}


def write_remote(url: str, write: Callable[[Path], Path]) -> RemotePath:
    """Let `write` make an export here, and put it to `url`; an earlier export of ours is replaced.

    An object store cannot swap a folder at once: while one is replaced, whoever reads may find files of both, which
    `verify` tells. Raises StoreError when anything else is there.
    """
    target = remote(url)
    single = target.suffix == ".parquet"
    before = _before(target, single=single)
    with tempfile.TemporaryDirectory(prefix="ftnb-") as folder:
        made = write(Path(folder) / (target.name or "export"))
        if single:
            target.upload(made)
            return target
        # The records come last: without them a folder is no export.
        names = sorted((one.name for one in made.iterdir()), key=lambda name: name == f"{RECORDS}.parquet")
        for name in names:
            (target / name).upload(made / name)
    for name in sorted(before - set(names)):
        (target / name).unlink()
    return target


def _before(target: RemotePath, *, single: bool) -> set[str]:
    """The names of an earlier export's files. Raises StoreError when what is there is none."""
    if not target.exists():
        return set()
    if single:
        if not target.is_file() or not _is_ours(target):
            raise StoreError(f"{str(target)!r} is there and is no export of ftnb, so it is left alone; choose another")
        return set()
    if target.is_file():
        raise StoreError(f"{str(target)!r} is a file; give a folder, or a name that ends with .parquet")
    names = {one.name for one in target.iterdir()}
    foreign = sorted(name for name in names if name not in _OURS or not _is_ours(target / name))
    if foreign:
        raise StoreError(
            f"{str(target)!r} holds {foreign[0]!r}, which is no export of ftnb, so it is left alone; choose another"
        )
    return names


def _is_ours(file: RemotePath) -> bool:
    with reached(str(file)), file.open() as opened:
        try:
            return b"ftnb.schema" in (pq.read_schema(opened).metadata or {})
        except pa.ArrowException:
            return False
