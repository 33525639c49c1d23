"""What questions about journeys read of a source: steps, engagements, and on demand causes and events."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import polars as pl

from ..core.errors import InvalidArgumentError
from ..frames import Frames
from ..store.base import LogStore
from ._moves import transitions_from
from ._source import Opened, Source, Tables, _polars, opened, tables_of


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
    if isinstance(where, Mapping) and not where:
        raise InvalidArgumentError("where is empty; give metadata, as where={'user_id': 'u-1'}, or leave it out")
    found: Any = opened(source)
    if isinstance(found, LogStore) and not isinstance(found, Opened):
        found = _Once(found)
    tables = tables_of(found, where)
    if isinstance(found, tuple):
        events = (lambda: _polars(found[2])) if len(found) > 2 else (lambda: None)
        return Gathered(tables, lambda: transitions_from(tables.steps, tables.engagements), events)
    return Gathered(tables, lambda: _polars(found.transitions()), lambda: _polars(found.events()))
