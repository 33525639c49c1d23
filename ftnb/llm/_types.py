"""The contract between a workflow and a language model."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

from ..core.model import TokenUsage

Messages = str | list[dict[str, Any]]
"""A prompt, or chat messages `{"role", "content"}`.

A tool loop adds two shapes, which a client turns into what its provider wants: an assistant message with `tool_calls`,
`{"name", "args", "id"}` each, and `{"role": "tool", "name", "tool_call_id", "content"}`, whose content is whatever the
tool returned.
"""


@dataclass
class ToolRequest:
    """One call of a tool that the model asks for."""

    name: str
    args: dict[str, Any] = field(default_factory=dict)
    id: str | None = None
    """The provider's id of this call, given back with the result; None where the provider has none."""
    error: str | None = None
    """Why the arguments could not be read (text that is no JSON); the tool is not called, the model is told."""


@dataclass
class LLMResult:
    """The answer of one call. Any object with `text` and `as_llm_call()` may stand for it."""

    text: str
    tokens: TokenUsage
    model: str
    raw: Any = None
    """The provider's own response, if the client keeps it."""
    tool_calls: list[ToolRequest] = field(default_factory=list)
    """Tools that the model wants called before it goes on; empty: `text` is the answer."""

    def as_llm_call(self, *, name: str | None = None) -> dict[str, Any]:
        """An entry for the state key `llm_calls`, which capture records where a node returns it."""
        return {
            "name": name or self.model,
            "prompt_tokens": self.tokens.prompt,
            "completion_tokens": self.tokens.completion,
            "total_tokens": self.tokens.total,
        }


@runtime_checkable
class LLMClient(Protocol):
    """What a workflow needs of a model: one async method.

    Two things are used when they are there: `acomplete` taking `tools=` (a list of `{"name", "description",
    "parameters"}`) and answering with `LLMResult.tool_calls`; and `astream(messages, **overrides)`, an async iterator
    of text chunks that ends with an `LLMResult`.
    """

    async def acomplete(self, messages: Messages, **overrides: Any) -> LLMResult:
        """Run one completion."""
        ...


def as_messages(messages: Messages) -> list[dict[str, Any]]:
    """A prompt text as a user's message; a list stays as it is."""
    return [{"role": "user", "content": messages}] if isinstance(messages, str) else messages
