"""Exceptions of which only class and message are known."""

from __future__ import annotations

import builtins
import sys


def raised(name: str, message: str) -> Exception:
    """An exception of the recorded class where it can be found and made, else one of that name."""
    made = _made(getattr(builtins, name, None), message)
    if made is None:
        kinds = {getattr(module, name, None) for module in list(sys.modules.values()) if name in _names(module)}
        made = next((found for kind in kinds if (found := _made(kind, message)) is not None), None)
    return made or type(name, (Exception,), {})(message)


def _names(module: object) -> dict[str, object]:
    try:
        return vars(module)
    except TypeError:  # what somebody put among the modules
        return {}


def _made(kind: object, message: str) -> Exception | None:
    if not (isinstance(kind, type) and issubclass(kind, Exception)):
        return None
    try:
        return kind(message)
    except Exception:  # it wants more than a message
        return None
