"""Debugging in the cell: running a recorded step again, going on from one with another state, replaying many runs."""

from __future__ import annotations

from ._cassette import safe
from ._forked import afork, aresume, fork, resume
from ._outcome import ReplayedAll
from ._pytest_writer import write_test
from ._replay import areplay, replay
from ._replay_all import replay_all
from ._result import Replay

__all__ = [
    "Replay",
    "ReplayedAll",
    "afork",
    "areplay",
    "aresume",
    "fork",
    "replay",
    "replay_all",
    "resume",
    "safe",
    "write_test",
]
