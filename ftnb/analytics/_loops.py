"""Rework and loops: steps that were visited again, the cycles behind it, and what they cost."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import polars as pl

from ..core.errors import UnknownStepError
from ._collapse import cycles
from ._groups import label, of_group, place_of, shown_group
from ._kept import keeps_table
from ._paths import Paths, paths_of
from ._result import Result, counted
from ._source import Source, asked
from ._visits import Level

if TYPE_CHECKING:
    import plotly.graph_objects as go

    from ..figures.theme import Theme

_CYCLES: dict[str, Any] = {
    "group_code": pl.UInt32, "path": pl.List(pl.UInt32), "n": pl.Int64, "n_engagements": pl.Int64, "tokens": pl.Int64,
    "us": pl.Int64,
}  # fmt: skip


@dataclass(frozen=True, repr=False, eq=False)
class Loops(Result):
    """Repeat visits by node, and the cycles that made them."""

    by: str | None
    groups: list[Any]
    totals: list[int]
    _nodes: pl.DataFrame
    _cycles: pl.DataFrame
    _visits: pl.DataFrame = field(repr=False)
    """`group_code`, `engagement_id`, `name`, `n_visits`."""

    _shown = ("group", "name", "n_visits", "n_repeats", "repeat_share", "rework_rate", "n_self_loops", "max_visits",
              "rework_tokens", "rework_token_share")  # fmt: skip

    def frame(self) -> pl.DataFrame:
        """One row a node, the most repeated first.

        `group` (only with `by`), `name`, `n_visits` (retries and resumes of a visit are none of their own),
        `n_engagements` that came there, `n_repeats` visits after an engagement's first, `repeat_share` of the visits,
        `n_engagements_repeated`, `rework_rate` of those that came there, `n_self_loops` visits right after one of the
        same node, `mean_visits` and `max_visits` of an engagement, `rework_ms` measured work and `rework_tokens` of
        the repeat visits, `rework_token_share` of the tokens of all steps considered.
        """
        return self._nodes

    def cycles(self) -> pl.DataFrame:
        """One row a cycle, the most frequent first.

        `group` (only with `by`), `path` (its steps once, beginning where it was mostly entered), `n` times round,
        `n_engagements`, `share` of the group's, `total_tokens` and `work_ms` of going round: the steps of the cycle
        each time before it closed. An inner cycle is no part of the outer one.
        """
        return self._cycles

    def engagements(self, name: str, *, min_visits: int = 2) -> pl.DataFrame:
        """The engagements that visited `name` at least `min_visits` times: `engagement_id`, `n_visits`."""
        known = self._nodes["name"].unique().to_list()
        if name not in known:
            raise UnknownStepError.of(str(name), known, "these engagements")
        found = self._visits.filter((pl.col("name") == name) & (pl.col("n_visits") >= min_visits))
        return found.select("engagement_id", "n_visits").sort("n_visits", descending=True, maintain_order=True)

    def _picked(self, key: Any, group: Any) -> pl.DataFrame:
        found = self.engagements(key)
        if self.by is None:
            return found
        at = place_of(self.groups, shown_group(self.groups, group), self.by)
        here = self._visits.filter(pl.col("group_code") == at)
        return found.join(here.select("engagement_id"), on="engagement_id", how="semi", maintain_order="left")

    @keeps_table
    def figure(self, *, theme: Theme = "light", group: Any = None, top: int = 15) -> go.Figure:
        """Repeat visits and their tokens by node, with the most frequent cycles; of one `group` (else the first)."""
        from ..figures import loops_figure

        nodes, found, title = self._nodes, self._cycles, self._title()
        if self.by is not None:
            value = shown_group(self.groups, group)
            nodes, found = (of_group(frame, self.groups, value, self.by) for frame in (nodes, found))
            title = f"{title}: {label(value)}"
        return loops_figure(nodes.filter(pl.col("n_repeats") > 0).head(top), found.head(top), title=title, theme=theme)

    def _title(self) -> str:
        by = f" by {self.by}" if self.by else ""
        return f"Rework in {counted(sum(self.totals), 'engagement')}{by}"


def loops(
    source: Source,
    *,
    where: Mapping[str, Any] | None = None,
    by: str | None = None,
    level: Level = "top",
    branches: bool = False,
) -> Loops:
    """Repeat visits of nodes, self-loops and cycles, and the work and tokens that went into them.

    A retry of a step, and a step that waited for a human and was resumed, are one visit, hence no rework. The
    parameters are as for `variants`.
    """
    paths = paths_of(source, asked(where, branches), by, level)
    groups, ids = paths.groups, paths.visits.engagements["engagement_id"]
    rows = paths.rows.with_columns(groups.of.gather(paths.rows["eng"]).alias("group_code"))
    before = (pl.col("code") == pl.col("code").shift(1)) & (pl.col("eng") == pl.col("eng").shift(1))
    rows = rows.with_columns(before.fill_null(False).alias("self_loop"))
    names = pl.Series(paths.visits.names, dtype=pl.String)
    each = rows.group_by("group_code", "eng", "code", maintain_order=True).agg(
        pl.len().cast(pl.Int64).alias("n_visits"),
        pl.col("self_loop").sum().cast(pl.Int64),
        pl.col("tokens").slice(1).sum().cast(pl.Int64).alias("tokens"),
        pl.col("us").slice(1).sum().cast(pl.Int64).alias("us"),
    )
    spent = rows.group_by("group_code").agg(pl.col("tokens").sum().alias("all_tokens"))
    nodes = _nodes(each, spent)
    nodes = nodes.with_columns(names.gather(nodes["code"].cast(pl.Int64)).alias("name"))
    nodes = nodes.with_columns(groups.column(nodes["group_code"]))
    nodes = nodes.sort("group_code", -pl.col("n_repeats"), "name")
    visited = each.select(
        "group_code", ids.gather(each["eng"]).alias("engagement_id"),
        names.gather(each["code"].cast(pl.Int64)).alias("name"), "n_visits",
    )  # fmt: skip
    lead = ["group"] if by else []
    return Loops(
        by, groups.values, groups.sizes,
        nodes.select(
            *lead, "name", "n_visits", "n_engagements", "n_repeats", "repeat_share", "n_engagements_repeated",
            "rework_rate", "n_self_loops", "mean_visits", "max_visits", "rework_ms", "rework_tokens",
            "rework_token_share",
        ),
        _cycles_frame(paths, names).select(*lead, "path", "n", "n_engagements", "share", "total_tokens", "work_ms"),
        visited,
    )  # fmt: skip


def _nodes(each: pl.DataFrame, spent: pl.DataFrame) -> pl.DataFrame:
    visits, repeated = pl.col("n_visits"), pl.col("n_visits") > 1
    nodes = each.group_by("group_code", "code").agg(
        visits.sum(),
        pl.len().cast(pl.Int64).alias("n_engagements"),
        (visits - 1).sum().alias("n_repeats"),
        repeated.sum().cast(pl.Int64).alias("n_engagements_repeated"),
        pl.col("self_loop").sum().alias("n_self_loops"),
        visits.mean().alias("mean_visits"),
        visits.max().alias("max_visits"),
        (pl.col("us").sum() / 1000).alias("rework_ms"),
        pl.col("tokens").sum().alias("rework_tokens"),
    )
    return nodes.join(spent, on="group_code", how="left").with_columns(
        (pl.col("n_repeats") / visits).alias("repeat_share"),
        (pl.col("n_engagements_repeated") / pl.col("n_engagements")).alias("rework_rate"),
        pl.when(pl.col("all_tokens") > 0)
        .then(pl.col("rework_tokens") / pl.col("all_tokens"))
        .alias("rework_token_share"),
    )


def _cycles_frame(paths: Paths, names: pl.Series) -> pl.DataFrame:
    """The cycles of all engagements. Equal paths are walked once; what they cost is summed place by place."""
    same = (
        paths.lists()
        .with_columns(paths.groups.of.alias("group_code"))
        .filter(pl.col("path").list.n_unique() < pl.col("path").list.len())
        .group_by("group_code", "path", maintain_order=True)
        .agg("eng")
        .with_row_index("class")
    )
    of = same.select("class", "eng").explode("eng")
    # Engagements that never came back to a step have no cycle, so most rows are gone here.
    spent = (
        paths.rows.join(of, on="eng", how="inner")
        .group_by("class", "index")
        .agg(pl.col("tokens").sum(), pl.col("us").sum())
        .sort("class", "index")
        .group_by("class", maintain_order=True)
        .agg("tokens", "us")
    )
    found: dict[tuple[int, tuple[int, ...]], _Cycle] = {}
    every = zip(
        same["group_code"].to_list(), same["path"].to_list(), same["eng"].list.len().to_list(),
        spent["tokens"].to_list(), spent["us"].to_list(), strict=True,
    )  # fmt: skip
    for group, path, n, tokens, us in every:
        seen = set()
        for _, steps, places in cycles(path):
            turned = _least_turn(steps)
            cycle = found.setdefault((group, turned), _Cycle())
            cycle.entered[steps] = cycle.entered.get(steps, 0) + n
            cycle.n += n
            cycle.tokens += sum(tokens[place] for place in places)
            cycle.us += sum(us[place] for place in places)
            if turned not in seen:
                seen.add(turned)
                cycle.n_engagements += n
    rows = [
        (group, cycle.mostly_entered(), cycle.n, cycle.n_engagements, cycle.tokens, cycle.us)
        for (group, _), cycle in found.items()
    ]
    frame = pl.DataFrame(rows, schema=_CYCLES, orient="row")
    texts = pl.Series("path", [[names[code] for code in path] for path in frame["path"]], pl.List(pl.String))
    sizes = pl.Series(paths.groups.sizes, dtype=pl.Float64).gather(frame["group_code"].cast(pl.Int64))
    return (
        frame.with_columns(
            texts,
            paths.groups.column(frame["group_code"]),
            (frame["n_engagements"] / sizes).alias("share"),
            pl.col("tokens").alias("total_tokens"),
            (pl.col("us") / 1000).alias("work_ms"),
        )
        .with_columns(pl.col("path").list.join("\x00").alias("_text"))
        .sort("group_code", -pl.col("n"), "_text")
    )


class _Cycle:
    """What was counted of one cycle, whichever of its steps it was entered by."""

    def __init__(self) -> None:
        self.n = self.n_engagements = self.tokens = self.us = 0
        self.entered: dict[tuple[int, ...], int] = {}

    def mostly_entered(self) -> list[int]:
        """The cycle from the step by which it was entered most often."""
        steps, _ = max(self.entered.items(), key=lambda item: (item[1], [-code for code in item[0]]))
        return list(steps)


def _least_turn(steps: tuple[int, ...]) -> tuple[int, ...]:
    """The cycle begun at its smallest step; its steps differ, so there is one."""
    begin = steps.index(min(steps))
    return steps[begin:] + steps[:begin]
