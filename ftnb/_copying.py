"""`ftnb.copy`: a store into another, or into an export."""

from __future__ import annotations

from collections.abc import Callable
from os import PathLike
from pathlib import Path
from typing import Any

from .core._progress import Progress
from .core.errors import InvalidArgumentError
from .store._copy import Copied, copy_store
from .store._remote import is_remote
from .store._url import is_server, make_store, path_of
from .store.base import LogStore, Store
from .traces import Traces, open

__all__ = ["Copied", "copy"]


def copy(
    source: str | PathLike[str] | Store | Traces,
    target: str | PathLike[str] | Store,
    *,
    progress: bool | Callable[[int, int], Any] = True,
) -> Copied | Path:
    """Copy everything in `source` into `target`, from any backend to any other, with every hash as it was; of traces
    that were narrowed (`tr.where(…)`), what they show.

    A target store is made when it is not there; what it holds stays, and a copy that was interrupted goes on where it
    stopped. A target that ends with `/` or `.parquet`, or is a folder or in an object store, is an export
    (`to_parquet`), whose path is returned; `parquet:///folder`, or a folder that is recorded into already, is a store.
    `progress` may be a function that is given (done, total). Raises what `ftnb.open` does, and StoreError where the
    target holds other records of the same stream.
    """
    tr = source if isinstance(source, Traces) else open(source)
    into: Any = target
    try:
        if isinstance(target, str | PathLike):
            text = str(target)
            if is_remote(text):
                return tr.to_parquet(text)
            if not is_server(text) and _is_export(text):
                return tr.to_parquet(path_of(text))
            into = make_store(text)
        if not isinstance(into, LogStore):
            raise InvalidArgumentError(f"only a store of ftnb can take a copy with its hashes; got {into!r}")
        return copy_store(tr.store, into, at=_shown(progress))
    finally:
        if isinstance(source, str | PathLike):
            tr.close()
        if into is not target:
            into.close()


def _is_export(target: str) -> bool:
    if target.startswith("parquet://"):
        return target.endswith(".parquet")
    from .store._segments import is_store

    path = path_of(target)
    return (target.endswith(("/", ".parquet")) or path.is_dir()) and not is_store(path)


def _shown(progress: bool | Callable[[int, int], Any]) -> Callable[[int, int], None]:
    shown: list[Progress] = []

    def at(done: int, total: int) -> None:
        if not shown:
            shown.append(Progress(total, progress))
        shown[0].at(done, f"{done:,} of {total:,} engagements")

    return at
