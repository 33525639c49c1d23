"""Cohort retention: of the users who first came in a period, how many came again in the periods after."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any, Literal, get_args

import polars as pl

from ..core.errors import InvalidArgumentError
from ._gather import gathered
from ._groups import attribute, groups_of, label, of_group, shown_group
from ._kept import keeps_table
from ._result import Result, counted
from ._source import Source, asked
from ._visits import epoch_us

if TYPE_CHECKING:
    import plotly.graph_objects as go

    from ..figures.theme import Theme

Period = Literal["day", "week", "month"]
_EVERY = {"day": "1d", "week": "1w", "month": "1mo"}


@dataclass(frozen=True, repr=False, eq=False)
class Cohorts(Result):
    """Returning users by the period of their first engagement."""

    user: str
    period: Period
    by: str | None
    groups: list[Any]
    n_users: int
    n_unknown: int
    """Engagements left out because nobody knows whose they were."""
    _frame: pl.DataFrame
    _users: pl.DataFrame = field(repr=False)
    """`group`, `user`, `cohort_at`, `offset`, `n`."""

    def frame(self) -> pl.DataFrame:
        """One row a cohort and period after it.

        `group` (only with `by`), `cohort_at` (start of the period of the first engagement, UTC; weeks begin on
        Monday), `size` users in the cohort, `offset` periods later (0: the first itself), `n_users` with an engagement
        then, `returning_rate` of the size, `n_engagements`, `is_complete`: false for the period in which the last
        engagement on record began, as it may not be over. Periods after that one have no rows.
        """
        return self._frame

    def wide(self, *, group: Any = None) -> pl.DataFrame:
        """Rates as a matrix: one row a cohort, one column an offset; null where the time has not come."""
        frame = self._of(group)
        return frame.pivot("offset", index=["cohort_at", "size"], values="returning_rate", maintain_order=True)

    def users(self, cohort_at: datetime, offset: int = 0) -> list[Any]:
        """The users of a cohort who had an engagement `offset` periods later."""
        found = self._users.filter((pl.col("cohort_at") == cohort_at) & (pl.col("offset") == offset))
        return found["user"].to_list()

    @keeps_table
    def figure(self, *, theme: Theme = "light", group: Any = None) -> go.Figure:
        """A heat map of returning rates, of one `group` (else the first)."""
        from ..figures import cohorts_figure

        title = self._title()
        if self.by is not None:
            group = shown_group(self.groups, group)
            title = f"{title}: {label(group)}"
        return cohorts_figure(self._of(group), period=self.period, title=title, theme=theme)

    def _of(self, group: Any) -> pl.DataFrame:
        if self.by is None:
            return self._frame
        return of_group(self._frame, self.groups, group, self.by)

    def _title(self) -> str:
        left = f", {counted(self.n_unknown, 'engagement')} without {self.user} left out" if self.n_unknown else ""
        return f"{counted(self.n_users, 'user')} by {self.period} of first engagement{left}"

    def _table(self) -> pl.DataFrame:
        if self.by or self._frame.is_empty():
            return self._frame
        wide = self.wide()
        rates = {name: f"{self.period}_{name}_rate" for name in wide.columns[2:]}
        return wide.with_columns(pl.col("cohort_at").dt.strftime("%Y-%m-%d").alias("cohort_at")).rename(rates)


def cohorts(
    source: Source,
    *,
    user: str = "user_id",
    period: Period = "week",
    where: Mapping[str, Any] | None = None,
    by: str | None = None,
    branches: bool = False,
) -> Cohorts:
    """How many users come back, by the period in which they first came.

    `user` is the metadata key (or column) that tells whose an engagement is; engagements without it are left out, and
    counted. `period` is `day`, `week` or `month`, in UTC. With `by`, a user belongs to the group of their first
    engagement. Raises InvalidArgumentError for an unknown key or period.
    """
    _check_period(period)
    engagements = gathered(source, asked(where, branches)).tables.engagements
    if "started_at" not in engagements.columns:
        raise InvalidArgumentError("cohorts need the engagements frame's column 'started_at', which is not there")
    groups = groups_of(engagements, by)
    rows = engagements.select(
        attribute(engagements, user, "user").alias("user"),
        epoch_us(engagements, "started_at").cast(pl.Datetime("us", "UTC")).alias("at"),
    ).with_columns(groups.of.alias("group_code"))
    known = rows.filter(pl.col("user").is_not_null() & pl.col("at").is_not_null())
    # Whoever came first decides, by time; of equal times the first in the log.
    known = known.with_columns(pl.col("at").dt.truncate(_EVERY[period]).alias("period_at"))
    known = known.sort("at", maintain_order=True)
    firsts = known.group_by("user", maintain_order=True).agg(
        pl.col("group_code").first(), pl.col("period_at").first().alias("cohort_at")
    )
    came = known.select("user", "period_at").join(firsts, on="user", maintain_order="left")
    came = came.with_columns(_offset(pl.col("period_at"), pl.col("cohort_at"), period).alias("offset"))
    users = came.group_by("group_code", "cohort_at", "offset", "user", maintain_order=True).agg(
        pl.len().cast(pl.Int64).alias("n")
    )
    frame = _cells(users, firsts, known["period_at"].max(), period)
    frame = frame.with_columns(groups.column(frame["group_code"]))
    return Cohorts(
        user, period, by, groups.values, firsts.height, rows.height - known.height,
        frame.select(*(["group"] if by else []), "cohort_at", "size", "offset", "n_users", "returning_rate",
                     "n_engagements", "is_complete"),
        users,
    )  # fmt: skip


def _check_period(period: object) -> None:
    known = get_args(Period)
    if period in known:
        return
    near = get_close_matches(str(period), known, n=1, cutoff=0.3)
    hint = f". Did you mean {near[0]!r}?" if near else ""
    raise InvalidArgumentError(f"no period {period!r}; periods: {', '.join(known)}{hint}")


def _offset(at: pl.Expr, start: pl.Expr, period: Period) -> pl.Expr:
    if period == "month":
        months = (at.dt.year() - start.dt.year()).cast(pl.Int64) * 12
        return months + at.dt.month().cast(pl.Int64) - start.dt.month().cast(pl.Int64)
    days = timedelta(days=7 if period == "week" else 1) // timedelta(microseconds=1)
    return (at - start).dt.total_microseconds() // days


def _cells(users: pl.DataFrame, firsts: pl.DataFrame, last: Any, period: Period) -> pl.DataFrame:
    """Every cohort at every period up to the last on record, those that nobody came back in too."""
    sizes = firsts.group_by("group_code", "cohort_at").agg(pl.len().cast(pl.Int64).alias("size"))
    newest = _offset(pl.lit(last, pl.Datetime("us", "UTC")), pl.col("cohort_at"), period).alias("newest")
    grid = sizes.with_columns(newest)
    grid = grid.with_columns(pl.int_ranges(0, pl.col("newest") + 1).alias("offset")).explode("offset")
    counts = users.group_by("group_code", "cohort_at", "offset").agg(
        pl.len().cast(pl.Int64).alias("n_users"), pl.col("n").sum().alias("n_engagements")
    )
    frame = grid.join(counts, on=["group_code", "cohort_at", "offset"], how="left", maintain_order="left")
    return (
        frame.with_columns(pl.col("n_users", "n_engagements").fill_null(0))
        .with_columns(
            (pl.col("n_users") / pl.col("size")).alias("returning_rate"),
            (pl.col("offset") < pl.col("newest")).alias("is_complete"),
        )
        .sort("group_code", "cohort_at", "offset")
    )
