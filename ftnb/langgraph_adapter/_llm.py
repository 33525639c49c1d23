"""Calls of models and tools as readable payloads, from LangChain's objects. Runs on the writer's thread."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from ..store.draft import Tokens

_ROLES = {"human": "user", "ai": "assistant", "AIMessageChunk": "assistant", "HumanMessageChunk": "user"}
_NO_PARAMETERS = {"messages", "_type"}


def message(given: Any) -> Any:
    """A chat message as `{"role", "content", …}`; what is no message comes back as it is."""
    if isinstance(given, (list, tuple)) and len(given) == 2 and isinstance(given[0], str):
        return {"role": _ROLES.get(given[0], given[0]), "content": given[1]}
    kind = getattr(given, "type", None)
    if not isinstance(kind, str) or not hasattr(given, "content"):
        return given
    role = getattr(given, "role", None) if kind == "chat" else None
    shown: dict[str, Any] = {"role": role or _ROLES.get(kind, kind), "content": given.content}
    calls = getattr(given, "tool_calls", None)
    if calls:
        shown["tool_calls"] = [{key: call.get(key) for key in ("name", "args", "id")} for call in calls]
    for key in ("name", "tool_call_id"):
        if getattr(given, key, None):
            shown[key] = getattr(given, key)
    if getattr(given, "status", None) == "error":
        shown["status"] = "error"
    return shown


def parameters(given: Mapping[str, Any] | None) -> dict[str, Any]:
    """The parameters of a call, without what is None or said elsewhere."""
    return {key: value for key, value in (given or {}).items() if value is not None and key not in _NO_PARAMETERS}


class Answer(NamedTuple):
    """What a model gave back."""

    response: dict[str, Any] | None
    tokens: Tokens | None
    model: str | None
    error: BaseException | None = None
    error_text: tuple[str, str] | None = None
    """Message and kind of an error that came as part of the answer."""
    first_token: int | None = None
    """When the first token came, by `perf_counter_ns`."""
    more: Mapping[str, Any] = {}
    """Further entries of the payload."""


class Seen:
    """A call as a layer below LangChain sees it, to be read on the writer's thread."""

    __slots__ = ()

    def asked(self) -> tuple[list[Any], dict[str, Any], bool]:
        """The messages, the parameters, and whether some of it may have changed since the call."""
        raise NotImplementedError

    def answer(self) -> Answer:
        """What is known of the answer by now."""
        raise NotImplementedError

    def about(self) -> tuple[str, str, str | None, str | None]:
        """The name of a step made for it, its provider, its model and its subtype."""
        raise NotImplementedError

    def began(self) -> int:
        """When, by `perf_counter_ns`."""
        raise NotImplementedError

    def raw(self) -> dict[str, Any] | None:
        """The answer in the provider's own form, from which a replay makes the SDK's objects; None: it is not known."""
        return None


def completed(answer: Answer, inner: Sequence[Seen]) -> Answer:
    """`answer`, with what it lacks taken from the same call as layers below saw it.

    A layer that tries again makes several calls below, and all of them are paid for.
    """
    below = [one.answer() for one in inner]
    tokens = answer.tokens
    if tokens is None:
        paid = [one.tokens for one in below if one.tokens is not None]
        tokens = tuple(map(sum, zip(*paid, strict=True))) if paid else None  # type: ignore[assignment]
    first = [one.first_token for one in (answer, *below) if one.first_token is not None]
    models = [one.model for one in (answer, *reversed(below)) if one.model]
    more: dict[str, Any] = {}
    for one in (*below, answer):
        more.update(one.more)
    return answer._replace(
        tokens=tokens, model=models[0] if models else None, first_token=first[0] if first else None, more=more
    )


def answer(result: Any) -> Answer:
    """The first generation of an `LLMResult`, with its usage. Further candidates are listed as `others`."""
    generations = [one for batch in getattr(result, "generations", None) or [] for one in batch]
    output = getattr(result, "llm_output", None) or {}
    if not generations:
        return Answer(None, _usage(None, output, {}), _model(output, {}))
    first, *others = generations
    said = getattr(first, "message", None)
    about: dict[str, Any] = {**(getattr(first, "generation_info", None) or {})}
    about.update(getattr(said, "response_metadata", None) or {})
    response = message(said) if said is not None else {"role": "assistant", "content": getattr(first, "text", "")}
    if isinstance(response, dict):
        reason = about.get("finish_reason") or about.get("stop_reason") or about.get("done_reason")
        if reason is not None:
            response["finish_reason"] = reason
        if others:
            response["others"] = [message(getattr(one, "message", None)) or getattr(one, "text", "") for one in others]
    return Answer(response, _usage(said, output, about), _model(output, about))


def _model(output: Mapping[str, Any], about: Mapping[str, Any]) -> str | None:
    for place in (about, output):
        for key in ("model_name", "model", "model_id"):
            if isinstance(place.get(key), str) and place[key]:
                return str(place[key])
    return None


def _usage(said: Any, output: Mapping[str, Any], about: Mapping[str, Any]) -> Tokens | None:
    """LangChain's usage of a message, or what providers report in its place."""
    usage = getattr(said, "usage_metadata", None)
    if not usage:
        for place in (output, about):
            usage = place.get("token_usage") or place.get("usage")
            if isinstance(usage, Mapping):
                break
    if not isinstance(usage, Mapping) or not usage:
        return None
    prompt = _count(usage, "input_tokens", "prompt_tokens")
    completion = _count(usage, "output_tokens", "completion_tokens")
    read = usage.get("input_token_details") or usage.get("prompt_tokens_details") or {}
    made = usage.get("output_token_details") or usage.get("completion_tokens_details") or {}
    return (
        prompt,
        completion,
        _count(usage, "total_tokens") or prompt + completion,
        _count(read, "cache_read", "cached_tokens"),
        _count(read, "cache_creation"),
        _count(made, "reasoning", "reasoning_tokens"),
    )


def _count(counts: Any, *keys: str) -> int:
    for key in keys:
        value = counts.get(key) if isinstance(counts, Mapping) else None
        if isinstance(value, int):
            return value
    return 0


def tool_result(output: Any) -> tuple[Any, str | None]:
    """What a tool gave back, and its error message if it said that it failed."""
    if getattr(output, "type", None) == "tool" and hasattr(output, "content"):
        failed = getattr(output, "status", None) == "error"
        return output.content, str(output.content) if failed else None
    return output, None


def documents(found: Any) -> Any:
    """What a retriever found, as `{"content", "metadata"}` each."""
    if not isinstance(found, (list, tuple)):
        return found
    return [_document(one) for one in found]


def _document(one: Any) -> Any:
    return {"content": one.page_content, "metadata": one.metadata} if hasattr(one, "page_content") else one
