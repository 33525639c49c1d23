"""The log as polars columns, in the order in which an engagement is folded."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Protocol

import polars as pl

from ..store._writer import MAX_HEADER
from ._order import ordered, with_executions

if TYPE_CHECKING:
    import pyarrow as pa

_SHARED = ("seq", "engagement_id", "stream_id", "n", "turn", "at_us")
_STARTS = (*_SHARED, "step_id", "parent_id", "name", "ns", "visit", "attempt", "kind")
_ENDS = (*_SHARED, "step_id", "name", "status", "duration_us", "error_type")
_EVENTS = (*_SHARED, "step_id", "kind", "error_type", "tok_prompt", "tok_completion", "tok_total", "tok_cache_read",
           "tok_cache_write", "tok_reasoning")  # fmt: skip
_OTHERS = (*_SHARED, "type", "step_id", "parent_id", "name", "kind", "status")
_OF_EVENTS = ("seq", "event_id", "name", "duration_us", "ttft_us", "model", "n_bytes")
"""What else there is of events; not every question needs it."""
_TYPES = {"step_started": _STARTS, "step_ended": _ENDS, "event_recorded": _EVENTS}
_OTHER_TYPES = (
    "extraction_recorded", "engagement_started", "engagement_labelled", "engagement_status_changed", "engagement_ended",
    "intent_switched", "annotation_recorded", "content_masked", "gap",
)  # fmt: skip
_TEXTS = ("step_id", "ns", "name")
"""Columns of text in which a null says the same as an empty text."""


class LogSource(Protocol):
    """What frames need of a store (a part of `store.base.LogStore`).

    One that also has `scan_parts` (see `SQLiteStore`) is asked for what each type of record has.
    """

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
    """Every record's header, and on demand bodies, and what only some frames need of events.

    `tables` holds a frame for each type of record that has columns of its own, `extraction_recorded`, and "" for all
    others (with a column `type`), engagement after engagement (by first seq), within one by turn, stream and position:
    the order of `store.reconstruct.fold`. They have columns more: `pos`, the place among all records; `number`, that of
    the engagement; those of steps have `run`, which start of its step id a record belongs to (0: one whose start was
    lost), and `execution`, a number for the step id and the run, from 0. Ids of engagements and streams are in `ids`,
    by `number` and by the key in `stream_id`.
    """

    source: LogSource
    tables: dict[str, pl.DataFrame]
    engagements: pl.DataFrame
    """`engagement_id` and `n_turns`, by `number`."""
    streams: pl.Series
    is_whole: bool
    """Whether every step has one start, and nothing of it came before."""
    last: int
    """The highest seq."""
    engagement_id: str | None = None
    """Set when the log holds this engagement only."""

    def of(self, *types: str, columns: Sequence[str] = ()) -> pl.DataFrame:
        """The records of these types, in order; `columns` are those that are wanted, all when empty."""
        places = dict.fromkeys(name if name in self.tables else "" for name in types)
        found = []
        for place in places:
            table = self.tables[place]
            if place == "":
                table = table.filter(pl.col("type").is_in(types))
            elif not columns or "type" in columns:
                table = table.with_columns(pl.lit(place).alias("type"))
            if not columns or "engagement_id" in columns:
                table = self.with_ids(table)
            found.append(table)
        if len(found) > 1:
            found = [pl.concat(found, how="diagonal").sort("pos")]
        return found[0].select(columns) if columns else found[0]

    def with_ids(self, rows: pl.DataFrame) -> pl.DataFrame:
        """`rows` with the ids of their engagements."""
        return rows.with_columns(self.engagements["engagement_id"].gather(rows["number"]))

    def more_of_events(self) -> pl.DataFrame:
        """What is not in the table of events, row by row: their streams' ids, and `_OF_EVENTS` but for `seq`."""
        # Without any, one engagement's part of the log, which is small, tells the columns and their types.
        which = self.engagement_id if "event_recorded" in self.types else ""
        scanned = pl.DataFrame(self.source.scan(_OF_EVENTS, types=("event_recorded",), engagement_id=which))
        rows = self.tables["event_recorded"]
        more = rows.select("seq").join(scanned, on="seq", how="left", maintain_order="left")
        named = _whole_named(self, "event_recorded", more.with_columns(pl.col("name").fill_null("")))
        return named.drop("seq").with_columns(self.streams.gather(rows["stream_id"]).alias("stream_id"))

    @cached_property
    def types(self) -> frozenset[str]:
        """The types of records that there are."""
        named = frozenset(name for name, table in self.tables.items() if name and table.height)
        return named | frozenset(self.tables[""]["type"].unique())

    def began(self) -> pl.DataFrame:
        """`number` and `at_us`: the earliest time in each engagement."""
        times = pl.concat(table.select("number", "at_us") for table in self.tables.values())
        return times.group_by("number").agg(pl.col("at_us").min())

    def bodies(self, *types: str, having: Sequence[str] = ()) -> pl.DataFrame:
        """`seq` and `body` (JSON text) of records of these types; `having` keeps those with any of these keys.

        The key may also be one deeper inside the body: it saves reading, it does not decide.
        """
        wanted = [name for name in types if name in self.types]
        if not wanted:
            return pl.DataFrame(schema={"seq": pl.Int64, "body": pl.String})
        table = self.source.scan(
            ["seq", "body"],
            types=wanted,
            engagement_id=self.engagement_id,
            containing=[f'"{key}":'.encode() for key in having],
        )
        # The store may have grown since the log was read.
        frame = pl.DataFrame(table).filter(pl.col("seq") <= self.last)
        return frame.with_columns(text_of(frame["body"]))

    @cached_property
    def headers(self) -> pl.DataFrame:
        """The bodies of records on engagements that say anything of metadata or an error, read once for both."""
        kinds = ("engagement_started", "engagement_labelled", "engagement_ended")
        return self.bodies(*kinds, having=["metadata", "error"])


def read_log(source: LogSource, engagement_id: str | None = None) -> Log:
    """Scan the whole log, or one engagement's part of it."""
    parted = getattr(source, "scan_parts", None)
    told = _in_one(source, engagement_id) if parted is None or engagement_id is not None else _in_parts(parted)
    tables, ids, streams = told
    names = [*tables, "extraction_recorded"]
    tables["extraction_recorded"] = tables[""].filter(pl.col("type") == "extraction_recorded")
    tables[""] = tables[""].filter(pl.col("type") != "extraction_recorded")
    order = ordered([tables[name] for name in names])
    tables = dict(zip(names, order.tables, strict=True))
    engagements = pl.DataFrame({"engagement_id": ids.gather(order.engagements), "n_turns": order.n_turns})
    of_steps = ["step_started", "step_ended", "event_recorded", "extraction_recorded"]
    executed, is_whole = with_executions(tables[of_steps[0]], [tables[name] for name in of_steps[1:]])
    tables |= zip(of_steps, executed, strict=True)
    last = max((int(table["seq"].max() or 0) for table in tables.values()), default=0)  # type: ignore[arg-type]
    log = Log(source, tables, engagements, streams, is_whole, last, engagement_id)
    for name, table in tables.items():
        if "name" in table.columns:
            tables[name] = _whole_named(log, name, table)
    return log


_Told = tuple[dict[str, pl.DataFrame], pl.Series, pl.Series]
"""Tables with keys for ids; the ids of engagements and of streams, by key."""


def _in_parts(scan_parts: Any) -> _Told:
    """Of each type of record the columns that it has."""
    wanted = [*((columns, (name,)) for name, columns in _TYPES.items()), (_OTHERS, _OTHER_TYPES)]
    parts = scan_parts(wanted)
    frames = [_texts_filled(frame) for frame in parts.frames]
    return dict(zip([*_TYPES, ""], frames, strict=True)), parts.ids["engagement_id"], parts.ids["stream_id"]


def _in_one(source: LogSource, engagement_id: str | None) -> _Told:
    """All columns of all records, for stores that have no better way, and for little."""
    columns = dict.fromkeys([*_OTHERS, *(name for columns in _TYPES.values() for name in columns)])
    whole = _texts_filled(pl.DataFrame(source.scan(list(columns), engagement_id=engagement_id)))
    ids = {name: whole[name].unique(maintain_order=True) for name in ("engagement_id", "stream_id")}
    whole = whole.with_columns(
        whole[name].cast(pl.Enum(known)).to_physical().cast(pl.Int64) for name, known in ids.items()
    )
    tables = {name: whole.filter(pl.col("type") == name).select(columns) for name, columns in _TYPES.items()}
    tables[""] = whole.filter(~pl.col("type").is_in(list(_TYPES))).select(_OTHERS)
    return tables, ids["engagement_id"], ids["stream_id"]


def _texts_filled(frame: pl.DataFrame) -> pl.DataFrame:
    return frame.with_columns(pl.col(name).fill_null("") for name in _TEXTS if name in frame.columns)


def _whole_named(log: Log, record_type: str, rows: pl.DataFrame) -> pl.DataFrame:
    """`rows` with names that did not fit their column taken from the bodies."""
    long = (pl.col("name").str.len_bytes() >= MAX_HEADER) & (pl.col("name").str.len_chars() >= MAX_HEADER)
    suspects = rows.filter(long | pl.col("name").str.contains("\\", literal=True))
    if suspects.is_empty():
        return rows
    types = [record_type] if record_type else suspects["type"].unique().sort().to_list()
    bodies = log.bodies(*types, having=["name"]).join(suspects.select("seq"), on="seq", how="semi")
    whole = bodies.select("seq", path("name").alias("_whole"))
    # A name with a lone surrogate is kept as a marker; polars text cannot hold it, so its escaped form stays.
    whole = whole.filter(pl.col("_whole").is_not_null() & ~pl.col("_whole").str.starts_with('{"$ftnb"'))
    joined = rows.join(whole, on="seq", how="left", maintain_order="left")
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
