"""Engagements as a frame, agreeing with `store.reconstruct.fold` without folding any."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import orjson
import polars as pl

from ..core.canonical import MARK, dumps, encode_json, from_json, loads
from ..core.errors import InvalidArgumentError
from ..store.reconstruct import UNKNOWN_NAME
from ._log import Log, path
from ._steps import millis, moment
from ._values import part_of
from .schema import BRANCH_KEY, BRANCHES, ENGAGEMENTS, polars_schema

_LAST_WORD = ("step_started", "engagement_status_changed", "engagement_ended")
"""Records that say where an engagement stands; a step that starts reopens what had ended."""


def engagements_frame(log: Log, steps: pl.DataFrame, events: pl.DataFrame, *, meta: Sequence[str] = ()) -> pl.DataFrame:
    """The `engagements` frame from `walked_rows` and `event_rows`; `meta` adds these metadata keys as typed columns."""
    frame = log.engagements.with_columns(pl.int_range(pl.len()).alias("number"))
    for part in (_headers(log), _standing(log), _waits(log), _totals(steps, events)):
        frame = frame.join(part, on="number", how="left", maintain_order="left")
    if frame["started_us"].null_count():
        # An engagement whose start was lost began, as far as is known, with its first record.
        began = frame.select("number").join(log.began(), on="number", how="left", maintain_order="left")
        frame = frame.with_columns(pl.coalesce("started_us", began["at_us"]).alias("started_us"))
    frame = frame.with_columns(
        pl.col("name").fill_null(UNKNOWN_NAME),
        pl.col("status").fill_null("active"),
        pl.col("wait_ms").fill_null(0.0),
        pl.col("n_steps", "n_errors", "total_tokens").fill_null(0),
        pl.col("metadata").fill_null("{}"),
    )
    frame = frame.with_columns(branch_of(pl.col("metadata")).alias("branch"))
    # A clock that was set back must not give a negative duration.
    lasted = millis((pl.col("ended_us") - pl.col("started_us")).clip(lower_bound=0))
    frame = frame.with_columns(
        moment("started_us").alias("started_at"), moment("ended_us").alias("ended_at"), lasted.alias("duration_ms")
    )
    plain = frame.select(pl.col(name).cast(dtype) for name, dtype in polars_schema(ENGAGEMENTS).items())
    return with_metadata(plain, meta)


def branch_of(metadata: pl.Expr) -> pl.Expr:
    """replay or fork where `metadata` (JSON text) says that debugging made the engagement, else null."""
    # Few engagements have the word; only their metadata is parsed.
    said = pl.when(metadata.str.contains(f'"{BRANCH_KEY}"', literal=True)).then(metadata)
    kind = said.str.json_path_match(f"$.{BRANCH_KEY}")
    return pl.when(kind.is_in(BRANCHES)).then(kind)


def with_metadata(engagements: pl.DataFrame, keys: Sequence[str]) -> pl.DataFrame:
    """`engagements` with one column a metadata key: int, float, bool or text as the values are; mixed become JSON text.

    A key that an engagement does not have is null. A key that is also the name of a column gives `metadata.<key>`.
    Raises InvalidArgumentError when `keys` is no list of texts.
    """
    if isinstance(keys, str) or not all(isinstance(key, str) for key in keys):
        raise InvalidArgumentError(f"meta is a list of metadata keys, as meta=['user_id']; got {keys!r}")
    if not keys:
        return engagements
    objects = [orjson.loads(text) for text in engagements["metadata"]]
    # Metadata with keys that are no text is kept as a marker.
    objects = [from_json(found) if MARK in found else found for found in objects]
    taken = set(engagements.columns)
    names = {key: f"metadata.{key}" if key in taken else key for key in keys}
    return engagements.with_columns(_typed(name, [found.get(key) for found in objects]) for key, name in names.items())


def _typed(key: str, values: list[Any]) -> pl.Series:
    kinds = {type(value) for value in values if value is not None}
    if kinds == {int, float}:
        kinds = {float}
    if len(kinds) == 1 and (kind := kinds.pop()) in (int, float, bool, str):
        dtypes: dict[type, Any] = {int: pl.Int64, float: pl.Float64, bool: pl.Boolean, str: pl.String}
        fits = kind is not int or all(value is None or -(1 << 63) <= value < 1 << 63 for value in values)
        if fits:
            return pl.Series(key, [None if value is None else kind(value) for value in values], dtypes[kind])
    texts = [value if value is None or isinstance(value, str) else encode_json(value).decode() for value in values]
    return pl.Series(key, texts, pl.String)


def _headers(log: Log) -> pl.DataFrame:
    """Name, start, parent and metadata: what the last start said, and labels after it."""
    wanted = ["seq", "pos", "number", "type", "name", "at_us", "parent_id"]
    rows = log.of("engagement_started", "engagement_labelled", columns=wanted)
    is_start = pl.col("type") == "engagement_started"
    names = _last(rows.filter(is_start | (pl.col("name") != ""))).select("number", "name")
    starts = _last(rows.filter(is_start))
    frame = _last(rows).select("number")
    for part in (
        names,
        starts.select("number", "parent_id", pl.col("at_us").alias("started_us")),
        _metadata(log, rows, starts.select("number", pl.col("pos").alias("_start"))),
    ):
        frame = frame.join(part, on="number", how="left", maintain_order="left")
    return frame


def _last(rows: pl.DataFrame) -> pl.DataFrame:
    """The last of these records of each engagement."""
    return rows.filter((pl.col("number") != pl.col("number").shift(-1)).fill_null(True))


def _metadata(log: Log, rows: pl.DataFrame, starts: pl.DataFrame) -> pl.DataFrame:
    parts = part_of(log, log.headers.join(rows.select("seq"), on="seq", how="semi"), "metadata")
    texts = rows.join(starts, on="number", how="left", maintain_order="left")
    texts = texts.filter((pl.col("pos") >= pl.col("_start")).fill_null(True))
    texts = texts.join(parts, on="seq", how="inner", maintain_order="left").rename({"part": "metadata"})
    grouped = texts.filter(pl.col("metadata") != "{}").group_by("number", maintain_order=True)
    merged = grouped.agg(pl.col("metadata"))
    single = pl.col("metadata").list.len() == 1
    once = merged.filter(single).with_columns(pl.col("metadata").list.first())
    # Only engagements that were labelled with metadata after their start need a merge.
    often = merged.filter(~single)
    both = [_merge(parts) for parts in often["metadata"]]
    return pl.concat([once, often.select("number", pl.Series("metadata", both, pl.String))])


def _merge(parts: pl.Series) -> str:
    merged: dict[Any, Any] = {}
    for text in parts:
        merged.update(loads(text))
    return dumps(merged).decode()


def _standing(log: Log) -> pl.DataFrame:
    """Status, end and drop-off: the last word of each engagement."""
    errors = log.headers.select("seq", path("error").alias("error"))
    wanted = ["seq", "pos", "number", "type", "name", "status", "at_us"]
    said = log.of("engagement_status_changed", "engagement_ended", columns=wanted)
    begun = _last(log.tables["step_started"]).select(
        "seq", "pos", "number", pl.lit("step_started").alias("type"), "at_us"
    )
    last = _last(pl.concat([said, begun], how="diagonal").sort("pos"))
    ended = pl.col("type") == "engagement_ended"
    dropped = pl.when(ended & (pl.col("name") != "")).then("name")
    return last.join(errors, on="seq", how="left", maintain_order="left").select(
        "number",
        pl.when(pl.col("type") == "step_started").then(pl.lit("active")).otherwise("status").alias("status"),
        pl.when(ended).then("at_us").alias("ended_us"),
        dropped.alias("dropped_at"),
        "error",
    )


def _waits(log: Log) -> pl.DataFrame:
    """Time from each pause to the next record with which the engagement goes on."""
    pauses = log.of("engagement_status_changed", columns=["number", "status"]).filter(pl.col("status") == "paused")
    if pauses.is_empty():
        return pl.DataFrame(schema={"number": pl.Int64, "wait_ms": pl.Float64})
    columns = ["number", "type", "status", "at_us"]
    rows = log.of(*_LAST_WORD, columns=columns).filter(pl.col("number").is_in(pauses["number"].unique().implode()))
    goes_on = pl.when(pl.col("number") == pl.col("number").shift(-1)).then(pl.col("at_us").shift(-1))
    paused = (pl.col("type") == "engagement_status_changed") & (pl.col("status") == "paused")
    waited = (goes_on - pl.col("at_us")).clip(lower_bound=0)
    total = rows.with_columns(waited.alias("_waited")).filter(paused).group_by("number").agg(pl.col("_waited").sum())
    return total.select("number", millis(pl.col("_waited")).alias("wait_ms"))


def _totals(steps: pl.DataFrame, events: pl.DataFrame) -> pl.DataFrame:
    """Counts over steps; an exception that failed a step and is one of its events counts once."""
    wrong = (pl.col("kind") == "error") | pl.col("error").is_not_null() | pl.col("error_type").is_not_null()
    errors = events.filter(wrong).group_by("execution").agg(pl.len().cast(pl.Int64).alias("_n_errors"))
    rows = steps.select("number", "execution", "status", "total_tokens")
    rows = rows.join(errors, on="execution", how="left", maintain_order="left")
    failed = pl.when(pl.col("status") == "failed").then(1).otherwise(0)
    return rows.group_by("number").agg(
        pl.len().cast(pl.Int64).alias("n_steps"),
        pl.col("total_tokens").sum(),
        pl.coalesce("_n_errors", failed).sum().alias("n_errors"),
    )
