"""Records that are made without validation are those that validation makes; what is not plain is left to it."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ftnb.core.canonical import encode_json
from ftnb.core.model import Step
from ftnb.store.blobs import Resolver
from ftnb.store.leaf import INDEX, NAMES
from ftnb.store.reconstruct import _step_of
from ftnb.store.records import GapRecorded, StepStarted
from ftnb.store.rows import record_or_gap, to_record

_TEXT = st.none() | st.text(max_size=3)
_INT = st.none() | st.integers(-3, 10**12)
_ANY: Any = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from(["a", "$ftnb", "id"]), inner),
    max_leaves=4,
)
_TEXTS = st.lists(st.text(max_size=3), max_size=2)
_BODY: Any = st.fixed_dictionaries(
    {},
    optional={
        "tools": _TEXTS | _ANY,
        "triggers": _TEXTS | _ANY,
        "routes": st.dictionaries(st.text(max_size=2), st.text(max_size=3)) | _ANY,
        "error": _TEXT | _ANY,
        "subtype": _TEXT | _ANY,
        "name": _TEXT | _ANY,
        "@payload": st.dictionaries(st.text(max_size=2), _ANY) | _ANY,
        "@state": _ANY,
        "state": _ANY,
        "@update": _ANY,
        "decisions": st.dictionaries(st.text(max_size=2), _ANY) | _ANY,
        "cached": st.booleans(),
        "discarded": st.booleans(),
        "checkpoint": _TEXT,
        "head": st.lists(_TEXT, max_size=2),
    },
)
_COLUMNS: Any = st.fixed_dictionaries({
    **dict.fromkeys(("step_id", "parent_id", "event_id", "name", "ns", "model", "error_type"), _TEXT),
    **dict.fromkeys(("visit", "attempt", "duration_us", "ttft_us", "tok_prompt", "tok_completion", "tok_total"), _INT),
    **dict.fromkeys(("tok_cache_read", "tok_cache_write", "tok_reasoning"), _INT),
    "at_us": st.integers(-(10**15), 10**16),
    "kind": st.sampled_from(["llm_call", "tool_call", "global", "log", "error", "no kind", None]),
    "status": st.sampled_from(["completed", "failed", "waiting", "no status", None]),
})  # fmt: skip


def row_of(kind: str, body: Any, columns: dict[str, Any]) -> tuple[Any, ...]:
    known = {"engagement_id": "e", "stream_id": "s", "n": 3, "v": 1, "type": kind, "at_us": 5, "turn": 2, **columns}
    return tuple({**known, "salt": bytes(16), "body": encode_json(body)}.get(name) for name in NAMES)


def everything(model: Any) -> Any:
    """What an object is, down to the order of its fields and which of them were set."""
    if not hasattr(model, "__pydantic_fields_set__"):
        return type(model), repr(model)
    assert model.__pydantic_extra__ is model.__pydantic_private__ is None
    return type(model), model.model_fields_set, [(name, everything(value)) for name, value in vars(model).items()]


@pytest.mark.parametrize("kind", ["step_started", "step_ended", "event_recorded"])
@given(body=_BODY, columns=_COLUMNS)
@settings(max_examples=60, deadline=None)
def test_what_is_made_without_validation_is_what_validation_makes(kind: str, body: Any, columns: Any) -> None:
    row = row_of(kind, body, columns)
    resolve = Resolver(lambda blob_id: None)
    found = record_or_gap(row, 7, resolve)
    try:
        expected = to_record(row, orjson.loads(row[INDEX["body"]]), 7, resolve)
    except Exception:
        assert isinstance(found, GapRecorded)
        assert found.reason == "bad_record"
        return
    assert everything(found) == everything(expected)


@pytest.mark.parametrize("column", ["step_id", "ns", "visit", "attempt", "parent_id"])
def test_a_value_of_another_type_is_a_gap_and_not_a_step(column: str) -> None:
    row = list(row_of("step_started", {}, {"step_id": "a", "name": "n"}))
    row[INDEX[column]] = ["damaged"]
    found = record_or_gap(tuple(row), 1, lambda value: value)
    assert isinstance(found, GapRecorded)


def test_a_step_is_what_validation_makes_of_its_start() -> None:
    start = StepStarted(
        engagement_id="e", step_id="a", name="n", tools=["t"], triggers=["b"], routes={"b": "join"}, ns="sub", turn=2,
        attempt=3, state_ref={"x": 1}, checkpoint_id="c", parent_step_id="p", is_global=True,
    )  # fmt: skip
    step = _step_of(start, 4)
    validated = Step(
        id="a", engagement_id="e", name="n", started_at=start.ts, tools_available=["t"], is_global=True,
        parent_step_id="p", visit=4, attempt=3, turn=2, ns="sub", triggers=["b"], routes={"b": "join"},
        state_ref={"x": 1}, checkpoint_id="c",
    )  # fmt: skip
    assert everything(step) == everything(validated)
    step.triggers.append("c")
    step.tools_available.clear()
    assert (start.triggers, start.tools) == (["b"], ["t"])
