"""What it costs: model calls under a price sheet, by step, model, user, day or anything else that is known."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import polars as pl

from ..core.errors import InvalidArgumentError
from ._cost_calls import TOKENS, model_call_rows
from ._cost_change import CostChange, change_of
from ._funnel_cost import PriceSource, cost_of, dollars, in_picos
from ._groups import attribute
from ._kept import keeps_table
from ._price_sheet import PriceSheet
from ._prices import prices as price_sheet
from ._result import Result, counted
from ._source import Source, asked

if TYPE_CHECKING:
    import plotly.graph_objects as go

    from ..figures.theme import Theme

_OF_CALLS = {"step": "step", "model": "model", "day": "day", "turn": "turn", "engagement": "engagement_id"}
"""What a call itself says; everything else is asked of its engagement."""


@dataclass(frozen=True, repr=False, eq=False)
class Costs(Result):
    """What model calls cost. An unknown cost is none: it is counted in `n_unpriced` and is in no sum."""

    by: tuple[str, ...]
    currency: str
    """Of all amounts; empty when the prices do not say."""
    n_engagements: int
    _calls: pl.DataFrame = field(repr=False)
    """A row a call, with the columns `by_0`, `by_1` …, `cost` and `picos`."""
    _frame: pl.DataFrame = field(repr=False)
    _prices_title: str = ""

    @property
    def total(self) -> float | None:
        """What is known of the whole, work that pauses discarded included; None when no call has a known price."""
        return _sum(self._calls)

    @property
    def discarded(self) -> float | None:
        """Of it, work that a pause discarded and the resume did again."""
        return _sum(self._calls.filter("discarded"))

    @property
    def n_unpriced(self) -> int:
        """Calls whose cost is not known: the model has no price, or the call reports no tokens."""
        return self._calls["picos"].null_count()

    def frame(self) -> pl.DataFrame:
        """One row a value of `by`; the dearest first.

        The values, under their names; `n_calls`, `n_engagements` that made them, `prompt_tokens` (of these
        `cache_read_tokens` and `cache_write_tokens`), `completion_tokens` (of these `reasoning_tokens`), `cost` (null:
        not known of any call), `share` of what is known of the whole, `discarded_cost` and `discarded_tokens` (of work
        that a pause discarded; both are in the sums before), `cost_per_engagement` (of those that made calls here),
        `n_unpriced` calls that are in no sum, and of these `n_without_tokens`.
        """
        return self._frame

    def calls(self) -> pl.DataFrame:
        """One row a model call: `engagement_id`, `step_id`, `step`, `model`, `at`, `turn`, tokens, `discarded`,
        `cost`."""
        return self._calls.drop("picos", *(f"by_{k}" for k in range(len(self.by))))

    def unpriced(self) -> pl.DataFrame:
        """The models of calls whose cost is not known: `model`, `n_calls`, `n_without_tokens`, `total_tokens`."""
        rows = self._calls.filter(pl.col("picos").is_null())
        tokens = pl.sum_horizontal("prompt_tokens", "completion_tokens").sum().cast(pl.Int64).alias("total_tokens")
        found = rows.group_by("model").agg(pl.len().cast(pl.Int64).alias("n_calls"), _without_tokens(), tokens)
        return found.sort("n_calls", "model", descending=[True, False])

    def engagements(self, *values: Any) -> pl.DataFrame:
        """The engagements behind a row, the dearest first: `engagement_id`, `n_calls`, `cost`. `values` are those of
        `by`, in its order. Raises InvalidArgumentError for ones that there are not."""
        if len(values) != len(self.by):
            raise InvalidArgumentError(
                f"this is by {', '.join(self.by)}: give {len(self.by)} values, not {len(values)}"
            )
        keep = pl.lit(True)
        for k, value in enumerate(values):
            keep = keep & pl.col(f"by_{k}").eq_missing(pl.lit(value))
        rows = self._calls.filter(keep)
        if rows.is_empty():
            known = self._frame.select(self.by).head(10).rows()
            shown = ", ".join(repr(row[0] if len(row) == 1 else row) for row in known) or "none"
            raise InvalidArgumentError(f"nothing was spent on {values!r}; by {', '.join(self.by)} there is: {shown}")
        found = rows.group_by("engagement_id").agg(pl.len().cast(pl.Int64).alias("n_calls"), _money("picos", "cost"))
        return found.sort("cost", "engagement_id", descending=[True, False], nulls_last=True)

    def what_if(self, prices: PriceSource) -> CostChange:
        """The same calls under other prices: before, after and the difference, by the same values."""
        after = _costs(self._calls, prices)
        return change_of(self._calls, after, self.by, (self.currency, _currency(prices)))

    @keeps_table
    def figure(self, *, theme: Theme = "light", top: int = 20) -> go.Figure:
        """Costs of the `top` rows as bars, discarded work apart; days in their order."""
        from ..figures import costs_figure

        frame = self._frame.sort(self.by[0]) if self.by == ("day",) else self._frame.head(top)
        return costs_figure(frame, self.by, currency=self.currency, title=self._title(), theme=theme)

    def _picked(self, key: Any, group: Any = None) -> pl.DataFrame:
        frame = self._frame.sort(self.by[0]) if self.by == ("day",) else self._frame
        return self.engagements(*frame.select(self.by).row(int(key)))

    _shown = ()

    def _table(self) -> pl.DataFrame:
        left = ("cache_write_tokens", "n_without_tokens", "cost_per_engagement", "discarded_tokens")
        frame = self._frame.drop(left)
        money = [name for name in ("cost", "discarded_cost") if name in frame.columns]
        texts = [pl.Series(name, [_text(value) for value in frame[name]], pl.String) for name in money]
        return frame.with_columns(texts)

    def _title(self) -> str:
        total = "unknown" if self.total is None else f"{_text(self.total)} {self.currency}".strip()
        missing = f", {counted(self.n_unpriced, 'call')} of unknown cost not in it" if self.n_unpriced else ""
        of = counted(self.n_engagements, "engagement")
        return f"Costs by {', '.join(self.by)}: {total} for {of}{missing}; {self._prices_title}"


def costs(
    source: Source,
    *,
    by: str | Sequence[str] = "step",
    prices: PriceSource | None = None,
    where: Mapping[str, Any] | None = None,
    branches: bool = False,
) -> Costs:
    """What the model calls of engagements cost.

    `by` is `step` (the step that made the call, inside subgraphs too), `model`, `day` (UTC), `turn`, `engagement`,
    a metadata key (as `user_id`; `user` stands for it) or a column of the engagements, or several of these.

    `prices` is what `ftnb.prices` gives or reads; None: the list prices that come with the package, which are defaults
    to edit. A model without a price costs an unknown amount, never 0. Calls whose work a pause discarded were paid
    for: they are in all sums, and told apart. `source`, `where` and `branches` are as for `funnel`; events are needed.

    Raises InvalidArgumentError.
    """
    keys = (by,) if isinstance(by, str) else tuple(by)
    if not keys or not all(isinstance(key, str) for key in keys):
        raise InvalidArgumentError(f"by is step, model, day, turn, engagement, a metadata key, or several; got {by!r}")
    if len(set(keys)) < len(keys):
        raise InvalidArgumentError(f"by names the same twice: {', '.join(keys)}")
    sheet = price_sheet() if prices is None else prices
    engagements, calls = model_call_rows(source, asked(where, branches), [key for key in keys if key not in _OF_CALLS])
    named = calls.with_columns(_values(calls, engagements, key).alias(f"by_{k}") for k, key in enumerate(keys))
    priced = _costs(named, sheet)
    title = getattr(price_sheet(sheet) if _is_given(sheet) else sheet, "title", "your prices")
    return Costs(keys, _currency(sheet), engagements.height, priced, _frame(priced, keys), str(title))


def _values(calls: pl.DataFrame, engagements: pl.DataFrame, key: str) -> pl.Series:
    if key == "day":
        return calls["at"].dt.date()
    if key in _OF_CALLS:
        return calls[_OF_CALLS[key]]
    name = _key_of(engagements, key)
    known = engagements.select("engagement_id", attribute(engagements, name, "by").alias("value"))
    return calls.select("engagement_id").join(known, on="engagement_id", how="left", maintain_order="left")["value"]


def _key_of(engagements: pl.DataFrame, key: str) -> str:
    from ._groups import metadata_keys

    known = metadata_keys(engagements)
    return "user_id" if key == "user" and "user" not in known and "user_id" in known else key


def _is_given(prices: Any) -> bool:
    """Whether prices are something to be read."""
    return not callable(getattr(prices, "cost", prices))


def _currency(prices: Any) -> str:
    sheet = price_sheet(prices) if _is_given(prices) else prices
    return sheet.currency if isinstance(sheet, PriceSheet) else str(getattr(sheet, "currency", ""))


def _costs(calls: pl.DataFrame, prices: Any) -> pl.DataFrame:
    cost = cost_of(prices, calls.select("model", "at", *TOKENS))
    return calls.with_columns(cost.alias("cost"), in_picos(cost))


def _money(picos: str, name: str) -> pl.Expr:
    """The sum of what is known; null where nothing is."""
    total = pl.when(pl.col(picos).count() > 0).then(pl.col(picos).sum())
    return total.map_batches(_dollars, return_dtype=pl.Float64, returns_scalar=True).alias(name)


def _dollars(picos: pl.Series) -> pl.Series:
    # One division of exact integers, as elsewhere; Int128 loses digits when it is cast to a float first.
    return pl.Series(picos.name, [dollars(value) for value in picos], pl.Float64)


def _sum(calls: pl.DataFrame) -> float | None:
    if calls.height and calls["picos"].null_count() == calls.height:
        return None
    return dollars(int(calls["picos"].sum() or 0))


def _without_tokens() -> pl.Expr:
    none = pl.col("prompt_tokens").is_null() & pl.col("completion_tokens").is_null()
    return none.sum().cast(pl.Int64).alias("n_without_tokens")


def _frame(calls: pl.DataFrame, keys: tuple[str, ...]) -> pl.DataFrame:
    inner = [f"by_{k}" for k in range(len(keys))]
    gone = pl.when("discarded").then("picos")
    tokens = pl.sum_horizontal("prompt_tokens", "completion_tokens")
    found = (
        calls.with_columns(gone.alias("gone"), tokens.alias("both"))
        .group_by(inner, maintain_order=True)
        .agg(
            pl.len().cast(pl.Int64).alias("n_calls"),
            pl.col("engagement_id").n_unique().cast(pl.Int64).alias("n_engagements"),
            *(pl.col(name).sum().cast(pl.Int64) for name in TOKENS),
            pl.when(pl.col("picos").count() > 0).then(pl.col("picos").sum()).alias("known"),
            pl.when(pl.col("gone").count() > 0).then(pl.col("gone").sum()).alias("gone"),
            (~pl.col("discarded")).all().alias("whole"),
            pl.col("both").filter("discarded").sum().cast(pl.Int64).alias("discarded_tokens"),
            pl.col("picos").null_count().cast(pl.Int64).alias("n_unpriced"),
            _without_tokens(),
        )
    )
    # Nothing was discarded: that is known to have cost nothing.
    gone_picos = pl.when("whole").then(pl.lit(0, pl.Int128)).otherwise("gone").alias("gone")
    found = found.with_columns(gone_picos).sort(
        "known", "n_calls", *inner, descending=[True, True, *[False] * len(inner)], nulls_last=True
    )
    cost, discarded = _dollars(found["known"]), _dollars(found["gone"])
    total = dollars(int(found["known"].sum() or 0)) or 0.0
    found = found.with_columns(cost.alias("cost"), discarded.alias("discarded_cost"))
    share = (pl.col("cost") / total if total else pl.lit(None, pl.Float64)).alias("share")
    found = found.with_columns(share, (pl.col("cost") / pl.col("n_engagements")).alias("cost_per_engagement"))
    return found.select(
        *(pl.col(name).alias(key) for name, key in zip(inner, keys, strict=True)), "n_calls", "n_engagements", *TOKENS,
        "cost", "share", "discarded_cost", "discarded_tokens", "cost_per_engagement", "n_unpriced", "n_without_tokens",
    )  # fmt: skip


def _text(value: float | None) -> str | None:
    return None if value is None else f"{value:,.2f}" if value >= 100 else f"{value:,.4g}"
