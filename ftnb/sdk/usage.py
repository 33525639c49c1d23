"""Token counts as providers report them, made into one convention: ours are parts of a whole.

`cache_read` and `cache_write` are part of `prompt`, `reasoning` is part of `completion`, and `total` is their sum. Some
providers count that way, some report the parts beside the whole, and adding or not adding them is the most common
error in cost reports. So each convention is declared once, here:

    openai      parts of the whole. Where reasoning is beside the completion (xAI), the total tells
    responses   parts of the whole
    anthropic   `input_tokens` leaves out what was read from and written to the cache; thinking is part of the output
    gemini      the cache is part of the prompt; thoughts are beside the candidates, tool prompts beside the prompt
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ..store.draft import Tokens

Path = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Convention:
    """Where a provider's usage says what; several paths of one entry are added up."""

    prompt: tuple[Path, ...]
    completion: tuple[Path, ...]
    total: Path
    cache_read: tuple[Path, ...] = ()
    """The first of these that is there."""
    cache_write: tuple[Path, ...] = ()
    reasoning: tuple[Path, ...] = ()


CONVENTIONS: dict[str, Convention] = {
    "openai": Convention(
        prompt=(("prompt_tokens",),),
        completion=(("completion_tokens",),),
        total=("total_tokens",),
        cache_read=(
            ("prompt_tokens_details", "cached_tokens"),
            ("prompt_cache_hit_tokens",),  # DeepSeek
            ("cache_read_input_tokens",),  # LiteLLM, for Anthropic's models
        ),
        cache_write=(
            ("prompt_tokens_details", "cache_write_tokens"),
            ("prompt_tokens_details", "cache_creation_tokens"),
            ("cache_creation_input_tokens",),
        ),
        reasoning=(("completion_tokens_details", "reasoning_tokens"),),
    ),
    "responses": Convention(
        prompt=(("input_tokens",),),
        completion=(("output_tokens",),),
        total=("total_tokens",),
        cache_read=(("input_tokens_details", "cached_tokens"),),
        cache_write=(("input_tokens_details", "cache_write_tokens"),),
        reasoning=(("output_tokens_details", "reasoning_tokens"),),
    ),
    "anthropic": Convention(
        prompt=(("input_tokens",), ("cache_read_input_tokens",), ("cache_creation_input_tokens",)),
        completion=(("output_tokens",),),
        total=(),
        cache_read=(("cache_read_input_tokens",),),
        cache_write=(("cache_creation_input_tokens",),),
        reasoning=(("output_tokens_details", "thinking_tokens"), ("output_tokens_details", "reasoning_tokens")),
    ),
    "gemini": Convention(
        prompt=(("promptTokenCount",), ("toolUsePromptTokenCount",)),
        completion=(("candidatesTokenCount",), ("thoughtsTokenCount",)),
        total=("totalTokenCount",),
        cache_read=(("cachedContentTokenCount",),),
        reasoning=(("thoughtsTokenCount",),),
    ),
}


def tokens(convention: str, usage: Any) -> Tokens | None:
    """`usage` (a provider's JSON object) as prompt, completion, total, cache read, cache write, reasoning.

    None where there is no usage. Counts that are missing or no numbers are 0.
    """
    if not isinstance(usage, Mapping) or not usage:
        return None
    rules = CONVENTIONS[convention]
    prompt = sum([_at(usage, path) for path in rules.prompt])
    completion = sum([_at(usage, path) for path in rules.completion])
    total = _at(usage, rules.total)
    read, write = _first(usage, rules.cache_read), _first(usage, rules.cache_write)
    reasoning = _first(usage, rules.reasoning)
    if total and reasoning and prompt + completion + reasoning == total:
        completion += reasoning
    return prompt, completion, total or prompt + completion, read, write, reasoning


def convention_of(usage: Any) -> str | None:
    """The convention that a usage object of unknown origin follows, by its keys; None: none of these."""
    if not isinstance(usage, Mapping):
        return None
    if "promptTokenCount" in usage or "candidatesTokenCount" in usage:
        return "gemini"
    if "prompt_tokens" in usage or "completion_tokens" in usage:
        return "openai"
    if "input_tokens" not in usage and "output_tokens" not in usage:
        return None
    return "responses" if "total_tokens" in usage or "input_tokens_details" in usage else "anthropic"


def _first(usage: Mapping[str, Any], paths: tuple[Path, ...]) -> int:
    for path in paths:
        count = _at(usage, path)
        if count:
            return count
    return 0


def _at(usage: Mapping[str, Any], path: Path) -> int:
    value: Any = usage if path else None
    for key in path:
        if type(value) is not dict and not isinstance(value, Mapping):
            return 0
        value = value.get(key)
    return value if type(value) is int and value > 0 else 0
