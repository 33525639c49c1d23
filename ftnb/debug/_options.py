"""What replays and forks are told, checked and made ready."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ..core.errors import InvalidArgumentError
from ._cassette import USES, Cassette, Use
from ._recorded import Recorded


def cassette_of(
    recorded: Recorded, use: Use, safe_tools: Sequence[Any] | str, model: Any = None, allow_live: Sequence[str] = ()
) -> Cassette:
    """The recorded calls of an engagement. Raises InvalidArgumentError."""
    if use not in USES:
        raise InvalidArgumentError(f"use={use!r} is unknown; known: {', '.join(USES)}")
    if isinstance(allow_live, str) or not all(isinstance(one, str) for one in allow_live):
        raise InvalidArgumentError(f"allow_live takes a list of providers or models, as ['openai']; got {allow_live!r}")
    live = frozenset(allow_live)
    if isinstance(safe_tools, str):
        if safe_tools != "all":
            raise InvalidArgumentError(f"safe_tools takes a list of tools or their names, or 'all'; got {safe_tools!r}")
        return Cassette(recorded, use, all_safe=True, allow_live=live, model=model)
    names = frozenset(one if isinstance(one, str) else _name_of(one) for one in safe_tools)
    return Cassette(recorded, use, names, allow_live=live, model=model)


def _name_of(tool: Any) -> str:
    name = getattr(tool, "name", None) or getattr(tool, "__name__", None)
    if not isinstance(name, str):
        raise InvalidArgumentError(f"safe_tools takes tools or their names, got {tool!r:.100}")
    return name


def configured(recorded: Recorded, config: Mapping[str, Any] | None) -> dict[str, Any]:
    """The config of a replay: the caller's, over the recorded metadata, where LangChain notes what is configurable."""
    given = dict(config or {})
    known = {str(key): value for key, value in recorded.metadata.items() if isinstance(value, (str, int, float, bool))}
    configurable = {**known, **(given.get("configurable") or {})}
    return {**given, "configurable": configurable} if configurable else given
