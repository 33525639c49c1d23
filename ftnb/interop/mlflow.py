"""MLflow traces: `Trace.to_json()`, one document, a list of them or one a line."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from . import langsmith
from ._forms import BadItem, Log, Span, mapping, micros_of, micros_of_nanos, text_of
from ._semconv import Kind, Reading
from ._source import Source
from ._span_messages import loaded
from ._usage import tokens_of

_KINDS: dict[str, Kind] = {
    "AGENT": "agent",
    "CHAIN": "chain",
    "LLM": "llm",
    "CHAT_MODEL": "llm",
    "TOOL": "tool",
    "RETRIEVER": "retriever",
    "RERANKER": "reranker",
    "EMBEDDING": "embedding",
    "WORKFLOW": "workflow",
    "TASK": "chain",
    "PARSER": "other",
    "GUARDRAIL": "check",
    "EVALUATOR": "check",
    "MEMORY": "other",
    "UNKNOWN": "chain",
}
_USED = {
    "mlflow.spanType": "kind",
    "mlflow.spanInputs": "input, payload",
    "mlflow.spanOutputs": "output, payload",
    "mlflow.chat.tokenUsage": "events.*_tokens",
    "mlflow.llm.model": "events.model",
    "mlflow.llm.provider": "payload.provider",
    "mlflow.chat.tools": "payload.parameters.tools",
    "mlflow.traceRequestId": "engagement",
    "model": "events.model",
    "mlflow.message.format": "(how a value is written)",
    "mlflow.spanFunctionName": "(name)",
}
_OWN = "mlflow."


def spans(source: Source) -> Iterator[Span]:
    """The spans of every trace of a file."""
    place = 0
    many = source.first_byte() == b"[" or source.is_lines()
    for line, value in source.objects(*([] if many else [()])):
        trace = source.guarded(line, value, lambda value=value: _trace(value, source))  # type: ignore[misc]
        for one in trace[1] if trace is not None else ():
            place += 1
            found = source.guarded(line, one, lambda one=one, trace=trace: _span(one, trace[0], source))  # type: ignore[misc]
            if found is not None:
                found.place = place
                yield found


def _trace(value: Any, source: Source) -> tuple[dict[str, Any], list[Any]]:
    held = mapping(value, "a trace")
    if "span_id" in held:
        return {}, [held]
    info = mapping(held.get("info", held.get("trace_info")), "info")
    data = mapping(held.get("data", held), "data")
    listed = data.get("spans")
    if not isinstance(listed, list):
        raise BadItem("it has no list data.spans")
    for key in info:
        used = key in ("trace_id", "request_id", "trace_metadata", "tags", "request_metadata", "state", "status")
        source.report.add(
            "mapped" if used else "left out", f"info.{key}", "metadata" if used else "the spans say it, or no place"
        )
    return info, listed


def _span(value: Any, info: Mapping[str, Any], source: Source) -> Span:
    item = mapping(value, "a span")
    start = micros_of_nanos(item.get("start_time_unix_nano", item.get("start_time_ns", item.get("start_time"))))
    if start is None:
        raise BadItem("it has no start_time_unix_nano")
    attributes = {key: loaded_text(held) for key, held in mapping(item.get("attributes"), "attributes").items()}
    for key in attributes:
        source.report.add("mapped" if key in _USED else "left out", key, _USED.get(key, "no place for it here"))
    status = item.get("status")
    code = status.get("code") if isinstance(status, dict) else item.get("status_code", status)
    failed = str(code) in ("ERROR", "STATUS_CODE_ERROR", "2")
    told = status.get("message") if isinstance(status, dict) else item.get("status_message")
    logs, error_type, message = _logs(item, start)
    trace = text_of(info.get("trace_id", info.get("request_id")), "trace_id") or text_of(
        attributes.get("mlflow.traceRequestId", item.get("trace_id")), "trace_id", required=True
    )
    about = {**mapping(info.get("request_metadata"), "metadata"), **mapping(info.get("trace_metadata"), "metadata")}
    tags = info.get("tags") if isinstance(info.get("tags"), dict) else {}
    metadata = {key: held for key, held in {**tags, **about}.items() if not key.startswith(_OWN)}  # type: ignore[dict-item]
    for theirs, ours in (("mlflow.trace.user", "user_id"), ("mlflow.trace.session", "session_id")):
        if about.get(theirs):
            metadata[ours] = about[theirs]
    name = text_of(item.get("name"), "name") or "(span)"
    given = attributes.get("metadata")
    node = (given if isinstance(given, dict) else attributes).get("langgraph_node")
    reading = _reading(name, attributes)
    return Span(
        trace or "",
        text_of(item.get("span_id"), "span_id", required=True) or "",
        text_of(item.get("parent_span_id", item.get("parent_id")), "parent_span_id"),
        start,
        micros_of_nanos(item.get("end_time_unix_nano", item.get("end_time_ns", item.get("end_time")))),
        reading,
        str(message or told or "failed") if failed else None,
        error_type if failed else None,
        conversation=text_of(about.get("mlflow.trace.session"), "session"),
        metadata=metadata,
        logs=logs,
        is_inner=reading.kind == "chain" and node is not None and node != name,
    )


def loaded_text(held: Any) -> Any:
    """MLflow writes each attribute as JSON text, a text with its quotes."""
    if isinstance(held, str) and held[:1] == '"' and held[-1:] == '"':
        found = loaded("[" + held + "]")
        return found[0] if isinstance(found, list) else held
    return loaded(held)


def _reading(name: str, a: Mapping[str, Any]) -> Reading:
    kind: Kind = _KINDS.get(str(a.get("mlflow.spanType", "UNKNOWN")), "chain")
    given, made = a.get("mlflow.spanInputs"), a.get("mlflow.spanOutputs")
    if kind in ("llm", "embedding"):
        asked = given.get("messages", given.get("input", [given])) if isinstance(given, dict) else given
        many = asked if isinstance(asked, list) else None if asked is None else [asked]
        if many and isinstance(many[0], list):
            many = many[0]
        response, usage = langsmith.answer(made)
        model = a.get("mlflow.llm.model") or a.get("model") or (given.get("model") if isinstance(given, dict) else None)
        parameters = (
            {key: held for key, held in given.items() if key not in ("messages", "model", "input")}
            if isinstance(given, dict)
            else {}
        )
        return Reading(
            kind,
            name,
            model=None if model is None else str(model),
            provider=text_of(a.get("mlflow.llm.provider"), "provider"),
            tokens=tokens_of(a.get("mlflow.chat.tokenUsage") or usage),
            parameters=parameters,
            messages=None if many is None else [langsmith.message(one) for one in many],
            response=response,
        )
    return Reading(kind, name, input=given, output=made)


def _logs(item: Mapping[str, Any], start: int) -> tuple[list[Log], str | None, str | None]:
    logs, error_type, message = [], None, None
    for one in item.get("events") or ():
        given = mapping(one.get("attributes"), "attributes")
        if one.get("name") == "exception":
            error_type = str(given.get("exception.type") or "").rpartition(".")[2] or None
            message = given.get("exception.message")
        else:
            at = micros_of_nanos(one.get("time_unix_nano")) or micros_of(one.get("timestamp")) or start
            logs.append(Log(at, str(one.get("name", "event")), given))
    return logs, error_type, None if message is None else str(message)
