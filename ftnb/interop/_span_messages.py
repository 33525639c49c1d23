"""Messages as spans carry them, as `{"role", "content", …}` each."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import orjson

_MAX_DEPTH = 12


def loaded(value: Any) -> Any:
    """What a text of JSON stands for; anything else comes back as it is."""
    if not isinstance(value, str) or value[:1] not in "{[":
        return value
    try:
        return orjson.loads(value)
    except ValueError:
        pass
    try:
        return json.loads(value)  # numbers that orjson refuses
    except (ValueError, RecursionError):
        return value


def nested(attributes: Mapping[str, Any], prefix: str) -> list[Any]:
    """A list that was flattened into attributes `prefix.0.…`, `prefix.1.…`."""
    tree: dict[str, Any] = {}
    dotted = f"{prefix}."
    for key, value in attributes.items():
        if key.startswith(dotted):
            parts, at = key.removeprefix(dotted).split(".")[:_MAX_DEPTH], tree
            for part in parts[:-1]:
                below = at.setdefault(part, {})
                at = below if isinstance(below, dict) else {}
            at[parts[-1]] = value
    return _as_list(tree) if tree else []


def asked(a: Mapping[str, Any]) -> list[Any] | None:
    """What the model was given."""
    flat = [_openinference(one) for one in nested(a, "llm.input_messages")]
    if flat:
        return flat
    system = loaded(a.get("gen_ai.system_instructions"))
    before = [] if not system else [{"role": "system", "content": _parts(system)[0]}]
    for key in ("gen_ai.input.messages", "gen_ai.prompt", "all_messages_events", "events"):
        told = loaded(a.get(key))
        if isinstance(told, list):
            return before + [_genai(one) for one in told if not _is_choice(one)]
        if told is not None and key == "gen_ai.prompt":
            return [*before, {"role": "user", "content": told}]
    flat = nested(a, "gen_ai.prompt")
    if flat:
        return before + [_genai(one) for one in flat]
    prompts = a.get("llm.prompts")
    if prompts is not None:
        texts = prompts if isinstance(prompts, (list, tuple)) else [prompts]
        return [{"role": "user", "content": text} for text in texts]
    texts = [one.get("embedding", {}).get("text") for one in nested(a, "embedding.embeddings") if isinstance(one, dict)]
    if any(texts):
        return [{"role": "user", "content": text} for text in texts]
    given = loaded(a.get("input.value"))
    if isinstance(given, Mapping) and isinstance(given.get("messages"), list):
        return list(given["messages"])
    return before or (None if given is None else [{"role": "user", "content": given}])


def answered(a: Mapping[str, Any]) -> dict[str, Any] | None:
    """What the model gave back; further candidates are listed as `others`."""
    made = [_openinference(one) for one in nested(a, "llm.output_messages")]
    for key in ("gen_ai.output.messages", "gen_ai.completion", "events"):
        told = loaded(a.get(key)) if not made else None
        if isinstance(told, list):
            made = [_genai(one) for one in told if key != "events" or _is_choice(one)]
        elif told is not None:
            made = [{"role": "assistant", "content": told}]
    made = made or [_genai(one) for one in nested(a, "gen_ai.completion")]
    if not made and a.get("output.value") is not None:
        made = [{"role": "assistant", "content": loaded(a["output.value"])}]
    if not made:
        return None
    response, *others = made
    reasons = a.get("gen_ai.response.finish_reasons")
    reason = reasons[0] if isinstance(reasons, (list, tuple)) and reasons else a.get("llm.finish_reason")
    if reason and "finish_reason" not in response:
        response["finish_reason"] = reason
    if others:
        response["others"] = others
    return response


def _openinference(one: Any) -> dict[str, Any]:
    message = one.get("message", one) if isinstance(one, Mapping) else {"content": one}
    content = message.get("content")
    if content is None and message.get("contents"):
        parts = [part.get("message_content", part) for part in message["contents"] if isinstance(part, Mapping)]
        texts = [part.get("text") for part in parts]
        content = "".join(texts) if all(isinstance(text, str) for text in texts) else parts
    shown: dict[str, Any] = {"role": message.get("role", "assistant"), "content": "" if content is None else content}
    calls = [call.get("tool_call", call) for call in message.get("tool_calls", ()) if isinstance(call, Mapping)]
    if calls:
        shown["tool_calls"] = [
            {
                "name": call.get("function", {}).get("name"),
                "args": loaded(call.get("function", {}).get("arguments")),
                "id": call.get("id"),
            }
            for call in calls
        ]
    for key in ("name", "tool_call_id"):
        if message.get(key):
            shown[key] = message[key]
    return shown


def _is_choice(one: Any) -> bool:
    return isinstance(one, Mapping) and one.get("event.name") == "gen_ai.choice"


def _genai(one: Any) -> dict[str, Any]:
    if not isinstance(one, Mapping):
        return {"role": "user", "content": one}
    if isinstance(one.get("message"), Mapping):
        one = {**one, **one["message"]}
    content, calls = _parts(one.get("parts", one.get("content")))
    shown: dict[str, Any] = {"role": one.get("role", "assistant"), "content": content}
    for call in one.get("tool_calls") or ():
        if not isinstance(call, Mapping):
            continue
        function = call["function"] if isinstance(call.get("function"), Mapping) else call
        calls.append({"name": function.get("name"), "args": loaded(function.get("arguments")), "id": call.get("id")})
    if calls:
        shown["tool_calls"] = calls
    for key in ("finish_reason", "name", "tool_call_id"):
        if one.get(key):
            shown[key] = one[key]
    return shown


def _parts(parts: Any) -> tuple[Any, list[dict[str, Any]]]:
    """The content of a message and the tool calls in it, from the parts of which it is made."""
    if not isinstance(parts, list):
        return ("" if parts is None else parts), []
    calls, rest = list[dict[str, Any]](), list[Any]()
    for part in parts:
        kind = part.get("type") if isinstance(part, Mapping) else None
        if kind == "tool_call":
            calls.append({"name": part.get("name"), "args": loaded(part.get("arguments")), "id": part.get("id")})
        elif kind == "text":
            rest.append(part.get("content", part.get("text")))
        else:
            rest.append(part)
    if all(isinstance(one, str) for one in rest):
        return "".join(rest), calls
    return rest, calls


def _as_list(tree: Any) -> Any:
    if not isinstance(tree, dict):
        return tree
    if tree and all(key.isdigit() for key in tree):
        return [_as_list(tree[key]) for key in sorted(tree, key=int)]
    return {key: _as_list(value) for key, value in tree.items()}
