"""Calls of models that go through a provider's SDK and not through LangChain: `ftnb.capture("openai", …)`."""

from __future__ import annotations

from ._registry import capture, captured, uncapture

__all__ = ["capture", "captured", "uncapture"]
