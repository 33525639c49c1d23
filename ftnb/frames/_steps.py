"""Steps and events as frames."""

from __future__ import annotations

import polars as pl

from ..store.reconstruct import UNKNOWN_NAME
from ._log import Log, path
from ._values import part_of_bodies
from .schema import EVENTS, PAYLOAD, STEPS, polars_schema


def moment(micros: str) -> pl.Expr:
    """A column of integer microseconds as UTC times."""
    return pl.col(micros).cast(pl.Datetime("us", "UTC"))


def millis(micros: pl.Expr) -> pl.Expr:
    """Integer microseconds as milliseconds, rounded as Python divides."""
    # Polars divides by a scalar as a product with its reciprocal, which is off in the last digit; not so by a column.
    thousand = (micros * 0 + 1000).cast(pl.Float64)
    return micros.cast(pl.Float64) / thousand


def list_of_text(bodies: pl.DataFrame, key: str) -> pl.Series:
    """The entry `key` of each body, a JSON list of text; an empty list when absent."""
    texts = bodies.select(path(key).alias(key))[key]
    if texts.str.contains('{"$ftnb":"str"', literal=True).any():
        # Text with a lone surrogate is a marker; polars text cannot hold it, so its escaped form stands for it.
        texts = texts.str.replace_all(r'\{"\$ftnb":"str","ascii":("(?:[^"\\]|\\.)*")\}', "$1")
    return texts.str.json_decode(pl.List(pl.String))


def event_rows(log: Log) -> pl.DataFrame:
    """Records of events, with `discarded`, `error`, `subtype` and the tokens as the model gives them."""
    bodies = log.bodies("event_recorded", having=["error", "subtype", "discarded"]).select(
        "seq",
        path("error").alias("error"),
        path("subtype").alias("subtype"),
        (path("discarded") == "true").fill_null(False).alias("_said_discarded"),
    )
    waiting = (
        log.of("step_ended", columns=["pos", "execution", "status"])
        .filter(pl.col("status") == "waiting")
        .group_by("execution")
        .agg(pl.col("pos").max().alias("_waiting_pos"))
    )
    has_tokens = pl.col("tok_total").is_not_null()
    counted = pl.col("tok_prompt").fill_null(0) + pl.col("tok_completion").fill_null(0)
    rows = log.of("event_recorded").join(bodies, on="seq", how="left", maintain_order="left")
    rows = rows.join(waiting, on="execution", how="left", maintain_order="left")
    return rows.with_columns(
        # A step that ended waiting discards what it did until then; what is recorded of it later is not.
        (pl.col("_said_discarded").fill_null(False) | (pl.col("pos") < pl.col("_waiting_pos")).fill_null(False)).alias(
            "discarded"
        ),
        pl.when(pl.col("tok_total") == 0).then(counted).otherwise(pl.col("tok_total")).alias("total_tokens"),
        pl.when(has_tokens).then(pl.col("tok_prompt").fill_null(0)).alias("prompt_tokens"),
        pl.when(has_tokens).then(pl.col("tok_completion").fill_null(0)).alias("completion_tokens"),
        pl.when(has_tokens).then(pl.col("tok_cache_read").fill_null(0)).alias("cache_read_tokens"),
        pl.when(has_tokens).then(pl.col("tok_cache_write").fill_null(0)).alias("cache_write_tokens"),
        pl.when(has_tokens).then(pl.col("tok_reasoning").fill_null(0)).alias("reasoning_tokens"),
    )


def events_frame(log: Log, rows: pl.DataFrame, *, payload: bool = False) -> pl.DataFrame:
    """The `events` frame from `event_rows`; `payload` adds what each carried, as JSON text."""
    columns = (*EVENTS, PAYLOAD) if payload else EVENTS
    rows = pl.concat([rows.drop("stream_id"), log.more_of_events()], how="horizontal")
    frame = rows.with_columns(
        # A recorder's events have no id of their own: their place in the log names them.
        pl.coalesce("event_id", pl.concat_str("stream_id", pl.lit(":"), "n")).alias("event_id"),
        moment("at_us").alias("at"),
        millis(pl.col("duration_us")).alias("duration_ms"),
        millis(pl.col("ttft_us")).alias("ttft_ms"),
    )
    if payload:
        texts = part_of_bodies(log, "event_recorded", "@payload").rename({"part": "payload"})
        frame = frame.join(texts, on="seq", how="left", maintain_order="left")
    schema = polars_schema(columns)
    return frame.select(pl.col(name).cast(dtype) for name, dtype in schema.items())


def walked_rows(log: Log, events: pl.DataFrame) -> pl.DataFrame:
    """One row a step execution, in the order of the fold: the columns `WALKED`, and numbers to join rows by."""
    begun = _started(log)
    if not log.is_whole:
        begun = pl.concat([begun, _stand_ins(log)], how="diagonal").sort("pos")
    ended = _at_executions(_ends(log), begun["execution"])
    frame = pl.concat([begun, ended], how="horizontal").with_columns(pl.col("status").fill_null("running"))
    kept, lost = pl.col("total_tokens").filter(~pl.col("discarded")), pl.col("total_tokens").filter("discarded")
    sums = {"total_tokens": kept.sum(), "discarded_tokens": lost.sum(), "n_events": pl.len().cast(pl.Int64)}
    if events.height:
        spent = events.group_by("execution").agg(column.alias(name) for name, column in sums.items())
        frame = pl.concat([frame, _at_executions(spent, begun["execution"])], how="horizontal")
        frame = frame.with_columns(pl.col(*sums).fill_null(0))
    else:
        frame = frame.with_columns(pl.lit(0, pl.Int64).alias(name) for name in sums)
    schema = polars_schema(STEPS)
    known = (pl.col(name).cast(dtype) for name, dtype in schema.items() if name in WALKED)
    return frame.select("pos", "number", "execution", "_start", "_end", *known)


def _at_executions(rows: pl.DataFrame, executions: pl.Series) -> pl.DataFrame:
    """For each of `executions` the row that has its number, the last of these, without that; null when none has."""
    import numpy as np

    known, wanted = rows["execution"].to_numpy(), executions.to_numpy()
    place = np.full(1 + max(known.max(initial=0), wanted.max(initial=0)), -1)
    place[known] = np.arange(rows.height)
    found = pl.Series(place[wanted])
    at = pl.select(pl.when(found >= 0).then(found)).to_series() if (found < 0).any() else found
    return rows.drop("execution").select(pl.all().gather(pl.lit(at)))


WALKED = (
    "engagement_id", "step_id", "name", "ns", "attempt", "turn", "status", "is_global", "parent_step_id", "started_at",
    "ended_at", "duration_ms", "total_tokens", "error_type", "discarded_tokens", "n_events",
)  # fmt: skip
"""Columns of steps that need no body, and no look at the other executions of a node."""


def step_rows(log: Log, walked: pl.DataFrame) -> pl.DataFrame:
    """One row a step execution, in the order of the fold: the `steps` frame's columns, `pos`, `execution`, `routes`."""
    bodies = log.bodies("step_started", having=["triggers", "tools", "routes"])
    parts = bodies.select(
        pl.col("seq").alias("_start"),
        list_of_text(bodies, "triggers").alias("triggers"),
        list_of_text(bodies, "tools").alias("tools_available"),
        path("routes").alias("routes"),
    )
    errors = log.bodies("step_ended", having=["error"]).select(
        pl.col("seq").alias("_end"), path("error").alias("error")
    )
    rows = walked.join(_visits(log), on="_start", how="left", maintain_order="left")
    for part, key in ((parts, "_start"), (errors, "_end")):
        rows = rows.join(part, on=key, how="left", maintain_order="left")
    # A step whose start was lost is the first visit that is known.
    rows = rows.with_columns(
        pl.col("visit").fill_null(1), pl.col("triggers", "tools_available").fill_null(pl.lit([], pl.List(pl.String)))
    )
    return rows.select(
        "pos", "execution", "routes", *(pl.col(name).cast(dtype) for name, dtype in polars_schema(STEPS).items())
    )


def _visits(log: Log) -> pl.DataFrame:
    """For each start of a step the number of its visit."""
    # A given one is taken as it is and moves the count up; without one, the count goes up by one.
    place = ["engagement_id", "ns", "name"]
    rows = log.of("step_started", columns=["seq", *place, "visit"])
    rows = rows.with_columns(pl.col("visit").is_null().cum_sum().over(place).alias("_uncounted"))
    if rows["visit"].null_count() == len(rows):
        return rows.select(pl.col("seq").alias("_start"), pl.col("_uncounted").alias("visit").cast(pl.Int64))
    ahead = (pl.col("visit") - pl.col("_uncounted")).fill_null(0).cum_max().over(place).clip(lower_bound=0)
    return rows.select(pl.col("seq").alias("_start"), pl.coalesce("visit", pl.col("_uncounted") + ahead).alias("visit"))


def _started(log: Log) -> pl.DataFrame:
    return log.of("step_started").select(
        "pos", "number", "engagement_id", "step_id", "execution", "name", "ns", "turn",
        pl.col("attempt").fill_null(1).replace(0, 1),
        (pl.col("kind") == "global").fill_null(False).alias("is_global"),
        pl.col("parent_id").alias("parent_step_id"),
        moment("at_us").alias("started_at"),
        pl.col("seq").alias("_start"),
    )  # fmt: skip


def _stand_ins(log: Log) -> pl.DataFrame:
    """Steps whose start was lost, told by their first other record."""
    rows = log.of("event_recorded", "extraction_recorded", "step_ended").filter(pl.col("run") == 0)
    named = pl.col("name").filter((pl.col("type") == "step_ended") & (pl.col("name") != ""))
    return (
        rows.group_by("execution", maintain_order=True)
        .agg(
            pl.col("engagement_id", "number", "step_id", "pos").first(),
            named.first().fill_null(UNKNOWN_NAME).alias("name"),
            pl.col("turn").first(),
            moment("at_us").first().alias("started_at"),
        )
        .with_columns(
            pl.lit("").alias("ns"), pl.lit(1, pl.Int64).alias("attempt"), pl.lit(False).alias("is_global")
        )
    )  # fmt: skip


def _ends(log: Log) -> pl.DataFrame:
    """The ends of steps, in order."""
    wanted = ["seq", "execution", "status", "at_us", "duration_us", "error_type"]
    return log.of("step_ended", columns=wanted).select(
        "execution",
        "status",
        moment("at_us").alias("ended_at"),
        millis(pl.col("duration_us")).alias("duration_ms"),
        "error_type",
        pl.col("seq").alias("_end"),
    )
