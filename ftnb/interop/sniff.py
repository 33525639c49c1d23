"""Which format a file, frame or database has."""

from __future__ import annotations

import contextlib
import re
import sqlite3
from pathlib import Path
from typing import Any, Literal, get_args

from ..core.errors import InvalidArgumentError, NotOurFileError, StoreError
from ..store._sqlite_seed import is_seed_database
from ._bounds import open_bytes

Format = Literal[
    "otlp", "phoenix", "mlflow", "langsmith", "langfuse", "checkpoints", "flowtraicer", "messages", "events", "ndjson",
    "ftnb",
]  # fmt: skip
FORMATS: tuple[str, ...] = get_args(Format)
_HEAD = 512 << 10
_KEY = re.compile(rb'(?<!\\)"([A-Za-z_@.$][\w.@$ -]{0,60})"\s*:')


def sniff(path: Path) -> Format:
    """The format of a file. Raises StoreError when it cannot be read, NotOurFileError when it is of no known format."""
    if path.is_dir():
        return "ftnb"
    if not path.exists():
        raise StoreError(f"nothing to read at {str(path)!r}: there is no such file or folder")
    with contextlib.closing(open_bytes(path)) as file:
        head = file.read(_HEAD)
    if head.startswith(b"SQLite format 3\x00"):
        return _database(path)
    if head[:4] == b"PAR1":
        return _parquet(path)
    text = head.lstrip(b"\xef\xbb\xbf \t\r\n")
    if not text:
        raise NotOurFileError(f"{str(path)!r} is empty")
    if text[:1] in (b"{", b"["):
        return _json(text, path)
    first = text.partition(b"\n")[0]
    if b"\x00" not in head and (b"," in first or b";" in first or b"\t" in first):
        return "events"
    raise NotOurFileError(
        f"{str(path)!r} is neither JSON, CSV, Parquet nor an SQLite database; formats: {', '.join(FORMATS)}"
    )


def _json(text: bytes, path: Path) -> Format:
    keys = {found.decode() for found in _KEY.findall(text)}
    if "resourceSpans" in keys:
        return "otlp"
    if {"stream_id", "engagement_id", "type"} <= keys and "ftnb" in keys:
        return "ndjson"
    if "run_type" in keys:
        return "langsmith"
    if "observations" in keys or ({"traceId", "type"} <= keys and keys & {"parentObservationId", "observationType"}):
        return "langfuse"
    if ("spans" in keys and keys & {"info", "trace_info"}) or {"trace_id", "span_id", "parent_span_id"} <= keys:
        return "mlflow"
    if keys & {"context.span_id", "span_kind"} and keys & {"context.span_id", "context"}:
        return "phoenix"
    if {"traceId", "spanId"} <= keys or {"context", "parent_id"} <= keys:
        return "otlp"
    if {"role", "content"} <= keys or {"from", "value", "conversations"} <= keys:
        return "messages"
    if len(keys) >= 3:
        return "events"
    raise NotOurFileError(
        f"{str(path)!r} is JSON, but of no known format (its keys: {', '.join(sorted(keys)[:8]) or 'none'}); "
        f"say which it is with format=…: {', '.join(FORMATS)}"
    )


def _database(path: Path) -> Format:
    if is_seed_database(str(path)):
        return "flowtraicer"
    tables: set[Any] = set()
    try:
        with contextlib.closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as connection:
            connection.execute("PRAGMA trusted_schema = OFF")
            tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    except sqlite3.Error as error:
        raise NotOurFileError(f"cannot read the SQLite database {str(path)!r}: {error}") from error
    if {"checkpoints", "writes"} <= tables:
        return "checkpoints"
    if any(str(name).startswith("ftnb") for name in tables) or {"record", "blob"} <= tables:
        return "ftnb"
    raise NotOurFileError(
        f"{str(path)!r} is an SQLite database, but neither LangGraph checkpoints nor traces; it has the tables: "
        f"{', '.join(sorted(map(str, tables))[:8]) or 'none'}"
    )


def _parquet(path: Path) -> Format:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        names = set(pq.read_schema(path).names)
    except (pa.ArrowException, OSError) as error:
        raise NotOurFileError(f"cannot read the Parquet file {str(path)!r}: {error}") from error
    return columns_of(names)


def columns_of(names: set[str]) -> Format:
    """The format of a table with these columns."""
    if "context.span_id" in names or {"span_id", "span_kind"} <= names:
        return "phoenix"
    if {"engagement_id", "stream_id", "n", "body"} <= names:
        return "ftnb"
    return "events"


def known(format: str | None) -> str | None:
    """`format`, if there is one of that name. Raises InvalidArgumentError."""
    if format is not None and format not in FORMATS:
        raise InvalidArgumentError(f"no format {format!r}; known: {', '.join(FORMATS)}")
    return format
