"""Paths: the names of an engagement's steps in order, made comparable where steps ran side by side."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import polars as pl

from ._gather import Gathered, gathered
from ._groups import Groups, groups_of
from ._moves import is_chain
from ._source import Source
from ._visits import Level, Visits, visits_of


@dataclass(frozen=True)
class Paths:
    """All visits, each with its place in the path of its engagement."""

    visits: Visits
    rows: pl.DataFrame
    """`visits.rows` and `index` (from 0); steps that ran side by side in the order of their names."""
    groups: Groups
    given: Gathered

    def lists(self) -> pl.DataFrame:
        """A row an engagement, those without any step too: `eng` and `path`, a list of codes."""
        paths = self.rows.group_by("eng", maintain_order=True).agg(pl.col("code").alias("path"))
        every = self.visits.engagements.select("eng").join(paths, on="eng", how="left", maintain_order="left")
        return every.with_columns(pl.col("path").fill_null(pl.lit([], pl.List(pl.UInt32))))

    def names(self, codes: Sequence[int]) -> list[str]:
        """Codes as names."""
        return [self.visits.names[code] for code in codes]


def paths_of(
    source: Source, where: Mapping[str, Any] | None, by: str | None, level: Level, *, times: bool = False
) -> Paths:
    """The paths of all engagements."""
    given = gathered(source, where)
    visits = visits_of(given.tables, level=level, times=times, places=True)
    rows = _side_by_side(visits, given.transitions())
    begun = rows["eng"] != rows["eng"].shift(1)
    first = pl.when(begun.fill_null(True)).then(pl.int_range(pl.len())).forward_fill()
    rows = rows.with_columns((pl.int_range(pl.len()) - first).cast(pl.Int64).alias("index"))
    return Paths(visits, rows, groups_of(visits.engagements, by), given)


def _side_by_side(visits: Visits, transitions: pl.DataFrame | None) -> pl.DataFrame:
    """The rows of `visits`; where steps ran side by side, their order in the log says nothing: they come by name.

    A step ran beside the one before it when nothing of that one's layer caused it.
    """
    rows, places = visits.rows, visits.places
    if transitions is None or places is None or rows.is_empty() or is_chain(transitions, places):
        return rows
    # Of retries it is the execution that counts: what a second attempt led to came after all before that attempt.
    at = places.with_columns(pl.int_range(pl.len(), dtype=pl.Int64).alias("pos"))
    begun = at.filter(~pl.col("again"))["pos"]
    latest = _latest_causes(transitions, at, rows.height)
    known = rows.select("eng", "code").with_row_index("row").with_columns(begun, latest.alias("cause"))
    follows = (pl.col("cause") >= pl.col("pos").shift(1)).fill_null(True)
    odd = known.filter(~follows).select("eng").unique()
    if odd.is_empty():
        return rows
    part = known.join(odd, on="eng", how="semi", maintain_order="left")
    layer = _layers(part["eng"].to_list(), part["row"].to_list(), part["pos"].to_list(), part["cause"].to_list())
    by_name = pl.Series(visits.names).rank("ordinal").gather(part["code"].cast(pl.Int64))
    order = part.select("row", pl.Series("layer", layer), by_name.alias("by_name")).sort("layer", "by_name", "row")
    # Layers are numbered by rows, and an engagement's rows lie together: what is sorted stays within them.
    return rows[known["row"].cast(pl.Int64).scatter(part["row"], order["row"].cast(pl.Int64))]


def _latest_causes(transitions: pl.DataFrame, places: pl.DataFrame, height: int) -> pl.Series:
    known = places.unique(["engagement_id", "step_id"], keep="last")
    pairs = transitions.select("engagement_id", "from_step_id", "to_step_id").drop_nulls()
    for side, wanted in (("from", "pos"), ("to", "place")):
        place = known.select("engagement_id", pl.col("step_id").alias(f"{side}_step_id"), pl.col(wanted).alias(side),
                             pl.col("again").alias(f"{side}_again"))  # fmt: skip
        pairs = pairs.join(place, on=["engagement_id", f"{side}_step_id"], how="inner")
    latest = pairs.filter(~pl.col("to_again")).group_by("to").agg(pl.col("from").max())
    none = pl.repeat(None, height, dtype=pl.Int64, eager=True)
    return none.scatter(latest["to"], latest["from"])


def _layers(engs: list[int], rows: list[int], places: list[int], causes: list[int | None]) -> list[int]:
    """For each row the first row of its layer: a layer ends with the first step that something of it caused.

    `places` are those of the rows in the log, `causes` the latest places that caused them; None: nothing is known.
    """
    layers: list[int] = []
    eng, first, begun = -1, 0, 0
    for one, row, place, cause in zip(engs, rows, places, causes, strict=True):
        if one != eng or cause is None or cause >= begun:
            eng, first, begun = one, row, place
        layers.append(first)
    return layers
