"""A whole answer as the events of a streamed one: a part for each of its blocks, for how it was cut is not on record.

They are of the kinds that the provider sends, in its order, so that iterators and helpers of its SDK put the very
answer together again.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

Named = Iterator[tuple[str | None, Any]]
_IN_PARTS = {"text": "text", "thinking": "thinking", "tool_use": "input", "server_tool_use": "input"}
_ENDS = {"incomplete": "response.incomplete", "failed": "response.failed"}


def sse(events: Iterable[tuple[str | None, Any]]) -> bytes:
    """Server-sent events as they are sent."""
    parts = []
    for name, data in events:
        head = f"event: {name}\n" if name else ""
        parts.append(f"{head}data: {data if isinstance(data, str) else json.dumps(data)}\n\n")
    return "".join(parts).encode()


def nothing(body: Mapping[str, Any], parameters: Mapping[str, Any]) -> Named:
    """Of what is never streamed."""
    return iter(())


def as_one(body: Mapping[str, Any], parameters: Mapping[str, Any]) -> Named:
    """Where a part has the form of the whole."""
    yield None, dict(body)


def chat_chunks(body: Mapping[str, Any], parameters: Mapping[str, Any]) -> Named:
    """Chunks of a chat or text completion: what each choice says, how it ends, and the usage where that is asked."""
    about = {key: value for key, value in body.items() if key not in ("choices", "usage")}
    if about.get("object") == "chat.completion":
        about["object"] = "chat.completion.chunk"
    for place, choice in enumerate(body.get("choices") or ()):
        head = {"index": choice.get("index", place), "finish_reason": None}
        reason = choice.get("finish_reason")
        if "message" not in choice:
            yield None, {**about, "choices": [choice]}
            continue
        delta = dict(choice["message"] or {})
        if delta.get("tool_calls"):
            delta["tool_calls"] = [{"index": number, **call} for number, call in enumerate(delta["tool_calls"])]
        more = {"logprobs": choice["logprobs"]} if choice.get("logprobs") else {}
        yield None, {**about, "choices": [{**head, **more, "delta": delta}]}
        if reason is not None:
            yield None, {**about, "choices": [{**head, "delta": {}, "finish_reason": reason}]}
    if body.get("usage") and (parameters.get("stream_options") or {}).get("include_usage"):
        yield None, {**about, "choices": [], "usage": body["usage"]}
    if all(choice.get("finish_reason") for choice in body.get("choices") or ()):
        yield None, "[DONE]"


def message_events(body: Mapping[str, Any], parameters: Mapping[str, Any]) -> Named:
    """The events of a message of Anthropic's."""
    usage = dict(body.get("usage") or {})
    start = {**body, "content": [], "stop_reason": None, "stop_sequence": None, "usage": usage}
    made: list[dict[str, Any]] = [{"type": "message_start", "message": start}]
    for index, block in enumerate(body.get("content") or ()):
        made.extend({**event, "index": index} for event in _block_events(block))
    if body.get("stop_reason") is not None:
        delta = {"stop_reason": body["stop_reason"], "stop_sequence": body.get("stop_sequence")}
        counted = {key: value for key, value in usage.items() if key.startswith("output_")}
        made.append({"type": "message_delta", "delta": delta, "usage": {"output_tokens": 0, **counted}})
        made.append({"type": "message_stop"})
    return iter([(str(one["type"]), one) for one in made])


def _block_events(block: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    part = _IN_PARTS.get(str(block.get("type")))
    given = block.get(part) if part else None
    empty: Any = {} if part == "input" else ""
    begun = dict(block) if part is None else {**block, part: empty}
    citations = begun.pop("citations", None) if part == "text" else None
    signature = begun.get("signature") if part == "thinking" else None
    if signature:
        begun["signature"] = ""
    yield {"type": "content_block_start", "content_block": begun}
    if part == "input":
        text = given if isinstance(given, str) else json.dumps(given or {})
        yield _delta("input_json_delta", "partial_json", text)
    elif part is not None and given:
        yield _delta(f"{part}_delta", part, given)
    for citation in citations or ():
        yield _delta("citations_delta", "citation", citation)
    if signature:
        yield _delta("signature_delta", "signature", signature)
    yield {"type": "content_block_stop"}


def _delta(kind: str, name: str, value: Any) -> dict[str, Any]:
    return {"type": "content_block_delta", "delta": {"type": kind, name: value}}


def response_events(body: Mapping[str, Any], parameters: Mapping[str, Any]) -> Named:
    """The events of a response of OpenAI's Responses API."""
    begun = {**body, "output": [], "status": "in_progress", "usage": None, "error": None, "incomplete_details": None}
    made: list[dict[str, Any]] = [
        {"type": "response.created", "response": begun}, {"type": "response.in_progress", "response": begun},
    ]  # fmt: skip
    for index, item in enumerate(body.get("output") or ()):
        made.extend({**event, "output_index": index} for event in _item_events(item))
    status = body.get("status")
    if status in ("completed", *_ENDS):
        made.append({"type": _ENDS.get(str(status), "response.completed"), "response": dict(body)})
    return iter([(str(one["type"]), {**one, "sequence_number": n}) for n, one in enumerate(made)])


def _item_events(item: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    kind, where = item.get("type"), {"item_id": item.get("id")}
    if kind == "message":
        yield {"type": "response.output_item.added", "item": {**item, "status": "in_progress", "content": []}}
        for number, part in enumerate(item.get("content") or ()):
            for event in _part_events(part):
                yield {**event, **where, "content_index": number}
    elif kind == "function_call":
        yield {"type": "response.output_item.added", "item": {**item, "status": "in_progress", "arguments": ""}}
        said = {"arguments": item.get("arguments") or "", "name": item.get("name")}
        yield {"type": "response.function_call_arguments.delta", **where, "delta": said["arguments"]}
        yield {"type": "response.function_call_arguments.done", **where, **said}
    else:
        yield {"type": "response.output_item.added", "item": dict(item)}
    yield {"type": "response.output_item.done", "item": dict(item)}


def _part_events(part: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    key, name = ("refusal", "refusal") if part.get("type") == "refusal" else ("text", "output_text")
    logs: dict[str, Any] = {} if key == "refusal" else {"logprobs": part.get("logprobs") or []}
    yield {"type": "response.content_part.added", "part": {**part, key: ""}}
    yield {"type": f"response.{name}.delta", "delta": part.get(key) or "", **logs}
    yield {"type": f"response.{name}.done", key: part.get(key) or "", **logs}
    yield {"type": "response.content_part.done", "part": dict(part)}
