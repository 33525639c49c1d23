"""Extractions and intent switches as frames."""

from __future__ import annotations

import polars as pl

from ._log import Log, path
from ._steps import moment
from ._values import entry, part_of_bodies
from .schema import EXTRACTIONS, INTENT_SWITCHES, polars_schema


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
