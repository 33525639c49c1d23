"""A language model for the workflow examples: it says what its script says, and needs no network."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

from ..core.model import TokenUsage
from ..llm import LLMResult, ToolRequest


class ScriptedLLM:
    """Answers with its lines in turn, the last one again and again; a line is a text or a list of tool requests."""

    model = "scripted"

    def __init__(self, *lines: str | list[ToolRequest]) -> None:
        self._lines = list(lines)

    async def acomplete(self, messages: Any, **overrides: Any) -> LLMResult:
        """The next line; every word costs a token."""
        line = self._lines.pop(0) if len(self._lines) > 1 else self._lines[0]
        asked = len(str(messages).split())
        if isinstance(line, list):
            return LLMResult("", TokenUsage(prompt=asked, completion=8), self.model, tool_calls=line)
        return LLMResult(line, TokenUsage(prompt=asked, completion=len(line.split())), self.model)

    async def astream(self, messages: Any, **overrides: Any) -> AsyncIterator[str | LLMResult]:
        """The next line, word by word."""
        result = await self.acomplete(messages, **overrides)
        for word in result.text.split(" "):
            await asyncio.sleep(0)  # as a model does that comes over a network
            yield f"{word} "
        yield result
