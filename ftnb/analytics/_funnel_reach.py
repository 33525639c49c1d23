"""From the steps of a source to who reached what, whichever engine reads them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import polars as pl

from ..core.errors import InvalidArgumentError
from ._engines import PolarsSteps, ScatteredError, Steps
from ._funnel_polars import Rows, paths
from ._funnel_spec import Spec
from ._funnel_sql import sql_reach


@dataclass(frozen=True)
class Reach:
    """What the steps of a source say about a funnel."""

    paths: pl.DataFrame
    """See `_funnel_polars.paths`; sorted by engagement and attempt."""
    spent: pl.DataFrame
    """`engagement_id` (when asked for), `name`, `tokens`, `visits`: over all executions of the names asked about."""
    turns: pl.DataFrame | None
    """`engagement_id`, `turn`, `begun`, `over` (us), where an engagement has several; None: no turns are known."""


def reach_of(steps: Steps, spec: Spec, *, by_engagement: bool) -> Reach:
    """Read the steps once. `by_engagement` tells what was spent by engagement. Raises InvalidArgumentError."""
    if isinstance(steps, PolarsSteps):
        try:
            found = _polars_reach(steps, spec, by_engagement=by_engagement)
        except ScatteredError:
            found = _polars_reach(_brought_together(steps), spec, by_engagement=by_engagement)
    else:
        found = Reach(*sql_reach(steps, spec, by_engagement=by_engagement))
    return Reach(found.paths.sort("engagement_id", "attempt"), found.spent, found.turns)


def _brought_together(steps: PolarsSteps) -> PolarsSteps:
    everything = [pl.all()]
    return steps.gathered(everything, None)


def _polars_reach(steps: PolarsSteps, spec: Spec, *, by_engagement: bool) -> Reach:
    schema = steps.schema
    most = _largest(steps, [name for name in ("attempt", "turn") if name in schema])
    columns = _columns(schema, spec, most)
    found: list[pl.DataFrame] = []
    spent: list[pl.DataFrame] = []
    key = ["engagement_id", "name"] if by_engagement else ["name"]
    for piece in steps.whole_engagements(columns, kept(schema, spec)):
        executions = _without_retries(piece)
        asked = pl.col("name").is_in(spec.names)
        spent.append(piece.filter(asked).group_by(key).agg(pl.col("tokens").sum(), pl.lit(0, pl.Int64).alias("visits")))
        spent.append(executions.filter(asked).group_by(key).agg(
            pl.lit(0, pl.Int64).alias("tokens"), pl.len().cast(pl.Int64).alias("visits")))  # fmt: skip
        found.append(paths(Rows(executions, spec)))
    if not found:
        empty = pl.DataFrame(schema=steps.frame.lazy().select(columns).collect_schema())
        found = [paths(Rows(empty, spec))]
        spent = [empty.select(*key, pl.col("tokens").alias("tokens"), pl.lit(0, pl.Int64).alias("visits")).head(0)]
    total = pl.concat(spent).group_by(key).agg(pl.col("tokens", "visits").sum())
    turns = _turns(steps, spec) if most.get("turn", 1) > 1 else None
    return Reach(pl.concat(found), total, turns)


def _largest(steps: PolarsSteps, columns: list[str]) -> dict[str, int]:
    if not columns:
        return {}
    row = steps.ask(*(pl.col(name).max() for name in columns)).row(0, named=True)
    return {name: value or 0 for name, value in row.items()}


def clock_of(schema: dict[str, Any]) -> pl.Expr:
    """When each step began, in microseconds since 1970 UTC; null when the steps do not say."""
    dtype = schema.get("started_at")
    if dtype is None:
        return pl.lit(None, pl.Int64)
    if not isinstance(dtype, pl.Datetime):
        raise InvalidArgumentError(f"the steps' column 'started_at' must hold times; it is {dtype}")
    return pl.col("started_at").dt.epoch("us")


def _columns(schema: dict[str, Any], spec: Spec, most: dict[str, int]) -> list[pl.Expr]:
    columns = [
        pl.col("engagement_id").cast(pl.String),
        pl.col("name").cast(pl.String),
        clock_of(schema).alias("t"),
        micros("duration_ms", schema).alias("d"),
        (pl.col("total_tokens").cast(pl.Int64).fill_null(0) if "total_tokens" in schema else pl.lit(0, pl.Int64)).alias(
            "tokens"
        ),
    ]
    if most.get("attempt", 1) > 1:
        ns = pl.col("ns").cast(pl.String).fill_null("") if "ns" in schema else pl.lit("")
        columns += [pl.col("attempt"), ns.alias("ns")]
    if most.get("turn", 1) > 1:
        columns.append(pl.col("turn").cast(pl.Int64))
    if "_row" in schema:
        columns.append(pl.col("_row").alias("row"))
    return columns


def micros(column: str, schema: dict[str, Any]) -> pl.Expr:
    """A column of milliseconds as integer microseconds, in which sums are exact whatever their order."""
    if column not in schema:
        return pl.lit(None, pl.Int64)
    return (pl.col(column).cast(pl.Float64) * 1000).fill_nan(None).round(mode="half_away_from_zero").cast(pl.Int64)


def kept(schema: dict[str, Any], spec: Spec) -> pl.Expr | None:
    """Which steps are read at all."""
    parts = []
    if spec.mode != "strict":
        parts.append(pl.col("name").cast(pl.String).is_in(spec.names))
    if not spec.nested:
        if "ns" in schema:
            parts.append(pl.col("ns").fill_null("") == "")
        if "parent_step_id" in schema:
            parts.append(pl.col("parent_step_id").is_null())
    return pl.all_horizontal(parts) if parts else None


def _without_retries(rows: pl.DataFrame) -> pl.DataFrame:
    """Without attempts after the first; where the first attempt is lost, what is left of that visit stands for it."""
    if "attempt" not in rows.columns:
        return rows
    first = pl.struct("engagement_id", "ns", "name").is_first_distinct()
    return rows.filter((pl.col("attempt").fill_null(1) <= 1) | first)


def _turns(steps: PolarsSteps, spec: Spec) -> pl.DataFrame | None:
    """When the turns of engagements with several began and ended."""
    schema = steps.schema
    if not isinstance(schema.get("started_at"), pl.Datetime) or not isinstance(schema.get("ended_at"), pl.Datetime):
        return None
    begun, over = pl.col("started_at").dt.epoch("us"), pl.col("ended_at").dt.epoch("us")
    grouped = steps.frame.lazy().group_by(pl.col("engagement_id").cast(pl.String), pl.col("turn").cast(pl.Int64))
    turns = grouped.agg(begun.min().alias("begun"), pl.max_horizontal(begun.max(), over.max()).alias("over"))
    return turns.filter(pl.col("turn").max().over("engagement_id") > 1).collect()
