"""What questions about journeys read of a source: steps, engagements, and on demand causes and events."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import polars as pl

from ..frames import Frames
from ..store.base import LogStore
from ._funnel_reading import Reading, reading_of
from ._moves import transitions_from
from ._source import JOURNEY_COLUMNS, Opened, Source, Tables, _polars, opened, tables_of
from ._sql import SqlSteps, quoted


class _Once:
    """A store read once for all frames of one question."""

    def __init__(self, store: LogStore) -> None:
        self.store = store
        self._frames = Frames(store)

    def steps(self) -> pl.DataFrame:
        return self._frames.steps

    def engagements(self) -> pl.DataFrame:
        return self._frames.engagements()

    def transitions(self) -> pl.DataFrame:
        return self._frames.transitions

    def events(self) -> pl.DataFrame:
        return self._frames.events()


@dataclass(frozen=True)
class Gathered:
    """The frames that were asked for."""

    tables: Tables
    transitions: Callable[[], pl.DataFrame | None]
    """The frame `transitions`; None when nothing is known of causes."""
    events: Callable[[], pl.DataFrame | None]
    """The frame `events`; None when the source has none."""


def gathered(source: Source, where: Mapping[str, Any] | None) -> Gathered:
    """The frames of `source`, of engagements whose metadata equals `where`. Raises InvalidArgumentError."""
    found: Any = opened(source)
    read = _by_engine(found)
    if read is not None:
        found = read
    if isinstance(found, LogStore) and not isinstance(found, Opened):
        found = _Once(found)
    tables = tables_of(found, where)
    if isinstance(found, tuple):
        events = (lambda: _polars(found[2])) if len(found) > 2 else (lambda: None)
        return Gathered(tables, lambda: transitions_from(tables.steps, tables.engagements), events)
    return Gathered(tables, lambda: _polars(found.transitions()), lambda: _polars(found.events()))


_TIMES = ("started_at", "ended_at")


def in_engine(source: Any) -> tuple[SqlSteps, pl.LazyFrame] | None:
    """The steps of a source that DuckDB or Spark reads, and its engagements; None when polars reads it."""
    reading = _engine_reading(opened(source))
    if reading is None or not isinstance(reading.steps, SqlSteps):
        return None
    return reading.steps, reading.engagements


def _engine_reading(source: Any) -> Reading | None:
    asked = getattr(source, "engine", None) if isinstance(source, Opened) else None
    if asked is None and not (isinstance(source, tuple) and source and not isinstance(source[0], pl.DataFrame)):
        return None
    return reading_of(source)


def _by_engine(source: Any) -> tuple[pl.DataFrame, ...] | None:
    """The frames of a source that DuckDB or Spark reads; None when polars does.

    The engine scans, and gives the columns that journeys are told from, in the order of execution.
    """
    reading = _engine_reading(source)
    if reading is None or not isinstance(reading.steps, SqlSteps):
        return None
    steps = reading.steps
    there = [name for name in JOURNEY_COLUMNS if name in steps.schema]
    columns = [f"{steps.micros(name) if name in _TIMES else quoted(steps, name)} AS {name}" for name in there]
    rows = steps.query(f"SELECT {', '.join(columns)} FROM steps ORDER BY pos")
    times = [pl.col(name).cast(pl.Datetime("us", "UTC")) for name in _TIMES if name in there]
    events = reading.events()
    frames = (rows.with_columns(times), reading.engagements.collect(engine="streaming"))
    return frames if events is None else (*frames, events.collect(engine="streaming"))
