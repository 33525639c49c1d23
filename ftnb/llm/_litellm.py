"""LiteLLM as a client: one configuration for a hundred providers."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any

from ..core._optional import require
from ..core.errors import InvalidArgumentError, LLMError
from ..core.model import TokenUsage
from ._types import LLMResult, Messages, ToolRequest, as_messages


class LiteLLMClient:
    """Calls models through LiteLLM. Settings (temperature, max_tokens …) go along with every call, and each call may
    override them.

    One client may be used by any number of runs at once.
    """

    def __init__(
        self,
        *,
        model: str,
        provider: str | None = None,
        api_key: str | None = None,
        _completion: Callable[..., Any] | None = None,
        _acompletion: Callable[..., Any] | None = None,
        **settings: Any,
    ) -> None:
        """`provider` and `model` as LiteLLM names them; `provider` may be left out where `model` says it already
        (`openai/gpt-5-nano`). `api_key` None: LiteLLM looks into the environment."""
        self._provider = provider
        self.model = self._named(model)
        self._api_key = api_key
        self._settings = settings
        self._completion = _completion
        self._acompletion = _acompletion

    def __repr__(self) -> str:
        return f"LiteLLMClient({self.model!r})"  # never the key

    @classmethod
    def from_config(
        cls,
        config: Mapping[str, Any],
        *,
        _completion: Callable[..., Any] | None = None,
        _acompletion: Callable[..., Any] | None = None,
    ) -> LiteLLMClient:
        """From `{"llm_provider", "model", "key", …settings}`; `provider` and `api_key` are understood as well."""
        given = dict(config)
        model = given.pop("model", None)
        if not model:
            raise InvalidArgumentError(
                f"the configuration names no 'model'; it has: {', '.join(sorted(given)) or 'nothing'}"
            )
        provider, other_provider = given.pop("llm_provider", None), given.pop("provider", None)
        key, other_key = given.pop("key", None), given.pop("api_key", None)
        return cls(
            model=model,
            provider=provider or other_provider,
            api_key=key or other_key,
            _completion=_completion,
            _acompletion=_acompletion,
            **given,
        )

    def complete(self, messages: Messages, **overrides: Any) -> LLMResult:
        """One completion, from code that is not async."""
        call = self._completion or _litellm().completion
        given = self._arguments(messages, overrides)
        return _result(call(**given), given["model"])

    async def acomplete(self, messages: Messages, **overrides: Any) -> LLMResult:
        """One completion."""
        call = self._acompletion or _litellm().acompletion
        given = self._arguments(messages, overrides)
        return _result(await call(**given), given["model"])

    async def astream(self, messages: Messages, **overrides: Any) -> AsyncIterator[str | LLMResult]:
        """Chunks of text as they come, then the whole as a result."""
        call = self._acompletion or _litellm().acompletion
        given = {"stream_options": {"include_usage": True}, **self._arguments(messages, overrides), "stream": True}
        stream = _Stream(given["model"])
        async for chunk in await call(**given):
            text = stream.take(chunk)
            if text:
                yield text
        yield stream.result()

    def _named(self, model: str) -> str:
        return f"{self._provider}/{model}" if self._provider and "/" not in model else model

    def _arguments(self, messages: Messages, overrides: Mapping[str, Any]) -> dict[str, Any]:
        given = {**self._settings, **overrides}
        if self._api_key is not None:
            given.setdefault("api_key", self._api_key)
        given["model"] = self._named(given["model"]) if given.get("model") else self.model
        tools = given.pop("tools", None)
        if tools:
            given["tools"] = [one if "type" in one else {"type": "function", "function": one} for one in tools]
        return {**given, "messages": [_message(one) for one in as_messages(messages)]}


def _litellm() -> Any:
    if "litellm" not in sys.modules:
        # When it is imported it would fetch its table of prices from the network; it ships the same table.
        os.environ.setdefault("LITELLM_LOCAL_MODEL_COST_MAP", "True")
    return require("litellm", feature="LiteLLMClient", extra="llm")


def _message(message: dict[str, Any]) -> dict[str, Any]:
    """A message as OpenAI, and so LiteLLM, wants it."""
    if message.get("tool_calls"):
        calls = [_call(index, one) for index, one in enumerate(message["tool_calls"])]
        return {**message, "tool_calls": calls}
    if message.get("role") == "tool" and not isinstance(message.get("content"), str):
        return {**message, "content": json.dumps(message.get("content"), default=str)}
    return message


def _call(index: int, call: dict[str, Any]) -> dict[str, Any]:
    if "function" in call:
        return call
    function = {"name": call["name"], "arguments": json.dumps(call.get("args") or {}, default=str)}
    return {"id": call.get("id") or f"call_{index}", "type": "function", "function": function}


def _result(response: Any, model: str) -> LLMResult:
    choices = getattr(response, "choices", None)
    if not choices:
        raise LLMError(f"{model} answered without any choice: {response!r:.200}")
    said = choices[0].message
    requests = [_request(one.id, one.function) for one in getattr(said, "tool_calls", None) or []]
    text = said.content
    if text is None and requests:
        text = ""
    return LLMResult(text, _usage(getattr(response, "usage", None)), model, raw=response, tool_calls=requests)


def _request(call_id: str | None, function: Any) -> ToolRequest:
    name, arguments = str(function.name), function.arguments
    if isinstance(arguments, Mapping):
        return ToolRequest(name, dict(arguments), call_id)
    try:
        read = json.loads(arguments or "{}")
    except ValueError as error:
        return ToolRequest(name, {}, call_id, error=f"the arguments are no JSON ({error}): {arguments}")
    if not isinstance(read, dict):
        return ToolRequest(name, {}, call_id, error=f"the arguments are no JSON object: {arguments}")
    return ToolRequest(name, read, call_id)


def _usage(usage: Any) -> TokenUsage:
    prompt, completion = _details(usage, "prompt_tokens_details"), _details(usage, "completion_tokens_details")
    return TokenUsage(
        prompt=_count(usage, "prompt_tokens"),
        completion=_count(usage, "completion_tokens"),
        total=_count(usage, "total_tokens"),
        cache_read=_count(prompt, "cached_tokens"),
        cache_write=_count(prompt, "cache_creation_tokens"),
        reasoning=_count(completion, "reasoning_tokens"),
    )


def _details(usage: Any, name: str) -> Any:
    return getattr(usage, name, None)


def _count(counts: Any, name: str) -> int:
    value = getattr(counts, name, 0)
    return value if isinstance(value, int) else 0


class _Part:
    """A tool call that arrives in pieces."""

    def __init__(self) -> None:
        self.id: str | None = None
        self.name = ""
        self.arguments = ""


class _Stream:
    """A completion that arrives in chunks."""

    def __init__(self, model: str) -> None:
        self._model = model
        self._text: list[str] = []
        self._usage = TokenUsage()
        self._parts: dict[int, _Part] = {}

    def take(self, chunk: Any) -> str:
        """The text in a chunk; what else it holds is kept."""
        usage = getattr(chunk, "usage", None)
        if usage is not None:
            self._usage = _usage(usage)
        choices = getattr(chunk, "choices", None)
        delta = choices[0].delta if choices else None
        for piece in getattr(delta, "tool_calls", None) or []:
            part = self._parts.setdefault(piece.index, _Part())
            part.id = part.id or piece.id
            part.name += piece.function.name or ""
            part.arguments += piece.function.arguments or ""
        text = getattr(delta, "content", None) or ""
        self._text.append(text)
        return text

    def result(self) -> LLMResult:
        """All of it."""
        requests = [_request(part.id, part) for _, part in sorted(self._parts.items())]
        return LLMResult("".join(self._text), self._usage, self._model, tool_calls=requests)
