"""How each SDK is called, in one form, so that one test serves them all."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, NamedTuple

TOOL = {"name": "search", "description": "", "parameters": {"type": "object", "properties": {"q": {"type": "string"}}}}
SECRET = "sk-abcdefghijklmnopqrstuvwxyz0123456789"
MODEL = "model-x"


class Sdk(NamedTuple):
    """One way to reach a model."""

    id: str
    name: str
    """What it is captured as."""
    make: Callable[[str, Any], Any]
    """A client, of the server's root and the seconds until it gives up."""
    call: Callable[..., Any]
    acall: Callable[..., Awaitable[Any]]
    stream: Callable[[Any], Any]
    """A context manager or iterable of the SDK's own."""
    astream: Callable[[Any], Awaitable[Any]]
    text: Callable[[Any], str]
    """What was answered, as its user reads it."""
    is_async_apart: bool = True
    """Sync and async have clients of their own."""


def _openai(root: str, timeout: float | None) -> tuple[Any, Any]:
    import openai

    given: dict[str, Any] = {
        "base_url": f"{root}/v1",
        "api_key": SECRET,
        "max_retries": 0 if timeout else 2,
        "timeout": timeout or 5,
    }
    return openai.OpenAI(**given), openai.AsyncOpenAI(**given)


_MESSAGES: list[Any] = [{"role": "system", "content": "be brief"}, {"role": "user", "content": "hi"}]
_CHAT: dict[str, Any] = {"model": MODEL, "messages": _MESSAGES, "temperature": 0.5}
_CHAT_TOOLS = [{"type": "function", "function": TOOL}]
_RESPONSE: dict[str, Any] = {"model": MODEL, "instructions": "be brief", "input": "hi", "temperature": 0.5}
_RESPONSE_TOOLS = [{"type": "function", "strict": False, **TOOL}]
_USAGE = {"stream_options": {"include_usage": True}}

CHAT = Sdk(
    "openai chat", "openai", _openai,
    lambda c, tools=False: c[0].chat.completions.create(**_CHAT, **({"tools": _CHAT_TOOLS} if tools else {})),
    lambda c, tools=False: c[1].chat.completions.create(**_CHAT, **({"tools": _CHAT_TOOLS} if tools else {})),
    lambda c: c[0].chat.completions.create(**_CHAT, stream=True, **_USAGE),
    lambda c: c[1].chat.completions.create(**_CHAT, stream=True, **_USAGE),
    lambda r: r.choices[0].message.content,
)  # fmt: skip

RESPONSES = Sdk(
    "openai responses", "openai", _openai,
    lambda c, tools=False: c[0].responses.create(**_RESPONSE, **({"tools": _RESPONSE_TOOLS} if tools else {})),
    lambda c, tools=False: c[1].responses.create(**_RESPONSE, **({"tools": _RESPONSE_TOOLS} if tools else {})),
    lambda c: c[0].responses.create(**_RESPONSE, stream=True),
    lambda c: c[1].responses.create(**_RESPONSE, stream=True),
    lambda r: r.output_text,
)  # fmt: skip


def _anthropic(root: str, timeout: float | None) -> tuple[Any, Any]:
    import anthropic

    given: dict[str, Any] = {
        "base_url": root,
        "api_key": SECRET,
        "max_retries": 0 if timeout else 2,
        "timeout": timeout or 5,
    }
    return anthropic.Anthropic(**given), anthropic.AsyncAnthropic(**given)


_MESSAGE: dict[str, Any] = {
    "model": MODEL, "system": "be brief", "messages": [{"role": "user", "content": "hi"}], "max_tokens": 99,
    "extra_body": {"temperature": 0.5},
}  # fmt: skip
_MESSAGE_TOOLS = [{"name": "search", "input_schema": TOOL["parameters"]}]

ANTHROPIC = Sdk(
    "anthropic", "anthropic", _anthropic,
    lambda c, tools=False: c[0].messages.create(**_MESSAGE, **({"tools": _MESSAGE_TOOLS} if tools else {})),
    lambda c, tools=False: c[1].messages.create(**_MESSAGE, **({"tools": _MESSAGE_TOOLS} if tools else {})),
    lambda c: c[0].messages.create(**_MESSAGE, stream=True),
    lambda c: c[1].messages.create(**_MESSAGE, stream=True),
    lambda r: r.content[0].text,
)  # fmt: skip


def _google(root: str, timeout: float | None) -> Any:
    from google import genai
    from google.genai import types

    retries = types.HttpRetryOptions(attempts=1 if timeout else 3, initial_delay=0.001, max_delay=0.002, jitter=0.0)
    options = types.HttpOptions(base_url=root, timeout=int((timeout or 5) * 1000), retry_options=retries)
    return genai.Client(api_key=SECRET, http_options=options)


def _generate(tools: bool = False) -> dict[str, Any]:
    config: dict[str, Any] = {"system_instruction": "be brief", "temperature": 0.5}
    if tools:
        config["tools"] = [{"function_declarations": [{"name": "search", "description": "d"}]}]
    return {"model": MODEL, "contents": "hi", "config": config}


GOOGLE = Sdk(
    "google", "google", _google,
    lambda c, tools=False: c.models.generate_content(**_generate(tools)),
    lambda c, tools=False: c.aio.models.generate_content(**_generate(tools)),
    lambda c: c.models.generate_content_stream(**_generate()),
    lambda c: c.aio.models.generate_content_stream(**_generate()),
    lambda r: r.text,
)  # fmt: skip


def _litellm(root: str, timeout: float | None) -> dict[str, Any]:
    import litellm  # noqa: F401

    return {"model": f"openai/{MODEL}", "messages": _MESSAGES, "temperature": 0.5, "api_base": f"{root}/v1",
            "api_key": SECRET, "timeout": timeout or 5, "max_retries": 0 if timeout else 2}  # fmt: skip


def _completion(given: dict[str, Any], *, tools: bool = False, **more: Any) -> Any:
    import litellm

    return litellm.completion(**given, **more, **({"tools": _CHAT_TOOLS} if tools else {}))


def _acompletion(given: dict[str, Any], *, tools: bool = False, **more: Any) -> Any:
    import litellm

    return litellm.acompletion(**given, **more, **({"tools": _CHAT_TOOLS} if tools else {}))


LITELLM = Sdk(
    "litellm", "litellm", _litellm,
    _completion,
    _acompletion,
    lambda c: _completion(c, stream=True, **_USAGE),
    lambda c: _acompletion(c, stream=True, **_USAGE),
    lambda r: r.choices[0].message.content,
)  # fmt: skip

EVERY_SDK = (CHAT, RESPONSES, ANTHROPIC, GOOGLE, LITELLM)
