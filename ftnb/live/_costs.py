"""What the steps of a run cost, for its view."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from ..core.model import Engagement, EventKind, TokenUsage


def step_costs(source: Any) -> Callable[[Engagement], Mapping[str, float]]:
    """What gives the cost of each step, by id, under prices as of `ftnb.prices`.

    A step with a call that has no price is left out, as its cost is not known. Raises InvalidArgumentError.
    """
    from ..analytics import prices
    from ..analytics._call_costs import Use, costs_by

    sheet = prices(source)

    def costs(engagement: Engagement) -> Mapping[str, float]:
        calls = (
            (step.id, Use(event.model or event.name, event.ts, used.prompt, used.completion, *_parts(used)))
            for step in engagement.steps
            for event in step.events
            if event.kind is EventKind.LLM_CALL and (used := event.tokens) is not None
        )
        found = costs_by(sheet, calls)
        return {
            step_id: sum(cost for cost in own if cost is not None) for step_id, own in found.items() if None not in own
        }

    return costs


def _parts(used: TokenUsage) -> tuple[int, int, int]:
    return used.cache_read, used.cache_write, used.reasoning
