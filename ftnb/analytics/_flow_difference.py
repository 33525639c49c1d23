"""Two directly-follows graphs against each other."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import polars as pl

from ._flow_result import DirectlyFollows
from ._kept import keeps_table
from ._result import Result, counted

if TYPE_CHECKING:
    import plotly.graph_objects as go

    from ..figures.theme import Theme
    from ..widget.many import ManyView


@dataclass(frozen=True, repr=False, eq=False)
class FlowDifference(Result):
    """What one group of engagements does unlike another, edge by edge and node by node."""

    names: tuple[str, str]
    totals: tuple[int, int]
    """Engagements of the two groups."""
    _edges: pl.DataFrame
    _nodes: pl.DataFrame
    _sides: tuple[DirectlyFollows, DirectlyFollows] = field(repr=False)

    _shown = ("from_name", "to_name", "n_before", "n_after", "share_before", "share_after", "share_difference",
              "probability_difference", "median_difference_ms")  # fmt: skip

    def frame(self) -> pl.DataFrame:
        """One row an edge that either group took, the largest difference in share first.

        `from_name to_name`, and of both groups (`_before`, `_after`): `n`, `n_engagements`, `share` of the group's
        engagements (0 when none), `probability` (null when the group never came to `from_name`), `median_ms` (null: not
        known), `tokens_per_move`; differences are after less before, null where either side is.
        """
        return self._edges

    def nodes(self) -> pl.DataFrame:
        """The same of nodes: `n_visits n_engagements share n_dropped drop_off_rate median_ms tokens_per_visit`."""
        return self._nodes

    @keeps_table
    def figure(self, *, theme: Theme = "light") -> go.Figure:
        """A matrix of the differences in share."""
        from ..figures import flow_difference_figure

        return flow_difference_figure(self._edges, self._nodes, names=self.names, title=self._title(), theme=theme)

    def widget(self) -> ManyView:  # type: ignore[override]
        """The interactive process map of both groups and of their difference (after less before)."""
        from ..widget.many import ManyView
        from ..widget.process_map import process_map_payload

        sources = [side._map_source(name) for name, side in zip(self.names, self._sides, strict=True)]
        return ManyView(process_map_payload(*sources, title=f"{self.names[1]} against {self.names[0]}"))

    def _title(self) -> str:
        a, b = (f"{name} ({counted(n, 'engagement')})" for name, n in zip(self.names, self.totals, strict=True))
        return f"{b} against {a}"


def difference_of(before: DirectlyFollows, after: DirectlyFollows, names: tuple[str, str]) -> FlowDifference:
    """`after` less `before`; both without groups."""
    per_move = (pl.col("total_tokens") / pl.col("n")).alias("tokens_per_move")
    edges = _joined(
        before.frame().with_columns(per_move), after.frame().with_columns(per_move), ["from_name", "to_name"],
        counts=["n", "n_engagements", "share"], rest=["probability", "median_ms", "tokens_per_move"],
    )  # fmt: skip
    # A group that came to a step but never took an edge from it has probability 0 there, not an unknown one.
    for side, graph in (("before", before), ("after", after)):
        left = graph.frame().select("from_name").unique().with_columns(pl.lit(0.0).alias("_zero"))
        edges = edges.join(left, on="from_name", how="left", nulls_equal=True, maintain_order="left")
        probability = pl.coalesce(f"probability_{side}", "_zero").alias(f"probability_{side}")
        edges = edges.with_columns(probability).drop("_zero")
    edges = edges.with_columns(
        (pl.col("probability_after") - pl.col("probability_before")).alias("probability_difference")
    )
    nodes = _joined(
        before.nodes(), after.nodes(), ["name"], counts=["n_visits", "n_engagements", "share", "n_dropped"],
        rest=["drop_off_rate", "median_ms", "tokens_per_visit"],
    )  # fmt: skip
    return FlowDifference(names, (before.totals[0], after.totals[0]), edges, nodes, (before, after))


def _joined(
    before: pl.DataFrame, after: pl.DataFrame, keys: list[str], *, counts: list[str], rest: list[str]
) -> pl.DataFrame:
    columns = [*counts, *rest]
    sides = [
        frame.select(*keys, *(pl.col(name).alias(_sided(name, side)) for name in columns))
        for frame, side in ((before, "before"), (after, "after"))
    ]
    both = sides[0].join(sides[1], on=keys, how="full", coalesce=True, nulls_equal=True)
    both = both.with_columns(pl.col(_sided(name, side)).fill_null(0) for name in counts for side in ("before", "after"))
    both = both.with_columns(
        (pl.col(_sided(name, "after")) - pl.col(_sided(name, "before"))).alias(_sided(name, "difference"))
        for name in columns
    )
    order = [_sided(name, side) for side in ("before", "after", "difference") for name in columns]
    return both.select(*keys, *order).sort(-pl.col("share_difference").abs(), *keys, nulls_last=True)


def _sided(name: str, side: str) -> str:
    """`median_ms` of the side `before` is `median_before_ms`: the unit stays last."""
    return f"{name.removesuffix('_ms')}_{side}_ms" if name.endswith("_ms") else f"{name}_{side}"
