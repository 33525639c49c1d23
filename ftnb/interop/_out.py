"""Writing a file whole or not at all, readable by its owner alone."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from ..core.errors import StoreError
from ..core.ids import new_id


@contextmanager
def writing(path: Path) -> Iterator[IO[bytes]]:
    """A file that takes the place of `path` when the block is left without an error. Raises StoreError."""
    path = path.expanduser()
    fresh = path.with_name(f".{path.name}.{new_id()[-8:]}")
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0)
    try:
        if path.is_dir():
            raise StoreError(f"cannot write {str(path)!r}: it is a folder; give the name of a file")
        with os.fdopen(os.open(fresh, flags, 0o600), "wb", buffering=1 << 20) as file:
            yield file
        os.replace(fresh, path)
    except OSError as error:
        if isinstance(error, StoreError):
            raise
        raise StoreError(f"cannot write {str(path)!r}: {error.strerror or error}") from error
    finally:
        fresh.unlink(missing_ok=True)
