"""Files in object stores and other places that fsspec reaches, as far as exports need them."""

from __future__ import annotations

import importlib
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import Any

from ..core._optional import require
from ..core.errors import FtnbError, InvalidArgumentError, MissingPackageError, StoreError

_SCHEME = re.compile(r"[a-z][a-z0-9+.-]*")
_USUAL = frozenset({"s3", "s3a", "gs", "gcs", "az", "abfs", "abfss", "adl", "http", "https"})
_WITHOUT_FOLDERS = _USUAL - {"http", "https"}
"""Object stores: the only folders that could be made there are buckets, and a slip of the pen should make none."""
_LOCAL = frozenset({"file", "local", "sqlite", "parquet"})


class RemotePath:
    """A file or folder at a URL; the part of `pathlib.Path` that reading an export takes."""

    def __init__(self, filesystem: Any, path: str, url: str) -> None:
        self._filesystem, self._path, self._url = filesystem, path.rstrip("/"), url.rstrip("/")

    def __str__(self) -> str:
        return self._url

    def __repr__(self) -> str:
        return f"RemotePath({self._url!r})"

    def __lt__(self, other: RemotePath) -> bool:
        return self._url < other._url

    def __truediv__(self, name: str) -> RemotePath:
        return RemotePath(self._filesystem, f"{self._path}/{name}", f"{self._url}/{name}")

    @property
    def name(self) -> str:
        """The last part."""
        return PurePosixPath(self._path).name

    @property
    def stem(self) -> str:
        """The last part without its suffix."""
        return PurePosixPath(self._path).stem

    @property
    def suffix(self) -> str:
        """The suffix with its dot, or nothing."""
        return PurePosixPath(self._path).suffix

    def exists(self) -> bool:
        """Whether there is anything. Raises StoreError where that cannot be said."""
        with reached(self._url):
            return bool(self._filesystem.exists(self._path))

    def is_file(self) -> bool:
        """Whether it is a file."""
        with reached(self._url):
            return bool(self._filesystem.isfile(self._path))

    def is_dir(self) -> bool:
        """Whether files lie under it."""
        with reached(self._url):
            return bool(self._filesystem.isdir(self._path))

    def iterdir(self) -> Iterator[RemotePath]:
        """What lies in it."""
        with reached(self._url):
            found = [one.rstrip("/").rpartition("/")[2] for one in self._filesystem.ls(self._path, detail=False)]
        yield from (self / name for name in sorted(found) if name)

    def resolve(self) -> RemotePath:
        """Itself."""
        return self

    def open(self, mode: str = "rb") -> Any:
        """The opened file. Raises OSError."""
        return self._filesystem.open(self._path, mode)

    def read_bytes(self) -> bytes:
        """All of it. Raises OSError."""
        with self.open() as file:
            return bytes(file.read())

    def size(self) -> int:
        """Bytes. Raises OSError."""
        return int(self._filesystem.size(self._path))

    def upload(self, file: Path) -> None:
        """Put a local file there, as a whole or not at all as far as the storage can. Raises StoreError."""
        with reached(self._url):
            if self._url.partition("://")[0] not in _WITHOUT_FOLDERS:
                self._filesystem.makedirs(self._path.rpartition("/")[0] or "/", exist_ok=True)
            self._filesystem.put_file(str(file), self._path)
            self._filesystem.invalidate_cache()

    def unlink(self) -> None:
        """Remove the file. Raises StoreError."""
        with reached(self._url):
            self._filesystem.rm_file(self._path)


AnyPath = Path | RemotePath


def is_remote(url: object) -> bool:
    """Whether `url` is a URL of something that fsspec reaches, or would with a package more."""
    if not isinstance(url, str) or "://" not in url:
        return False
    scheme = url.partition("://")[0]
    if scheme in _LOCAL or not _SCHEME.fullmatch(scheme):
        return False
    try:
        fsspec: Any = importlib.import_module("fsspec")
    except ModuleNotFoundError:
        return scheme in _USUAL
    return scheme in fsspec.available_protocols()


def remote(url: str) -> RemotePath:
    """What is at `url`. Raises MissingPackageError, InvalidArgumentError, StoreError."""
    fsspec: Any = require("fsspec", feature=f"reading {url}", extra="cloud")
    try:
        filesystem, path = fsspec.core.url_to_fs(url)
    except ImportError as error:
        raise MissingPackageError(
            f"{url!r} needs a package that is not installed ({error}). Install it with: pip install 'ftnb[cloud]'"
        ) from error
    except FtnbError:
        raise
    except ValueError as error:
        raise InvalidArgumentError(f"cannot open {url!r}: {error}") from error
    except Exception as error:  # each kind of storage has errors of its own
        raise _unreached(url, error) from error
    return RemotePath(filesystem, path, url)


@contextmanager
def reached(url: str) -> Iterator[None]:
    """Turn what storage says into one kind of error. Raises StoreError."""
    try:
        yield
    except FtnbError:
        raise
    except Exception as error:  # each kind of storage has errors of its own
        raise _unreached(url, error) from error


def _unreached(url: str, error: Exception) -> StoreError:
    said = str(error).strip() or type(error).__name__
    return StoreError(f"cannot reach {url!r}: {said}. Check the address, and the credentials that fsspec is given")
