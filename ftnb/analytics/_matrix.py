"""The step matrix: at each place of the path, where the engagements are."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import polars as pl

from ._groups import label, of_group, place_of, shown_group
from ._kept import keeps_table
from ._paths import Paths, paths_of
from ._result import Result, check_count, counted
from ._source import Source, asked
from ._visits import OPEN, Level

if TYPE_CHECKING:
    import plotly.graph_objects as go

    from ..figures.theme import Theme


@dataclass(frozen=True, repr=False, eq=False)
class StepMatrix(Result):
    """Shares of engagements by place in the path and by step."""

    by: str | None
    groups: list[Any]
    totals: list[int]
    """Engagements of each group; with an anchor, those that came to it."""
    anchor: str | None
    _frame: pl.DataFrame
    _rows: pl.DataFrame = field(repr=False)
    """`group_code`, `engagement_id`, `index`, `name`."""

    def frame(self) -> pl.DataFrame:
        """One row a place and step: `group` (only with `by`), `index`, `name`, `state`, `n`, `share` of engagements.

        `index` counts steps from 1; with an anchor, the anchor's first visit is 0 and what came before it is negative.
        `state` is `step`, or with a null `name`: `ended` before this place, `open` (still active or paused, so what
        comes is not known), `not_begun` (before the engagement's first step). The shares of a place add up to 1.
        """
        return self._frame

    def wide(self, *, group: Any = None) -> pl.DataFrame:
        """The same as a matrix: one row a step or state, one column a place. `group` is needed with `by`."""
        frame = self._of(group)
        rows = frame.with_columns(pl.coalesce("name", pl.concat_str(pl.lit("("), "state", pl.lit(")"))).alias("name"))
        table = rows.pivot("index", index=["state", "name"], values="share", maintain_order=True)
        return table.select("name", pl.exclude("state", "name")).fill_null(0.0)

    def engagements(self, index: int, name: str) -> list[str]:
        """Ids of the engagements that were at this step at this place."""
        found = self._rows.filter((pl.col("index") == index) & (pl.col("name") == name))
        return found["engagement_id"].to_list()

    def difference(self, before: Any, after: Any) -> pl.DataFrame:
        """Shares of two groups of `by` side by side: `index name state share_before share_after share_difference`."""
        a, b = (self._of(value).select("index", "name", "state", "share") for value in (before, after))
        both = a.join(b, on=["index", "name", "state"], how="full", coalesce=True, nulls_equal=True, suffix="_after")
        both = both.rename({"share": "share_before"}).with_columns(pl.col("share_before", "share_after").fill_null(0.0))
        changed = (pl.col("share_after") - pl.col("share_before")).alias("share_difference")
        return both.with_columns(changed).sort("index", "state", "name", descending=[False, True, False])

    def _picked(self, key: Any, group: Any) -> pl.DataFrame:
        index, name = key
        found = self._rows.filter((pl.col("index") == index) & (pl.col("name") == name))
        if self.by is not None:
            at = place_of(self.groups, shown_group(self.groups, group), self.by)
            found = found.filter(pl.col("group_code") == at)
        return found.select("engagement_id")

    @keeps_table
    def figure(self, *, theme: Theme = "light", group: Any = None) -> go.Figure:
        """A heat map, of one `group` (else the first)."""
        from ..figures import step_matrix_figure

        if self.by is None:
            return step_matrix_figure(self._frame, title=self._title(), theme=theme)
        value = shown_group(self.groups, group)
        return step_matrix_figure(self._of(value), title=f"{self._title()}: {label(value)}", theme=theme)

    def _of(self, group: Any) -> pl.DataFrame:
        if self.by is None:
            return self._frame
        return of_group(self._frame, self.groups, group, self.by)

    def _title(self) -> str:
        at = f" around {self.anchor!r}" if self.anchor is not None else ""
        by = f" by {self.by}" if self.by else ""
        return f"Step matrix of {counted(sum(self.totals), 'engagement')}{at}{by}"

    def _table(self) -> pl.DataFrame:
        if self.by or self._frame.is_empty():
            return self._frame
        return self.wide().rename(lambda name: name if name == "name" else f"{name} share")


def step_matrix(
    source: Source,
    *,
    where: Mapping[str, Any] | None = None,
    by: str | None = None,
    max_steps: int = 20,
    anchor: str | None = None,
    level: Level = "top",
    branches: bool = False,
) -> StepMatrix:
    """Where engagements are at their first, second, … step: up to `max_steps` places (with an anchor, to either side).

    `anchor` lines all engagements up at their first visit of that step; those that never came to it are left out. It
    raises UnknownStepError when nobody did. The other parameters are as for `variants`.
    """
    check_count("max_steps", max_steps)
    paths = paths_of(source, asked(where, branches), by, level)
    spans = _spans(paths, anchor)
    at = paths.rows.join(spans.select("eng", "group_code", "origin"), on="eng", maintain_order="left")
    at = at.with_columns((pl.col("index") - pl.col("origin")).alias("index"))
    low = 1 if anchor is None else -max_steps
    at = at.filter(pl.col("index").is_between(low, max_steps))
    sizes = spans.group_by("group_code").agg(pl.len().alias("total"))
    names = pl.Series(paths.visits.names, dtype=pl.String)
    steps = at.group_by("group_code", "index", "code").agg(pl.len().cast(pl.Int64).alias("n"))
    steps = steps.with_columns(names.gather(steps["code"].cast(pl.Int64)).alias("name"), pl.lit("step").alias("state"))
    rest = _beyond(spans, low, max_steps)
    both = pl.concat([steps.select("group_code", "index", "name", "state", "n"), rest])
    frame = (
        both.join(sizes, on="group_code", how="left", maintain_order="left")
        .with_columns((pl.col("n") / pl.col("total")).alias("share"), paths.groups.column(both["group_code"]))
        .sort("group_code", "index", pl.col("state") != "step", -pl.col("n"), "name", "state")
    )
    totals = dict(sizes.iter_rows())
    members = at.select(
        "group_code", paths.visits.engagements["engagement_id"].gather(at["eng"]).alias("engagement_id"), "index",
        names.gather(at["code"].cast(pl.Int64)).alias("name"),
    )  # fmt: skip
    return StepMatrix(
        by, paths.groups.values, [totals.get(code, 0) for code in range(len(paths.groups.values))], anchor,
        frame.select(*(["group"] if by else []), "index", "name", "state", "n", "share"), members,
    )  # fmt: skip


def _spans(paths: Paths, anchor: str | None) -> pl.DataFrame:
    """For each engagement `origin` (the place, from 0, that has index 0), `first` and `last` index, `open`."""
    engagements = paths.visits.engagements
    lengths = paths.rows.group_by("eng").agg(pl.len().cast(pl.Int64).alias("length"))
    spans = engagements.select("eng", pl.col("status").is_in(OPEN).alias("open"))
    spans = spans.with_columns(paths.groups.of.alias("group_code"))
    spans = spans.join(lengths, on="eng", how="left", maintain_order="left").with_columns(pl.col("length").fill_null(0))
    if anchor is None:
        spans = spans.with_columns(pl.lit(-1, pl.Int64).alias("origin"))
    else:
        code = paths.visits.code_of(anchor)
        origin = paths.rows.filter(pl.col("code") == code).group_by("eng").agg(pl.col("index").min().alias("origin"))
        spans = spans.join(origin, on="eng", how="inner", maintain_order="left")
    return spans.with_columns(
        (-pl.col("origin")).alias("first"), (pl.col("length") - 1 - pl.col("origin")).alias("last")
    )


def _beyond(spans: pl.DataFrame, low: int, high: int) -> pl.DataFrame:
    """How many are not at any step, by place: before their first, or after their last."""
    parts = []
    first, last = (pl.Series(spans[name], dtype=pl.Int64).to_list() for name in ("first", "last"))
    for index in range(max(low, min(first, default=low)), min(high, max(last, default=high)) + 1):
        after, before = pl.col("last") < index, pl.col("first") > index
        state = pl.when(before).then(pl.lit("not_begun")).when("open").then(pl.lit("open")).otherwise(pl.lit("ended"))
        counts = spans.filter(after | before).group_by("group_code", state.alias("state"))
        part = counts.agg(pl.len().cast(pl.Int64).alias("n"))
        parts.append(part.with_columns(pl.lit(index, pl.Int64).alias("index"), pl.lit(None, pl.String).alias("name")))
    schema = {"group_code": pl.UInt32, "index": pl.Int64, "name": pl.String, "state": pl.String, "n": pl.Int64}
    typed = [part.select(pl.col(name).cast(dtype) for name, dtype in schema.items()) for part in parts]
    return pl.concat([pl.DataFrame(schema=schema), *typed])
