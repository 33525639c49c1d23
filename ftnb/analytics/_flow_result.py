"""The directly-follows graph as a result: frames, figure, and the engagements behind an edge."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal

import polars as pl

from ..core.errors import InvalidArgumentError, UnknownStepError
from ._groups import label, of_group, place_of, shown_group
from ._kept import keeps_table
from ._moves import LaterMoves, Moves, Relation
from ._result import Result, counted
from ._visits import Level

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
    _count_nodes: Callable[[], pl.DataFrame]
    """What `nodes` gives; counted when somebody first asks."""
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

    @cached_property
    def _nodes(self) -> pl.DataFrame:
        return self._count_nodes()

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

    @keeps_table
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
            None, [None], [self.totals[at]], self.relation, self.level, edges, lambda: nodes,
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
