"""Anthropic's Messages API. Runs on the writer's thread."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ._unfold import message_events
from ._wire import Api, Each, Events, Reply, arguments, error_of, rest, same
from .usage import tokens


def _ask(request: Mapping[str, Any], each: Each) -> tuple[list[Any], dict[str, Any]]:
    said = each(_asked, request.get("messages") or ())
    system = request.get("system")
    if system:
        said = each(same, [{"role": "system", "content": _plain(system)}]) + said
    return said, rest(each, request, "messages", "system")


def _asked(given: Any) -> Any:
    """A message; what the assistant said earlier in the form of an answer, so that the two can be compared."""
    blocks = given.get("content") if isinstance(given, Mapping) else None
    if not isinstance(blocks, list) or given.get("role") != "assistant":
        return given
    return {"role": "assistant", **_said(blocks)}


def _plain(content: Any) -> Any:
    """Text blocks as their text, unless they say more than that."""
    if isinstance(content, list) and all(isinstance(one, Mapping) and set(one) == {"type", "text"} for one in content):
        return "".join(str(one["text"]) for one in content)
    return content


def _said(blocks: Any) -> dict[str, Any]:
    said: dict[str, Any] = {"content": None}
    text: list[str] = []
    for block in blocks:
        kind = block.get("type") if isinstance(block, Mapping) else None
        if kind == "text":
            text.append(str(block.get("text") or ""))
        elif kind == "tool_use":
            call = {"name": block.get("name"), "args": arguments(block.get("input")), "id": block.get("id")}
            said.setdefault("tool_calls", []).append(call)
        elif kind == "thinking":
            said["reasoning"] = said.get("reasoning", "") + str(block.get("thinking") or "")
        else:  # redacted thinking, citations, what the provider's own tools did
            said.setdefault("items", []).append(block)
    if text:
        said["content"] = "".join(text)
    return said


def read(reply: Mapping[str, Any]) -> Reply:
    """A whole message."""
    made = Reply(error=error_of(reply), tokens=tokens("anthropic", reply.get("usage")))
    made.model = reply.get("model") if isinstance(reply.get("model"), str) else None
    if isinstance(reply.get("content"), list):
        made.response = {"role": "assistant", **_said(reply["content"])}
        if reply.get("stop_reason"):
            made.response["finish_reason"] = reply["stop_reason"]
    if reply.get("id"):
        made.more["response_id"] = reply["id"]
    return made


def fold(events: Events) -> Reply:
    """The events of a message."""
    whole: dict[str, Any] = {}
    blocks: dict[int, dict[str, Any]] = {}
    usage: dict[str, Any] = {}
    first, error, ended = None, None, False
    for at, event in events:
        kind = event.get("type")
        error = error or error_of(event)
        if kind == "message_start":
            whole = dict(event.get("message") or {})
            usage.update(whole.get("usage") or {})
        elif kind == "content_block_start":
            blocks[event.get("index") or 0] = {"parts": [], **(event.get("content_block") or {})}
            first = at if first is None and blocks[event.get("index") or 0].get("type") == "tool_use" else first
        elif kind == "content_block_delta":
            first = at if first is None else first
            _add(blocks.setdefault(event.get("index") or 0, {"parts": []}), event.get("delta") or {})
        elif kind == "message_delta":
            whole.update(event.get("delta") or {})
            usage.update({key: value for key, value in (event.get("usage") or {}).items() if value is not None})
        ended = ended or kind == "message_stop"
    whole["content"] = [_whole(blocks[index]) for index in sorted(blocks)]
    made = read({**whole, "usage": usage})
    made.body = {**whole, "usage": usage}
    made.first_token, made.error, made.is_complete = first, error, ended
    return made


_TEXTS = {"text_delta": "text", "thinking_delta": "thinking", "input_json_delta": "input"}


def _add(block: dict[str, Any], delta: Mapping[str, Any]) -> None:
    kind = str(delta.get("type"))
    if kind == "signature_delta":
        block["signature"] = str(delta.get("signature") or "")
    elif kind == "citations_delta":
        block["citations"] = [*(block.get("citations") or ()), delta.get("citation")]
    elif kind == "input_json_delta":
        block["parts"].append(str(delta.get("partial_json") or ""))
    elif kind in _TEXTS:
        block["parts"].append(str(delta.get(_TEXTS[kind]) or ""))
        block.setdefault("type", _TEXTS[kind])


def _whole(block: dict[str, Any]) -> dict[str, Any]:
    parts = "".join(block.pop("parts", ()))
    kind = block.get("type")
    if kind in ("text", "thinking"):
        block[kind] = str(block.get(kind) or "") + parts
    elif parts:
        block["input"] = arguments(parts)
    return block


MESSAGES = Api("anthropic.messages", _ask, read, fold, message_events)
