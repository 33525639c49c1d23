"""Rules held against visits: by columns, one pass a rule."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import polars as pl

from ..core.errors import InvalidArgumentError
from ._rules import EndsWith, FollowedBy, NeverAfter, OnlyAfter, Rule, StartsWith, Times, Within
from ._visits import OPEN, Visits


@dataclass(frozen=True)
class Held:
    """What came of one rule. Rows are those of `visits.rows`."""

    asked: pl.Series
    """Engagements (`eng`) in which it had something to say: what it speaks of happened, or has to."""
    broken: pl.DataFrame
    """A row a break: `eng`, `row` (the step that breaks it; null: something that never came), `lag_us` (how late)."""
    pending: pl.Series
    """Engagements that go on and may still come to keep it."""


def hold(rules: Sequence[Rule], visits: Visits, causes: pl.DataFrame) -> list[Held]:
    """Each rule held against all engagements; `causes` has `from_row` and `to_row` of all moves."""
    if any(rule.is_timed for rule in rules):
        _ensure_clock(visits)
    return [_Holding(visits, causes, rule).held() for rule in rules]


def _ensure_clock(visits: Visits) -> None:
    unknown = visits.rows["clock"].null_count()
    if unknown:
        raise InvalidArgumentError(
            f"rules with times need to know when each step began; {unknown:,} have no started_at"
        )


class _Holding:
    """One rule being held against all engagements."""

    def __init__(self, visits: Visits, causes: pl.DataFrame, rule: Rule) -> None:
        self.visits, self.causes, self.rule = visits, causes, rule
        same = pl.col("eng") == pl.col("eng").shift(1)
        row = pl.int_range(pl.len(), dtype=pl.Int64)
        begin = pl.when(~same.fill_null(False)).then(row).forward_fill()
        stop = pl.when((pl.col("eng") != pl.col("eng").shift(-1)).fill_null(True)).then(row).backward_fill()
        # Rules count the time that passes, waits included.
        wall = pl.col("clock") + pl.col("waited")
        rows = visits.rows.select("eng", "code", wall.alias("wall"), row.alias("row"))
        self.rows = rows.with_columns(begin.alias("begin"), stop.alias("stop"), self.mark(rule.steps).alias("a"))
        status = visits.engagements["status"]
        self.open = visits.engagements["eng"].filter(status.is_in(OPEN))

    def mark(self, names: Sequence[str]) -> pl.Expr:
        codes = [self.visits.names.index(name) for name in names if name in self.visits.names]
        return pl.col("code").is_in(codes)

    def held(self) -> Held:
        rule = self.rule
        if isinstance(rule, Times):
            return self.times(rule)
        if isinstance(rule, OnlyAfter | NeverAfter):
            return self.after(rule)
        if isinstance(rule, Within):
            return self.within(rule)
        if isinstance(rule, FollowedBy):
            return self.followed(rule)
        assert isinstance(rule, StartsWith | EndsWith)
        return self.edge(rule)

    def found(self, broken: pl.DataFrame, asked: pl.Series, pending: pl.Series | None = None) -> Held:
        empty = pl.Series("eng", [], asked.dtype)
        lag = pl.col("lag_us") if "lag_us" in broken.columns else pl.lit(None, pl.Int64).alias("lag_us")
        return Held(asked.unique(maintain_order=True), broken.select("eng", "row", lag),
                    empty if pending is None else pending.unique(maintain_order=True))  # fmt: skip

    def times(self, rule: Times) -> Held:
        visited = self.rows.filter("a")
        everyone = self.visits.engagements["eng"]
        counts = visited.group_by("eng", maintain_order=True).agg(pl.len().alias("n"), pl.col("row"))
        broken = [pl.DataFrame(schema={"eng": everyone.dtype, "row": pl.Int64})]
        if rule.at_most is not None:
            # Every visit beyond the number is one too many.
            over = counts.filter(pl.col("n") > rule.at_most)
            broken.append(
                over.select("eng", pl.col("row").list.slice(rule.at_most)).explode("row", empty_as_null=False)
            )
        pending = None
        if rule.at_least:
            enough = counts.filter(pl.col("n") >= rule.at_least)["eng"]
            few = everyone.filter(~everyone.is_in(enough.implode()))
            going = few.is_in(self.open.implode())
            pending = few.filter(going)
            broken.append(few.filter(~going).to_frame().with_columns(pl.lit(None, pl.Int64).alias("row")))
        return self.found(pl.concat(broken), everyone, pending)

    def after(self, rule: OnlyAfter | NeverAfter) -> Held:
        rows = self.rows.filter("a")
        if rule.directly:
            moved = self.causes.filter(pl.col("from_row").is_not_null() & pl.col("to_row").is_not_null())
            of = self.rows.select(pl.col("row").alias("from_row"), self.mark(rule.after).alias("b"))
            led = moved.join(of, on="from_row").filter("b")["to_row"]
            has = rows["row"].is_in(led.implode())
        else:
            has = self.before(rule.after).gather(rows["row"]).is_not_null()
        breaks = ~has if isinstance(rule, OnlyAfter) else has
        return self.found(rows.filter(breaks), rows["eng"])

    def before(self, names: Sequence[str]) -> pl.Series:
        """For each row the last row before it, of its engagement, with one of these names; null: there is none."""
        last = pl.when(self.mark(names)).then("row").forward_fill().shift(1)
        return self.rows.select(pl.when(last >= pl.col("begin")).then(last).alias("last"))["last"]

    def next(self, names: Sequence[str]) -> pl.Series:
        """The same, of the next row after it."""
        after = pl.when(self.mark(names)).then("row").backward_fill().shift(-1)
        return self.rows.select(pl.when(after <= pl.col("stop")).then(after).alias("next"))["next"]

    def within(self, rule: Within) -> Held:
        last = self.before(rule.of)
        then = self.rows["wall"].gather(last)
        # A clock that was set back has let no time pass.
        lag = (self.rows["wall"] - then).clip(lower_bound=0).alias("lag_us")
        rows = self.rows.with_columns(lag).filter("a")
        late = rows.filter(pl.col("lag_us").is_null() | (pl.col("lag_us") > rule.within_us))
        return self.found(late, rows["eng"])

    def followed(self, rule: FollowedBy) -> Held:
        after = self.next(rule.by)
        lag = (self.rows["wall"].gather(after) - self.rows["wall"]).clip(lower_bound=0).alias("lag_us")
        rows = self.rows.with_columns(after.alias("next"), lag).filter("a")
        none = pl.col("next").is_null()
        going = pl.col("eng").is_in(self.open.implode())
        late = pl.lit(False) if rule.within_us is None else (pl.col("lag_us") > rule.within_us).fill_null(False)
        pending = rows.filter(none & going)["eng"]
        broken = rows.filter((none & ~going) | late)
        if rule.within_us is not None:
            # What comes too late even in an engagement that goes on: its own later steps tell the time.
            past = (self.rows["wall"].gather(self.rows["stop"]) - self.rows["wall"]).alias("past")
            over = self.rows.with_columns(past, after.alias("next"), lag).filter(
                pl.col("a") & none & going & (pl.col("past") > rule.within_us)
            )
            broken = pl.concat([broken.select("eng", "row", "lag_us"), over.select("eng", "row", "lag_us")]).sort("row")
            pending = pending.filter(~pending.is_in(over["eng"].implode()))
        return self.found(broken, rows["eng"], pending)

    def edge(self, rule: StartsWith | EndsWith) -> Held:
        at = "begin" if isinstance(rule, StartsWith) else "stop"
        rows = self.rows.filter(pl.col("row") == pl.col(at))
        wrong = rows.filter(~pl.col("a"))
        if isinstance(rule, StartsWith):
            return self.found(wrong, rows["eng"])
        going = wrong["eng"].is_in(self.open.implode())
        return self.found(wrong.filter(~going), rows["eng"], wrong["eng"].filter(going))
