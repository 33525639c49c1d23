"""Steps and events as frames."""

from __future__ import annotations

import polars as pl

from ..store.reconstruct import UNKNOWN_NAME
from ._log import Log, path
from ._values import part_of_bodies
from .schema import EVENTS, PAYLOAD, STEPS, polars_schema

RUN = ["engagement_id", "step_id", "run"]
"""What tells the executions of one log apart: an id is a step's own, but a lost or doubled start must not mix two."""


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
        log.of("step_ended")
        .filter(pl.col("status") == "waiting")
        .group_by(RUN)
        .agg(pl.col("pos").max().alias("_waiting_pos"))
    )
    has_tokens = pl.col("tok_total").is_not_null()
    counted = pl.col("tok_prompt").fill_null(0) + pl.col("tok_completion").fill_null(0)
    rows = log.of("event_recorded").join(bodies, on="seq", how="left", maintain_order="left")
    rows = rows.join(waiting, on=RUN, how="left", maintain_order="left")
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


def step_rows(log: Log, events: pl.DataFrame) -> pl.DataFrame:
    """One row a step execution, in the order of the fold: the `steps` frame's columns, `pos`, `run`, `routes`."""
    started = _started(log)
    begun = pl.concat([started, _stand_ins(log)], how="diagonal").sort("pos")
    ends = _ends(log)
    kept, lost = pl.col("total_tokens").filter(~pl.col("discarded")), pl.col("total_tokens").filter("discarded")
    spent = events.group_by(RUN).agg(
        kept.sum().alias("total_tokens"), lost.sum().alias("discarded_tokens"), pl.len().alias("n_events")
    )
    frame = begun.join(ends, on=RUN, how="left", maintain_order="left")
    frame = frame.join(spent, on=RUN, how="left", maintain_order="left")
    filled = frame.with_columns(
        pl.col("status").fill_null("running"), pl.col("total_tokens", "discarded_tokens", "n_events").fill_null(0)
    )
    return filled.select(
        "pos", "run", "routes", *(pl.col(name).cast(dtype) for name, dtype in polars_schema(STEPS).items())
    )


def _started(log: Log) -> pl.DataFrame:
    bodies = log.bodies("step_started", having=["triggers", "tools", "routes"])
    parts = bodies.select(
        "seq",
        list_of_text(bodies, "triggers").alias("triggers"),
        list_of_text(bodies, "tools").alias("tools_available"),
        path("routes").alias("routes"),
    )
    # visit: a given one is taken as it is and moves the count up; without one, the count goes up by one.
    place = ["engagement_id", "ns", "name"]
    rows = log.of("step_started").with_columns(pl.col("visit").is_null().cum_sum().over(place).alias("_uncounted"))
    ahead = (pl.col("visit") - pl.col("_uncounted")).fill_null(0).cum_max().over(place).clip(lower_bound=0)
    empty = pl.lit([], pl.List(pl.String))
    return (
        rows.with_columns(pl.coalesce("visit", pl.col("_uncounted") + ahead).alias("visit"))
        .join(parts, on="seq", how="left", maintain_order="left")
        .select(
            "pos", "engagement_id", "step_id", "run", "name", "ns", "visit", "turn",
            pl.col("attempt").fill_null(1).replace(0, 1),
            (pl.col("kind") == "global").fill_null(False).alias("is_global"),
            pl.col("parent_id").alias("parent_step_id"),
            pl.col("triggers", "tools_available").fill_null(empty),
            "routes",
            moment("at_us").alias("started_at"),
        )
    )  # fmt: skip


def _stand_ins(log: Log) -> pl.DataFrame:
    """Steps whose start was lost, told by their first other record."""
    rows = log.of("event_recorded", "extraction_recorded", "step_ended").filter(pl.col("run") == 0)
    named = pl.col("name").filter((pl.col("type") == "step_ended") & (pl.col("name") != ""))
    empty = pl.lit([], pl.List(pl.String))
    return (
        rows.group_by(RUN, maintain_order=True)
        .agg(
            pl.col("pos").first(),
            named.first().fill_null(UNKNOWN_NAME).alias("name"),
            pl.col("turn").first(),
            moment("at_us").first().alias("started_at"),
        )
        .with_columns(
            pl.lit("").alias("ns"),
            pl.lit(1, pl.Int64).alias("visit"),
            pl.lit(1, pl.Int64).alias("attempt"),
            pl.lit(False).alias("is_global"),
            empty.alias("triggers"),
            empty.alias("tools_available"),
        )
    )  # fmt: skip


def _ends(log: Log) -> pl.DataFrame:
    """The last end of each step."""
    bodies = log.bodies("step_ended", having=["error"]).select("seq", path("error").alias("error"))
    rows = log.of("step_ended").unique(RUN, keep="last", maintain_order=True)
    return rows.join(bodies, on="seq", how="left", maintain_order="left").select(
        *RUN,
        "status",
        moment("at_us").alias("ended_at"),
        millis(pl.col("duration_us")).alias("duration_ms"),
        "error",
        "error_type",
    )
