"""From the spans of one trace to the records of one turn: which are steps, which are events, and what led to what.

The span at the top is the engagement; what it does itself is a step of its name. Workflows, agents and chains below it
are steps, inside one another as the spans are; calls of models and tools are events of the step around them.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from ..core.model import EngagementStatus, EventKind, StepStatus
from ..store import build
from ..store.draft import Draft, Stream
from ._forms import Span, stable_id
from ._report import Report
from ._semconv import STEPS

_PAUSES = ("GraphInterrupt", "NodeInterrupt", "Interrupt", "GraphBubbleUp")
_MAX_NS = 50
"""Levels of steps inside steps that `ns` tells apart."""


@dataclass(slots=True, eq=False)
class Node:
    """A span with its place."""

    span: Span
    parent: Node | None = None
    children: list[Node] = field(default_factory=list)
    step_id: str | None = None
    """Set where it is a step."""
    ns: str = ""
    end_us: int = 0
    """When it and all in it had ended, as far as is known."""
    triggers: list[str] = field(default_factory=list)
    level: int = 0


@dataclass(slots=True)
class Turn:
    """What a trace comes to."""

    name: str
    metadata: dict[str, Any]
    start_us: int
    end_us: int
    status: EngagementStatus
    error: str | None
    dropped_at: str | None
    records: list[tuple[tuple[int, int, int], Any]]


def turn_of(spans: list[Span], report: Report) -> Turn:
    """Read a trace. `records` are functions of a stream that give a draft, with a key to sort them by."""
    nodes, tops = _linked(spans, report)
    roots = [top for top in tops if top.span.reading.kind in STEPS]
    root = roots[0] if len(roots) == 1 else None
    first = root or tops[0]
    writing = _Writing(report)
    for top in tops:
        if top is root:
            writing.inside(top, None, own_name=top.span.reading.name)
        else:
            writing.take(top, None, None)
    status, error = _outcome(first.span, writing)
    metadata: dict[str, Any] = {}
    for node in nodes:
        for key, value in node.span.metadata.items():
            metadata.setdefault(key, value)
    ours = first.span.ours
    metadata = ours.get("metadata", metadata) if isinstance(ours.get("metadata"), dict) else metadata
    start = min(span.start_us for span in spans)
    end = max([node.end_us for node in nodes] + [start])
    last = writing.last
    dropped = last if status in (EngagementStatus.FAILED, EngagementStatus.ABANDONED) else None
    dropped = ours.get("dropped_at", dropped)
    name = str(ours.get("name") or first.span.reading.name)
    return Turn(name, metadata, start, end, status, error, dropped, writing.records)


def _outcome(span: Span, writing: _Writing) -> tuple[EngagementStatus, str | None]:
    told = span.ours.get("status")
    if told in EngagementStatus.__members__.values():
        return EngagementStatus(str(told)), span.error
    if span.error_type in _PAUSES or writing.is_paused:
        return EngagementStatus.PAUSED, None
    if span.error is not None:
        return EngagementStatus.FAILED, span.error
    return (EngagementStatus.ACTIVE if span.end_us is None else EngagementStatus.COMPLETED), None


def _linked(spans: list[Span], report: Report) -> tuple[list[Node], list[Node]]:
    """Every span in its place, and those with none above them, by time."""
    known: dict[str, Node] = {}
    is_ours = any("n" in span.ours for span in spans)  # written in order, which times of equal steps do not tell
    for span in sorted(spans, key=lambda one: (0 if is_ours else one.start_us, one.place)):
        if span.id in known:
            report.add("left out", "(span)", "its id is taken by another span of its trace")
        else:
            known[span.id] = Node(span)
    nodes = list(known.values())
    for node in nodes:
        node.parent = None if node.span.parent is None else known.get(node.span.parent)
        if node.parent is not None:
            node.parent.children.append(node)
        elif node.span.parent is not None:
            report.add("guessed", "(parent)", "the parent is not in the file: taken as the top")
    tops = [node for node in nodes if node.parent is None]
    order = _below(tops)
    if len(order) < len(nodes):
        seen = {id(node) for node in order}
        for node in nodes:  # what is left is inside itself: the earliest of each circle is its top
            if id(node) not in seen and node.parent is not None:
                report.add("left out", "(parent)", "spans that are inside each other")
                node.parent.children.remove(node)
                node.parent = None
                tops.append(node)
                found = _below([node])
                seen.update(map(id, found))
                order += found
    for node in reversed(order):
        ends = [child.end_us for child in node.children]
        told = node.span.end_us
        node.end_us = max(told, node.span.start_us) if told is not None else max([node.span.start_us, *ends])
    return nodes, tops


def _below(tops: list[Node]) -> list[Node]:
    """`tops` and all that is below them, each after what is around it."""
    todo, order, seen = list(tops), list[Node](), set[int]()
    while todo:
        node = todo.pop()
        if id(node) not in seen:
            seen.add(id(node))
            order.append(node)
            todo += node.children
    return order


class _Writing:
    def __init__(self, report: Report) -> None:
        self.report = report
        self.records: list[tuple[tuple[int, int, int], Any]] = []
        self.is_paused = False
        self.last: str | None = None
        self._last_at = -1
        self._n = 0
        self._todo: list[tuple[Node, Node | None, str]] = []
        self._steps: dict[str, str] = {}
        self._floor: dict[str, int] = {}
        """When the latest event of a step was, so that events of ours keep their order."""

    def _add(self, at_us: int, rank: int, make: Any) -> None:
        self._n += 1
        self.records.append(((at_us, rank, self._n), make))

    # --- steps ---

    def inside(self, node: Node, step: Node | None, own_name: str = "") -> None:
        """What a span did: below it are steps and events; `step` is the one around it."""
        self._todo.append((node, step, own_name))
        while self._todo:
            self._inside(*self._todo.pop())

    def _inside(self, node: Node, step: Node | None, own_name: str) -> None:
        todo = [(child, step) for child in reversed(node.children)]
        own: Node | None = None
        steps: list[Node] = []
        while todo:
            child, around = todo.pop()
            reading = child.span.reading
            if reading.kind in STEPS and not child.span.is_inner and not self._repeats(child, node, own_name):
                self._place(child, step)
                steps.append(child)
            elif reading.kind in STEPS or (reading.kind == "other" and not child.span.logs):
                todo += [(one, around) for one in reversed(child.children)]
                if reading.kind == "other":
                    self.report.add("left out", "(span of no known kind)", "what is inside it is kept")
            else:
                if around is None and own is None:
                    own = self._own(node, own_name)
                    steps.append(own)
                self._event(child, around or own)
                todo += [(one, around) for one in reversed(child.children) if not self._is_same_call(one, child)]
        if node.span.logs:
            if step is None and own is None and steps:
                own = steps[0]
            elif step is None and own is None:
                own = self._own(node, own_name)
                steps.append(own)
            self._logs(node, step or own)
        if step is None and not steps:
            steps.append(self._own(node, own_name))
        self._cause(steps)
        for one in sorted(steps, key=lambda each: each.span.start_us):
            self._write(one)
            if one is not own:
                self._todo.append((one, one, ""))

    def take(self, node: Node, step: Node | None, _: None) -> None:
        """A span at the top of a trace that has several of them."""
        holder = Node(node.span, children=[node])
        holder.span = _bare(node.span)
        holder.end_us = node.end_us
        self.inside(holder, step, own_name=node.span.reading.name)

    def _repeats(self, child: Node, node: Node, own_name: str) -> bool:
        """Whether a chain only repeats the span of the engagement around it."""
        return (
            bool(own_name)
            and child.span.reading.kind == "chain"
            and child.span.reading.name == own_name
            and not child.span.ours
        )

    def _is_same_call(self, one: Node, call: Node) -> bool:
        """Whether a call of a model inside a call of a model is the same, told by a layer below."""
        models = ("llm", "embedding")
        if one.span.reading.kind in models and call.span.reading.kind in models:
            self.report.add("left out", "(call inside a call)", "the same call, told by another layer")
            return True
        return False

    def _own(self, node: Node, name: str) -> Node:
        """The step for what the span of an engagement does itself."""
        self.report.add("guessed", "(step)", "what the span at the top does itself is a step of its name")
        own = Node(node.span, end_us=node.end_us)
        own.step_id = stable_id(node.span.id, "own")
        return own

    def _place(self, node: Node, step: Node | None) -> None:
        ours = node.span.ours.get("step_id")
        node.step_id = str(ours) if ours else node.span.id
        if node.step_id in self._steps and self._steps[node.step_id] != node.span.id:
            node.step_id = stable_id(node.span.trace, node.span.id)
        self._steps[node.step_id] = node.span.id
        if step is not None:
            node.parent, node.level = step, step.level + 1
            node.ns = step.ns
            if node.level <= _MAX_NS:
                node.ns = f"{step.ns}/{step.span.reading.name}" if step.ns else step.span.reading.name

    def _cause(self, steps: list[Node]) -> None:
        """Which steps led to which: those that had ended last when it began, or the one that it names."""
        running: list[Node] = []
        latest: list[Node] = []
        by_task: dict[str, Node] = {}
        for node in sorted(steps, key=lambda one: (one.span.start_us, one.span.place)):
            start, reading = node.span.start_us, node.span.reading
            ended = sorted((one for one in running if one.end_us <= start), key=lambda one: one.end_us)
            if ended:
                running = [one for one in running if one.end_us > start]
                begun = max(one.span.start_us for one in (*latest, *ended))
                latest = [one for one in (*latest, *ended) if one.end_us > begun or one.span.start_us == begun]
            named = by_task.get(reading.node_parent) if reading.node_parent is not None else None
            node.triggers = [one.step_id or "" for one in ([named] if named is not None else latest)]
            told = node.span.ours.get("triggers")
            if isinstance(told, list):
                node.triggers = [str(one) for one in told]
            if reading.node is not None:
                by_task[reading.node] = node
            running.append(node)

    def _write(self, node: Node) -> None:
        span, reading, step_id = node.span, node.span.reading, node.step_id or ""
        ours, name = span.ours, str(span.ours.get("name") or span.reading.name)
        parent = node.parent.step_id if node.parent is not None else None
        visit, attempt = ours.get("visit"), ours.get("attempt", 1)
        routes = ours.get("routes")
        options: dict[str, Any] = {
            "tools": ours.get("tools") if isinstance(ours.get("tools"), list) else reading.tools,
            "is_global": bool(ours.get("is_global")),
            "parent_step_id": parent,
            "ns": str(ours.get("ns", node.ns)),
            "visit": visit if isinstance(visit, int) else None,
            "attempt": attempt if isinstance(attempt, int) else 1,
            "triggers": node.triggers,
            "state": reading.input,
            "routes": routes if isinstance(routes, dict) and all(isinstance(v, str) for v in routes.values()) else None,
        }
        self._add(span.start_us, 0, lambda s: build.step_started(s, span.start_us, step_id, name, **options))
        extraction = ours.get("extraction")
        if isinstance(extraction, dict) and isinstance(extraction.get("schema_name"), str):
            self._add(node.end_us, 1, lambda s: build.extraction(s, node.end_us, step_id, extraction))
        if node.end_us >= self._last_at:
            self._last_at, self.last = node.end_us, name
        status = self._status(span)
        if status is StepStatus.RUNNING:
            return
        end, error = node.end_us, None if status is StepStatus.WAITING else span.error
        took = end - span.start_us if span.end_us is not None else None
        took = ours.get("duration_us") if ours.get("step_id") else took
        self._add(
            end,
            2,
            lambda s: build.step_ended(
                s,
                end,
                step_id,
                name,
                status,
                duration_us=took if isinstance(took, int) else None,
                error=error,
                error_type=None if error is None else span.error_type,
                update=reading.output,
            ),
        )

    def _status(self, span: Span) -> StepStatus:
        told = span.ours.get("step_status")
        if told in StepStatus.__members__.values():
            return StepStatus(str(told))
        if span.error_type in _PAUSES:
            self.is_paused = True
            return StepStatus.WAITING
        if span.error is not None:
            return StepStatus.FAILED
        return StepStatus.RUNNING if span.end_us is None else StepStatus.COMPLETED

    # --- events ---

    def _event(self, node: Node, step: Node | None) -> None:
        if step is None:
            return
        span, reading, step_id = node.span, node.span.reading, step.step_id or ""
        kind, subtype, payload = _payload(span)
        told = span.ours.get("kind")
        if told in EventKind.__members__.values():
            kind = EventKind(str(told))
        if isinstance(span.ours.get("payload"), dict):
            payload = span.ours["payload"]
        name = str(span.ours.get("name") or (reading.model if kind is EventKind.LLM_CALL else None) or reading.name)
        took = None if span.end_us is None else max(span.end_us - span.start_us, 0)
        ttft = None if reading.ttft_s is None else round(reading.ttft_s * 1e6)
        event_id = str(span.ours.get("event_id") or span.id)
        options: dict[str, Any] = {
            "payload": payload,
            "duration_us": span.ours.get("duration_us") if span.ours.get("event_id") else took,
            "ttft_us": ttft,
            "model": reading.model,
            "tokens": reading.tokens,
            "error": span.error,
            "error_type": span.error_type,
            "subtype": span.ours.get("subtype", subtype),
            "event_id": event_id,
        }
        key_at = max(span.start_us, self._floor.get(step_id, 0)) if "n" in span.ours else span.start_us
        self._floor[step_id] = key_at
        self._add(key_at, 1, lambda s: build.event(s, span.start_us, step_id, kind, name, **options))
        self._logs(node, step)

    def _logs(self, node: Node, step: Node | None) -> None:
        for n, log in enumerate(node.span.logs if step is not None else ()):
            step_id = "" if step is None else step.step_id or ""
            self._log(log, step_id, stable_id(node.span.trace, node.span.id, n))

    def _log(self, log: Any, step_id: str, event_id: str) -> None:
        self._add(
            log.at_us,
            1,
            lambda s: build.event(
                s,
                log.at_us,
                step_id,
                EventKind.LOG,
                log.name,
                payload=log.payload,
                event_id=event_id,
            ),
        )


def _payload(span: Span) -> tuple[EventKind, str | None, dict[str, Any]]:
    reading = span.reading
    if reading.kind in ("llm", "embedding"):
        payload = {
            "messages": reading.messages,
            "parameters": reading.parameters or None,
            "response": reading.response,
            "provider": reading.provider,
        }
        subtype = "embedding" if reading.kind == "embedding" else None
        return EventKind.LLM_CALL, subtype, {key: value for key, value in payload.items() if value is not None}
    if reading.kind == "tool":
        payload = {"args": reading.input, "result": reading.output, "call_id": reading.call_id}
        return EventKind.TOOL_CALL, None, {key: value for key, value in payload.items() if value is not None}
    if reading.kind in ("retriever", "reranker"):
        return EventKind.TOOL_CALL, reading.kind, {"query": reading.input, "documents": reading.output}
    payload = {"input": reading.input, "output": reading.output}
    subtype = "check" if reading.kind == "check" else None
    return EventKind.LOG, subtype, {key: value for key, value in payload.items() if value is not None}


def _bare(span: Span) -> Span:
    """A stand-in for the span above one that has none."""
    from ._semconv import Reading

    reading = Reading("chain", span.reading.name)
    return Span(span.trace, stable_id(span.id, "above"), None, span.start_us, span.end_us, reading)


def drafts(turn: Turn, stream: Stream, *, is_first: bool) -> Iterator[Draft]:
    """The records of a turn, in order."""
    if is_first:
        yield build.engagement_started(stream, turn.start_us, turn.name, metadata=turn.metadata)
    for _, make in sorted(turn.records, key=lambda one: one[0]):
        yield make(stream)
    if turn.status is EngagementStatus.PAUSED:
        yield build.engagement_status(stream, turn.end_us, turn.status)
    elif turn.status is not EngagementStatus.ACTIVE:
        yield build.engagement_ended(stream, turn.end_us, turn.status, dropped_at=turn.dropped_at, error=turn.error)
