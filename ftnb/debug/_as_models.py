"""In the place of LangChain's chat models while a replay runs: recorded answers, or another model."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import Any

from ..core.errors import ReplayError
from ..core.marked import Marked
from . import _restore
from ._cassette import Cassette, Entry
from ._context import here, node_here, raise_recorded

_MODEL_NAMES = ("model_name", "model", "model_id", "deployment_name")


def generate(original: Any) -> Any:
    def _generate_with_cache(self: Any, messages: Any, stop: Any = None, run_manager: Any = None, **kwargs: Any) -> Any:
        entry = _ask_model(self, messages, stop, kwargs)
        if entry is None:
            return original(self, messages, stop=stop, run_manager=run_manager, **kwargs)
        return _chat_result(entry)

    return _generate_with_cache


def agenerate(original: Any) -> Any:
    async def _agenerate_with_cache(
        self: Any, messages: Any, stop: Any = None, run_manager: Any = None, **kwargs: Any
    ) -> Any:
        entry = _ask_model(self, messages, stop, kwargs)
        if entry is None:
            return await original(self, messages, stop=stop, run_manager=run_manager, **kwargs)
        return _chat_result(entry)

    return _agenerate_with_cache


def _ask_model(model: Any, messages: Any, stop: Any, kwargs: dict[str, Any]) -> Entry | None:
    cassette = here()
    if cassette is None:
        return None
    return cassette.ask_model(messages, model._get_invocation_params(stop=stop, **kwargs), node_here())


def swapping(original: Any) -> Any:
    """For `generate` and `agenerate`: another model takes the call where the replay wants that."""

    def generate(self: Any, messages: Any, stop: Any = None, callbacks: Any = None, **kwargs: Any) -> Any:
        other, kwargs = _swapped(self, kwargs)
        if other is None:
            return original(self, messages, stop, callbacks, **kwargs)
        return original(other, messages, stop, callbacks, **kwargs)

    return generate


def _swapped(model: Any, kwargs: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
    cassette = here()
    wanted = None if cassette is None else cassette.model
    if wanted is None or wanted is model:
        return None, kwargs
    if isinstance(wanted, str):
        return _renamed(model, wanted), kwargs
    tools = kwargs.get("tools")
    if tools:
        given = {key: value for key, value in kwargs.items() if key != "tools"}
        try:
            return wanted, {**given, **wanted.bind_tools(tools).kwargs}
        except NotImplementedError:  # a model that takes no tools, or takes them as they are
            pass
    return wanted, kwargs


def _renamed(model: Any, name: str) -> Any:
    fields = getattr(type(model), "model_fields", {})
    field = next((one for one in _MODEL_NAMES if one in fields), None)
    if field is None:
        raise ReplayError(
            f"{type(model).__name__} has no field that names its model ({', '.join(_MODEL_NAMES)}); "
            "pass a chat model: model=ChatOpenAI(model=…)"
        )
    return model.model_copy(update={field: name})


def stream(original: Any) -> Any:
    def stream(self: Any, input: Any, config: Any = None, *, stop: Any = None, **kwargs: Any) -> Iterator[Any]:
        cassette = here()
        if cassette is None:
            yield from original(self, input, config, stop=stop, **kwargs)
            return
        other, kwargs = _swapped(self, kwargs)
        model = self if other is None else other
        if _would_call(model, cassette, input, stop, kwargs):
            # Not yielded from inside: the context is the caller's between two chunks.
            yield from original(model, input, config, stop=stop, **kwargs)
            return
        yield _chunk(model.invoke(input, config, stop=stop, **kwargs))

    return stream


def astream(original: Any) -> Any:
    async def astream(
        self: Any, input: Any, config: Any = None, *, stop: Any = None, **kwargs: Any
    ) -> AsyncIterator[Any]:
        cassette = here()
        if cassette is None:
            async for chunk in original(self, input, config, stop=stop, **kwargs):
                yield chunk
            return
        other, kwargs = _swapped(self, kwargs)
        model = self if other is None else other
        if _would_call(model, cassette, input, stop, kwargs):
            async for chunk in original(model, input, config, stop=stop, **kwargs):
                yield chunk
            return
        yield _chunk(await model.ainvoke(input, config, stop=stop, **kwargs))

    return astream


def _would_call(model: Any, cassette: Cassette, input: Any, stop: Any, kwargs: dict[str, Any]) -> bool:
    messages = model._convert_input(input).to_messages()
    return cassette.would_call(messages, model._get_invocation_params(stop=stop, **kwargs), node_here())


def _chunk(message: Any) -> Any:
    from langchain_core.messages import AIMessageChunk

    known = AIMessageChunk.model_fields
    fields = {name: value for name, value in message.model_dump(exclude={"type"}).items() if name in known}
    return AIMessageChunk(**fields)


def _chat_result(entry: Entry) -> Any:
    from langchain_core.outputs import ChatGeneration, ChatResult

    raise_recorded(entry)
    return ChatResult(generations=[ChatGeneration(message=one) for one in _messages(entry)])


def _messages(entry: Entry) -> list[Any]:
    cassette = here()
    assert cassette is not None
    response = (cassette.recorded.value(entry.call.payload) or {}).get("response") or {}
    whole = None if entry.used > 1 else _whole(cassette.recorded.value(entry.task.update), response)
    others = [_said(one, entry) for one in response.get("others") or () if isinstance(one, dict)]
    return [whole or _said(response, entry), *others]


def _said(response: Any, entry: Entry) -> Any:
    from langchain_core.messages import AIMessage

    calls = [{**call, "type": "tool_call"} for call in response.get("tool_calls") or ()]
    about = {"finish_reason": response.get("finish_reason"), "model_name": entry.call.model}
    said = AIMessage(response.get("content") or "", tool_calls=calls, name=response.get("name"))
    said.response_metadata = {key: value for key, value in about.items() if value is not None}
    if entry.call.tokens is not None:
        prompt, completion, total = entry.call.tokens
        said.usage_metadata = {"input_tokens": prompt, "output_tokens": completion, "total_tokens": total}
    return said


def _whole(update: Any, response: Any) -> Any:
    """The message itself, where the node put it into the state: the record of the call holds only what can be read."""
    calls = [(call.get("name"), call.get("args"), call.get("id")) for call in response.get("tool_calls") or ()]
    for mark in _marks(update, 0):
        if not str(mark.get("type")).startswith("AIMessage"):
            continue
        data = mark["data"]
        made = [(call.get("name"), call.get("args"), call.get("id")) for call in data.get("tool_calls") or ()]
        if data.get("content") == response.get("content") and made == calls:
            try:
                return _restore.restore(mark)
            except _restore.Missing:
                return None
    return None


def _marks(value: Any, depth: int) -> Iterator[Marked]:
    if isinstance(value, Marked):
        if isinstance(value.get("data"), dict):
            yield value
    elif depth < 4 and isinstance(value, (dict, list, tuple)):
        for item in value.values() if isinstance(value, dict) else value:
            yield from _marks(item, depth + 1)
