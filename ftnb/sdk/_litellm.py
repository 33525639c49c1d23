"""LiteLLM: completion, acompletion, embedding, aembedding.

Each of these is a function that closes over the one that does the work. That one is taken, in its closure, so that
whoever imported LiteLLM's functions earlier, or was given one, is seen too, and the functions stay the same objects.
LiteLLM's own retries, fallbacks and routers call them again: each is a call of its own. An answer from LiteLLM's cache
is none.
"""

from __future__ import annotations

import inspect
import weakref
from collections.abc import Callable, Iterator
from types import ModuleType
from typing import Any
from weakref import WeakKeyDictionary

from ..core._call_scope import CALL
from ..core._raised import raised
from ..core.errors import ReplayError
from ..langgraph_adapter.calls import Given
from . import _chat, _wire
from ._call import Call, copied
from ._patch import AttributePatch, CellPatch, Patch, Switch
from ._replied import asent, sent
from ._stainless import count
from ._wire import Api

_CHAT = _chat.CHAT._replace(name="litellm.completion")
_EMBEDDING = _chat.EMBEDDING._replace(name="litellm.embedding")
_FUNCTIONS = {"completion": _CHAT, "acompletion": _CHAT, "embedding": _EMBEDDING, "aembedding": _EMBEDDING}
_KEPT = frozenset((
    "model", "messages", "input", "temperature", "top_p", "n", "stream", "stream_options", "stop", "max_tokens",
    "max_completion_tokens", "presence_penalty", "frequency_penalty", "logit_bias", "user", "reasoning_effort",
    "thinking", "tools", "tool_choice", "parallel_tool_calls", "response_format", "seed", "modalities", "logprobs",
    "top_logprobs", "functions", "function_call", "timeout", "num_retries", "max_retries", "fallbacks", "dimensions",
    "encoding_format", "custom_llm_provider", "drop_params", "web_search_options", "mock_response",
))  # fmt: skip
"""Of LiteLLM's arguments, what says something about the call; others are keys, clients and settings of its own."""

_streams: WeakKeyDictionary[Any, Call] = WeakKeyDictionary()
"""The streams of calls under way."""


def patches(module: ModuleType, switch: Switch) -> list[Patch]:
    """The places to take."""
    from litellm.litellm_core_utils.streaming_handler import CustomStreamWrapper

    found: list[Patch] = []
    for name, api in _FUNCTIONS.items():
        function = getattr(module, name)
        make = _async_call(api, switch) if inspect.iscoroutinefunction(function) else _call(api, switch)
        found.append(CellPatch(function, "original_function", make))
    found.append(AttributePatch(CustomStreamWrapper, "__next__", _next))
    found.append(AttributePatch(CustomStreamWrapper, "__anext__", _anext))
    if "aclose" in vars(CustomStreamWrapper):
        found.append(AttributePatch(CustomStreamWrapper, "aclose", _aclose))
    return found


def _begin(api: Api, switch: Switch, args: Any, kwargs: Any) -> Call | None:
    """The call that this is; None: none that is recorded. Never raises."""
    if not switch.is_on or kwargs.get("acompletion") or kwargs.get("aembedding"):
        return None  # off, or the work of an async one
    try:
        given = {key: value for key, value in kwargs.items() if key in _KEPT}
        given.update(zip(("model", "messages" if api is _CHAT else "input"), args, strict=False))
        model = str(given.get("model") or "")
        provider = given.get("custom_llm_provider") or (model.partition("/")[0] if "/" in model else "litellm")
        call = Call(api, str(provider), model or None, given)
        return call if call.begin() else None
    except Exception as error:
        count(error)
        return None


def _call(api: Api, switch: Switch) -> Callable[[Any], Any]:
    def make(original: Any) -> Any:
        def called(*args: Any, **kwargs: Any) -> Any:
            call = _begin(api, switch, args, kwargs)
            if call is None:
                return original(*args, **kwargs)
            token = CALL.set(call)
            try:
                result, args, kwargs = _answered(call, args, kwargs, is_async=False)
                if result is None:
                    result = original(*args, **kwargs)
            except BaseException as error:
                call.failed(error)
                raise
            finally:
                CALL.reset(token)
            _returned(call, result)
            return result

        return called

    return make


def _async_call(api: Api, switch: Switch) -> Callable[[Any], Any]:
    def make(original: Any) -> Any:
        async def called(*args: Any, **kwargs: Any) -> Any:
            call = _begin(api, switch, args, kwargs)
            if call is None:
                return await original(*args, **kwargs)
            token = CALL.set(call)
            try:
                result, args, kwargs = _answered(call, args, kwargs, is_async=True)
                if result is None:
                    result = await original(*args, **kwargs)
            except BaseException as error:
                call.failed(error)
                raise
            finally:
                CALL.reset(token)
            _returned(call, result)
            return result

        return called

    return make


def _returned(call: Call, result: Any) -> None:
    if hasattr(result, "model_dump"):
        call.body = copied(result)
        call.over()
        return
    try:
        call.is_stream, call.reader = True, _objects
        weakref.finalize(result, call.over)  # left without being read to its end
        _streams[result] = call
    except TypeError:  # what cannot be followed is over as far as can be seen
        call.over()


def _objects(chunks: _wire.Chunks) -> Iterator[tuple[int, dict[str, Any]]]:
    for at, chunk in chunks:
        yield at, chunk.model_dump(mode="json", warnings=False)


# --- while a replay runs ---


def _answered(call: Call, args: Any, kwargs: Any, *, is_async: bool) -> tuple[Any, Any, Any]:
    """What the record says to a call, as LiteLLM gives it (None: it is to be made), and the call's arguments, for the
    model that the replay wants. Raises what LiteLLM raised then, or ReplayError."""
    if call.answers is None:
        return None, args, kwargs
    name = call.instead()
    if name is not None:
        args, kwargs = ((name, *args[1:]), kwargs) if args else (args, {**kwargs, "model": name})
        call.given = {**call.given, "model": name}
    given = call.ask()
    if given is None:
        return None, args, kwargs
    streams = bool(call.given.get("stream"))
    if given.error is not None and not (streams and given.reply):
        raise _error(call, given.error)
    if given.cut is not None and not streams:
        raise ReplayError(f"{given.cut}; the code that is replayed wants all of it")
    return (_stream_of(call, given, kwargs, is_async) if streams else _whole_of(call, given)), args, kwargs


def _whole_of(call: Call, given: Given) -> Any:
    import litellm

    kind = litellm.EmbeddingResponse if call.api is _EMBEDDING else litellm.ModelResponse
    return kind(**(given.reply or {}))


def _stream_of(call: Call, given: Given, kwargs: Any, is_async: bool) -> Any:
    from litellm.litellm_core_utils.streaming_handler import CustomStreamWrapper
    from openai.types.chat import ChatCompletionChunk

    parameters = {"stream_options": call.given.get("stream_options")}
    said = [one for _, one in call.api.unfold(given.reply or {}, parameters) if isinstance(one, dict)]
    # Not checked: what other providers say beside it is kept.
    chunks = [ChatCompletionChunk.construct(**one) for one in said]
    end = _error(call, given.error) if given.error is not None else None
    end = ReplayError(given.cut) if given.cut is not None and end is None else end
    parts = asent(chunks, end) if is_async else sent(chunks, end)
    options = call.given.get("stream_options")
    return CustomStreamWrapper(
        parts, call.model, kwargs["litellm_logging_obj"], custom_llm_provider="openai", stream_options=options
    )


def _error(call: Call, error: tuple[str, str]) -> Exception:
    from litellm import exceptions

    name, message = error
    kind = getattr(exceptions, name, None)
    if kind is not None:
        about = {"llm_provider": call.provider, "model": call.model}
        try:
            return kind(message=message.removeprefix(f"litellm.{name}: "), **about)  # type: ignore[no-any-return]
        except TypeError:  # it wants something else
            pass
    return raised(name, message)


# --- streams ---


def _next(original: Any) -> Any:
    def next_chunk(self: Any) -> Any:
        call = _streams.get(self)
        if call is None:
            return original(self)
        try:
            chunk = original(self)
        except StopIteration:
            _ended(self, call)
            raise
        except BaseException as error:
            call.failed(error)
            raise
        call.add(chunk)
        return chunk

    return next_chunk


def _anext(original: Any) -> Any:
    async def next_chunk(self: Any) -> Any:
        call = _streams.get(self)
        if call is None:
            return await original(self)
        try:
            chunk = await original(self)
        except StopAsyncIteration:
            _ended(self, call)
            raise
        except BaseException as error:
            call.failed(error)
            raise
        call.add(chunk)
        return chunk

    return next_chunk


def _aclose(original: Any) -> Any:
    async def aclose(self: Any, *args: Any, **kwargs: Any) -> Any:
        call = _streams.get(self)
        if call is not None:
            _ended(self, call)
        return await original(self, *args, **kwargs)

    return aclose


def _ended(stream: Any, call: Call) -> None:
    _streams.pop(stream, None)
    call.over()
