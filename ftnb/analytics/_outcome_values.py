"""What is known of how engagements went, and which of it is a success."""

from __future__ import annotations

from collections.abc import Collection
from difflib import get_close_matches
from typing import Any

import polars as pl

from ..core.errors import InvalidArgumentError
from ._funnel_reading import reading_of
from ._groups import attribute, metadata_keys
from ._visits import OPEN


def values_of(source: Any, engagements: pl.DataFrame, outcome: str) -> pl.Series:
    """The outcome of each engagement; null where there is none. Raises InvalidArgumentError for an unknown name.

    A label of annotations comes first: what somebody judged says more than what the program was told.
    """
    table = reading_of(source).annotations()
    labels: list[str] = []
    if table is not None:
        annotations = table.collect()
        labels = sorted(annotations["label"].unique())
        if outcome in labels:
            return _judged(annotations.filter(pl.col("label") == outcome), engagements)
    keys = metadata_keys(engagements)
    columns = [name for name in engagements.columns if name not in ("eng", "metadata")]
    if outcome in keys or outcome in columns or engagements.is_empty():
        return attribute(engagements, outcome, "outcome")
    near = get_close_matches(outcome, [*labels, *keys, *columns], n=1, cutoff=0.5)
    raise InvalidArgumentError(
        f"no outcome {outcome!r}; annotations: {', '.join(labels) or 'none'}; metadata keys: "
        f"{', '.join(keys) or 'none'}; columns: {', '.join(columns)}" + (f". Did you mean {near[0]!r}?" if near else "")
    )


def _judged(rows: pl.DataFrame, engagements: pl.DataFrame) -> pl.Series:
    # The engagement as a whole comes before its steps, and the latest word counts.
    order = rows.with_columns(pl.col("step_id").is_null().alias("whole")).sort("whole", "at", maintain_order=True)
    last = order.unique("engagement_id", keep="last", maintain_order=True)
    is_number = last["text"].null_count() == last.height
    value = pl.col("value") if is_number else pl.coalesce("text", pl.col("value").cast(pl.String))
    known = last.select("engagement_id", value.alias("outcome"))
    ids = engagements.select("engagement_id")
    return ids.join(known, on="engagement_id", how="left", maintain_order="left")["outcome"]


def successes(values: pl.Series, outcome: str, success: Any, engagements: pl.DataFrame) -> pl.Series:
    """Which of these values are successes; null stays null. Raises InvalidArgumentError where that must be said."""
    if outcome == "status" and success is None:
        done = values == "completed"
        going = values.is_in(OPEN)
        return pl.select(pl.when(~going).then(done)).to_series().alias("success")
    kind = values.dtype
    if callable(success):
        return pl.Series("success", [None if value is None else bool(success(value)) for value in values], pl.Boolean)
    if success is None:
        return _plain(values, outcome)
    if isinstance(success, Collection) and not isinstance(success, str):
        return _among(values, list(success))
    if isinstance(success, int | float) and not isinstance(success, bool) and kind.is_numeric():
        # A number that is no number is no outcome.
        number = values.cast(pl.Float64).fill_nan(None)
        return (number >= float(success)).alias("success")
    return _among(values, [success])


def _plain(values: pl.Series, outcome: str) -> pl.Series:
    if values.dtype == pl.Boolean or values.null_count() == len(values):
        return values.cast(pl.Boolean, strict=False).alias("success")
    if values.dtype.is_numeric():
        number = values.cast(pl.Float64).fill_nan(None)
        if number.drop_nulls().is_in([0.0, 1.0]).all():
            return (number == 1.0).alias("success")
        low, high = float(number.min()), float(number.max())  # type: ignore[arg-type]
        raise InvalidArgumentError(
            f"{outcome!r} runs from {low:g} to {high:g}: say what is a success, as success=4 (that much or more)"
        )
    seen = values.drop_nulls().cast(pl.String).unique().sort().head(10)
    raise InvalidArgumentError(
        f"{outcome!r} has the values {', '.join(repr(value) for value in seen)}: say which are successes, as "
        f"success={seen[0]!r} or success=[…]"
    )


def _among(values: pl.Series, wanted: list[Any]) -> pl.Series:
    there = values.drop_nulls().unique().to_list()
    if there and not any(value in there for value in wanted):
        shown = ", ".join(repr(value) for value in sorted(map(str, there))[:10])
        raise InvalidArgumentError(
            f"success={wanted[0] if len(wanted) == 1 else wanted!r} is no value of it; values: {shown}"
        )
    return pl.Series("success", [None if value is None else value in wanted for value in values], pl.Boolean)
