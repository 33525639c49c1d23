"""Any LangChain chat model as a client."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping, Sequence
from functools import cached_property
from typing import Any

from ..core.errors import InvalidArgumentError
from ..core.model import TokenUsage
from ._types import LLMClient, LLMResult, Messages, ToolRequest, as_messages


class LangChainClient:
    """A LangChain chat model, or what its `bind_tools`, `with_retry` and the like return, as a client."""

    def __init__(self, model: Any) -> None:
        """`model` has LangChain's `ainvoke`."""
        self._model = model

    @cached_property
    def model(self) -> str:
        """The model's name, as far as it tells."""
        return _name_of(self._model)

    def __repr__(self) -> str:
        return f"LangChainClient({self._model!r})"

    async def acomplete(self, messages: Messages, **overrides: Any) -> LLMResult:
        """One completion; `overrides` go to the model's `ainvoke`."""
        model = self._bound(overrides)
        return _result(await model.ainvoke(_messages(messages), **overrides), self.model)

    async def astream(self, messages: Messages, **overrides: Any) -> AsyncIterator[str | LLMResult]:
        """Chunks of text as they come, then the whole as a result."""
        model = self._bound(overrides)
        whole: Any = None
        async for chunk in model.astream(_messages(messages), **overrides):
            whole = chunk if whole is None else whole + chunk
            text = _text(chunk.content)
            if text:
                yield text
        yield _result(whole, self.model)

    def _bound(self, overrides: dict[str, Any]) -> Any:
        tools = overrides.pop("tools", None)
        if not tools:
            return self._model
        wrapped = [one if "type" in one else {"type": "function", "function": one} for one in tools]
        return self._model.bind_tools(wrapped)


def as_client(given: Any) -> LLMClient:
    """`given` as a client: one is taken as it is, a LangChain chat model is wrapped.

    Raises InvalidArgumentError for anything else.
    """
    if callable(getattr(given, "acomplete", None)):
        return given  # type: ignore[no-any-return]
    if callable(getattr(given, "ainvoke", None)) and callable(getattr(given, "astream", None)):
        return LangChainClient(given)
    raise InvalidArgumentError(
        f"{given!r:.100} is no language model: give an object with `async def acomplete(messages, **overrides)` "
        "(ftnb.llm.LLMClient), as LiteLLMClient is, or a LangChain chat model"
    )


def _name_of(model: Any) -> str:
    inner = getattr(model, "bound", model)
    for name in ("model_name", "model", "model_id"):
        value = getattr(inner, name, None)
        if isinstance(value, str) and value:
            return value
    return type(inner).__name__


def _messages(messages: Messages) -> list[Any] | str:
    if isinstance(messages, str):
        return messages  # LangChain takes a text as what the user said
    from langchain_core.messages import AIMessage, ToolMessage, convert_to_messages

    made: list[Any] = []
    for place, one in enumerate(as_messages(messages)):
        if one.get("role") == "tool":
            content = one.get("content")
            text = content if isinstance(content, str) else json.dumps(content, default=str)
            made.append(ToolMessage(text, tool_call_id=one.get("tool_call_id") or "", name=one.get("name")))
        elif one.get("tool_calls") and "function" not in one["tool_calls"][0]:
            calls = [
                {"name": call["name"], "args": call.get("args") or {}, "id": call.get("id") or f"call_{place}_{i}"}
                for i, call in enumerate(one["tool_calls"])
            ]
            made.append(AIMessage(one.get("content") or "", tool_calls=calls))
        else:
            made += convert_to_messages([one])
    return made


def _result(message: Any, model: str) -> LLMResult:
    if message is None:
        return LLMResult("", TokenUsage(), model)
    about = getattr(message, "response_metadata", None) or {}
    requests = [ToolRequest(call["name"], dict(call["args"]), call.get("id")) for call in message.tool_calls]
    requests += [
        ToolRequest(call.get("name") or "", {}, call.get("id"), error=call.get("error") or "the arguments are no JSON")
        for call in getattr(message, "invalid_tool_calls", None) or []
    ]
    name = about.get("model_name") or about.get("model") or model
    return LLMResult(_text(message.content), _usage(message), str(name), raw=message, tool_calls=requests)


def _text(content: str | Sequence[Any]) -> str:
    """The text of a message whose content may be a list of blocks."""
    if isinstance(content, str):
        return content
    parts = [
        one if isinstance(one, str) else one.get("text") or "" for one in content if isinstance(one, (str, Mapping))
    ]
    return "".join(parts)


def _usage(message: Any) -> TokenUsage:
    usage = getattr(message, "usage_metadata", None) or {}
    given, made = usage.get("input_token_details") or {}, usage.get("output_token_details") or {}
    return TokenUsage(
        prompt=usage.get("input_tokens") or 0,
        completion=usage.get("output_tokens") or 0,
        total=usage.get("total_tokens") or 0,
        cache_read=given.get("cache_read") or 0,
        cache_write=given.get("cache_creation") or 0,
        reasoning=made.get("reasoning") or 0,
    )
