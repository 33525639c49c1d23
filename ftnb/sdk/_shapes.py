"""Requests and answers of which it is not known whose they are, told by their shape. Runs on the writer's thread."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from . import _chat, _gemini, _messages, _responses
from ._wire import Api, Each, Reply


def _ask(request: Mapping[str, Any], each: Each) -> tuple[list[Any], dict[str, Any]]:
    if "contents" in request:
        return _gemini.GENERATE.ask(request, each)
    return (_responses.RESPONSES if "input" in request else _messages.MESSAGES).ask(request, each)


def _read(reply: Mapping[str, Any]) -> Reply:
    if "choices" in reply:
        return _chat.CHAT.read(reply)
    if "candidates" in reply:
        return _gemini.GENERATE.read(reply)
    return (_responses.RESPONSES if "output" in reply else _messages.MESSAGES).read(reply)


ANY = Api("instructor.completion", _ask, _read, _chat.CHAT.fold, _chat.CHAT.unfold)
