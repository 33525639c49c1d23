"""Reading foreign traces into a store: what `ftnb.read` calls."""

from __future__ import annotations

import gc
import tempfile
import weakref
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from os import PathLike
from pathlib import Path
from typing import Any

from ..core.errors import InvalidArgumentError, NotOurFileError
from ..store._url import make_store, open_store, path_of
from ..store.base import LogStore
from . import sniff
from ._forms import Span
from ._into import Sink, write_spans
from ._report import Report
from ._source import Source

_COLLECT_AFTER = 200_000
"""Objects that are new until the garbage collector looks for cycles."""
_LARGE = 24 << 20
"""Files from this size go to a database on disk, not to memory."""
_TITLES = {
    "otlp": "OTLP", "phoenix": "Phoenix", "mlflow": "MLflow", "langsmith": "LangSmith", "langfuse": "Langfuse",
    "checkpoints": "LangGraph checkpoints", "flowtraicer": "flowtraicer", "messages": "chat messages",
    "events": "event table", "ndjson": "NDJSON", "ftnb": "ftnb",
}  # fmt: skip


@dataclass
class Loaded:
    """What was read, and where to."""

    store: LogStore
    report: Report


def load(
    given: Any, *, format: str | None, strict: bool, into: Any, columns: Mapping[str, str] | None
) -> Loaded:  # fmt: skip
    """See `ftnb.read`."""
    sniff.known(format)
    source, found = _source(given, format, strict)
    if found == "ftnb":
        if into is not None:
            raise InvalidArgumentError(f"{source.where} is a store of ftnb already: open it with ftnb.open(…)")
        return Loaded(open_store(Path(str(given)) if source.path else str(given)), source.report)
    is_large = source.path is not None and source.path.stat().st_size >= _LARGE
    store = _store(into, is_large)
    options = {"columns": dict(columns)} if columns is not None else {}
    if options and found != "events":
        raise InvalidArgumentError(f"columns= is for event tables; {source.where} is read as {_TITLES[found]}")
    module = import_module(f"{__package__}.{found}")
    with _collecting_rarely(), Sink(store, source.report) as sink:
        if hasattr(module, "spans"):
            read: Callable[[Source], Iterator[Span]] = module.spans
            write_spans(_counted(read(source), source), sink, source.report, found)
        else:
            module.load(source, sink, **options)
    source.report.counts["engagements"] = len(sink.engagements)
    if not sink.engagements and not source.report.n_errors:
        raise NotOurFileError(f"{source.where}: there is nothing in it that can be read as {_TITLES[found]}")
    return Loaded(store, source.report)


@contextmanager
def _collecting_rarely() -> Iterator[None]:
    """What is read has no cycles, and there is much of it: the garbage collector would spend a fifth of the time on
    looking through it again and again."""
    before = gc.get_threshold()
    if not before[0]:  # the caller turned it off
        yield
        return
    gc.set_threshold(max(before[0], _COLLECT_AFTER), *before[1:])
    try:
        yield
    finally:
        gc.set_threshold(*before)


def _counted(spans: Iterator[Span], source: Source) -> Iterator[Span]:
    for span in spans:
        source.report.counts["spans"] += 1
        yield span


def _source(given: Any, format: str | None, strict: bool) -> tuple[Source, str]:
    if isinstance(given, (str, PathLike)):
        text = str(given)
        if text.partition("://")[0] in ("postgresql", "postgres"):
            where = text.partition("@")[2] or text.partition("://")[2]
            found = format or "checkpoints"
            return Source(where, Report(_TITLES[found], where), strict, dsn=text), found
        path = path_of(given if isinstance(given, Path) else text)
        found = format or sniff.sniff(path)
        return Source(str(path), Report(_TITLES[found], path.name), strict, path=path), found
    if isinstance(given, (list, dict)):
        raise InvalidArgumentError(
            "a path or a frame can be read, not a value; write it to a file as JSON first, or make a frame of it"
        )
    frame = frame_of(given)
    found = format or sniff.columns_of(set(frame.columns))
    return Source("the frame", Report(_TITLES[found], "a frame"), strict, frame=frame), found


def frame_of(given: Any) -> Any:
    """Any frame (polars, pandas, Arrow, or another that narwhals knows) as polars. Raises InvalidArgumentError."""
    import narwhals as nw

    try:
        frame: Any = nw.from_native(given)
    except TypeError:
        raise InvalidArgumentError(f"a path, a URL or a dataframe can be read; got {type(given).__name__}") from None
    if isinstance(frame, nw.LazyFrame):
        frame = frame.collect()
    index = getattr(getattr(given, "index", None), "name", None)
    if index is not None and index not in frame.columns:  # pandas: Phoenix has the span's id as its index
        frame = nw.from_native(given.reset_index())
    return frame.to_polars()


def _store(into: Any, is_large: bool) -> LogStore:
    if into is not None:
        store = make_store(into) if isinstance(into, (str, Path)) else into
        if not isinstance(store, LogStore):
            raise InvalidArgumentError(f"into= is a path, a URL or a store of ftnb; got {into!r}")
        return store
    if not is_large:
        from ..store.memory import MemoryStore

        return MemoryStore()
    from ..store.sqlite import SQLiteStore

    folder = tempfile.TemporaryDirectory(prefix="ftnb-", ignore_cleanup_errors=True)
    large = SQLiteStore(Path(folder.name) / "imported.db")
    weakref.finalize(large, folder.cleanup)
    return large
