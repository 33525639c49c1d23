"""Anthropic's SDK: messages, stable and beta; also as the clients for Bedrock and Vertex."""

from __future__ import annotations

from functools import lru_cache
from types import ModuleType
from typing import Any

from . import _stainless
from ._messages import MESSAGES
from ._patch import Patch, Switch

APIS = {"/v1/messages": MESSAGES}
_HOSTS = {"Bedrock": "bedrock", "Vertex": "vertex", "Foundry": "azure"}


def patches(module: ModuleType, switch: Switch) -> list[Patch]:
    """The places to take."""
    from anthropic import _base_client

    return _stainless.patches(_base_client, APIS, _provider, switch)


def _provider(client: Any) -> str:
    return _provider_of(type(client).__name__)


@lru_cache(32)
def _provider_of(name: str) -> str:
    return next((host for part, host in _HOSTS.items() if part in name), "anthropic")
