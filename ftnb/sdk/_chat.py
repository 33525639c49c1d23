"""Chat completions, text completions and embeddings: OpenAI's API, and everybody's who speaks it. Writer's thread."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from ._unfold import chat_chunks, nothing
from ._wire import Api, Each, Events, Reply, arguments, error_of, rest
from .usage import tokens

_SAID = ("content", "reasoning_content", "reasoning", "refusal", "text")
_ABOUT = ("id", "object", "model", "service_tier", "created", "system_fingerprint")


def message(given: Any) -> Any:
    """A chat message, its tool calls as `{"name", "args", "id"}`; other values as they are."""
    if type(given) is not dict and not isinstance(given, Mapping):
        return given
    shown = {key: value for key, value in given.items() if value is not None or key == "content"}
    if "tool_calls" in shown:
        calls = shown["tool_calls"]
        if isinstance(calls, (list, tuple)):
            shown["tool_calls"] = [_tool_call(one) for one in calls]
        if not shown["tool_calls"]:
            del shown["tool_calls"]
    return shown


def _plain(given: Any) -> Any:
    """A message that is an object of the SDK's, as one passed on from an answer, as the mapping that is sent."""
    if type(given) is dict:
        return given
    dump = getattr(given, "model_dump", None)
    return dump(mode="json", exclude_none=True, warnings=False) if callable(dump) else given


def _shown(given: Any) -> Any:
    """One of the messages of a request."""
    return message(_plain(given))


def _tool_call(call: Any) -> Any:
    function = call.get("function") or call.get("custom") if isinstance(call, Mapping) else None
    if not isinstance(function, Mapping):
        return call
    given = function.get("arguments", function.get("input"))
    return {"name": function.get("name"), "args": arguments(given), "id": call.get("id")}


def _ask_chat(request: Mapping[str, Any], each: Each) -> tuple[list[Any], dict[str, Any]]:
    return each(_shown, _several(request.get("messages"))), rest(each, request, "messages")


def _ask_text(request: Mapping[str, Any], each: Each) -> tuple[list[Any], dict[str, Any]]:
    return [{"role": "user", "content": one} for one in _several(request.get("prompt"))], rest(each, request, "prompt")


def _ask_embedding(request: Mapping[str, Any], each: Each) -> tuple[list[Any], dict[str, Any]]:
    return [{"role": "user", "content": one} for one in _several(request.get("input"))], rest(each, request, "input")


def _several(given: Any) -> list[Any]:
    if given is None or given == "":
        return []
    if not isinstance(given, (list, tuple)):
        return [given]
    return [given] if given and isinstance(given[0], int) else list(given)  # numbers: one text, as tokens


def read_chat(reply: Mapping[str, Any]) -> Reply:
    """A chat or text completion."""
    made = Reply(error=error_of(reply), tokens=tokens("openai", reply.get("usage")), model=_text(reply.get("model")))
    said = [_choice(one) for one in reply.get("choices") or () if isinstance(one, Mapping)]
    _answer(made, said, reply)
    return made


def _choice(choice: Mapping[str, Any]) -> dict[str, Any]:
    given = choice.get("message")
    if not isinstance(given, Mapping):
        given = {"role": "assistant", "content": choice.get("text")}
    said = dict(message(given))
    said.pop("parsed", None)  # the SDK's, not the provider's
    if choice.get("finish_reason") is not None:
        said["finish_reason"] = choice["finish_reason"]
    return said


def _answer(made: Reply, said: list[dict[str, Any]], reply: Mapping[str, Any]) -> None:
    if said:
        made.response = said[0]
        if len(said) > 1:
            made.response["others"] = said[1:]
    for key, name in (("id", "response_id"), ("service_tier", "service_tier")):
        if reply.get(key):
            made.more[name] = reply[key]


def fold_chat(events: Events) -> Reply:
    """The chunks of a chat or text completion."""
    made, parts, about, usage = Reply(), dict[int, dict[str, Any]](), dict[str, Any](), None
    for at, chunk in events:
        if "error" in chunk:
            made.error = made.error or error_of(chunk)
        for key in _ABOUT:
            if chunk.get(key):
                about[key] = chunk[key]
        usage = chunk.get("usage") or usage
        for choice in chunk.get("choices") or ():
            if _add(parts.setdefault(choice.get("index") or 0, {}), choice) and made.first_token is None:
                made.first_token = at
    said = [_whole(parts[index]) for index in sorted(parts)]
    is_text = about.get("object") == "text_completion"
    kind = "text_completion" if is_text else "chat.completion"
    made.body = {**about, "object": kind, "usage": usage, "choices": _choices(parts, said, is_text)}
    made.tokens, made.model = tokens("openai", usage), _text(about.get("model"))
    made.is_complete = bool(said) and all("finish_reason" in one for one in said)
    _answer(made, said, about)
    return made


def _add(part: dict[str, Any], choice: Mapping[str, Any]) -> bool:
    """Add what a chunk says to what its choice has said so far; whether it said anything."""
    delta = choice.get("delta")
    if type(delta) is not dict and not isinstance(delta, Mapping):
        delta = {"content": choice.get("text")}
    told = False
    for key, value in delta.items():
        if key in _SAID and isinstance(value, str):
            if key in part:
                part[key].append(value)
            else:
                part[key] = [value]
            told = told or bool(value)
        elif key == "tool_calls":
            for call in value or ():
                _add_tool(part.setdefault("tool_calls", {}), call)
                told = True
        elif value is not None:
            part[key] = value
    if choice.get("finish_reason") is not None:
        part["finish_reason"] = choice["finish_reason"]
    return told


def _add_tool(calls: dict[Any, dict[str, Any]], delta: Mapping[str, Any]) -> None:
    call = calls.setdefault(delta.get("index", len(calls)), {"name": "", "args": [], "id": None})
    function = delta.get("function") or {}
    call["id"] = delta.get("id") or call["id"]
    call["name"] = call["name"] or function.get("name") or ""
    call["args"].append(function.get("arguments") or "")


def _whole(part: Mapping[str, Any]) -> dict[str, Any]:
    said: dict[str, Any] = {"role": part.get("role") or "assistant", "content": None}
    for key, value in part.items():
        said[key] = "".join(value) if key in _SAID and isinstance(value, list) else value
    if "tool_calls" in part:
        calls: Iterable[dict[str, Any]] = part["tool_calls"].values()
        said["tool_calls"] = [{**one, "args": arguments("".join(one["args"]))} for one in calls]
    return said


def _choices(parts: Mapping[int, Mapping[str, Any]], said: list[dict[str, Any]], is_text: bool) -> list[dict[str, Any]]:
    """The choices as an answer has them that comes in one piece."""
    found = []
    for index, one in zip(sorted(parts), said, strict=True):
        ended = {"index": index, "finish_reason": one.get("finish_reason")}
        if is_text:
            found.append({**ended, "text": one["content"] or "", "logprobs": None})
            continue
        given = {key: value for key, value in one.items() if key != "finish_reason"}
        if "tool_calls" in one:
            calls = parts[index]["tool_calls"].values()
            given["tool_calls"] = [
                {"id": call["id"], "type": "function", "function": {
                    "name": call["name"], "arguments": "".join(call["args"])}}
                for call in calls
            ]  # fmt: skip
        found.append({**ended, "message": given})
    return found


def read_embedding(reply: Mapping[str, Any]) -> Reply:
    """Embeddings: how many and how long; the numbers themselves are left out."""
    found = reply.get("data") or ()
    vector = found[0].get("embedding") if found and isinstance(found[0], Mapping) else None
    made = Reply(error=error_of(reply), tokens=tokens("openai", reply.get("usage")), model=_text(reply.get("model")))
    if isinstance(vector, str):
        dimensions: int | None = (len(vector) * 3 // 4 - vector.count("=", -2)) // 4  # base64 of 32-bit floats
    else:
        dimensions = len(vector) if isinstance(vector, (list, tuple)) else None
    made.response = {"n_embeddings": len(found), "dimensions": dimensions}
    return made


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) and value else None


CHAT = Api("openai.chat.completions", _ask_chat, read_chat, fold_chat, chat_chunks)
TEXT = Api("openai.completions", _ask_text, read_chat, fold_chat, chat_chunks)
EMBEDDING = Api("openai.embeddings", _ask_embedding, read_embedding, fold_chat, nothing, "embedding")
