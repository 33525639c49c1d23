"""JSON for whatever was recorded: a value that JSON cannot hold must not cost an answer."""

from __future__ import annotations

import json
from typing import Any

from pydantic_core import PydanticSerializationError, to_json, to_jsonable_python

_HOW: dict[str, Any] = {"bytes_mode": "base64", "inf_nan_mode": "null"}


def encode(value: Any) -> bytes:
    """Models, times, bytes (base64), NaN (null) and the rest (its repr) as JSON."""
    try:
        return to_json(value, fallback=repr, **_HOW)
    except (PydanticSerializationError, UnicodeError):  # half a surrogate pair, say
        plain = to_jsonable_python(value, fallback=repr, **_HOW)
        return json.dumps(plain, ensure_ascii=True, separators=(",", ":")).encode()
