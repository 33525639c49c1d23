"""Langfuse: a trace with its observations (`trace-<id>.json`), traces and observations one a line or in a list, or the
answer of its API to a question for observations (`{"data": […]}`), in which these name their trace themselves."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from . import langsmith
from ._forms import BadItem, Span, mapping, micros_of, text_of
from ._semconv import Kind, Reading
from ._source import Source
from ._usage import tokens_of

_KINDS: dict[str, Kind] = {
    "SPAN": "chain", "CHAIN": "chain", "AGENT": "agent", "GENERATION": "llm", "EMBEDDING": "embedding", "TOOL": "tool",
    "RETRIEVER": "retriever", "EVALUATOR": "check", "GUARDRAIL": "check", "EVENT": "other",
}  # fmt: skip
_USED = {
    "id": "events.event_id, steps.step_id", "traceId": "engagement", "trace_id": "engagement", "type": "kind",
    "name": "name", "startTime": "started_at", "endTime": "ended_at", "completionStartTime": "events.ttft_ms",
    "model": "events.model", "modelParameters": "payload.parameters", "input": "input, payload",
    "output": "output, payload", "usageDetails": "events.*_tokens", "usage": "events.*_tokens", "level": "status",
    "statusMessage": "error", "parentObservationId": "steps.parent_step_id", "metadata": "metadata",
    "userId": "metadata.user_id", "sessionId": "engagement, metadata.session_id", "tags": "metadata.tags",
}  # fmt: skip
_TRACE = {
    "id": "engagement", "name": "engagements.name", "sessionId": "engagement, metadata.session_id",
    "userId": "metadata.user_id", "tags": "metadata.tags", "metadata": "metadata", "timestamp": "started_at",
    "observations": "steps and events", "input": "step input", "output": "step output", "release": "metadata",
    "version": "metadata", "environment": "metadata",
}  # fmt: skip


def spans(source: Source) -> Iterator[Span]:
    """The observations of a file, each trace as the span around its own."""
    traces: dict[str, tuple[int | None, dict[str, Any]]] = {}
    found: list[tuple[int | None, Any]] = []
    for line, value in source.objects(*([] if source.first_byte() == b"[" or source.is_lines() else [()])):
        _sort(line, value, traces, found)
    tops: dict[str, list[Span]] = {}
    for place, (at, one) in enumerate(found):
        span = source.guarded(at, one, lambda one=one: _span(one, source))  # type: ignore[misc]
        if span is not None:
            span.place = place
            tops.setdefault(span.trace, []).append(span)
    for key, (begun, about) in traces.items():
        span = source.guarded(begun, about, lambda: _top(key, about, tops.get(key, []), source))  # noqa: B023
        if span is not None:
            for one in tops.get(key, []):
                if one.parent is None:
                    one.parent = span.id
                one.conversation, one.metadata = span.conversation, {}
            yield span
    for members in tops.values():
        yield from members


def _sort(line: int | None, value: Any, traces: dict[str, Any], found: list[Any]) -> None:
    """A value as a trace, with what it holds, or as an observation."""
    if isinstance(value, list):
        for one in value:
            _sort(line, one, traces, found)
        return
    if not isinstance(value, dict):
        found.append((line, value))
        return
    if isinstance(value.get("data"), list):
        _sort(line, value["data"], traces, found)
        return
    trace = value["trace"] if isinstance(value.get("trace"), dict) else value if "observations" in value else None
    inside = value.get("observations")
    if trace is not None or ("traceId" not in value and "type" not in value and "timestamp" in value):
        about = trace if trace is not None else value
        traces[str(about.get("id"))] = (line, about)
        for one in inside if isinstance(inside, list) else ():
            found.append((line, one))
    else:
        found.append((line, value))


def _top(key: str, about: dict[str, Any], members: list[Span], source: Source) -> Span | None:
    for name in (name for name, held in about.items() if held not in (None, [], {}, "")):
        source.report.add(
            "mapped" if name in _TRACE else "left out", f"trace.{name}", _TRACE.get(name, "no place for it here")
        )
    told = micros_of(about.get("timestamp"))
    starts, ends = [one.start_us for one in members], [one.end_us or one.start_us for one in members]
    if told is None and not starts:
        raise BadItem("a trace without observations has no timestamp")
    start = min([*starts, *([] if told is None or starts else [told])])
    metadata = {k: about[k] for k in ("release", "version", "environment", "tags") if about.get(k)}
    held = about.get("metadata")
    if isinstance(held, dict):
        metadata = {**held, **metadata}
    for theirs, ours in (("userId", "user_id"), ("sessionId", "session_id")):
        if about.get(theirs):
            metadata[ours] = about[theirs]
    error = next((one for one in members if one.parent is None and one.error is not None), None)
    name = text_of(about.get("name"), "name") or "trace"
    return Span(
        key, f"trace:{key}", None, start, max([start, *ends]),
        Reading("workflow", name, input=about.get("input"), output=about.get("output")),
        error.error if error else None, conversation=text_of(about.get("sessionId"), "sessionId"), metadata=metadata,
    )  # fmt: skip


def _span(value: Any, source: Source) -> Span:
    item = mapping(value, "an observation")
    for key in (key for key, held in item.items() if held not in (None, [], {}, "")):
        source.report.add("mapped" if key in _USED else "left out", key, _USED.get(key, "no place for it here"))
    start = micros_of(item.get("startTime", item.get("start_time")))
    if start is None:
        raise BadItem("it has no startTime")
    key = text_of(item.get("id"), "id", required=True) or ""
    name = text_of(item.get("name"), "name") or str(item.get("type", "observation")).lower()
    error = str(item.get("statusMessage") or "failed") if item.get("level") == "ERROR" else None
    metadata = item.get("metadata")
    node = metadata.get("langgraph_node") if isinstance(metadata, dict) else None
    reading = _reading(item, name, start)
    parent = text_of(item.get("parentObservationId", item.get("parent_observation_id")), "parentObservationId")
    return Span(
        text_of(item.get("traceId", item.get("trace_id")), "traceId") or key, key, parent, start,
        micros_of(item.get("endTime", item.get("end_time"))), reading, error,
        conversation=text_of(item.get("sessionId"), "sessionId"), metadata={} if parent else _about(item),
        is_inner=reading.kind == "chain" and node is not None and node != name,
    )  # fmt: skip


def _about(item: Mapping[str, Any]) -> dict[str, Any]:
    """What the outermost observation says of the engagement, where there is no trace that does."""
    held = item.get("metadata")
    found = dict(held) if isinstance(held, dict) else {}
    for theirs, ours in (("userId", "user_id"), ("sessionId", "session_id"), ("tags", "tags")):
        if item.get(theirs):
            found[ours] = item[theirs]
    return found


def _reading(item: Mapping[str, Any], name: str, start: int) -> Reading:
    kind: Kind = _KINDS.get(str(item.get("type", "SPAN")).upper(), "chain")
    given, made = item.get("input"), item.get("output")
    if kind in ("llm", "embedding"):
        first = micros_of(item.get("completionStartTime"))
        parameters = item.get("modelParameters")
        model = text_of(item.get("model"), "model")
        asked = given.get("messages", [given]) if isinstance(given, dict) else given
        many = asked if isinstance(asked, list) else None if asked is None else [asked]
        return Reading(
            kind, name, model=model, tokens=tokens_of(item.get("usageDetails") or item.get("usage")),
            ttft_s=None if first is None else max(first - start, 0) / 1e6,
            parameters=parameters if isinstance(parameters, dict) else {},
            messages=None if many is None else [langsmith.message(one) for one in many],
            response=None if made is None else langsmith.message(made) if isinstance(made, dict)
            else {"role": "assistant", "content": made},
        )  # fmt: skip
    return Reading(kind, name, input=given, output=made)
