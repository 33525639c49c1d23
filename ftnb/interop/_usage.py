"""Usage objects of unknown origin, as JSON, in one convention: cached and reasoning tokens are parts of a whole."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from . import _span_tokens
from ._span_tokens import Tokens

_NAMES: dict[str, tuple[tuple[str, ...], ...]] = {
    "gen_ai.usage.input_tokens": (
        ("input_tokens",),
        ("prompt_tokens",),
        ("promptTokenCount",),
        ("input",),
        ("promptTokens",),
    ),
    "gen_ai.usage.output_tokens": (
        ("output_tokens",),
        ("completion_tokens",),
        ("candidatesTokenCount",),
        ("output",),
        ("completionTokens",),
    ),
    "gen_ai.usage.total_tokens": (("total_tokens",), ("totalTokenCount",), ("total",), ("totalTokens",)),
    "gen_ai.usage.cache_read.input_tokens": (
        ("input_token_details", "cache_read"),
        ("prompt_tokens_details", "cached_tokens"),
        ("input_tokens_details", "cached_tokens"),
        ("cache_read_input_tokens",),
        ("cachedContentTokenCount",),
        ("input_cache_read",),
        ("input_cached_tokens",),
        ("input_cached",),
    ),
    "gen_ai.usage.cache_creation.input_tokens": (
        ("input_token_details", "cache_creation"),
        ("prompt_tokens_details", "cache_write_tokens"),
        ("cache_creation_input_tokens",),
        ("input_cache_creation",),
    ),
    "gen_ai.usage.reasoning.output_tokens": (
        ("output_token_details", "reasoning"),
        ("completion_tokens_details", "reasoning_tokens"),
        ("output_tokens_details", "reasoning_tokens"),
        ("thoughtsTokenCount",),
        ("output_reasoning",),
        ("output_reasoning_tokens",),
        ("reasoning_tokens",),
    ),
}


def tokens_of(usage: Any) -> Tokens | None:
    """`usage` as prompt, completion, total, cache read, cache write, reasoning; None when it says nothing."""
    found = attributes_of_usage(usage)
    return _span_tokens.tokens(found) if found else None


def attributes_of_usage(usage: Any) -> dict[str, Any]:
    """`usage` in the names of the GenAI conventions; empty when it says nothing."""
    if not isinstance(usage, Mapping) or not usage:
        return {}
    found: dict[str, Any] = {}
    for name, paths in _NAMES.items():
        for path in paths:
            value: Any = usage
            for key in path:
                value = value.get(key) if isinstance(value, Mapping) else None
            if isinstance(value, (int, float)) and not isinstance(value, bool):
                found[name] = value
                break
    is_anthropic = "total_tokens" not in usage and "input_tokens" in usage and "cache_read_input_tokens" in usage
    read, write = (found.get(f"gen_ai.usage.{one}.input_tokens") or 0 for one in ("cache_read", "cache_creation"))
    if is_anthropic:  # its `input_tokens` leave out what was read from and written to the cache
        found["gen_ai.usage.input_tokens"] = found.get("gen_ai.usage.input_tokens", 0) + read + write
    return found
