"""The same work under other prices."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import polars as pl

from ..core.errors import InvalidArgumentError
from ._funnel_cost import dollars
from ._kept import keeps_table
from ._result import Result, counted

if TYPE_CHECKING:
    import plotly.graph_objects as go

    from ..figures.theme import Theme


@dataclass(frozen=True, repr=False, eq=False)
class CostChange(Result):
    """Costs before and after prices changed, over the same calls. Only calls that both price are compared."""

    by: tuple[str, ...]
    currency: str
    before: float | None
    """What the calls cost that both price; None when there is none."""
    after: float | None
    n_left_out: int
    """Calls that one of the two does not price; they are in neither sum."""
    _frame: pl.DataFrame = field(repr=False)

    @property
    def difference(self) -> float | None:
        """After less before; None when nothing can be compared."""
        return None if self.before is None or self.after is None else self.after - self.before

    def frame(self) -> pl.DataFrame:
        """One row a value of `by`, the largest change first: the values, `n_calls`, `cost_before`, `cost_after`,
        `cost_difference` (null: no call has both prices), `change` (as a share of before; null when that is 0),
        `n_left_out`."""
        return self._frame

    @keeps_table
    def figure(self, *, theme: Theme = "light", top: int = 20) -> go.Figure:
        """Costs before and after, side by side."""
        from ..figures import cost_change_figure

        frame = self._frame.head(top)
        return cost_change_figure(frame, self.by, currency=self.currency, title=self._title(), theme=theme)

    def _table(self) -> pl.DataFrame:
        names = ("cost_before", "cost_after", "cost_difference", "change")
        texts = [
            pl.Series(name, [_text(name, value) for value in self._frame[name]], pl.String) for name in names
        ]  # fmt: skip
        return self._frame.with_columns(texts)

    def _title(self) -> str:
        if self.before is None or self.after is None:
            return "What if: no call has a price under both"
        left = f", {counted(self.n_left_out, 'call')} left out" if self.n_left_out else ""
        change = f" ({self.after / self.before - 1:+.1%})" if self.before else ""
        return f"What if: {self.before:,.4g} → {self.after:,.4g} {self.currency}{change}{left}"


def _text(name: str, value: float | None) -> str | None:
    if value is None:
        return None
    return f"{value:+.1%}" if name == "change" else f"{value:,.4g}"


def change_of(
    before: pl.DataFrame, after: pl.DataFrame, by: tuple[str, ...], currencies: tuple[str, str]
) -> CostChange:
    """The calls (`by_0` …, `picos`) under two prices. Raises InvalidArgumentError for two currencies."""
    if currencies[0] and currencies[1] and currencies[0] != currencies[1]:
        raise InvalidArgumentError(
            f"costs in {currencies[0]} and {currencies[1]} cannot be compared; convert the prices"
        )
    inner = [f"by_{k}" for k in range(len(by))]
    rows = before.select(*inner, "picos", after["picos"].alias("then"))
    both = pl.col("picos").is_not_null() & pl.col("then").is_not_null()
    known = pl.when(both.any())
    found = rows.group_by(inner, maintain_order=True).agg(
        pl.len().cast(pl.Int64).alias("n_calls"),
        known.then(pl.col("picos").filter(both).sum()).alias("a"),
        known.then(pl.col("then").filter(both).sum()).alias("b"),
        (~both).sum().cast(pl.Int64).alias("n_left_out"),
    )
    a, b = ([dollars(value) for value in found[name]] for name in ("a", "b"))
    change = [dollars(y - x) if x is not None else None for x, y in zip(found["a"], found["b"], strict=True)]
    share = [None if x is None or not y else x / y for x, y in zip(change, a, strict=True)]
    columns = {"cost_before": a, "cost_after": b, "cost_difference": change, "change": share}
    found = found.with_columns(pl.Series(name, values, pl.Float64) for name, values in columns.items())
    found = found.sort(pl.col("cost_difference").abs(), *inner, descending=[True, *[False] * len(inner)],
                       nulls_last=True)  # fmt: skip
    named = [pl.col(name).alias(key) for name, key in zip(inner, by, strict=True)]
    sums = [dollars(int(found[name].sum() or 0)) if found[name].count() else None for name in ("a", "b")]
    frame = found.select(*named, "n_calls", *columns, "n_left_out")
    return CostChange(by, currencies[0] or currencies[1], sums[0], sums[1], int(found["n_left_out"].sum()), frame)
