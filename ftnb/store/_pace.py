"""How a writer leaves the interpreter to the agent while that computes.

A thread that comes back from a socket waits for the interpreter while another computes, 5 ms as a rule
(`sys.getswitchinterval`), and that is longer than most of what a writer does at once. So it works in slices, and sleeps
between two of them: who lets go of the interpreter and takes it again at once has it before the other is awake.
"""

from __future__ import annotations

import math
import threading
import time

_SLICE_SECONDS = 0.0003
"""Much shorter ones cost the writer a sixth of its time, in pauses."""
_PAUSE_SECONDS = 0.00003
_BUSY = 0.4
"""Of a processor, from which on the other threads of the process are taken to compute."""


class Meter:
    """How busy the process is while the thread that asks sleeps."""

    def __init__(self) -> None:
        self._begun = time.perf_counter()
        self._used = time.process_time()

    def shows_work(self) -> bool:
        """Whether the process has computed since then, for a good part of the time."""
        took = time.perf_counter() - self._begun
        return time.process_time() - self._used > _BUSY * took


class _Turn(threading.local):
    until = math.inf
    """When this thread is to pause, by `time.perf_counter`."""
    urgent: threading.Event | None = None
    paused = 0.0
    """Seconds of its pauses since `begin`."""


_turn = _Turn()


def begin(urgent: threading.Event | None) -> None:
    """Have this thread pause now and then from here on, unless `urgent` is set; None: not any more."""
    _turn.urgent, _turn.paused = urgent, 0.0
    _turn.until = math.inf if urgent is None else time.perf_counter() + _SLICE_SECONDS


def breathe() -> None:
    """Pause for a moment if this thread has to and its slice is over. To be called where a pause does no harm."""
    if time.perf_counter() < _turn.until or _turn.urgent is None:
        return
    if _turn.urgent.is_set():
        _turn.until = math.inf
        return
    begun = time.perf_counter()
    time.sleep(_PAUSE_SECONDS)
    now = time.perf_counter()
    _turn.paused += now - begun
    _turn.until = now + _SLICE_SECONDS


def paused() -> float:
    """Seconds that this thread has paused since it was last told to, or not to."""
    return _turn.paused
