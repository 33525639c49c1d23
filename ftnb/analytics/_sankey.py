"""The Sankey diagram: how engagements flow from place to place of their paths."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import polars as pl

from ._groups import label, of_group, shown_group
from ._kept import keeps_table
from ._paths import Paths, paths_of
from ._result import Result, check_count, counted
from ._source import Source, asked
from ._visits import OPEN, Level

if TYPE_CHECKING:
    import plotly.graph_objects as go

    from ..figures.theme import Theme

_DROPPED = ("abandoned", "failed")


@dataclass(frozen=True, repr=False, eq=False)
class Sankey(Result):
    """Flows between the places of paths."""

    by: str | None
    groups: list[Any]
    totals: list[int]
    _frame: pl.DataFrame

    def frame(self) -> pl.DataFrame:
        """One row a flow, from the place `index` (from 1) to the next, place after place.

        `group` (only with `by`), `index`, `from_name from_state to_name to_state`, `n` engagements, `share` of all.
        A state is `step`, or with a null name: `other` (the steps less frequent at this place than the `top`), and as
        a target `ended` (completed), `dropped` (abandoned or failed), `open` (active or paused), `cut` (goes on after
        the last place shown).
        """
        return self._frame

    @keeps_table
    def figure(self, *, theme: Theme = "light", group: Any = None) -> go.Figure:
        """The diagram, of one `group` (else the first)."""
        from ..figures import sankey_figure

        if self.by is None:
            return sankey_figure(self._frame, title=self._title(), theme=theme)
        value = shown_group(self.groups, group)
        frame = of_group(self._frame, self.groups, value, self.by)
        return sankey_figure(frame, title=f"{self._title()}: {label(value)}", theme=theme)

    def _title(self) -> str:
        by = f" by {self.by}" if self.by else ""
        return f"Flows of {counted(sum(self.totals), 'engagement')}{by}"


def sankey(
    source: Source,
    *,
    where: Mapping[str, Any] | None = None,
    by: str | None = None,
    max_steps: int = 8,
    top: int = 8,
    level: Level = "top",
    branches: bool = False,
) -> Sankey:
    """How engagements flow through the first `max_steps` places of their paths.

    At each place the `top` most frequent steps are told apart, the rest is `other`. The other parameters are as for
    `variants`.
    """
    check_count("max_steps", max_steps)
    check_count("top", top)
    paths = paths_of(source, asked(where, branches), by, level)
    stops = _stops(paths, max_steps, top)
    on = (pl.col("eng").shift(-1) == pl.col("eng")).fill_null(False)
    flows = stops.select(
        "group_code", "index", pl.col("name").alias("from_name"), pl.col("state").alias("from_state"),
        pl.when(on).then(pl.col("name").shift(-1)).alias("to_name"),
        pl.when(on).then(pl.col("state").shift(-1)).otherwise("end").alias("to_state"),
    )  # fmt: skip
    keys = ["group_code", "index", "from_name", "from_state", "to_name", "to_state"]
    counts = flows.group_by(keys).agg(pl.len().cast(pl.Int64).alias("n"))
    totals = pl.Series(paths.groups.sizes, dtype=pl.Float64).gather(counts["group_code"].cast(pl.Int64))
    frame = counts.with_columns(
        (counts["n"] / totals).alias("share"), paths.groups.column(counts["group_code"])
    ).sort("group_code", "index", -pl.col("n"), "from_name", "from_state", "to_name", "to_state")  # fmt: skip
    return Sankey(
        by, paths.groups.values, paths.groups.sizes,
        frame.select(*(["group"] if by else []), *keys[1:], "n", "share"),
    )  # fmt: skip


def _stops(paths: Paths, max_steps: int, top: int) -> pl.DataFrame:
    """Each place of each engagement up to the last that is shown, and how it goes on from there if not to a step."""
    status = paths.visits.engagements["status"]
    ends = pl.select(
        pl.when(status.is_in(OPEN)).then(pl.lit("open"))
        .when(status.is_in(_DROPPED)).then(pl.lit("dropped"))
        .otherwise(pl.lit("ended")).alias("end")
    )["end"]  # fmt: skip
    goes_on = (pl.col("eng").shift(-1) == pl.col("eng")).fill_null(False)
    rows = paths.rows.select(
        "eng", "code", (pl.col("index") + 1).alias("index"),
        pl.when(goes_on).then(pl.lit("cut")).otherwise(ends.gather(paths.rows["eng"])).alias("end"),
    ).filter(pl.col("index") <= max_steps)  # fmt: skip
    counts = rows.group_by("index", "code").agg(pl.len().cast(pl.Int64).alias("n")).sort("index", -pl.col("n"), "code")
    kept = counts.filter(pl.int_range(pl.len()).over("index") < top).select("index", "code", pl.lit(True).alias("kept"))
    rows = rows.join(kept, on=["index", "code"], how="left", maintain_order="left")
    is_kept = pl.col("kept").fill_null(False)
    names = pl.Series(paths.visits.names, dtype=pl.String).gather(rows["code"].cast(pl.Int64))
    return rows.with_columns(
        pl.when(is_kept).then(names).alias("name"),
        pl.when(is_kept).then(pl.lit("step")).otherwise(pl.lit("other")).alias("state"),
        paths.groups.of.gather(rows["eng"]).alias("group_code"),
    )
