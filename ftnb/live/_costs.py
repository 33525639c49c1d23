"""What the steps of a run cost, for its view."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from ..core.model import Engagement, EventKind, StepEvent


def step_costs(source: Any) -> Callable[[Engagement], Mapping[str, float]]:
    """What gives the cost of each step, by id, under prices as of `ftnb.prices`.

    A step with a call that has no price is left out, as its cost is not known. Raises InvalidArgumentError.
    """
    from ..analytics import prices

    sheet = prices(source)

    def costs(engagement: Engagement) -> Mapping[str, float]:
        import polars as pl

        calls = [
            (step.id, event)
            for step in engagement.steps
            for event in step.events
            if event.kind is EventKind.LLM_CALL and event.tokens is not None
        ]
        if not calls:
            return {}
        found: dict[str, list[float | None]] = {}
        frame = pl.DataFrame([_row(event) for _, event in calls], schema=_schema())
        for (step_id, _), cost in zip(calls, sheet.cost(frame), strict=True):
            found.setdefault(step_id, []).append(cost)
        return {
            step_id: sum(cost for cost in own if cost is not None) for step_id, own in found.items() if None not in own
        }

    return costs


def _row(event: StepEvent) -> dict[str, Any]:
    used = event.tokens
    return {
        "model": event.model or event.name,
        "at": event.ts,
        "prompt_tokens": used and used.prompt,
        "completion_tokens": used and used.completion,
        "cache_read_tokens": used and used.cache_read,
        "cache_write_tokens": used and used.cache_write,
        "reasoning_tokens": used and used.reasoning,
    }


def _schema() -> dict[str, Any]:
    import polars as pl

    names = ("prompt_tokens", "completion_tokens", "cache_read_tokens", "cache_write_tokens", "reasoning_tokens")
    return {"model": pl.String, "at": pl.Datetime("us", "UTC"), **dict.fromkeys(names, pl.Int64)}
