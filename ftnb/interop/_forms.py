"""What every importer reads into: spans of one trace, with what they say in our words."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any

from ..core.errors import NotOurFileError
from ..core.ids import to_us
from ._semconv import Reading

MAX_US = 253_402_300_799_999_999
"""The last microsecond of the year 9999, the last that a datetime can hold."""


class BadItem(ValueError):
    """One item of a file cannot be used; the message is the reason."""


@dataclass(slots=True)
class Log:
    """Something that a span says happened at one moment."""

    at_us: int
    name: str
    payload: dict[str, Any]


@dataclass(slots=True)
class Span:
    """One span, run or observation."""

    trace: str
    """What names its trace."""
    id: str
    parent: str | None
    start_us: int
    end_us: int | None
    """None: it had not ended when it was written."""
    reading: Reading
    error: str | None = None
    error_type: str | None = None
    conversation: str | None = None
    """What names the conversation of which its trace is a turn."""
    metadata: dict[str, Any] = field(default_factory=dict)
    """What it says about the engagement as a whole."""
    logs: list[Log] = field(default_factory=list)
    ours: Mapping[str, Any] = field(default_factory=dict)
    """What an export of ours said of itself: ids, statuses, visits."""
    is_inner: bool = False
    """It is work inside a step (a chain of LangChain inside a node), and no step itself."""
    place: int = 0
    """Its place in the file."""


def stable_id(*parts: object) -> str:
    """32 hex digits that depend on `parts` alone, so that the same thing read twice has the same id."""
    return sha256("\x1f".join(map(str, parts)).encode("utf-8", "backslashreplace")).hexdigest()[:32]


def micros_of_nanos(value: Any) -> int | None:
    """Whole microseconds from nanoseconds as an integer or as text; None for null and 0. Raises BadItem."""
    if value is None or value == "" or value == 0 or value == "0":
        return None
    try:
        found = int(value) // 1000
    except (TypeError, ValueError, OverflowError):
        raise BadItem(f"{_short(value)} is no time in nanoseconds") from None
    return checked(found)


def micros_of(value: Any) -> int | None:
    """Whole microseconds from an ISO 8601 text, a datetime, or a number of seconds, milliseconds, micro- or
    nanoseconds since 1970 (told apart by its size). None for null. Raises BadItem."""
    if value is None or value == "":
        return None
    if isinstance(value, datetime):
        return checked(to_us(value))
    if isinstance(value, str):
        text = value.strip()
        if text.replace(".", "", 1).isdigit():
            return micros_of(float(text) if "." in text else int(text))
        try:
            moment = datetime.fromisoformat(text.replace(" UTC", "+00:00"))
        except ValueError:
            raise BadItem(f"{_short(value)} is no time") from None
        return checked(to_us(moment if moment.tzinfo else moment.replace(tzinfo=UTC)))
    if isinstance(value, (int, float)) and not isinstance(value, bool) and value == value and abs(value) < 1e20:
        return checked(_of_number(value))
    raise BadItem(f"{_short(value)} is no time")


def _of_number(value: float) -> int:
    size = abs(value)
    if size < 1e11:
        return round(value * 1_000_000)
    if size < 1e14:
        return round(value * 1000)
    return round(value) if size < 1e17 else int(value) // 1000


def checked(micros: int) -> int:
    """`micros`, if a datetime can hold it. Raises BadItem."""
    if not 0 <= micros <= MAX_US:
        raise BadItem(f"the time {micros} µs is not between 1970 and 9999")
    return micros


def text_of(value: Any, what: str, *, required: bool = False) -> str | None:
    """A short text such as an id; None when it is not there. Raises BadItem."""
    if value is None or value == "":
        if required:
            raise BadItem(f"it has no {what}")
        return None
    if isinstance(value, (str, int)) and not isinstance(value, bool):
        text = str(value)
        if len(text) <= 2_000:
            return text
    raise BadItem(f"{what} is {_short(value)}, not a short text")


def mapping(value: Any, what: str) -> dict[str, Any]:
    """`value` as a dict; an empty one for null. Raises BadItem."""
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise BadItem(f"{what} is {_short(value)}, not an object")
    return value


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:59] + "…"


def not_ours(where: str, line: int | None, reason: str) -> NotOurFileError:
    """The error for a file, or a place in it, that cannot be read."""
    return NotOurFileError(f"{where}{'' if line is None else f', line {line}'}: {reason}")
