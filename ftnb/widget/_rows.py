"""Steps of one engagement as a frame: the columns of `Traces.steps()`, from the tree alone."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from ..core.model import Engagement, Step
from ..frames.schema import STEPS, polars_schema

if TYPE_CHECKING:
    import polars as pl


def step_frame(engagement: Engagement, steps: Iterable[Step]) -> pl.DataFrame:
    """One row a step, in the order given."""
    import polars as pl

    rows = [_row(engagement.id, step) for step in steps]
    return pl.DataFrame(rows, schema=polars_schema(STEPS), orient="row")


def _row(engagement_id: str, step: Step) -> tuple[object, ...]:
    given = {
        "engagement_id": engagement_id,
        "step_id": step.id,
        "status": step.status.value,
        "n_events": len(step.events),
    }
    return tuple(given[column.name] if column.name in given else getattr(step, column.name) for column in STEPS)
