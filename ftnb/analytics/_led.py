"""What led to what at the top of each engagement, with how it came about: a new turn, an end, a failure."""

from __future__ import annotations

import polars as pl

from ..frames._transitions import transitions_frame
from ._gather import Gathered
from ._visits import Visits

_MISSING = {
    "turn": pl.lit(1, pl.Int64), "parent_step_id": pl.lit(None, pl.String),
    "started_at": pl.lit(None, pl.Datetime("us", "UTC")),
    "ended_at": pl.lit(None, pl.Datetime("us", "UTC")), "triggers": pl.lit([], pl.List(pl.String)),
}  # fmt: skip


def with_ids(given: Gathered) -> pl.DataFrame:
    """The steps, with an id each where frames have none."""
    steps = given.tables.steps
    if "step_id" in steps.columns:
        return steps
    return steps.with_columns(pl.int_range(pl.len()).cast(pl.String).alias("step_id"))


def led_of(given: Gathered, steps: pl.DataFrame, visits: Visits, *, ns: str | None = "") -> pl.DataFrame:
    """A row a move: `eng`, `from_row`, `to_row` (of `visits.rows`; null: start, end), `from_name`, `to_name`,
    `is_new_turn` (the graph was started again in between). `ns=None` takes moves inside subgraphs too."""
    transitions = _transitions(given, steps)
    if ns is not None:
        transitions = transitions.filter(pl.col("ns") == ns)
    assert visits.places is not None
    known = visits.places.unique(["engagement_id", "step_id"], keep="last")
    rows = transitions.join(visits.engagements.select("engagement_id", "eng"), on="engagement_id", how="inner",
                            maintain_order="left")  # fmt: skip
    for side in ("from", "to"):
        place = known.select("engagement_id", pl.col("step_id").alias(f"{side}_step_id"),
                             pl.col("place").alias(f"{side}_row"), pl.col("again").alias(f"{side}_again"))  # fmt: skip
        rows = rows.join(place, on=["engagement_id", f"{side}_step_id"], how="left", maintain_order="left")
    is_end = pl.col("to_step_id").is_null()
    rows = rows.filter(
        (is_end | pl.col("to_row").is_not_null())
        # What led to a visit led to its first attempt; a retry is no move.
        & (is_end | ~pl.col("to_again").fill_null(False))
        & (pl.col("from_row") != pl.col("to_row")).fill_null(True)
    ).with_columns(is_end.alias("is_end"))
    inner = rows.filter(pl.col("from_row").is_not_null() & ~pl.col("is_end"))
    ends = rows.filter("is_end").unique("from_row", maintain_order=True)
    ends = ends.filter(~pl.col("from_row").is_in(inner["from_row"].implode()))
    begins = rows.filter(pl.col("from_row").is_null() & ~pl.col("is_end"))
    both = pl.concat([begins, inner.unique(["from_row", "to_row"], maintain_order=True), ends])
    return both.select(
        "eng", "from_row", "to_row", "from_name", "to_name", (pl.col("kind") == "resume").alias("is_new_turn")
    )


def _transitions(given: Gathered, steps: pl.DataFrame) -> pl.DataFrame:
    found = given.transitions()
    if found is not None:
        return found
    there = steps.columns
    filled = steps.with_columns(value.alias(name) for name, value in _MISSING.items() if name not in there)
    filled = filled.with_columns(pl.col("attempt").cast(pl.Int64).fill_null(1), pl.lit(None, pl.String).alias("routes"))
    return transitions_frame(filled.with_row_index("pos"), given.tables.engagements)
