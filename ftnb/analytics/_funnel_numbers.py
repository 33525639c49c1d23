"""From who reached what to the numbers of a funnel: counts, rates with their intervals, times, tokens and money."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import polars as pl

from ._funnel_cost import dollars
from ._funnel_spec import Spec
from ._intervals import wilson

UNFINISHED = ("active", "paused")


@dataclass(frozen=True)
class Evidence:
    """Engagements and attempts behind a funnel.

    `paths` has the columns of `_funnel_polars.paths`, most of `engagements`, `furthest` (place of the last step that
    was reached) and `open` (may yet get further).
    """

    spec: Spec
    engagements: pl.DataFrame
    paths: pl.DataFrame
    spent: pl.DataFrame
    calls: pl.DataFrame | None

    @property
    def goal(self) -> int:
        """Place of the last step that cannot be left out: who reaches it converts."""
        return self.spec.mandatory[-1]

    def before(self, k: int) -> int:
        """Place of the step that the k-th is compared with: the last before it that cannot be left out."""
        return max((m for m in self.spec.mandatory if m < k), default=0)

    def stopped(self, k: int) -> pl.Expr:
        """Which paths got to step k and no further."""
        return (pl.col("furthest") == k) & (k < self.goal)

    def dropped(self, k: int) -> pl.DataFrame:
        """The engagements, or attempts, that dropped off at step k."""
        if self.spec.mode == "visited":
            return self.engagements.filter(pl.col("dropped_at").is_in(self.spec.items[k].names))
        return self.paths.filter(self.stopped(k) & ~pl.col("open"))

    def elapsed(self, k: int) -> pl.Expr:
        """Microseconds from entering the funnel to step k."""
        begin = f"s{k}" if self.spec.mode == "any" else "t0"
        return pl.col(f"t{k}") - pl.col(begin)

    def waited(self, k: int) -> pl.Expr:
        """Of these, microseconds in which the agent waited for somebody: between turns."""
        return pl.col(f"w{k}") - pl.col("w0") if "w0" in self.paths.columns else pl.lit(None, pl.Int64)


def numbers(evidence: Evidence, confidence: float) -> list[dict[str, Any]]:
    """The fields of `FunnelStep` for each step."""
    spec, paths = evidence.spec, evidence.paths
    spent = {name: (tokens, visits) for name, tokens, visits in _by_name(evidence.spent).iter_rows()}
    counts = paths.select(_counts(evidence)).row(0, named=True)
    lost = _lost(evidence)
    times = _times(evidence)
    recorded = dict(evidence.engagements.group_by("dropped_at").agg(pl.len()).iter_rows())
    rows = []
    for k, item in enumerate(spec.items):
        reached, before, first = counts[f"r{k}"], counts[f"r{evidence.before(k)}"], counts["r0"]
        dropped, dropped_tokens = lost[k]
        continued = max(reached - dropped, 0)
        here = [spent.get(name, (0, 0)) for name in item.names]
        row: dict[str, Any] = {
            "name": item.label,
            "optional": item.optional,
            "reached": reached,
            "dropped": dropped,
            "conversion_rate": None if k >= evidence.goal else _share(continued, reached) or 0.0,
            "total_tokens": sum(tokens for tokens, _ in here),
            "step_conversion_rate": _share(counts[f"b{k}"], before) if k else None,
            "overall_conversion_rate": _share(counts[f"f{k}"], first),
            "continuation_rate": _share(continued, reached),
            "n_visits": sum(visits for _, visits in here),
            "censored": counts[f"c{k}"],
            "recorded_drops": sum(recorded.get(name, 0) for name in item.names),
            "dropped_tokens": dropped_tokens,
        }
        row |= _interval("step_conversion", counts[f"b{k}"], before if k else 0, confidence)
        row |= _interval("overall_conversion", counts[f"f{k}"], first, confidence)
        row |= _interval("continuation", continued, reached, confidence)
        row |= times[k]
        row |= _costs(evidence, k)
        rows.append(row)
    return rows


def _by_name(spent: pl.DataFrame) -> pl.DataFrame:
    return spent.group_by("name").agg(pl.col("tokens", "visits").sum())


def _counts(evidence: Evidence) -> list[pl.Expr]:
    columns = []
    for k in range(len(evidence.spec.items)):
        here, before, first = pl.col(f"x{k}"), pl.col(f"x{evidence.before(k)}"), pl.col("x0")
        columns += [
            here.sum().alias(f"r{k}"),
            (here & before).sum().alias(f"b{k}"),
            (here & first).sum().alias(f"f{k}"),
            (evidence.stopped(k) & pl.col("open")).sum().alias(f"c{k}"),
        ]
    return columns


def _share(part: int, whole: int) -> float | None:
    return part / whole if whole else None


def _interval(name: str, part: int, whole: int, confidence: float) -> dict[str, float | None]:
    low, high = wilson(min(part, whole), whole, confidence) or (None, None)
    return {f"{name}_low": low, f"{name}_high": high}


_QUARTERS = {"q1": 1, "median": 2, "q3": 3}


def _times(evidence: Evidence) -> list[dict[str, float | None]]:
    """Of each step: how long its executions took, and how long it took to get there."""
    timed = evidence.spec.mode != "visited"
    columns: dict[str, pl.Expr] = {}
    for k in range(len(evidence.spec.items)):
        columns[f"d{k}"] = pl.when(f"x{k}").then(f"d{k}")
        if k and timed:
            columns[f"time{k}"] = evidence.elapsed(k)
            columns[f"step_time{k}"] = pl.col(f"t{k}") - pl.col(f"t{evidence.before(k)}")
            columns[f"wait{k}"] = evidence.waited(k)
            columns[f"active_time{k}"] = evidence.elapsed(k) - evidence.waited(k)
    wanted = {name: column for name, column in columns.items() if _is_there(evidence, name)}
    values = evidence.paths.select(column.alias(name) for name, column in wanted.items())
    found = {name: values[name].drop_nulls() for name in wanted}
    rows = []
    for k in range(len(evidence.spec.items)):
        durations = found[f"d{k}"]
        total = int(durations.sum() or 0)
        row: dict[str, float | None] = {
            "avg_duration_ms": total / (len(durations) * 1000) if len(durations) else None,
            "median_duration_ms": quarters(durations, [2])[0],
        }
        for what in ("time", "step_time"):
            told = quarters(found.get(f"{what}{k}"), list(_QUARTERS.values()))
            row |= {f"{name}_{what}_ms": value for name, value in zip(_QUARTERS, told, strict=True)}
        for what in ("wait", "active_time"):
            row[f"median_{what}_ms"] = quarters(found.get(f"{what}{k}"), [2])[0]
        rows.append(row)
    return rows


def _is_there(evidence: Evidence, name: str) -> bool:
    return not name.startswith(("wait", "active")) or "w0" in evidence.paths.columns


def quarters(micros: pl.Series | None, which: list[int]) -> list[float | None]:
    """Quartiles (1, 2, 3) of microseconds in milliseconds, each between the two nearest ranks; None of nothing.

    In whole numbers up to the one division, so that every engine gives the same to the last digit.
    """
    if micros is None or not len(micros):
        return [None] * len(which)
    import numpy as np

    last = len(micros) - 1
    places = [divmod(last * number, 4) for number in which]
    # Only what is asked for need be in its place.
    ranks = sorted({min(place + step, last) for place, _ in places for step in (0, 1)})
    ordered = np.partition(micros.to_numpy(), ranks)
    pairs = [(int(ordered[place]), int(ordered[min(place + 1, last)]), rest) for place, rest in places]
    return [(low * (4 - rest) + high * rest) / 4000 for low, high, rest in pairs]


def _lost(evidence: Evidence) -> list[tuple[int, int | None]]:
    """For each step, how many dropped off there, and their tokens over all that they did; None: not known."""
    places = range(len(evidence.spec.items))
    knows = "total_tokens" in evidence.engagements.columns
    if evidence.spec.mode == "visited" or evidence.spec.attempts == "every":
        gone = [evidence.dropped(k) for k in places]
        once = [part.unique("engagement_id") if evidence.spec.attempts == "every" else part for part in gone]
        tokens = [int(part["total_tokens"].sum() or 0) if knows else None for part in once]
        return [(part.height, spent) for part, spent in zip(gone, tokens, strict=True)]
    columns = []
    for k in places:
        here = evidence.stopped(k) & ~pl.col("open")
        columns.append(here.sum().alias(f"n{k}"))
        if knows:
            columns.append(pl.col("total_tokens").filter(here).sum().alias(f"tokens{k}"))
    row = evidence.paths.select(columns).row(0, named=True)
    return [(row[f"n{k}"], int(row[f"tokens{k}"] or 0) if knows else None) for k in places]


def _costs(evidence: Evidence, k: int) -> dict[str, Any]:
    """Money: of all visits of the step, and of all that the engagements did that dropped off here."""
    if evidence.calls is None:
        return {"cost": None, "dropped_cost": None, "n_unpriced": None}
    here = evidence.calls.filter(pl.col("name").is_in(evidence.spec.items[k].names))
    gone = evidence.calls.join(evidence.dropped(k).select("engagement_id"), on="engagement_id", how="semi")
    return {"cost": total_cost(here), "dropped_cost": total_cost(gone), "n_unpriced": here["picos"].null_count()}


def total_cost(calls: pl.DataFrame) -> float | None:
    """The sum of what is known; None when there are calls, but the price of none of them is known."""
    unknown = calls["picos"].null_count()
    if calls.height and unknown == calls.height:
        return None
    return dollars(int(calls["picos"].sum() or 0))
