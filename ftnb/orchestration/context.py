"""What a step can do: call the model, let it use tools, ask a human, show something."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from typing import Any

from ..agent import AgentTool, as_tools
from ..core.errors import LLMError
from ..core.model import TokenUsage
from ..langgraph_adapter import calls
from ..llm import LangChainClient, LLMClient, LLMResult, Messages, ToolRequest, as_client
from ..registry import REGISTER
from ._run import RUN, Run
from ._tools import conversation, run_loop
from .turns import StreamEvent

DEFAULT_ITERATIONS = 8


class StepContext:
    """Given to a step that has a second parameter. It belongs to one execution of that step."""

    def __init__(
        self,
        *,
        llm: Any = None,
        tools: Iterable[AgentTool] = (),
        max_iterations: int = DEFAULT_ITERATIONS,
        llm_timeout: float | None = None,
        tool_timeout: float | None = None,
    ) -> None:
        """`llm` is the workflow's own; the run's comes before it, the registry's after."""
        self._run = RUN.get() or Run()
        self._llm = llm
        self._tools = list(tools)
        self._max_iterations = max_iterations
        self._llm_timeout = llm_timeout
        self._tool_timeout = tool_timeout
        deps = self._run.deps
        self.deps: Any = {} if deps is None else deps
        """What `run(deps=…)` was given; an empty dict when nothing was."""

    async def llm(self, prompt: Messages, *, model: str | None = None, stream: bool = False, **overrides: Any) -> str:
        """Ask the model, record the call with its tokens, and return the text.

        `prompt` is a text, or a list of texts, chat messages and LangChain messages; `model` and `overrides` go to the
        client's `acomplete`. With `stream` the chunks go to whoever streams the run as `token` events; otherwise it
        changes nothing. Raises LLMError when there is no client or no answer, and whatever the client raises.
        """
        if model is not None:
            overrides["model"] = model
        streams = stream and self._run.sink is not None
        if isinstance(prompt, list) and not all(isinstance(one, dict) for one in prompt):
            prompt = conversation(prompt)
        result = await self._ask(prompt, overrides, streams=streams)
        if result.text is None:
            raise LLMError(f"{_client_name(self._client())} answered without any text; the call is in the trace")
        return str(result.text)

    async def run_tools(self, messages: Any, *, tools: Iterable[Any] | None = None, **overrides: Any) -> str:
        """Let the model use tools until it answers, and return its answer.

        `messages` is a text, or a list of texts, chat messages and LangChain messages; `tools` default to those of the
        step. Each model call and each tool call is recorded. What goes wrong with a tool (unknown, wrong arguments, an
        exception, too slow) is told to the model, which may go on. After `max_iterations` rounds the model is asked
        once more, without tools, and the trace says that the limit was reached.
        """
        chosen = self._tools if tools is None else as_tools(tools)
        return await run_loop(self, messages, chosen, self._max_iterations, overrides, self._tool_timeout)

    async def pause(self, *, awaiting: str, payload: dict[str, Any] | None = None) -> Any:
        """Stop here and wait for a human; returns what `resume(input=…)` is given, when it comes.

        `awaiting` says what for, `payload` is something to show meanwhile. The step runs again from its top then, so
        what it does before this line should bear repetition. It stops by an exception of LangGraph's: let that pass.
        """
        from langgraph.types import interrupt

        if RUN.get() is not None and not self._run.can_pause:
            raise RuntimeError(
                f"ctx.pause(awaiting={awaiting!r}) in run(): it could never go on. "
                "Use start() or stream() with a thread_id, and resume()"
            )
        return interrupt({"awaiting": awaiting, "payload": payload})

    def emit(self, payload: Mapping[str, Any]) -> None:
        """Show something to whoever streams the run, without pausing; does nothing where nobody does."""
        if self._run.sink is not None:
            self._run.sink(StreamEvent(kind="emit", data=dict(payload)))

    # --- the model ---

    def _client(self) -> LLMClient:
        for given in (self._run.llm, self._llm, REGISTER.get_llm_provider()):
            if given is not None:
                return as_client(given)
        raise LLMError(
            "there is no language model: give one to this run (llm=…), to the Workflow(llm=…), or to all "
            "with REGISTER.set_llm_provider(…)"
        )

    async def _ask(self, prompt: Any, overrides: dict[str, Any], *, streams: bool = False) -> Any:
        """One call of the model, recorded."""
        client = self._client()
        if isinstance(client, LangChainClient):  # seen by the callbacks, as it is anywhere else
            return await self._answer(client, prompt, overrides, calls.UNSEEN, streams)
        settings = {key: value for key, value in overrides.items() if key != "tools"}
        call = calls.llm_call(_client_name(client), prompt, settings)
        try:
            with call.inside():
                result = _recorded(prompt, settings) or await self._answer(client, prompt, overrides, call, streams)
            if not hasattr(result, "text"):
                raise LLMError(
                    f"{_client_name(client)}.acomplete returned {result!r:.100}; it must return an ftnb.llm.LLMResult"
                )
        except BaseException as error:
            call.failed(error)
            raise
        call.answered(_response(result), *_told(result))
        return result

    async def _answer(
        self, client: LLMClient, prompt: Any, overrides: dict[str, Any], call: calls.Call, streams: bool
    ) -> LLMResult | Any:
        work = self._streamed(client, prompt, overrides, call) if streams else client.acomplete(prompt, **overrides)
        if self._llm_timeout is None:
            return await work
        return await _within(work, self._llm_timeout, f"{_client_name(client)} gave no answer")

    async def _streamed(
        self, client: LLMClient, prompt: Any, overrides: dict[str, Any], call: calls.Call
    ) -> LLMResult | Any:
        stream = getattr(client, "astream", None)
        if stream is None:
            return await client.acomplete(prompt, **overrides)
        parts: list[str] = []
        result = None
        async for chunk in stream(prompt, **overrides):
            if not isinstance(chunk, str):
                result = chunk
                continue
            call.token()
            parts.append(chunk)
            if self._run.sink is not None:
                self._run.sink(StreamEvent(kind="token", data={"text": chunk}))
        if result is None and not parts:
            raise LLMError(f"{_client_name(client)}.astream gave nothing at all")
        return result or LLMResult("".join(parts), TokenUsage(), _client_name(client))


async def _within(work: Any, seconds: float, what: str) -> Any:
    try:
        return await asyncio.wait_for(work, seconds)
    except TimeoutError as error:
        raise TimeoutError(str(error) or f"{what} within {seconds:g} s") from error


def _recorded(prompt: Any, settings: dict[str, Any]) -> LLMResult | None:
    """What the model answered to the same when this was recorded, while a replay runs."""
    answers = calls.ANSWERS.get()
    found = None if answers is None else answers.model(prompt, settings)
    if found is None:
        return None
    response, tokens, model = found
    requests = [ToolRequest(one["name"], one["args"], one.get("id")) for one in response.get("tool_calls") or ()]
    return LLMResult(response.get("content"), tokens, model, tool_calls=requests)  # type: ignore[arg-type]


def _client_name(client: Any) -> str:
    model = getattr(client, "model", None)
    return model if isinstance(model, str) and model else type(client).__name__


def _told(result: Any) -> tuple[TokenUsage, str]:
    """Tokens and name of a result, which may be any object with `as_llm_call()`."""
    said = result.as_llm_call() if callable(getattr(result, "as_llm_call", None)) else {}
    tokens = getattr(result, "tokens", None)
    if not isinstance(tokens, TokenUsage):
        tokens = TokenUsage(
            prompt=said.get("prompt_tokens") or 0,
            completion=said.get("completion_tokens") or 0,
            total=said.get("total_tokens") or 0,
        )
    return tokens, str(said.get("name") or getattr(result, "model", None) or "llm")


def _response(result: Any) -> dict[str, Any]:
    response: dict[str, Any] = {"role": "assistant", "content": result.text}
    requests = getattr(result, "tool_calls", None)
    if requests:
        response["tool_calls"] = [{"name": one.name, "args": one.args, "id": one.id} for one in requests]
    return response
