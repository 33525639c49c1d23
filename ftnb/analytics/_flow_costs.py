"""What the steps behind edges and nodes of a directly-follows graph cost."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import polars as pl

from ..core.errors import InvalidArgumentError
from ._cost_calls import model_call_rows
from ._funnel_cost import PriceSource, cost_of
from ._groups import Groups
from ._moves import moves_of
from ._source import Tables
from ._visits import Level, visits_of

_SCALE = 10**10
"""Costs are summed as whole parts of this size, so that no sum depends on its order, and fit 64 bits."""
_SUMS = {"units": "cost", "priced": "n_priced", "unpriced": "n_unpriced"}


def with_costs(
    edges: pl.DataFrame,
    nodes: pl.DataFrame,
    source: Any,
    where: Mapping[str, Any] | None,
    prices: PriceSource,
    tables: Tables,
    causes: pl.DataFrame | None,
    level: Level,
    groups: Groups,
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """The edges and nodes with `cost` and `n_unpriced`. A visit's cost goes the way that its tokens go."""
    if "step_id" not in tables.steps.columns:
        raise InvalidArgumentError("costs need the steps' column 'step_id', which is not there")
    spent = _by_step(source, where, prices)
    steps = tables.steps.with_columns(pl.col("engagement_id", "step_id").cast(pl.String))
    steps = steps.join(spent, on=["engagement_id", "step_id"], how="left", maintain_order="left")
    for column in _SUMS:
        priced = Tables(steps.with_columns(pl.col(column).fill_null(0).alias("total_tokens")), tables.engagements)
        visits = visits_of(priced, level=level, times=True, places=causes is not None)
        moves = moves_of(visits, causes, level=level)
        names = pl.Series("name", [*moves.names, None], pl.String)
        a, b = (names.gather(moves.rows[side].fill_null(len(moves.names)).cast(pl.Int64)) for side in ("from", "to"))
        led = moves.rows.select("eng", "tokens", a.alias("from_name"), b.alias("to_name"))
        edges = _added(edges, led, groups, ["from_name", "to_name"], _SUMS[column])
        seen = visits.rows.select("eng", "tokens", names.gather(visits.rows["code"].cast(pl.Int64)).alias("name"))
        nodes = _added(nodes, seen, groups, ["name"], _SUMS[column])
    return _as_money(edges), _as_money(nodes)


def _by_step(source: Any, where: Mapping[str, Any] | None, prices: PriceSource) -> pl.DataFrame:
    _, calls = model_call_rows(source, where)
    cost = cost_of(prices, calls.drop("engagement_id", "step_id", "step"))
    units = (cost * _SCALE).round().cast(pl.Int64).alias("units")
    return calls.select("engagement_id", "step_id", units).group_by("engagement_id", "step_id").agg(
        pl.col("units").sum(), pl.col("units").count().cast(pl.Int64).alias("priced"),
        pl.col("units").null_count().cast(pl.Int64).alias("unpriced"),
    )  # fmt: skip


def _added(frame: pl.DataFrame, rows: pl.DataFrame, groups: Groups, keys: list[str], name: str) -> pl.DataFrame:
    """`frame` with the sum of the rows' tokens, which stand for something else here, as a column."""
    of = groups.column(groups.of.gather(rows["eng"]))
    sums = rows.with_columns(of).group_by("group", *keys).agg(pl.col("tokens").sum().alias(name))
    return frame.join(sums, on=["group", *keys], how="left", nulls_equal=True, maintain_order="left")


def _as_money(frame: pl.DataFrame) -> pl.DataFrame:
    nothing_known = (pl.col("n_priced") == 0) & (pl.col("n_unpriced") > 0)
    cost = pl.when(~nothing_known).then(pl.col("cost") / _SCALE)
    return frame.with_columns(cost.alias("cost")).drop("n_priced")
