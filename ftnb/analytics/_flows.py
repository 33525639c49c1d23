"""The directly-follows graph: which step led to which, how often, how long it took and what it cost."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import polars as pl

from ._flow_costs import with_costs
from ._flow_result import DirectlyFollows
from ._flow_sql import Graph, graph_of, in_ms
from ._funnel_cost import PriceSource
from ._gather import gathered, in_engine
from ._groups import Groups, groups_of
from ._moves import LaterMoves, Moves, Relation, checked_relation, moves_of
from ._source import Source, _runs_of_users, asked
from ._visits import Level, Visits, checked_level, visits_of

__all__ = ["DirectlyFollows", "directly_follows"]


def directly_follows(
    source: Source,
    *,
    where: Mapping[str, Any] | None = None,
    by: str | None = None,
    relation: Relation = "causal",
    level: Level = "top",
    branches: bool = False,
    prices: PriceSource | None = None,
) -> DirectlyFollows:
    """Which step led to which: counts, probabilities, times and tokens of edges and nodes.

    `source`, `where` and `branches` are as for `funnel`. `by` is a metadata key or a column of the engagements.
    `relation`:

    - `causal`: what a step's record names as its cause, so that parallel branches and joins are what they were. Where
      no causes are on record, steps follow one another in their order.
    - `sequence`: what came next in the log, whatever caused it.

    `level` is `top` for the graph's own steps, `all` for those inside subgraphs too. An engagement that is still
    active or paused has no end yet. `prices`, as for `costs`, gives edges and nodes what the model calls of their steps
    cost. Raises InvalidArgumentError.
    """
    checked_relation(relation)
    checked_level(level)
    if not asked(where, branches) and by is None and prices is None and not branches:
        told = _told_by_engine(source, relation, level)
        if told is not None:
            return told
    given = gathered(source, asked(where, branches))
    visits = visits_of(given.tables, level=level, times=True, places=relation == "causal")
    groups = groups_of(visits.engagements, by)
    causes = given.transitions() if relation == "causal" else None
    moves = moves_of(visits, causes, level=level)
    edges = _edges(moves, groups)

    def nodes() -> pl.DataFrame:
        return _nodes(visits, edges, groups)

    count_nodes = nodes
    if prices is not None:
        which = asked(where, branches)
        priced = with_costs(edges, nodes(), source, which, prices, given.tables, causes, level, groups)
        edges, count_nodes = priced[0], lambda: priced[1]
    shown = edges.drop("group") if by is None else edges
    return DirectlyFollows(
        by, groups.values, groups.sizes, relation, level, shown,
        (lambda: count_nodes().drop("group")) if by is None else count_nodes, moves, groups.of,
        visits.engagements["engagement_id"],
    )  # fmt: skip


def _told_by_engine(source: Source, relation: Relation, level: Level) -> DirectlyFollows | None:
    """The graph as DuckDB or Spark counts it; None when polars reads the source, or rows need a closer look."""
    found = in_engine(source)
    if found is None:
        return None
    engagements = _runs_of_users(found[1].collect(engine="streaming"), None)
    told = graph_of(found[0], engagements, relation, level)
    if told is None:
        return None
    groups = groups_of(engagements, None)
    edges = _edges_told(told, engagements.height)
    nodes = _nodes_named(
        told.nodes.with_columns(pl.lit(None, pl.String).alias("group")),
        edges,
        engagements,
        groups,
        _as_column(engagements.height, told.nodes.height),
    )
    return DirectlyFollows(
        None, groups.values, groups.sizes, relation, level, edges.drop("group"),
        lambda: nodes.drop("group"), LaterMoves(lambda: _moves_one_by_one(source, relation, level)), groups.of,
        engagements["engagement_id"],
    )  # fmt: skip


def _moves_one_by_one(source: Source, relation: Relation, level: Level) -> Moves:
    given = gathered(source, None)
    visits = visits_of(given.tables, level=level, times=True, places=relation == "causal")
    return moves_of(visits, given.transitions() if relation == "causal" else None, level=level)


def _as_column(total: int, height: int) -> pl.Series:
    # Polars divides by a scalar as a product with its reciprocal, which is off in the last digit; not so by a column.
    return pl.repeat(float(total), height, dtype=pl.Float64, eager=True)


def _edges_told(told: Graph, total: int) -> pl.DataFrame:
    size = len(told.names) + 1
    code = {name: place for place, name in enumerate(told.names)}
    side = {name: pl.col(name).replace_strict(code, default=size - 1, return_dtype=pl.Int64)
            for name in ("from_name", "to_name")}  # fmt: skip
    found = told.edges.with_columns(
        pl.lit(None, pl.String).alias("group"),
        (side["from_name"] * size + side["to_name"]).alias("key"),
        (told.edges["n_engagements"] / _as_column(total, told.edges.height)).alias("share"),
        (pl.col("n") / pl.col("n").sum().over("from_name")).alias("probability"),
    )
    return found.sort(-pl.col("n"), "key").select(_EDGE_COLUMNS)


_EDGE_COLUMNS = ("group", "from_name", "to_name", "n", "n_engagements", "share", "probability", "q1_ms", "median_ms",
                 "q3_ms", "wait_ms", "total_tokens")  # fmt: skip


_QUARTILES = (("q1_ms", 0.25), ("median_ms", 0.5), ("q3_ms", 0.75))


def _quartiles(column: str) -> list[pl.Expr]:
    """First quartile, median and third, interpolated, still in microseconds."""
    return [pl.col(column).quantile(q, "linear").alias(name) for name, q in _QUARTILES]


def _edges(moves: Moves, groups: Groups) -> pl.DataFrame:
    size = len(moves.names) + 1
    rows = moves.rows
    # One integer a pair: several times faster than grouping by names.
    kind = pl.UInt32 if len(groups.values) * size * size < 1 << 32 else pl.UInt64
    pair = pl.col("from").fill_null(size - 1).cast(kind) * size + pl.col("to").fill_null(size - 1)
    key = pair if len(groups.values) == 1 else groups.of.gather(rows["eng"]).cast(kind) * (size * size) + pair
    found = (
        rows.with_columns(key.alias("key"))
        .group_by("key")
        .agg(
            pl.len().cast(pl.Int64).alias("n"),
            # Engagement after engagement, so that a change of number is another one.
            (pl.col("eng").rle_id().max() + 1).cast(pl.Int64).alias("n_engagements"),
            *_quartiles("us"),
            pl.col("waited").sum().alias("wait_ms"),
            pl.col("tokens").sum().cast(pl.Int64).alias("total_tokens"),
        )
    )
    found = in_ms(found)
    code, within = found["key"] // (size * size), found["key"] % (size * size)
    names = pl.Series("name", [*moves.names, None], pl.String)
    totals = pl.Series(groups.sizes, dtype=pl.Float64).gather(code.cast(pl.Int64))
    found = found.with_columns(
        groups.column(code),
        names.gather((within // size).cast(pl.Int64)).alias("from_name"),
        names.gather((within % size).cast(pl.Int64)).alias("to_name"),
        (found["n_engagements"] / totals).alias("share"),
        code.alias("_group"),
        (within // size).alias("_from"),
    )
    out_of = pl.col("n").sum().over("_group", "_from")
    found = found.with_columns((pl.col("n") / out_of).alias("probability"))
    found = found.sort("_group", -pl.col("n"), "key")
    return found.select(_EDGE_COLUMNS)


def _nodes(visits: Visits, edges: pl.DataFrame, groups: Groups) -> pl.DataFrame:
    rows, size = visits.rows, max(len(visits.names), 1)
    key = pl.col("code").cast(pl.UInt64)
    if len(groups.values) > 1:
        key = groups.of.gather(rows["eng"]).cast(pl.UInt64) * size + key
    found = (
        rows.with_columns(key.alias("key"))
        .group_by("key")
        .agg(
            pl.len().cast(pl.Int64).alias("n_visits"),
            (pl.col("eng").rle_id().max() + 1).cast(pl.Int64).alias("n_engagements"),
            *_quartiles("us"),
            pl.col("tokens").sum().cast(pl.Int64).alias("total_tokens"),
        )
        .sort("key")
    )
    found = in_ms(found)
    code = (found["key"] // size).cast(pl.Int64)
    found = found.with_columns(
        groups.column(code),
        pl.Series(visits.names, dtype=pl.String).gather((found["key"] % size).cast(pl.Int64)).alias("name"),
    )
    return _nodes_named(
        found, edges, visits.engagements, groups, pl.Series(groups.sizes, dtype=pl.Float64).gather(code)
    )


def _nodes_named(
    found: pl.DataFrame, edges: pl.DataFrame, engagements: pl.DataFrame, groups: Groups, totals: pl.Series
) -> pl.DataFrame:
    """Nodes with what edges and engagements say of them; `totals` are the engagements of each node's group."""
    found = found.with_columns(
        (found["n_engagements"] / totals).alias("share"),
        (found["total_tokens"] / found["n_visits"]).alias("tokens_per_visit"),
    )
    starts = edges.filter(pl.col("from_name").is_null()).select("group", pl.col("to_name").alias("name"), n_starts="n")
    ends = edges.filter(pl.col("to_name").is_null()).select("group", pl.col("from_name").alias("name"), n_ends="n")
    dropped = engagements.select(
        groups.column(groups.of), pl.col("dropped_at").cast(pl.String).alias("name")
    ).filter(pl.col("name").is_not_null()).group_by("group", "name").agg(n_dropped=pl.len().cast(pl.Int64))  # fmt: skip
    for part in (starts, ends, dropped):
        found = found.join(part, on=["group", "name"], how="left", nulls_equal=True, maintain_order="left")
    found = found.with_columns(pl.col("n_starts", "n_ends", "n_dropped").fill_null(0))
    return found.select(
        "group", "name", "n_visits", "n_engagements", "share", "n_starts", "n_ends", "n_dropped",
        # A foreign log may name a drop-off that it has no step for; a rate stays a rate.
        (pl.col("n_dropped") / pl.col("n_engagements")).clip(upper_bound=1.0).alias("drop_off_rate"),
        "q1_ms", "median_ms", "q3_ms", "total_tokens", "tokens_per_visit",
    )  # fmt: skip
