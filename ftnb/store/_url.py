"""Opening a store by where it is: a path or a URL."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import unquote

from ..core.errors import InvalidArgumentError, NotOurFileError, StoreError
from .base import LogStore

_SQLITE_HEADER = b"SQLite format 3\x00"
_PARQUET_HEADER = b"PAR1"


def open_store(url: str | Path) -> LogStore:
    """The store at `url`: the path of an SQLite file, of an exported Parquet file or folder, or `sqlite:///path`.

    Never creates anything. Raises StoreError when nothing is there, NotOurFileError when it is no trace of ours,
    SchemaVersionError when a newer ftnb wrote it, InvalidArgumentError for a scheme that is not known.
    """
    path = path_of(url)
    if path.is_dir():
        return _open_parquet(path)
    if not path.exists():
        raise StoreError(_missing(path))
    try:
        with path.open("rb") as file:
            head = file.read(16)
    except OSError as error:
        raise StoreError(f"cannot read {str(path)!r}: {error.strerror or error}") from error
    if head == _SQLITE_HEADER:
        return _open_sqlite(path)
    if head.startswith(_PARQUET_HEADER) or path.suffix == ".parquet":
        return _open_parquet(path)
    what = "is empty" if not head else "is neither an SQLite file nor a Parquet file"
    raise NotOurFileError(f"{str(path)!r} {what}, so there are no traces to open in it")


def path_of(url: str | Path) -> Path:
    if isinstance(url, Path):
        return url.expanduser()
    scheme, separator, rest = url.partition("://")
    if not separator:
        if url == ":memory:":
            raise InvalidArgumentError(
                "':memory:' is a new, empty database each time; pass the store object that was recorded into instead"
            )
        return Path(url).expanduser()
    if scheme not in ("sqlite", "file"):
        raise InvalidArgumentError(
            f"cannot open {url!r}: no store for the scheme {scheme!r}; known: sqlite:///path, file:///path, or a path"
        )
    if not rest.startswith("/"):
        raise InvalidArgumentError(f"cannot open {url!r}: write an absolute path with three slashes, {scheme}:///path")
    return Path(unquote(rest))


def _missing(path: Path) -> str:
    if not path.parent.is_dir():
        return f"nothing to open at {str(path)!r}: there is no folder {str(path.parent)!r}"
    beside = sorted(found.name for found in path.parent.iterdir() if found.suffix in (".db", ".parquet"))
    hint = f"; in that folder: {', '.join(beside[:5])}" if beside else ""
    return f"nothing to open at {str(path)!r}: there is no such file or folder (opening never creates one){hint}"


def _open_sqlite(path: Path) -> LogStore:
    from .sqlite import SQLiteStore

    return SQLiteStore(path)


def _open_parquet(path: Path) -> LogStore:
    from .parquet import ParquetStore

    return ParquetStore(path)
