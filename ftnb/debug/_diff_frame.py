"""An `EngagementDiff` as a dataframe."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import polars as pl

from ._diff import dump
from ._ran import Ran

if TYPE_CHECKING:
    from ._diff import EngagementDiff, Pair


def diff_frame(diff: EngagementDiff, *, patch: bool) -> pl.DataFrame:
    """One row a step; see `EngagementDiff.frame`."""
    starts = tuple(min((step.started_us for step in look.story.steps), default=0) for look in diff.looks)
    rows = [_row(diff, pair, patch, starts) for pair in diff]
    return pl.DataFrame(rows, schema=_schema(patch), orient="row")


def _schema(patch: bool) -> dict[str, Any]:
    schema: dict[str, Any] = {"ns": pl.String, "name": pl.String, "visit": pl.Int64, "attempt": pl.Int64}
    schema |= {"side": pl.String, "same": pl.Boolean, "what": pl.List(pl.String), "keys": pl.List(pl.String)}
    for name, dtype in (
        ("step_id", pl.String),
        ("started_ms", pl.Float64),
        ("status", pl.String),
        ("duration_ms", pl.Float64),
        ("tokens", pl.Int64),
        ("cost", pl.Float64),
    ):
        schema |= {f"{name}_a": dtype, f"{name}_b": dtype}
    schema |= {"duration_ms_delta": pl.Float64, "tokens_delta": pl.Int64, "cost_delta": pl.Float64}
    return schema | ({"input_patch": pl.String, "output_patch": pl.String} if patch else {})


def _row(diff: EngagementDiff, pair: Pair, patch: bool, starts: tuple[int, ...]) -> dict[str, Any]:
    step, a, b = pair.row.step, pair.row.a, pair.row.b
    row: dict[str, Any] = {
        "ns": step.ns,
        "name": step.name,
        "visit": step.visit,
        "attempt": step.attempt,
        "side": pair.side,
        "same": pair.same,
        "what": list(pair.what),
        "keys": _keys(diff, a, b) if "output" in pair.what else [],
    }
    for side, one, start in (("a", a, starts[0]), ("b", b, starts[1])):
        row[f"started_ms_{side}"] = None if one is None else (one.started_us - start) / 1000
        row[f"step_id_{side}"] = one and one.step_id
        row[f"status_{side}"] = one and one.status
        row[f"duration_ms_{side}"] = None if one is None or one.duration_us is None else one.duration_us / 1000
        row[f"tokens_{side}"] = one and one.tokens
        row[f"cost_{side}"] = diff.cost(one)
    for name in ("duration_ms", "tokens", "cost"):
        left, right = row[f"{name}_a"], row[f"{name}_b"]
        row[f"{name}_delta"] = None if left is None or right is None else right - left
    if patch:
        row["input_patch"] = dump([change.as_op() for change in pair.input]) if "input" in pair.what else None
        row["output_patch"] = dump(pair.patch()) if "output" in pair.what else None
    return row


def _keys(diff: EngagementDiff, a: Ran | None, b: Ran | None) -> list[str]:
    """Keys of the output that differ."""
    if a is None or b is None:
        return []
    left, right = diff.values[0].entries(a.update) or {}, diff.values[1].entries(b.update) or {}
    keys = dict.fromkeys([*left, *right])
    return [
        key
        for key in keys
        if key not in left or key not in right or diff.values[0].print(left[key]) != diff.values[1].print(right[key])
    ]
