"""Tables of published rows: put in order, merged, and folded to summaries."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import polars as pl
import pyarrow as pa
import pyarrow.compute

from ._parquet_file import STREAMS
from ._summary import HEADER_TYPES, Summary

pc: Any = pyarrow.compute  # its stubs know neither bytes patterns nor chunked tables

SUMMARISED = ("seq", "engagement_id", "type", "status", "at_us", "name", "turn", "step_id", "tok_total", "body")
"""Columns of the log that summaries are made of."""


def by_seq(table: pa.Table) -> pa.Table:
    """In order of seq."""
    return table.take(pc.sort_indices(table["seq"]))


def any_of(bodies: Any, parts: Sequence[bytes]) -> Any:
    """A mask of the bodies that contain any of these byte strings."""
    mask: Any = None
    for part in parts:
        found = pc.fill_null(pc.match_substring(bodies, part), False)
        mask = found if mask is None else pc.or_(mask, found)
    return mask


def merged(table: str, data: pa.Table) -> pa.Table:
    """Rows of several segments as those of one: of a stream, only where it stood last."""
    if table != STREAMS:
        return data
    order: Any = pc.sort_indices(data["size"], sort_keys=[("size", "descending")])
    data = data.take(order)
    seen, first = set(), list[int]()
    for place, stream in enumerate(data["stream_id"].to_pylist()):
        if stream not in seen:
            seen.add(stream)
            first.append(place)
    return data.take(pa.array(first, pa.int64()))


def summaries_of(parts: Sequence[pa.Table]) -> list[Summary]:
    """The summary of each engagement of which rows are given; columns are `SUMMARISED`."""
    rows = pl.concat([pl.DataFrame(part) for part in parts])
    building = {key: Summary(key) for key in rows["engagement_id"].unique().to_list()}
    headers = rows.filter(pl.col("type").is_in([*HEADER_TYPES, "step_started"])).sort("turn", "seq")
    for engagement_id, *header in headers.select("engagement_id", *SUMMARISED[2:7], "body").iter_rows():
        building[engagement_id].take(*header)
    waiting = rows.filter((pl.col("type") == "step_ended") & (pl.col("status") == "waiting"))
    counted = rows.join(waiting, on=["engagement_id", "step_id"], how="anti")
    spent = dict(counted.group_by("engagement_id").agg(pl.col("tok_total").sum()).iter_rows())
    first = rows.group_by("engagement_id").agg(pl.col("at_us").min())
    for engagement_id, first_us in first.iter_rows():
        building[engagement_id].tokens, building[engagement_id].first_us = spent.get(engagement_id, 0), first_us
    return list(building.values())
