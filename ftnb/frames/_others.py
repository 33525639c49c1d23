"""Extractions, intent switches and annotations as frames."""

from __future__ import annotations

import polars as pl

from ._log import Log, path
from ._steps import moment
from ._values import entry, part_of_bodies
from .schema import ANNOTATIONS, EXTRACTIONS, INTENT_SWITCHES, polars_schema


def extractions_frame(log: Log) -> pl.DataFrame:
    """The `extractions` frame."""
    parts = part_of_bodies(log, "extraction_recorded", "@extraction")
    rows = log.of("extraction_recorded").join(parts, on="seq", how="left", maintain_order="left")
    frame = rows.with_columns(
        pl.col("name").alias("schema_name"),
        moment("at_us").alias("at"),
        entry(pl.col("part"), "values").fill_null("{}").alias("values"),
        entry(pl.col("part"), "confidence").cast(pl.Float64, strict=False).alias("confidence"),
        (path("valid", "part") != "false").fill_null(True).alias("valid"),
    )
    return frame.select(pl.col(name).cast(dtype) for name, dtype in polars_schema(EXTRACTIONS).items())


def intent_switches_frame(log: Log) -> pl.DataFrame:
    """The `intent_switches` frame."""
    bodies = log.bodies("intent_switched").select(
        "seq", path("reason").alias("reason"), path("from").alias("from_step")
    )
    frame = log.of("intent_switched").join(bodies, on="seq", how="left", maintain_order="left")
    frame = frame.with_columns(
        pl.col("name").alias("to_step"), moment("at_us").alias("at"), pl.col("reason").fill_null("")
    )
    return frame.select(pl.col(name).cast(dtype) for name, dtype in polars_schema(INTENT_SWITCHES).items())


def annotations_frame(log: Log) -> pl.DataFrame:
    """The `annotations` frame."""
    bodies = log.bodies("annotation_recorded").with_columns(entry(pl.col("body"), "value").alias("_value"))
    bodies = bodies.select(
        "seq", "_value", path("by").alias("by"), path("note").alias("note"), path("value").alias("text")
    )
    frame = log.of("annotation_recorded").join(bodies, on="seq", how="left", maintain_order="left")
    is_text = pl.col("_value").str.contains('^["{]')
    yes_or_no = pl.when(pl.col("_value") == "true").then(1.0).when(pl.col("_value") == "false").then(0.0)
    frame = frame.with_columns(
        pl.col("name").alias("label"),
        pl.when(pl.col("step_id") != "").then("step_id").alias("step_id"),
        yes_or_no.otherwise(pl.col("_value").cast(pl.Float64, strict=False)).alias("value"),
        pl.when(is_text).then("text").alias("text"),
        moment("at_us").alias("at"),
    )
    return frame.select(pl.col(name).cast(dtype) for name, dtype in polars_schema(ANNOTATIONS).items())
