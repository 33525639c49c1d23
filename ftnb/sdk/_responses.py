"""OpenAI's Responses API. Runs on the writer's thread."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ._unfold import response_events
from ._wire import Api, Each, Events, Reply, arguments, error_of, rest, same
from .usage import tokens

_ENDS = ("response.completed", "response.incomplete", "response.failed")
_FIRST = (".delta", "response.output_item.done")


def _ask(request: Mapping[str, Any], each: Each) -> tuple[list[Any], dict[str, Any]]:
    given, said = request.get("input"), list[Any]()
    if request.get("instructions"):
        said = each(same, [{"role": "system", "content": request["instructions"]}])
    if isinstance(given, str):
        said.append({"role": "user", "content": given})
    else:
        said += each(_asked, given or ())
    return said, rest(each, request, "input", "instructions")


def _asked(item: Any) -> Any:
    kind = item.get("type") if isinstance(item, Mapping) else None
    if kind == "function_call":
        call = {"name": item.get("name"), "args": arguments(item.get("arguments")), "id": item.get("call_id")}
        return {"role": "assistant", "content": None, "tool_calls": [call]}
    if kind == "function_call_output":
        return {"role": "tool", "content": item.get("output"), "tool_call_id": item.get("call_id")}
    return item


def read(reply: Mapping[str, Any]) -> Reply:
    """A whole response."""
    made = Reply(error=error_of(reply), tokens=tokens("responses", reply.get("usage")))
    made.model = reply.get("model") if isinstance(reply.get("model"), str) else None
    made.response = _said(reply.get("output") or ())
    status = reply.get("status")
    if isinstance(status, str):
        why = reply.get("incomplete_details")
        made.response["finish_reason"] = why.get("reason") if isinstance(why, Mapping) else status
    for key, name in (("id", "response_id"), ("service_tier", "service_tier")):
        if reply.get(key):
            made.more[name] = reply[key]
    return made


def _said(output: Any) -> dict[str, Any]:
    said: dict[str, Any] = {"role": "assistant", "content": None}
    text: list[str] = []
    for item in output:
        kind = item.get("type")
        if kind == "message":
            for part in item.get("content") or ():
                text.append(str(part.get("text") or part.get("refusal") or ""))
        elif kind in ("function_call", "custom_tool_call"):
            given = item.get("arguments", item.get("input"))
            call = {"name": item.get("name"), "args": arguments(given), "id": item.get("call_id")}
            said.setdefault("tool_calls", []).append(call)
        elif kind == "reasoning":
            thought = [str(part.get("text") or "") for part in item.get("summary") or ()]
            if any(thought):
                said["reasoning"] = "\n".join(thought)
        else:  # web searches, code, images: what the provider's own tools did
            said.setdefault("items", []).append(dict(item))
    if text:
        said["content"] = "".join(text)
    return said


def fold(events: Events) -> Reply:
    """The events of a response. The last one carries the whole; without it, what was said so far."""
    first, items, texts, begun, failed = None, list[Any](), list[str](), dict[str, Any](), None
    for at, event in events:
        kind = str(event.get("type") or "")
        failed = failed or _failure(event)
        if first is None and kind.endswith(_FIRST):
            first = at
        if kind in _ENDS and isinstance(event.get("response"), Mapping):
            made = read(event["response"])
            made.body = event["response"]
            made.first_token, made.error = first, made.error or failed
            return made
        if isinstance(event.get("response"), Mapping):
            begun = event["response"]
        elif kind == "response.output_item.done":
            items.append(event.get("item") or {})
            texts.clear()
        elif kind == "response.output_text.delta":
            texts.append(str(event.get("delta") or ""))
    made = read({**begun, "output": items, "status": None})
    made.body = {**begun, "output": items}
    if texts and made.response is not None:
        made.response["content"] = (made.response["content"] or "") + "".join(texts)
    made.first_token, made.is_complete, made.error = first, False, failed
    return made


def _failure(event: Mapping[str, Any]) -> tuple[str, str] | None:
    if event.get("type") == "error" and "error" not in event:
        return str(event.get("message") or "error"), str(event.get("code") or "error")
    return error_of(event)


RESPONSES = Api("openai.responses", _ask, read, fold, response_events)
