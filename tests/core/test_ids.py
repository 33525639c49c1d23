"""Ids sort by time; times survive as integers."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta, timezone
from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from ftnb.core.ids import from_us, new_id, to_us


def test_ids_are_uuid7_and_sort_by_time() -> None:
    first = new_id()
    time.sleep(0.002)
    second = new_id()
    assert first < second
    parsed = UUID(first)
    assert parsed.version == 7
    assert parsed.variant == "specified in RFC 4122"


def test_ids_do_not_repeat() -> None:
    assert len({new_id() for _ in range(20_000)}) == 20_000


@given(st.datetimes(min_value=datetime(1900, 1, 1), max_value=datetime(2200, 1, 1), timezones=st.just(UTC)))  # noqa: DTZ001
def test_times_survive_to_the_microsecond(moment: datetime) -> None:
    assert from_us(to_us(moment)) == moment


def test_other_zones_are_the_same_moment() -> None:
    tokyo = datetime(2026, 1, 1, 9, tzinfo=timezone(timedelta(hours=9)))
    assert to_us(tokyo) == to_us(datetime(2026, 1, 1, tzinfo=UTC))
