"""From the steps of a source to who reached what, whichever engine reads them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import polars as pl

from ..core.errors import InvalidArgumentError
from ._engines import PolarsSteps, ScatteredError, Steps, head_rows, side_by_side
from ._funnel_polars import paths
from ._funnel_rows import Rows
from ._funnel_spec import Spec
from ._funnel_sql import sql_reach
from ._sql import SqlSteps


@dataclass(frozen=True)
class Members:
    """The engagements that a funnel is about."""

    frame: pl.DataFrame
    """Sorted by `engagement_id`; `member` is the engagement's row where it is kept, `code` its group, from 0."""

    @classmethod
    def of(cls, engagements: pl.DataFrame) -> Members:
        """The members, from a frame with `engagement_id` and perhaps `code`."""
        code = pl.col("code") if "code" in engagements.columns else pl.lit(0, pl.UInt32)
        frame = engagements.select("engagement_id", code.cast(pl.UInt32).alias("code")).with_row_index("member")
        return cls(frame if frame["engagement_id"].is_sorted() else frame.sort("engagement_id"))

    @property
    def are_grouped(self) -> bool:
        """Whether there are several groups."""
        return bool((self.frame["code"] != 0).any())

    def of_ids(self, ids: pl.Series) -> pl.DataFrame:
        """`member` and `code` of each of these ids; null where an engagement is none."""
        known = self.frame["engagement_id"]
        low, high = (
            known.search_sorted(pl.Series([ids.min()])),
            known.search_sorted(pl.Series([ids.max()]), side="right"),
        )
        near = self.frame.slice(low[0], high[0] - low[0])
        # Steps and engagements mostly lie in the same order.
        if near.height == len(ids) and (near["engagement_id"] == ids).all():
            return near.select("member", "code")
        return (
            ids.alias("engagement_id")
            .to_frame()
            .join(near, on="engagement_id", how="left", maintain_order="left")
            .select("member", "code")
        )


@dataclass(frozen=True)
class Reach:
    """What the steps of a source say about a funnel."""

    paths: pl.DataFrame
    """See `_funnel_polars.paths`; in order of `member` and attempt."""
    spent: pl.DataFrame
    """`code`, `name`, `tokens`, `visits`: over all executions of the names asked about, a group each."""
    turns: pl.DataFrame | None
    """`engagement_id`, `turn`, `begun`, `over` (us), where an engagement has several; None: no turns are known."""


def reach_of(steps: Steps, spec: Spec, members: Members) -> Reach:
    """Read the steps of these engagements, once. Raises InvalidArgumentError."""
    if isinstance(steps, PolarsSteps):
        try:
            found = _polars_reach(steps, spec, members)
        except ScatteredError:
            found = _polars_reach(_brought_together(steps), spec, members)
    else:
        found = _sql_reach(steps, spec, members)
    in_order = found.paths["member"].is_sorted() and spec.attempts != "every"
    return found if in_order else Reach(found.paths.sort("member", "attempt"), found.spent, found.turns)


def _brought_together(steps: PolarsSteps) -> PolarsSteps:
    return steps.gathered([pl.all()], None)


def _sql_reach(steps: SqlSteps, spec: Spec, members: Members) -> Reach:
    paths, spent, turns = sql_reach(steps, spec)
    of = members.frame
    paths = paths.join(of.select("engagement_id", "member"), on="engagement_id", how="inner").drop("engagement_id")
    spent = spent.join(of.select("engagement_id", "code"), on="engagement_id", how="inner")
    return Reach(paths, spent.group_by("code", "name").agg(pl.col("tokens", "visits").sum()), turns)


def _polars_reach(steps: PolarsSteps, spec: Spec, members: Members) -> Reach:
    schema = steps.schema
    most = steps.most
    columns = _columns(schema, spec, most)
    found: list[pl.DataFrame] = []
    spent: list[pl.DataFrame] = []
    # Between steps that follow one another at once, others count too; and few others are not worth a look at each row.
    named = None if spec.mode == "strict" or _mostly_asked(steps, spec) else pl.col("step").is_not_null()
    pieces = steps.whole_engagements(columns, kept(schema, spec), named)
    for reached, spending in side_by_side(pieces, lambda piece: _looked_at(*piece, spec, members)):
        found.append(reached)
        spent.append(spending)
    if not found:
        piece = pl.DataFrame(schema=steps.frame.lazy().select(columns).collect_schema())
        reached, spending = _looked_at(piece, head_rows(piece["engagement_id"]), spec, members)
        found, spent = [reached], [spending]
    total = pl.concat(spent).group_by("code", "step").agg(pl.col("tokens", "visits").sum())
    names = pl.Series(spec.names, dtype=pl.String).gather(total["step"].cast(pl.Int64))
    total = total.select("code", names.alias("name"), "tokens", "visits")
    turns = _turns(steps, spec) if most.get("turn", 1) > 1 else None
    return Reach(pl.concat(found), total, turns)


_SAMPLE = 20_000


def _mostly_asked(steps: PolarsSteps, spec: Spec) -> bool:
    """Whether most steps, as far as the first ones tell, are asked about."""
    first = steps.frame.lazy().select(pl.col("name").cast(pl.String).is_in(spec.names)).head(_SAMPLE).collect()
    return float(first["name"].mean() or 0) > 0.6  # type: ignore[arg-type]


def _looked_at(
    piece: pl.DataFrame, starts: pl.Series, spec: Spec, members: Members
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """The paths of whole engagements; tokens and visits of each step, by group (`code`)."""
    known = members.of_ids(piece["engagement_id"].gather(starts))
    if known["member"].null_count() or members.are_grouped:
        run = pl.Series([0], dtype=pl.UInt32).new_from_index(0, piece.height).scatter(starts[1:], 1).cum_sum()
        piece = piece.with_columns(known[name].gather(run).alias(name) for name in ("member", "code"))
        piece = piece.filter(pl.col("member").is_not_null())
        starts = head_rows(piece["engagement_id"])
        known = piece.select("member", "code").select(pl.all().gather(starts))
    executions = _without_retries(piece)
    spent = _spent(piece, executions, spec, members)
    if executions is not piece:
        # What is left of an engagement begins it, so that each still has a row.
        starts = head_rows(executions["engagement_id"])
    return paths(Rows(executions, spec, starts.cast(pl.Int64), known["member"])), spent


def _spent(rows: pl.DataFrame, executions: pl.DataFrame, spec: Spec, members: Members) -> pl.DataFrame:
    """Tokens of all rows and the number of executions, by group and step."""
    if not members.are_grouped and executions is rows and len(spec.names) <= _FEW:
        return _spent_in_all(rows, len(spec.names))
    key = ["code", "step"] if members.are_grouped else ["step"]
    tokens = rows.group_by(key).agg(pl.col("tokens").sum(), pl.len().cast(pl.Int64).alias("visits"))
    if executions is not rows:
        visits = executions.group_by(key).agg(pl.len().cast(pl.Int64).alias("visits"))
        tokens = tokens.drop("visits").join(visits, on=key, how="left").with_columns(pl.col("visits").fill_null(0))
    if not members.are_grouped:
        tokens = tokens.with_columns(pl.lit(0, pl.UInt32).alias("code"))
    return tokens.filter(pl.col("step").is_not_null()).select("code", "step", "tokens", "visits")


_FEW = 16
"""Names for which a sum each is quicker than grouping."""


def _spent_in_all(rows: pl.DataFrame, n: int) -> pl.DataFrame:
    here = [pl.col("step") == k for k in range(n)]
    found = rows.select(
        *(pl.when(is_it).then("tokens").sum().alias(f"t{k}") for k, is_it in enumerate(here)),
        *(is_it.sum().alias(f"n{k}") for k, is_it in enumerate(here)),
    ).row(0)
    schema = {"code": pl.UInt32, "step": pl.UInt8, "tokens": pl.Int64, "visits": pl.Int64}
    told = [(0, k, found[k] or 0, found[n + k]) for k in range(n) if found[n + k]]
    return pl.DataFrame(told, schema=schema, orient="row")


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
        _place(spec),
        clock_of(schema).alias("t"),
        micros("duration_ms", schema).alias("d"),
        (pl.col("total_tokens").cast(pl.Int64).fill_null(0) if "total_tokens" in schema else pl.lit(0, pl.Int64)).alias(
            "tokens"
        ),
    ]
    if most.get("attempt", 1) > 1:
        ns = pl.col("ns").cast(pl.String).fill_null("") if "ns" in schema else pl.lit("")
        columns += [pl.col("attempt"), pl.col("name").cast(pl.String), ns.alias("ns")]
    if most.get("turn", 1) > 1:
        columns.append(pl.col("turn").cast(pl.Int64))
    if "_row" in schema:
        columns.append(pl.col("_row").alias("row"))
    return columns


def _place(spec: Spec) -> pl.Expr:
    """`step`: the place of the step's name among those asked about; null: none of them."""
    place = pl.col("name").cast(pl.String).cast(pl.Enum(spec.names), strict=False).to_physical()
    return place.cast(pl.UInt32 if len(spec.names) > _SMALL else pl.UInt8).alias("step")


_SMALL = 255
"""Names that a byte tells apart."""


def micros(column: str, schema: dict[str, Any]) -> pl.Expr:
    """A column of milliseconds as integer microseconds, in which sums are exact whatever their order."""
    if column not in schema:
        return pl.lit(None, pl.Int64)
    return (pl.col(column).cast(pl.Float64) * 1000).fill_nan(None).round(mode="half_away_from_zero").cast(pl.Int64)


def kept(schema: dict[str, Any], spec: Spec) -> pl.Expr | None:
    """Which steps are read at all, whatever their names."""
    parts = []
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
