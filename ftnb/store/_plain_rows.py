"""Records of the types that make up nearly all of a log, made without validation where their rows are plainly right.

Opening an engagement makes an object of each row, and validation is more than half of that. What a row of ours can hold
is known: where each value is of its type, the object is put together as pydantic would have; anything else is left to
`rows.to_record`, which validates, and says what is wrong.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from pydantic import BaseModel

from ..core.canonical import MARK
from ..core.ids import from_us
from ..core.model import EventKind, StepEvent, StepStatus, TokenUsage
from .leaf import Row
from .records import BaseRecord, EventRecorded, StepEnded, StepStarted

M = TypeVar("M", bound=BaseModel)
_Read = Callable[[str, Any], Any]
_KINDS = {kind.value: kind for kind in EventKind}
_STATUSES = {status.value: status for status in StepStatus}
_NONE: tuple[str, ...] = ()
_NOWHERE: dict[str, str] = {}
_MAYBE_TEXT = frozenset((str, type(None)))
_MAYBE_INT = frozenset((int, type(None)))
_OF_A_RECORD = {"engagement_id", "ts", "seq", "v", "stream_id", "n", "turn"}
_OF_A_START = _OF_A_RECORD | {
    "step_id", "name", "tools", "is_global", "parent_step_id", "ns", "visit", "attempt", "triggers", "routes",
    "state_ref", "checkpoint_id",
}  # fmt: skip
_OF_AN_END = _OF_A_RECORD | {
    "step_id", "name", "status", "ended_at", "duration_ms", "error", "error_type", "update_ref", "state_ref",
    "decisions", "cached",
}  # fmt: skip
_OF_AN_EVENT_RECORD = _OF_A_RECORD | {"event"}
_OF_AN_EVENT = {
    "id", "step_id", "kind", "name", "ts", "duration_ms", "payload", "error", "tokens", "model", "ttft_ms",
    "error_type", "subtype", "discarded",
}  # fmt: skip
_OF_TOKENS = {"prompt", "completion", "total", "cache_read", "cache_write", "reasoning"}
_set = object.__setattr__


def put_together(model: type[M], fields: dict[str, Any], given: set[str]) -> M:
    """An instance of `model` of these values, of all fields in their order; `given` are those that were set."""
    made = model.__new__(model)
    _set(made, "__dict__", fields)
    _set(made, "__pydantic_fields_set__", given.copy())
    _set(made, "__pydantic_extra__", None)
    _set(made, "__pydantic_private__", None)
    return made


def plain_record(row: Row, body: dict[str, Any], seq: int, read: _Read) -> BaseRecord | None:
    """The record of a row, as `rows.to_record` makes it; None where that has to look at it.

    `read(key, default)` gives an entry of the body, with what it refers to.
    """
    make = _PLAIN.get(row[4])
    # A name of its own, a checkpoint: seldom, and not worth a second reading of what they mean.
    if make is None or "name" in body or "head" in body or "checkpoint" in body:
        return None
    return make(row, body, seq, read)


def _started(row: Row, body: dict[str, Any], seq: int, read: _Read) -> StepStarted | None:
    engagement_id, stream_id, n, v, _, at_us, turn, step_id, parent_id, _, name, ns, visit, attempt, kind = row[:15]
    if not (
        type(step_id) in _MAYBE_TEXT
        and type(parent_id) in _MAYBE_TEXT
        and type(name) in _MAYBE_TEXT
        and type(ns) in _MAYBE_TEXT
        and type(visit) in _MAYBE_INT
        and type(attempt) in _MAYBE_INT
    ):
        return None
    tools, triggers, routes = body.get("tools", _NONE), body.get("triggers", _NONE), body.get("routes", _NOWHERE)
    if not (_are_texts(tools) and _are_texts(triggers) and _are_plain(routes)):
        return None
    fields = {
        "engagement_id": engagement_id,
        "ts": from_us(at_us),
        "seq": seq,
        "v": v,
        "stream_id": stream_id,
        "n": n,
        "turn": turn,
        "type": "step_started",
        "step_id": step_id or "",
        "name": name or "",
        "tools": [*tools],
        "is_global": kind == "global",
        "parent_step_id": parent_id,
        "ns": ns or "",
        "visit": visit,
        "attempt": attempt or 1,
        "triggers": [*triggers],
        "routes": {**routes},
        "state_ref": body.get("state", body.get("@state")),
        "checkpoint_id": None,
    }
    return put_together(StepStarted, fields, _OF_A_START)


def _ended(row: Row, body: dict[str, Any], seq: int, read: _Read) -> StepEnded | None:
    step_id, name, duration, error_type, error = row[7], row[10], row[16], row[25], body.get("error")
    status = _STATUSES.get(row[15])
    if not (
        status is not None
        and "decisions" not in body
        and type(duration) in _MAYBE_INT
        and type(step_id) in _MAYBE_TEXT
        and type(name) in _MAYBE_TEXT
        and type(error_type) in _MAYBE_TEXT
        and type(error) in _MAYBE_TEXT
    ):
        return None
    at = from_us(row[5])
    fields = {
        "engagement_id": row[0],
        "ts": at,
        "seq": seq,
        "v": row[3],
        "stream_id": row[1],
        "n": row[2],
        "turn": row[6],
        "type": "step_ended",
        "step_id": step_id or "",
        "status": status,
        "ended_at": at,
        "duration_ms": None if duration is None else duration / 1000,
        "name": name or "",
        "error": error,
        "error_type": error_type,
        "update_ref": body.get("update", body.get("@update")),
        "decisions": {},
        "cached": bool(body.get("cached")),
        "state_ref": body.get("state", body.get("@state")),
    }
    return put_together(StepEnded, fields, _OF_AN_END)


def _event(row: Row, body: dict[str, Any], seq: int, read: _Read) -> EventRecorded | None:
    step_id, event_id, name, duration, ttft, model = row[7], row[9], row[10], row[16], row[17], row[18]
    kind, error, subtype, error_type = _KINDS.get(row[14]), body.get("error"), body.get("subtype"), row[25]
    counts = row[19:25]
    if not (
        kind is not None
        and type(duration) in _MAYBE_INT
        and type(ttft) in _MAYBE_INT
        and _MAYBE_INT.issuperset(map(type, counts))
        and _MAYBE_TEXT.issuperset(map(type, (step_id, event_id, name, model, error, subtype, error_type)))
    ):
        return None
    payload = read("@payload", {}) if "@payload" in body else {}
    if not isinstance(payload, dict):
        return None
    at = from_us(row[5])
    event = {
        "id": event_id or f"{row[1]}:{row[2]}",
        "step_id": step_id or "",
        "kind": kind,
        "name": name or "",
        "ts": at,
        "duration_ms": None if duration is None else duration / 1000,
        "payload": {**payload},
        "error": error,
        "tokens": None if counts[2] is None else _tokens(*(n or 0 for n in counts)),
        "model": model,
        "ttft_ms": None if ttft is None else ttft / 1000,
        "error_type": error_type,
        "subtype": subtype,
        "discarded": bool(body.get("discarded")),
    }
    fields = {
        "engagement_id": row[0],
        "ts": at,
        "seq": seq,
        "v": row[3],
        "stream_id": row[1],
        "n": row[2],
        "turn": row[6],
        "type": "event_recorded",
        "event": put_together(StepEvent, event, _OF_AN_EVENT),
    }
    return put_together(EventRecorded, fields, _OF_AN_EVENT_RECORD)


def _tokens(prompt: int, completion: int, total: int, cache_read: int, cache_write: int, reasoning: int) -> TokenUsage:
    fields = {
        "prompt": prompt, "completion": completion, "total": total or prompt + completion, "cache_read": cache_read,
        "cache_write": cache_write, "reasoning": reasoning,
    }  # fmt: skip
    return put_together(TokenUsage, fields, _OF_TOKENS)


def _are_texts(value: Any) -> bool:
    return value is _NONE or (type(value) is list and all(type(one) is str for one in value))


def _are_plain(routes: Any) -> bool:
    """Text by text, and no marker."""
    if routes is _NOWHERE:
        return True
    return type(routes) is dict and MARK not in routes and all(type(one) is str for one in routes.values())


_PLAIN: dict[str, Callable[[Row, dict[str, Any], int, _Read], BaseRecord | None]] = {
    "step_started": _started,
    "step_ended": _ended,
    "event_recorded": _event,
}
