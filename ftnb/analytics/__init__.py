"""Questions over many engagements: each function takes a store, opened traces or frames, and returns a result that has
a `frame()`, a `figure()`, and shows itself in a notebook. What is named here is imported when it is first used."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ._cohorts import Cohorts, cohorts
    from ._conformance import conformance
    from ._conformance_result import Conformance
    from ._cost_change import CostChange
    from ._costs import Costs, costs
    from ._durations import Durations, durations
    from ._flow_difference import FlowDifference
    from ._flows import DirectlyFollows, directly_follows
    from ._funnel_spec import optional
    from ._funnels import Funnel, FunnelStep, funnel
    from ._journeys import group_by, journeys
    from ._loops import Loops, loops
    from ._matrix import StepMatrix, step_matrix
    from ._outcomes import Outcomes, outcomes
    from ._prices import Price, PriceSheet, prices
    from ._rule_words import rule
    from ._rules import EndsWith, FollowedBy, NeverAfter, OnlyAfter, StartsWith, Times, Within
    from ._sankey import Sankey, sankey
    from ._variants import Variants, variants

__all__ = [
    "Cohorts",
    "Conformance",
    "CostChange",
    "Costs",
    "DirectlyFollows",
    "Durations",
    "EndsWith",
    "FlowDifference",
    "FollowedBy",
    "Funnel",
    "FunnelStep",
    "Loops",
    "NeverAfter",
    "OnlyAfter",
    "Outcomes",
    "Price",
    "PriceSheet",
    "Sankey",
    "StartsWith",
    "StepMatrix",
    "Times",
    "Variants",
    "Within",
    "cohorts",
    "conformance",
    "costs",
    "directly_follows",
    "durations",
    "funnel",
    "group_by",
    "journeys",
    "loops",
    "optional",
    "outcomes",
    "prices",
    "rule",
    "sankey",
    "step_matrix",
    "variants",
]

_HOME = {
    "Cohorts": "_cohorts",
    "Conformance": "_conformance_result",
    "CostChange": "_cost_change",
    "Costs": "_costs",
    "DirectlyFollows": "_flows",
    "Durations": "_durations",
    "EndsWith": "_rules",
    "FlowDifference": "_flow_difference",
    "FollowedBy": "_rules",
    "Funnel": "_funnels",
    "FunnelStep": "_funnels",
    "Loops": "_loops",
    "NeverAfter": "_rules",
    "OnlyAfter": "_rules",
    "Outcomes": "_outcomes",
    "Price": "_prices",
    "PriceSheet": "_prices",
    "Sankey": "_sankey",
    "StartsWith": "_rules",
    "StepMatrix": "_matrix",
    "Times": "_rules",
    "Variants": "_variants",
    "Within": "_rules",
    "cohorts": "_cohorts",
    "conformance": "_conformance",
    "costs": "_costs",
    "directly_follows": "_flows",
    "durations": "_durations",
    "funnel": "_funnels",
    "group_by": "_journeys",
    "journeys": "_journeys",
    "loops": "_loops",
    "optional": "_funnel_spec",
    "outcomes": "_outcomes",
    "prices": "_prices",
    "rule": "_rule_words",
    "sankey": "_sankey",
    "step_matrix": "_matrix",
    "variants": "_variants",
}


def __getattr__(name: str) -> Any:
    home = _HOME.get(name)
    if home is None:
        raise AttributeError(f"module 'ftnb.analytics' has no attribute {name!r}; public names: {', '.join(__all__)}")
    value = getattr(importlib.import_module(f"{__name__}.{home}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
