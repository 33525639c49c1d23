from __future__ import annotations

from datetime import timedelta

from hypothesis import given, settings
from hypothesis import strategies as st

from ftnb.core.model import Engagement, EngagementStatus
from ftnb.widget.payload import engagement_payload
from ftnb.widget.times import find_idle, times_of
from tests.widget import traces


def test_time_before_the_first_step_is_no_part_of_the_picture() -> None:
    engagement = traces.house()
    early = engagement.model_copy(update={"started_at": engagement.started_at - timedelta(seconds=40)})
    payload = engagement_payload(early)
    assert payload["timeline"] == engagement_payload(engagement)["timeline"]
    assert payload["steps"][0]["offset_ms"] == 0
    assert payload["engagement"]["duration_ms"] == engagement_payload(engagement)["engagement"]["duration_ms"] + 40_000


def test_the_wait_for_a_human_is_told_from_idle_time() -> None:
    timeline = engagement_payload(traces.paused())["timeline"]
    assert timeline["waits"] == [[425.0, 7_200_000.0]]
    assert engagement_payload(traces.long())["timeline"]["waits"] == []


def test_time_after_the_last_step_is_idle_once_the_run_is_over() -> None:
    engagement = traces.house()
    left_open = engagement.model_copy(update={"ended_at": traces.at(900_000)})
    assert engagement_payload(left_open)["timeline"]["idle"] == [[4_320.0, 900_000.0]]
    going_on = left_open.model_copy(update={"status": EngagementStatus.ACTIVE, "ended_at": None})
    assert engagement_payload(going_on)["timeline"]["idle"] == []


def test_a_run_without_steps_has_times() -> None:
    times = times_of(Engagement(name="none", started_at=traces.T0))
    assert (times.offsets, times.order, times.total_ms) == ([], [], 0.0)


spans = st.lists(st.tuples(st.floats(0, 1e6), st.floats(0, 1e4)), max_size=30)


@settings(max_examples=60)
@given(spans)
def test_nothing_runs_in_an_idle_stretch(raw: list[tuple[float, float]]) -> None:
    ranges = [(start, start + length) for start, length in raw]
    idle = find_idle(ranges)
    assert idle == sorted(idle)
    for start, end in idle:
        assert end - start >= 999
        assert not any(a < end - 0.01 and b > start + 0.01 for a, b in ranges)
