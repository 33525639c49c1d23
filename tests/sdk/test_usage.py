"""Token counts of every convention, made one."""

from __future__ import annotations

from typing import Any

import pytest

from ftnb.sdk.usage import convention_of, tokens
from tests.sdk.providers import ANTHROPIC_USAGE, GEMINI_USAGE, OPENAI_USAGE, RESPONSES_USAGE, TOKENS

REPORTED = {"openai": OPENAI_USAGE, "responses": RESPONSES_USAGE, "anthropic": ANTHROPIC_USAGE, "gemini": GEMINI_USAGE}


@pytest.mark.parametrize("convention", REPORTED)
def test_the_same_call_is_the_same_in_each(convention: str) -> None:
    assert tokens(convention, REPORTED[convention]) == TOKENS
    assert convention_of(REPORTED[convention]) == convention


def test_writing_to_the_cache_is_part_of_the_prompt() -> None:
    usage = {"input_tokens": 10, "cache_read_input_tokens": 200, "cache_creation_input_tokens": 30, "output_tokens": 5}
    assert tokens("anthropic", usage) == (240, 5, 245, 200, 30, 0)


def test_reasoning_beside_the_completion() -> None:
    usage = {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 35,
             "completion_tokens_details": {"reasoning_tokens": 20}}  # fmt: skip
    assert tokens("openai", usage) == (10, 25, 35, 0, 0, 20)


def test_tool_prompts_are_prompts() -> None:
    usage = {"promptTokenCount": 10, "toolUsePromptTokenCount": 7, "candidatesTokenCount": 5, "totalTokenCount": 22}
    assert tokens("gemini", usage) == (17, 5, 22, 0, 0, 0)


@pytest.mark.parametrize("usage", [None, {}, 7, {"prompt_tokens": "many"}, {"prompt_tokens": True}, {"x": {}}])
def test_what_is_no_usage(usage: Any) -> None:
    for convention in REPORTED:
        assert tokens(convention, usage) in (None, (0, 0, 0, 0, 0, 0))
    assert convention_of(usage) in (None, "openai")
