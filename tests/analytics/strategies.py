"""Engagements and questions for Hypothesis: loops, ties, clocks set back, retries, missing times, odd names."""

from __future__ import annotations

from typing import Any

import polars as pl
from hypothesis import strategies as st

from tests.analytics.reference_funnel import Execution, Question

NAMES = ["A", "B", "C", "name", "ü✓", "engagement_id"]
"""Few, so that they repeat; some are also names of columns."""
BEGIN = 1_760_000_000_000_000

_gaps = st.sampled_from([0, 0, 1, 5, 10, 10, 20, -15])


@st.composite
def executions(draw: st.DrawFn, *, clock: bool = True) -> list[Execution]:
    """The rows of one engagement."""
    rows = []
    at, turn = BEGIN, 1
    for _ in range(draw(st.integers(0, 10))):
        at += draw(_gaps)
        turn += draw(st.sampled_from([0, 0, 0, 1]))
        duration = draw(st.none() | st.sampled_from([0, 1, 7, 2_500]))
        nested = draw(st.sampled_from([False, False, False, True]))
        rows.append(
            Execution(
                name=draw(st.sampled_from(NAMES)),
                at=at if clock else None,
                attempt=draw(st.sampled_from([1, 1, 1, 1, 2])),
                ns="sub" if nested else "",
                parent="p" if nested else None,
                duration_us=duration,
                tokens=draw(st.integers(0, 5)),
                turn=turn,
                ended=None if duration is None else at + duration,
            )
        )
    return rows


_names = st.sampled_from([*NAMES, "nobody"])


@st.composite
def questions(draw: st.DrawFn, modes: tuple[str, ...] = ("visited", "ordered", "strict", "any")) -> Question:
    """A funnel that can be asked for."""
    mode = draw(st.sampled_from(modes))
    steps = _apart(draw, mode)
    places = [k for k, (_, is_optional) in enumerate(steps) if not is_optional]
    within = draw(st.none() | st.sampled_from([0, 5, 20, 40])) if mode != "visited" else None
    windows = {}
    exclude = {}
    if mode in ("ordered", "strict"):
        named = [k for k in range(1, len(steps)) if [other[0] for other in steps].count(steps[k][0]) == 1]
        windows = {k: draw(st.sampled_from([0, 5, 20])) for k in named if draw(st.integers(0, 3)) == 0}
    if mode == "ordered" and len(steps) > 1 and draw(st.booleans()):
        unique = [k for k in places if [other[0] for other in steps].count(steps[k][0]) == 1]
        first, last = 0, len(steps) - 1
        if len(unique) > 1 and draw(st.booleans()):
            first, last = sorted(draw(st.lists(st.sampled_from(unique), min_size=2, max_size=2, unique=True)))
        exclude = {draw(_names): (first, last)}
    attempts = "best"
    if mode in ("ordered", "strict"):
        attempts = draw(st.sampled_from(["best", "best", "first", "every"]))
        if set(steps[0][0]) & {name for names, _ in steps[1:] for name in names}:
            attempts = "best" if attempts == "every" else attempts
    return Question(steps, mode, within, windows, exclude, attempts, draw(st.sampled_from([True, True, False])))


def _apart(draw: st.DrawFn, mode: str) -> list[tuple[tuple[str, ...], bool]]:
    """Steps; in modes where an execution could stand for two of them, they share no names."""
    steps: list[tuple[tuple[str, ...], bool]] = []
    for k in range(draw(st.integers(1, 4))):
        names = tuple(draw(st.lists(_names, min_size=1, max_size=2, unique=True)))
        is_optional = k > 0 and draw(st.integers(0, 3)) == 0
        taken = {name for other, _ in steps for name in other}
        if is_optional and mode != "visited":
            names = tuple(n for n in names if not any(n in other and free for other, free in steps))
        apart = mode in ("any", "strict")
        if apart and taken & set(names):
            names = steps[0][0] if mode == "any" and not is_optional else tuple(n for n in names if n not in taken)
        if names:
            steps.append((names, is_optional))
    return steps


def spec_arguments(question: Question) -> dict[str, Any]:
    """The question as `funnel` takes it."""
    from datetime import timedelta

    from ftnb.analytics import optional

    labels = [" | ".join(names) for names, _ in question.steps]
    micros = {k: timedelta(microseconds=value) for k, value in question.step_within.items()}
    whole = (0, len(labels) - 1)
    exclude: Any = {name: (labels[a], labels[b]) for name, (a, b) in question.exclude.items()}
    if list(question.exclude.values()) == [whole]:
        exclude = list(question.exclude)
    return {
        "order": [optional(*names) if is_optional else names for names, is_optional in question.steps],
        "mode": question.mode,
        "within": None if question.within is None else timedelta(microseconds=question.within),
        "step_within": {labels[k]: value for k, value in micros.items()} or None,
        "exclude": exclude or None,
        "attempts": question.attempts,
        "nested": question.nested,
    }


def steps_frame(engagements: list[list[Execution]]) -> pl.DataFrame:
    """The engagements as a steps frame, each in turn; their ids do not sort as they come."""
    rows = [
        {
            "engagement_id": engagement_id(i), "step_id": f"s{i}-{n}", "name": row.name, "ns": row.ns,
            "attempt": row.attempt, "turn": row.turn, "parent_step_id": row.parent, "started_at": row.at,
            "ended_at": row.ended, "duration_ms": None if row.duration_us is None else row.duration_us / 1000,
            "total_tokens": row.tokens,
        }
        for i, steps in enumerate(engagements)
        for n, row in enumerate(steps)
    ]  # fmt: skip
    moment = pl.Datetime("us", "UTC")
    frame = pl.DataFrame(
        rows,
        schema={
            "engagement_id": pl.String, "step_id": pl.String, "name": pl.String, "ns": pl.String, "attempt": pl.Int64,
            "turn": pl.Int64, "parent_step_id": pl.String, "started_at": pl.Int64, "ended_at": pl.Int64,
            "duration_ms": pl.Float64, "total_tokens": pl.Int64,
        },
    )  # fmt: skip
    return frame.with_columns(pl.col("started_at", "ended_at").cast(moment))


def engagement_id(i: int) -> str:
    """The id of the i-th engagement."""
    return f"e{(i * 7) % 1000:03}"
