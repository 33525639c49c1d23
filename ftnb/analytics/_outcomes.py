"""Outcomes: how often engagements went well, by what they did and who they were, and what a success cost."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import polars as pl

from ..core.errors import InvalidArgumentError, UnknownStepError
from ._cost_calls import model_call_rows
from ._funnel_cost import PriceSource, cost_of, dollars, in_picos
from ._funnel_reading import reading_of
from ._funnel_split import grouped
from ._intervals import checked_confidence, newcombe, wilson
from ._kept import keeps_table
from ._outcome_values import successes, values_of
from ._paths import paths_of
from ._result import Result, counted
from ._source import Source, asked

if TYPE_CHECKING:
    import plotly.graph_objects as go

    from ..figures.theme import Theme

_MAX_PATHS = 100


@dataclass(frozen=True, repr=False, eq=False)
class Outcomes(Result):
    """Success rates, each with its interval. Engagements without an outcome are in no rate: they are counted apart."""

    outcome: str
    by: Any
    confidence: float
    n_engagements: int
    n_known: int
    """Engagements whose outcome is known."""
    n_success: int
    _values: pl.DataFrame = field(repr=False)
    _frame: pl.DataFrame = field(repr=False)
    _members: pl.DataFrame = field(repr=False)
    """`row` (of the frame) and `engagement_id`."""

    _shown = ("name", "path", "group", "n", "n_success", "success_rate", "success_low", "success_high", "rate_without",
              "rate_difference", "n_unknown", "tokens_per_success", "cost_per_success", "n_unpriced")  # fmt: skip

    @property
    def success_rate(self) -> float | None:
        """Of the engagements whose outcome is known; None when none is."""
        return self.n_success / self.n_known if self.n_known else None

    def frame(self) -> pl.DataFrame:
        """One row a step, path or group; most engagements first (steps in order of first visits).

        `name` (of a step), `path` (list of names; with `rank` from 1) or `group`; `n` engagements whose outcome is
        known, `n_success`, `success_rate` (null: `n` is 0) with `success_low` and `success_high` (Wilson), `n_unknown`
        engagements without an outcome. Of steps also `rate_without` of the engagements that did not come there,
        `rate_difference` and its interval `difference_low`, `difference_high` (Newcombe). `total_tokens` of the known,
        `tokens_per_success` (successes carry what failures spent; null: there is none). With prices also `cost`,
        `cost_per_success` and `n_unpriced` calls whose cost is not known and in neither. An example: `engagement_id`.
        """
        return self._frame

    def values(self) -> pl.DataFrame:
        """One row an engagement that was asked about: `engagement_id`, `outcome`, `success` (null: not known)."""
        return self._values

    def split(self) -> pl.DataFrame:
        """`engagement_id` and `success`, as a funnel takes it: `tr.funnel(…, by=tr.outcomes("reward").split())`."""
        return self._values.select("engagement_id", "success")

    def engagements(self, row: Any, success: Any = ...) -> pl.DataFrame:
        """The engagements behind a row of the frame, counted from 0; `success` keeps those that went so (None: those
        whose outcome is not known). Raises InvalidArgumentError."""
        if not isinstance(row, int) or isinstance(row, bool) or not 0 <= row < self._frame.height:
            raise InvalidArgumentError(f"no row {row!r}; rows are 0 to {self._frame.height - 1}")
        ids = self._members.filter(pl.col("row") == row).select("engagement_id")
        found = self._values.join(ids, on="engagement_id", how="semi", maintain_order="left")
        return found if success is ... else found.filter(pl.col("success").eq_missing(pl.lit(success, pl.Boolean)))

    @keeps_table
    def figure(self, *, theme: Theme = "light", top: int = 20) -> go.Figure:
        """Success rates of the `top` rows with their intervals, beside the rate of all."""
        from ..figures import outcomes_figure

        return outcomes_figure(
            self._frame.head(top), self.success_rate, confidence=self.confidence, title=self._title(), theme=theme
        )

    def _picked(self, key: Any, group: Any = None) -> pl.DataFrame:
        return self.engagements(int(key))

    def _title(self) -> str:
        rate = "unknown" if self.success_rate is None else f"{self.success_rate:.1%}"
        by = f" by {self.by if isinstance(self.by, str) else 'group'}" if self.by is not None else ""
        unknown = self.n_engagements - self.n_known
        rest = f" ({unknown:,} without)" if unknown else ""
        return f"Success by {self.outcome!r}{by}: {rate} of {counted(self.n_known, 'engagement')}{rest}"


def outcomes(
    source: Source,
    outcome: str = "status",
    *,
    success: Any = None,
    by: Any = "step",
    path: Sequence[str] | None = None,
    prices: PriceSource | None = None,
    where: Mapping[str, Any] | None = None,
    branches: bool = False,
    confidence: float = 0.95,
) -> Outcomes:
    """How often engagements went well, by what they did or who they were.

    `outcome` is a label of annotations (the latest judgement of the engagement as a whole; where there is none, the
    latest of its steps), a metadata key, or a column of the engagements. `success` says which values are successes: a
    number (that much or more), a value, a collection of values, or a function of the value. Left out, truth values and
    numbers of 0 and 1 speak for themselves, and of `status` it is completed; an engagement still active or paused has
    no such outcome yet.

    `by`: `step` (who came there, and who did not), `path` (the distinct paths; the most frequent 100), anything that
    `by` of a funnel takes (a metadata key, a column, a label, `model`), or None for all. `path=["search", "rank"]`
    keeps engagements that visited these steps in this order. `prices` as for `costs` gives the cost per success.
    `source`, `where` and `branches` are as for `directly_follows`. Raises InvalidArgumentError, and
    UnknownStepError for `path`.
    """
    checked_confidence(confidence)
    if not isinstance(outcome, str):
        raise InvalidArgumentError(f"outcome is a label of annotations, a metadata key or a column; got {outcome!r}")
    where = asked(where, branches)
    paths = paths_of(source, where, None, "top")
    engagements = paths.visits.engagements
    found = values_of(source, engagements, outcome)
    known = successes(found, outcome, success, engagements)
    values = engagements.select("engagement_id").with_columns(found.alias("outcome"), known.alias("success"))
    rows = engagements.select("eng", "engagement_id").with_columns(known.alias("success"), _tokens(engagements))
    if path is not None:
        rows = rows.filter(_has_path(paths, path))
        values = values.join(rows.select("engagement_id"), on="engagement_id", how="semi", maintain_order="left")
    if prices is not None:
        rows = _with_costs(rows, source, where, prices)
    members, heads = _members(source, paths, rows, by)
    frame = _frame(rows, members, heads, confidence, is_step=by == "step")
    judged = rows["success"].drop_nulls()
    named = members.join(rows.select("eng", "engagement_id"), on="eng", maintain_order="left")
    return Outcomes(
        outcome, by, float(confidence), rows.height, len(judged), int(judged.sum()), values, frame,
        named.select("row", "engagement_id"),
    )  # fmt: skip


def _tokens(engagements: pl.DataFrame) -> pl.Series:
    if "total_tokens" in engagements.columns:
        return engagements["total_tokens"].cast(pl.Int64).fill_null(0).alias("tokens")
    return pl.repeat(None, engagements.height, dtype=pl.Int64, eager=True).alias("tokens")


def _with_costs(rows: pl.DataFrame, source: Any, where: Any, prices: PriceSource) -> pl.DataFrame:
    _, calls = model_call_rows(source, where)
    cost = in_picos(cost_of(prices, calls.drop("engagement_id", "step_id", "step")))
    spent = calls.select("engagement_id").with_columns(cost).group_by("engagement_id").agg(
        pl.col("picos").sum(), pl.col("picos").count().cast(pl.Int64).alias("n_priced"),
        pl.col("picos").null_count().cast(pl.Int64).alias("n_unpriced"),
    )  # fmt: skip
    rows = rows.join(spent, on="engagement_id", how="left", maintain_order="left")
    return rows.with_columns(pl.col("picos", "n_priced", "n_unpriced").fill_null(0))


def _has_path(paths: Any, path: Sequence[str]) -> pl.Series:
    """For each engagement whether it visited these steps in this order."""
    names = [path] if isinstance(path, str) else list(path)
    if not names:
        raise InvalidArgumentError("path is empty; name the steps that were visited, in their order")
    for name in names:
        if name not in paths.visits.names:
            raise UnknownStepError.of(str(name), paths.visits.names, "these engagements")
    rows = paths.rows.select("eng", "index", "code")
    at = paths.visits.engagements.select("eng", pl.lit(-1, pl.Int64).alias("at"))
    for name in names:
        here = rows.filter(pl.col("code") == paths.visits.names.index(name)).join(at, on="eng")
        at = here.filter(pl.col("index") > pl.col("at")).group_by("eng").agg(pl.col("index").min().alias("at"))
    everyone: pl.Series = paths.visits.engagements["eng"]
    return everyone.is_in(at["eng"].implode())


def _members(source: Any, paths: Any, rows: pl.DataFrame, by: Any) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Which engagement is in which row of the frame (`row`, `eng`), and what these rows are called."""
    if by is None:
        heads = pl.DataFrame({"group": ["all"]})
        return rows.select(pl.lit(0, pl.Int64).alias("row"), "eng"), heads
    if by == "step":
        visited = paths.visits.rows.select("code", "eng").unique(maintain_order=True)
        visited = visited.join(rows.select("eng"), on="eng", how="semi", maintain_order="left")
        heads = pl.DataFrame({"name": pl.Series(paths.visits.names, dtype=pl.String)})
        return visited.select(pl.col("code").cast(pl.Int64).alias("row"), "eng"), heads
    if by == "path":
        return _by_path(paths, rows)
    reading = reading_of(source)
    split = grouped(paths.visits.engagements.drop("eng"), by, reading).select("engagement_id", "group")
    own = rows.select("eng", "engagement_id").join(split, on="engagement_id", how="left", maintain_order="left")
    heads = own.group_by("group").len().sort("len", "group", descending=[True, False], nulls_last=True).drop("len")
    numbered = heads.with_columns(pl.int_range(pl.len(), dtype=pl.Int64).alias("row"))
    return own.join(numbered, on="group", nulls_equal=True, maintain_order="left").select("row", "eng"), heads


def _by_path(paths: Any, rows: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
    lists = paths.lists().join(rows.select("eng"), on="eng", how="semi", maintain_order="left")
    found = lists.group_by("path", maintain_order=True).agg(pl.len().alias("n"), pl.col("eng"))
    found = found.sort("n", descending=True, maintain_order=True).head(_MAX_PATHS)
    named = pl.Series("path", [paths.names(path) for path in found["path"]], pl.List(pl.String))
    row = pl.int_range(pl.len(), dtype=pl.Int64)
    heads = pl.DataFrame({"rank": pl.int_range(1, found.height + 1, dtype=pl.Int64, eager=True), "path": named})
    members = found.select(row.alias("row"), "eng").explode("eng", empty_as_null=False)
    return members, heads


def _frame(
    rows: pl.DataFrame, members: pl.DataFrame, heads: pl.DataFrame, confidence: float, *, is_step: bool
) -> pl.DataFrame:
    joined = members.join(rows, on="eng", maintain_order="left")
    known = pl.col("success").is_not_null()
    sums = [name for name in ("picos", "n_priced", "n_unpriced") if name in rows.columns]
    money = [pl.col(name).filter(known).sum() for name in sums]
    counts = joined.group_by("row").agg(
        known.sum().cast(pl.Int64).alias("n"),
        pl.col("success").sum().cast(pl.Int64).alias("n_success"),
        (~known).sum().cast(pl.Int64).alias("n_unknown"),
        pl.when(pl.col("tokens").count() > 0).then(pl.col("tokens").filter(known).sum()).alias("total_tokens"),
        pl.col("engagement_id").first(),
        *money,
    )
    whole = heads.with_columns(pl.int_range(pl.len(), dtype=pl.Int64).alias("row"))
    whole = whole.join(counts, on="row", how="left", maintain_order="left")
    whole = whole.with_columns(pl.col("n", "n_success", "n_unknown").fill_null(0))
    all_known = rows.filter(known)
    n_all, n_good = all_known.height, int(all_known["success"].sum())
    lines = [_line(row, n_all, n_good, confidence, is_step) for row in whole.to_dicts()]
    floats = ["success_rate", "success_low", "success_high"]
    floats += ["rate_without", "rate_difference", "difference_low", "difference_high"] if is_step else []
    spent = ["cost", "cost_per_success"] if money else []
    columns = {name: pl.Series(name, [line[name] for line in lines], pl.Float64) for name in
               (*floats, "tokens_per_success", *spent)}  # fmt: skip
    whole = whole.with_columns(columns.values())
    return whole.select(
        *heads.columns, "n", "n_success", *floats, "n_unknown", "total_tokens", "tokens_per_success",
        *spent, *(["n_unpriced"] if money else []), "engagement_id",
    )  # fmt: skip


def _line(row: dict[str, Any], n_all: int, n_good: int, confidence: float, is_step: bool) -> dict[str, float | None]:
    n, good = row["n"], row["n_success"]
    low, high = wilson(good, n, confidence) or (None, None)
    line: dict[str, float | None] = {"success_rate": good / n if n else None, "success_low": low, "success_high": high}
    if is_step:
        rest, rest_good = n_all - n, n_good - good
        line["rate_without"] = rest_good / rest if rest else None
        line["rate_difference"] = good / n - rest_good / rest if n and rest else None
        line["difference_low"], line["difference_high"] = newcombe(good, n, rest_good, rest, confidence) or (None, None)
    tokens = row["total_tokens"]
    line["tokens_per_success"] = tokens / good if good and tokens is not None else None
    if "picos" in row:
        is_unknown = bool(row["n_unpriced"]) and not row["n_priced"]
        cost = None if is_unknown else dollars(int(row["picos"] or 0))
        line["cost"], line["cost_per_success"] = cost, cost / good if good and cost is not None else None
    return line
