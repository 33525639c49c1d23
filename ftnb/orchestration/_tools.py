"""The loop in which a model uses tools: it asks, they are called, it reads what they gave, until it answers."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from ..agent import AgentTool
from ..core.errors import InvalidArgumentError, LLMError
from ..langgraph_adapter import calls
from ..llm import ToolRequest

if TYPE_CHECKING:
    from .context import StepContext

LIMIT_REACHED = "max_iterations"
"""Name of the log event of a loop that was ended by its bound."""
_ROLES = {"human": "user", "ai": "assistant"}


async def run_loop(
    ctx: StepContext,
    messages: Any,
    tools: Iterable[AgentTool],
    max_iterations: int,
    overrides: dict[str, Any],
    timeout: float | None,
) -> str:
    """The model's answer to `messages`, after at most `max_iterations` rounds with tools and one without."""
    by_name = {tool.name: tool for tool in tools}
    specs = [tool.spec() for tool in by_name.values()]
    talk = conversation(messages)
    for _ in range(max_iterations):
        result = await ctx._ask(list(talk), {**overrides, "tools": specs})
        requests: list[ToolRequest] = list(getattr(result, "tool_calls", None) or [])
        if not requests:
            return _answer(result)
        asked = [{"name": one.name, "args": one.args, "id": one.id} for one in requests]
        talk.append({"role": "assistant", "content": result.text, "tool_calls": asked})
        for request in requests:
            output = await _call(ctx, by_name, request, timeout)
            talk.append({"role": "tool", "name": request.name, "tool_call_id": request.id, "content": output})
    calls.log(LIMIT_REACHED, {"max_iterations": max_iterations})
    return _answer(await ctx._ask(list(talk), dict(overrides)))


def conversation(messages: Any) -> list[dict[str, Any]]:
    """A list of chat messages of our own, from a text or from a list of texts, messages and LangChain messages."""
    given = messages if isinstance(messages, list) else [messages]
    return [_message(one) for one in given]


def _message(given: Any) -> dict[str, Any]:
    if isinstance(given, str):
        return {"role": "user", "content": given}
    if isinstance(given, dict):
        return dict(given)
    if isinstance(given, (list, tuple)) and len(given) == 2:
        return {"role": _ROLES.get(given[0], given[0]), "content": given[1]}
    if not isinstance(getattr(given, "type", None), str) or not hasattr(given, "content"):
        raise InvalidArgumentError(
            f"{given!r:.100} is no message: give a text, {{'role', 'content'}}, or a LangChain one"
        )
    message: dict[str, Any] = {"role": _ROLES.get(given.type, given.type), "content": given.content}
    if getattr(given, "tool_calls", None):
        message["tool_calls"] = [{key: call.get(key) for key in ("name", "args", "id")} for call in given.tool_calls]
    for key in ("name", "tool_call_id"):
        if getattr(given, key, None):
            message[key] = getattr(given, key)
    return message


async def _call(ctx: StepContext, tools: dict[str, AgentTool], request: ToolRequest, timeout: float | None) -> Any:
    """Call the tool that is asked for; what goes wrong becomes the answer that the model reads."""
    from langgraph.errors import GraphBubbleUp

    call = calls.tool_call(request.name, request.args, request.id)
    try:
        tool = tools.get(request.name)
        if tool is None:
            raise InvalidArgumentError(f"there is no tool {request.name!r}; the tools: {', '.join(tools) or 'none'}")
        if request.error:
            raise InvalidArgumentError(request.error)
        tool.check(request.args)
        answers = calls.ANSWERS.get()
        known = None if answers is None else answers.tool(tool, request.name, request.args)
        if known is not None:
            (output,) = known
        else:
            with call.inside():
                output = await _bounded(tool, request.args, ctx, timeout if tool.timeout is None else tool.timeout)
    except GraphBubbleUp as control:  # a pause inside a tool
        call.failed(control, is_tool=True)
        raise
    except Exception as error:
        call.failed(error, is_tool=True)
        return {"error": f"{type(error).__name__}: {error}"}
    except BaseException as error:
        call.failed(error, is_tool=True)
        raise
    call.returned(output)
    return output


async def _bounded(tool: AgentTool, args: dict[str, Any], ctx: StepContext, timeout: float | None) -> Any:
    if timeout is None:
        return await tool.invoke(args, ctx)

    async def work() -> Any:
        handler = tool.handler
        if handler is None or inspect.iscoroutinefunction(handler):
            return await tool.invoke(args, ctx)
        # A sync handler would block the loop, and with it the clock that bounds it.
        result = await asyncio.to_thread(handler, args, ctx)
        return await result if inspect.isawaitable(result) else result

    try:
        return await asyncio.wait_for(work(), timeout)
    except TimeoutError as error:
        raise TimeoutError(str(error) or f"tool {tool.name!r} gave no result within {timeout:g} s") from error


def _answer(result: Any) -> str:
    if result.text is None:
        raise LLMError(f"{getattr(result, 'model', 'the model')} answered without any text; the call is in the trace")
    return str(result.text)
