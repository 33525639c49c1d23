"""What is left after kill -9: for the test, and for the benchmark, which kills more often."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ftnb.store.sqlite import SQLiteStore
from tests.faults.parts import sound, whole

ROOT = Path(__file__).parents[2]


def lost_after_kills(folder: Path, count: int, seed: int) -> Iterator[float]:
    """Kill `count` recording processes, check what each left, and give the milliseconds of records that it lost.

    Raises AssertionError when something acknowledged is lost, or anything is torn.
    """
    command = [sys.executable, "-m", "tests.faults.killing", str(folder), str(count), str(seed)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONWARNINGS": "ignore"}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT, env=environment) as killing:
        assert killing.stdout is not None
        for line in killing.stdout:
            yield _check(json.loads(line))
    assert killing.returncode == 0


def _check(killed: dict[str, Any]) -> float:
    path = Path(killed["path"])
    store = SQLiteStore(path)
    whole(store)
    if killed["graphs"]:
        found = sum(summary.ended_at is not None for summary in store.list_engagements())
    else:
        names = [int(name) for name in store.scan(["name"], types=["event_recorded"])["name"].to_pylist()]
        found = len(names)
        assert names == list(range(found)), "records are missing in the middle"
    assert killed["acknowledged"] <= found <= killed["accepted"] + 1, killed
    last_us = max(store.scan(["at_us"])["at_us"].to_pylist(), default=killed["at_us"])
    store.close()
    sound(path)
    for suffix in ("", "-wal", "-shm"):
        Path(str(path) + suffix).unlink(missing_ok=True)
    return max(killed["at_us"] - last_us, 0) / 1000
