"""Time-ordered identifiers and the clock that records use."""

from __future__ import annotations

import os
import time
from datetime import UTC, datetime, timedelta
from random import Random

# Seeded by the system and no secret. `os.urandom` for each id would let go of the interpreter's lock each time, and the
# agent's thread would wait for the writer's to give it back.
_random = Random()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_random.seed)

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def new_id() -> str:
    """A UUIDv7 (RFC 9562, section 5.7) as 32 lower-case hex digits.

    Sorts by creation time to the millisecond, so an index on it appends at its end and Parquet statistics
    prune by it. The last 74 bits are random.
    """
    millis = time.time_ns() // 1_000_000
    random = _random.getrandbits(80)
    value = (millis & 0xFFFF_FFFF_FFFF) << 80
    value |= 0x7 << 76 | (random >> 62 & 0xFFF) << 64
    value |= 0b10 << 62 | (random & 0x3FFF_FFFF_FFFF_FFFF)
    return f"{value:032x}"


def now_us() -> int:
    """Wall-clock time now, in whole microseconds since 1970-01-01 UTC."""
    return time.time_ns() // 1_000


def to_us(moment: datetime) -> int:
    """`moment` in whole microseconds since 1970-01-01 UTC; a naive datetime is taken as UTC."""
    aware = moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)
    # Integer arithmetic: a float of seconds loses microseconds.
    return (aware - _EPOCH) // timedelta(microseconds=1)


def from_us(micros: int) -> datetime:
    """The aware UTC datetime of `micros` microseconds since 1970-01-01 UTC."""
    return _EPOCH + timedelta(microseconds=micros)
