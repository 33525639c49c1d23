"""A chat model that says what it is told to, with usage, as a provider's would."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult

USAGE = {
    "input_tokens": 11,
    "output_tokens": 5,
    "total_tokens": 16,
    "input_token_details": {"cache_read": 4, "cache_creation": 2},
    "output_token_details": {"reasoning": 3},
}
TOKENS = {"prompt": 11, "completion": 5, "total": 16, "cache_read": 4, "cache_write": 2, "reasoning": 3}


class Parrot(BaseChatModel):
    """Says `lines` one after the other; a line may be an exception."""

    lines: list[Any]
    usage: dict[str, Any] | None = USAGE
    model_name: str = "parrot-1"
    temperature: float = 0.25
    at: list[int]
    """How many lines were said; a list, for LangChain copies models."""

    @property
    def _llm_type(self) -> str:
        return "parrot"

    @property
    def _identifying_params(self) -> dict[str, Any]:
        return {"model_name": self.model_name, "temperature": self.temperature}

    def bind_tools(self, tools: Sequence[Any], **kwargs: Any) -> Any:
        """Tools are named in the parameters, nothing else."""
        return self.bind(tools=[getattr(tool, "name", getattr(tool, "__name__", "")) for tool in tools])

    def _next(self) -> Any:
        line = self.lines[self.at[0] % len(self.lines)]
        self.at[0] += 1
        if isinstance(line, Exception):
            raise line
        return line

    def _said(self) -> AIMessage:
        line = self._next()
        said: AIMessage = line.model_copy() if isinstance(line, AIMessage) else AIMessage(line)
        said.usage_metadata = self.usage  # type: ignore[assignment]
        said.response_metadata = {"finish_reason": "stop", "model_name": "parrot-1-2026"}
        return said

    def _generate(self, messages: list[BaseMessage], stop: Any = None, run_manager: Any = None, **_: Any) -> ChatResult:
        return ChatResult(generations=[ChatGeneration(message=self._said())])


class StreamingParrot(Parrot):
    """Says its lines word by word."""

    def _stream(
        self, messages: list[BaseMessage], stop: Any = None, run_manager: Any = None, **_: Any
    ) -> Iterator[ChatGenerationChunk]:
        said = self._said()
        for word in str(said.content).split(" "):
            chunk = ChatGenerationChunk(message=AIMessageChunk(word))
            if run_manager is not None:
                run_manager.on_llm_new_token(word, chunk=chunk)
            yield chunk
        last = AIMessageChunk("", usage_metadata=said.usage_metadata, response_metadata=said.response_metadata)
        yield ChatGenerationChunk(message=last)


def parrot(*lines: Any, streams: bool = False, **fields: Any) -> Parrot:
    """A parrot with a memory of its own."""
    return (StreamingParrot if streams else Parrot)(lines=list(lines), at=[0], **fields)


def call(tool: str, /, **args: Any) -> AIMessage:
    """A message in which the model calls a tool."""
    return AIMessage("", tool_calls=[{"name": tool, "args": args, "id": "c1", "type": "tool_call"}])
