"""SQLite databases of others: opened for reading only, with nothing in them that runs."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from typing import Any

from ..core.errors import NotOurFileError
from ._bounds import MAX_ITEM
from ._source import Source

_CHECKED = 256 << 20
_PAGE = 200


def open_database(source: Source) -> sqlite3.Connection:
    """The database, read only: no extensions, no functions in its schema, no memory maps. Raises NotOurFileError."""
    assert source.path is not None
    connection = sqlite3.connect(f"{source.path.absolute().as_uri()}?mode=ro", uri=True)
    try:
        connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, MAX_ITEM)
        connection.setlimit(sqlite3.SQLITE_LIMIT_ATTACHED, 0)
        for pragma in ("trusted_schema = OFF", "cell_size_check = ON", "mmap_size = 0", "query_only = ON"):
            connection.execute(f"PRAGMA {pragma}")
        if source.path.stat().st_size <= _CHECKED:
            told = connection.execute("PRAGMA quick_check(1)").fetchone()
            if told != ("ok",) and source.strict:
                raise NotOurFileError(f"{source.where}: the database is damaged: {told and told[0]}")
    except sqlite3.Error as error:
        connection.close()
        raise NotOurFileError(f"{source.where}: not an SQLite database that can be read: {error}") from error
    except NotOurFileError:
        connection.close()
        raise
    connection.text_factory = _text
    return connection


def rows(connection: sqlite3.Connection, source: Source, query: str, given: Sequence[Any] = ()) -> Iterator[Any]:
    """The rows of a query. A damaged page ends it: an error, unless errors are allowed."""
    try:
        cursor = connection.execute(query, given)
        while page := cursor.fetchmany(_PAGE):
            yield from page
    except sqlite3.Error as error:
        if source.strict:
            raise NotOurFileError(f"{source.where}: {error}") from error
        source.bad(None, f"the database: {error}")


def _text(data: bytes) -> str:
    return data.decode("utf-8", "replace")
