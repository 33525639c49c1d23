"""What a funnel reads of its source: the engagements it is about, and on demand events and annotations."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import narwhals as nw
import polars as pl

from ..core.errors import InvalidArgumentError
from ..frames import Frames
from ..store.base import LogStore
from ._engines import PolarsSteps, Steps, Views
from ._source import Opened, _declared, _metadata_matches, _polars, _runs_of_users, checked_where, opened, views_at
from ._sql import SqlSteps, duckdb_relation, spark_frame

Table = pl.LazyFrame | None


@dataclass(frozen=True)
class Reading:
    """One source, opened for one question. The tables are read when they are asked for, and only their columns."""

    steps: Steps
    whole_steps: Callable[[], Steps]
    """The same rows with all of their columns."""
    engagements: pl.LazyFrame
    events: Callable[[], Table]
    annotations: Callable[[], Table]
    declared: Callable[[], Iterable[str]] | None
    """Names of the nodes of all graphs declared in the source; None when they cannot be known."""


def reading_of(source: Any) -> Reading:
    """`source` opened. Raises InvalidArgumentError for what is no source."""
    views = views_at(source)
    source = opened(source)
    engine = getattr(source, "engine", None) if isinstance(source, Opened) else None
    if engine is not None:
        return _of_views(source, engine)
    if isinstance(source, Opened):
        kept = getattr(source, "_frames", None)
        return _of_frames(source.store, source if kept is None else kept())
    if isinstance(source, LogStore):
        return _of_frames(source, Frames(source))
    given = source if isinstance(source, tuple) else (source,)
    if isinstance(source, tuple) and len(source) not in (2, 3):
        raise InvalidArgumentError(f"expected two frames, (steps, engagements); got {len(source)}")
    return _given(given, () if views is None else tuple(views.files("steps")))


def _of_views(traces: Any, engine: Any) -> Reading:
    views = Views.at(Path(traces.store.path), engine)
    if views is None:
        raise InvalidArgumentError(f"{traces.store!r} holds no table of steps; export with to_parquet(folder)")
    engagements = views.scan("engagements")
    steps = views.steps()
    store = traces.store
    return Reading(
        steps,
        lambda: steps,
        _engagements_of(steps) if engagements is None else engagements,
        lambda: views.scan("events"),
        lambda: _lazy(getattr(traces, "annotations", None)),
        lambda: _declared(store, [summary.id for summary in store.list_engagements()]),
    )


def _of_frames(store: Any, tables: Any) -> Reading:
    """Of our own frames, or of those that somebody else's opened traces give."""
    engagements = _polars(tables.engagements())

    def steps() -> Steps:
        return PolarsSteps(_polars(_called(tables.steps)))

    return Reading(
        PolarsSteps(tables.walked) if isinstance(tables, Frames) else steps(),
        steps,
        engagements.lazy(),
        lambda: _lazy(tables.events),
        lambda: _lazy(getattr(tables, "annotations", None)),
        lambda: _declared(store, engagements["engagement_id"]),
    )


def _called(table: Any) -> Any:
    return table() if callable(table) else table


def _lazy(table: Any) -> Table:
    if table is None:
        return None
    return _polars(_called(table)).lazy()


def _given(frames: tuple[Any, ...], files: tuple[str, ...] = ()) -> Reading:
    """Frames of the user's own; `files` are those that the steps are all of."""
    steps = PolarsSteps(frames[0], files) if files else _steps(frames[0])
    _ensure_columns(steps.schema, ("engagement_id", "name"), "steps")
    if len(frames) == 1:
        return Reading(steps, lambda: steps, _engagements_of(steps), lambda: None, lambda: None, None)
    engagements = frames[1] if isinstance(frames[1], pl.LazyFrame) else _polars(frames[1]).lazy()
    columns = engagements.collect_schema().names()
    _ensure_columns(columns, ("engagement_id", "status", "dropped_at"), "engagements")
    if "step_id" in columns:
        raise InvalidArgumentError("expected (steps, engagements); the second frame looks like steps")
    events = frames[2] if len(frames) == 3 else None
    return Reading(steps, lambda: steps, engagements, lambda: _lazy(events), lambda: None, None)


def _ensure_columns(columns: Iterable[str], needed: tuple[str, ...], what: str) -> None:
    missing = [name for name in needed if name not in columns]
    if missing:
        raise InvalidArgumentError(
            f"the {what} frame has no column {missing[0]!r}; needed: {', '.join(needed)} (first steps, "
            "then engagements, as ftnb.open(…).steps() and .engagements() give them)"
        )


def _steps(frame: Any) -> Steps:
    if isinstance(frame, pl.LazyFrame):
        return PolarsSteps(frame)
    try:
        narwhal: Any = nw.from_native(frame)
    except TypeError as error:
        what = type(frame).__name__
        if isinstance(frame, str):
            raise InvalidArgumentError(f"expected a dataframe, got {what}") from error
        raise InvalidArgumentError(
            f"expected a store of ftnb, opened traces, or (steps, engagements) frames; got {what}"
        ) from error
    if narwhal.collect_schema().get("started_at") == nw.Object:
        raise InvalidArgumentError(
            "the steps' column 'started_at' holds no times of one kind, perhaps of several time zones; "
            "convert it first: pd.to_datetime(steps['started_at'], utc=True)"
        )
    if narwhal.implementation.is_duckdb():
        return duckdb_relation(frame)
    if narwhal.implementation.is_pyspark():
        return spark_frame(frame)
    return PolarsSteps(_polars(frame))


def _engagements_of(steps: Steps) -> pl.LazyFrame:
    """What steps alone say of engagements: that they were; all count as completed."""
    if isinstance(steps, SqlSteps):
        kind = "VARCHAR" if steps.engine == "duckdb" else "STRING"
        ids = steps.query(f"SELECT DISTINCT CAST(engagement_id AS {kind}) AS engagement_id FROM steps").lazy()
    else:
        ids = steps.frame.lazy().select(pl.col("engagement_id").cast(pl.String)).unique()
    return ids.sort("engagement_id").with_columns(
        pl.lit("completed").alias("status"), pl.lit(None, pl.String).alias("dropped_at")
    )


def chosen(reading: Reading, where: Mapping[str, Any] | None, columns: Iterable[str]) -> pl.DataFrame:
    """The engagements asked for, with those of `columns` that there are.

    Left out are those whose metadata is not as `where` says, model calls outside any workflow, replays and forks.
    """
    where = checked_where(where)
    there = reading.engagements.collect_schema()
    wanted = [name for name in dict.fromkeys(("engagement_id", "branch", *columns)) if name in there]
    if "metadata" in there:
        wanted = list(dict.fromkeys([*wanted, "metadata"]))
    whole = reading.engagements.select(wanted).collect(engine="streaming")
    whole = whole.with_columns(pl.col("engagement_id").cast(pl.String))
    kept = _runs_of_users(whole, where)
    if where:
        kept = kept.filter(_metadata_matches(kept, where))
    return kept.unique("engagement_id", keep="last", maintain_order=True) if _repeats(kept) else kept


def _repeats(engagements: pl.DataFrame) -> bool:
    ids = engagements["engagement_id"]
    if ids.is_sorted():
        return bool((ids == ids.shift(1)).any())
    return ids.n_unique() < len(ids)


def model_calls(events: pl.LazyFrame) -> pl.LazyFrame:
    """The events that are calls of a model. One that no provider named goes by the name that it was recorded under."""
    there = events.collect_schema().names()
    missing = [name for name in ("engagement_id", "step_id", "model") if name not in there]
    if missing:
        raise InvalidArgumentError(f"the events frame has no column {missing[0]!r}; columns: {', '.join(there)}")
    if "kind" not in there:
        return events.filter(pl.col("model").is_not_null())
    calls = events.filter(pl.col("kind") == "llm_call")
    return calls.with_columns(pl.coalesce("model", "name").alias("model")) if "name" in there else calls


def latest(reading: Reading) -> int | None:
    """The last time that the source knows of, in microseconds; None when it knows none."""
    times: list[int] = []
    there = reading.engagements.collect_schema()
    columns = [name for name in ("started_at", "ended_at") if isinstance(there.get(name), pl.Datetime)]
    if columns:
        found = reading.engagements.select(pl.col(name).dt.epoch("us").max() for name in columns).collect()
        times += [value for value in found.row(0) if value is not None]
    steps = reading.steps
    if isinstance(steps, SqlSteps):
        if steps.schema.get("started_at", "").startswith("timestamp"):
            times += (
                steps.query(f"SELECT MAX({steps.micros('started_at')}) AS t FROM steps")["t"].drop_nulls().to_list()
            )
    elif isinstance(steps.schema.get("started_at"), pl.Datetime):
        times += [value for value in (steps.clock[1],) if value is not None]
    return max(times) if times else None


def ensure_clock(reading: Reading) -> None:
    """Raises InvalidArgumentError when windows cannot be judged: no times, gaps in them, or zones that do not agree."""
    steps = reading.steps
    if "started_at" not in steps.schema:
        raise InvalidArgumentError("windows need the steps' column 'started_at', which is not there")
    if isinstance(steps, SqlSteps):
        nulls = steps.query("SELECT COUNT(*) - COUNT(started_at) AS n FROM steps").item()
    else:
        nulls = steps.clock[0]
    if nulls:
        raise InvalidArgumentError(f"windows need to know when each step began; {nulls:,} have no started_at")


def ensure_zones(reading: Reading) -> None:
    """Raises InvalidArgumentError when some times say their zone and others do not."""
    found: dict[str, bool] = {}
    steps = reading.steps
    if isinstance(steps, PolarsSteps):
        for name in ("started_at", "ended_at"):
            dtype = steps.schema.get(name)
            if isinstance(dtype, pl.Datetime):
                found[f"the steps' {name}"] = dtype.time_zone is not None
    for name, dtype in reading.engagements.collect_schema().items():
        if name in ("started_at", "ended_at") and isinstance(dtype, pl.Datetime):
            found[f"the engagements' {name}"] = dtype.time_zone is not None
    if len(set(found.values())) > 1:
        aware = [name for name, zoned in found.items() if zoned]
        naive = [name for name, zoned in found.items() if not zoned]
        raise InvalidArgumentError(
            f"time zones are mixed: {', '.join(aware)} says its zone and {', '.join(naive)} does not; convert them all "
            "to UTC first"
        )


def moment_us(value: Any) -> int:
    """A moment with a time zone as microseconds since 1970. Raises InvalidArgumentError."""
    if not hasattr(value, "astimezone") or value.tzinfo is None:
        raise InvalidArgumentError(f"as_of is a moment with a time zone, as datetime.now(UTC); got {value!r}")
    since = value.astimezone(UTC) - _EPOCH
    return int(since.days * 86_400_000_000 + since.seconds * 1_000_000 + since.microseconds)


_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
