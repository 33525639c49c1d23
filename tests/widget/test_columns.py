from __future__ import annotations

import array
import json
import zlib
from datetime import timedelta
from typing import Any

import pytest

from ftnb.core.model import Engagement, EngagementStatus, EventKind, Step, StepEvent, StepStatus
from ftnb.widget.columns import MANY_MARKS, MANY_STEPS, column, json_default, on_wire, pack, plain
from ftnb.widget.live import differences
from ftnb.widget.payload import engagement_payload
from ftnb.widget.view import EngagementView
from tests.widget import traces

_CODES = {"f8": "d", "f4": "f", "i4": "i", "u4": "I", "u2": "H", "u1": "B"}


def _values(column: Any) -> list[float]:
    numbers = array.array(_CODES[column["dtype"]])
    numbers.frombytes(column["data"])
    return numbers.tolist()


def _long(n: int, *, events: int, status: EngagementStatus = EngagementStatus.COMPLETED) -> Engagement:
    run = Engagement(name="long", status=status, started_at=traces.T0)
    for number in range(n):
        at = traces.at(number * 10.0)
        step = Step(
            id=f"s{number}",
            engagement_id=run.id,
            name=f"n{number % 7}",
            started_at=at,
            duration_ms=8.0,
            visit=number // 7 + 1,
        )
        step.status = StepStatus.FAILED if number % 100 == 3 else StepStatus.COMPLETED
        step.error = "lost" if number % 100 == 3 else None
        for k in range(events):
            kind = (EventKind.LLM_CALL, EventKind.TOOL_CALL)[k % 2]
            error = "slow" if k == 2 else None
            step.events.append(
                StepEvent(step_id=step.id, kind=kind, name=f"call {k}", ts=at + timedelta(milliseconds=k), error=error)
            )
        run.steps.append(step)
    run.ended_at = traces.at(n * 10.0)
    return run


def test_a_short_run_stays_rows() -> None:
    payload = engagement_payload(traces.house())
    assert payload["marks"] is None
    assert pack(payload) is payload


def test_a_long_run_loses_nothing_in_columns() -> None:
    run = _long(MANY_STEPS, events=MANY_MARKS // MANY_STEPS)
    payload = engagement_payload(run, details="none")
    assert payload["marks"] is not None
    assert all(lane["marks"] == [] for lane in payload["timeline"]["lanes"])
    assert _values(payload["marks"]["start"])[-1] == MANY_MARKS
    assert payload["marks"]["names"] == [f"call {k}" for k in range(5)]
    assert _values(payload["marks"]["flags"])[:5] == [0, 0, 1, 0, 0]
    packed = pack(payload)
    columns = packed["columns"]
    assert columns is not None
    assert (packed["steps"], packed["causes"], packed["timeline"]["lanes"]) == ([], [], [])
    assert len(payload["steps"]) == MANY_STEPS, "the payload itself is still whole"
    assert columns["ids"] == [step.id for step in run.steps]
    assert [columns["names"][int(n)] for n in _values(columns["name"])] == [step.name for step in run.steps]
    assert _values(columns["offset"]) == [number * 10.0 for number in range(MANY_STEPS)]
    assert [index for index, _ in columns["errors"]] == list(range(3, MANY_STEPS, 100))
    assert _values(columns["cause_target"]) == list(range(1, MANY_STEPS))


def test_columns_are_much_smaller_than_rows() -> None:
    rows = engagement_payload(_long(MANY_STEPS, events=5, status=EngagementStatus.ACTIVE), details="none")
    payload = engagement_payload(_long(MANY_STEPS, events=5), details="none")
    assert len(json.dumps(plain(pack(payload)))) < len(json.dumps(rows)) / 3


def test_a_run_that_goes_on_keeps_rows_for_its_marks() -> None:
    payload = engagement_payload(_long(MANY_STEPS, events=5, status=EngagementStatus.ACTIVE), details="none")
    assert payload["marks"] is None
    assert len(payload["timeline"]["lanes"][0]["marks"]) == 5
    assert pack(payload) is payload


def test_bytes_are_base64_where_only_text_can_be_sent() -> None:
    numbers = column("u2", [1, 513])
    assert numbers["data"] == b"\x01\x00\x01\x02"
    assert (
        json.loads(json.dumps(numbers, default=json_default)) == plain(numbers) == {"dtype": "u2", "data": "AQABAg=="}
    )
    with pytest.raises(TypeError, match="no JSON for set"):
        json.dumps({"a": set()}, default=json_default)


def test_a_number_that_does_not_fit_is_no_silent_other_number() -> None:
    with pytest.raises(OverflowError):
        column("u1", [256])


def test_a_run_that_ends_or_goes_on_again_changes_its_marks_as_a_whole() -> None:
    ended = engagement_payload(_long(MANY_STEPS, events=5), details="none")
    active = engagement_payload(_long(MANY_STEPS, events=5, status=EngagementStatus.ACTIVE), details="none")
    for before, after in ((active, ended), (ended, active)):
        paths = [change["path"] for change in differences(before, after)]
        assert ["marks"] in paths
        assert ["timeline"] in paths
        assert not any(path[0] in ("marks", "timeline") for path in paths if len(path) > 1)


def test_columns_travel_as_buffers_beside_the_state_of_a_widget() -> None:
    from ipywidgets.widgets.widget import _remove_buffers

    view = EngagementView(_long(MANY_STEPS, events=5))
    state, paths, buffers = _remove_buffers(view.get_state("_payload"))
    assert ["_payload", "marks", "offset", "data"] in paths
    assert len(buffers[paths.index(["_payload", "marks", "offset", "data"])]) == 8 * MANY_MARKS
    json.dumps(state)
    view.close()


def test_a_message_is_small_and_survives_half_characters() -> None:
    whole = engagement_payload(traces.house())
    sent = on_wire(whole)
    rest = zlib.decompress(sent["rest"], wbits=-zlib.MAX_WBITS)
    assert len(rest) == sent["n_rest"]
    assert {**sent, **json.loads(rest)} == {**whole, "rest": sent["rest"], "n_rest": len(rest)}
    assert len(sent["rest"]) < 0.25 * len(json.dumps(whole))
    whole["steps"][0]["name"] = "half \ud83d"
    assert json.loads(zlib.decompress(on_wire(whole)["rest"], wbits=-15))["steps"][0]["name"] == "half \ud83d"
