"""Finding engagements among many: an inline browser, and a search through what was recorded."""

from __future__ import annotations

from ._found import Found, search_traces

__all__ = ["Found", "search_traces"]
