"""The directly-follows graph: which step led to which, how often, how long it took and what it cost."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

import polars as pl

from ..core.errors import InvalidArgumentError, UnknownStepError
from ._flow_costs import with_costs
from ._flow_sql import Graph, graph_of
from ._funnel_cost import PriceSource
from ._gather import gathered, in_engine
from ._groups import Groups, groups_of, label, of_group, place_of, shown_group
from ._moves import LaterMoves, Moves, Relation, checked_relation, moves_of
from ._result import Result, counted
from ._source import Source, _runs_of_users, asked
from ._visits import Level, Visits, checked_level, visits_of

if TYPE_CHECKING:
    import plotly.graph_objects as go

    from ..figures.theme import Theme
    from ..widget.many import ManyView
    from ..widget.process_map import MapSource
    from ._flow_difference import FlowDifference


@dataclass(frozen=True, repr=False, eq=False)
class DirectlyFollows(Result):
    """Nodes and edges of what happened, for all engagements or for each group of them."""

    by: str | None
    groups: list[Any]
    """Values of `by`, None last; `[None]` without `by`."""
    totals: list[int]
    """Engagements of each group."""
    relation: Relation
    level: Level
    _edges: pl.DataFrame
    _nodes: pl.DataFrame
    _moves: Moves | LaterMoves = field(repr=False)
    _group_of: pl.Series = field(repr=False)
    _ids: pl.Series = field(repr=False)

    _shown = ("group", "from_name", "to_name", "n", "n_engagements", "probability", "median_ms", "total_tokens",
              "cost", "n_unpriced")  # fmt: skip

    def frame(self) -> pl.DataFrame:
        """One row an edge, the most frequent first.

        `group` (only with `by`), `from_name` (null: the start), `to_name` (null: the end), `n` moves, `n_engagements`
        that made it, `share` of the group's engagements, `probability` that this move is the one that follows
        `from_name`, `q1_ms median_ms q3_ms` from the start of the one step to the start of the next with waits for a
        human taken out (null: not known), `wait_ms` waited for a human in all of these moves, `total_tokens` of the
        steps that these moves leave (a step that led to several counts in each). With prices also `cost` of these
        steps, work that a pause discarded included (null: not known of any call; 0: there was none), and `n_unpriced`
        calls that are not in it.
        """
        return self._edges

    def nodes(self) -> pl.DataFrame:
        """One row a node, in order of first visits.

        `group` (only with `by`), `name`, `n_visits` (retries and resumes of a visit are none of their own),
        `n_engagements`, `share` of the group's engagements, `n_starts` and `n_ends` (moves from the start and to the
        end), `n_dropped` engagements that were abandoned or failed there, `drop_off_rate` of those that came there,
        `q1_ms median_ms q3_ms` of the measured work of a visit, `total_tokens`, `tokens_per_visit`; with prices `cost`
        and `n_unpriced`, as for edges.
        """
        return self._nodes

    def engagements(self, from_name: str | None, to_name: str | None, *, group: Any = None) -> pl.DataFrame:
        """The engagements behind an edge: `engagement_id` and `n`, how often each made that move; None is the start
        or the end. `group` is needed with `by`. Raises UnknownStepError."""
        moved = self._moves.rows
        for side, name in (("from", from_name), ("to", to_name)):
            code = None if name is None else self._code(name)
            moved = moved.filter(pl.col(side).is_null() if code is None else pl.col(side) == code)
        if self.by is not None:
            at = place_of(self.groups, group, self.by)
            moved = moved.filter(self._group_of.gather(moved["eng"]) == at)
        counts = moved.group_by("eng", maintain_order=True).agg(pl.len().alias("n"))
        return pl.DataFrame({"engagement_id": self._ids.gather(counts["eng"]), "n": counts["n"].cast(pl.Int64)})

    def difference(self, before: Any, after: Any) -> FlowDifference:
        """Two groups of `by` against each other: what `after` does more or less often, faster or dearer."""
        from ._flow_difference import difference_of

        if self.by is None:
            raise InvalidArgumentError("a difference needs groups: directly_follows(…, by='version').difference(a, b)")
        return difference_of(self._only(before), self._only(after), (label(before), label(after)))

    def difference_from(
        self, before: DirectlyFollows, *, names: tuple[str, str] = ("before", "after")
    ) -> FlowDifference:
        """This graph against another, as of two stores or two `where`."""
        from ._flow_difference import difference_of

        if self.by is not None or before.by is not None:
            raise InvalidArgumentError("difference_from compares graphs without groups; with by=, use difference(a, b)")
        return difference_of(before, self, names)

    def figure(
        self,
        *,
        theme: Theme = "light",
        kind: Literal["map", "matrix"] = "map",
        group: Any = None,
        min_share: float = 0.0,
    ) -> go.Figure:
        """A process map or a matrix of probabilities, of one `group` (the first when there are several).

        `min_share` leaves out edges that fewer of the engagements took.
        """
        from ..figures import flow_map_figure, flow_matrix_figure

        if kind not in ("map", "matrix"):
            raise InvalidArgumentError(f"no figure of kind {kind!r}; kinds: map, matrix")
        shown = self
        title = self._title()
        if self.by is not None:
            value = shown_group(self.groups, group)
            shown, title = self._only(value), f"{title}: {label(value)}"
        edges = shown._edges.filter(pl.col("share") >= min_share)
        if kind == "matrix":
            return flow_matrix_figure(edges, shown._nodes, title=title, theme=theme)
        from ._flow_layout import placed

        return flow_map_figure(edges, shown._nodes, placed(edges, shown._nodes), title=title, theme=theme)

    def widget(self, *, group: Any = None) -> ManyView:  # type: ignore[override]
        """The interactive process map, of one `group` (the first when there are several); `difference` shows two."""
        from ..widget.many import ManyView
        from ..widget.process_map import process_map_payload

        shown, name = self, "engagements"
        if self.by is not None:
            value = shown_group(self.groups, group)
            shown, name = self._only(value), label(value)
        return ManyView(process_map_payload(shown._map_source(name), title="Process map"))

    def _map_source(self, name: str) -> MapSource:
        from ..widget.process_map import MapSource

        return MapSource(name, self.totals[0], self._nodes, self._edges)

    def _picked(self, key: Any, group: Any) -> pl.DataFrame:
        value = shown_group(self.groups, group)
        if key[0] == "edge":
            return self.engagements(key[1], key[2], group=value)
        # Whoever visited a node moved to it.
        moved = self._moves.rows.filter(pl.col("to") == self._code(key[1]))
        if self.by is not None:
            moved = moved.filter(self._group_of.gather(moved["eng"]) == place_of(self.groups, value, self.by))
        counts = moved.group_by("eng", maintain_order=True).agg(pl.len().alias("n"))
        return pl.DataFrame({"engagement_id": self._ids.gather(counts["eng"]), "n": counts["n"].cast(pl.Int64)})

    def _only(self, group: Any) -> DirectlyFollows:
        at = place_of(self.groups, group, self.by or "")
        edges, nodes = (of_group(frame, self.groups, group, self.by or "") for frame in (self._edges, self._nodes))
        return DirectlyFollows(
            None, [None], [self.totals[at]], self.relation, self.level, edges, nodes,
            Moves(self._moves.rows.filter(self._group_of.gather(self._moves.rows["eng"]) == at), self._moves.names),
            self._group_of, self._ids,
        )  # fmt: skip

    def _code(self, name: str) -> int:
        if name not in self._moves.names:
            raise UnknownStepError.of(str(name), self._moves.names, "these engagements")
        return self._moves.names.index(name)

    def _title(self) -> str:
        by = f" by {self.by}" if self.by else ""
        return f"Directly-follows graph of {counted(sum(self.totals), 'engagement')}{by}"


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
    if where is None and by is None and prices is None and not branches:
        told = _told_by_engine(source, relation, level)
        if told is not None:
            return told
    given = gathered(source, asked(where, branches))
    visits = visits_of(given.tables, level=level, times=True, places=relation == "causal")
    groups = groups_of(visits.engagements, by)
    causes = given.transitions() if relation == "causal" else None
    moves = moves_of(visits, causes, level=level)
    edges = _edges(moves, groups)
    nodes = _nodes(visits, edges, groups)
    if prices is not None:
        which = asked(where, branches)
        edges, nodes = with_costs(edges, nodes, source, which, prices, given.tables, causes, level, groups)
    if by is None:
        edges, nodes = edges.drop("group"), nodes.drop("group")
    return DirectlyFollows(
        by, groups.values, groups.sizes, relation, level, edges, nodes, moves, groups.of,
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
        None, groups.values, groups.sizes, relation, level, edges.drop("group"), nodes.drop("group"),
        LaterMoves(lambda: _moves_one_by_one(source, relation, level)), groups.of,
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


def _quartiles(column: str) -> list[pl.Expr]:
    """First quartile, median and third, interpolated, in milliseconds."""
    named = (("q1_ms", 0.25), ("median_ms", 0.5), ("q3_ms", 0.75))
    return [(pl.col(column).quantile(q, "linear") / 1000).alias(name) for name, q in named]


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
            (pl.col("waited").sum() / 1000).alias("wait_ms"),
            pl.col("tokens").sum().cast(pl.Int64).alias("total_tokens"),
        )
    )
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
