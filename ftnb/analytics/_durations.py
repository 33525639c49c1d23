"""Durations and waits: how long steps and models work, and how long engagements wait for a human, apart."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, get_args

import polars as pl

from ..core.errors import InvalidArgumentError
from ._gather import Gathered, gathered
from ._groups import Groups, groups_of, label
from ._kept import keeps_table
from ._result import Result, counted
from ._source import Source, asked
from ._visits import Level, Visits, at_top, indexed, turn_waits, visits_of

if TYPE_CHECKING:
    import plotly.graph_objects as go

    from ..figures.theme import Theme

Of = Literal["step", "model", "tool", "engagement"]
_QUANTILES = (("q1_ms", 0.25), ("median_ms", 0.5), ("q3_ms", 0.75), ("p90_ms", 0.9), ("p95_ms", 0.95), ("p99_ms", 0.99))
_KINDS = {"model": "llm_call", "tool": "tool_call"}


@dataclass(frozen=True, repr=False, eq=False)
class Durations(Result):
    """Distributions of work, with waits for a human apart."""

    of: Of
    by: str | None
    groups: list[Any]
    n_engagements: int
    _frame: pl.DataFrame

    _shown = ("group", "name", "n", "mean_ms", "median_ms", "p90_ms", "p95_ms", "p99_ms", "max_ms", "total_ms",
              "n_waits", "median_wait_ms", "total_wait_ms", "median_ttft_ms")  # fmt: skip

    def frame(self) -> pl.DataFrame:
        """One row a step, model, tool, or all engagements; what took longest in sum first.

        `group` (only with `by`), `name`, `n` executions, `n_measured` with a duration, `mean_ms q1_ms median_ms q3_ms
        p90_ms p95_ms p99_ms max_ms` of these (null: none; quantiles interpolated), `total_ms`. Of steps and engagements
        also `n_waits`, how often a human was waited for after it (for a step: its turn ended with it), `median_wait_ms`
        `p90_wait_ms` `total_wait_ms`; of models also `median_ttft_ms` and `p95_ttft_ms`, to the first token.
        """
        return self._frame

    @keeps_table
    def figure(self, *, theme: Theme = "light", top: int = 20) -> go.Figure:
        """Quartiles, median and tail of the `top` rows, on a logarithmic axis; waits apart."""
        from ..figures import durations_figure

        frame = self._frame
        if self.by is not None:
            texts = [f"{name} · {label(value)}" for name, value in zip(frame["name"], frame["group"], strict=True)]
            frame = frame.with_columns(pl.Series("name", texts, pl.String))
        return durations_figure(frame.head(top), title=self._title(), theme=theme)

    def _title(self) -> str:
        by = f" and {self.by}" if self.by else ""
        return f"Durations by {self.of}{by}, {counted(self.n_engagements, 'engagement')}"


def durations(
    source: Source,
    *,
    of: Of = "step",
    where: Mapping[str, Any] | None = None,
    by: str | None = None,
    level: Level = "all",
    branches: bool = False,
) -> Durations:
    """How long things take: `of` steps (all attempts of a visit together), models, tools, or whole engagements.

    Human waiting is kept apart: the time between the end of one turn and the start of the next, told of the step that
    the turn ended with. Work of model calls that a pause discarded was work, and counts. Engagements count once they
    ended, without their waits. `source`, `where`, `by` and `branches` are as for `directly_follows`; `level` also takes
    steps inside subgraphs unless it is `top`.
    """
    if of not in get_args(Of):
        raise InvalidArgumentError(f"no durations of {of!r}; known: {', '.join(get_args(Of))}")
    given = gathered(source, asked(where, branches))
    visits = visits_of(given.tables, level=level, times=True, places=True)
    groups = groups_of(visits.engagements, by)
    if of == "step":
        work, waits = _steps(visits), _waits(given, visits)
    elif of == "engagement":
        work, waits = _engagements(visits)
    else:
        work, waits = _events(given, visits, of), None
    frame = _distribution(work, waits, groups)
    return Durations(of, by, groups.values, visits.engagements.height, frame.drop([] if by else ["group"]))


def _steps(visits: Visits) -> pl.DataFrame:
    names = pl.Series(visits.names, dtype=pl.String)
    return visits.rows.select("eng", names.gather(visits.rows["code"].cast(pl.Int64)).alias("name"), "us")


def _waits(given: Gathered, visits: Visits) -> pl.DataFrame:
    """`eng`, `name`, `us`: each wait before a turn, of the step at the top that the turn before ended with."""
    steps = indexed(given.tables.steps, visits.engagements)
    turns = turn_waits(steps)
    if turns is None:
        return pl.DataFrame(schema={"eng": pl.UInt32, "name": pl.String, "us": pl.Int64})
    tops = at_top(steps).select("eng", "turn", pl.col("name").cast(pl.String), _is_waiting(steps))
    # Of parallel branches the one that waits, else the last.
    tops = tops.sort("eng", "turn", "waits", maintain_order=True)
    last = tops.unique(["eng", "turn"], keep="last", maintain_order=True)
    before = turns.with_columns(pl.col("turn").shift(1).over("eng").alias("turn")).filter(pl.col("us") > 0)
    return before.join(last, on=["eng", "turn"], how="inner", maintain_order="left").select("eng", "name", "us")


def _is_waiting(steps: pl.DataFrame) -> pl.Expr:
    return (pl.col("status") == "waiting").alias("waits") if "status" in steps.columns else pl.lit(False).alias("waits")


def _engagements(visits: Visits) -> tuple[pl.DataFrame, pl.DataFrame]:
    engagements = visits.engagements
    for name in ("duration_ms", "wait_ms"):
        if name not in engagements.columns:
            raise InvalidArgumentError(f"durations of engagements need the engagements frame's column {name!r}")
    micros = [(pl.col(name) * 1000).round().cast(pl.Int64) for name in ("duration_ms", "wait_ms")]
    rows = engagements.select("eng", pl.lit("engagement").alias("name"), work=micros[0], wait=micros[1].fill_null(0))
    work = rows.select("eng", "name", (pl.col("work") - pl.col("wait")).clip(lower_bound=0).alias("us"))
    return work, rows.filter(pl.col("wait") > 0).select("eng", "name", pl.col("wait").alias("us"))


def _events(given: Gathered, visits: Visits, of: Of) -> pl.DataFrame:
    events = given.events()
    if events is None:
        raise InvalidArgumentError(
            f"durations of {of}s need events; give a store or traces opened with ftnb.open(…), not (steps, engagements)"
        )
    rows = events.filter(pl.col("kind") == _KINDS[of]).join(
        visits.engagements.select("engagement_id", "eng"), on="engagement_id", maintain_order="left"
    )
    name = pl.coalesce("model", "name") if of == "model" else pl.col("name")
    micros = [(pl.col(column) * 1000).round().cast(pl.Int64) for column in ("duration_ms", "ttft_ms")]
    return rows.select("eng", name.alias("name"), micros[0].alias("us"), micros[1].alias("ttft"))


def _distribution(work: pl.DataFrame, waits: pl.DataFrame | None, groups: Groups) -> pl.DataFrame:
    keys = ["group_code", "name"]
    us = pl.col("us")
    ttft = [("median_ttft_ms", 0.5), ("p95_ttft_ms", 0.95)] if "ttft" in work.columns else []
    found = (
        work.with_columns(groups.of.gather(work["eng"]).alias("group_code"))
        .group_by(keys)
        .agg(
            pl.len().cast(pl.Int64).alias("n"),
            us.count().cast(pl.Int64).alias("n_measured"),
            (us.mean() / 1000).alias("mean_ms"),
            *((us.quantile(q, "linear") / 1000).alias(name) for name, q in _QUANTILES),
            (us.max() / 1000).alias("max_ms"),
            (us.sum() / 1000).alias("total_ms"),
            *((pl.col("ttft").quantile(q, "linear") / 1000).alias(name) for name, q in ttft),
        )
    )
    if waits is not None:
        waited = (
            waits.with_columns(groups.of.gather(waits["eng"]).alias("group_code"))
            .group_by(keys)
            .agg(
                pl.len().cast(pl.Int64).alias("n_waits"),
                (us.median() / 1000).alias("median_wait_ms"),
                (us.quantile(0.9, "linear") / 1000).alias("p90_wait_ms"),
                (us.sum() / 1000).alias("total_wait_ms"),
            )
        )
        found = found.join(waited, on=keys, how="left").with_columns(
            pl.col("n_waits").fill_null(0), pl.col("total_wait_ms").fill_null(0.0)
        )
    found = found.with_columns(groups.column(found["group_code"])).sort("group_code", -pl.col("total_ms"), "name")
    return found.select("group", pl.exclude("group", "group_code"))
