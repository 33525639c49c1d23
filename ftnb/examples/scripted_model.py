"""A chat model that answers from a Python function: deterministic, offline, with usage numbers like a real one."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from langchain_core.callbacks import CallbackManagerForLLMRun
from langchain_core.language_models import BaseChatModel, LangSmithParams, LanguageModelInput
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage
from langchain_core.messages.ai import UsageMetadata
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult
from langchain_core.runnables import Runnable
from langchain_core.utils.function_calling import convert_to_openai_tool

Answer = str | dict[str, Any]
"""Text to say, or the arguments for the one tool that is bound."""
Script = Callable[[Sequence[BaseMessage]], Answer]

_CACHE_BLOCK = 128
"""Providers cache prompts in blocks of this many tokens."""


class ScriptedChatModel(BaseChatModel):
    """Says what `script` returns for the messages of a call.

    It works wherever a LangChain chat model does: `invoke`, `stream`, `bind_tools`, `with_structured_output`. Usage is
    estimated from the length of the texts, so that equal conversations cost equal tokens on every machine.
    """

    model_name: str
    script: Script
    reasoning: int = 0
    """Hidden reasoning tokens of every answer."""
    ms_per_token: float = 0.02
    """How long the model takes for a token that it says; a real one takes a thousand times as long."""

    @property
    def _llm_type(self) -> str:
        return "scripted"

    @property
    def _identifying_params(self) -> dict[str, Any]:
        return {"model_name": self.model_name, "temperature": 0.0}

    def _get_ls_params(self, stop: list[str] | None = None, **kwargs: Any) -> LangSmithParams:
        return LangSmithParams(
            ls_provider="scripted", ls_model_name=self.model_name, ls_model_type="chat", ls_temperature=0.0
        )

    def bind_tools(
        self, tools: Sequence[Any], *, tool_choice: str | None = None, **kwargs: Any
    ) -> Runnable[LanguageModelInput, AIMessage]:
        """Offer tools to the model; it calls the first when the script answers with arguments."""
        return self.bind(tools=[convert_to_openai_tool(tool) for tool in tools], **kwargs)

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        message = self._answer(messages, kwargs.get("tools"))
        time.sleep(self._seconds(message))
        return ChatResult(generations=[ChatGeneration(message=message)])

    def _stream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> Iterator[ChatGenerationChunk]:
        message = self._answer(messages, kwargs.get("tools"))
        pieces = re.findall(r"\S+\s*|\s+", message.text) or [""]
        for index, piece in enumerate(pieces):
            time.sleep(self._seconds(message) / len(pieces))
            last = index == len(pieces) - 1
            chunk = AIMessageChunk(
                content=piece,
                tool_calls=message.tool_calls if last else [],
                usage_metadata=message.usage_metadata if last else None,
                response_metadata=message.response_metadata if last else {},
            )
            yield ChatGenerationChunk(message=chunk)

    def _answer(self, messages: Sequence[BaseMessage], tools: Sequence[dict[str, Any]] | None) -> AIMessage:
        answer = self.script(messages)
        if isinstance(answer, str):
            text, calls = answer, []
        elif tools:
            name = tools[0]["function"]["name"]
            text, calls = "", [{"name": name, "args": answer, "id": f"call_{len(messages)}", "type": "tool_call"}]
        else:
            raise ValueError("the script answered with tool arguments, but no tool is bound to this model")
        return AIMessage(
            content=text,
            tool_calls=calls,
            usage_metadata=self._usage(messages, text or str(answer)),
            response_metadata={"model_name": self.model_name, "finish_reason": "tool_calls" if calls else "stop"},
        )

    def _usage(self, messages: Sequence[BaseMessage], said: str) -> UsageMetadata:
        prompt = sum(_tokens(message.text) + 4 for message in messages)
        completion = _tokens(said) + self.reasoning
        known = prompt - _tokens(messages[-1].text) - 4 if len(messages) > 2 else 0
        return UsageMetadata(
            input_tokens=prompt,
            output_tokens=completion,
            total_tokens=prompt + completion,
            input_token_details={"cache_read": known // _CACHE_BLOCK * _CACHE_BLOCK},
            output_token_details={"reasoning": self.reasoning},
        )

    def _seconds(self, message: AIMessage) -> float:
        usage = message.usage_metadata
        return self.ms_per_token * (usage["output_tokens"] if usage else 0) / 1000


def _tokens(text: str) -> int:
    """About four characters make a token."""
    return (len(text) + 3) // 4
