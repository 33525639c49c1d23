"""Cohorts: against a plain reference, and what is easy to get wrong about time."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime, timedelta
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ftnb.analytics import cohorts
from ftnb.core.errors import InvalidArgumentError

Visit = tuple[str | None, datetime]
visits = st.lists(
    st.tuples(
        st.sampled_from(["u1", "u2", "u3", None]),
        st.datetimes(datetime(2025, 11, 1), datetime(2026, 3, 31), timezones=st.just(UTC)),  # noqa: DTZ001
    ),
    max_size=12,
)


def frames_of(given_visits: list[Visit], **columns: Any) -> tuple[pl.DataFrame, pl.DataFrame]:
    text = pl.String
    steps = pl.DataFrame(schema={"engagement_id": text, "name": text, "ns": text, "attempt": pl.Int64,
                                 "duration_ms": pl.Float64, "total_tokens": pl.Int64})  # fmt: skip
    n = len(given_visits)
    engagements = pl.DataFrame(
        {
            "engagement_id": [f"e{i}" for i in range(n)], "status": ["completed"] * n, "dropped_at": [None] * n,
            "started_at": [at for _, at in given_visits],
            "metadata": [json.dumps({"user_id": user, "z": 1} if user else {"z": 1}) for user, _ in given_visits],
            **columns,
        },
        schema_overrides={"engagement_id": text, "status": text, "dropped_at": text, "metadata": text,
                          "started_at": pl.Datetime("us", "UTC")},
    )  # fmt: skip
    return steps, engagements


def begun(at: datetime, period: str) -> date:
    day = at.date()
    if period == "month":
        return day.replace(day=1)
    return day - timedelta(days=day.weekday()) if period == "week" else day


def after(start: date, period: str, n: int) -> date:
    if period == "month":
        years, month = divmod(start.month - 1 + n, 12)
        return date(start.year + years, month + 1, 1)
    return start + timedelta(days=n * (7 if period == "week" else 1))


def reference(given_visits: list[Visit], period: str) -> list[dict[str, Any]]:
    known = [(user, begun(at, period), at) for user, at in given_visits if user is not None]
    if not known:
        return []
    last = max(start for _, start, _ in known)
    firsts = {user: min(start for u, start, _ in known if u == user) for user, _, _ in known}
    rows = []
    for cohort in sorted(set(firsts.values())):
        users = {user for user, start in firsts.items() if start == cohort}
        offset = 0
        while after(cohort, period, offset) <= last:
            here = [user for user, start, _ in known if user in users and start == after(cohort, period, offset)]
            rows.append(
                {
                    "cohort_at": datetime(cohort.year, cohort.month, cohort.day, tzinfo=UTC), "size": len(users),
                    "offset": offset, "n_users": len(set(here)), "returning_rate": len(set(here)) / len(users),
                    "n_engagements": len(here), "is_complete": after(cohort, period, offset) < last,
                }
            )  # fmt: skip
            offset += 1
    return rows


@given(given_visits=visits, period=st.sampled_from(["day", "week", "month"]))
@settings(max_examples=40)
def test_cohorts_equal_the_plain_reference(given_visits: list[Visit], period: Any) -> None:
    if given_visits and all(user is None for user, _ in given_visits):
        with pytest.raises(InvalidArgumentError, match="no metadata key and no column 'user_id'"):
            cohorts(frames_of(given_visits), period=period)
        return
    result = cohorts(frames_of(given_visits), period=period)
    assert result.frame().to_dicts() == reference(given_visits, period)
    assert result.n_unknown == sum(user is None for user, _ in given_visits)
    for row in result.frame().to_dicts():
        assert len(result.users(row["cohort_at"], row["offset"])) == row["n_users"]


MONDAY = datetime(2026, 3, 2, tzinfo=UTC)
WEEK = timedelta(days=7)


def test_a_time_that_has_not_come_is_no_zero() -> None:
    result = cohorts(frames_of([("u1", MONDAY), ("u2", MONDAY + WEEK), ("u1", MONDAY + 2 * WEEK)]))
    rates = result.wide().rows()
    assert [row[2:] for row in rates] == [(1.0, 0.0, 1.0), (1.0, 0.0, None)]
    assert result.frame()["is_complete"].to_list() == [True, True, False, True, False]
    assert "2 users by week of first engagement" in repr(result)
    assert "0%*" in result.figure().to_json()


def test_weeks_begin_on_monday_in_utc() -> None:
    late = MONDAY - timedelta(microseconds=1)
    result = cohorts(frames_of([("u1", late), ("u2", MONDAY)]))
    assert result.frame()["cohort_at"].unique().to_list() == [MONDAY - WEEK, MONDAY]


def test_the_first_engagement_is_the_earliest_whatever_the_order_of_rows() -> None:
    result = cohorts(frames_of([("u1", MONDAY + WEEK), ("u1", MONDAY)]))
    assert result.frame()["cohort_at"].unique().to_list() == [MONDAY]


def test_groups_are_those_of_the_first_engagement() -> None:
    source = frames_of([("u1", MONDAY), ("u1", MONDAY + WEEK), ("u2", MONDAY)], version=["v1", "v2", "v2"])
    result = cohorts(source, by="version")
    rows = [(row["group"], row["offset"], row["n_users"]) for row in result.frame().to_dicts()]
    assert rows == [("v1", 0, 1), ("v1", 1, 1), ("v2", 0, 1), ("v2", 1, 0)]


def test_nothing() -> None:
    result = cohorts(frames_of([]))
    assert result.frame().is_empty()
    assert result.figure() is not None


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"period": "weekly"}, r"no period 'weekly'; periods: day, week, month. Did you mean 'week'\?"),
        ({"period": 7}, "no period 7"),
        (
            {"user": "user"},
            r"no metadata key and no column 'user' for user; keys: user_id, z;.*Did you mean 'user_id'\?",
        ),
    ],
)
def test_arguments_that_cannot_be_used(options: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidArgumentError, match=message):
        cohorts(frames_of([("u1", MONDAY)]), **options)


def test_times_of_mixed_zones_are_refused() -> None:
    steps, engagements = frames_of([("u1", MONDAY)])
    for wrong in (pl.lit("2026-03-02T00:00+01:00"), pl.col("started_at").dt.replace_time_zone(None)):
        with pytest.raises(InvalidArgumentError, match="column 'started_at' must hold times of one time zone"):
            cohorts((steps, engagements.with_columns(wrong.alias("started_at"))))
    # One zone that is not UTC is a time like any other.
    berlin = engagements.with_columns(pl.col("started_at").dt.convert_time_zone("Europe/Berlin"))
    assert cohorts((steps, berlin)).frame()["cohort_at"].to_list() == [MONDAY]
