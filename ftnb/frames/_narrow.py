"""Frames of some of the engagements, out of frames of all."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property

import polars as pl

from .build import Frames


class NarrowFrames(Frames):
    """The rows of `whole` that are about the engagements `ids`; computed once for all choices."""

    def __init__(self, whole: Frames, ids: frozenset[str]) -> None:
        self._whole = whole
        self._ids = pl.DataFrame({"engagement_id": sorted(ids)}, schema={"engagement_id": pl.String})

    def _of(self, frame: pl.DataFrame) -> pl.DataFrame:
        return frame.join(self._ids, on="engagement_id", how="semi", maintain_order="left")

    def engagements(self, meta: Sequence[str] = ()) -> pl.DataFrame:
        """One row an engagement."""
        return self._of(self._whole.engagements(meta))

    @cached_property
    def walked(self) -> pl.DataFrame:
        """The rows of `steps` with fewer columns."""
        return self._of(self._whole.walked)

    @cached_property
    def steps(self) -> pl.DataFrame:
        """One row a step execution."""
        return self._of(self._whole.steps)

    def events(self, *, payload: bool = False) -> pl.DataFrame:
        """One row an event."""
        return self._of(self._whole.events(payload=payload))

    @cached_property
    def transitions(self) -> pl.DataFrame:
        """One row a pair of consecutive steps."""
        return self._of(self._whole.transitions)

    @cached_property
    def extractions(self) -> pl.DataFrame:
        """One row an extraction."""
        return self._of(self._whole.extractions)

    @cached_property
    def intent_switches(self) -> pl.DataFrame:
        """One row an entry of a global step."""
        return self._of(self._whole.intent_switches)

    @cached_property
    def annotations(self) -> pl.DataFrame:
        """One row an annotation."""
        return self._of(self._whole.annotations)
