"""What the model calls of two engagements cost, by step."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

from ..analytics import PriceSheet, prices
from ..core.ids import from_us
from ._ran import Call, Ran, Story

if TYPE_CHECKING:
    from ..analytics._call_costs import Use


class Costs:
    """Costs of steps, worked out when the first is asked for."""

    def __init__(self, source: Any, stories: Sequence[Story]) -> None:
        """`source` is as for `ftnb.prices`. Raises InvalidArgumentError for what is none."""
        self.sheet: PriceSheet = prices(source)
        self._stories = stories

    @property
    def currency(self) -> str:
        """The currency of all of them."""
        return self.sheet.currency

    def of(self, step: Ran) -> float | None:
        """What a step's model calls cost; None when it made none, or one of them has no price."""
        found = self._by_step.get(id(step))
        return None if not found or None in found else sum(cost for cost in found if cost is not None)

    def total(self, steps: Sequence[Ran]) -> float | None:
        """What the calls of steps cost, of those that have a price; None: none has."""
        found = [cost for step in steps for cost in self._by_step.get(id(step), ()) if cost is not None]
        return sum(found) if found else None

    def line(self, a: float | None, b: float | None) -> str:
        """Both totals for people; empty where nothing has a price."""
        if a is None and b is None:
            return ""
        one, other = ("none" if cost is None else f"{cost:,.4f}" for cost in (a, b))
        return f", cost {one} → {other} {self.currency}"

    @cached_property
    def _by_step(self) -> dict[int, list[float | None]]:
        from ..analytics._call_costs import costs_by

        calls = [(id(step), _use(call)) for story in self._stories for step in story.steps
                 for call in step.calls if call.kind == "llm_call"]  # fmt: skip
        return costs_by(self.sheet, calls)


def _use(call: Call) -> Use:
    from ..analytics._call_costs import Use

    prompt, completion = (call.prompt, call.completion) if call.prompt or call.completion else (None, None)
    return Use(call.model or call.name, from_us(call.at_us), prompt, completion, *call.cache)
