"""How long it takes to compare two engagements of 10,000 steps, from a file, against reading one of them whole.

    python tests/benchmarks/bench_diff.py [quick]

A chat that is cut back to its last messages now and then; the second run says something else once, half way. The store
is read cold: the steps of both, every blob, and what differs.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from ftnb.debug._diff import EngagementDiff, diff
from ftnb.recorder import Recorder
from ftnb.store.sqlite import SQLiteStore
from ftnb.traces import EngagementHandle

_LONGEST = 40


def record(store: SQLiteStore, n_steps: int, odd: int | None) -> str:
    """An engagement of `n_steps` steps of a growing chat; step number `odd` says something else."""
    recorder = Recorder(store)
    engagement_id = recorder.start_engagement("chat")
    messages: list[Any] = []
    last: list[str] = []
    for number in range(n_steps):
        name = ("plan", "search", "answer")[number % 3]
        step_id = recorder.start_step(
            engagement_id, name, triggers=last, state={"messages": list(messages), "turn": number, "user": "u-1"}
        )
        said = f"message {number} " + "words " * 30 + ("changed" if number == odd else "")
        messages.append({"role": "assistant", "content": said})
        if len(messages) > _LONGEST:
            del messages[:-2]
        recorder.end_step(step_id, update={"messages": [messages[-1]], "turn": number + 1})
        last = [step_id]
        if number % 500 == 0:
            recorder.flush()
    recorder.end_engagement(engagement_id)
    recorder.flush(60)
    recorder.close()
    return engagement_id


def timed(times: int, what: Any) -> tuple[float, Any]:
    """Median seconds of processor time, which a busy machine changes less, and the last result."""
    seconds, result = [], None
    for _ in range(times):
        begun = time.process_time()
        result = what()
        seconds.append(time.process_time() - begun)
    return statistics.median(seconds), result


def main(quick: bool) -> None:
    """Print the table."""
    n_steps, times = (1_000, 3) if quick else (10_000, 5)
    with tempfile.TemporaryDirectory() as folder:
        store = SQLiteStore(Path(folder) / "traces.db")
        ids = [record(store, n_steps, None), record(store, n_steps, n_steps // 2)]

        def compared() -> EngagementDiff:
            found: EngagementDiff = diff(*(EngagementHandle(store, one) for one in ids))
            assert found.first is not None
            assert found.first.pair.row.step.place == n_steps // 2
            return found

        compared()  # what is imported on first use is no part of it
        folded, _ = timed(times, lambda: store.get_engagement(ids[0]))
        seconds, found = timed(times, compared)
        framed, frame = timed(times, found.frame)
        assert frame.height == n_steps
        store.close()
    print(f"{n_steps:,} steps each")
    print(f"{'reading one engagement whole':34} {folded:8.3f} s  1.00")
    print(f"{'diff of two, cold':34} {seconds:8.3f} s  {seconds / folded:.2f}")
    print(f"{'its frame':34} {framed:8.3f} s  {framed / folded:.2f}")


if __name__ == "__main__":
    main("quick" in sys.argv[1:])
