"""Recorded traces, opened: frames over all engagements, and handles on single ones. Forwards; the work is elsewhere."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from os import PathLike, fspath
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, cast

from ._handles import EngagementHandle, StepHandle
from ._questions import Questions
from .core.errors import InvalidArgumentError, UnknownEngagementError
from .store._narrow import NarrowStore
from .store._url import open_store
from .store.base import LogStore, Store

if TYPE_CHECKING:
    from datetime import timedelta

    import polars as pl

    from .analytics._engines import Engine
    from .audit import Trail
    from .audit._redact import Redacted
    from .browse import Found
    from .frames import Frames
    from .interop._report import Report
    from .interop._span_form import Convention
    from .interop.sniff import Format
    from .retention import Retention
    from .widget.browser import BrowserView

__all__ = ["EngagementHandle", "Imported", "StepHandle", "Traces", "open", "read"]

FrameKind = Literal["polars", "pandas"]
_MIN_PREFIX = 6


def open(
    source: str | PathLike[str] | Store | Sequence[str | PathLike[str] | Store],
    *,
    frames: FrameKind = "polars",
    engine: Engine | None = None,
) -> Traces:
    """The traces at `source`: an SQLite file, a folder of Parquet, an exported file or folder (also in an object store:
    `s3://…`), the URL of a server, or a store.

    A list of these is read as one, and is read-only. An engagement that is in several of them is taken once; where one
    has more of it, that is taken. Raises StoreError where they say different things of the same part of it.

    `frames` is the kind of dataframe that the methods return. Opening never creates anything; raises StoreError when
    nothing is there, NotOurFileError when it holds no trace of ours, SchemaVersionError when a newer ftnb wrote it.

    `engine` ("polars", "duckdb", "spark") lets questions over many engagements read the tables of an exported folder
    where they are, only the columns that they need, also when they do not fit into memory.
    """
    if isinstance(source, str):
        return Traces(open_store(source), frames=frames, engine=engine)
    if isinstance(source, Sequence):
        from .store._union import open_union

        store: Store = open_union(source, lambda one: open_store(one if isinstance(one, str) else Path(one)))
        return Traces(store, frames=frames, engine=engine)
    store = open_store(Path(source)) if isinstance(source, PathLike) else source
    return Traces(store, frames=frames, engine=engine)


def read(
    source: Any,
    *,
    format: Format | None = None,
    strict: bool = True,
    into: str | PathLike[str] | Store | None = None,
    columns: Mapping[str, str] | None = None,
    frames: FrameKind = "polars",
) -> Imported:
    """The traces in a file, database or dataframe of another tool; what it is, is seen from what is in it.

    OTLP JSON (GenAI conventions or OpenInference), Phoenix, MLflow, LangSmith, Langfuse, LangGraph's checkpoint
    databases (SQLite, `postgresql://…`), flowtraicer, chat messages, and event tables of three columns. `format` says
    which, where that is not clear. `columns` names those of an event table: `{"case": …, "activity": …, "time": …}`.

    `strict=False` passes over what cannot be read and lists it in `.errors`. `into` is a store or a path to add them
    to: ids follow from the source, so that what is there already is not added again. `.report` says what was kept.

    Raises NotOurFileError, which names file, line and reason, StoreError, and InvalidArgumentError.
    """
    from .interop._read import load

    place = Path(into) if isinstance(into, PathLike) else into
    found = load(source, format=format, strict=strict, into=place, columns=columns)
    return Imported(found.store, found.report, frames=frames)


class Traces(Questions):
    """All engagements of one store.

    Frames are computed when first asked for and kept; after the store has grown, only what is new is computed.
    Their columns are declared in `ftnb.frames.schema`; `ftnb.frames.data_dictionary()` prints them.
    """

    def __init__(self, store: Store, *, frames: FrameKind = "polars", engine: Engine | None = None) -> None:
        """`store` must be in log format v1, as all stores of this package are; with `engine`, an exported folder."""
        if not isinstance(store, LogStore):
            raise InvalidArgumentError(f"frames need a store of ftnb, with scan() and revision(); got {store!r}")
        if frames not in ("polars", "pandas"):
            raise InvalidArgumentError(f"no frames of kind {frames!r}; known: polars, pandas")
        self.store: LogStore = store
        if engine is not None:
            from .analytics._engines import ensure_views

            ensure_views(store, engine)
        self._kind = frames
        self.engine = engine
        self._kept: tuple[tuple[int, int], Frames] | None = None

    def __repr__(self) -> str:
        return f"Traces({self.store!r})"

    # --- a part of them ---

    def where(self, **metadata: Any) -> Traces:
        """The engagements whose metadata has these entries; all frames and questions of the view are about them.

        A key that is not there equals None. Views can be narrowed again, read and exported; nothing is written or
        erased through them, but annotations.
        """
        what = " and ".join(f"{key} is {value!r}" for key, value in metadata.items()) or "anything"
        store = self.store
        return _View(self, lambda: frozenset(one.id for one in store.list_engagements(metadata)), what)

    def only(self, engagement_ids: Iterable[str]) -> Traces:
        """The engagements of these ids, as `where` gives those with some metadata; a column of a frame will do.

        Raises UnknownEngagementError for an id that is not there.
        """
        if isinstance(engagement_ids, str):
            engagement_ids = [engagement_ids]
        chosen = frozenset(str(one) for one in engagement_ids)
        known = frozenset(self._frames().engagements()["engagement_id"])
        for unknown in sorted(chosen - known):
            raise UnknownEngagementError.of(unknown, sorted(known, reverse=True)[:5])
        return _View(self, lambda: chosen, f"the id is one of {len(chosen)}")

    def _frames(self) -> Frames:
        from .frames import Frames, refreshed

        revision = self.store.revision()
        kept = self._kept
        if kept is None or kept[0][1] != revision[1] or revision[0] < kept[0][0]:
            self._kept = kept = (revision, Frames(self.store))
        elif kept[0] != revision:
            self._kept = kept = (revision, refreshed(kept[1], self.store, kept[0][0]))
        return kept[1]

    def _given(self, frame: pl.DataFrame) -> pl.DataFrame:
        # One method, one documented type; who asked for pandas knows that it is pandas.
        return frame if self._kind == "polars" else frame.to_pandas()  # type: ignore[return-value]

    # --- frames ---

    def engagements(self, *, meta: Sequence[str] = ()) -> pl.DataFrame:
        """One row an engagement, oldest first; `meta` adds these metadata keys as typed columns.

        A key that is also the name of a column gives `metadata.<key>`.
        """
        return self._given(self._frames().engagements(meta))

    def steps(self) -> pl.DataFrame:
        """One row a step execution, in order of execution, engagement after engagement."""
        return self._given(self._frames().steps)

    def events(self, *, payload: bool = False) -> pl.DataFrame:
        """One row an event; `payload=True` adds what each carried, as JSON text (it reads every payload)."""
        return self._given(self._frames().events(payload=payload))

    def transitions(self) -> pl.DataFrame:
        """One row a pair of causally consecutive steps, and one a start (null from) or end (null to)."""
        return self._given(self._frames().transitions)

    def extractions(self) -> pl.DataFrame:
        """One row an extraction."""
        return self._given(self._frames().extractions)

    def intent_switches(self) -> pl.DataFrame:
        """One row an entry of a global step."""
        return self._given(self._frames().intent_switches)

    def annotations(self) -> pl.DataFrame:
        """One row an annotation, in the order in which they were made within an engagement."""
        return self._given(self._frames().annotations)

    def scan_engagements(self, *, meta: Sequence[str] = ()) -> pl.LazyFrame:
        """The lazy twin of `engagements`; always polars, like every `scan_` method."""
        return self._frames().engagements(meta).lazy()

    def scan_steps(self) -> pl.LazyFrame:
        """The lazy twin of `steps`."""
        return self._frames().steps.lazy()

    def scan_events(self, *, payload: bool = False) -> pl.LazyFrame:
        """The lazy twin of `events`."""
        return self._frames().events(payload=payload).lazy()

    def scan_transitions(self) -> pl.LazyFrame:
        """The lazy twin of `transitions`."""
        return self._frames().transitions.lazy()

    # --- engagements ---

    def engagement(self, engagement_id: str) -> EngagementHandle:
        """One engagement, by its id or by a beginning of it that no other has (six characters or more).

        Raises UnknownEngagementError.
        """
        if not isinstance(engagement_id, str):
            raise InvalidArgumentError(f"an engagement is asked for by its id, a text; got {engagement_id!r}")
        handle = EngagementHandle(self.store, engagement_id)
        try:
            handle.load()
        except UnknownEngagementError:
            begun = _begun_with(self.store, engagement_id) if len(engagement_id) >= _MIN_PREFIX else []
            if len(begun) == 1:
                return EngagementHandle(self.store, begun[0])
            if begun:
                raise UnknownEngagementError(
                    f"{len(begun)} engagements begin with {engagement_id!r}: {', '.join(begun[:5])}; give more of it"
                ) from None
            raise
        return handle

    def last(self) -> EngagementHandle:
        """The engagement that began last. Raises UnknownEngagementError when there is none."""
        newest = self.store.list_engagements(limit=1, newest=True)
        if not newest:
            raise UnknownEngagementError(f"{self.store!r} holds no engagement yet; run the agent first")
        return EngagementHandle(self.store, newest[0].id)

    # --- looking at many ---

    def browse(self, text: str = "", **query: Any) -> BrowserView:
        """The inline browser: engagements to sort, choose and open; what these traces show as the last line of a cell.

        `text` stands in a name, an id, the metadata or an error; with `within="values"` in any recorded value, as of
        `search`. `query`: `sort` (a column, "duration_ms"),
        `descending`, `page` (from 0), and `picked`, as [{"field": "status", "values": ["failed"]}]; metadata is chosen
        by as "meta:<key>". Needs `anywidget`; `engagements()` is the same as a frame.
        """
        from .browse._pages import browse_frame

        return browse_frame(self.store, lambda: self._frames().engagements(), repr(self), text=text, **query)

    def search(
        self,
        text: str,
        *,
        in_: str | Iterable[str] | None = None,
        case: bool = False,
        limit: int = 500,
        progress: bool | Callable[[int, int], Any] = True,
    ) -> Found:
        """Recorded values that hold `text`, in any step of any engagement, the newest engagements first.

        `in_` names where to look: input, output, messages, tool_args, tool_result, error, extraction, log, metadata,
        note; everywhere when None. Upper and lower case are the same unless `case`. A value that is handed on from step
        to step is told once, where it came first. It ends with the engagement in which `limit` is reached, or on an
        interrupt; `.complete` says whether it saw all. The result has `.frame()`; shown in a cell, a row of it opens
        the run at the step. Raises InvalidArgumentError.
        """
        from .browse import search_traces

        return search_traces(self.store, text, in_=in_, case=case, limit=limit, progress=progress)

    # --- proofs ---

    @property
    def audit(self) -> Trail:
        """What the store can prove. Raises StoreError for one that gives no proofs."""
        from .audit import Trail

        return Trail(self.store)

    def retention(self, max_age: timedelta | str | None = None, **policy: Any) -> Retention:
        """How long engagements are kept, as `tr.retention(max_age="90d").plan()`; `policy` as of `Retention`."""
        from .retention import Retention

        return Retention(self.store, max_age, **policy)

    def redact(self, **what: Any) -> Redacted:
        """Take content out of all of these engagements, for good: `tr.redact(pattern=r"…", reason="…", by="…")`; the
        options are those of `ftnb.audit.Trail.redact`."""
        from .audit._redact import redact

        ids = [one.id for one in self.store.list_engagements()]
        return redact(getattr(self.store, "whole", self.store), ids, **what)

    # --- sharing ---

    def to_parquet(self, path: str | PathLike[str], *, withhold: Sequence[str | tuple[str, int]] = ()) -> Path:
        """Write everything to one folder, or to one file when `path` ends with `.parquet`; `ftnb.open` reads both, and
        `ftnb.verify` proves that it is what was recorded.

        `withhold` names content that is left out, with all proofs intact: `"email"` (of the metadata),
        `"payload.text"`, `"step:search"`, `"header:names"`, a blob id, or (stream id, position); see `Trail.export`.

        `path` may be a URL that fsspec reaches (`s3://bucket/share`); `str()` of what is returned is then that URL.

        Raises StoreError when `path` holds anything that is not an earlier export of ours, InvalidArgumentError for
        what is nowhere.
        """
        from .audit import export_parquet
        from .store._remote import is_remote
        from .store._url import path_of

        if is_remote(path):
            from .store._remote_write import write_remote

            put = write_remote(str(path), lambda here: export_parquet(self.store, here, withhold))
            return cast(Path, put)  # as far as a place to read from goes
        return export_parquet(self.store, path_of(fspath(path)), withhold)

    def to_otlp(self, path: str | PathLike[str], *, attributes: Convention = "both") -> Report:
        """Write everything as OTLP JSON (`.jsonl`: a line an engagement), a trace a turn; `read` takes it back.

        `attributes`: "genai" (OpenTelemetry's conventions), "openinference", or "both". What has no place is in the
        report that it returns.
        """
        from .interop._write import otlp

        return otlp(self.store, Path(path), attributes)

    def to_perfetto(self, path: str | PathLike[str]) -> Report:
        """Write everything as a Chrome trace, which ui.perfetto.dev opens: steps and calls over time."""
        from .interop._write import perfetto

        return perfetto(self.store, Path(path))

    def to_event_log(self, path: str | PathLike[str]) -> Report:
        """Write all steps as three columns (case, activity, time; CSV or `.parquet`), for pm4py and its like."""
        from .interop._write import event_log

        return event_log(self._frames().steps, Path(path))

    def to_ndjson(self, path: str | PathLike[str]) -> Report:
        """Write every record as a line of JSON, with the values that it refers to; `read` takes them back exactly."""
        from .interop.ndjson import write

        return write(self.store, Path(path))

    def close(self) -> None:
        """Release the store."""
        self.store.close()

    # --- display ---

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> Any:
        from .core.errors import FtnbError

        text = {"text/plain": repr(self)}
        try:
            data, metadata = self.browse()._repr_mimebundle_(include=include, exclude=exclude)
        except (ImportError, FtnbError):  # no anywidget here, or no bundle: a display never breaks a cell
            return {**text, "text/html": self._listed()}
        return {**data, **text}, metadata

    def _listed(self) -> str:
        """The newest engagements as a table."""
        from .widget.browse import Catalogue, first_query
        from .widget.browser_table import static_table

        return static_table(Catalogue(self._frames().engagements()).page(first_query(), title=repr(self)))


class Imported(Traces):
    """Traces that `read` took from a file of another tool; they are in this process's memory, or where `into` says."""

    def __init__(self, store: Store, report: Report, *, frames: FrameKind = "polars") -> None:
        super().__init__(store, frames=frames)
        self.report = report
        """What was mapped, guessed and left out, by field, with counts; a table in a notebook."""

    @property
    def errors(self) -> pl.DataFrame:
        """One row an item that could not be read (`strict=False`): file, line, reason, text."""
        return self._given(self.report.errors())


class _View(Traces):
    """Some of the engagements of other traces."""

    def __init__(self, whole: Traces, choose: Callable[[], frozenset[str]], what: str) -> None:
        self._narrow = NarrowStore(whole.store, choose, what)
        super().__init__(self._narrow, frames=whole._kind)
        self._whole = whole

    def _frames(self) -> Frames:
        from .frames._narrow import NarrowFrames

        revision = self.store.revision()
        if self._kept is None or self._kept[0] != revision:
            self._kept = (revision, NarrowFrames(self._whole._frames(), self._narrow.ids))
        return self._kept[1]


def _begun_with(store: LogStore, beginning: str) -> list[str]:
    """Ids of engagements that begin with `beginning`, newest first; one whose start was lost is not among them."""
    started = store.scan(["engagement_id"], types=("engagement_started",))["engagement_id"].unique().to_pylist()
    return [str(found) for found in reversed(started) if str(found).startswith(beginning)]
