"""Funnels: how many engagements reached each of some steps, where the others stopped, and what it cost."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, get_args

import polars as pl
from pydantic import BaseModel, Field

from ..core.errors import InvalidArgumentError, UnknownStepError
from ._html import funnel_table
from ._source import Source, Tables, tables_of

if TYPE_CHECKING:
    import plotly.graph_objects as go

    from ..figures.theme import Theme

Mode = Literal["visited", "ordered"]
_UNFINISHED = ("active", "paused")


class FunnelStep(BaseModel):
    """One step of a funnel, over all engagements that were considered."""

    name: str
    reached: int
    """Engagements that reached it."""
    dropped: int
    """`visited`: engagements whose recorded `dropped_at` is this step. `ordered`: engagements that got this far and no
    further, and will not: they ended."""
    conversion_rate: float | None
    """`(reached - dropped) / reached`; 0 when nobody reached it, None for the last step."""
    avg_duration_ms: float | None
    """Mean over the engagements that reached it, of the execution that reached it; None when none was measured."""
    total_tokens: int
    """Tokens over all visits and attempts of that node, in all engagements considered."""
    step_conversion_rate: float | None = None
    """Of the engagements that reached the step before, the share that reached this one; None for the first step, and
    when nobody reached the step before."""
    overall_conversion_rate: float | None = None
    """Of the engagements that reached the first step, the share that reached this one; None when nobody did."""
    continuation_rate: float | None = None
    """`(reached - dropped) / reached`, for every step; None when nobody reached it."""
    n_visits: int = 0
    """Executions of that node, in all engagements considered; retries and resumes of one visit count once."""
    median_duration_ms: float | None = None
    """As `avg_duration_ms`, the median."""
    censored: int = 0
    """Engagements that got this far and are still active or paused: they may yet get further, and are no drop-offs."""


class Funnel(BaseModel):
    """A funnel over an ordered list of step names. As the last expression of a notebook cell it shows itself."""

    order: list[str]
    total: int
    """Engagements considered."""
    steps: list[FunnelStep]
    mode: Mode = Field(default="visited")

    def frame(self) -> pl.DataFrame:
        """One row a step, in order: `k` (from 1) and the fields of `FunnelStep`."""
        rows = [{"k": k, **step.model_dump()} for k, step in enumerate(self.steps, start=1)]
        return pl.DataFrame(rows, schema=_FRAME_SCHEMA)

    def figure(self, *, theme: Theme = "light") -> go.Figure:
        """The Plotly figure of it."""
        from ..figures import funnel_figure

        return funnel_figure(self.frame(), title=self._title(), theme=theme)

    def _title(self) -> str:
        engagements = "engagement" if self.total == 1 else "engagements"
        return f"Funnel of {self.total:,} {engagements}, {self.mode}"

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, Any]:
        return {
            "text/plain": repr(self),
            "text/html": funnel_table(self._title(), [step.model_dump() for step in self.steps]),
            "application/vnd.plotly.v1+json": _plain_json(self.figure()),
        }


_FRAME_SCHEMA: dict[str, Any] = {
    "k": pl.Int64, "name": pl.String, "reached": pl.Int64, "dropped": pl.Int64, "conversion_rate": pl.Float64,
    "avg_duration_ms": pl.Float64, "total_tokens": pl.Int64, "step_conversion_rate": pl.Float64,
    "overall_conversion_rate": pl.Float64, "continuation_rate": pl.Float64, "n_visits": pl.Int64,
    "median_duration_ms": pl.Float64, "censored": pl.Int64,
}  # fmt: skip


def _plain_json(figure: go.Figure) -> Any:
    import orjson

    return orjson.loads(figure.to_json())


def funnel(
    source: Source, order: Sequence[str], *, where: Mapping[str, Any] | None = None, mode: Mode = "visited"
) -> Funnel:
    """How many engagements reached each step of `order`.

    `source` is a store, opened traces, or the frames (steps, engagements), whose rows are in the order of execution.
    `where` keeps engagements whose metadata equals it; None also stands for a key that is not there. Model calls that
    were recorded outside any workflow are left out, unless `where` says `standalone`. Modes:

    - `visited`: an engagement reached a step when it executed it at all, whatever else it did and in what order.
    - `ordered`: it executed the steps in this order, one execution a step, others in between allowed. A retry or a
      resume is no execution of its own. Order is that of the log, never the clock.

    A step that nobody reached counts 0. A name that is neither recorded nor declared in any graph raises
    UnknownStepError (frames do not know the graphs, so there it counts 0); an empty order raises InvalidArgumentError.
    """
    names = _checked(order, mode)
    tables = tables_of(source, where)
    _ensure_known(names, tables)
    numbered = tables.engagements.select("engagement_id", "status", "dropped_at").with_row_index("eng")
    steps = tables.steps.join(numbered.select("engagement_id", "eng"), on="engagement_id", maintain_order="left")
    executions = _executions(steps)
    hits = _hits(executions, names, mode)
    ends = _ends(numbered, hits)
    spent = dict(steps.group_by("name").agg(pl.col("total_tokens").sum()).iter_rows())
    n_visits = dict(executions.group_by("name").agg(pl.len()).iter_rows())
    rows = [
        _funnel_step(k, names, hits, ends, mode, total_tokens=spent.get(name, 0), n_visits=n_visits.get(name, 0))
        for k, name in enumerate(names)
    ]
    return Funnel(order=names, total=numbered.height, steps=rows, mode=mode)


def _checked(order: object, mode: str) -> list[str]:
    if mode not in get_args(Mode):
        raise InvalidArgumentError(f"no funnel mode {mode!r}; modes: {', '.join(get_args(Mode))}")
    if isinstance(order, str) or not isinstance(order, Iterable) or not all(isinstance(name, str) for name in order):
        raise InvalidArgumentError(f"the order of a funnel is a list of step names; got {order!r}")
    names = list(order)
    if not names:
        raise InvalidArgumentError("the order of a funnel is empty; give at least one step name")
    return names


def _ensure_known(names: list[str], tables: Tables) -> None:
    missing = set(names) - tables.recorded
    if not missing or tables.declared is None:
        return
    declared: set[str] = set()
    for name in tables.declared():
        declared.add(name)
        missing.discard(name)
        if not missing:
            return
    first = next(name for name in names if name in missing)
    raise UnknownStepError.of(first, declared | tables.recorded, "any graph or record of these engagements")


def _executions(steps: pl.DataFrame) -> pl.DataFrame:
    """The steps without retries and resumes, with their row position `pos`, which is their order."""
    node = ["eng", "ns", "name"]
    rows = steps.select(*node, "attempt", "duration_ms").with_row_index("pos")
    # The first attempt may be lost: what is left of that visit stands for it.
    first = pl.col("pos") == pl.col("pos").min().over(node)
    again = pl.col("attempt") > 1
    return rows.filter(~again | first) if rows.select(again.any()).item() else rows


def _hits(executions: pl.DataFrame, names: list[str], mode: Mode) -> list[pl.DataFrame]:
    """For each step of the funnel, the execution that reached it: `eng`, `pos`, `duration_ms`, a row an engagement.

    In order, the earliest execution after the one that reached the step before: with no time limit, no later choice
    could get further.
    """
    by_name = executions.filter(pl.col("name").is_in(names)).partition_by("name", as_dict=True)
    hits: list[pl.DataFrame] = []
    for k, name in enumerate(names):
        rows = by_name.get((name,), executions.clear())
        if mode == "ordered" and k > 0:
            before = hits[-1].select("eng", pl.col("pos").alias("before"))
            rows = rows.join(before, on="eng", maintain_order="left").filter(pl.col("pos") > pl.col("before"))
        hits.append(rows.unique("eng", keep="first", maintain_order=True).select("eng", "pos", "duration_ms"))
    return hits


def _ends(engagements: pl.DataFrame, hits: list[pl.DataFrame]) -> pl.DataFrame:
    """For each engagement the furthest step that it reached (`furthest`, from 0; null: none) and how it stands."""
    levels = pl.concat([rows.select("eng", pl.lit(k).alias("furthest")) for k, rows in enumerate(hits)])
    furthest = levels.group_by("eng").agg(pl.col("furthest").max())
    unfinished = pl.col("status").is_in(_UNFINISHED).alias("unfinished")
    return engagements.join(furthest, on="eng", how="left").select("eng", "furthest", "dropped_at", unfinished)


def _funnel_step(
    k: int,
    names: list[str],
    hits: list[pl.DataFrame],
    ends: pl.DataFrame,
    mode: Mode,
    *,
    total_tokens: int,
    n_visits: int,
) -> FunnelStep:
    is_last, here = k == len(names) - 1, hits[k]
    reached = here.height
    stopped = ends.filter((pl.col("furthest") == k) & (not is_last))
    censored = stopped.filter("unfinished").height
    if mode == "ordered":
        dropped = stopped.height - censored
    else:
        dropped = ends.filter(pl.col("dropped_at") == names[k]).height
    durations = here["duration_ms"].drop_nulls()
    # A foreign log may name a drop-off that it has no step for; a rate stays a rate.
    continued = max(reached - dropped, 0) / reached if reached else None
    return FunnelStep(
        name=names[k],
        reached=reached,
        dropped=dropped,
        conversion_rate=None if is_last else continued or 0.0,
        avg_duration_ms=_number(durations.mean()),
        total_tokens=total_tokens,
        step_conversion_rate=_share(here, hits[k - 1]) if k else None,
        overall_conversion_rate=_share(here, hits[0]),
        continuation_rate=continued,
        n_visits=n_visits,
        median_duration_ms=_number(durations.median()),
        censored=censored,
    )


def _share(here: pl.DataFrame, before: pl.DataFrame) -> float | None:
    """Of the engagements in `before`, the share that is also `here`; None when there are none."""
    return here.join(before, on="eng", how="semi").height / before.height if before.height else None


def _number(value: Any) -> float | None:
    return None if value is None else float(value)
