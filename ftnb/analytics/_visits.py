"""Visits: what each engagement did, step by step, retries folded in; coded as integers, so that millions are quick."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

import polars as pl

from ..core.errors import InvalidArgumentError, UnknownStepError
from ..store.reconstruct import UNKNOWN_NAME
from ._source import Tables

Level = Literal["top", "all"]
OPEN = ("active", "paused")
"""Engagements that may yet go on: their last step is no end."""


@dataclass(frozen=True)
class Visits:
    """Executions of nodes; retries and resumes of one are part of it."""

    rows: pl.DataFrame
    """A row a visit, in order, engagement after engagement: `eng` (row of `engagements`), `code` (place in `names`),
    `us` (measured work of all its attempts in microseconds; null: not measured), `tokens` (of all its attempts); with
    times also `clock` (its start in microseconds, waits for a human taken out; null: unknown) and `waited`
    (microseconds that the engagement had waited for a human by then)."""
    names: list[str]
    engagements: pl.DataFrame
    """`eng` and the source's columns."""
    places: pl.DataFrame | None
    """`engagement_id`, `step_id`, `place` (the row of `rows` that an execution belongs to), `again` (it is no visit's
    first)."""

    def code_of(self, name: str) -> int:
        """The code of a step's name. Raises UnknownStepError."""
        if name not in self.names:
            raise UnknownStepError.of(str(name), self.names, "these engagements")
        return self.names.index(name)


def checked_level(level: str) -> None:
    """Raises InvalidArgumentError for a level that there is not."""
    if level not in get_args(Level):
        raise InvalidArgumentError(
            f"no level {level!r}; levels: top (steps of the graph itself), all (those inside subgraphs too)"
        )


def visits_of(tables: Tables, *, level: Level = "top", times: bool = False, places: bool = False) -> Visits:
    """The visits of all engagements; `times` fills `clock` and `waited`, `places` the map of step ids."""
    checked_level(level)
    engagements = tables.engagements.with_row_index("eng")
    steps = indexed(tables.steps, engagements)
    # Frames that somebody brought may hold smaller integers, or nulls.
    steps = steps.with_columns(
        (pl.col("duration_ms").cast(pl.Float64) * 1000).round().cast(pl.Int64).alias("us"),
        pl.col("total_tokens").cast(pl.Int64).fill_null(0),
        pl.col("attempt").cast(pl.Int64).fill_null(1),
    )
    if times:
        steps = _with_clock(steps)
    if level == "top":
        steps = at_top(steps)
    names, code = _coded(steps["name"])
    steps = steps.with_columns(code)
    kept = ["eng", "code", "us", pl.col("total_tokens").alias("tokens"), *(["clock", "waited"] if times else [])]
    first = _first_attempts(steps)
    if first is None:
        rows, place = steps.select(kept), pl.int_range(steps.height, dtype=pl.Int64, eager=True)
    else:
        rows, place = _folded(steps.select(kept), first)
    at = None
    if places and "step_id" in steps.columns:
        again = pl.lit(False) if first is None else first != pl.int_range(steps.height, dtype=pl.UInt32, eager=True)
        at = steps.select("engagement_id", "step_id", place.alias("place"), again=again)
    return Visits(rows, names, engagements, at)


def indexed(steps: pl.DataFrame, engagements: pl.DataFrame) -> pl.DataFrame:
    """`steps` with `eng`, engagement after engagement; steps of other engagements are left out."""
    ids = steps["engagement_id"]
    is_first = ids.ne_missing(ids.shift(1))
    if steps.height:
        is_first = is_first.scatter(0, True)
    run = is_first.cast(pl.UInt32).cum_sum() - 1
    starts, known = ids.filter(is_first), engagements["engagement_id"]
    if _are_same(starts, known):
        return steps.with_columns(run.alias("eng"))
    numbers = engagements.select("engagement_id", "eng")
    found = starts.to_frame().join(numbers, on="engagement_id", how="left", maintain_order="left")
    eng = found["eng"].gather(run)
    steps = steps.with_columns(eng)
    if eng.null_count():
        steps = steps.filter(pl.col("eng").is_not_null())
    return steps if starts.is_unique().all() else steps.sort("eng", maintain_order=True)


def _are_same(starts: pl.Series, known: pl.Series) -> bool:
    """Whether each engagement has its steps in one piece, and in the order of the engagements: much the commonest."""
    if starts.len() != known.len() or starts.dtype != known.dtype or not (starts == known).all() or starts.null_count():
        return False
    # Identifiers grow with time, and comparing neighbours is quicker than hashing all.
    return bool((starts > starts.shift(1)).all()) or not starts.is_duplicated().any()


def at_top(steps: pl.DataFrame) -> pl.DataFrame:
    inside = pl.col("ns") != ""
    if "parent_step_id" in steps.columns:
        inside = inside | pl.col("parent_step_id").is_not_null()
    return steps.filter(~inside) if steps.select(inside.any()).item() else steps


def _coded(names: pl.Series) -> tuple[list[str], pl.Series]:
    names = names.cast(pl.String).fill_null(UNKNOWN_NAME)
    known = names.unique(maintain_order=True).to_list()
    return known, names.cast(pl.Enum(known)).to_physical().cast(pl.UInt32).alias("code")


def _first_attempts(steps: pl.DataFrame) -> pl.Series | None:
    """For each execution the row of the visit's first; None when there are no retries."""
    again = steps["attempt"] > 1
    if not again.any():
        return None
    node = ["eng", "ns", "code"]
    rows = steps.select(*node, "attempt", *(["visit"] if "visit" in steps.columns else [])).with_row_index("row")
    repeated = rows.join(rows.filter(again), on=node, how="semi", nulls_equal=True, maintain_order="left")
    # The first attempt may be lost: what is left of that visit stands for it.
    begins = (pl.col("attempt") <= 1) | (pl.col("row") == pl.col("row").min().over(node))
    repeated = repeated.with_columns(pl.when(begins).then("row").alias("base"))
    base = pl.col("base").forward_fill()
    bases = [base.over(node)]
    if "visit" in rows.columns:
        # Of several that run at once, the number of the visit tells which; a plain recorder counts retries as visits.
        bases.insert(0, base.over(*node, "visit"))
    found = repeated.with_columns(pl.coalesce(bases).alias("base"))
    return rows["row"].scatter(found["row"], found["base"])


def _folded(rows: pl.DataFrame, first: pl.Series) -> tuple[pl.DataFrame, pl.Series]:
    """A row a visit, and for each execution the place of its visit."""
    numbered = rows.with_columns(first.alias("first")).with_row_index("row")
    begun = numbered["first"] == numbered["row"]
    place = (begun.cast(pl.Int64).cum_sum() - 1).gather(first)
    measured = pl.when(pl.col("us").count() > 0).then(pl.col("us").sum())
    whole = numbered.group_by("first").agg(measured.alias("us"), pl.col("tokens").sum())
    kept = numbered.filter(begun).drop("us", "tokens").join(whole, on="first", how="left", maintain_order="left")
    return kept.select(rows.columns), place.alias("place")


def _with_clock(steps: pl.DataFrame) -> pl.DataFrame:
    """`steps` with `clock` and `waited`; between two turns the engagement waited for a human."""
    if "started_at" not in steps.columns:
        return steps.with_columns(pl.lit(None, pl.Int64).alias("clock"), pl.lit(0, pl.Int64).alias("waited"))
    start = epoch_us(steps, "started_at")
    waits = turn_waits(steps)
    if waits is None:
        return steps.with_columns(start.alias("clock"), pl.lit(0, pl.Int64).alias("waited"))
    waited = waits.select("eng", "turn", pl.col("us").cum_sum().over("eng").alias("waited"))
    steps = steps.join(waited, on=["eng", "turn"], how="left", maintain_order="left")
    return steps.with_columns((start - pl.col("waited")).alias("clock"))


def turn_waits(steps: pl.DataFrame) -> pl.DataFrame | None:
    """`eng`, `turn`, `us`: how long a human was waited for before each turn; None when there is one turn only."""
    if "turn" not in steps.columns or "started_at" not in steps.columns or steps["turn"].n_unique() < 2:
        return None
    start = epoch_us(steps, "started_at")
    end = epoch_us(steps, "ended_at") if "ended_at" in steps.columns else start
    turns = (
        steps.select("eng", "turn", start.alias("start"), pl.max_horizontal(start, end).alias("end"))
        .group_by("eng", "turn")
        .agg(pl.col("start").min(), pl.col("end").max())
        .sort("eng", "turn")
    )
    # Turns that overlap, and clocks that were set back, give no negative wait.
    gap = (pl.col("start") - pl.col("end").shift(1).over("eng")).clip(lower_bound=0).fill_null(0)
    return turns.select("eng", "turn", gap.alias("us"))


def epoch_us(frame: pl.DataFrame, column: str) -> pl.Expr:
    """A column of times as integer microseconds. Raises InvalidArgumentError when it holds none.

    Times without a zone cannot be told from UTC, so they are refused, as are columns in which both occur.
    """
    dtype = frame.schema[column]
    if isinstance(dtype, pl.Null):
        return pl.lit(None, pl.Int64)
    if not isinstance(dtype, pl.Datetime) or dtype.time_zone is None:
        raise InvalidArgumentError(
            f"column {column!r} must hold times of one time zone; got {dtype} (polars: "
            f"pl.col({column!r}).dt.replace_time_zone('UTC'); pandas: pd.to_datetime(…, utc=True))"
        )
    return pl.col(column).dt.epoch("us")
