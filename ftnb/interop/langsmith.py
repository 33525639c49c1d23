"""LangSmith runs as JSON: one a line, a list, or `{"runs": […]}`, as its SDK and its exports write them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from ._forms import BadItem, Log, Span, mapping, micros_of, text_of
from ._semconv import Kind, Reading
from ._source import Source
from ._usage import tokens_of

_KINDS: dict[str, Kind] = {
    "chain": "chain",
    "llm": "llm",
    "tool": "tool",
    "retriever": "retriever",
    "embedding": "embedding",
    "prompt": "other",
    "parser": "other",
}
_USED = {
    "id": "events.event_id, steps.step_id",
    "name": "name",
    "run_type": "kind",
    "start_time": "started_at",
    "end_time": "ended_at",
    "inputs": "input, payload",
    "outputs": "output, payload",
    "error": "error",
    "extra": "metadata, parameters",
    "parent_run_id": "steps.parent_step_id",
    "trace_id": "engagement",
    "dotted_order": "steps.parent_step_id",
    "tags": "metadata.tags",
    "first_token_time": "events.ttft_ms",
    "prompt_tokens": "events.*_tokens",
    "completion_tokens": "events.*_tokens",
    "total_tokens": "events.*_tokens",
    "status": "status",
    "session_id": "metadata.project_id",
    "events": "log events",
    "serialized": "name",
}
_ROLES = {
    "human": "user",
    "ai": "assistant",
    "AIMessage": "assistant",
    "HumanMessage": "user",
    "SystemMessage": "system",
    "ToolMessage": "tool",
    "AIMessageChunk": "assistant",
}
_TALKS = ("session_id", "conversation_id", "thread_id")


def spans(source: Source) -> Iterator[Span]:
    """The runs of a file; runs inside `child_runs` too."""
    place = 0
    for line, value in source.objects(
        *([] if source.first_byte() == b"[" or source.is_lines() else [("runs", "*"), ()])
    ):
        if isinstance(value, dict) and "runs" in value and "run_type" not in value:
            continue
        todo = [value]
        while todo:
            one = todo.pop()
            place += 1
            found = source.guarded(line, one, lambda one=one: _span(one, source))  # type: ignore[misc]
            if found is not None:
                found.place = place
                yield found
            if isinstance(one, dict) and isinstance(one.get("child_runs"), list):
                todo += one["child_runs"]


def _span(value: Any, source: Source) -> Span:
    run = mapping(value, "a run")
    if "run_type" not in run:
        raise BadItem("it has no run_type")
    start = micros_of(run.get("start_time"))
    if start is None:
        raise BadItem("it has no start_time")
    for key in (key for key, held in run.items() if held not in (None, [], {}, "") and key != "child_runs"):
        source.report.add("mapped" if key in _USED else "left out", key, _USED.get(key, "no place for it here"))
    dotted = str(run.get("dotted_order") or "").split(".")
    above = dotted[-2].partition("Z")[2] if len(dotted) > 1 else None
    extra = mapping(run.get("extra"), "extra")
    about = mapping(extra.get("metadata"), "metadata")
    key = text_of(run.get("id"), "id", required=True) or ""
    top = dotted[0].partition("Z")[2] if dotted[0] else None
    error = run.get("error")
    name = text_of(run.get("name"), "name") or "(run)"
    node = about.get("langgraph_node")
    reading = _reading(run, name, extra, about, start)
    talk = next((str(about[one]) for one in _TALKS if about.get(one)), None)
    return Span(
        text_of(run.get("trace_id"), "trace_id") or top or key,
        key,
        text_of(run.get("parent_run_id"), "parent_run_id") or above,
        start,
        micros_of(run.get("end_time")),
        reading,
        None if error is None else str(error),
        None if error is None else _type(str(error)),
        conversation=talk,
        metadata=_metadata(run, about),
        logs=_logs(run, start),
        is_inner=reading.kind == "chain" and node is not None and node != name,
    )


def _reading(
    run: Mapping[str, Any], name: str, extra: Mapping[str, Any], about: Mapping[str, Any], start: int
) -> Reading:
    kind: Kind = _KINDS.get(str(run["run_type"]), "chain")
    given, made = run.get("inputs"), run.get("outputs")
    if kind in ("llm", "embedding"):
        response, usage = answer(made)
        parameters = mapping(extra.get("invocation_params"), "invocation_params")
        told = usage or {
            key: run[key] for key in ("prompt_tokens", "completion_tokens", "total_tokens") if run.get(key)
        }
        first = micros_of(run.get("first_token_time"))
        model = about.get("ls_model_name") or parameters.get("model") or parameters.get("model_name")
        return Reading(
            kind,
            name,
            model=None if model is None else str(model),
            provider=about.get("ls_provider"),
            tokens=tokens_of(told),
            ttft_s=None if first is None else max(first - start, 0) / 1e6,
            parameters=parameters,
            messages=_asked(given),
            response=response,
        )
    if kind == "tool" and isinstance(given, dict) and set(given) == {"input"}:
        given = given["input"]
    if kind in ("tool", "chain") and isinstance(made, dict) and set(made) == {"output"}:
        made = made["output"]
    if kind == "retriever" and isinstance(made, dict):
        made = made.get("documents", made.get("output", made))
    node = about.get("langgraph_node")
    return Reading(kind, name, node=str(node) if node == name else None, input=given, output=made)


def _asked(given: Any) -> list[Any] | None:
    if not isinstance(given, dict):
        return None
    told = given.get("messages", given.get("prompts", given.get("input")))
    if isinstance(told, str):
        return [{"role": "user", "content": told}]
    if isinstance(told, list):
        flat = told[0] if told and isinstance(told[0], list) else told
        return [message(one) for one in flat]
    return [given]


def answer(made: Any) -> tuple[dict[str, Any] | None, Any]:
    """The answer and its usage."""
    if not isinstance(made, dict):
        return (None if made is None else {"role": "assistant", "content": made}), None
    usage = made.get("usage_metadata") or made.get("usage")
    found = (
        made.get("generations")
        or made.get("choices")
        or made.get("message")
        or made.get("messages")
        or made.get("output")
    )
    while isinstance(found, list) and found:
        found = found[0]
    if isinstance(found, dict):
        told = found.get("message", found)
        inner = told.get("kwargs", told) if isinstance(told, dict) else {}
        usage = usage or inner.get("usage_metadata")
        return message(told), usage or (made.get("llm_output") or {}).get("token_usage")
    if found is None and "role" in made and "content" in made:
        return message(made), usage
    return {"role": "assistant", "content": found if found is not None else made}, usage


def message(one: Any) -> Any:
    """A chat message of LangChain's JSON, or of OpenAI's, as `{"role", "content", …}`."""
    if not isinstance(one, dict):
        return {"role": "user", "content": one}
    inner = next((one[key] for key in ("kwargs", "data") if isinstance(one.get(key), dict)), one)
    named = one["id"][-1] if isinstance(one.get("id"), list) and one["id"] else None
    kind = str(named or inner.get("role") or inner.get("type") or one.get("type") or "assistant")
    shown: dict[str, Any] = {"role": _ROLES.get(kind, kind), "content": inner.get("content", inner.get("text", ""))}
    for key in ("tool_calls", "name", "tool_call_id"):
        if inner.get(key):
            shown[key] = inner[key]
    return shown


def _metadata(run: Mapping[str, Any], about: Mapping[str, Any]) -> dict[str, Any]:
    hidden = ("ls_", "langgraph_", "LANGSMITH", "revision_id", "checkpoint_", "__")
    found = {key: held for key, held in about.items() if not key.startswith(hidden)}
    if run.get("tags"):
        found["tags"] = run["tags"]
    if run.get("session_id"):
        found.setdefault("project_id", str(run["session_id"]))
    return found


def _logs(run: Mapping[str, Any], start: int) -> list[Log]:
    found = []
    for one in run.get("events") or ():
        if isinstance(one, dict) and one.get("name") not in ("start", "end", "new_token", "error"):
            rest = {key: held for key, held in one.items() if key not in ("name", "time")}
            found.append(Log(micros_of(one.get("time")) or start, str(one.get("name") or "event"), rest))
    return found


def _type(error: str) -> str | None:
    """The class of an exception that is told as `ValueError('…')`."""
    head = error.partition("(")[0]
    return head if head.isidentifier() else None
