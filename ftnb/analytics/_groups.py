"""Groups of engagements, by a column of theirs or by a key of their metadata."""

from __future__ import annotations

from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any

import orjson
import polars as pl

from ..core.errors import InvalidArgumentError
from ..frames._engagements import with_metadata


@dataclass(frozen=True)
class Groups:
    """The values of `by`, and which engagement has which."""

    by: str | None
    values: list[Any]
    """Sorted, None (engagements without the key) last; `[None]` when `by` is None: all are one group."""
    of: pl.Series
    """For each engagement the place of its value in `values`."""
    sizes: list[int]
    """Engagements in each group."""

    def column(self, codes: pl.Series) -> pl.Series:
        """Codes of groups as the values that they stand for, named `group`."""
        values = self.values
        return pl.Series("group", values, _dtype(values)).gather(codes.cast(pl.Int64))


def groups_of(engagements: pl.DataFrame, by: str | None) -> Groups:
    """Groups by a column of `engagements`, else by a metadata key. Raises InvalidArgumentError for an unknown one."""
    if by is None:
        codes = pl.repeat(0, engagements.height, dtype=pl.UInt32, eager=True).alias("group")
        return Groups(None, [None], codes, [engagements.height])
    column = attribute(engagements, by, "by")
    if column.dtype.is_nested():
        raise InvalidArgumentError(f"by={by!r} is a column of lists or structs; group by a column of plain values")
    counts = column.value_counts().sort(column.name, nulls_last=True)
    values, sizes = counts[column.name].to_list(), counts["count"].to_list()
    numbered = pl.DataFrame({column.name: counts[column.name]}).with_row_index("group")
    coded = column.to_frame().join(numbered, on=column.name, how="left", nulls_equal=True, maintain_order="left")
    return Groups(by, values, coded["group"], sizes)


def attribute(engagements: pl.DataFrame, name: str, argument: str) -> pl.Series:
    """A column of `engagements` or a key of their metadata, one value an engagement; None where it is not there.

    Raises InvalidArgumentError when neither exists. Of an empty source any name is accepted.
    """
    if not isinstance(name, str):
        raise InvalidArgumentError(f"{argument} is a metadata key or a column of the engagements; got {name!r}")
    if name in engagements.columns and name != "metadata":
        return engagements[name]
    if "metadata" in engagements.columns:
        found = with_metadata(engagements.select("metadata"), [name]).to_series(1)
        if found.null_count() < found.len() or engagements.is_empty():
            return found.alias(name)
    keys = metadata_keys(engagements)
    if name in keys:
        return pl.Series(name, [None] * engagements.height, pl.String)
    columns = [column for column in engagements.columns if column != "metadata"]
    near = get_close_matches(name, [*keys, *columns], n=1, cutoff=0.5)
    raise InvalidArgumentError(
        f"no metadata key and no column {name!r} for {argument}; keys: {', '.join(keys) or 'none'}; "
        f"columns: {', '.join(columns)}" + (f". Did you mean {near[0]!r}?" if near else "")
    )


def metadata_keys(engagements: pl.DataFrame) -> list[str]:
    """The keys that occur in the metadata of these engagements, sorted."""
    if "metadata" not in engagements.columns:
        return []
    keys: set[str] = set()
    for text in engagements["metadata"].drop_nulls().unique():
        keys.update(orjson.loads(text))
    return sorted(keys)


def place_of(groups: list[Any], value: Any, by: str) -> int:
    """The place of a group's value. Raises InvalidArgumentError, naming the groups that there are."""
    for place, known in enumerate(groups):
        if known == value and isinstance(known, bool) == isinstance(value, bool):
            return place
    shown = ", ".join(repr(known) for known in groups[:20])
    raise InvalidArgumentError(f"no group {value!r} of {by!r}; groups: {shown or 'none'}")


def of_group(frame: pl.DataFrame, groups: list[Any], value: Any, by: str) -> pl.DataFrame:
    """The rows of one group, without the column `group`. Raises InvalidArgumentError for one that there is not."""
    place_of(groups, value, by)
    return frame.filter(pl.col("group").eq_missing(pl.lit(value))).drop("group")


def shown_group(groups: list[Any], value: Any) -> Any:
    """The group that a figure shows: the one asked for, else the first."""
    return groups[0] if value is None and groups and None not in groups else value


def label(value: Any) -> str:
    """A group's value as text."""
    return "(none)" if value is None else str(value)


def _dtype(values: list[Any]) -> Any:
    return pl.String if all(value is None for value in values) else None
