"""kill -9 at random points: children that record until they are killed, and what is left of their records.

    python -m tests.faults.killing FOLDER COUNT [SEED]

Prints a line of JSON for each child that was killed. The children are forked from a process that has no threads yet.
"""

from __future__ import annotations

import json
import mmap
import os
import random
import signal
import struct
import sys
import time
from pathlib import Path
from typing import Any

import ftnb
from ftnb.core.model import EventKind
from ftnb.recorder import Recorder
from ftnb.store.sqlite import SQLiteStore
from tests.capture.shapes import graph_of

_NOTE = struct.Struct("=qqq")
"""Accepted records or runs, those that a flush acknowledged, and the time of the last one in microseconds."""


def record(path: Path, note: mmap.mmap, seed: int) -> None:
    """Record steps through a recorder, flushing now and then, until killed."""
    rng, recorder = random.Random(seed), Recorder(SQLiteStore(path))
    accepted = acknowledged = 0
    while True:
        engagement_id = recorder.start_engagement("e", metadata={"seed": seed})
        for _ in range(rng.randrange(1, 200)):
            step_id = recorder.start_step(engagement_id, "s", state={"text": "x" * rng.randrange(2_000)})
            recorder.record_event(step_id, EventKind.LOG, str(accepted), payload={"n": accepted})
            accepted += 1
            note[:] = _NOTE.pack(accepted, acknowledged, time.time_ns() // 1000)
            recorder.end_step(step_id)
            if rng.random() < 0.03 and recorder.flush(5):
                acknowledged = accepted
                note[:] = _NOTE.pack(accepted, acknowledged, time.time_ns() // 1000)
            time.sleep(rng.choice((0, 0, 0.0005)))
        recorder.end_engagement(engagement_id)


def run_graphs(path: Path, note: mmap.mmap, seed: int) -> None:
    """Run a LangGraph agent again and again, flushing now and then, until killed."""
    rng, session = random.Random(seed), ftnb.start(path)
    app = graph_of("^>a", "a>b", "b>c").compile()
    accepted = acknowledged = 0
    while True:
        app.invoke({"path": ["x" * rng.randrange(1_000)]})
        accepted += 1
        note[:] = _NOTE.pack(accepted, acknowledged, time.time_ns() // 1000)
        if rng.random() < 0.1 and session.recorder.flush(5):
            acknowledged = accepted
            note[:] = _NOTE.pack(accepted, acknowledged, time.time_ns() // 1000)


def kill_one(path: Path, seed: int, graphs: bool) -> dict[str, Any]:
    """Fork a child, let it record for a random time, and kill it."""
    note = mmap.mmap(-1, _NOTE.size)
    pid = os.fork()
    if pid == 0:
        try:
            (run_graphs if graphs else record)(path, note, seed)
        finally:
            os._exit(1)
    while not any(note[:]):
        time.sleep(0.001)
    time.sleep(random.Random(seed).uniform(0, 0.25))
    os.kill(pid, signal.SIGKILL)
    _, status = os.waitpid(pid, 0)
    if not os.WIFSIGNALED(status):
        raise RuntimeError("the child ended by itself")
    accepted, acknowledged, at_us = _NOTE.unpack(note[:])
    return {"path": str(path), "graphs": graphs, "accepted": accepted, "acknowledged": acknowledged, "at_us": at_us}


def main(folder: Path, count: int, seed: int) -> None:
    for i in range(count):
        sys.stdout.write(json.dumps(kill_one(folder / f"{i}.db", seed + i, graphs=i % 2 == 1)) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]) if len(sys.argv) > 3 else random.randrange(2**32))
