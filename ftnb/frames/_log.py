"""The log as polars columns, in the order in which an engagement is folded."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import polars as pl

from ..store._writer import MAX_HEADER

if TYPE_CHECKING:
    import pyarrow as pa

_COLUMNS = (
    "seq", "engagement_id", "stream_id", "n", "type", "at_us", "turn", "step_id", "parent_id", "event_id", "name",
    "ns", "visit", "attempt", "kind", "status", "duration_us", "ttft_us", "model", "tok_prompt", "tok_completion",
    "tok_total", "tok_cache_read", "tok_cache_write", "tok_reasoning", "error_type", "n_bytes",
)  # fmt: skip
_STEP_TYPES = ("step_started", "event_recorded", "extraction_recorded", "step_ended")


class LogSource(Protocol):
    """What frames need of a store (a part of `store.base.LogStore`)."""

    def scan(
        self,
        columns: Sequence[str],
        *,
        types: Sequence[str] = (),
        engagement_id: str | None = None,
        after: int = 0,
        containing: Sequence[bytes] = (),
    ) -> pa.Table: ...

    def scan_blobs(self) -> pa.Table: ...

    def blob(self, engagement_id: str, blob_id: str) -> bytes | None: ...


@dataclass(frozen=True)
class Log:
    """Every record's header, and bodies on demand.

    `records` holds the log's columns without bodies, engagement after engagement (by first seq), within one by turn,
    stream and position: the order of `store.reconstruct.fold`. It has two columns more: `pos`, the row number, and
    `run`, which start of its step id a record belongs to (0: one whose start was lost).
    """

    source: LogSource
    records: pl.DataFrame
    engagement_id: str | None = None
    """Set when the log holds this engagement only."""

    def of(self, *types: str) -> pl.DataFrame:
        """The records of these types."""
        return self.records.filter(pl.col("type").is_in(types))

    def bodies(self, *types: str, having: Sequence[str] = ()) -> pl.DataFrame:
        """`seq` and `body` (JSON text) of records of these types; `having` keeps those with any of these keys.

        The key may also be one deeper inside the body: it saves reading, it does not decide.
        """
        table = self.source.scan(
            ["seq", "body"],
            types=types,
            engagement_id=self.engagement_id,
            containing=[f'"{key}":'.encode() for key in having],
        )
        # The store may have grown since the log was read.
        frame = pl.DataFrame(table).filter(pl.col("seq") <= (self.records["seq"].max() or 0))
        return frame.with_columns(text_of(frame["body"]))


def read_log(source: LogSource, engagement_id: str | None = None) -> Log:
    """Scan the whole log, or one engagement's part of it."""
    frame = pl.DataFrame(source.scan(_COLUMNS, engagement_id=engagement_id))
    ordered = (
        frame.with_columns(
            pl.col("step_id").fill_null(""),
            pl.col("ns").fill_null(""),
            pl.col("name").fill_null(""),
            pl.col("seq").min().over("engagement_id").alias("_engagement"),
            pl.col("seq").min().over("stream_id").alias("_stream"),
        )
        .sort("_engagement", "turn", "_stream", "n")
        .drop("_engagement", "_stream")
        .with_row_index("pos")
    )  # fmt: skip
    ordered = ordered.with_columns(_runs(ordered))
    log = Log(source, ordered, engagement_id)
    return Log(source, _with_whole_names(log), engagement_id)


def _runs(ordered: pl.DataFrame) -> pl.Series:
    """Which start of its step id each record belongs to; null: a record of no step."""
    of_step = pl.col("type").is_in(_STEP_TYPES)
    is_start = pl.col("type") == "step_started"
    first = ordered.filter(of_step).select(
        (pl.struct("engagement_id", "step_id").is_first_distinct() == is_start).all().alias("is_plain")
    )
    # Nearly always a step's first record is its start, and its only one: then nothing needs to be counted.
    number = pl.lit(1, pl.UInt32) if first.item() else is_start.cum_sum().over("engagement_id", "step_id")
    return ordered.select(pl.when(of_step).then(number).alias("run"))["run"]


def _with_whole_names(log: Log) -> pl.DataFrame:
    """The records with names that did not fit their column taken from the bodies."""
    cut = (pl.col("name").str.len_chars() >= MAX_HEADER) | pl.col("name").str.contains("\\", literal=True)
    suspects = log.records.filter(cut).select("seq", "type")
    if suspects.is_empty():
        return log.records
    bodies = log.bodies(*suspects["type"].unique().sort(), having=["name"]).join(suspects, on="seq", how="semi")
    whole = bodies.select("seq", path("name").alias("_whole"))
    # A name with a lone surrogate is kept as a marker; polars text cannot hold it, so its escaped form stays.
    whole = whole.filter(pl.col("_whole").is_not_null() & ~pl.col("_whole").str.starts_with('{"$ftnb"'))
    joined = log.records.join(whole, on="seq", how="left", maintain_order="left")
    return joined.with_columns(pl.coalesce("_whole", "name").alias("name")).drop("_whole")


def path(key: str, column: str = "body") -> pl.Expr:
    """The entry `key` of a JSON object: text as it is, anything else as JSON; null when absent or not readable."""
    return pl.col(column).str.json_path_match(f"$['{key}']")


def text_of(data: pl.Series) -> pl.Series:
    """Bytes as text. A damaged file may hold bytes that are no UTF-8; they must not take the other rows with them."""
    try:
        return data.cast(pl.String)
    except pl.exceptions.ComputeError:
        texts = [None if item is None else item.decode(errors="replace") for item in data]
        return pl.Series(data.name, texts, pl.String)
