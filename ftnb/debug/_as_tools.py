"""In the place of LangChain's tools and retrievers while a replay runs: recorded results."""

from __future__ import annotations

from typing import Any

from ..core.errors import ReplayError
from . import _restore
from ._cassette import Entry
from ._context import here, node_here, raise_recorded


def run(original: Any) -> Any:
    def run(self: Any, tool_input: Any, *args: Any, **kwargs: Any) -> Any:
        entry, arguments = _ask_tool(self, tool_input)
        if entry is None:
            return original(self, tool_input, *args, **kwargs)
        from langchain_core.callbacks import CallbackManager

        manager = _manager(CallbackManager, self, kwargs)
        run = manager.on_tool_start(*_told(self, arguments), **_start(arguments, kwargs))
        try:
            output = output_of(entry, self, kwargs.get("tool_call_id"))
        except Exception as error:
            run.on_tool_error(error)
            raise
        run.on_tool_end(output, name=self.name)
        return output

    return run


def arun(original: Any) -> Any:
    async def arun(self: Any, tool_input: Any, *args: Any, **kwargs: Any) -> Any:
        entry, arguments = _ask_tool(self, tool_input)
        if entry is None:
            return await original(self, tool_input, *args, **kwargs)
        from langchain_core.callbacks import AsyncCallbackManager

        manager = _manager(AsyncCallbackManager, self, kwargs)
        run = await manager.on_tool_start(*_told(self, arguments), **_start(arguments, kwargs))
        try:
            output = output_of(entry, self, kwargs.get("tool_call_id"))
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


def output_of(entry: Entry, tool: Any, call_id: str | None) -> Any:
    from langchain_core.messages import ToolMessage

    cassette = here()
    assert cassette is not None
    call = entry.call
    if call.event_id in cassette.edits:
        result, failed = cassette.edits[call.event_id], False
    else:
        raise_recorded(entry)
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


def retrieve(original: Any) -> Any:
    def invoke(self: Any, input: Any, config: Any = None, **kwargs: Any) -> Any:
        entry = _ask_retriever(self, input, config)
        return original(self, input, config, **kwargs) if entry is None else _documents(entry)

    return invoke


def aretrieve(original: Any) -> Any:
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
    raise_recorded(entry)
    found = (cassette.recorded.value(entry.call.payload) or {}).get("documents") or []
    return [Document(page_content=one["content"], metadata=one.get("metadata") or {}) for one in found]
