"""An engagement as spans: GenAI conventions, OpenInference, or both, with `ftnb.…` beside them to read it back by."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, Literal

from ..core.canonical import dumps
from ..core.ids import to_us
from ..core.model import Engagement, EventKind, Step, StepEvent, StepStatus
from ..store.draft import micros, tokens_of
from ._forms import stable_id
from ._report import Report

Convention = Literal["genai", "openinference", "both"]
CONVENTIONS = ("genai", "openinference", "both")


@dataclass(slots=True)
class OutSpan:
    """One span to be written."""

    trace: str
    id: str
    parent: str | None
    name: str
    start_us: int
    end_us: int | None
    attributes: dict[str, Any] = field(default_factory=dict)
    error: str | None = None
    error_type: str | None = None


def spans(eng: Engagement, convention: Convention, resolve: Callable[[Any], Any], report: Report) -> Iterator[OutSpan]:
    """The engagement, a trace for each of its turns."""
    turns: dict[int, list[Step]] = {}
    for step in eng.steps:
        turns.setdefault(step.turn, []).append(step)
    for lost, held in (
        ("topology", eng.topology.nodes),
        ("annotations", eng.annotations),
        ("gaps", eng.gaps),
        ("intent_switches", eng.intent_switches),
        ("goal_nodes", eng.goal_nodes),
    ):
        if held:
            report.add("left out", f"engagement.{lost}", "no span says it", len(held))
    n = 0
    for turn, steps in sorted(turns.items()) or [(1, [])]:
        trace = _trace(eng.id, turn)
        root = _root(eng, trace, turn, steps, is_last=turn == max(turns, default=1), convention=convention)
        yield root
        inside = {step.id for step in steps}
        for step in steps:
            n += 1
            above = step.parent_step_id if step.parent_step_id in inside else None
            yield _step(step, trace, root.id if above is None else _span_id(eng.id, above), n, convention, resolve)
            for event in step.events:
                n += 1
                yield _event(eng.id, step, event, trace, n, convention)


def _trace(engagement_id: str, turn: int) -> str:
    is_hex = (
        len(engagement_id) == 32 and all(c in "0123456789abcdef" for c in engagement_id) and engagement_id.strip("0")
    )
    return engagement_id if is_hex and turn == 1 else stable_id("trace", engagement_id, turn)


def _span_id(*parts: object) -> str:
    return stable_id("span", *parts)[:16]


def _root(
    eng: Engagement, trace: str, turn: int, steps: list[Step], *, is_last: bool, convention: Convention
) -> OutSpan:
    start = min([to_us(one.started_at) for one in steps] or [to_us(eng.started_at)])
    ends = [to_us(one.ended_at) for one in steps if one.ended_at is not None]
    end = max([start, *ends])
    status, error = "completed", None
    if is_last:
        status, error = eng.status.value, eng.error
        end = max(end, to_us(eng.ended_at)) if eng.ended_at is not None else end
    elif any(step.status is StepStatus.WAITING for step in steps):
        status = "paused"
    if turn == 1:
        start = min(start, to_us(eng.started_at))
    said: dict[str, Any] = {
        "ftnb.engagement_id": eng.id,
        "ftnb.name": eng.name,
        "ftnb.status": status,
        "ftnb.metadata": _json(eng.metadata),
    }
    if is_last and eng.dropped_at is not None:
        said["ftnb.dropped_at"] = eng.dropped_at
    if convention != "openinference":
        said |= {
            "gen_ai.operation.name": "invoke_workflow",
            "gen_ai.workflow.name": eng.name,
            "gen_ai.conversation.id": eng.id,
        }
    if convention != "genai":
        said |= {"openinference.span.kind": "CHAIN", "session.id": eng.id, "metadata": _json(eng.metadata)}
        if eng.metadata.get("user_id") is not None:
            said["user.id"] = str(eng.metadata["user_id"])
    is_running = is_last and eng.status.value == "active"
    error = (error or "failed") if status == "failed" else error
    return OutSpan(
        trace,
        _span_id(eng.id, "turn", turn),
        None,
        f"invoke_workflow {eng.name}",
        start,
        None if is_running else end,
        said,
        error,
    )


def _step(
    step: Step, trace: str, parent: str, n: int, convention: Convention, resolve: Callable[[Any], Any]
) -> OutSpan:
    said: dict[str, Any] = {
        "ftnb.step_id": step.id,
        "ftnb.name": step.name,
        "ftnb.step_status": step.status.value,
        "ftnb.n": n,
        "ftnb.visit": step.visit,
        "ftnb.attempt": step.attempt,
        "ftnb.ns": step.ns,
        "ftnb.triggers": _json(step.triggers),
        "ftnb.is_global": step.is_global,
    }
    if step.routes:
        said["ftnb.routes"] = _json(step.routes)
    if step.tools_available:
        said["ftnb.tools"] = _json(step.tools_available)
    took = micros(step.duration_ms)
    if took is not None:
        said["ftnb.duration_us"] = took
    state, update = (None if ref is None else resolve(ref) for ref in (step.state_ref, step.update_ref))
    for key, value, theirs in (("state", state, "input"), ("update", update, "output")):
        if value is not None:
            said[f"ftnb.{key}"] = _json(value)
            if convention != "genai":
                said |= {f"{theirs}.value": said[f"ftnb.{key}"], f"{theirs}.mime_type": "application/json"}
    if step.extraction is not None:
        said["ftnb.extraction"] = _json(step.extraction.model_dump(mode="json"))
    if convention != "genai":
        said |= {"openinference.span.kind": "CHAIN", "graph.node.id": step.name, "graph.node.name": step.name}
    end = None if step.status is StepStatus.RUNNING else to_us(step.ended_at or step.started_at)
    error = (step.error or "failed") if step.status is StepStatus.FAILED else None
    return OutSpan(
        trace,
        _span_id(step.engagement_id, step.id),
        parent,
        step.name,
        to_us(step.started_at),
        end,
        said,
        error,
        step.error_type,
    )


_OPERATIONS = {EventKind.LLM_CALL: "chat", EventKind.TOOL_CALL: "execute_tool"}
_KINDS = {EventKind.LLM_CALL: "LLM", EventKind.TOOL_CALL: "TOOL"}


def _event(engagement_id: str, step: Step, event: StepEvent, trace: str, n: int, convention: Convention) -> OutSpan:
    start, took = to_us(event.ts), micros(event.duration_ms)
    said: dict[str, Any] = {
        "ftnb.event_id": event.id,
        "ftnb.name": event.name,
        "ftnb.kind": event.kind.value,
        "ftnb.n": n,
        "ftnb.payload": _json(event.payload),
    }
    for key, value in (
        ("subtype", event.subtype),
        ("duration_us", took),
        ("ttft_us", micros(event.ttft_ms)),
        ("error_text", event.error),
    ):
        if value is not None:
            said[f"ftnb.{key}"] = value
    name = event.name
    if event.kind in _OPERATIONS:
        name = f"{_OPERATIONS[event.kind]} {event.model or event.name}"
        if convention != "openinference":
            said |= _genai(event)
        if convention != "genai":
            said |= _openinference(event)
    tokens = tokens_of(event.tokens)
    if tokens is not None:
        said["ftnb.tokens"] = _json(list(tokens))
    return OutSpan(
        trace,
        _span_id(engagement_id, step.id, event.id, n),
        _span_id(engagement_id, step.id),
        name,
        start,
        start + (took or 0),
        said,
        event.error,
        event.error_type,
    )


def _genai(event: StepEvent) -> dict[str, Any]:
    said: dict[str, Any] = {"gen_ai.operation.name": _OPERATIONS[event.kind]}
    payload = event.payload
    if event.kind is EventKind.TOOL_CALL:
        said["gen_ai.tool.name"] = event.name
        for key, theirs in (("args", "arguments"), ("result", "result")):
            if payload.get(key) is not None:
                said[f"gen_ai.tool.call.{theirs}"] = _json(payload[key])
        if payload.get("call_id"):
            said["gen_ai.tool.call.id"] = str(payload["call_id"])
        return said
    if event.model:
        said |= {"gen_ai.request.model": event.model, "gen_ai.response.model": event.model}
    if payload.get("provider"):
        said["gen_ai.provider.name"] = str(payload["provider"])
    if payload.get("messages"):
        said["gen_ai.input.messages"] = _json([_parts(one) for one in payload["messages"]])
    if payload.get("response"):
        said["gen_ai.output.messages"] = _json([_parts(payload["response"])])
    if event.ttft_ms is not None:
        said["gen_ai.response.time_to_first_chunk"] = event.ttft_ms / 1000
    if event.tokens is not None:
        t = event.tokens
        counts = (
            ("input_tokens", t.prompt),
            ("output_tokens", t.completion),
            ("cache_read.input_tokens", t.cache_read),
            ("cache_creation.input_tokens", t.cache_write),
            ("reasoning.output_tokens", t.reasoning),
        )
        said |= {f"gen_ai.usage.{key}": count for key, count in counts if count or "." not in key}
    return said


def _parts(one: Any) -> Any:
    """A message in the form of the GenAI conventions."""
    if not isinstance(one, dict):
        return {"role": "user", "parts": [{"type": "text", "content": str(one)}]}
    role, content = one.get("role", "user"), one.get("content")
    if role == "tool":
        part = {"type": "tool_call_response", "id": one.get("tool_call_id"), "result": content}
        return {"role": "tool", "parts": [part]}
    parts: list[Any] = [{"type": "text", "content": content}] if isinstance(content, str) and content else []
    parts += content if isinstance(content, list) else []
    for call in one.get("tool_calls") or ():
        if isinstance(call, dict):
            function = call["function"] if isinstance(call.get("function"), dict) else call
            arguments = function.get("arguments", function.get("args"))
            parts.append(
                {"type": "tool_call", "id": call.get("id"), "name": function.get("name"), "arguments": arguments}
            )
    shown = {"role": role, "parts": parts}
    if one.get("finish_reason"):
        shown["finish_reason"] = one["finish_reason"]
    return shown


def _openinference(event: StepEvent) -> dict[str, Any]:
    said: dict[str, Any] = {"openinference.span.kind": _KINDS[event.kind]}
    payload = event.payload
    if event.kind is EventKind.TOOL_CALL:
        said["tool.name"] = event.name
        for key, theirs in (("args", "input"), ("query", "input"), ("result", "output"), ("documents", "output")):
            if payload.get(key) is not None:
                said |= {f"{theirs}.value": _json(payload[key]), f"{theirs}.mime_type": "application/json"}
        if event.subtype == "retriever":
            said["openinference.span.kind"] = "RETRIEVER"
        return said
    if event.model:
        said["llm.model_name"] = event.model
    if payload.get("provider"):
        said["llm.provider"] = str(payload["provider"])
    for n, one in enumerate(payload.get("messages") or ()):
        said |= _flat(f"llm.input_messages.{n}.message", one)
    if payload.get("response"):
        said |= _flat("llm.output_messages.0.message", payload["response"])
    if isinstance(payload.get("parameters"), dict):
        said["llm.invocation_parameters"] = _json(payload["parameters"])
    if event.tokens is not None:
        t = event.tokens
        counts = (
            ("prompt", t.prompt),
            ("completion", t.completion),
            ("total", t.total),
            ("prompt_details.cache_read", t.cache_read),
            ("prompt_details.cache_write", t.cache_write),
            ("completion_details.reasoning", t.reasoning),
        )
        said |= {f"llm.token_count.{key}": count for key, count in counts if count or "." not in key}
    return said


def _flat(prefix: str, one: Any) -> dict[str, Any]:
    if not isinstance(one, dict):
        return {f"{prefix}.role": "user", f"{prefix}.content": str(one)}
    content = one.get("content")
    said = {
        f"{prefix}.role": str(one.get("role", "user")),
        f"{prefix}.content": content if isinstance(content, str) else _json(content),
    }
    if one.get("tool_call_id"):
        said[f"{prefix}.tool_call_id"] = str(one["tool_call_id"])
    for n, call in enumerate(one.get("tool_calls") or ()):
        if isinstance(call, dict):
            function = call["function"] if isinstance(call.get("function"), dict) else call
            at = f"{prefix}.tool_calls.{n}.tool_call"
            arguments = function.get("arguments", function.get("args"))
            said[f"{at}.function.name"] = str(function.get("name"))
            said[f"{at}.function.arguments"] = arguments if isinstance(arguments, str) else _json(arguments)
            if call.get("id"):
                said[f"{at}.id"] = str(call["id"])
    return said


def _json(value: Any) -> str:
    return dumps(value).decode()
