"""The questions that opened traces answer, with the parameters of `ftnb.analytics`. They only forward."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from datetime import datetime

    from .analytics import (
        Cohorts,
        Conformance,
        Costs,
        DirectlyFollows,
        Durations,
        Funnel,
        Loops,
        Outcomes,
        Sankey,
        StepMatrix,
        Variants,
    )
    from .analytics._cohorts import Period
    from .analytics._durations import Of
    from .analytics._funnel_cost import PriceSource
    from .analytics._funnel_spec import Attempts, Mode, Step, Window
    from .analytics._moves import Relation
    from .analytics._rules import Rule
    from .analytics._variants import Collapse
    from .analytics._visits import Level
    from .store.base import EngagementSummary

Where = Mapping[str, Any] | None


class Questions:
    """Questions over many engagements; each gives a result with `frame()`, `figure()`, and a display of its own."""

    @property
    def _source(self) -> Any:
        return self

    def funnel(
        self,
        order: Sequence[Step],
        *,
        where: Where = None,
        branches: bool = False,
        mode: Mode = "visited",
        within: Window | None = None,
        step_within: Mapping[str, Window] | None = None,
        exclude: Iterable[str] | Mapping[str, tuple[str, str]] | None = None,
        attempts: Attempts = "best",
        by: Any = None,
        nested: bool = True,
        prices: PriceSource | None = None,
        as_of: datetime | None = None,
        confidence: float = 0.95,
    ) -> Funnel:
        """How many engagements reached each of `order`, where the others stopped, and what that cost; see
        `ftnb.analytics.funnel`."""
        from .analytics import funnel

        return funnel(
            self._source, order, where=where, branches=branches, mode=mode, within=within, step_within=step_within,
            exclude=exclude, attempts=attempts, by=by, nested=nested, prices=prices, as_of=as_of, confidence=confidence,
        )  # fmt: skip

    def journeys(self, **metadata: Any) -> list[EngagementSummary]:
        """The engagements whose metadata has all these entries; see `ftnb.analytics.journeys`."""
        from .analytics import journeys

        return journeys(self._source, **metadata)

    def group_by(self, key: str, *, where: Where = None, branches: bool = False) -> dict[Any, list[EngagementSummary]]:
        """The engagements by the value of a metadata key; see `ftnb.analytics.group_by`."""
        from .analytics import group_by

        return group_by(self._source, key, where=where, branches=branches)

    def directly_follows(
        self,
        *,
        where: Where = None,
        branches: bool = False,
        by: str | None = None,
        relation: Relation = "causal",
        level: Level = "top",
        prices: PriceSource | None = None,
    ) -> DirectlyFollows:
        """Which step led to which, how often, how long it took and what it cost; `ftnb.analytics.directly_follows`."""
        from .analytics import directly_follows

        return directly_follows(
            self._source, where=where, branches=branches, by=by, relation=relation, level=level, prices=prices
        )

    def variants(
        self,
        *,
        where: Where = None,
        branches: bool = False,
        by: str | None = None,
        collapse: Collapse = "none",
        outcome: str | None = None,
        level: Level = "top",
    ) -> Variants:
        """The distinct paths that engagements took; `ftnb.analytics.variants`."""
        from .analytics import variants

        return variants(
            self._source, where=where, branches=branches, by=by, collapse=collapse, outcome=outcome, level=level
        )

    def step_matrix(
        self,
        *,
        where: Where = None,
        branches: bool = False,
        by: str | None = None,
        max_steps: int = 20,
        anchor: str | None = None,
        level: Level = "top",
    ) -> StepMatrix:
        """Where engagements are at each place of their path; `ftnb.analytics.step_matrix`."""
        from .analytics import step_matrix

        return step_matrix(
            self._source, where=where, branches=branches, by=by, max_steps=max_steps, anchor=anchor, level=level
        )

    def sankey(
        self,
        *,
        where: Where = None,
        branches: bool = False,
        by: str | None = None,
        max_steps: int = 8,
        top: int = 8,
        level: Level = "top",
    ) -> Sankey:
        """How engagements flow from place to place; `ftnb.analytics.sankey`."""
        from .analytics import sankey

        return sankey(self._source, where=where, branches=branches, by=by, max_steps=max_steps, top=top, level=level)

    def loops(
        self, *, where: Where = None, branches: bool = False, by: str | None = None, level: Level = "top"
    ) -> Loops:
        """Steps that were visited again, the cycles behind it and what they cost; `ftnb.analytics.loops`."""
        from .analytics import loops

        return loops(self._source, where=where, branches=branches, by=by, level=level)

    def cohorts(
        self,
        *,
        user: str = "user_id",
        period: Period = "week",
        where: Where = None,
        branches: bool = False,
        by: str | None = None,
    ) -> Cohorts:
        """How many users come back, by the period in which they first came; `ftnb.analytics.cohorts`."""
        from .analytics import cohorts

        return cohorts(self._source, user=user, period=period, where=where, branches=branches, by=by)

    def durations(
        self,
        *,
        of: Of = "step",
        where: Where = None,
        branches: bool = False,
        by: str | None = None,
        level: Level = "all",
    ) -> Durations:
        """How long steps, models, tools or engagements take, and human waiting apart; `ftnb.analytics.durations`."""
        from .analytics import durations

        return durations(self._source, of=of, where=where, branches=branches, by=by, level=level)

    def costs(
        self,
        *,
        by: str | Sequence[str] = "step",
        prices: PriceSource | None = None,
        where: Where = None,
        branches: bool = False,
    ) -> Costs:
        """What model calls cost, by step, model, user, day or anything else known; `ftnb.analytics.costs`."""
        from .analytics import costs

        return costs(self._source, by=by, prices=prices, where=where, branches=branches)

    def conformance(
        self,
        *,
        rules: Iterable[str | Rule] | str | Rule = (),
        topology: Any = None,
        where: Where = None,
        branches: bool = False,
        confidence: float = 0.95,
    ) -> Conformance:
        """What engagements did against their declared graphs, and against rules; `ftnb.analytics.conformance`."""
        from .analytics import conformance

        return conformance(
            self._source, rules=rules, topology=topology, where=where, branches=branches, confidence=confidence
        )

    def outcomes(
        self,
        outcome: str = "status",
        *,
        success: Any = None,
        by: Any = "step",
        path: Sequence[str] | None = None,
        prices: PriceSource | None = None,
        where: Where = None,
        branches: bool = False,
        confidence: float = 0.95,
    ) -> Outcomes:
        """How often engagements went well, by what they did or who they were; `ftnb.analytics.outcomes`."""
        from .analytics import outcomes

        return outcomes(
            self._source, outcome, success=success, by=by, path=path, prices=prices, where=where, branches=branches,
            confidence=confidence,
        )  # fmt: skip
