"""Values in LangGraph's checkpoints, read as data: what a checkpoint names as a class is never imported or called.

LangGraph writes msgpack with extension types that say "call this constructor with these arguments". Here the
arguments are kept, chat messages are read as messages, times and ids as text, and the class is a name.
"""

from __future__ import annotations

from typing import Any

import orjson

from ..core._optional import require
from ._forms import BadItem

_ROLES = {"HumanMessage": "user", "AIMessage": "assistant", "AIMessageChunk": "assistant", "SystemMessage": "system",
          "ToolMessage": "tool", "FunctionMessage": "function", "ChatMessage": "chat"}  # fmt: skip
_MAX_DEPTH = 60
_SINGLE, _POSITIONAL, _KEYWORDS, _METHOD, _PYDANTIC_V1, _PYDANTIC_V2, _ARRAY, _DELTA = range(8)


class Message(dict[str, Any]):
    """A chat message of LangChain, with `usage` and `model` where it has them."""


def loads(kind: str | None, data: Any) -> Any:
    """A value by the kind that its row names. Raises BadItem where it cannot be read, or must not be (pickle)."""
    if data is None or kind in ("null", "empty"):
        return None
    data = bytes(data) if not isinstance(data, str) else data.encode()
    if kind in ("bytes", "bytearray"):
        return data
    try:
        if kind == "json":
            return _constructed(orjson.loads(data))
        if kind == "msgpack":
            return _unpacked(data, 0)
    except (ValueError, TypeError, RecursionError) as error:
        raise BadItem(f"a value of kind {kind!r} cannot be read: {error}") from None
    raise BadItem(f"a value is stored as {kind!r}, which is not read: only msgpack and JSON are")


def _unpacked(data: bytes, depth: int) -> Any:
    ormsgpack = require("ormsgpack", feature="reading checkpoints", extra="langgraph")
    if depth > _MAX_DEPTH:
        raise ValueError("values nested too deep")

    def extension(code: int, packed: bytes) -> Any:
        return _extension(code, _unpacked(packed, depth + 1))

    return ormsgpack.unpackb(data, ext_hook=extension, option=ormsgpack.OPT_NON_STR_KEYS)


def _extension(code: int, told: Any) -> Any:
    if code == _DELTA:
        return told
    if code == _ARRAY:
        return {"type": "array", "about": [part for part in told if not isinstance(part, bytes)]}
    if not isinstance(told, (list, tuple)) or len(told) < 3:
        return told
    _, name, given = told[:3]
    name = str(name)
    if code in (_PYDANTIC_V1, _PYDANTIC_V2, _KEYWORDS) and isinstance(given, dict):
        return _object(name, given)
    if code == _METHOD and name in ("datetime", "date", "time"):
        return given
    if code == _SINGLE and name in ("set", "frozenset", "deque", "list", "tuple"):
        return given
    if name == "Send" and isinstance(given, (list, tuple)) and len(given) == 2:
        return {"type": "Send", "node": given[0], "arg": given[1]}
    if name in ("UUID", "Decimal", "Path", "PosixPath", "ZoneInfo") or isinstance(given, (str, int, float)):
        return "/".join(map(str, given)) if isinstance(given, (list, tuple)) else given
    return {"type": name, "args": given}


def _object(name: str, given: dict[Any, Any]) -> Any:
    role = _ROLES.get(name)
    if role is None:
        if name in ("Interrupt",) and "value" in given:
            return {"type": name, "value": given["value"], "id": given.get("id") or given.get("interrupt_id")}
        return given
    shown = Message(role=given.get("role", role) if role == "chat" else role, content=given.get("content", ""))
    if given.get("tool_calls"):
        shown["tool_calls"] = [{k: call.get(k) for k in ("name", "args", "id")} for call in given["tool_calls"]]
    for key in ("name", "tool_call_id", "id"):
        if given.get(key):
            shown[key] = given[key]
    if given.get("status") == "error":
        shown["status"] = "error"
    if given.get("usage_metadata"):
        shown["usage"] = given["usage_metadata"]
    about = given.get("response_metadata") or {}
    if isinstance(about, dict) and (about.get("model_name") or about.get("model")):
        shown["model"] = about.get("model_name") or about["model"]
    return shown


def _constructed(value: Any) -> Any:
    """LangChain's JSON form (`{"lc": …, "id": […], "kwargs": {…}}`) as data."""
    if isinstance(value, list):
        return [_constructed(one) for one in value]
    if not isinstance(value, dict):
        return value
    inner = {key: _constructed(one) for key, one in value.items()}
    if "lc" in inner and isinstance(inner.get("id"), list) and inner["id"] and isinstance(inner.get("kwargs"), dict):
        return _object(str(inner["id"][-1]), inner["kwargs"])
    return inner
