"""Frames of a store that has grown: what is new is computed, what is not is taken from the frames before."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

import polars as pl

from ._engagements import with_metadata
from ._log import LogSource
from .build import Frames

if TYPE_CHECKING:
    import pyarrow as pa

_MAX_TOUCHED = 500
"""Engagements with new records past which everything is computed anew."""
_MAX_DEPTH = 32
"""Refreshes after which frames that nobody asked for meanwhile are not carried along any more."""


def refreshed(before: Frames, source: LogSource, after: int) -> Frames:
    """The frames of `source`, of which `before` has everything up to the seq `after`; nothing was erased since."""
    fresh = pl.DataFrame(source.scan(["engagement_id"], after=after))
    touched = fresh["engagement_id"].unique(maintain_order=True).to_list()
    depth = before.depth + 1 if isinstance(before, _Refreshed) else 1
    if len(touched) > _MAX_TOUCHED or depth > _MAX_DEPTH:
        return Frames(source)
    return _Refreshed(before, source, touched, depth)


class _Refreshed(Frames):
    """Frames made of those before and of those of the engagements that have new records."""

    def __init__(self, before: Frames, source: LogSource, touched: Sequence[str], depth: int) -> None:
        super().__init__(source)
        self._before, self._touched, self.depth = before, list(touched), depth
        self._part = Frames(Part(source, touched))

    def _joined(self, frame: Callable[[Frames], pl.DataFrame], kept_as: str = "") -> pl.DataFrame:
        """The rows of both; engagements stay in the order in which they began."""
        is_all_new = self._is_all_new
        old, new = frame(self._before), frame(self._part)
        if kept_as != "_engagements":  # by which the order is told
            self._before.__dict__.pop(kept_as, None)  # nobody asks it again: one copy of a large frame is enough
        if is_all_new:
            return pl.concat([old, new])
        joined = pl.concat([old.filter(~pl.col("engagement_id").is_in(self._touched)), new])
        place = {key: number for number, key in enumerate(self._order)}
        places = joined["engagement_id"].replace_strict(place, return_dtype=pl.Int64)
        return joined.with_columns(places.alias("_place")).sort("_place", maintain_order=True).drop("_place")

    @cached_property
    def _order(self) -> list[str]:
        known = self._before.engagements()["engagement_id"].to_list()
        seen = set(known)
        return known + [key for key in self._touched if key not in seen]

    @cached_property
    def _is_all_new(self) -> bool:
        known = self._before.engagements()["engagement_id"]
        return not known.is_in(self._touched).any()

    @cached_property
    def _engagements(self) -> pl.DataFrame:
        return self._joined(lambda frames: frames.engagements(), "_engagements")

    def engagements(self, meta: Sequence[str] = ()) -> pl.DataFrame:
        """One row an engagement; `meta` names metadata keys to add as typed columns."""
        return with_metadata(self._engagements, meta)

    @cached_property
    def walked(self) -> pl.DataFrame:
        """The rows of `steps` with fewer columns."""
        return self._joined(lambda frames: frames.walked, "walked")

    @cached_property
    def steps(self) -> pl.DataFrame:
        """One row a step execution."""
        return self._joined(lambda frames: frames.steps, "steps")

    @cached_property
    def _events(self) -> pl.DataFrame:
        return self._joined(lambda frames: frames.events(), "_events")

    def events(self, *, payload: bool = False) -> pl.DataFrame:
        """One row an event; `payload` adds what each carried, as JSON text."""
        return self._joined(lambda frames: frames.events(payload=True)) if payload else self._events

    @cached_property
    def transitions(self) -> pl.DataFrame:
        """One row a pair of consecutive steps, and one for each start and end of an engagement."""
        return self._joined(lambda frames: frames.transitions, "transitions")

    @cached_property
    def extractions(self) -> pl.DataFrame:
        """One row an extraction."""
        return self._joined(lambda frames: frames.extractions, "extractions")

    @cached_property
    def intent_switches(self) -> pl.DataFrame:
        """One row an entry of a global step."""
        return self._joined(lambda frames: frames.intent_switches, "intent_switches")

    @cached_property
    def annotations(self) -> pl.DataFrame:
        """One row an annotation."""
        return self._joined(lambda frames: frames.annotations, "annotations")


class Part:
    """A source with some of its engagements only."""

    def __init__(self, source: LogSource, engagement_ids: Sequence[str]) -> None:
        self._source, self._ids = source, list(engagement_ids)

    def scan(
        self,
        columns: Sequence[str],
        *,
        types: Sequence[str] = (),
        engagement_id: str | None = None,
        after: int = 0,
        containing: Sequence[bytes] = (),
    ) -> pa.Table:
        import pyarrow

        ids = self._ids if engagement_id is None else [engagement_id]
        options: dict[str, Any] = {"types": types, "after": after, "containing": containing}
        tables = [self._source.scan(columns, engagement_id=one, **options) for one in ids]
        if not tables:
            return self._source.scan(columns, engagement_id="", **options)
        return pyarrow.concat_tables(tables)

    def scan_blobs(self) -> pa.Table:
        return self._source.scan_blobs()

    def blob(self, engagement_id: str, blob_id: str) -> bytes | None:
        return self._source.blob(engagement_id, blob_id)
