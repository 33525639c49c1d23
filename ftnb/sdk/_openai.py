"""OpenAI's SDK: chat and text completions, responses, embeddings; also as Azure's client."""

from __future__ import annotations

from functools import lru_cache
from types import ModuleType
from typing import Any

from . import _chat, _stainless
from ._patch import Patch, Switch
from ._responses import RESPONSES

APIS = {
    "/chat/completions": _chat.CHAT,
    "/completions": _chat.TEXT,
    "/embeddings": _chat.EMBEDDING,
    "/responses": RESPONSES,
}


def patches(module: ModuleType, switch: Switch) -> list[Patch]:
    """The places to take."""
    from openai import _base_client

    return _stainless.patches(_base_client, APIS, _provider, switch)


def _provider(client: Any) -> str:
    return _provider_of(client.__class__)


@lru_cache(32)
def _provider_of(kind: type) -> str:
    return "azure" if any("Azure" in base.__name__ for base in kind.__mro__) else "openai"
