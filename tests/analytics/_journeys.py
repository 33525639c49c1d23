"""Journeys told plainly, one engagement after the other: what the fast computations are compared with."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import polars as pl
from hypothesis import strategies as st

NAMES = ["A", "B", "name", "eng", "ü"]
BEGUN = datetime(2026, 3, 2, 9, tzinfo=UTC)
OPEN = ("active", "paused")


@dataclass
class Step:
    name: str
    attempt: int = 1
    us: int | None = 1000
    tokens: int = 0
    gap: int = 0
    """Microseconds from the start of the step before; may be negative, as clocks are set back."""
    turn: int = 1
    triggers: list[str] = field(default_factory=list)


@dataclass
class Case:
    steps: list[Step]
    status: str = "completed"
    version: str | None = None


@dataclass
class Visit:
    """A step with its retries."""

    name: str
    us: int | None
    tokens: int
    start: int
    turn: int
    ids: list[str]


def steps(*, causes: bool = False) -> st.SearchStrategy[Step]:
    ids = st.lists(st.sampled_from(["s0", "s1", "s2", "s3", "lost"]), max_size=2, unique=True)
    return st.builds(
        Step,
        name=st.sampled_from(NAMES),
        attempt=st.sampled_from([1, 1, 1, 2]),
        us=st.none() | st.sampled_from([0, 1, 2000, 40_000]),
        tokens=st.integers(0, 5),
        gap=st.sampled_from([0, 0, 1, 700, 3000, -500]),
        turn=st.sampled_from([0, 0, 0, 1]),
        triggers=ids if causes else st.just([]),
    )


def cases(*, causes: bool = False, max_size: int = 5) -> st.SearchStrategy[list[Case]]:
    one = st.builds(
        Case,
        steps=st.lists(steps(causes=causes), max_size=7).map(_with_turns),
        status=st.sampled_from(["active", "paused", "completed", "abandoned", "failed"]),
        version=st.sampled_from([None, "v1", "v2"]),
    )
    return st.lists(one, max_size=max_size)


def _with_turns(drawn: list[Step]) -> list[Step]:
    """`turn` was drawn as how much it moves on; it is counted from 1."""
    turn = 1
    for step in drawn:
        turn += step.turn
        step.turn = turn
    return drawn


def starts_of(case: Case) -> list[int]:
    at, found = 0, []
    for step in case.steps:
        at += step.gap
        found.append(at)
    return found


def frames_of(given: Sequence[Case], *, shuffled: bool = False) -> tuple[pl.DataFrame, pl.DataFrame]:
    """The frames (steps, engagements); `shuffled` deals the steps of the engagements out in turn."""
    rows = []
    for i, case in enumerate(given):
        for k, (step, start) in enumerate(zip(case.steps, starts_of(case), strict=True)):
            begun = BEGUN + timedelta(microseconds=start)
            rows.append(
                (k if shuffled else i, i, f"e{i}", f"s{k}", step.name, "", step.attempt, step.turn, None, step.triggers,
                 begun, None if step.us is None else begun + timedelta(microseconds=step.us),
                 None if step.us is None else step.us / 1000, step.tokens)
            )  # fmt: skip
    rows.sort(key=lambda row: row[:2] if shuffled else row[0])
    schema: dict[str, Any] = {
        "_k": pl.Int64, "_i": pl.Int64, "engagement_id": pl.String, "step_id": pl.String, "name": pl.String,
        "ns": pl.String, "attempt": pl.Int64, "turn": pl.Int64, "parent_step_id": pl.String,
        "triggers": pl.List(pl.String), "started_at": pl.Datetime("us", "UTC"), "ended_at": pl.Datetime("us", "UTC"),
        "duration_ms": pl.Float64, "total_tokens": pl.Int64,
    }  # fmt: skip
    whole = [
        (f"e{i}", case.status, case.steps[-1].name if case.steps and case.status in ("abandoned", "failed") else None,
         json.dumps({"version": case.version} if case.version else {}), BEGUN)
        for i, case in enumerate(given)
    ]  # fmt: skip
    return (
        pl.DataFrame(rows, schema=schema, orient="row").drop("_k", "_i"),
        pl.DataFrame(whole, schema={"engagement_id": pl.String, "status": pl.String, "dropped_at": pl.String,
                                    "metadata": pl.String, "started_at": pl.Datetime("us", "UTC")}, orient="row"),
    )  # fmt: skip


def visits_of(case: Case) -> list[Visit]:
    """Executions with their retries; a retry whose first attempt is lost stands for it."""
    found: list[Visit] = []
    last: dict[str, Visit] = {}
    for k, (step, start) in enumerate(zip(case.steps, starts_of(case), strict=True)):
        visit = last.get(step.name)
        if step.attempt > 1 and visit is not None:
            if step.us is not None:
                visit.us = (visit.us or 0) + step.us
            visit.tokens += step.tokens
            visit.ids.append(f"s{k}")
            continue
        visit = Visit(step.name, step.us, step.tokens, start, step.turn, [f"s{k}"])
        last[step.name] = visit
        found.append(visit)
    return found


def waited_by(case: Case) -> dict[int, int]:
    """For each turn, how long a human had been waited for before it, over all turns so far."""
    turns: dict[int, tuple[int, int]] = {}
    for step, start in zip(case.steps, starts_of(case), strict=True):
        low, high = turns.get(step.turn, (start, start))
        turns[step.turn] = (min(low, start), max(high, start + (step.us or 0)))
    waited, total, end = {}, 0, None
    for turn in sorted(turns):
        if end is not None:
            total += max(turns[turn][0] - end, 0)
        waited[turn] = total
        end = turns[turn][1]
    return waited


def quantile(values: Sequence[float], q: float) -> float | None:
    """Interpolated between order statistics."""
    if not values:
        return None
    ordered = sorted(values)
    place = (len(ordered) - 1) * q
    low = int(place)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (ordered[high] - ordered[low]) * (place - low)
