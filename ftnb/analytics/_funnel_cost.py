"""What the model calls of a funnel's engagements cost, when somebody says what tokens cost."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import Any, Protocol, runtime_checkable

import polars as pl

from ..core.errors import InvalidArgumentError
from ._engines import PolarsSteps
from ._funnel_reading import Reading, model_calls
from ._funnel_spec import Spec
from ._funnel_sql import Asked
from ._prices import prices as price_sheet
from ._sql import SqlSteps

CALLS = (
    "model", "at", "prompt_tokens", "completion_tokens", "cache_read_tokens", "cache_write_tokens", "reasoning_tokens",
)  # fmt: skip
"""Columns of the model calls that prices are asked about."""
_SCALE = 10**12
"""Costs are summed as whole parts of a dollar this small, so that no sum depends on its order."""


@runtime_checkable
class Prices(Protocol):
    """What tokens cost."""

    def cost(self, calls: pl.DataFrame) -> pl.Series:
        """For each model call (columns `CALLS`) what it cost; null for a model whose price is not known, never 0."""
        ...


PriceSource = Prices | Callable[[pl.DataFrame], pl.Series] | Mapping[str, Any] | str | os.PathLike[str]
"""Also a function of the calls, or what `ftnb.prices` reads: a dict by model, the path of a CSV or TOML file."""


def call_costs(reading: Reading, spec: Spec, prices: PriceSource) -> pl.DataFrame:
    """One row a model call: `engagement_id`, `name` (of its step, when it is asked about), `picos`: null is unknown.

    Calls whose work a pause discarded are among them: they were paid for.
    """
    events = reading.events()
    if events is None:
        raise InvalidArgumentError("costs need the events; give (steps, engagements, events), or a store")
    there = events.collect_schema().names()
    calls = model_calls(events)
    rows = calls.select("engagement_id", "step_id", *(name for name in CALLS if name in there)).collect()
    picos = in_picos(cost_of(prices, rows.drop("engagement_id", "step_id")))
    names = _names(reading, spec)
    found = rows.select("engagement_id", "step_id").with_columns(picos)
    return found.join(names, on=["engagement_id", "step_id"], how="left").drop("step_id")


def dollars(picos: int | None) -> float | None:
    """A sum of costs as the prices have it."""
    return None if picos is None else picos / _SCALE


def cost_of(prices: PriceSource, calls: pl.DataFrame) -> pl.Series:
    """What each call cost, null where that is unknown. Raises InvalidArgumentError for what gives no prices."""
    ask: Any = getattr(prices, "cost", prices)
    if not callable(ask):
        ask = price_sheet(prices).cost
    found = ask(calls)
    if not isinstance(found, pl.Series) or len(found) != calls.height:
        raise InvalidArgumentError(f"prices must give one cost a call, as a polars Series; got {type(found).__name__}")
    return found.cast(pl.Float64).fill_nan(None)


def in_picos(cost: pl.Series) -> pl.Series:
    """Costs as whole numbers, whose sums depend on no order."""
    return (cost * _SCALE).round().cast(pl.Int128).alias("picos")


def _names(reading: Reading, spec: Spec) -> pl.DataFrame:
    """The name of each step that is asked about, by `engagement_id` and `step_id`."""
    steps = reading.steps
    if "step_id" not in steps.schema:
        raise InvalidArgumentError("costs need the steps' column 'step_id', which is not there")
    keys = [pl.col("engagement_id").cast(pl.String), pl.col("step_id").cast(pl.String)]
    if isinstance(steps, SqlSteps):
        asked = Asked(steps, spec)
        found = steps.query(
            f"SELECT engagement_id, step_id, name FROM steps WHERE {asked.is_any(frozenset(spec.names))}"
        )
        return found.with_columns(keys).unique(["engagement_id", "step_id"], keep="any")
    assert isinstance(steps, PolarsSteps)
    asked_about = steps.frame.lazy().filter(pl.col("name").cast(pl.String).is_in(spec.names))
    found = asked_about.select(*keys, pl.col("name").cast(pl.String)).collect(engine="streaming")
    return found.unique(["engagement_id", "step_id"], keep="any")
