"""Frames out of the log: each call scans what it needs, and computes by columns.

Status, times, names, metadata and token counts agree with `store.get_engagement` in every case, also for engagements
that were reopened, relabelled, or lost records.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property

import polars as pl

from ._engagements import engagements_frame, with_metadata
from ._log import Log, LogSource, read_log
from ._others import annotations_frame, extractions_frame, intent_switches_frame
from ._steps import WALKED, event_rows, events_frame, step_rows, walked_rows
from ._transitions import transitions_frame
from .schema import STEPS


class Frames:
    """The frames of one state of a store, each computed once, when it is first asked for.

    Rows come engagement after engagement, oldest first, and within one in the order of the fold.
    """

    def __init__(self, source: LogSource, engagement_id: str | None = None) -> None:
        """`engagement_id` restricts every frame to one engagement."""
        self._source = source
        self._engagement_id = engagement_id

    @cached_property
    def _log(self) -> Log:
        return read_log(self._source, self._engagement_id)

    @cached_property
    def _event_rows(self) -> pl.DataFrame:
        return event_rows(self._log)

    @cached_property
    def _walked_rows(self) -> pl.DataFrame:
        return walked_rows(self._log, self._event_rows)

    @cached_property
    def _step_rows(self) -> pl.DataFrame:
        return step_rows(self._log, self._walked_rows)

    @cached_property
    def _engagements(self) -> pl.DataFrame:
        return engagements_frame(self._log, self._walked_rows, self._event_rows)

    @cached_property
    def _events(self) -> pl.DataFrame:
        return events_frame(self._log, self._event_rows)

    def engagements(self, meta: Sequence[str] = ()) -> pl.DataFrame:
        """One row an engagement; `meta` names metadata keys to add as typed columns."""
        return with_metadata(self._engagements, meta)

    @cached_property
    def walked(self) -> pl.DataFrame:
        """The rows of `steps` with the columns that can be had soonest (`WALKED`): no body is read for them."""
        return self._walked_rows.select(WALKED)

    @cached_property
    def steps(self) -> pl.DataFrame:
        """One row a step execution."""
        return self._step_rows.select(column.name for column in STEPS)

    def events(self, *, payload: bool = False) -> pl.DataFrame:
        """One row an event; `payload` adds what each carried, as JSON text."""
        return events_frame(self._log, self._event_rows, payload=True) if payload else self._events

    @cached_property
    def transitions(self) -> pl.DataFrame:
        """One row a pair of consecutive steps, and one for each start and end of an engagement."""
        return transitions_frame(self._step_rows, self._engagements)

    @cached_property
    def extractions(self) -> pl.DataFrame:
        """One row an extraction."""
        return extractions_frame(self._log)

    @cached_property
    def intent_switches(self) -> pl.DataFrame:
        """One row an entry of a global step."""
        return intent_switches_frame(self._log)

    @cached_property
    def annotations(self) -> pl.DataFrame:
        """One row an annotation."""
        return annotations_frame(self._log)
