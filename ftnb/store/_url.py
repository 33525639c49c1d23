"""Opening a store by where it is: a path or a URL.

traces.db, sqlite:///abs/traces.db       an SQLite file
folder/, parquet:///abs/folder           a folder of Parquet that is recorded into; or an export
file.parquet                             an export
s3://, gs://, az://, … (fsspec)          an export in an object store, or what was published of such a folder
redis://host:6379/0#prefix               Redis (also rediss:// and unix://); without #prefix: ftnb
postgresql://user@host/db#table          PostgreSQL (also postgres://); without #table: ftnb_records
"""

from __future__ import annotations

import os
from pathlib import Path
from urllib.parse import unquote

from ..core.errors import InvalidArgumentError, NotOurFileError, StoreError
from .base import LogStore

_SQLITE_HEADER = b"SQLite format 3\x00"
_PARQUET_HEADER = b"PAR1"


_REDIS = ("redis", "rediss", "unix")
_POSTGRES = ("postgresql", "postgres")
_KNOWN = "sqlite:///path, parquet:///folder, file:///path, redis://, rediss://, unix://, postgresql://, or a path"


def open_store(url: str | Path) -> LogStore:
    """The store at `url`: the path of an SQLite file, of an exported Parquet file or folder, or a URL.

    Never creates anything; a file that may not be written is opened for reading only. Raises StoreError when nothing
    is there, NotOurFileError when it is no trace of ours, SchemaVersionError when a newer ftnb wrote it,
    InvalidArgumentError for a scheme that is not known, MissingPackageError when the scheme needs one.
    """
    if isinstance(url, str) and is_server(url):
        return _open_server(url, create=False)
    if isinstance(url, str) and _is_elsewhere(url):
        return _open_parquet(url)
    path = path_of(url)
    if path.is_dir():
        return _open_folder(path)
    if not path.exists():
        raise StoreError(_missing(path))
    # A file that SQLite holds open must not be opened and closed here: that would drop SQLite's locks on it.
    head = _SQLITE_HEADER if Path(f"{path}-wal").exists() else _head(path)
    if head == _SQLITE_HEADER:
        if path.name == "tail.db" and (path.parent / "manifest.json").is_file():
            return _open_folder(path.parent)  # it is a part of that store
        return _open_sqlite(path)
    if head.startswith(_PARQUET_HEADER) or path.suffix == ".parquet":
        return _open_parquet(path)
    what = "is empty" if not head else "is neither an SQLite file nor a Parquet file"
    raise NotOurFileError(f"{str(path)!r} {what}, so there are no traces to open in it")


def make_store(url: str | Path) -> LogStore:
    """The store to record into at `url`: made when it is not there. A folder, and what ends with `/`, is one of
    Parquet. Raises what `open_store` does."""
    if isinstance(url, str) and is_server(url):
        return _open_server(url, create=True)
    if isinstance(url, str) and _is_elsewhere(url):
        raise InvalidArgumentError(
            f"cannot record into {url!r}: object stores take whole files. Record into a folder or a server, and write "
            f"to_parquet({url!r}) from it"
        )
    if url != ":memory:" and names_folder(url):
        from .parquet import ParquetStore

        return ParquetStore(path_of(url))
    from .sqlite import SQLiteStore

    return SQLiteStore(url if url == ":memory:" else path_of(url))


def names_folder(url: str | Path) -> bool:
    """Whether a store at `url` would be a folder of Parquet."""
    text = str(url)
    return text.startswith("parquet://") or text.endswith(("/", os.sep)) or path_of(url).is_dir()


def is_server(url: str) -> bool:
    """Whether `url` names a server, not a file."""
    return url.partition("://")[0] in (*_REDIS, *_POSTGRES) and "://" in url


def _open_server(url: str, *, create: bool) -> LogStore:
    server, _, name = url.partition("#")
    if server.partition("://")[0] in _REDIS:
        from .redis import RedisStore

        return RedisStore(server, key_prefix=unquote(name) or "ftnb")
    from .postgres import PostgresStore

    return PostgresStore(server, table=unquote(name) or "ftnb_records", create=create)


def _head(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(16)
    except OSError as error:
        raise StoreError(f"cannot read {str(path)!r}: {error.strerror or error}") from error


def path_of(url: str | Path) -> Path:
    """The path that `url` names. Raises InvalidArgumentError when it names none."""
    if "\x00" in str(url):
        raise InvalidArgumentError(f"no file can be called {str(url)!r}: it holds a NUL")
    if isinstance(url, Path):
        return url.expanduser()
    scheme, separator, rest = url.partition("://")
    if not separator:
        if url == ":memory:":
            raise InvalidArgumentError(
                "':memory:' is a new, empty database each time; pass the store object that was recorded into instead"
            )
        return Path(url).expanduser()
    if scheme not in ("sqlite", "file", "parquet"):
        raise InvalidArgumentError(f"cannot open {url!r}: no store for the scheme {scheme!r}; known: {_KNOWN}")
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
    from ._sqlite_publish import recorded_elsewhere
    from .sqlite import SQLiteStore

    return SQLiteStore(path, read_only=not os.access(path, os.W_OK) or recorded_elsewhere(path) is not None)


def _open_folder(path: Path) -> LogStore:
    from ._segments import TAIL, is_store

    if not is_store(path) or not (path / TAIL).is_file():
        return _open_parquet(path)
    from .parquet import ParquetStore

    places = (path, path / TAIL)
    return ParquetStore(path, read_only=not all(os.access(place, os.W_OK) for place in places))


def _is_elsewhere(url: str) -> bool:
    """Whether `url` is in an object store, or whatever else fsspec reaches."""
    if "://" not in url:
        return False
    from ._remote import is_remote

    return is_remote(url)


def _open_parquet(path: Path | str) -> LogStore:
    from .parquet_export import ParquetExport

    return ParquetExport(path)
