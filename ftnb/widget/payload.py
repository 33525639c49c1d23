"""An engagement as the plain JSON that the browser draws. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Literal

from ..core.model import Engagement, EngagementStatus, EventKind, Extraction, Step, StepEvent, TokenUsage
from ..timeline import offset_ms
from .columns import MANY_MARKS, mark_columns
from .graph import GraphBuilder, count_visits, is_failing
from .layout import layout_graph
from .preview import PREVIEW_BYTES, Resolve, preview, preview_ref
from .protocol import (
    PROTOCOL_VERSION,
    AnnotationRow,
    EngagementPayload,
    EventDetail,
    ExtractionDetail,
    GapRow,
    Lane,
    Mark,
    Node,
    StepDetail,
    StepRow,
    Summary,
    Switch,
    Timeline,
    Tokens,
)
from .times import Times, find_waits, idle_of, is_open, n_events, times_of

Details = Literal["preview", "none"]


def engagement_payload(
    engagement: Engagement,
    *,
    details: Details = "preview",
    resolve: Resolve | None = None,
    preview_bytes: int | None = PREVIEW_BYTES,
    costs: Mapping[str, float] | None = None,
) -> EngagementPayload:
    """Everything that the view of `engagement` needs (see `protocol.run`).

    `details="none"` leaves out states, updates and events' payloads. `resolve` turns a value held by reference into the
    plain value; without it references stay references. `preview_bytes` is the size to which each value is cut (the cut
    says so itself); None cuts nothing. `costs` are what steps cost, by step id.

    The marks of a run with many events that is over come as columns (`payload["marks"]`); see also `columns.pack`.
    """
    graph = GraphBuilder(engagement)
    times = times_of(engagement)
    at = {step.id: index for index, step in enumerate(engagement.steps)}
    n_visits = count_visits(graph.step_nodes, engagement.steps)
    rows = [
        _step_row(step, index, times, graph.step_nodes[index], n_visits[index], at)
        for index, step in enumerate(engagement.steps)
    ]
    add_costs(graph.nodes, rows, costs or {})
    running = engagement.status is EngagementStatus.ACTIVE
    many = not running and n_events(engagement.steps) >= MANY_MARKS
    whole = details == "preview"
    return EngagementPayload(
        v=PROTOCOL_VERSION,
        engagement=_summary(engagement, times, preview_bytes),
        has_topology=graph.has_topology,
        nodes=graph.nodes,
        edges=graph.edges,
        layout=layout_graph(graph.nodes, graph.edges),
        steps=rows,
        causes=graph.causes,
        timeline=_timeline(engagement, times, at, with_marks=not many),
        gaps=[GapRow(reason=gap.reason, count=gap.count, detail=gap.detail) for gap in engagement.gaps],
        details=[step_detail(step, times.start, resolve, preview_bytes) for step in engagement.steps] if whole else [],
        annotations=annotation_rows(engagement, at),
        following=None,
        seq=0,
        marks=mark_columns(engagement, times) if many else None,
        columns=None,
    )


def annotation_rows(engagement: Engagement, at: dict[str, int]) -> list[AnnotationRow]:
    """What was said about the engagement and its steps; `at` gives the index of a step id."""
    return [
        AnnotationRow(
            label=one.label,
            value=one.value,
            by=one.by,
            note=one.note,
            step=at.get(one.step_id) if one.step_id else None,
            at=_iso(one.ts),
        )
        for one in engagement.annotations
    ]


def _summary(engagement: Engagement, times: Times, limit: int | None) -> Summary:
    events = [event for step in engagement.steps for event in step.events]
    return Summary(
        id=engagement.id,
        name=engagement.name,
        status=engagement.status.value,
        started_at=_iso(engagement.started_at),
        ended_at=_iso(engagement.ended_at) if engagement.ended_at else None,
        duration_ms=times.whole_ms,
        total_tokens=engagement.total_tokens,
        discarded_tokens=sum(step.discarded_tokens for step in engagement.steps),
        n_turns=engagement.n_turns,
        n_llm_calls=sum(event.kind is EventKind.LLM_CALL for event in events),
        n_tool_calls=sum(event.kind is EventKind.TOOL_CALL for event in events),
        n_failing_steps=sum(is_failing(step) for step in engagement.steps),
        dropped_at=engagement.dropped_at,
        error=engagement.error,
        parent_id=engagement.parent_id,
        metadata=preview(engagement.metadata, limit=limit),
        audit=None,
    )


def _iso(moment: datetime) -> str:
    aware = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return aware.astimezone(UTC).isoformat()


def add_costs(nodes: list[Node], rows: list[StepRow], costs: Mapping[str, float]) -> None:
    """Write what the steps cost into them and their nodes."""
    for row in rows:
        cost = costs.get(row["id"])
        if cost is not None:
            row["cost"] = cost
            nodes[row["node"]]["cost"] = (nodes[row["node"]]["cost"] or 0.0) + cost


def _step_row(step: Step, index: int, times: Times, node: int, n_visits: int, at: dict[str, int]) -> StepRow:
    return StepRow(
        id=step.id,
        name=step.name,
        node=node,
        visit=step.visit,
        n_visits=n_visits,
        attempt=step.attempt,
        turn=step.turn,
        ns=step.ns,
        status=step.status.value,
        is_global=step.is_global,
        parent=at.get(step.parent_step_id) if step.parent_step_id else None,
        offset_ms=times.offsets[index],
        duration_ms=times.durations[index],
        total_tokens=step.total_tokens,
        cost=None,
        n_events=len(step.events),
        failing=is_failing(step),
        error=step.error,
    )


def _timeline(engagement: Engagement, times: Times, at: dict[str, int], *, with_marks: bool) -> Timeline:
    steps = engagement.steps
    lanes = [
        Lane(
            step=index,
            offset_ms=times.offsets[index],
            duration_ms=times.durations[index],
            open=is_open(steps[index]),
            marks=[_mark(e, times, n) for n, e in enumerate(steps[index].events)] if with_marks else [],
        )
        for index in times.order
    ]
    return Timeline(
        total_ms=times.total_ms,
        lanes=lanes,
        switches=_switches(engagement, times),
        idle=idle_of(engagement, times),
        waits=find_waits(engagement, times),
    )


def _mark(event: StepEvent, times: Times, number: int) -> Mark:
    return Mark(
        kind=event.kind.value,
        name=event.name,
        offset_ms=times.at(event.ts),
        duration_ms=round(event.duration_ms or 0.0, 3),
        ttft_ms=event.ttft_ms,
        event=number,
        failed=event.error is not None,
        discarded=event.discarded,
    )


def _switches(engagement: Engagement, times: Times) -> list[Switch]:
    switches = []
    for switch in sorted(engagement.intent_switches, key=lambda one: times.at(one.ts)):
        # The step that it entered is the first of that name that did not begin clearly before it.
        near = [i for i, step in enumerate(engagement.steps) if step.name == switch.to_step]
        later = [i for i in near if times.offsets[i] >= times.at(switch.ts)]
        entered = later[0] if later else near[-1] if near else None
        switches.append(
            Switch(
                offset_ms=times.at(switch.ts),
                from_step=switch.from_step,
                to_step=switch.to_step,
                reason=switch.reason,
                step=entered,
            )
        )
    return switches


def step_detail(
    step: Step,
    start: datetime,
    resolve: Resolve | None,
    limit: int | None,
    event: Callable[[StepEvent, datetime, int | None], EventDetail] | None = None,
) -> StepDetail:
    """What the inspector shows of `step`; `start` is the moment from which times count, `event` makes its events."""
    make = event or event_detail
    return StepDetail(
        state=preview_ref(step.state_ref, resolve=resolve, limit=limit),
        update=preview_ref(step.update_ref, resolve=resolve, limit=limit),
        extraction=_extraction(step.extraction, limit) if step.extraction else None,
        events=[make(one, start, limit) for one in step.events],
        error_type=step.error_type,
        tools_available=list(step.tools_available),
    )


def _extraction(extraction: Extraction, limit: int | None) -> ExtractionDetail:
    return ExtractionDetail(
        schema_name=extraction.schema_name,
        confidence=extraction.confidence,
        valid=extraction.valid,
        values=preview(extraction.values, limit=limit),
    )


def event_detail(event: StepEvent, start: datetime, limit: int | None) -> EventDetail:
    """What the inspector shows of an event."""
    return EventDetail(
        id=event.id,
        kind=event.kind.value,
        name=event.name,
        offset_ms=round(offset_ms(event.ts, start), 3),
        duration_ms=event.duration_ms,
        ttft_ms=event.ttft_ms,
        model=event.model,
        subtype=event.subtype,
        error=event.error,
        error_type=event.error_type,
        discarded=event.discarded,
        tokens=_tokens(event.tokens) if event.tokens else None,
        payload=preview(event.payload, limit=limit),
    )


def _tokens(usage: TokenUsage) -> Tokens:
    return Tokens(
        prompt=usage.prompt,
        completion=usage.completion,
        total=usage.total,
        cache_read=usage.cache_read,
        cache_write=usage.cache_write,
        reasoning=usage.reasoning,
    )
