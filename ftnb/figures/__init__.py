"""Plotly figures of results: each takes frames or plain values and returns a `go.Figure`."""

from __future__ import annotations

from ._conformance import conformance_figure, rules_figure
from ._convert import times_figure
from ._flow_map import flow_map_figure
from ._funnel import funnel_figure
from ._heat import cohorts_figure, flow_difference_figure, flow_matrix_figure, step_matrix_figure
from ._money import cost_change_figure, costs_figure
from ._outcomes import outcomes_figure
from ._paths import sankey_figure, variants_figure
from ._times import durations_figure, loops_figure
from .theme import template

__all__ = [
    "cohorts_figure",
    "conformance_figure",
    "cost_change_figure",
    "costs_figure",
    "durations_figure",
    "flow_difference_figure",
    "flow_map_figure",
    "flow_matrix_figure",
    "funnel_figure",
    "loops_figure",
    "outcomes_figure",
    "rules_figure",
    "sankey_figure",
    "step_matrix_figure",
    "template",
    "times_figure",
    "variants_figure",
]
