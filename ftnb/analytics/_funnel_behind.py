"""From a bar of a funnel to what is behind it: engagements, executions, times."""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl

from ..core.errors import InvalidArgumentError
from ._engines import PolarsSteps
from ._funnel_numbers import Evidence
from ._funnel_reach import Members, reach_of
from ._funnel_reading import Reading
from ._sql import SqlSteps, text

if TYPE_CHECKING:
    from ._funnel_result import Outcome

_AT_ONCE = 10_000
"""Engagements that an SQL engine is asked for at once."""


def engagements_behind(evidence: Evidence, reading: Reading, k: int, outcome: Outcome) -> pl.DataFrame:
    """Rows of the source's engagements, in its order, one each."""
    ids = _found(evidence, k, outcome).select(pl.col("engagement_id").unique())
    key = pl.col("engagement_id").cast(pl.String)
    return reading.engagements.filter(key.is_in(ids["engagement_id"].implode())).collect()


def executions_behind(evidence: Evidence, reading: Reading, k: int, outcome: Outcome) -> pl.DataFrame:
    """Rows of the source's steps: the executions that reached step k."""
    found = _found(evidence, k, outcome)
    if "attempt" not in found.columns:
        found = found.join(evidence.paths.select("engagement_id", "attempt"), on="engagement_id", how="inner")
    ids = found["engagement_id"].unique().sort()
    steps = steps_of(reading, ids)
    members = Members.of(ids.to_frame())
    again = reach_of(PolarsSteps(steps.with_row_index("_row")), evidence.spec, members).paths
    again = again.with_columns(ids.gather(again["member"]))
    rows = found.select("engagement_id", "attempt").join(again, on=["engagement_id", "attempt"], how="left")
    return steps[rows[f"row{k}"].drop_nulls().sort()]


def times_behind(evidence: Evidence, reading: Reading, k: int, outcome: Outcome) -> pl.DataFrame:
    """How long each took: see `Funnel.times`."""
    found = _found(evidence, k, outcome)
    paths = evidence.paths.join(found.select("engagement_id").unique(), on="engagement_id", how="semi")
    if "attempt" in found.columns:
        paths = found
    paths = paths.filter(pl.col(f"x{k}"))
    no_time = evidence.spec.mode == "visited"
    nothing = pl.lit(None, pl.Int64)
    elapsed = nothing if no_time else evidence.elapsed(k)
    step = nothing if no_time or k == 0 else pl.col(f"t{k}") - pl.col(f"t{evidence.before(k)}")
    waited = nothing if no_time else evidence.waited(k)
    columns = {"time_ms": elapsed, "step_time_ms": step, "wait_ms": waited, "active_time_ms": elapsed - waited}
    return paths.select("engagement_id", "attempt", *((micros / 1000).alias(name) for name, micros in columns.items()))


def times_to(evidence: Evidence, k: int) -> tuple[int, pl.Series]:
    """How many entered, and of those that got to step k, how long that took (ms), sorted."""
    if evidence.spec.mode == "visited":
        raise InvalidArgumentError("mode 'visited' knows no times, as it asks for no order; ask for mode='ordered'")
    reached = evidence.paths.filter(pl.col(f"x{k}")).select((evidence.elapsed(k) / 1000).alias("ms"))["ms"]
    return int(evidence.paths["x0"].sum()), reached.drop_nulls().sort()


def _found(evidence: Evidence, k: int, outcome: Outcome) -> pl.DataFrame:
    """The paths with this outcome; in mode `visited`, of those that dropped off, the engagements."""
    reached = pl.col(f"x{k}")
    if outcome == "dropped":
        return evidence.dropped(k)
    if outcome == "censored":
        return evidence.paths.filter(evidence.stopped(k) & pl.col("open"))
    if outcome == "continued":
        return evidence.paths.filter(reached & (pl.col("furthest") > k))
    if outcome == "converted":
        return evidence.paths.filter(reached & pl.col(f"x{evidence.goal}"))
    return evidence.paths.filter(reached)


def steps_of(reading: Reading, ids: pl.Series) -> pl.DataFrame:
    """All columns of the steps of these engagements, in order of execution."""
    steps = reading.whole_steps()
    if isinstance(steps, PolarsSteps):
        key = pl.col("engagement_id").cast(pl.String)
        return steps.frame.lazy().filter(key.is_in(ids.implode())).collect()
    return pl.concat([_asked(steps, ids.slice(at, _AT_ONCE)) for at in range(0, max(len(ids), 1), _AT_ONCE)])


def _asked(steps: SqlSteps, ids: pl.Series) -> pl.DataFrame:
    listed = ", ".join(text(steps, found) for found in ids) or "NULL"
    kind = "VARCHAR" if steps.engine == "duckdb" else "STRING"
    found = steps.query(f"SELECT * FROM steps WHERE CAST(engagement_id AS {kind}) IN ({listed}) ORDER BY pos")
    return found.drop("pos")
