"""Standing between a replayed node and the models and tools that it calls.

While a replay runs, LangChain's base classes ask its cassette first. They are wrapped only for that time, look at a
context variable, and pass on what belongs to nobody's replay: agents that run beside it notice nothing.
"""

from __future__ import annotations

import builtins
import functools
import sys
import threading
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from ..core.errors import ReplayError
from ..core.marked import Marked
from ..core.model import TokenUsage
from ..langgraph_adapter import calls
from ..langgraph_adapter.handler import AMBIENT, HANDLER
from . import _restore
from ._cassette import Cassette, Entry

CASSETTE: ContextVar[Cassette | None] = ContextVar("ftnb_cassette", default=None)
_ALLOWED: ContextVar[bool] = ContextVar("ftnb_model_allowed", default=False)
"""The workflow's own model is being called by what runs here: its SDK is not asked about once more."""
_lock = threading.Lock()
_users = 0
_wrapped: list[tuple[type, str, Any]] = []
_MODEL_NAMES = ("model_name", "model", "model_id", "deployment_name")


@contextmanager
def serving(cassette: Cassette) -> Iterator[Cassette]:
    """Calls of models and tools in this context are answered by `cassette`, as far as it will."""
    _acquire()
    token, answers = CASSETTE.set(cassette), calls.ANSWERS.set(_Answers(cassette))
    handler = HANDLER.get()
    if handler is not None and handler is not AMBIENT:
        handler.cassette = cassette  # type: ignore[attr-defined]
    try:
        yield cassette
    finally:
        calls.ANSWERS.reset(answers)
        CASSETTE.reset(token)
        _release()


def here() -> Cassette | None:
    """The cassette of the replay that this code belongs to; in a pool's thread it comes with the handler."""
    return CASSETTE.get() or getattr(HANDLER.get(), "cassette", None)


class _Answers:
    """What a workflow of ours asks, for it calls models and tools that are not LangChain's."""

    def __init__(self, cassette: Cassette) -> None:
        self._cassette = cassette

    def model(self, messages: Any, parameters: Mapping[str, Any]) -> tuple[dict[str, Any], TokenUsage, str] | None:
        """See `calls.Answers`."""
        entry = self._cassette.ask_model(messages, parameters, node_here())
        if entry is None:
            _ALLOWED.set(True)
            return None
        _raise_recorded(entry)
        call = entry.call
        prompt, completion, total = call.tokens or (0, 0, 0)
        response = (self._cassette.recorded.value(call.payload) or {}).get("response") or {}
        tokens = TokenUsage(prompt=prompt, completion=completion, total=total)
        return response, tokens, call.model or call.name

    def raw(self, provider: str, model: str | None) -> None:
        """See `calls.Answers`."""
        if not _ALLOWED.get():
            self._cassette.ask_raw(provider, model, node_here())

    def tool(self, tool: Any, name: str, arguments: Any) -> tuple[Any] | None:
        """See `calls.Answers`."""
        entry = self._cassette.ask_tool(tool, name, arguments, node_here())
        return None if entry is None else (_output(entry, tool, None),)


def _acquire() -> None:
    global _users
    with _lock:
        _users += 1
        if _users == 1:
            _install()


def _release() -> None:
    global _users
    with _lock:
        _users -= 1
        if _users:
            return
        while _wrapped:
            owner, name, original = _wrapped.pop()
            setattr(owner, name, original)


def _install() -> None:
    from langchain_core.language_models import BaseChatModel
    from langchain_core.retrievers import BaseRetriever
    from langchain_core.tools import BaseTool

    _wrap(BaseChatModel, "_generate_with_cache", _generate)
    _wrap(BaseChatModel, "_agenerate_with_cache", _agenerate)
    _wrap(BaseChatModel, "generate", _swapping)
    _wrap(BaseChatModel, "agenerate", _swapping)
    _wrap(BaseChatModel, "stream", _stream)
    _wrap(BaseChatModel, "astream", _astream)
    _wrap(BaseTool, "run", _run)
    _wrap(BaseTool, "arun", _arun)
    _wrap(BaseRetriever, "invoke", _retrieve)
    _wrap(BaseRetriever, "ainvoke", _aretrieve)


def _wrap(owner: Any, name: str, make: Callable[[Any], Any]) -> None:
    original = owner.__dict__[name]
    setattr(owner, name, functools.wraps(original)(make(original)))
    _wrapped.append((owner, name, original))


def node_here() -> str:
    """The node that runs in this context, with the nodes around it; empty outside any."""
    from langchain_core.runnables.config import var_child_runnable_config

    about = (var_child_runnable_config.get() or {}).get("metadata") or {}
    namespace = str(about.get("langgraph_checkpoint_ns") or "")
    return "/".join(part.partition(":")[0] for part in namespace.split("|") if not part.isdigit())


# --- models ---


def _generate(original: Any) -> Any:
    def _generate_with_cache(self: Any, messages: Any, stop: Any = None, run_manager: Any = None, **kwargs: Any) -> Any:
        entry = _ask_model(self, messages, stop, kwargs)
        if entry is None:
            return original(self, messages, stop=stop, run_manager=run_manager, **kwargs)
        return _chat_result(entry)

    return _generate_with_cache


def _agenerate(original: Any) -> Any:
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


def _swapping(original: Any) -> Any:
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


def _stream(original: Any) -> Any:
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


def _astream(original: Any) -> Any:
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

    _raise_recorded(entry)
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


def _raise_recorded(entry: Entry) -> None:
    call = entry.call
    if call.error is not None and call.error_type is not None:
        raise _error(call.error_type, call.error)


def _error(name: str, message: str) -> Exception:
    """An exception of the recorded class where it can be found and made, else one of that name."""
    kind: Any = getattr(builtins, name, None) or getattr(sys.modules.get("langchain_core.tools"), name, None)
    if kind is None:
        kinds = {getattr(module, name, None) for module in list(sys.modules.values()) if name in vars(module)}
        kind = next((one for one in kinds if isinstance(one, type) and issubclass(one, Exception)), None)
    if isinstance(kind, type) and issubclass(kind, Exception):
        try:
            return kind(message)
        except Exception:  # it wants more than a message
            pass
    return type(name, (Exception,), {})(message)  # type: ignore[no-any-return]


# --- tools and retrievers ---


def _run(original: Any) -> Any:
    def run(self: Any, tool_input: Any, *args: Any, **kwargs: Any) -> Any:
        entry, arguments = _ask_tool(self, tool_input)
        if entry is None:
            return original(self, tool_input, *args, **kwargs)
        from langchain_core.callbacks import CallbackManager

        manager = _manager(CallbackManager, self, kwargs)
        run = manager.on_tool_start(*_told(self, arguments), **_start(arguments, kwargs))
        try:
            output = _output(entry, self, kwargs.get("tool_call_id"))
        except Exception as error:
            run.on_tool_error(error)
            raise
        run.on_tool_end(output, name=self.name)
        return output

    return run


def _arun(original: Any) -> Any:
    async def arun(self: Any, tool_input: Any, *args: Any, **kwargs: Any) -> Any:
        entry, arguments = _ask_tool(self, tool_input)
        if entry is None:
            return await original(self, tool_input, *args, **kwargs)
        from langchain_core.callbacks import AsyncCallbackManager

        manager = _manager(AsyncCallbackManager, self, kwargs)
        run = await manager.on_tool_start(*_told(self, arguments), **_start(arguments, kwargs))
        try:
            output = _output(entry, self, kwargs.get("tool_call_id"))
        except Exception as error:
            await run.on_tool_error(error)
            raise
        await run.on_tool_end(output, name=self.name)
        return output

    return arun


def _ask_tool(tool: Any, tool_input: Any) -> tuple[Entry | None, Any]:
    cassette = here()
    if cassette is None:
        return None, None
    arguments = tool_input
    if isinstance(tool_input, dict) and hasattr(tool, "_filter_injected_args"):
        arguments = tool._filter_injected_args(tool_input)
    return cassette.ask_tool(tool, tool.name, arguments, node_here()), arguments


def _manager(kind: Any, tool: Any, kwargs: dict[str, Any]) -> Any:
    given = (kwargs.get("callbacks"), tool.callbacks, False, kwargs.get("tags"), tool.tags)
    return kind.configure(*given, kwargs.get("metadata"), tool.metadata)


def _told(tool: Any, arguments: Any) -> tuple[dict[str, Any], str]:
    return {"name": tool.name, "description": tool.description}, str(arguments)


def _start(arguments: Any, kwargs: dict[str, Any]) -> dict[str, Any]:
    inputs = arguments if isinstance(arguments, dict) else None
    return {
        "inputs": inputs, "name": kwargs.get("run_name"), "run_id": kwargs.get("run_id"),
        "tool_call_id": kwargs.get("tool_call_id"),
    }  # fmt: skip


def _output(entry: Entry, tool: Any, call_id: str | None) -> Any:
    from langchain_core.messages import ToolMessage

    cassette = here()
    assert cassette is not None
    call = entry.call
    if call.event_id in cassette.edits:
        result, failed = cassette.edits[call.event_id], False
    else:
        _raise_recorded(entry)
        result, failed = (cassette.recorded.value(call.payload) or {}).get("result"), call.error is not None
        try:
            result = _restore.restore(result)
        except _restore.Missing as error:
            message = f"the recorded result of tool {call.name!r} {error.why}; it is needed to go on"
            cassette.refused.append(message)
            raise ReplayError(message) from None
    if call_id is None or type(result).__name__ == "Command":
        return result
    content = result if isinstance(result, str) or _is_content(result) else str(result)
    status: Any = "error" if failed else "success"
    return ToolMessage(content, tool_call_id=call_id, name=tool.name, status=status)


def _is_content(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(one, (str, dict)) for one in value)


def _retrieve(original: Any) -> Any:
    def invoke(self: Any, input: Any, config: Any = None, **kwargs: Any) -> Any:
        entry = _ask_retriever(self, input, config)
        return original(self, input, config, **kwargs) if entry is None else _documents(entry)

    return invoke


def _aretrieve(original: Any) -> Any:
    async def ainvoke(self: Any, input: Any, config: Any = None, **kwargs: Any) -> Any:
        entry = _ask_retriever(self, input, config)
        return await original(self, input, config, **kwargs) if entry is None else _documents(entry)

    return ainvoke


def _ask_retriever(retriever: Any, query: Any, config: Any) -> Entry | None:
    cassette = here()
    if cassette is None:
        return None
    name = (config or {}).get("run_name") or retriever.get_name()
    return cassette.ask_tool(retriever, name, query, node_here(), "retriever")


def _documents(entry: Entry) -> Any:
    from langchain_core.documents import Document

    cassette = here()
    assert cassette is not None
    _raise_recorded(entry)
    found = (cassette.recorded.value(entry.call.payload) or {}).get("documents") or []
    return [Document(page_content=one["content"], metadata=one.get("metadata") or {}) for one in found]
