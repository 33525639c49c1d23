"""Calls of models and tools, from spans that have ended."""

from __future__ import annotations

from typing import Any

from ..interop._semconv import Reading
from ..langgraph_adapter import _events as events
from ..langgraph_adapter._llm import Answer

_NOTHING: dict[str, Any] = {}


def emit_call(trace: Any, node: Any, home: Any) -> None:
    """Record what a span tells of a call, in the step `home`."""
    reading, start, end = node.reading(), trace._perf(node.start_ns), trace._perf(node.end_ns)
    if reading.kind in ("llm", "embedding"):
        _model(trace, node, reading, home, start, end)
    elif reading.kind == "check":
        said = {"input": reading.input, "output": reading.output}
        trace._send(events.CUSTOM, end, home.key, reading.name, (said, False), "check")
    else:
        subtype = "retriever" if reading.kind == "retriever" else "reranker" if reading.kind == "reranker" else None
        given = (reading.input, False)
        trace._send(
            events.TOOL_START, start, node.key, home.key, reading.name, given, reading.call_id, subtype, home.scope
        )
        if node.error is None:
            trace._send(events.TOOL_END, end, node.key, (reading.output, False))
        else:
            trace._send(events.TOOL_ERROR, end, node.key, node.error)


def _model(trace: Any, node: Any, reading: Reading, home: Any, start: int, end: int) -> None:
    below = [one for one in node.below if one.tokens is not None]
    tokens = reading.tokens or (below[0].tokens if below else None)
    about = {"ls_model_name": reading.model, "ls_provider": reading.provider}
    messages = reading.messages if reading.messages is not None else []
    name = reading.model or reading.name
    parameters = (reading.parameters, False)
    trace._send(events.LLM_START, start, node.key, home.key, name, messages, about, parameters, home.scope)
    first = None if reading.ttft_s is None else start + round(reading.ttft_s * 1e9)
    if node.error is None:
        answer = Answer(reading.response, tokens, reading.model)
        trace._send(events.LLM_END, end, node.key, answer, first, *([node.inner] if node.inner else []))
    else:
        trace._send(events.LLM_ERROR, end, node.key, node.error, first)


def failure_of(span: Any) -> BaseException | None:
    """What a span says went wrong, as an exception of the class that it names; None: nothing."""
    status = getattr(span, "status", None)
    code = getattr(getattr(status, "status_code", None), "name", "")
    told = [event.attributes or {} for event in span.events or () if event.name == "exception"]
    if code != "ERROR":
        return None
    last = told[-1] if told else {}
    kind = str(last.get("exception.type") or (span.attributes or {}).get("error.type") or "SpanError")
    kind = kind.rpartition(".")[2] or "SpanError"
    message = str(last.get("exception.message") or getattr(status, "description", None) or kind)
    made: type[BaseException] = type(kind, (Exception,), {})
    return made(message)
