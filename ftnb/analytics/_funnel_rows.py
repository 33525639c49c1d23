"""Executions as columns, and looking up the next one of a step: what the kernels of funnels share."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import polars as pl

from ._funnel_spec import Item, Spec

PAYLOAD = ("t", "d", "turn", "row")
"""What is told of each execution that reached a step: its time (us), its duration (us), its turn, its row."""


@dataclass(frozen=True)
class Rows:
    """Executions, engagement after engagement."""

    frame: pl.DataFrame
    """`step` (place of the name in `spec.names`; null: not asked about), `t`, what of `PAYLOAD` there is."""
    spec: Spec
    starts: pl.Series
    """The first row of each engagement (Int64)."""
    members: pl.Series
    """For each engagement its `member`."""

    @cached_property
    def n(self) -> int:
        return self.frame.height

    @cached_property
    def _step(self) -> Any:
        return self.frame["step"].fill_null(len(self.spec.names)).to_numpy()

    def is_any(self, names: frozenset[str]) -> pl.Expr:
        """Whether the step is one of `names`."""
        asked = self.spec.names
        first, *others = sorted(asked.index(name) for name in names)
        found = pl.col("step") == first
        for other in others:
            found = found | (pl.col("step") == other)
        return found

    @cached_property
    def ends(self) -> pl.Series:
        """The row behind the last one of each engagement."""
        return self.starts.shift(-1).fill_null(self.n)

    @cached_property
    def run(self) -> pl.Series:
        """Which engagement each row belongs to, from 0."""
        zeros = pl.Series("run", [0], dtype=pl.Int64).new_from_index(0, self.n)
        # The first engagement begins with the first row, and is number 0.
        return zeros.scatter(self.starts[1:], 1).cum_sum() if self.n else zeros

    def run_of(self, rows: pl.Series) -> pl.Series:
        """Which engagement these rows belong to."""
        return pl.Series("run", self.starts.to_numpy().searchsorted(rows.to_numpy(), side="right") - 1)

    @cached_property
    def t(self) -> pl.Series:
        """When each row began, never before a row above it: a clock that was set back stands still for a while."""
        t = self.frame["t"]
        back = self._back(t)
        if back.any() and self.frame["step"].null_count():
            # Of steps that are not asked about the clock does not count.
            t = self.frame.select(pl.when(pl.col("step").is_not_null()).then("t").alias("t"))["t"]
            back = self._back(t)
        if not back.any():
            return t
        wrong = self.run.filter(back).unique()
        some = pl.DataFrame({"t": t, "run": self.run, "i": pl.int_range(self.n, eager=True)})
        some = some.filter(pl.col("run").is_in(wrong.implode())).with_columns(pl.col("t").cum_max().over("run"))
        return t.scatter(some["i"], some["t"])

    def _back(self, t: pl.Series) -> pl.Series:
        """In which rows the clock shows less than in the one above, of the same engagement."""
        before = t.shift(1)
        back = (t < (before.forward_fill() if t.null_count() else before)).fill_null(False)
        return back.scatter(self.starts, False) if self.n else back

    @cached_property
    def _places(self) -> dict[frozenset[str], Any]:
        return {}

    def places(self, item: Item) -> Any:
        """The rows of a step, and one behind all, as a numpy array."""
        names = frozenset(item.names)
        if names not in self._places:
            self._places[names] = self._rows_of(names)
        return self._places[names]

    def at_or_after(self, names: frozenset[str], rows: pl.Series, end: pl.Series) -> pl.Series:
        """The first execution of any of `names` at or below each of `rows`, before `end`; null when there is none."""
        if names not in self._places:
            self._places[names] = self._rows_of(names)
        places = self._places[names]
        # Behind the last execution stands a row that no engagement has.
        found = places[places[:-1].searchsorted(rows.fill_null(self.n).to_numpy())]
        return where(pl.Series("row", found), pl.Series(found) < end)

    def _rows_of(self, names: frozenset[str]) -> Any:
        """The rows in which any of `names` is executed, and one behind all, as a numpy array."""
        import numpy as np

        codes = [self.spec.names.index(name) for name in names]
        is_here = self._step == codes[0]
        for code in codes[1:]:
            is_here |= self._step == code
        return np.append(np.flatnonzero(is_here), self.n)

    def executions(self, item: Item) -> pl.Series:
        """The rows of a step."""
        return pl.Series(self.places(item)[:-1])


def where(values: pl.Series, condition: pl.Series) -> pl.Series:
    """`values`, null where the condition does not hold."""
    return pl.select(pl.when(condition).then(values)).to_series()
