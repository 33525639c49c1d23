"""Lengths of time as users write them: `1h`, `90s`, `1h30m`, or a timedelta."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any

from ..core.errors import InvalidArgumentError

_UNITS = {
    "us": 1, "ms": 1_000, "s": 1_000_000, "m": 60_000_000, "min": 60_000_000, "h": 3_600_000_000,
    "d": 86_400_000_000, "w": 604_800_000_000,
}  # fmt: skip
_PART = re.compile(r"(\d+(?:\.\d+)?)\s*(us|ms|min|s|m|h|d|w)")


def micros_of(value: Any, what: str) -> int:
    """A length of time in microseconds. Raises InvalidArgumentError, naming the argument `what`."""
    if isinstance(value, timedelta):
        micros = value // timedelta(microseconds=1)
        if micros < 0:
            raise InvalidArgumentError(f"{what} is a length of time and cannot be negative; got {value!r}")
        return micros
    if isinstance(value, str):
        text = value.strip().lower()
        if text.startswith("-"):
            raise InvalidArgumentError(f"{what} is a length of time and cannot be negative; got {value!r}")
        parts = _PART.findall(text)
        if parts and _PART.sub("", text).strip() == "":
            return round(sum(float(number) * _UNITS[unit] for number, unit in parts))
    raise InvalidArgumentError(
        f"{what} is a length of time, as '30s', '5m', '1h30m', '7d' or a timedelta; got {value!r}"
    )
