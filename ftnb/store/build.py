"""Drafts of each record type, from plain values. Times are integer microseconds, durations too."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ..core.model import EngagementStatus, EventKind, StepStatus, Topology
from .draft import Draft, Stream, Tokens, step_body


def engagement_started(
    stream: Stream,
    at_us: int,
    name: str,
    *,
    metadata: Mapping[str, Any] | None = None,
    topology: Topology | None = None,
    parent_id: str | None = None,
    goal_nodes: Sequence[str] = (),
) -> Draft:
    """An engagement began."""
    shape = (topology or Topology()).model_dump(mode="json")
    body = {"metadata": dict(metadata or {}), "@topology": shape, "goals": list(goal_nodes)}
    return Draft(stream, "engagement_started", at_us, name=name, parent_id=parent_id, body=body)


def engagement_labelled(
    stream: Stream,
    at_us: int,
    *,
    name: str | None = None,
    metadata: Mapping[str, Any] | None = None,
    topology: Topology | None = None,
    goal_nodes: Sequence[str] | None = None,
) -> Draft:
    """Name, metadata (merged), topology or goals became known; None leaves what there is."""
    body: dict[str, Any] = {"metadata": dict(metadata)} if metadata else {}
    if topology is not None:
        body["@topology"] = topology.model_dump(mode="json")
    if goal_nodes is not None:
        body["goals"] = list(goal_nodes)
    return Draft(stream, "engagement_labelled", at_us, name=name, body=body)


def step_started(
    stream: Stream,
    at_us: int,
    step_id: str,
    name: str,
    *,
    tools: Sequence[str] = (),
    is_global: bool = False,
    parent_step_id: str | None = None,
    ns: str = "",
    visit: int | None = None,
    attempt: int = 1,
    triggers: Sequence[str] = (),
    routes: Mapping[str, str] | None = None,
    state: Any = None,
) -> Draft:
    """A node began to run. `state` is what it was given (any value, frozen); None: not captured."""
    body = step_body(list(tools), list(triggers), dict(routes or {}))
    if state is not None:
        body["@state"] = state
    return Draft(
        stream,
        "step_started",
        at_us,
        step_id=step_id,
        parent_id=parent_step_id,
        name=name,
        ns=ns,
        visit=visit,
        attempt=attempt,
        kind="global" if is_global else None,
        body=body,
    )


def step_ended(
    stream: Stream,
    at_us: int,
    step_id: str,
    name: str,
    status: StepStatus,
    *,
    duration_us: int | None = None,
    error: str | None = None,
    error_type: str | None = None,
    update: Any = None,
) -> Draft:
    """A node ended. `update` is what it returned (any value, frozen); None: nothing, or not captured."""
    body: dict[str, Any] = {} if error is None else {"error": error}
    if update is not None:
        body["@update"] = update
    return Draft(
        stream,
        "step_ended",
        at_us,
        step_id=step_id,
        name=name or None,
        status=status.value,
        duration_us=duration_us,
        error_type=error_type,
        body=body,
    )


def event(
    stream: Stream,
    at_us: int,
    step_id: str,
    kind: EventKind,
    name: str,
    *,
    payload: Mapping[str, Any] | None = None,
    duration_us: int | None = None,
    ttft_us: int | None = None,
    model: str | None = None,
    tokens: Tokens | None = None,
    error: str | None = None,
    error_type: str | None = None,
    subtype: str | None = None,
    event_id: str | None = None,
) -> Draft:
    """Something happened inside a step; `at_us` is when it began. Without `event_id` the log position names it."""
    body: dict[str, Any] = {"@payload": payload} if payload else {}
    if error is not None:
        body["error"] = error
    if subtype is not None:
        body["subtype"] = subtype
    return Draft(
        stream,
        "event_recorded",
        at_us,
        step_id=step_id,
        event_id=event_id,
        name=name,
        kind=kind.value,
        duration_us=duration_us,
        ttft_us=ttft_us,
        model=model,
        tokens=tokens,
        error_type=error_type,
        body=body,
    )


def extraction(stream: Stream, at_us: int, step_id: str, values: Mapping[str, Any]) -> Draft:
    """A step pulled structured data; `values` are the fields of `core.model.Extraction`."""
    name = str(values.get("schema_name", ""))
    return Draft(stream, "extraction_recorded", at_us, step_id=step_id, name=name, body={"@extraction": dict(values)})


def intent_switched(
    stream: Stream, at_us: int, switch_id: str, to_step: str, reason: str, from_step: str | None
) -> Draft:
    """A global step was entered."""
    body = {"id": switch_id, "reason": reason, "from": from_step}
    return Draft(stream, "intent_switched", at_us, name=to_step, body=body)


def engagement_status(stream: Stream, at_us: int, status: EngagementStatus) -> Draft:
    """The engagement paused, or goes on."""
    return Draft(stream, "engagement_status_changed", at_us, status=status.value)


def engagement_ended(
    stream: Stream,
    at_us: int,
    status: EngagementStatus,
    *,
    dropped_at: str | None = None,
    error: str | None = None,
) -> Draft:
    """The engagement ended, as far as is known. `dropped_at` is the name of its last step."""
    body = {} if error is None else {"error": error}
    return Draft(stream, "engagement_ended", at_us, name=dropped_at, status=status.value, body=body)


def gap(stream: Stream, at_us: int, reason: str, count: int, detail: str = "") -> Draft:
    """`count` records were lost here."""
    return Draft(stream, "gap", at_us, kind=reason, body={"count": count, "detail": detail})
