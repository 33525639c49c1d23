"""The groups of a funnel: one value an engagement, from wherever the user has it."""

from __future__ import annotations

from collections.abc import Mapping
from difflib import get_close_matches
from typing import Any

import narwhals as nw
import polars as pl

from ..core.errors import InvalidArgumentError
from ._funnel_reading import Reading, model_calls
from ._groups import attribute, metadata_keys
from ._source import _polars

MODEL = "model"
"""The name by which the models that an engagement called are asked for."""


def grouped(engagements: pl.DataFrame, by: Any, reading: Reading) -> pl.DataFrame:
    """`engagements` with the column `group`, null where nothing is known. Raises InvalidArgumentError.

    `by` names a column of the engagements, a key of their metadata, a label of annotations (the latest judgement
    counts), or `model`; or it is a dict of engagement ids, a frame of ids and values, or a column as long as the
    engagements are.
    """
    if isinstance(by, str):
        return _named(engagements, by, reading)
    if isinstance(by, Mapping):
        known = pl.DataFrame({"engagement_id": list(by), "group": list(by.values())}, strict=False)
        return _joined(engagements, known)
    if _is_series(by):
        return _aligned(engagements, by)
    try:
        frame = _polars(by)
    except InvalidArgumentError as error:
        raise InvalidArgumentError(
            "by is a metadata key, a column of the engagements, a label of annotations, 'model', a dict of engagement "
            f"ids, a frame with engagement_id and one column more, or a column; got {type(by).__name__}"
        ) from error
    values = [name for name in frame.columns if name != "engagement_id"]
    if "engagement_id" not in frame.columns or len(values) != 1:
        raise InvalidArgumentError(
            f"a frame for by has the column engagement_id and one more; got {', '.join(frame.columns) or 'none'}"
        )
    return _joined(engagements, frame.select("engagement_id", pl.col(values[0]).alias("group")))


def with_codes(engagements: pl.DataFrame) -> pl.DataFrame:
    """`engagements` with the column `code`: the place of the group in the order of the values, none last."""
    values = engagements.select(pl.col("group").unique().sort(nulls_last=True)).with_row_index("code")
    return engagements.join(values, on="group", how="left", nulls_equal=True, maintain_order="left")


def needed_columns(by: Any, reading: Reading) -> list[str]:
    """The columns of the engagements that `grouped` reads."""
    return [by] if isinstance(by, str) and by in reading.engagements.collect_schema() else []


def _named(engagements: pl.DataFrame, by: str, reading: Reading) -> pl.DataFrame:
    keys = metadata_keys(engagements)
    if (by in engagements.columns and by != "metadata") or by in keys:
        return engagements.with_columns(attribute(engagements, by, "by").alias("group"))
    labels = reading.annotations()
    names: list[str] = [] if labels is None else sorted(labels.select(pl.col("label").unique()).collect()["label"])
    if labels is not None and by in names:
        return _joined(engagements, _judgements(labels, by))
    if by == MODEL:
        events = reading.events()
        if events is None:
            raise InvalidArgumentError("by='model' needs the events; give (steps, engagements, events), or a store")
        return _joined(engagements, _models(events))
    if engagements.is_empty():
        return engagements.with_columns(pl.lit(None, pl.String).alias("group"))
    columns = [name for name in reading.engagements.collect_schema() if name != "metadata"]
    near = get_close_matches(by, [*keys, *names, MODEL, *columns], n=1, cutoff=0.5)
    raise InvalidArgumentError(
        f"nothing to split by is called {by!r}; metadata keys: {', '.join(keys) or 'none'}; annotations: "
        f"{', '.join(names) or 'none'}; columns of the engagements: {', '.join(columns)}; or 'model'"
        + (f". Did you mean {near[0]!r}?" if near else "")
    )


def _judgements(annotations: pl.LazyFrame, label: str) -> pl.DataFrame:
    found = annotations.filter(pl.col("label") == label).collect()
    found = found.sort("at", maintain_order=True).unique("engagement_id", keep="last", maintain_order=True)
    if found["text"].null_count() == found.height:
        return found.select("engagement_id", pl.col("value").alias("group"))
    return found.select("engagement_id", pl.coalesce("text", pl.col("value").cast(pl.String)).alias("group"))


def _models(events: pl.LazyFrame) -> pl.DataFrame:
    """The models that each engagement called, in order of their names, joined by ` + `."""
    calls = model_calls(events).select("engagement_id", "model").drop_nulls().unique()
    grouped = calls.group_by("engagement_id").agg(pl.col("model").sort().str.join(" + ").alias("group"))
    return grouped.collect()


def _is_series(value: Any) -> bool:
    if isinstance(value, list):
        return True
    try:
        nw.from_native(value, series_only=True)
    except TypeError:
        return False
    return True


def _aligned(engagements: pl.DataFrame, by: Any) -> pl.DataFrame:
    values = pl.Series("group", by if isinstance(by, list) else nw.from_native(by, series_only=True).to_list())
    if len(values) != engagements.height:
        raise InvalidArgumentError(
            f"by has {len(values):,} values for {engagements.height:,} engagements; give one each, in the order of "
            ".engagements(), or a dict of engagement ids"
        )
    return engagements.with_columns(values)


def _joined(engagements: pl.DataFrame, known: pl.DataFrame) -> pl.DataFrame:
    known = known.with_columns(pl.col("engagement_id").cast(pl.String))
    if known["engagement_id"].is_duplicated().any():
        raise InvalidArgumentError("by has several values for one engagement; give one each")
    return engagements.join(known, on="engagement_id", how="left", maintain_order="left")
