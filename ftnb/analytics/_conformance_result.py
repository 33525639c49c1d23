"""The answer of `conformance`: by engagement, by edge, by node, by rule and by version of the graph."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import polars as pl

from ..core.errors import InvalidArgumentError, UnknownStepError
from . import _conformance_frames as frames
from ._declared import Declared
from ._kept import keeps_table
from ._result import Result, cell, counted, html_table
from ._rule_check import Held
from ._rules import Rule
from ._visits import Visits

if TYPE_CHECKING:
    import plotly.graph_objects as go

    from ..figures.theme import Theme
    from ..widget.many import ManyView
    from ..widget.protocol import ProcessMapPayload

Edge = tuple[str | None, str | None]


@dataclass(frozen=True, repr=False, eq=False)
class Conformance(Result):
    """What engagements did against what was declared and what should be."""

    n_engagements: int
    n_declared: int
    """Engagements that declared a graph, or are held against one; the others are judged by rules alone."""
    _rules: list[Rule] = field(repr=False)
    _declared: Declared = field(repr=False)
    _visits: Visits = field(repr=False)
    _moves: pl.DataFrame = field(repr=False)
    _frame: pl.DataFrame = field(repr=False)
    _edges: pl.DataFrame = field(repr=False)
    _nodes: pl.DataFrame = field(repr=False)
    _versions: pl.DataFrame = field(repr=False)
    _by_rule: pl.DataFrame = field(repr=False)
    _violations: pl.DataFrame = field(repr=False)

    @classmethod
    def of(
        cls, rules: list[Rule], held: list[Held], declared: Declared, visits: Visits, moves: pl.DataFrame,
        everywhere: Visits, confidence: float,
    ) -> Conformance:  # fmt: skip
        """The answer, from moves that were judged and rules that were held against visits."""
        violations = frames.violations(rules, held, visits, moves, everywhere)
        return cls(
            visits.engagements.height, int(declared.of.count()), rules, declared, visits, moves,
            frames.by_engagement(rules, held, declared, visits, moves),
            frames.edges(declared, moves), frames.nodes(declared, visits),
            frames.versions(declared, visits, moves), frames.by_rule(rules, held, everywhere, confidence), violations,
        )  # fmt: skip

    # --- numbers ---

    @property
    def fitness(self) -> float | None:
        """Of all moves of engagements with a graph, the share that it declares; None when there are none."""
        judged = self._moves["is_declared"].drop_nulls()
        return float(judged.sum()) / len(judged) if len(judged) else None

    @property
    def n_fitting(self) -> int:
        """Engagements with no undeclared move and no broken rule."""
        return int(self._frame["fits"].sum())

    @property
    def coverage(self) -> float | None:
        """Of the declared edges, starts and ends among them, the share that was ever taken; None: none is declared."""
        declared = self._edges.filter("declared")
        return int((declared["n"] > 0).sum()) / declared.height if declared.height else None

    @property
    def node_coverage(self) -> float | None:
        """Of the declared nodes, the share that was ever visited; None: none is declared."""
        declared = self._nodes.filter("declared")
        return int((declared["n_visits"] > 0).sum()) / declared.height if declared.height else None

    # --- frames ---

    def frame(self) -> pl.DataFrame:
        """One row an engagement, in the order of the source.

        `engagement_id`, `status`, `version` of its graph from 1 (null: it has none), `n_moves`, `n_undeclared`,
        `fitness` (share of its moves that are declared; null: nothing to judge), `undeclared` (list of moves, as
        `a → b`), `n_broken` rules, `broken` (list of rules), `n_pending` rules that it may still come to keep, `fits`:
        no undeclared move and no broken rule.
        """
        return self._frame

    def edges(self) -> pl.DataFrame:
        """One row an edge, of all versions of the graph: those that were taken, then those that never were.

        `from_name` (null: the start), `to_name` (null: the end), `kind` (as declared; null: it is not), `declared` in
        any version, `n` moves, `n_undeclared` of them in engagements whose graph does not have it, `n_engagements`,
        `share` of the engagements with a graph, `state`: taken, never taken, undeclared.
        """
        return self._edges

    def nodes(self) -> pl.DataFrame:
        """One row a node: `name`, `declared` in any version, `n_visits`, `n_engagements`, `share`, `state`."""
        return self._nodes

    def versions(self) -> pl.DataFrame:
        """One row a version of the graph, in the order in which they first came.

        `version` from 1, `n_engagements`, `first_at` and `last_at` (starts of the first and last engagement of it),
        `n_nodes`, `n_edges`, `added_nodes removed_nodes added_edges removed_edges` (lists, against the version before),
        `fitness`, `n_fitting` engagements without an undeclared move.
        """
        return self._versions

    def rules(self) -> pl.DataFrame:
        """One row a rule, in the order given.

        `rule`, `n_asked` engagements in which it had something to say, of these `n_kept`, `n_broken`, `n_pending` (they
        go on and may still come to keep it); `broken_rate` of those that are decided, with `broken_low` and
        `broken_high` (Wilson); `n_breaks` steps that break it, `engagement_id`: an example (null: nobody broke it).
        """
        return self._by_rule

    def violations(self) -> pl.DataFrame:
        """One row an undeclared move or a break of a rule, in the order of the source.

        `engagement_id`, `rule` (null: an undeclared move), `step_id` and `name` (the step that does it; null: something
        that should have come never did), `move` (of undeclared moves, as `a → b`), `lag_ms` (of rules with a time: how
        long it took; null: it never came, or had nothing before it).
        """
        return self._violations

    def engagements(
        self, *, rule: str | Rule | None = None, edge: Edge | None = None, version: int | None = None,
    ) -> pl.DataFrame:  # fmt: skip
        """The rows of `frame()` behind a rule (those that broke it), an edge (those that took it), or a version.

        Raises InvalidArgumentError unless one of them is asked for, and for what is not there.
        """
        if sum(one is not None for one in (rule, edge, version)) != 1:
            raise InvalidArgumentError("ask for one of: rule='…', edge=('search', 'pay'), version=2")
        if version is not None:
            if version not in self._versions["version"]:
                raise InvalidArgumentError(f"no version {version!r} of the graph; there are {self._versions.height}")
            return self._frame.filter(pl.col("version") == version)
        if rule is not None:
            text = self._rule(rule)
            return self._frame.filter(pl.col("broken").list.contains(text))
        assert edge is not None
        a, b = edge
        known = {*self._nodes["name"], *self._moves["from_name"].drop_nulls()}
        for name in edge:
            if name is not None and name not in known:
                raise UnknownStepError.of(str(name), known, "these engagements and their graphs")
        taken = self._moves.filter(pl.col("from_name").eq_missing(pl.lit(a)) & pl.col("to_name").eq_missing(pl.lit(b)))
        return self._frame[taken["eng"].unique().sort().cast(pl.Int64)]

    def _rule(self, given: str | Rule) -> str:
        from ._rule_words import rule as rule_of

        text = str(rule_of(given))
        if text not in self._by_rule["rule"]:
            known = "; ".join(self._by_rule["rule"]) or "none"
            raise InvalidArgumentError(f"the rule {text!r} was not asked about; rules: {known}")
        return text

    # --- pictures ---

    @keeps_table
    def figure(self, *, theme: Theme = "light") -> go.Figure:
        """The graph: what was taken, what was declared and never taken (dotted), what was taken and is not declared
        (vermilion, dashed). With rules and no graph, a bar a rule."""
        from ..figures import conformance_figure, rules_figure

        if self._edges.is_empty():
            return rules_figure(self._by_rule, title=self._title(), theme=theme)
        from ._flow_layout import placed

        starts = self._edges.filter(pl.col("from_name").is_null()).select(pl.col("to_name").alias("name"), n_starts="n")
        nodes = self._nodes.join(starts, on="name", how="left", maintain_order="left").fill_null(0)
        return conformance_figure(
            self._edges, self._nodes, placed(self._edges, nodes), title=self._title(), theme=theme
        )

    def rules_figure(self, *, theme: Theme = "light") -> go.Figure:
        """A bar a rule: the share of engagements that broke it, with its interval."""
        from ..figures import rules_figure

        return rules_figure(self._by_rule, title=self._title(), theme=theme)

    def process_map_payload(self) -> ProcessMapPayload:
        """The same graph as the data that the interactive process map draws."""
        from ..widget.process_map import MapSource, process_map_payload

        anywhere = {name for shape in self._declared.shapes for name in shape.anywhere}
        source = MapSource("all", self.n_declared, self._nodes, self._edges)
        return process_map_payload(source, title=self._title(), global_nodes=anywhere)

    def process_map(self) -> ManyView:
        """The interactive process map, undeclared ways marked as such."""
        from ..widget.many import ManyView

        return ManyView(self.process_map_payload())

    def _picked(self, key: Any, group: Any = None) -> pl.DataFrame:
        what, place = key
        if what == "rule":
            return self.engagements(rule=self._by_rule["rule"][place])
        if what == "edge":
            return self.engagements(edge=self._edges.row(place)[:2])
        name = self._nodes["name"][place]
        code = self._visits.names.index(name) if name in self._visits.names else -1
        found = self._visits.rows.filter(pl.col("code") == code)["eng"].unique().sort()
        return self._frame[found.cast(pl.Int64)]

    # --- display ---

    def _title(self) -> str:
        parts = [counted(self.n_engagements, "engagement")]
        if self.fitness is not None and self.coverage is not None:
            parts.append(f"{self.fitness:.1%} of moves declared")
            parts.append(f"{self.coverage:.0%} of edges taken")
        if self._versions.height > 1:
            parts.append(f"{self._versions.height} versions")
        if self._rules:
            n_broken = int((self._frame["n_broken"] > 0).sum())
            parts.append(f"{n_broken:,} broke a rule")
        return "Conformance: " + ", ".join(parts)

    def _table(self) -> pl.DataFrame:
        if self._rules and self._edges.is_empty():
            return self._by_rule.drop("broken_low", "broken_high", "engagement_id")
        edges = self._edges.with_columns(pl.col("from_name").fill_null("(start)"), pl.col("to_name").fill_null("(end)"))
        rank = pl.col("state").replace_strict({"undeclared": 0, "never taken": 1}, default=2)
        return edges.sort(rank, maintain_order=True).drop("declared")

    def __repr__(self) -> str:
        text = super().__repr__()
        if not self._rules or self._edges.is_empty():
            return text
        lines = [
            f"  {row['rule']}: broken in {cell('n', row['n_broken'])} of {cell('n', row['n_asked'])}"
            + (f" ({row['broken_rate']:.1%})" if row["broken_rate"] is not None else "")
            for row in self._by_rule.to_dicts()
        ]
        return "\n".join([text, "rules:", *lines])

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, Any]:
        bundle = super()._repr_mimebundle_(include, exclude)
        if self._rules and not self._edges.is_empty():
            bundle["text/html"] += html_table("Rules", self._by_rule.drop("broken_low", "broken_high", "engagement_id"))
        return bundle
