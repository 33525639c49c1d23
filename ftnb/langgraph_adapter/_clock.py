"""One clock for everything in a run: `perf_counter_ns`, with the wall clock read once at the start of each root run.

Two clocks read one after the other disagree by whatever a thread switch between the readings takes, which puts calls
past the end of their step. So callbacks read one clock only, and times of day are worked out from it.
"""

from __future__ import annotations

from time import perf_counter_ns, time_ns

_READINGS = 3
_STEADY_NS = 5_000
"""By which a single reading may differ from the offset that is known: what a thread switch adds is more."""
_known = 0


def offset_ns() -> int:
    """What must be added to `perf_counter_ns` to have nanoseconds since 1970, by the tightest of a few readings.

    One reading is enough while it agrees with what was found before.
    """
    global _known
    if abs(time_ns() - perf_counter_ns() - _known) < _STEADY_NS:
        return _known
    best, offset = None, 0
    for _ in range(_READINGS):
        before = perf_counter_ns()
        wall = time_ns()
        after = perf_counter_ns()
        if best is None or after - before < best:
            best, offset = after - before, wall - (before + after) // 2
    _known = offset
    return offset
