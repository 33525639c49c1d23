"""An engagement as the plain JSON that the browser draws. Pure."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Literal

from ..core.model import Engagement, EngagementStatus, EventKind, Extraction, Step, StepEvent, StepStatus, TokenUsage
from ..timeline import TimelineLane, TimelineMark, TimelineView, build_timeline
from .graph import GraphBuilder, count_visits, is_failing
from .layout import layout_graph
from .preview import PREVIEW_BYTES, Resolve, preview, preview_ref
from .protocol import (
    PROTOCOL_VERSION,
    EngagementPayload,
    EventDetail,
    ExtractionDetail,
    GapRow,
    Lane,
    Mark,
    StepDetail,
    StepRow,
    Summary,
    Switch,
    Timeline,
    Tokens,
)

Details = Literal["preview", "none"]

_IDLE_MIN_MS = 1_000.0
_IDLE_SHARE = 0.25
"""A pause is drawn short when it is longer than this share of all the time in which steps ran."""


def engagement_payload(
    engagement: Engagement,
    *,
    details: Details = "preview",
    resolve: Resolve | None = None,
    preview_bytes: int | None = PREVIEW_BYTES,
) -> EngagementPayload:
    """Everything that the view of `engagement` needs (see `protocol.py`).

    `details="none"` leaves out states, updates and events' payloads. `resolve` turns a value held by reference into the
    plain value; without it references stay references. `preview_bytes` is the size to which each value is cut (the cut
    says so itself); None cuts nothing.
    """
    graph = GraphBuilder(engagement)
    timeline = build_timeline(engagement)
    at = {step.id: index for index, step in enumerate(engagement.steps)}
    offsets = {lane.step_id: lane for lane in timeline.lanes}
    n_visits = count_visits(graph.step_nodes, engagement.steps)
    rows = [
        _step_row(step, offsets[step.id], graph.step_nodes[index], n_visits[index], at)
        for index, step in enumerate(engagement.steps)
    ]
    whole = details == "preview"
    return EngagementPayload(
        v=PROTOCOL_VERSION,
        engagement=_summary(engagement, timeline, preview_bytes),
        has_topology=graph.has_topology,
        nodes=graph.nodes,
        edges=graph.edges,
        layout=layout_graph(graph.nodes, graph.edges),
        steps=rows,
        causes=graph.causes,
        timeline=_timeline(engagement, timeline, at),
        gaps=[GapRow(reason=gap.reason, count=gap.count, detail=gap.detail) for gap in engagement.gaps],
        details=[_detail(step, engagement, resolve, preview_bytes) for step in engagement.steps] if whole else [],
    )


def _summary(engagement: Engagement, timeline: TimelineView, limit: int | None) -> Summary:
    events = [event for step in engagement.steps for event in step.events]
    return Summary(
        id=engagement.id,
        name=engagement.name,
        status=engagement.status.value,
        started_at=_iso(engagement.started_at),
        ended_at=_iso(engagement.ended_at) if engagement.ended_at else None,
        duration_ms=round(timeline.total_ms, 3),
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
    )


def _iso(moment: datetime) -> str:
    aware = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return aware.astimezone(UTC).isoformat()


def _step_row(step: Step, lane: TimelineLane, node: int, n_visits: int, at: dict[str, int]) -> StepRow:
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
        offset_ms=round(lane.offset_ms, 3),
        duration_ms=round(lane.duration_ms, 3),
        total_tokens=step.total_tokens,
        n_events=len(step.events),
        failing=is_failing(step),
        error=step.error,
    )


def _timeline(engagement: Engagement, timeline: TimelineView, at: dict[str, int]) -> Timeline:
    lanes = []
    for lane in timeline.lanes:
        index = at[lane.step_id]
        step = engagement.steps[index]
        unfinished = step.ended_at is None and step.duration_ms is None
        lanes.append(
            Lane(
                step=index,
                offset_ms=round(lane.offset_ms, 3),
                duration_ms=round(lane.duration_ms, 3),
                open=unfinished and step.status is StepStatus.RUNNING,
                marks=[_mark(mark, number) for number, mark in enumerate(lane.events)],
            )
        )
    running = engagement.status is EngagementStatus.ACTIVE
    return Timeline(
        total_ms=round(timeline.total_ms, 3),
        lanes=lanes,
        switches=_switches(engagement, timeline),
        idle=[] if running and len(lanes) < 2 else find_idle(timeline),
    )


def _mark(mark: TimelineMark, number: int) -> Mark:
    return Mark(
        kind=mark.kind,
        name=mark.name,
        offset_ms=round(mark.offset_ms, 3),
        duration_ms=round(mark.duration_ms, 3),
        ttft_ms=mark.ttft_ms,
        event=number,
        failed=mark.error is not None,
        discarded=mark.discarded,
    )


def _switches(engagement: Engagement, timeline: TimelineView) -> list[Switch]:
    offsets = {mark.event_id: mark.offset_ms for mark in timeline.intent_switches}
    switches = []
    for switch in sorted(engagement.intent_switches, key=lambda one: offsets[one.id]):
        # The step that it entered is the first of that name that did not begin clearly before it.
        near = [i for i, step in enumerate(engagement.steps) if step.name == switch.to_step]
        later = [i for i in near if engagement.steps[i].started_at >= switch.ts]
        entered = later[0] if later else near[-1] if near else None
        switches.append(
            Switch(
                offset_ms=round(offsets[switch.id], 3),
                from_step=switch.from_step,
                to_step=switch.to_step,
                reason=switch.reason,
                step=entered,
            )
        )
    return switches


def find_idle(timeline: TimelineView) -> list[list[float]]:
    """Stretches `[from, to]` in ms between steps that are long beside the work: a human was thinking."""
    spans = sorted((lane.offset_ms, lane.offset_ms + lane.duration_ms) for lane in timeline.lanes)
    gaps, busy, reach = [], 0.0, spans[0][0] if spans else 0.0
    for start, end in spans:
        if start > reach:
            gaps.append([reach, start])
        busy += max(end - max(start, reach), 0.0)
        reach = max(reach, end)
    least = max(_IDLE_MIN_MS, busy * _IDLE_SHARE)
    return [[round(start, 3), round(end, 3)] for start, end in gaps if end - start > least]


def _detail(step: Step, engagement: Engagement, resolve: Resolve | None, limit: int | None) -> StepDetail:
    return StepDetail(
        state=preview_ref(step.state_ref, resolve=resolve, limit=limit),
        update=preview_ref(step.update_ref, resolve=resolve, limit=limit),
        extraction=_extraction(step.extraction, limit) if step.extraction else None,
        events=[_event(event, engagement.started_at, limit) for event in step.events],
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


def _event(event: StepEvent, start: datetime, limit: int | None) -> EventDetail:
    return EventDetail(
        id=event.id,
        kind=event.kind.value,
        name=event.name,
        offset_ms=round((event.ts - start).total_seconds() * 1000, 3),
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
