"""The model calls of engagements, with the names of the steps that made them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import polars as pl

from ..core.errors import InvalidArgumentError
from ..store.reconstruct import UNKNOWN_NAME
from ._engines import PolarsSteps
from ._funnel_reading import Reading, chosen, model_calls, reading_of
from ._sql import SqlSteps

TOKENS = ("prompt_tokens", "completion_tokens", "cache_read_tokens", "cache_write_tokens", "reasoning_tokens")


def model_call_rows(
    source: Any, where: Mapping[str, Any] | None, columns: Sequence[str] = ()
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """The engagements that were asked for (with `columns` and metadata), and their model calls.

    A call has `engagement_id`, `step_id`, `step` (the name of the step), `model`, `at`, `turn`, tokens and `discarded`.
    Raises InvalidArgumentError when there are no events.
    """
    reading = reading_of(source)
    events = reading.events()
    if events is None:
        raise InvalidArgumentError("costs need the events; give (steps, engagements, events), or a store")
    engagements = chosen(reading, where, ["status", *columns])
    there = events.collect_schema()
    asked = {"at": pl.Datetime("us", "UTC"), "turn": pl.Int64(), **dict.fromkeys(TOKENS, pl.Int64()),
             "discarded": pl.Boolean()}  # fmt: skip
    found = [
        pl.col(name).cast(dtype) if name in there and not isinstance(dtype, pl.Datetime)
        else pl.col(name) if name in there
        else pl.lit(None, dtype).alias(name)
        for name, dtype in asked.items()
    ]  # fmt: skip
    ids = [pl.col(name).cast(pl.String) for name in ("engagement_id", "step_id", "model")]
    calls = model_calls(events).select(*ids, *found).collect(engine="streaming")
    if not isinstance(calls.schema["at"], pl.Datetime):
        raise InvalidArgumentError(f"the events' column 'at' must hold times; got {calls.schema['at']}")
    calls = calls.with_columns(pl.col("discarded").fill_null(False))
    calls = calls.join(engagements.select("engagement_id"), on="engagement_id", how="semi", maintain_order="left")
    names = _step_names(reading, calls)
    calls = calls.join(names, on=["engagement_id", "step_id"], how="left", maintain_order="left")
    return engagements, calls.with_columns(pl.col("step").fill_null(UNKNOWN_NAME))


def _step_names(reading: Reading, calls: pl.DataFrame) -> pl.DataFrame:
    steps = reading.steps
    if "step_id" not in steps.schema:
        raise InvalidArgumentError("costs need the steps' column 'step_id', which is not there")
    wanted = calls.select("engagement_id", "step_id").unique()
    columns = [pl.col(name).cast(pl.String) for name in ("engagement_id", "step_id")]
    if isinstance(steps, SqlSteps):
        found = steps.query("SELECT engagement_id, step_id, name FROM steps").select(
            *columns, pl.col("name").cast(pl.String).alias("step")
        )
        found = found.join(wanted, on=["engagement_id", "step_id"], how="semi")
    else:
        assert isinstance(steps, PolarsSteps)
        named = steps.frame.lazy().select(*columns, pl.col("name").cast(pl.String).alias("step"))
        found = named.join(wanted.lazy(), on=["engagement_id", "step_id"], how="semi").collect(engine="streaming")
    return found.unique(["engagement_id", "step_id"], keep="any")
