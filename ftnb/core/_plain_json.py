"""JSON for whatever was recorded: a value that JSON cannot hold must not cost an answer."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel
from pydantic_core import PydanticSerializationError, to_json

_HOW: dict[str, Any] = {"bytes_mode": "base64", "inf_nan_mode": "null"}


def encode(value: Any) -> bytes:
    """Models, times, bytes (base64), NaN (null) and the rest (its repr) as JSON."""
    try:
        return to_json(value, fallback=repr, **_HOW)
    except (PydanticSerializationError, UnicodeError):  # bytes inside a model, or half a surrogate pair
        return to_json(_plain(value), fallback=repr, **_HOW)


def _plain(value: Any) -> Any:
    """Without models, which have their own say on bytes, and without text that is none."""
    if isinstance(value, BaseModel):
        return _plain(value.model_dump())
    if isinstance(value, dict):
        return {_plain(key if isinstance(key, str) else repr(key)): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_plain(item) for item in value]
    return value.encode("utf-8", "backslashreplace").decode() if isinstance(value, str) else value
