"""Token counts of spans in one convention: cached tokens are part of the prompt, reasoning is part of the completion.

The conventions say so too, but instrumentations pass on what the provider says, and Anthropic counts the cache beside
the prompt, Gemini and others the reasoning beside the completion. Where a total is told, it decides; else parts that
are more than their whole cannot be inside it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

Tokens = tuple[int, int, int, int, int, int]
"""prompt, completion, total, cache read, cache write, reasoning."""

_PROMPT = ("gen_ai.usage.input_tokens", "llm.token_count.prompt", "gen_ai.usage.prompt_tokens")
_COMPLETION = ("gen_ai.usage.output_tokens", "llm.token_count.completion", "gen_ai.usage.completion_tokens")
_TOTAL = ("gen_ai.usage.total_tokens", "llm.token_count.total", "llm.usage.total_tokens")
_CACHE_READ = (
    "gen_ai.usage.cache_read.input_tokens",
    "gen_ai.usage.cache_read_input_tokens",
    "gen_ai.usage.cache_read_tokens",
    "gen_ai.usage.details.cache_read_tokens",
    "llm.token_count.prompt_details.cache_read",
)
_CACHE_WRITE = (
    "gen_ai.usage.cache_creation.input_tokens",
    "gen_ai.usage.cache_creation_input_tokens",
    "gen_ai.usage.cache_write_tokens",
    "gen_ai.usage.details.cache_write_tokens",
    "llm.token_count.prompt_details.cache_write",
)
_REASONING = (
    "gen_ai.usage.reasoning.output_tokens",
    "gen_ai.usage.reasoning_tokens",
    "gen_ai.usage.details.reasoning_tokens",
    "llm.token_count.completion_details.reasoning",
    "llm.usage.reasoning_tokens",
)


def tokens(attributes: Mapping[str, Any]) -> Tokens | None:
    """The counts of one call; None when none are told."""
    prompt, completion, total = (_count(attributes, keys) for keys in (_PROMPT, _COMPLETION, _TOTAL))
    if prompt is None and completion is None and total is None:
        return None
    read, write, reasoning = (_count(attributes, keys) or 0 for keys in (_CACHE_READ, _CACHE_WRITE, _REASONING))
    inside, made, cached = prompt or 0, completion or 0, read + write
    if cached > inside or (cached and total == inside + cached + made):
        inside += cached
    if reasoning > made or (reasoning and total == inside + made + reasoning):
        made += reasoning
    return inside, made, max(total or 0, inside + made), read, write, reasoning


def _count(attributes: Mapping[str, Any], keys: tuple[str, ...]) -> int | None:
    for key in keys:
        value = attributes.get(key)
        if isinstance(value, (int, float)) and not isinstance(value, bool) and value >= 0:
            return int(value)
    return None
