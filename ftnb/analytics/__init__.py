"""Questions over many engagements: each function takes a store, opened traces or frames, and returns a result that has
a `frame()`, a `figure()`, and shows itself in a notebook. What is named here is imported when it is first used."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ._cohorts import Cohorts, cohorts
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
    from ._prices import Price, PriceSheet, prices
    from ._sankey import Sankey, sankey
    from ._variants import Variants, variants

__all__ = [
    "Cohorts",
    "CostChange",
    "Costs",
    "DirectlyFollows",
    "Durations",
    "FlowDifference",
    "Funnel",
    "FunnelStep",
    "Loops",
    "Price",
    "PriceSheet",
    "Sankey",
    "StepMatrix",
    "Variants",
    "cohorts",
    "costs",
    "directly_follows",
    "durations",
    "funnel",
    "group_by",
    "journeys",
    "loops",
    "optional",
    "prices",
    "sankey",
    "step_matrix",
    "variants",
]

_HOME = {
    "Cohorts": "_cohorts",
    "CostChange": "_cost_change",
    "Costs": "_costs",
    "DirectlyFollows": "_flows",
    "Durations": "_durations",
    "FlowDifference": "_flow_difference",
    "Funnel": "_funnels",
    "FunnelStep": "_funnels",
    "Loops": "_loops",
    "Price": "_prices",
    "PriceSheet": "_prices",
    "Sankey": "_sankey",
    "StepMatrix": "_matrix",
    "Variants": "_variants",
    "cohorts": "_cohorts",
    "costs": "_costs",
    "directly_follows": "_flows",
    "durations": "_durations",
    "funnel": "_funnels",
    "group_by": "_journeys",
    "journeys": "_journeys",
    "loops": "_loops",
    "optional": "_funnel_spec",
    "prices": "_prices",
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
