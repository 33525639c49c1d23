"""The log as polars columns, in the order in which an engagement is folded."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Protocol

import polars as pl

from ..store._writer import MAX_HEADER

if TYPE_CHECKING:
    import pyarrow as pa

_COLUMNS = (
    "seq", "engagement_id", "stream_id", "n", "type", "at_us", "turn", "step_id", "parent_id", "name", "ns", "visit",
    "attempt", "kind", "status", "duration_us", "error_type",
)  # fmt: skip
_OF_EVENTS = (
    "seq", "event_id", "ttft_us", "model", "tok_prompt", "tok_completion", "tok_total", "tok_cache_read",
    "tok_cache_write", "tok_reasoning", "n_bytes",
)  # fmt: skip
"""Columns that no other record has anything in."""
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
    """Every record's header, and on demand bodies, and what only events have.

    `records` holds the columns that all records share, engagement after engagement (by first seq), within one by turn,
    stream and position: the order of `store.reconstruct.fold`. It has columns more: `pos`, the row number; `number`,
    that of the engagement; `run`, which start of its step id a record belongs to (0: one whose start was lost), and
    `execution`, a number for the step id and the run.
    """

    source: LogSource
    records: pl.DataFrame
    engagement_id: str | None = None
    """Set when the log holds this engagement only."""

    def of(self, *types: str, columns: Sequence[str] = ()) -> pl.DataFrame:
        """The records of these types; `columns` are those that are wanted, all when empty."""
        wanted = self.records.lazy().filter(pl.col("type").is_in(types))
        return (wanted.select(columns) if columns else wanted).collect()

    def events(self) -> pl.DataFrame:
        """The records of events, with the columns that only they have."""
        # Without any, one engagement's part of the log, which is small, tells the columns and their types.
        which = self.engagement_id if "event_recorded" in self.types else ""
        table = self.source.scan(_OF_EVENTS, types=("event_recorded",), engagement_id=which)
        return self.of("event_recorded").join(pl.DataFrame(table), on="seq", how="left", maintain_order="left")

    @cached_property
    def types(self) -> frozenset[str]:
        """The types of records that there are."""
        return frozenset(self.records["type"].unique())

    def bodies(self, *types: str, having: Sequence[str] = ()) -> pl.DataFrame:
        """`seq` and `body` (JSON text) of records of these types; `having` keeps those with any of these keys.

        The key may also be one deeper inside the body: it saves reading, it does not decide.
        """
        if not self.types.intersection(types):
            return pl.DataFrame(schema={"seq": pl.Int64, "body": pl.String})
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
    table = source.scan(_COLUMNS, engagement_id=engagement_id)
    frame = pl.DataFrame(table).with_columns(pl.col("step_id", "ns", "name").fill_null(""))
    # In order of their first records, which is what engagements and streams are sorted by; and numbers are quicker.
    frame = frame.with_columns(_numbers(table[name], f"_{name}") for name in ("engagement_id", "stream_id", "step_id"))
    order = ["_engagement_id", "turn", "_stream_id", "n"]
    ordered = frame if _is_sorted(frame, order) else frame.sort(order)
    ordered = ordered.with_row_index("pos")
    ordered = ordered.with_columns(*_runs(ordered), pl.col("_engagement_id").set_sorted().alias("number"))
    ordered = ordered.drop("_engagement_id", "_stream_id", "_step_id")
    log = Log(source, ordered, engagement_id)
    return Log(source, _with_whole_names(log), engagement_id)


def _numbers(ids: Any, name: str) -> pl.Series:
    """Each id of an Arrow column as a number, from 0 in the order in which they first come; a null is an empty text."""
    encoded = ids.fill_null("").dictionary_encode().combine_chunks()
    return pl.Series(name, encoded.indices, pl.Int32)


def _is_sorted(frame: pl.DataFrame, by: Sequence[str]) -> bool:
    rises = pl.lit(True)
    for name in reversed(by):
        here, before = pl.col(name), pl.col(name).shift(1)
        rises = (here > before) | ((here == before) & rises)
    return bool(frame.select(rises.fill_null(True).all()).item())


def _runs(ordered: pl.DataFrame) -> list[pl.Series]:
    """Which start of its step id each record belongs to; null: a record of no step. `execution`: a number for it."""
    of_step = pl.col("type").is_in(_STEP_TYPES)
    is_start = pl.col("type") == "step_started"
    step = pl.col("_engagement_id").cast(pl.UInt64) * 2**32 + pl.col("_step_id")
    steps = ordered.select("type", step.alias("step"))
    first = steps.filter(of_step).select((pl.col("step").is_first_distinct() == is_start).all().alias("is_plain"))
    # Nearly always a step's first record is its start, and its only one: then nothing needs to be counted.
    if first.item():
        number, execution = pl.lit(1, pl.UInt32), pl.col("step")
    else:
        number = is_start.cum_sum().over("step")
        execution = pl.struct("step", number).rank("dense").cast(pl.UInt64)
    return steps.select(
        pl.when(of_step).then(number).alias("run"), pl.when(of_step).then(execution).alias("execution")
    ).get_columns()


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
