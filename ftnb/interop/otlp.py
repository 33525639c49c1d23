"""OTLP JSON: one document, or one a line, as collectors and file exporters write it; and spans as SDKs print them.

The attributes are those of OpenTelemetry's GenAI conventions, of the ones before them, or of OpenInference; those of
our own exports (`ftnb.…`) give back ids, statuses and visits.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Any

import orjson

from . import _fields, _semconv
from ._forms import BadItem, Log, Span, mapping, micros_of, micros_of_nanos, text_of
from ._semconv import Kind
from ._source import Source
from ._span_tokens import Tokens
from ._vendor import in_common_names

_SPAN = ("resourceSpans", "*", "scopeSpans", "*", "spans", "*")
_OLD_SPAN = ("resourceSpans", "*", "instrumentationLibrarySpans", "*", "spans", "*")
_ERROR = (2, "2", "STATUS_CODE_ERROR", "ERROR")
_MAX_DEPTH = 50
_IS_HEX = re.compile("[0-9a-fA-F]+").fullmatch
_PREFIX = "ftnb."
_TEXTS = (
    "engagement_id",
    "step_id",
    "event_id",
    "name",
    "status",
    "step_status",
    "kind",
    "subtype",
    "ns",
    "dropped_at",
    "error_text",
)


def spans(source: Source) -> Iterator[Span]:
    """The spans of an OTLP file."""
    for place, (line, value) in enumerate(_objects(source)):
        found = source.guarded(line, value, lambda value=value: span_of(value, source))  # type: ignore[misc]
        if found is not None:
            found.place = place
            yield found


def _objects(source: Source) -> Iterator[tuple[int | None, Any]]:
    if source.is_lines():
        for line, value in source.json_lines():
            yield from ((line, one) for one in _inside(value))
        return
    wanted = {_SPAN, _OLD_SPAN, ("*",)} if source.first_byte() == b"[" else {_SPAN, _OLD_SPAN}
    starred = {("*", *_SPAN), ("*", *_OLD_SPAN)}
    n = 0
    for _, line, value in source.json_items(lambda path: path in wanted, len(_SPAN) + 1):
        n += 1
        yield from ((line, one) for one in _inside(value))
    if n == 0 and source.first_byte() == b"{":
        for _, line, value in source.json_items(lambda path: path in starred or path == (), 1):
            yield from ((line, one) for one in _inside(value))


def _inside(value: Any) -> Iterator[Any]:
    """The spans of one value: a batch, a list, or a span itself."""
    if isinstance(value, list):
        for one in value:
            yield from _inside(one)
    elif isinstance(value, dict) and "resourceSpans" in value:
        for resource in value["resourceSpans"] or ():
            for scope in resource.get("scopeSpans") or resource.get("instrumentationLibrarySpans") or ():
                yield from scope.get("spans") or ()
    else:
        yield value


def span_of(value: Any, source: Source) -> Span:
    """One span. Raises BadItem."""
    item = mapping(value, "a span")
    if isinstance(item.get("context"), dict):
        return _printed(item, source)
    start = micros_of_nanos(item.get("startTimeUnixNano", item.get("start_time_unix_nano")))
    if start is None:
        raise BadItem("it has no startTimeUnixNano")
    status = mapping(item.get("status"), "status")
    logs = [_event(one) for one in item.get("events") or ()]
    return made(
        source,
        trace=_id(item.get("traceId", item.get("trace_id")), "traceId"),
        span=_id(item.get("spanId", item.get("span_id")), "spanId"),
        parent=_parent(item.get("parentSpanId", item.get("parent_span_id"))),
        name=text_of(item.get("name"), "name") or "(span)",
        start=start,
        end=micros_of_nanos(item.get("endTimeUnixNano", item.get("end_time_unix_nano"))),
        attributes=attributes_of(item.get("attributes")),
        failed=status.get("code") in _ERROR,
        message=status.get("message"),
        logs=logs,
        links=len(item.get("links") or ()),
    )


def _printed(item: dict[str, Any], source: Source) -> Span:
    """A span as `ReadableSpan.to_json` of OpenTelemetry's Python SDK writes it."""
    context, status = item["context"], mapping(item.get("status"), "status")
    start = micros_of(item.get("start_time"))
    if start is None:
        raise BadItem("it has no start_time")
    logs = [
        (micros_of(one.get("timestamp")) or start, str(one.get("name")), mapping(one.get("attributes"), "attributes"))
        for one in item.get("events") or ()
    ]
    return made(
        source,
        trace=_id(str(context.get("trace_id", "")).removeprefix("0x"), "trace_id"),
        span=_id(str(context.get("span_id", "")).removeprefix("0x"), "span_id"),
        parent=_parent(str(item.get("parent_id") or "").removeprefix("0x")),
        name=text_of(item.get("name"), "name") or "(span)",
        start=start,
        end=micros_of(item.get("end_time")),
        attributes=mapping(item.get("attributes"), "attributes"),
        failed=status.get("status_code") in _ERROR,
        message=status.get("description"),
        logs=logs,
        links=len(item.get("links") or ()),
    )


def made(
    source: Source, *, trace: str, span: str, parent: str | None, name: str, start: int, end: int | None,
    attributes: dict[str, Any], failed: bool, message: Any, logs: list[tuple[int, str, dict[str, Any]]],
    links: int = 0, kind: Kind | None = None,
) -> Span:  # fmt: skip
    """A span from its attributes, whatever file they came in."""
    report = source.report
    _fields.count(attributes, report)
    if links:
        report.add("left out", "(links)", "spans of other traces", links)
    ours = {
        key.removeprefix(_PREFIX): value if key.removeprefix(_PREFIX) in _TEXTS else loaded(value)
        for key, value in attributes.items() if key.startswith(_PREFIX)
    }  # fmt: skip
    told = {key: value for key, value in attributes.items() if not key.startswith(_PREFIX)} if ours else attributes
    told = in_common_names(told)
    raised = [given for _, log, given in logs if log == "exception"]
    error = error_type = None
    if isinstance(ours.get("error_text"), str) and not failed:
        error = ours["error_text"]
    if failed:
        last = raised[-1] if raised else {}
        error_type = str(last.get("exception.type") or told.get("error.type") or "").rpartition(".")[2] or None
        error = str(last.get("exception.message") or message or error_type or "failed")
    elif raised:
        report.add("left out", "(exception)", "of a span that did not fail", len(raised))
    messages = [{**given, "event.name": log} for _, log, given in logs if log.startswith("gen_ai.")]
    if messages and "events" not in told:
        told = {**told, "events": messages}
    langgraph = mapping_in(told.get("metadata")).get("langgraph_node")
    if kind is None and ours:
        kind = _kind_of_ours(ours)
    reading = _semconv.read(name, told, kind)
    if ours.get("payload") is not None and reading.ttft_s is None and isinstance(ours.get("ttft_us"), int):
        reading = replace(reading, ttft_s=ours["ttft_us"] / 1e6)
    if isinstance(ours.get("tokens"), list) and len(ours["tokens"]) == 6:
        reading = replace(reading, tokens=_counts(ours["tokens"]))
    if "state" in ours or "update" in ours:
        reading = replace(reading, input=ours.get("state"), output=ours.get("update"))
    return Span(
        trace, span, parent, start, end, reading, error, error_type,
        conversation=_semconv.conversation(told), metadata=_metadata(told, trace),
        logs=[Log(at, log, given) for at, log, given in logs if log != "exception" and not log.startswith("gen_ai.")],
        ours=ours, is_inner=langgraph is not None and reading.kind == "chain" and langgraph != name,
    )  # fmt: skip


def _counts(told: list[Any]) -> Tokens:
    prompt, completion, total, read, write, reasoning = map(int, told)
    return prompt, completion, total, read, write, reasoning


def _kind_of_ours(ours: dict[str, Any]) -> Kind | None:
    """What a span of our own export is."""
    if "kind" in ours:
        return "llm" if ours["kind"] == "llm_call" else "tool" if ours["kind"] == "tool_call" else "check"
    return "chain" if "step_id" in ours else "workflow" if "engagement_id" in ours else None


def _metadata(told: dict[str, Any], trace: str) -> dict[str, Any]:
    found = {key: value for key, value in _semconv.metadata(told).items() if not key.startswith("langgraph_")}
    found["trace_id"] = trace
    return found


def mapping_in(value: Any) -> dict[str, Any]:
    """`value`, or what it says as JSON, where that is an object."""
    found = loaded(value)
    return found if isinstance(found, dict) else {}


def loaded(value: Any) -> Any:
    """What a text of JSON stands for; anything else as it is."""
    if not isinstance(value, str) or value[:1] not in '{["0123456789-tfn':
        return value
    try:
        return orjson.loads(value)
    except ValueError:
        pass
    try:
        return json.loads(value)  # numbers that orjson refuses
    except (ValueError, RecursionError):
        return value


def attributes_of(given: Any) -> dict[str, Any]:
    """A list of `{"key", "value": {"stringValue": …}}` as a dict. Raises BadItem."""
    if isinstance(given, dict):
        return given
    found: dict[str, Any] = {}
    for one in given or ():
        value = one["value"]
        text = value.get("stringValue") if len(value) == 1 else None
        found[one["key"]] = text if text is not None else value_of(value)
    return found


def value_of(value: Any, depth: int = 0) -> Any:
    """The value of an OTLP `AnyValue`. Raises BadItem."""
    if not isinstance(value, dict) or depth > _MAX_DEPTH:
        raise BadItem("an attribute has no value of OTLP's form")
    for kind, given in value.items():
        if kind in ("stringValue", "boolValue", "doubleValue"):
            return given
        if kind == "intValue":
            return int(given)
        if kind == "arrayValue":
            return [value_of(one, depth + 1) for one in given.get("values") or ()]
        if kind == "kvlistValue":
            return {one["key"]: value_of(one.get("value"), depth + 1) for one in given.get("values") or ()}
        if kind == "bytesValue":
            return base64.b64decode(given)
    return None


def _event(one: Any) -> tuple[int, str, dict[str, Any]]:
    at = micros_of_nanos(mapping(one, "an event").get("timeUnixNano"))
    return at or 0, str(one.get("name", "")), attributes_of(one.get("attributes"))


def _id(value: Any, what: str) -> str:
    text = text_of(value, what, required=True) or ""
    return _hex(text)


def _parent(value: Any) -> str | None:
    text = text_of(value, "parentSpanId")
    return None if text is None or not text.strip("0") else _hex(text)


def _hex(text: str) -> str:
    """Ids are hex digits in OTLP; writers that follow protobuf's JSON give base64."""
    if len(text) in (12, 24) and (text.endswith("=") or len(text) == 24):
        try:
            return base64.b64decode(text, validate=True).hex()
        except ValueError:
            return text
    return text.lower() if _IS_HEX(text) else text


def readable(values: Iterable[Any]) -> bool:
    """Whether any of some JSON values looks like spans of this format."""
    return any(
        isinstance(one, dict)
        and ("resourceSpans" in one or {"traceId", "spanId"} <= one.keys() or {"context", "parent_id"} <= one.keys())
        for one in values
    )
