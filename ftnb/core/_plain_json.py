"""JSON for whatever was recorded: a value that JSON cannot hold must not cost an answer."""

from __future__ import annotations

import json
from typing import Any

from pydantic import BaseModel
from pydantic_core import PydanticSerializationError, to_json, to_jsonable_python

_HOW: dict[str, Any] = {"bytes_mode": "base64", "inf_nan_mode": "null"}


def encode(value: Any) -> bytes:
    """Models, times, bytes (base64), NaN (null) and the rest (its repr) as JSON."""
    try:
        return to_json(value, fallback=repr, **_HOW)
    except (PydanticSerializationError, UnicodeError):  # bytes inside a model, or half a surrogate pair
        plain = to_jsonable_python(_without_models(value), fallback=repr, **_HOW)
        return json.dumps(plain, ensure_ascii=True, separators=(",", ":")).encode()


def _without_models(value: Any) -> Any:
    """Models would have their own say on bytes."""
    if isinstance(value, BaseModel):
        return value.model_dump()
    if isinstance(value, dict):
        return {key: _without_models(item) for key, item in value.items()}
    return [_without_models(item) for item in value] if isinstance(value, list | tuple) else value
