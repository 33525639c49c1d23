"""Google's generateContent and its kin. Runs on the writer's thread."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ._unfold import as_one, nothing
from ._wire import Api, Each, Events, Reply, error_of, rest
from .usage import tokens


def _ask(request: Mapping[str, Any], each: Each) -> tuple[list[Any], dict[str, Any]]:
    said = each(_asked, request.get("contents") or ())
    system = request.get("systemInstruction")
    if system:
        said = each(_system, (system,)) + said
    return said, rest(each, request, "contents", "systemInstruction", "_url", "_query")


def _system(content: Any) -> dict[str, Any]:
    return {**_asked(content), "role": "system"}


def _asked(content: Any) -> Any:
    if not isinstance(content, Mapping):
        return content
    role = {"model": "assistant"}.get(str(content.get("role")), content.get("role") or "user")
    return {"role": role, **_said(content.get("parts") or ())}


def _said(parts: Any) -> dict[str, Any]:
    said: dict[str, Any] = {"content": None}
    text: list[str] = []
    for part in parts:
        if not isinstance(part, Mapping):
            continue
        if part.get("thought") and "text" in part:
            said["reasoning"] = said.get("reasoning", "") + str(part["text"])
        elif "text" in part:
            text.append(str(part["text"] or ""))
        elif isinstance(part.get("functionCall"), Mapping):
            call = part["functionCall"]
            said.setdefault("tool_calls", []).append(
                {"name": call.get("name"), "args": call.get("args") or {}, "id": call.get("id")}
            )
        else:  # images, code, results of functions
            said.setdefault("items", []).append(dict(part))
    if text:
        said["content"] = "".join(text)
    return said


def read(reply: Mapping[str, Any]) -> Reply:
    """A whole answer."""
    made = Reply(error=error_of(reply), tokens=tokens("gemini", reply.get("usageMetadata")))
    made.model = reply.get("modelVersion") if isinstance(reply.get("modelVersion"), str) else None
    said = [_candidate(one) for one in reply.get("candidates") or () if isinstance(one, Mapping)]
    if said:
        made.response = said[0]
        if len(said) > 1:
            made.response["others"] = said[1:]
    blocked = reply.get("promptFeedback")
    if isinstance(blocked, Mapping) and blocked.get("blockReason"):
        made.response = made.response or {"role": "assistant", "content": None, "finish_reason": blocked["blockReason"]}
    if reply.get("responseId"):
        made.more["response_id"] = reply["responseId"]
    return made


def _candidate(candidate: Mapping[str, Any]) -> dict[str, Any]:
    content = candidate.get("content")
    said = {"role": "assistant", **_said((content or {}).get("parts") or ())}
    if candidate.get("finishReason"):
        said["finish_reason"] = candidate["finishReason"]
    return said


def fold(events: Events) -> Reply:
    """Answers in parts, put together."""
    whole: dict[str, Any] = {}
    candidates: dict[int, dict[str, Any]] = {}
    first, error = None, None
    for at, part in events:
        error = error or error_of(part)
        for one in part.get("candidates") or ():
            known = candidates.setdefault(one.get("index") or 0, {"content": {"parts": []}})
            parts = (one.get("content") or {}).get("parts") or ()
            known["content"]["parts"].extend(parts)
            known.update({key: value for key, value in one.items() if key != "content" and value is not None})
            first = at if first is None and parts else first
        whole.update({key: value for key, value in part.items() if key != "candidates" and value is not None})
    ended = bool(candidates) and all(one.get("finishReason") for one in candidates.values())
    body = {**whole, "candidates": [candidates[index] for index in sorted(candidates)]}
    made = read(body)
    made.body = body
    made.first_token, made.error, made.is_complete = first, error, ended
    return made


def _ask_embedding(request: Mapping[str, Any], each: Each) -> tuple[list[Any], dict[str, Any]]:
    several = request.get("requests") or request.get("instances") or [request]
    said = [_asked(one.get("content")) for one in several if isinstance(one, Mapping)]
    return said, rest(each, request, "requests", "instances", "content", "_url", "_query")


def _read_embedding(reply: Mapping[str, Any]) -> Reply:
    found = reply.get("embeddings") or ([reply["embedding"]] if reply.get("embedding") else [])
    values = found[0].get("values") if found and isinstance(found[0], Mapping) else None
    made = Reply(error=error_of(reply), tokens=tokens("gemini", reply.get("usageMetadata")))
    made.response = {"n_embeddings": len(found), "dimensions": len(values) if values else None}
    return made


GENERATE = Api("google.generate_content", _ask, read, fold, as_one)
EMBED = Api("google.embed_content", _ask_embedding, _read_embedding, fold, nothing, "embedding")
